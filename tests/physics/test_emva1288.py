"""EMVA 1288 (release 4.0, linear): its estimators, run on simulated frames, give back the camera's card.

One point of the temporal variance over N pixels has a relative sd of sqrt(2 / N), 0.5 % for 77 kpx.
"""

from typing import Any

import numpy as np
import pytest

from opu_sim import Camera

CARD: dict[str, Any] = {
    "rows": 256,
    "columns": 300,
    "pitch_um": 5.5,
    "quantum_efficiency": 0.6,
    "full_well_e": 13_500.0,
    "read_noise_e": 13.0,
    "dark_current_e_per_s": 125.0,
    "offset_dn": 100.0,
    "adc_bits": 12,
    "prnu": 0.008,
    "dsnu_e": 3.0,
}
EXPOSURE_S = 4e-4
STEPS = np.linspace(0, 1.25, 51)  # of the full well
PIXELS = 256 * 300


def make(**overrides: Any) -> Camera:
    return Camera(CARD | overrides, seed=3)


def frames(camera: Camera, mean: float, count: int, first: int, exposure_s: float = EXPOSURE_S) -> np.ndarray:
    return camera.expose(np.full((count, 256, 300), mean, np.float32), exposure_s, first).astype(np.float64)


def pair(y: np.ndarray) -> tuple[float, float]:
    """Mean of a pair, and its temporal variance with the correction for the difference of the means."""
    return float(y.mean()), float(np.mean((y[0] - y[1]) ** 2) / 2 - (y[0].mean() - y[1].mean()) ** 2 / 2)


class Transfer:
    """Photon transfer of a camera: mean and temporal variance of a pair at every light level."""

    def __init__(self, camera: Camera) -> None:
        card = camera.card
        self.mu_p = STEPS * card.full_well_e / card.quantum_efficiency
        points = [pair(frames(camera, mu, 2, 2 * i)) for i, mu in enumerate(self.mu_p)]
        self.mean, self.variance = np.array(points).T
        self.saturation = int(np.argmax(self.variance))
        used = self.mu_p <= 0.7 * self.mu_p[self.saturation]
        y, s2, p = self.mean - self.mean[0], self.variance - self.variance[0], self.mu_p
        self.K = float((y * s2)[used].sum() / (y * y)[used].sum())
        self.R = float((y * p)[used].sum() / (p * p)[used].sum())
        self.quantum_efficiency = self.R / self.K
        self.sigma_d = float((max(self.variance[0], 0.24) - 1 / 12) ** 0.5 / self.K)


@pytest.fixture(scope="module")
def transfer() -> Transfer:
    return Transfer(make())


def test_gain(transfer: Transfer) -> None:
    # 28 variances of 0.5 % each: 0.15 % on the slope.
    assert abs(transfer.K / make().card.gain - 1) < 0.01


def test_quantum_efficiency(transfer: Transfer) -> None:
    assert abs(transfer.quantum_efficiency / 0.6 - 1) < 0.01


def test_read_noise(transfer: Transfer) -> None:
    assert abs(transfer.sigma_d / 13.0 - 1) < 0.01


@pytest.mark.parametrize("key", ["quantum_efficiency", "read_noise_e", "full_well_e"])
def test_another_camera_is_told_apart(key: str, transfer: Transfer) -> None:
    """Control: a card 5 % off gives estimates outside the tolerance of 1 %."""
    other = Transfer(make(**{key: 1.05 * CARD[key]}))
    measured = {
        "quantum_efficiency": (transfer.quantum_efficiency, other.quantum_efficiency),
        "read_noise_e": (transfer.sigma_d, other.sigma_d),
        "full_well_e": (1 / transfer.K, 1 / other.K),  # the full well fills the converter
    }[key]
    assert 0.03 < measured[1] / measured[0] - 1 < 0.07


@pytest.mark.parametrize("gain", [None, 0.22])
def test_saturation(gain: float | None) -> None:
    """The largest temporal variance marks the full well (to a step of 2.5 % and 1 %), wherever the range
    ends."""
    camera = make(gain_dn_per_e=gain)
    transfer = Transfer(camera)
    dark_e = camera.card.dark_current_e_per_s * EXPOSURE_S
    saturation_e = transfer.mu_p[transfer.saturation] * 0.6
    assert abs(saturation_e - (13_500 - dark_e)) <= (0.025 + 0.01) * 13_500
    # Above the full well the shot noise is gone: only read noise and rounding are left.
    left = camera.card.gain**2 * 169 + 1 / 12
    if gain is not None:
        assert abs(transfer.variance[-1] / left - 1) < 4.5 * (2 / PIXELS) ** 0.5 + 0.005
    assert transfer.mean[-1] <= camera.card.gain * 13_500 + 100 + 1


