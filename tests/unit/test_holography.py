"""Off-axis holography: the field without noise, order zero out of the side band, tiles, the matrix."""

from typing import Any

import numpy as np
import pytest
import scipy.fft

from opu_sim import ConfigError, load_device
from opu_sim.device import Opu
from opu_sim.recovery import OffAxisRecovery
from opu_sim.recovery.tiles import MODES, HologramTile
from opu_sim.speckle import interpolated

PIXELS_PER_MODE = 4  # the card's
SIZE = MODES * PIXELS_PER_MODE
CARRIER = 3 * SIZE // 8

EXACT: dict[str, Any] = {
    "camera.adc_bits": 16,
    "camera.full_well_e": 13_500e8,
    "laser.rin_db_per_hz": -200.0,
    "camera.read_noise_e": 0.0,
    "camera.dsnu_e": 0.0,
    "camera.prnu": 0.0,
    "camera.dark_current_e_per_s": 0.0,
    "medium.frame_decorrelation": 0.0,
    "recovery.calibration_frames": 1,
}
LIGHT = {"laser.power_mw": 1e10}  # as bright for a well of 13,500e8 e- as 100 mW for 13,500 e-


def device(n_in: int = 100, n_out: int = 600, **overrides: Any) -> Opu:
    opu = load_device("light-in-the-loop", n_in=n_in, n_out=n_out, seed=2, **overrides)
    assert isinstance(opu, Opu)
    return opu


def holography(opu: Opu) -> OffAxisRecovery:
    assert isinstance(opu.recovery, OffAxisRecovery)
    return opu.recovery


def binary(patterns: int, n_in: int = 100) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (patterns, n_in), dtype=np.uint8)


def recovered(opu: Opu, patterns: np.ndarray, frame: int = 0) -> np.ndarray:
    recovery = holography(opu)
    return recovery.demodulate(recovery.holograms(patterns, frame).astype(np.float32))


