"""Signal-to-noise of off-axis holography against its closed form, N_r N_s / (f h (N_r + N_s + sigma^2))."""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.device import Opu
from opu_sim.recovery import OffAxisRecovery

N_IN, ON, FRAMES = 64, 16, 48
STILL: dict[str, Any] = {
    "medium.frame_decorrelation": 0.0,
    "camera.prnu": 0.0,
    "laser.rin_db_per_hz": -200.0,
    "recovery.calibration_frames": 1,
}


def measured_and_predicted_db(**overrides: Any) -> tuple[float, float]:
    opu = load_device("light-in-the-loop", n_in=N_IN, n_out=512, seed=5, **STILL | overrides)
    assert isinstance(opu, Opu)
    recovery = opu.recovery
    assert isinstance(recovery, OffAxisRecovery)
    rng = np.random.default_rng(6)
    noise, signal = [], []
    for k in range(6):
        pattern = np.zeros((1, N_IN), np.uint8)
        pattern[0, rng.choice(N_IN, ON, replace=False)] = 1
        frames = recovery.holograms(np.repeat(pattern, FRAMES, axis=0), 1000 * k).astype(np.float32)
        field = recovery.demodulate(frames).astype(np.complex128)
        noise.append(field.var(axis=0, ddof=1).mean())
        signal.append(np.mean(np.abs(field.mean(axis=0)) ** 2) - noise[-1] / FRAMES)
    return 10 * np.log10(np.mean(signal) / np.mean(noise)), 10 * np.log10(recovery.snr(ON))


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
    """Control: with a field decorrelation e in each frame the ratio is below (1 - e) / e, far from the
    formula."""
    decorrelation = 0.02
    got, expected = measured_and_predicted_db(**{"medium.frame_decorrelation": decorrelation, "laser.power_mw": 200.0})
    limited = 1 / (10 ** (-expected / 10) / (1 - decorrelation) + decorrelation / (1 - decorrelation))
    # The OFF field's share of the brightness is in both; sampling as above.
    assert abs(got - 10 * np.log10(limited)) < 0.2
    assert expected - got > 3
