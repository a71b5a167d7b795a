"""Memory effect: closed form, and the tilt of light on one and on several phase screens."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import solve_banded

from opu_sim.cards import MediumCard
from opu_sim.medium import SlabMedium, memory_correlation, memory_range_rad

WAVELENGTH_M = 0.5e-6
PITCH_M = 1e-6
PIXELS, CELL = 512, 8  # cells in pixels
SLABS = 4
TILTS = (0, 1, 2, 4)


def test_closed_form() -> None:
    """[x / sinh x]^2 with x = 2 pi L a / lambda."""
    thickness = 50e-6
    width = memory_range_rad(WAVELENGTH_M, thickness)
    assert width == pytest.approx(0.5e-6 / (2 * np.pi * 50e-6), rel=1e-12)
    x = np.array([0.0, 1e-9, 1e-3, 1.0, 1.4915, 5.0])
    expected = np.concatenate([[1.0, 1.0], (x[2:] / np.sinh(x[2:])) ** 2])
    got = memory_correlation(x * width, WAVELENGTH_M, thickness)
    assert got == pytest.approx(expected, rel=1e-9)
    assert got[3] == pytest.approx(0.724, abs=5e-4)
    assert got[4] == pytest.approx(0.5, abs=1e-4)
    assert memory_correlation(-width, WAVELENGTH_M, thickness) == got[3]
    assert memory_correlation(1.0, WAVELENGTH_M, 1.0) == 0.0  # far outside: no overflow
    assert memory_correlation(width, WAVELENGTH_M, 2 * thickness) < got[3]  # a thicker slab remembers less


@pytest.mark.parametrize("x", [0.3, 1.0, 4.0])
def test_closed_form_is_the_diffuse_transmission(x: float) -> None:
    """u'' = q^2 u - source on 2000 points between absorbing faces, source at the first point: flux out of the last,
    with q over without. Differences of second order and a source 1 / 2000 deep: off by (x / 2000)^2 at most."""
    n = 2000
    source = np.zeros(n)
    source[0] = 1.0
    flux = []
    for q in (0.0, x):
        bands = np.array([np.full(n, -1.0), np.full(n, 2.0 + (q / (n + 1)) ** 2), np.full(n, -1.0)])
        flux.append(solve_banded((1, 1), bands, source)[-1])
    expected = memory_correlation(x * memory_range_rad(WAVELENGTH_M, 1e-3), WAVELENGTH_M, 1e-3)
    assert (flux[1] / flux[0]) ** 2 == pytest.approx(float(expected), rel=1e-4)


@lru_cache
def field_correlations(screens: int) -> dict[int, float]:
    """Tilt in units of 1 / 1024 rad: overlap of the output with that of the tilted input, shifted and tilted back.

    Mean over slabs. Grid of 512 pixels of two wavelengths, gap 1024 um: a tilt of m units shifts the light by m pixels
    a gap. The speckle's own angles stay below 1/4, where the shift is the same for all to 3/2 angle^2.
    """
    card = MediumCard(
        kind="slab",
        transmission=1.0,
        analyser_transmission=1.0,
        speckle_grain_px=2.0,
        screens=screens,
        screen_gap_um=PIXELS * PITCH_M**2 / WAVELENGTH_M * 1e6,
        screen_correlation_um=CELL * PITCH_M * 1e6,
        grid_pixels=PIXELS,
        grid_pitch_um=PITCH_M * 1e6,
    )
    overlaps = np.zeros((SLABS, len(TILTS)), np.complex128)
    for slab in range(SLABS):
        medium = SlabMedium(card, WAVELENGTH_M, slab, 1, 1)
        flat = np.ones((PIXELS, PIXELS), np.complex64)
        still = medium.transmit(flat)
        for i, tilt in enumerate(TILTS):
            wave = np.exp(2j * np.pi * tilt * np.arange(PIXELS) / PIXELS)[None, :].astype(np.complex64)
            back = np.roll(medium.transmit(flat * wave) * wave.conj(), -screens * tilt, axis=1)
            overlaps[slab, i] = np.vdot(still, back) / np.vdot(still, still).real
    return dict(zip(TILTS, np.abs(overlaps.mean(axis=0)), strict=True))


def test_one_thin_screen_remembers_every_tilt() -> None:
    """Its speckle is shifted as a whole, without loss but for angles beyond the paraxial range."""
    assert min(field_correlations(1).values()) > 0.99


@pytest.mark.parametrize("screens", [2, 3])
def test_memory_ends_where_the_shift_between_screens_reaches_a_cell(screens: int) -> None:
    """A tilt a moves the light by j gap a on screen j + 1, off a share j gap a / cell of its cell: the field keeps the
    product over j of 1 - j gap a / cell.

    4096 cells x 4 slabs: what falls on other cells adds up to 1 / sqrt(16,384) = 0.8 % of the field, so that 3 % are
    four standard deviations; the screens' cells lie on one lattice, which is in step with the shifts.
    """
    expected = {m: np.prod([1 - j * m / CELL for j in range(1, screens)]) for m in TILTS}
    got = field_correlations(screens)
    assert got == pytest.approx(expected, abs=0.03)
    assert all(a > b + 0.05 for a, b in pairwise(got.values()))
