"""Phase-shifting holography: its signal-to-noise against N N_r N_s / (N_r + N_s + sigma^2), and the twin image."""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.opu import Opu
from opu_sim.recovery import PhaseSteppingRecovery

N_IN, N_OUT, ON = 64, 4000, 16
STILL: dict[str, Any] = {
    "recovery.method": "phase-stepping",
    "recovery.reference_fill": 0.12,
    "recovery.calibration_frames": 1,
    "medium.frame_decorrelation": 0.0,
    "laser.rin_db_per_hz": None,
    "camera.prnu": 0.0,
}


def device(**overrides: Any) -> Opu:
    opu = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=5, **STILL | overrides)
    assert isinstance(opu, Opu)
    return opu


def recovery_of(opu: Opu) -> PhaseSteppingRecovery:
    assert isinstance(opu.recovery, PhaseSteppingRecovery)
    return opu.recovery


def patterns(count: int) -> np.ndarray:
    rng = np.random.default_rng(6)
    out = np.zeros((count, N_IN), np.uint8)
    for row in out:
        row[rng.choice(N_IN, ON, replace=False)] = 1
    return out


def measured_db(opu: Opu, count: int = 8, repeats: int = 12) -> float:
    """Signal over noise of the complex field: noise from repeated frames, signal from what the matrix says."""
    signal, noise = [], []
    for k, pattern in enumerate(patterns(count)):
        shown = np.repeat(pattern[None], repeats, axis=0)
        field = recovery_of(opu).fields(shown, 100_000 * k).astype(np.complex128)
        noise.append(field.var(axis=0, ddof=1).mean())
        re, im = opu.arm.fields(pattern[None])
        signal.append(np.mean(re[0, 1:-1].astype(np.float64) ** 2 + im[0, 1:-1].astype(np.float64) ** 2))
    return float(10 * np.log10(np.mean(signal) / np.mean(noise)))


@pytest.mark.parametrize("steps", [3, 4, 7])
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("power_mw", [20.0, 60.0, 200.0])
def test_signal_to_noise(steps: int, bits: int, power_mw: float) -> None:
    """Over a decade of light, within 0.1 dB of the closed form, written out here.

    Signal: 32,000 |F|^2 of exponential law, sd 0.6 % = 0.025 dB; noise: 384,000 complex samples, below 0.01 dB.
    """
    opu = device(**{"recovery.steps": steps, "camera.adc_bits": bits, "laser.power_mw": power_mw})
    camera = opu.card.camera
    n_r = 0.12 * camera.full_well_e
    per_input = opu.arm.photons_per_intensity * camera.quantum_efficiency
    # OFF mirrors leak 1 / 2000 of the light; the fringes are those of ON over OFF, in the pixel's main mode.
    n_s = per_input * (ON + (N_IN - ON) / 2000)
    fringe = per_input * ON * opu.imager.modes.weight * (1 - 2000**-0.5) ** 2
    dark = camera.dark_current_e_per_s * 400e-6 + camera.read_noise_e**2 + 1 / 12 / camera.gain**2
    expected = 10 * np.log10(steps * n_r * fringe / (n_r + n_s + dark))
    got = measured_db(opu)
    assert opu.camera.saturated < 3e-5 * opu.camera.exposed
    assert abs(got - expected) < 0.1
    # The device's own prediction is the same closed form; clipped light, on top, is next to nothing here.
    assert abs(10 * np.log10(opu.snr(ON)) - expected) < 0.05


@pytest.mark.parametrize(
    ("key", "value"), [("recovery.reference_fill", 0.03), ("camera.read_noise_e", 100.0), ("camera.adc_bits", 7)]
)
def test_every_noise_counts(key: str, value: float) -> None:
    """Control: what is weaker or noisier measures worse, by what the prediction says, and not by nothing."""
    usual, other = device(**{"laser.power_mw": 60.0}), device(**{"laser.power_mw": 60.0, key: value})
    loss = measured_db(usual) - measured_db(other)
    predicted = 10 * np.log10(usual.snr(ON) / other.snr(ON))
    assert predicted > 0.3
    assert abs(loss - predicted) < 0.1