def rounding_sd(opu: Opu) -> float:
    """Root mean square error of the complex field from rounding alone, 1 / 12 DN^2 a pixel.

    The side band holds 1 / 16 of the spectrum, and each line is divided by the transfer function of a square
    pixel.
    """
    recovery, card = holography(opu), opu.card.camera
    step = 1 / (card.gain * card.quantum_efficiency * recovery.reference.amplitude * recovery._amplitude)
    lines = np.arange(-MODES // 2, MODES // 2)
    transfer = np.sinc(lines[:, None] / SIZE) * np.sinc((lines + CARRIER) / SIZE)
    return step * float(np.mean(1 / transfer**2) / 12 / 16) ** 0.5


@pytest.mark.parametrize("contrast", [10.0, 2000.0])
def test_field_without_noise_is_that_of_the_modes(contrast: float) -> None:
    """The complex field of every mode, not its real part alone; T b + leakage, from the transmission
    matrix."""
    opu = device(**EXACT | LIGHT | {"dmd.contrast": contrast, "laser.power_mw": 2e9})
    b = binary(5)
    off = contrast**-0.5
    T = opu.arm.medium.matrix()[1:-1].astype(np.complex128)
    mirrors_left = (912 * 1140 % 100) / (912 * 1140 // 100)
    leftover = off * mirrors_left**0.5 * (opu.arm.medium.column(0)[0] + 1j * opu.arm.medium.column(0)[1])[0, 1:-1]
    true = (b + off * (1.0 - b)) @ T.T + leftover
    got = recovered(opu, b)
    assert opu.camera.saturated == 0
    sd = rounding_sd(opu)
    error = np.sqrt(np.mean(np.abs(got - true) ** 2))
    # Shot noise adds: 4e11 e- are 1e4 below the signal's e-, 0.04 of a step.
    assert 0.97 < error / sd < 1.04
    assert error / np.sqrt(np.mean(np.abs(true) ** 2)) < 1e-3
    # Control: the conjugate (twin image) is not the field.
    assert np.sqrt(np.mean(np.abs(got - true.conj()) ** 2)) > 100 * error


def test_projection_is_the_real_part() -> None:
    opu = device(**EXACT | LIGHT)
    x = np.random.default_rng(0).integers(-1, 2, (4, 100)).astype(np.float64)
    with opu:
        y = opu.project(x)
        t = x @ opu.matrix().T.astype(np.float64)
    T = opu.arm.medium.matrix()[1:601]
    # Without PRNU the matrix is sqrt(2 / n) Re T to float32.
    assert np.abs(opu.matrix() - np.sqrt(2 / 100) * T.real).max() < 2e-6
    assert np.sqrt(np.mean((y - t) ** 2)) < 1e-4 * t.std()
    assert np.sqrt(np.mean((y - np.sqrt(2 / 100) * x @ T.imag.T) ** 2)) > t.std()


def test_projection_is_what_the_frames_demodulate_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the number of frames worked on at once changes nothing, to the last bit."""
    opu = device(20, 600)
    recovery, b = holography(opu), binary(7, 20)
    field = recovered(opu, b, frame=40)[:, :600]
    measured = recovery._measure(b, b.sum(axis=1), 40)
    assert np.abs(measured * recovery._kept - field.real).max() < 1e-6 * np.abs(field).max()
    assert recovered(opu, b, frame=40).dtype == np.complex64
    frame_bytes = 3 * SIZE * SIZE * 5
    for frames in (0.5, 1, 3, 6):
        monkeypatch.setattr("opu_sim.recovery.off_axis._CHUNK_BYTES", int(frames * frame_bytes))
        assert np.array_equal(recovery._measure(b, b.sum(axis=1), 40), measured)


def band_energy(frames: np.ndarray, reach: int) -> tuple[float, float]:
    """Energy of frames in the side band, and outside of it and of the lines within `reach` of zero."""
    spectrum = np.abs(scipy.fft.fft2(frames.astype(np.float64))) ** 2
    lines = np.fft.fftfreq(SIZE, 1 / SIZE)
    rows = (lines >= -MODES // 2) & (lines < MODES // 2)
    columns = (lines >= CARRIER - MODES // 2) & (lines < CARRIER + MODES // 2)
    side = spectrum[..., rows, :][..., columns].sum()
    zero = spectrum[..., np.abs(lines) <= reach, :][..., np.abs(lines) <= reach].sum()
    return float(side), float(zero)


def test_order_zero_is_clear_of_the_side_band() -> None:
    """|s|^2 of a field of 16 lines has lines -15 .. 15; the side band begins at line 16."""
    rng = np.random.default_rng(4)
    modes = (rng.standard_normal((3, MODES, MODES)) + 1j * rng.standard_normal((3, MODES, MODES))).astype(np.complex64)
    speckle = np.abs(interpolated(modes, PIXELS_PER_MODE).astype(np.complex128)) ** 2
    side, zero = band_energy(speckle, 15)
    assert side < 1e-12 * zero
    # Control: a speckle field 1.5 times as wide in spectrum (24 lines on the same pixels) reaches into it.
    wide = (rng.standard_normal((3, 24, 24)) + 1j * rng.standard_normal((3, 24, 24))).astype(np.complex64)
    lines = np.fft.fftfreq(24, 1 / 24).astype(int)
    spectrum = np.zeros((3, SIZE, SIZE), complex)
    spectrum[:, lines[:, None], lines] = scipy.fft.fft2(wide)
    side, zero = band_energy(np.abs(scipy.fft.ifft2(spectrum)) ** 2, 15)
    assert side > 1e-3 * zero


def test_strong_signal_leaves_no_bias() -> None:
    """Signal light twice as strong as the reference, well deep enough: error stays at the rounding, whatever
    |s|^2 is."""
    overrides = EXACT | {"camera.full_well_e": 13_500e9, "recovery.reference_fill": 0.03}
    b = binary(5)
    errors = []
    for power in (1e9, 1.6e11):  # signal 0.013 and 2.1 of the reference
        opu = device(**overrides, **{"laser.power_mw": power})
        got = recovered(opu, b)
        assert opu.camera.saturated == 0
        recovery = holography(opu)
        on, off = np.float32(opu.arm.on_gain), opu.arm.off_field
        re, im = opu.arm.fields(b)
        true = (on * re + off[0] + 1j * (on * im + off[1]))[:, 1:-1]
        errors.append(np.sqrt(np.mean(np.abs(got - true) ** 2)) * recovery._amplitude)  # in photons^1/2
    # 10 % for shot noise and float32 sums of the brighter frames.
    assert 0.9 < errors[1] / errors[0] < 1.1


@pytest.mark.parametrize("power_mw", [1e9, 1.6e11])
def test_light_of_a_frame_is_that_of_both_arms(power_mw: float) -> None:
    """Mean electrons a pixel: N_r + N_s, the fringes average out; N_s is 0.013 and 2.1 of N_r."""
    overrides = {"camera.full_well_e": 13_500e9, "recovery.reference_fill": 0.03, "laser.power_mw": power_mw}
    opu = device(**EXACT | overrides)
    recovery, b = holography(opu), binary(40)
    on, off = np.float32(opu.arm.on_gain), opu.arm.off_field
    re, im = opu.arm.fields(b)
    intensity = np.abs((on * re + off[0] + 1j * (on * im + off[1]))[:, 1:-1]) ** 2
    signal_e = intensity.mean() * opu.arm.photons_per_intensity * 0.6
    light = recovery.holograms(b, 0).astype(np.float64) / opu.card.camera.gain
    # The fields are known; their spectra's 768 lines are weighted by the transfer function (relative spread
    # of its square 0.19), half of them shared by any two patterns: 0.19 (1/2 / 768)^(1/2) = 0.5 %.
    assert abs((light.mean() - recovery.reference_e) / signal_e - 1) < 4.5 * 0.005
    assert 0.9 < signal_e / recovery.reference_e / (power_mw / 0.77e11) < 1.1


def test_a_blocked_signal_leaves_the_off_field() -> None:
    opu = device(**EXACT | LIGHT)
    dark = recovered(opu, np.zeros((1, 100), np.uint8))[0]
    off = (opu.arm.off_field[0] + 1j * opu.arm.off_field[1])[1:-1]
    # One frame: the reference alone is a constant that rounds to the same side everywhere, so the error is
    # what the weak OFF field dithers: between nothing and 5 sd of full rounding.
    assert np.abs(dark - off).max() < 5 * rounding_sd(opu)
    assert np.abs(off).max() > 20 * rounding_sd(opu)


@pytest.mark.parametrize(("n_out", "modes"), [(1, 256), (256, 256), (257, 512)])
def test_whole_tiles_are_simulated(n_out: int, modes: int) -> None:
    opu = device(5, n_out)
    assert OffAxisRecovery.outputs_simulated(n_out) == modes
    assert opu.arm.medium.n_outputs == modes + 2
    assert opu.matrix().shape == (n_out, 5)


@pytest.mark.parametrize("grain", [1.0, 2.5, 4.000001, 9.0])
def test_grain_must_be_whole_pixels(grain: float) -> None:
    with pytest.raises(
        ConfigError, match=rf"^medium.speckle_grain_px = {grain}: must be an integer 2 .. 8 for off-axis"
    ):
        device(**{"medium.speckle_grain_px": grain})


@pytest.mark.parametrize("pixels", range(2, 9))
def test_side_band_ends_at_nyquist(pixels: int) -> None:
    tile = HologramTile(float(pixels))
    assert tile.size == 16 * pixels
    # Lines carrier - 8 .. carrier + 7; with two pixels a mode zero, where |r|^2 is, is left out instead of Nyquist.
    assert tile.carrier + 7 == (16 if pixels == 2 else 8 * pixels - 1)
    assert tile.overlaps == (pixels < 4) == (tile.overlap > 0)
    assert tile.signal == pytest.approx(1 - 33 / 1024 if pixels == 2 else 1)


@pytest.mark.parametrize("grain", [3.0, 5.0, 6.0, 8.0])
def test_field_of_other_grains(grain: float) -> None:
    opu = device(**EXACT | LIGHT | {"medium.speckle_grain_px": grain, "laser.power_mw": 1e6})
    b = binary(3)
    on, off = np.float32(opu.arm.on_gain), opu.arm.off_field
    re, im = opu.arm.fields(b)
    true = (on * re + off[0] + 1j * (on * im + off[1]))[:, 1:-1]
    # Light 1e4 times weaker than the reference's: rounding is 3e-4 of the field, |s|^2 at 3 pixels a mode 3e-3 of it.
    assert np.sqrt(np.mean(np.abs(recovered(opu, b) - true) ** 2)) < 0.02 * np.sqrt(np.mean(np.abs(true) ** 2))


def test_low_pass_keeps_a_beam_and_drops_what_is_fine() -> None:
    tile = HologramTile(3.0)
    row, column = np.meshgrid(np.arange(48.0), np.arange(48.0), indexing="ij")
    beam = np.exp(-((row - 400) ** 2 + (column - 900) ** 2) / 1100**2)
    assert np.abs(tile.smooth(beam[None])[0] / beam[::3, ::3] - 1).max() < 1e-4
    noise = np.random.default_rng(0).standard_normal((400, 48, 48))
    # Nine terms of 2304 pixels are left of white noise, on the mean over the tile's modes, or nearly: modes are not
    # quite evenly spread over the pixels.
    left = np.mean(tile.smooth(noise) ** 2) * 2304
    assert 8 < left < 11


@pytest.mark.parametrize("edge", [None, 0.5, 1.0])
@pytest.mark.parametrize("grain", [2.0, 3.0, 4.0, 8.0])
def test_matrix_has_variance_one_over_n(grain: float, edge: float | None) -> None:
    R = device(50, 2560, **{"medium.speckle_grain_px": grain, "recovery.filter_edge": edge}).matrix().astype(np.float64)
    # 128,000 Gaussian entries; PRNU of 0.8 % averages over a mode's pixels and counts for nothing. A filter makes
    # neighbours alike: the variance of the variance grows by mean w^4 / (mean w^2)^2 over the lines, 1.94 along either
    # axis for a raised cosine all the way; that of the mean by 1 / mean w^2, 1 / 0.375.
    share = edge or 0.0
    assert abs(50 * R.var() - 1) < 4.5 * (2 / R.size) ** 0.5 * 1.94**share
    assert abs(R.mean()) < 4.5 * (50 * R.size) ** -0.5 * (1 / 0.375) ** share


@pytest.mark.parametrize("grain", [2.0, 4.0])
def test_filter_is_in_the_matrix(grain: float) -> None:
    overrides = EXACT | LIGHT | {"medium.speckle_grain_px": grain, "laser.power_mw": 1e7, "recovery.filter_edge": 0.6}
    opu = device(**overrides)
    x = np.random.default_rng(0).integers(-1, 2, (4, 100)).astype(np.float64)
    with opu:
        y = opu.project(x)
    t = x @ opu.matrix().T.astype(np.float64)
    sharp = x @ device(**overrides | {"recovery.filter_edge": None}).matrix().T.astype(np.float64)
    assert np.mean((y - t) ** 2) < 1e-3 * t.var()
    assert np.mean((y - sharp) ** 2) > 0.05 * t.var()


def test_matrix_knows_the_pixels_responsivity() -> None:
    """PRNU of 5 % mixes modes; with it in the matrix the projection stays exact, without it does not."""
    opu = device(**EXACT | LIGHT | {"camera.prnu": 0.05, "laser.power_mw": 1e8})
    x = np.random.default_rng(0).integers(-1, 2, (4, 100)).astype(np.float64)
    with opu:
        y = opu.project(x)
        t = x @ opu.matrix().T.astype(np.float64)
    plain = np.sqrt(2 / 100) * x @ opu.arm.medium.matrix()[1:601].real.T
    # What is left is |s|^2 seen through the PRNU, in proportion to the signal's amplitude (1/100 of LIGHT).
    assert np.sqrt(np.mean((y - t) ** 2)) < 0.2 * np.sqrt(np.mean((y - plain) ** 2))
    assert np.sqrt(np.mean((y - plain) ** 2)) > 5e-3 * t.std()


def test_cosine_slope_and_repeats_with_the_card_s_noise() -> None:
    opu = device(500, 300)
    x = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], (6, 500), p=[0.15, 0.7, 0.15])
    with opu:
        y = opu.project(np.tile(x, (32, 1))).astype(np.float64).reshape(32, 6, 300)
    t = x @ opu.matrix().T.astype(np.float64)
    cosine = np.sum(y[0] * t, axis=1) / np.linalg.norm(y[0], axis=1) / np.linalg.norm(t, axis=1)
    assert np.all((cosine > 0.985) & (cosine < 0.9999))
    noise = np.mean(y.var(axis=0, ddof=1))
    slope = np.sum(y * t) / (32 * np.sum(t * t))
    assert abs(slope - 1) < 4.5 * (noise / (32 * np.sum(t * t))) ** 0.5
    for r in (1, 4, 32):
        # 1800 squared errors of nearly equal variance: sd 3.3 %.
        assert abs(np.mean((y[:r].mean(axis=0) - t) ** 2) * r / noise - 1) < 4.5 * (2 / t.size) ** 0.5
