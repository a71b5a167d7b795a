"""Phase screens and free space: conservation of energy, and when the matrix is that of independent entries."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from opu_sim import ConfigError, DeviceError
from opu_sim.cards import MediumCard, OpuCard, load_card
from opu_sim.medium import (
    SlabMedium,
    StoredMedium,
    ks_marchenko_pastur,
    make_medium,
    marchenko_pastur_cdf,
    singular_values,
)
from opu_sim.medium.angular_spectrum import hop, hop_phases

SIGMAS = 4.5
WAVELENGTH_UM = 0.5


def slab(
    screens: int = 3,
    gap: float = 300.0,
    n_in: int = 256,
    n_outputs: int = 256,
    first_output: int = 0,
    seed: int = 1,
    **options: Any,
) -> SlabMedium:
    """256 x 256 pixels of a wavelength, cells of 2 x 2, 128 x 128 of them lit; gap in wavelengths."""
    extra = {key: options.pop(key) for key in ("illumination", "mixing") if key in options}
    card = MediumCard(
        kind="slab",
        transmission=1.0,
        analyser_transmission=1.0,
        speckle_grain_px=2.0,
        screens=screens,
        screen_gap_um=gap * WAVELENGTH_UM,
        **{"grid_pixels": 256, "grid_pitch_um": WAVELENGTH_UM} | options,
    )
    return SlabMedium(card, WAVELENGTH_UM * 1e-6, seed, n_in, n_outputs, first_output, **extra)


@lru_cache
def window(screens: int, gap: float) -> np.ndarray:
    """T of all 4095 outputs that follow output 0, 64 a row (the first row has 63)."""
    return slab(screens, gap, n_outputs=4095).matrix()


def random_field(pixels: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((pixels, pixels, 2)) @ np.array([1, 1j])).astype(np.complex64)


@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.999, 1.0])
def test_marchenko_pastur_is_the_integral_of_its_density(gamma: float) -> None:
    low, high = (1 - gamma**0.5) ** 2, (1 + gamma**0.5) ** 2
    # t = low + (high - low) sin^2(a / 2) takes the roots out of the density's ends.
    width = high - low

    def density(a: float) -> float:
        t = low + width * np.sin(a / 2) ** 2
        return float((width * np.sin(a) / 2) ** 2 / (2 * np.pi * gamma * t))

    for share in (0.01, 0.3, 0.5, 0.9):
        a = np.pi * share
        expected, _ = quad(density, 0, a, epsabs=1e-12)
        x = low + width * np.sin(a / 2) ** 2
        assert marchenko_pastur_cdf(x, gamma) == pytest.approx(expected, abs=1e-9)
    assert marchenko_pastur_cdf(np.array([0.0, low, high, 9.0]), gamma) == pytest.approx([0, 0, 1, 1], abs=1e-7)


def test_marchenko_pastur_refuses_a_ratio_beyond_one() -> None:
    with pytest.raises(ValueError, match=r"gamma = 1\.5: must be > 0 and <= 1"):
        marchenko_pastur_cdf(1.0, 1.5)


@pytest.mark.parametrize(("n_in", "n_outputs"), [(256, 256), (128, 512), (512, 128)])
def test_stored_matrix_follows_marchenko_pastur(n_in: int, n_outputs: int) -> None:
    T = StoredMedium(3, n_in, n_outputs).matrix()
    assert ks_marchenko_pastur(T) < 0.03
    assert np.mean(singular_values(T) ** 2) == pytest.approx(1.0, rel=1e-9)
    smeared = T + np.roll(T, 1, axis=0)  # control: outputs closer than a grain
    assert ks_marchenko_pastur(smeared) > 0.08


def test_hop_conserves_energy_and_can_be_undone() -> None:
    """Unitary: |u|^2 kept to the rounding of sums in single precision."""
    field = random_field(64)
    phases = hop_phases(64, 0.8e-6, 0.5e-6, 123e-6)
    assert np.abs(phases) == pytest.approx(1.0, abs=1e-6)
    after = hop(field.copy(), phases)
    assert np.vdot(after, after).real == pytest.approx(np.vdot(field, field).real, rel=1e-5)
    assert np.abs(after - field).max() > 1  # control: something happened
    assert hop(after, phases.conj()) == pytest.approx(field, abs=1e-4)


def test_hop_is_the_diffraction_of_a_gaussian_beam() -> None:
    """Waist w0 after z: width w0 sqrt(1 + (z / z_R)^2), z_R = pi w0^2 / lambda, in the paraxial range.

    Divergence lambda / (pi w0) = 0.016: corrections of its square, 3e-4.
    """
    n, pitch, wavelength, waist = 256, 1e-6, 0.5e-6, 10e-6
    x = (np.arange(n) - n // 2) * pitch
    r2 = x[:, None] ** 2 + x[None, :] ** 2
    rayleigh = np.pi * waist**2 / wavelength
    field = np.exp(-r2 / waist**2).astype(np.complex64)
    for z in (0.5 * rayleigh, 2 * rayleigh):
        light = np.abs(hop(field.copy(), hop_phases(n, pitch, wavelength, z))) ** 2
        width = 2**0.5 * np.sqrt(np.sum(light * r2) / np.sum(light) / 1.0)
        assert width == pytest.approx(waist * (1 + (z / rayleigh) ** 2) ** 0.5, rel=2e-3)


def test_hop_of_a_plane_wave_turns_its_phase_exactly() -> None:
    """exp(i (k_z - k) z) with k_z = k cos(angle): no paraxial approximation, angle 30 degrees."""
    n, wavelength, z = 64, 0.5e-6, 40e-6
    pitch = wavelength  # frequency 32 / 64 a pitch = 1 / (2 wavelength) is sin 30 degrees
    wave = np.tile(np.exp(1j * np.pi * np.arange(n)), (n, 1)).astype(np.complex64)
    turned = hop(wave.copy(), hop_phases(n, pitch, wavelength, z)) / wave
    expected = np.exp(2j * np.pi * z / wavelength * (np.cos(np.pi / 6) - 1))
    assert turned == pytest.approx(np.full((n, n), expected), abs=1e-4)


def test_slab_conserves_energy() -> None:
    medium = slab()
    plane = medium.input_plane(np.ones(256, np.complex64))
    after = medium.transmit(plane)
    assert np.sum(np.abs(plane) ** 2) == pytest.approx(128**2, rel=1e-6)
    assert np.vdot(after, after).real == pytest.approx(128**2, rel=1e-4)
    # Other inputs keep their angle: <H a, H b> = <a, b>.
    a, b = random_field(256), np.roll(random_field(256), 1, axis=0) + random_field(256)
    assert np.vdot(medium.transmit(a), medium.transmit(b)) == pytest.approx(np.vdot(a, b), rel=1e-4)


def test_three_strong_screens_are_enough_and_one_is_not() -> None:
    """Distance to Marchenko-Pastur at 256 x 256, neighbouring outputs one grain apart, spread of a gap ~ the lit
    half-width; independent entries are at 0.01."""
    assert ks_marchenko_pastur(window(3, 300.0)[:256]) < 0.03
    assert ks_marchenko_pastur(window(1, 300.0)[:256]) > 0.08
    # A spread far below the lit half-width takes more screens.
    assert ks_marchenko_pastur(window(1, 100.0)[:256]) > ks_marchenko_pastur(window(2, 100.0)[:256]) > 0.08


def test_entries_are_circular_gaussian() -> None:
    """E T = 0, E T^2 = 0, contrast 1 and second moment 2 of |T|^2 over N = 2^20 entries, of which neighbours share
    screens: as many independent ones as the window has points and the lit square macropixels, still sd < 1 %."""
    T = window(3, 300.0)
    power = np.abs(T).astype(np.float64) ** 2
    assert abs(T.mean()) < 0.01
    assert abs(np.mean(T.astype(np.complex128) ** 2)) < 0.01
    assert power.std() / power.mean() == pytest.approx(1.0, abs=0.02)
    assert np.mean(power**2) / power.mean() ** 2 == pytest.approx(2.0, abs=0.04)
    # Normalised by an estimate over 16 patterns and 4096 points, 0.4 %, and the window of them all but one.
    assert power.mean() == pytest.approx(1.0, abs=SIGMAS * 0.25 * 4096**-0.5)
    # Control: one screen leaves bright and dark regions.
    thin = np.abs(window(1, 100.0)).astype(np.float64) ** 2
    assert np.mean(thin**2) / thin.mean() ** 2 > 4


def shared_by_neighbours(screens: int, apart: int) -> float:
    """|mu|^2 of outputs `apart` grains apart: mean |r|^2 of their rows over 256 inputs, less the 1 / 256 of chance."""
    T = window(screens, 300.0)[63:].reshape(63, 64, 256).astype(np.complex128)
    rows = T / np.linalg.norm(T, axis=-1, keepdims=True)
    r = np.sum(rows[:, apart:] * rows[:, :-apart].conj(), axis=-1)
    return float(np.mean(np.abs(r) ** 2)) - 1 / 256


def test_neighbouring_outputs_are_independent() -> None:
    """One grain apart the coherence of a cell is zero, where light comes to the output from all directions of the
    cell's pattern; behind two screens the last one is lit in its middle alone, and the grain is larger.

    63 x 64 pairs: sd of the mean 1 / 256 / sqrt(4000) = 6e-5; speckle on the last screen adds a few times that.
    """
    assert abs(shared_by_neighbours(4, 1)) < 5e-4
    assert abs(shared_by_neighbours(3, 2)) < 5e-4
    assert shared_by_neighbours(3, 1) < 5e-3
    assert shared_by_neighbours(2, 1) > 0.05


def test_coherence_of_the_light_is_that_of_the_cells() -> None:
    """A hop keeps the power spectrum, and with it the mean of u(x) u*(x + d); a screen of cells c wide multiplies it by
    the cell's autocorrelation 1 - d / c. Whole cells lit, three screens of 4 pixels a cell: (1 - d / 4)^3, and
    nothing from d = c on.

    64 inputs x 3 screens x 4096 cells, partly the same cells for all inputs: sd below 1 / sqrt(12,288) = 0.9 %.
    """
    medium = slab(screen_correlation_um=4 * WAVELENGTH_UM, n_outputs=1)
    planes = np.stack([medium.transmit(medium.input_plane(row)) for row in np.eye(256, dtype=np.complex64)[:64]])
    power = np.vdot(planes, planes).real
    for d in (1, 2, 4):
        coherence = np.vdot(planes, np.roll(planes, -d, axis=2)) / power
        assert abs(coherence - (1 - d / 4) ** 3) < SIGMAS * 0.009


def test_mean_light_has_an_envelope_unless_it_spreads_over_the_window() -> None:
    """Middle of the window over its corner: 1 where the light fills the grid, more where it does not."""
    power = {
        (k, gap): np.vstack([np.ones((1, 256)), np.abs(window(k, gap)) ** 2]).mean(axis=1).reshape(64, 64)
        for k, gap in ((3, 300.0), (3, 100.0))
    }
    ratio = {
        key: p[24:40, 24:40].mean() / np.mean([p[:8, 8:16].mean(), p[-8:, -8:].mean()]) for key, p in power.items()
    }
    assert ratio[3, 300.0] == pytest.approx(1.0, abs=0.1)
    assert ratio[3, 100.0] > 1.5


@pytest.mark.parametrize("kind", ["binary", "real", "complex"])
def test_product_is_that_of_the_matrix(kind: str) -> None:
    rng = np.random.default_rng(5)
    factors = np.exp(2j * np.pi * rng.uniform(size=50)).astype(np.complex64)
    medium = slab(n_in=50, n_outputs=40, illumination=factors)
    assert medium.matrix() == pytest.approx(slab(n_in=50, n_outputs=40).matrix() * factors, abs=1e-4)
    b = (
        rng.integers(0, 2, (5, 50), dtype=np.uint8)
        if kind == "binary"
        else rng.standard_normal((5, 50)).astype(np.float32)
    )
    if kind == "complex":
        b = (b + 1j * rng.standard_normal((5, 50))).astype(np.complex64)
    got = np.array(medium.propagate(b))
    assert got.dtype == np.float32
    assert got[0] + 1j * got[1] == pytest.approx(b @ medium.matrix().T.astype(np.complex128), abs=1e-3)
    for row in range(5):
        assert np.array_equal(np.array(medium.propagate(b[row : row + 1]))[:, 0], got[:, row])
    assert np.array(medium.propagate(b[:0])).shape == (2, 0, 40)


def test_first_outputs_are_those_of_a_larger_device() -> None:
    whole = slab(n_in=10, n_outputs=60, first_output=-1).matrix()
    assert np.array_equal(slab(n_in=10, n_outputs=20, first_output=4).matrix(), whole[5:25])
    assert not np.array_equal(slab(n_in=10, n_outputs=60, seed=2).matrix(), whole)
    assert whole.shape == (60, 10)


def test_light_from_beside_the_inputs() -> None:
    """Sources beside the lit square have the power of an input and are independent of all of them."""
    medium = slab(n_outputs=4095)
    sources = [np.array(medium.column(i)) for i in (0, 1, 40)]
    fields = np.array([s[0, 0] + 1j * s[1, 0] for s in sources])
    # Mean of 4095 exponentials, a few of them alike: sd 2 %.
    assert np.mean(np.abs(fields) ** 2, axis=1) == pytest.approx(1.0, abs=SIGMAS * 0.03)
    T = window(3, 300.0)
    r2 = np.abs(fields.conj() @ T) ** 2 / (
        np.sum(np.abs(fields) ** 2, axis=1)[:, None] * np.sum(np.abs(T) ** 2, axis=0)
    )
    assert r2.max() < 20 / 4095
    medium.column(511)
    with pytest.raises(DeviceError, match="source 512 beside the inputs: the grid has room for 512"):
        medium.column(512)
    # An input as large as the lit square: its equals in power are smaller and brighter.
    single = slab(n_in=1, n_outputs=4095)
    fields = np.array([single.column(i) for i in range(60, 70)])
    power = np.sum(fields.astype(np.float64) ** 2) / 10 / 4095
    assert power == pytest.approx(np.mean(np.abs(single.matrix()) ** 2), abs=0.15)


def test_drift_of_the_screens() -> None:
    """Phases that diffuse: the field's correlation falls as exp(-t / tau), the energy stays.

    64 inputs x 1000 outputs; a cell of the first screen serves one macropixel: sd 1 / sqrt(2 x 64,000) = 0.3 %, and
    as much again for the screens' 3 x 128^2 cells.
    """
    medium = slab(n_in=64, n_outputs=1000, drift_time_s=500.0)
    assert medium.step_s == pytest.approx(1.0)
    start, column = medium.matrix(), medium.column(0)
    for step in (100, 500):
        medium.move_to(step)
        T = medium.matrix()
        c = np.vdot(start, T) / np.sqrt(np.vdot(start, start).real * np.vdot(T, T).real)
        assert abs(c - np.exp(-step / 500)) < SIGMAS * 0.006
        # Control: half the screens' diffusion would leave exp(-step / 1000).
        assert abs(np.exp(-step / 1000) - np.exp(-step / 500)) > 3 * SIGMAS * 0.006
    plane = medium.transmit(medium.input_plane(np.ones(64, np.complex64)))
    assert np.sum(np.abs(plane) ** 2) == pytest.approx(128**2, rel=1e-4)
    other = slab(n_in=64, n_outputs=1000, drift_time_s=500.0)
    other.move_to(500)
    assert np.array_equal(other.matrix(), T)
    medium.move_to(0)
    assert np.array_equal(medium.matrix(), start)
    assert np.array_equal(medium.column(0), column)


def test_warm_up_of_the_screens() -> None:
    """|correlation|^2 with the start is 1 - q."""
    medium = slab(n_in=64, n_outputs=1000, mixing=lambda t: 0.0 if t == 0 else 0.5)
    start = medium.matrix()
    medium.move_to(1)
    T = medium.matrix()
    c = np.vdot(start, T) / np.sqrt(np.vdot(start, start).real * np.vdot(T, T).real)
    assert abs(c - 0.5**0.5) < SIGMAS * 0.006


def card(**medium: Any) -> OpuCard:
    keys = {"kind": "slab", "screen_gap_um": 150.0, "grid_pixels": 64, "grid_pitch_um": 0.6}
    made = load_card(
        "lighton-aurora", {f"medium.{key}": value for key, value in (keys | medium).items() if value is not None}
    )
    assert isinstance(made, OpuCard)
    return made


def test_factory_and_defaults() -> None:
    medium = make_medium(card(), 3, 16, 20, first_output=-1)
    assert isinstance(medium, SlabMedium)
    assert medium.screens == 3
    assert medium.macropixel == 64 // 2 // 4
    assert medium.matrix().shape == (20, 16)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"grid_pixels": None}, r"medium\.grid_pixels: missing; kind = 'slab' needs it"),
        ({"kind": "stored"}, r"medium\.screen_gap_um = 150\.0: goes with kind = 'slab' alone"),
        (
            {"screen_correlation_um": 0.3},
            r"medium\.screen_correlation_um = 0\.3: must be >= grid_pitch_um = 0\.6 and <= 4\.8",
        ),
        (
            {"lit_width_um": 30.0},
            r"medium\.lit_width_um = 30\.0: must be >= grid_pitch_um = 0\.6 and <= 19\.2, half the grid",
        ),
        ({"screens": 17}, r"medium\.screens = 17: must be an integer >= 1 and <= 16"),
    ],
)
def test_keys_of_the_card(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        card(**keys)


def test_what_the_grid_does_not_hold() -> None:
    with pytest.raises(ConfigError, match=r"medium\.grid_pitch_um = 0\.37: must be > 0\.3762, the wavelength"):
        make_medium(card(grid_pitch_um=0.37), 0, 4, 4)
    with pytest.raises(
        DeviceError, match="n_in = 1025: the lit square of 32 x 32 grid pixels shows at most 1024 inputs"
    ):
        make_medium(card(), 0, 1025, 4)
    with pytest.raises(DeviceError, match=r"n_out = 257: outputs one grain \(2 grid pixels\) apart leave 255"):
        make_medium(card(), 0, 4, 257)
    make_medium(card(), 0, 4, 257 - 1, first_output=-1)
    with pytest.raises(ValueError, match="illumination: shape"):
        make_medium(card(), 0, 4, 4, illumination=np.ones(3, np.complex64))
    with pytest.raises(ValueError, match="amplitudes must be finite"):
        make_medium(card(), 0, 4, 4).propagate(np.full((1, 4), np.nan, np.float32))