def test_linearity(transfer: Transfer) -> None:
    """Deviation from the straight line, 5 .. 95 % of saturation, below 0.1 %."""
    used = (transfer.mu_p > 0.05 * transfer.mu_p[transfer.saturation]) & (STEPS <= 0.9)
    p, y = transfer.mu_p[used], (transfer.mean - transfer.mean[0])[used]
    fit = np.polyval(np.polyfit(p, y, 1, w=1 / y), p)
    deviation = 100 * (y - fit) / fit
    # Shot noise alone: 1 / sqrt(2 N mu_e), 0.01 % at 5 %.
    assert 1e-4 < np.abs(deviation).max() < 0.1


@pytest.mark.parametrize("rate", [1000.0, 0.0])
def test_dark_current(rate: float) -> None:
    camera = make(dark_current_e_per_s=rate)
    times = np.linspace(0.0, 2.0, 9)
    mean, variance = np.array([pair(frames(camera, 0.0, 2, 2 * i, t)) for i, t in enumerate(times)]).T
    from_mean = np.polyfit(times, mean, 1)[0] / camera.card.gain
    from_variance = np.polyfit(times, variance, 1)[0] / camera.card.gain**2
    # Mean of 2 N pixels to 0.1 e- over 2 s; variance of 2169 e2 to 0.5 % a point: 1 % of 1000 e-/s on the
    # slope.
    assert abs(from_mean - rate) < 1.0
    assert abs(from_variance - rate) < 4.5 * 2169 * (2 / PIXELS) ** 0.5 / 2.0


def spatial_variance(stack: np.ndarray) -> tuple[float, float]:
    """Mean, and variance over the pixels without what the temporal noise leaves in a mean of L frames."""
    left = float(stack.var(axis=0, ddof=1).mean()) / len(stack)
    return float(stack.mean()), float(stack.mean(axis=0).var(ddof=1)) - left


@pytest.mark.parametrize(("dsnu_e", "prnu"), [(3.0, 0.008), (6.0, 0.02), (0.0, 0.0)])
def test_non_uniformity(dsnu_e: float, prnu: float) -> None:
    """DSNU and PRNU from stacks of 24 frames in the dark and at half of the full well."""
    camera = make(dsnu_e=dsnu_e, prnu=prnu)
    gain = camera.card.gain
    dark_mean, dark = spatial_variance(frames(camera, 0.0, 24, 0))
    half_mean, half = spatial_variance(frames(camera, 0.5 * 13_500 / 0.6, 24, 100))
    # sd of a spatial variance V with a residue s2 / L of temporal noise: (V + s2 / L) sqrt(2 / N).
    dark_sd = (dark + gain**2 * 169 / 24) * (2 / PIXELS) ** 0.5
    half_sd = (half + gain**2 * 6919 / 24) * (2 / PIXELS) ** 0.5
    assert abs(dark - (gain * dsnu_e) ** 2) < 4.5 * dark_sd
    signal = half_mean - dark_mean
    # 6919 = 6750 + 169 e2. Dark subtraction leaves the PRNU alone.
    assert abs(half - dark - (prnu * signal) ** 2) < 4.5 * half_sd
    if prnu:
        assert abs(dark**0.5 / gain / dsnu_e - 1) < 0.02
        assert abs((half - dark) ** 0.5 / signal / prnu - 1) < 0.02


def test_white_pattern_has_no_rows_or_columns() -> None:
    """Variance of row and column means is that of independent pixels: V / columns, V / rows, chi-square about
    it."""
    camera = make(prnu=0.02)
    stack = frames(camera, 0.5 * 13_500 / 0.6, 16, 0).mean(axis=0)
    variance = stack.var()
    for axis, others in ((0, 256), (1, 300)):
        means = stack.mean(axis=axis)
        assert abs(means.var(ddof=1) * others / variance - 1) < 4.5 * (2 / (means.size - 1)) ** 0.5


def test_signal_to_noise(transfer: Transfer) -> None:
    """SNR = eta mu_p / sqrt(sigma_d^2 + sigma_q^2 / K^2 + eta mu_p), point by point."""
    used = (STEPS > 0.02) & (STEPS < 0.9)
    gain = make().card.gain
    measured = (transfer.mean - transfer.mean[0])[used] / np.sqrt(transfer.variance[used])
    mu_e = 0.6 * transfer.mu_p[used]
    predicted = mu_e / np.sqrt(169 + 0.05 + 1 / 12 / gain**2 + mu_e)
    # Half of a variance's relative sd of 0.5 %, at 4.5 sigmas.
    assert np.abs(measured / predicted - 1).max() < 4.5 * 0.5 * (2 / PIXELS) ** 0.5
