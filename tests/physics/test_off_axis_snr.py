"""Signal-to-noise of off-axis holography against its closed form, N_r N_s / (f h (N_r + N_s + sigma^2))."""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.device import Opu
from opu_sim.recovery import OffAxisRecovery
from opu_sim.recovery.off_axis_noise import OffAxisNoise

N_IN, ON, FRAMES = 64, 16, 48
STILL: dict[str, Any] = {
    "medium.frame_decorrelation": 0.0,
    "camera.prnu": 0.0,
    "laser.rin_db_per_hz": -200.0,
    "recovery.calibration_frames": 1,
}


def noise_of(opu: Opu) -> OffAxisNoise:
    assert isinstance(opu.recovery, OffAxisRecovery)
    return opu.recovery.noise


def measured_and_predicted_db(**overrides: Any) -> tuple[float, float]:
    _, got, expected = measured_db(**overrides)
    return got, expected


def measured_db(pattern_on: int = ON, **overrides: Any) -> tuple[Opu, float, float]:
    """The device, power of the field over its variance from frame to frame, and the prediction."""
    opu = load_device("light-in-the-loop", n_in=N_IN, n_out=512, seed=5, **STILL | overrides)
    assert isinstance(opu, Opu)
    recovery = opu.recovery
    assert isinstance(recovery, OffAxisRecovery)
    rng = np.random.default_rng(6)
    noise, signal = [], []
    for k in range(6):
        pattern = np.zeros((1, N_IN), np.uint8)
        pattern[0, rng.choice(N_IN, pattern_on, replace=False)] = 1
        frames = recovery.holograms(np.repeat(pattern, FRAMES, axis=0), 1000 * k).astype(np.float32)
        field = recovery.demodulate(frames).astype(np.complex128)
        noise.append(field.var(axis=0, ddof=1).mean())
        signal.append(np.mean(np.abs(field.mean(axis=0)) ** 2) - noise[-1] / FRAMES)
    return opu, 10 * np.log10(np.mean(signal) / np.mean(noise)), 10 * np.log10(recovery.noise.snr(pattern_on))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("power_mw", [20.0, 60.0, 200.0])
def test_signal_to_noise(bits: int, power_mw: float) -> None:
    """Over a decade of light within 0.2 dB.

    Signal: 3072 |F|^2 of exponential law, sd 1.8 % = 0.08 dB; noise: 144,000 complex samples, 0.01 dB.
    """
    got, expected = measured_and_predicted_db(**{"laser.power_mw": power_mw, "camera.adc_bits": bits})
    assert abs(got - expected) < 0.2


@pytest.mark.parametrize(
    ("key", "value", "loss_db"),
    [("recovery.reference_fill", 0.1, 1.0), ("camera.read_noise_e", 100.0, 1.0), ("camera.adc_bits", 7, 0.4)],
)
def test_every_noise_counts(key: str, value: float, loss_db: float) -> None:
    """Control: a weaker reference, more read noise, coarser rounding each cost what the formula says, not
    nothing.

    7 bits are 106 e- a step under a shot noise of 66 e-: still dithered enough for 1 / 12 of a step squared.
    """
    usual, _ = measured_and_predicted_db(**{"laser.power_mw": 60.0})
    got, expected = measured_and_predicted_db(**{"laser.power_mw": 60.0, key: value})
    assert abs(got - expected) < 0.2
    if key == "recovery.reference_fill":
        # Weak already: N_r / (N_r + sigma^2 + rounding), 0.3 -> 0.1 of the well.
        assert 0.2 < usual - got < 1.5
    else:
        assert usual - got > loss_db


@pytest.mark.parametrize(("bits", "low", "high"), [(6, -0.2, 0.2), (5, 0.6, 1.3)])
def test_rounding_needs_dither(bits: int, low: float, high: float) -> None:
    """Control: with 435 e- a step (5 bits) and 66 e- of noise, 0.15 of a step, repeated frames round alike and look
    better than 1 / 12 of a step squared; with 0.3 of a step (6 bits) they do not."""
    got, expected = measured_and_predicted_db(**{"laser.power_mw": 60.0, "camera.adc_bits": bits})
    assert low < got - expected < high