def common_and_twin(opu: Opu, count: int) -> tuple[float, float]:
    """Variances, from set to set, of the factors c and t in E = c F + t F*."""
    shown = np.repeat(patterns(1), count, axis=0)
    measured = recovery_of(opu).fields(shown, 0).astype(np.complex128)
    re, im = opu.arm.fields(shown[:1])
    field = (re[0, 1:-1] + 1j * im[0, 1:-1]).astype(np.complex128)
    c, t = np.linalg.lstsq(np.stack([field, field.conj()], axis=1), measured.T, rcond=None)[0]
    return float(np.var(c)), float(np.var(t))


@pytest.mark.parametrize("steps", [3, 4, 6])
@pytest.mark.parametrize("jitter", [0.05, 0.1])
def test_phase_errors_between_steps_leave_a_twin_image(steps: int, jitter: float) -> None:
    """Twin s^2 / N, and as much common phase; a quiet device leaves a floor far below. 1500 sets: sd 2.6 %."""
    quiet = {"laser.power_mw": 200.0, "camera.adc_bits": 12, "camera.read_noise_e": 0.0, "recovery.steps": steps}
    opu = device(**quiet, **{"recovery.reference_phase_jitter_rad": jitter})
    count = 1500
    common, twin = common_and_twin(opu, count)
    # The mean phasor e^{-s^2 / 2} is divided out: 1 - e^{-s^2} of the power over e^{-s^2}.
    expected = (np.exp(jitter**2) - 1) / steps
    shot = 1 / opu.snr(ON) / N_OUT  # of 4000 outputs' average
    assert abs(twin / (expected + shot) - 1) < 4.5 * count**-0.5
    assert abs(common / (expected + shot) - 1) < 4.5 * count**-0.5 * 2**0.5
    # Control: without jitter neither is there.
    still = common_and_twin(device(**quiet), 200)
    assert max(still) < 0.02 * expected


def test_phase_noise_within_an_exposure_costs_visibility() -> None:
    """Fringes lower by exp(-s^2 / 2), noise as before: signal-to-noise down by s^2 x 4.34 dB, the gain made good."""
    s = 0.6
    steady, noisy = device(), device(**{"recovery.reference_phase_noise_rad": s})
    loss = measured_db(steady) - measured_db(noisy)
    assert abs(loss - 10 * np.log10(np.e) * s**2) < 0.1
    ratio = np.linalg.norm(noisy.matrix()) / np.linalg.norm(steady.matrix())
    assert abs(ratio - 1) < 1e-6
    x = patterns(40).astype(np.float64)
    with noisy:
        y, expected = noisy.project(x), x @ noisy.matrix().T
    slope = np.sum(y * expected) / np.sum(expected**2)
    assert abs(slope - 1) < 5e-3


def test_linear_without_noise() -> None:
    """What rounding leaves: the field of a brighter, noiseless device is the matrix's to one part in a thousand."""
    exact = {
        "camera.adc_bits": 16,
        "camera.full_well_e": 13_500e8,
        "laser.power_mw": 1e10,
        "camera.read_noise_e": 0.0,
        "camera.dsnu_e": 0.0,
        "camera.dark_current_e_per_s": 0.0,
    }
    opu = device(**exact)
    x = np.random.default_rng(1).integers(-1, 2, (20, N_IN)).astype(np.float64)
    with opu:
        y = opu.project(x)
    expected = x @ opu.matrix().T.astype(np.float64)
    assert np.std(y - expected) < 1e-3 * expected.std()
    # Control: the imaginary part of T is not it.
    wrong = x @ opu.arm.medium.matrix()[1:-1].imag.T * (2 / N_IN) ** 0.5
    assert np.std(y - wrong) > 0.5 * expected.std()
    assert abs(opu.matrix().var() * N_IN - 1) < 4.5 * (2 / opu.matrix().size) ** 0.5


def test_frames_and_cuts() -> None:
    """N frames a pattern; the cut of a batch changes nothing."""
    x = np.random.default_rng(1).integers(-1, 2, (9, N_IN)).astype(np.float64)
    with device(**{"recovery.steps": 3}) as opu:
        before = opu.ledger.frames
        whole = opu.project(x)
        assert opu.ledger.frames - before == 9 * 2 * 3
    with device(**{"recovery.steps": 3}) as opu:
        parts = np.concatenate([opu.project(x[:4]), opu.project(x[4:])])
    assert np.array_equal(whole, parts)
