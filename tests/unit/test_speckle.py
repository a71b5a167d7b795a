"""Coherence modes of a pixel, the two-mode pixel, and band-limited interpolation between modes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import j1

from opu_sim.speckle import PixelModes, coherence_modes, interpolated, padded_spectrum


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0, 2.0])
def test_coherence_modes_against_a_plain_sum(p: float) -> None:
    """Midpoint rule on 400 x 400 points of the quadrant; its error is below 1e-4 for this smooth
    integrand."""
    x = (np.arange(400) + 0.5) / 400
    argument = np.pi * p * np.hypot(x[:, None], x)
    mu = 2 * j1(argument) / argument
    quadrant = np.mean((1 - x[:, None]) * (1 - x) * mu**2)
    assert_allclose(coherence_modes(p), 1 / (4 * quadrant), rtol=1e-4)


def test_coherence_modes_at_the_limits() -> None:
    assert_allclose(coherence_modes(1e-6), 1.0, atol=1e-6)
    # Many grains a pixel: M tends to pixel area over coherence area, 4 / pi d^2 for a round pupil. What is
    # missing is the pixel's edge, of relative size 1 / p: twice the pixel, half of it.
    missing = [coherence_modes(p) / (p**2 * np.pi / 4) - 1 for p in (10.0, 20.0)]
    assert_allclose(missing[0] / missing[1], 2.0, rtol=0.1)
    assert missing[1] < 0.08
    assert coherence_modes(0.2) < coherence_modes(0.4) < coherence_modes(0.8)


@pytest.mark.parametrize("grain", [1.0, 1.5, 2.0, 4.0, 5.0, 50.0])
def test_pixel_modes(grain: float) -> None:
    modes = PixelModes.of_grain(grain)
    w = modes.weight
    assert 0.5 <= w <= 1
    assert_allclose(w**2 + (1 - w) ** 2, 1 / modes.modes, rtol=1e-12)
    assert_allclose(modes.contrast**2, 1 / modes.modes, rtol=1e-12)


def random_modes(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("shape", [(4, 4), (3, 8, 6), (2, 1, 5, 7)])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_interpolation_passes_through_the_modes_and_keeps_energy(shape: tuple[int, ...], factor: int) -> None:
    modes = random_modes(shape)
    fine = interpolated(modes, factor)
    assert fine.shape == (*shape[:-2], shape[-2] * factor, shape[-1] * factor)
    assert_allclose(fine[..., ::factor, ::factor], modes, atol=2e-6)
    # Parseval: the mean power stays, for every single field.
    before, after = (np.mean(np.abs(field.astype(np.complex128)) ** 2, axis=(-2, -1)) for field in (modes, fine))
    assert_allclose(after, before, rtol=2e-6)


def test_interpolation_is_band_limited() -> None:
    spectrum = padded_spectrum(random_modes((8, 8)), 4)
    lines = np.fft.fftfreq(32, 1 / 32)
    inside = (lines >= -4) & (lines < 4)
    assert np.count_nonzero(spectrum) == 64
    assert np.all(spectrum[inside][:, inside] != 0)


def test_interpolation_of_a_plane_wave() -> None:
    x = np.arange(8)
    wave = np.exp(2j * np.pi * (2 * x[:, None] - 3 * x) / 8).astype(np.complex64)
    y = np.arange(32) / 4
    assert_allclose(interpolated(wave, 4), np.exp(2j * np.pi * (2 * y[:, None] - 3 * y) / 8), atol=2e-6)