def test_jitter_limits_the_signal_to_noise() -> None:
    """A field decorrelation e in each frame keeps the ratio below (1 - e) / e; the prediction knows."""
    got, expected = measured_and_predicted_db(**{"medium.frame_decorrelation": 0.02, "laser.power_mw": 200.0})
    assert abs(got - expected) < 0.2
    # Control: without the term the formula says 3 dB more.
    _, still = measured_and_predicted_db(**{"laser.power_mw": 200.0})
    assert still - got > 3


@pytest.mark.parametrize("grain", [3.0, 5.0, 8.0])
def test_signal_to_noise_of_other_grains(grain: float) -> None:
    """More pixels a mode, more light a mode. Below 4 |s|^2 adds what repeated frames do not show."""
    opu, got, _ = measured_db(**{"laser.power_mw": 60.0, "medium.speckle_grain_px": grain})
    camera = float(noise_of(opu).terms(np.array([ON]))["camera"][0])
    assert abs(got + 10 * np.log10(camera)) < 0.2
    usual, _ = measured_and_predicted_db(**{"laser.power_mw": 60.0})
    assert (got > usual + 0.5) == (grain > 4)


@pytest.mark.parametrize("edge", [0.3, 1.0])
def test_filter_is_in_the_prediction(edge: float) -> None:
    """An apodised filter leaves out the lines that the pixels blur most: a little less noise a signal."""
    got, expected = measured_and_predicted_db(**{"laser.power_mw": 60.0, "recovery.filter_edge": edge})
    assert abs(got - expected) < 0.2


# Little but order zero is left: shot and rounding noise of a well of 1.35e12 e- and 16 bits are below -90 dB.
DEEP: dict[str, Any] = STILL | {
    "camera.adc_bits": 16,
    "camera.full_well_e": 13_500e8,
    "camera.read_noise_e": 0.0,
    "camera.dsnu_e": 0.0,
    "camera.dark_current_e_per_s": 0.0,
    "dmd.contrast": None,
    "laser.power_mw": 1e11,
}


def overlap_error(grain: float, fill: float) -> tuple[float, float]:
    """Error of the projection over its power, measured on patterns of independent fields, and predicted."""
    patterns, on = 24, 16
    overrides = DEEP | {"medium.speckle_grain_px": grain, "recovery.reference_fill": fill}
    opu = load_device("light-in-the-loop", n_in=patterns * on, n_out=2048, seed=3, **overrides)
    assert isinstance(opu, Opu)
    assert isinstance(opu.recovery, OffAxisRecovery)
    x = np.kron(np.eye(patterns), np.ones(on))
    with opu:
        y = opu.project(x).astype(np.float64)
        t = x @ opu.matrix().T.astype(np.float64)
    return float(np.mean((y - t) ** 2) / np.mean(t * t)), 1 / opu.recovery.snr(on)


@pytest.mark.parametrize(("grain", "share"), [(2.0, 22.5 / 64 / (1 - 33 / 1024)), (3.0, 6.75 / 64)])
def test_overlapping_orders_cost_signal_to_noise(grain: float, share: float) -> None:
    """Orders overlap below 4 pixels a mode: the error is the autocorrelation of the square pupil within the side band.

    sum over rows k = -8 .. 7 of (16 - |k|) is 192 of 256; over the columns that the band shares with |s|^2, lines
    8 .. 15 at p = 3, 36 of 256, and 1 .. 15 at p = 2, 120 of 256: 0.75 * 36 / 256 = 6.75 / 64 and 22.5 / 64. At p = 2
    the signal lacks half of the power of the column at Nyquist, 1/32, and another quarter of its one line (of 256) that
    has no twin.
    """
    got, expected = overlap_error(grain, 0.3)
    opu = load_device("light-in-the-loop", n_in=24 * 16, n_out=1, seed=3, **DEEP)
    assert isinstance(opu, Opu)
    electrons = float(opu.arm.brightness(np.array([16]))[0]) * opu.arm.photons_per_intensity * 0.6
    assert expected == pytest.approx(share * electrons / (0.3 * 13_500e8), rel=1e-3)
    # 24 patterns of 8 tiles of some 128 lines, each the sum of at most 128 products of two Gaussian numbers (relative
    # variance of its power 1 .. 3): sd below 3^(1/2) / 24500^(1/2) = 1.1 %.
    assert abs(got / expected - 1) < 4.5 * 0.011
    assert 10 * np.log10(1 / got) < 25


@pytest.mark.parametrize("grain", [2.0, 3.0])
def test_a_strong_reference_removes_the_overlap(grain: float) -> None:
    weak, _ = overlap_error(grain, 0.03)
    strong, _ = overlap_error(grain, 0.3)
    # N_s / N_r: ten times; the same fields, so that sampling cancels.
    assert abs(weak / strong - 10) < 0.1


@pytest.mark.parametrize("grain", [4.0, 5.0])
def test_orders_are_apart_from_four_pixels_on(grain: float) -> None:
    got, _ = overlap_error(grain, 0.03)
    assert got < 1e-6


@pytest.mark.parametrize("grain", [2.0, 3.0, 4.0])
def test_variance_of_a_projection(grain: float) -> None:
    """Error of distinct patterns against the matrix, static and temporal, on the card's own noise."""
    overrides = {"medium.speckle_grain_px": grain, "camera.prnu": 0.05, "laser.power_mw": 60.0}
    got, expected = projection_error(8, **overrides)
    assert abs(got / expected - 1) < 0.05


@pytest.mark.parametrize("fill", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("power_mw", [20.0, 200.0])
def test_variance_over_the_card_s_range(fill: float, bits: int, power_mw: float) -> None:
    """Within 5 %: 200,000 errors, and 0.7 % of the part that grows with the speckle's own brightness."""
    overrides = {"recovery.reference_fill": fill, "camera.adc_bits": bits, "laser.power_mw": power_mw}
    got, expected = projection_error(4, **overrides)
    assert abs(got / expected - 1) < 0.05


def projected(on: int, **overrides: Any) -> tuple[np.ndarray, np.ndarray]:
    """Projections of patterns with `on` inputs ON, and by the matrix."""
    opu, x = device_and_patterns(on, **overrides)
    with opu:
        return opu.project(x).astype(np.float64), x @ opu.matrix().T.astype(np.float64)


def projection_error(on: int, **overrides: Any) -> tuple[float, float]:
    """Mean squared error of `projected`, and predicted."""
    y, t = projected(on, **overrides)
    opu, _ = device_and_patterns(on, **overrides)
    assert isinstance(opu.recovery, OffAxisRecovery)
    both = opu.recovery.noise.variance(np.array([on, 0]))
    assert noise_of(opu).clipped(np.array([on]))[0] < 1e-4
    averaged = opu.card.recovery.calibration_frames
    return float(np.mean((y - t) ** 2)), float(both[0] + both[1] / averaged)


def device_and_patterns(on: int, **overrides: Any) -> tuple[Opu, np.ndarray]:
    opu = load_device("light-in-the-loop", n_in=N_IN, n_out=512, seed=8, **overrides)
    assert isinstance(opu, Opu)
    rng = np.random.default_rng(9)
    x = np.zeros((400, N_IN))
    for row in x:
        row[rng.choice(N_IN, on, replace=False)] = 1
    return opu, x


@pytest.mark.filterwarnings("ignore:.* saturated:opu_sim.DeviceWarning")
@pytest.mark.parametrize("on", [16, 32])
def test_the_full_well_is_foreseen(on: int) -> None:
    """`clipped` is the share of pixels at the full well; the closed forms do not hold there."""
    overrides = {"recovery.reference_fill": 0.5, "laser.power_mw": 200.0, "camera.adc_bits": 12}
    quiet = {"camera.read_noise_e": 0.0, "camera.dsnu_e": 0.0}  # so that a full well is the largest code
    opu, _, _ = measured_db(**overrides | quiet, pattern_on=on)
    share = opu.camera.saturated / (6 * FRAMES * 2 * 64 * 64)
    expected = float(noise_of(opu).clipped(np.array([on]))[0])
    # 6 patterns of 512 modes: the brightness of the fields alone varies by 1 / 3072^(1/2) = 1.8 %, which moves
    # the few brightest pixels by about z^2 = 4 times as much.
    assert abs(share / expected - 1) < 4.5 * 4 * 0.018
    assert share > 0.01
    y, t = projected(on, **overrides)
    assert isinstance(opu.recovery, OffAxisRecovery)
    assert np.mean((y - t) ** 2) > 2 * opu.recovery.noise.variance(np.array([on]))[0]
