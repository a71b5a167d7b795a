"""EMVA 1288 (release 4.0, linear): its estimators, run on simulated frames, give back the camera's card.

One point of the temporal variance over N pixels has a relative sd of sqrt(2 / N), 0.5 % for 77 kpx.
"""

from typing import Any

import numpy as np
import pytest

from opu_sim import Camera
from opu_sim.camera.emva1288 import (
    PhotonTransfer,
    dark_current,
    doubling_temperature,
    nonuniformity,
    pair_statistics,
    photon_transfer,
    signal_to_noise,
    spatial_variance,
)

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
    return camera.expose(np.full((count, 256, 300), mean, np.float32), exposure_s, first)


def measured(camera: Camera) -> PhotonTransfer:
    photons = STEPS * camera.card.full_well_e / camera.card.quantum_efficiency
    return photon_transfer(photons, (frames(camera, mu, 2, 2 * i) for i, mu in enumerate(photons)))


@pytest.fixture(scope="module")
def transfer() -> PhotonTransfer:
    return measured(make())


def test_gain(transfer: PhotonTransfer) -> None:
    # 28 variances of 0.5 % each: 0.15 % on the slope.
    assert abs(transfer.gain_dn_per_e / make().card.gain - 1) < 0.01


def test_quantum_efficiency_and_responsivity(transfer: PhotonTransfer) -> None:
    assert abs(transfer.quantum_efficiency / 0.6 - 1) < 0.01
    # Means of 154 k draws: a responsivity to 0.01 %; the PRNU's own mean over the pixels is 0.008 / sqrt(N).
    expected = 0.6 * make().card.gain
    assert abs(transfer.responsivity_dn_per_photon / expected - 1) < 1e-4 + 4.5 * 0.008 * PIXELS**-0.5


def test_read_noise(transfer: PhotonTransfer) -> None:
    assert abs(transfer.dark_noise_e / 13.0 - 1) < 0.01
    assert not transfer.quantisation_limited


@pytest.mark.parametrize("key", ["quantum_efficiency", "read_noise_e", "full_well_e"])
def test_another_camera_is_told_apart(key: str, transfer: PhotonTransfer) -> None:
    """Control: a card 5 % off gives estimates outside the tolerance of 1 %."""
    other = measured(make(**{key: 1.05 * CARD[key]}))
    both = {
        "quantum_efficiency": (transfer.quantum_efficiency, other.quantum_efficiency),
        "read_noise_e": (transfer.dark_noise_e, other.dark_noise_e),
        "full_well_e": (1 / transfer.gain_dn_per_e, 1 / other.gain_dn_per_e),  # the full well fills the converter
    }[key]
    assert 0.03 < both[1] / both[0] - 1 < 0.07


@pytest.mark.parametrize("gain", [None, 0.22])
def test_saturation(gain: float | None) -> None:
    """The largest temporal variance marks the full well (to a step of 2.5 % and 1 %), wherever the range
    ends."""
    camera = make(gain_dn_per_e=gain)
    transfer = measured(camera)
    dark_e = camera.card.dark_current_e_per_s * EXPOSURE_S
    assert abs(transfer.saturation_e - (13_500 - dark_e)) <= (0.025 + 0.01) * 13_500
    # Above the full well the shot noise is gone: only read noise and rounding are left.
    left = camera.card.gain**2 * 169 + 1 / 12
    if gain is not None:
        assert abs(transfer.variance[-1] / left - 1) < 4.5 * (2 / PIXELS) ** 0.5 + 0.005
    assert transfer.mean[-1] <= camera.card.gain * 13_500 + 100 + 1


def test_threshold_range_and_best_signal_to_noise(transfer: PhotonTransfer) -> None:
    """mu_e.min = sigma_y.dark / K + 1/2, DR = mu_p.sat / mu_p.min, SNR_max = sqrt(mu_e.sat), from the card's
    figures."""
    gain = make().card.gain
    threshold = (169 + 0.05 + 1 / 12 / gain**2) ** 0.5 + 0.5
    # 1 % of K, or of its ratio to the dark noise; saturation to a step and 1 %.
    assert abs(transfer.threshold_e / threshold - 1) < 0.01
    assert abs(transfer.threshold_photons / (threshold / 0.6) - 1) < 0.01
    assert abs(transfer.dynamic_range / (13_500 / threshold) - 1) < 0.025 + 0.02
    assert transfer.dynamic_range == pytest.approx(transfer.saturation_photons / transfer.threshold_photons, rel=1e-12)
    assert abs(transfer.snr_max / 13_500**0.5 - 1) < 0.5 * (0.025 + 0.01)
    # The threshold is where the signal-to-noise is one: its square falls short of it by 1/4 in mu_e^2.
    assert 0.997 < signal_to_noise(threshold, 13.0, gain) < 1.0


def test_mean_and_variance_alone_give_gain_noise_and_saturation(transfer: PhotonTransfer) -> None:
    """Without photons: the same K and dark noise; saturation is the clipped signal, below the full well by the
    step it was found at."""
    blind = PhotonTransfer(transfer.mean, transfer.variance)
    assert blind.gain_dn_per_e == transfer.gain_dn_per_e
    assert blind.dark_noise_e == transfer.dark_noise_e
    assert abs(blind.saturation_e / 13_500 - 1) < 0.025 + 0.01
    assert abs(blind.dynamic_range / transfer.dynamic_range - 1) < 0.025 + 0.01
    for name in ("quantum_efficiency", "responsivity_dn_per_photon", "threshold_photons", "linearity_error_percent"):
        with pytest.raises(ValueError, match=r"^photons: not given; quantum efficiency, responsivity and linearity"):
            getattr(blind, name)


def test_linearity(transfer: PhotonTransfer) -> None:
    """Deviation from the straight line, 5 .. 95 % of saturation, below 0.1 %."""
    low, high = transfer.linearity_error_percent
    # Shot noise alone: 1 / sqrt(2 N mu_e), 0.01 % at 5 %.
    assert -0.1 < low < -1e-4
    assert 1e-4 < high < 0.1


@pytest.mark.parametrize("bend", [0.0, 0.01, -0.02])
def test_linearity_error_of_a_bent_curve(bend: float) -> None:
    """y = x (1 + bend x): the fit with relative weights found anew by brute force."""
    x = np.linspace(0, 1, 101)
    y = 1000 * x * (1 + bend * x)
    curve = PhotonTransfer(y + 7, x, x)
    used = (y >= 0.05 * y[-1]) & (y <= 0.95 * y[-1])
    scaled = np.stack([x, np.ones_like(x)], axis=1)[used] / y[used, None]
    line = np.linalg.lstsq(scaled, np.ones(used.sum()), rcond=None)[0]
    fit = line[0] * x[used] + line[1]
    deviation = 100 * (y[used] - fit) / fit
    assert curve.linearity_error_percent == pytest.approx((deviation.min(), deviation.max()), abs=1e-9)
    assert (max(np.abs(curve.linearity_error_percent)) > 0.1) == (bend != 0)


def test_pairs_ignore_the_light_s_change_and_shape() -> None:
    """Temporal variance K^2 (sigma_d^2 + mu_e) of light that varies over the frame and by 5 % from frame to
    frame."""
    camera = make(prnu=0.0)
    slope = np.linspace(0.5, 1.5, 300) * np.ones((256, 1))
    light = 5000 * np.stack([slope * 0.975, slope * 1.025]).astype(np.float32)
    mean, variance = pair_statistics(camera.expose(light, EXPOSURE_S))
    expected = camera.card.gain**2 * (169 + 3000) + 1 / 12
    # The change of the light leaves its own variance over the frame, (5 % of K mu_e)^2 / 12 / 2 of a linear slope.
    left = (0.05 * 3000 * camera.card.gain) ** 2 / 12 / 2
    assert abs(variance - expected - left) < 4.5 * expected * (2 / PIXELS) ** 0.5
    assert abs(mean - 100 - camera.card.gain * 3000) < 0.1
    # Control: without the correction the change of the mean counts as noise, (5 % of K mu_e)^2 / 2.
    raw = float(np.mean(np.diff(camera.expose(light, EXPOSURE_S).astype(float), axis=0) ** 2) / 2)
    assert raw - variance > 0.8 * (0.05 * 3000 * camera.card.gain) ** 2 / 2


def test_dark_noise_below_rounding_is_an_upper_limit() -> None:
    """No read noise: the variance is below 0.24 DN^2, which stands in for it."""
    step = np.arange(20.0)
    transfer = PhotonTransfer(10 + step * 50, 0.05 + step * 25)
    assert transfer.quantisation_limited
    assert transfer.gain_dn_per_e == pytest.approx(0.5)
    assert transfer.dark_noise_dn == pytest.approx(0.24**0.5)
    assert transfer.dark_noise_e == pytest.approx((0.24 - 1 / 12) ** 0.5 / 0.5)


@pytest.mark.parametrize("rate", [1000.0, 0.0])
def test_dark_current(rate: float) -> None:
    camera = make(dark_current_e_per_s=rate)
    times = np.linspace(0.0, 2.0, 9)
    pairs = [frames(camera, 0.0, 2, 2 * i, t) for i, t in enumerate(times)]
    found = dark_current(times, pairs, camera.card.gain)
    # Mean of 2 N pixels to 0.1 e- over 2 s; variance of 2169 e2 to 0.5 % a point: 1 % of 1000 e-/s on the
    # slope.
    assert abs(found.from_mean_e_per_s - rate) < 1.0
    assert abs(found.from_variance_e_per_s - rate) < 4.5 * 2169 * (2 / PIXELS) ** 0.5 / 2.0
    # The intercept of the variance: that of the first point at best.
    assert abs(found.dark_noise_e**2 - 169) < 4.5 * 2169 * (2 / PIXELS) ** 0.5


def rate_at(temperature: float | None) -> float:
    """Dark current measured from dark frames [e-/s]."""
    camera = make(temperature_c=temperature, dark_reference_c=25.0, dark_current_doubling_c=6.5)
    times = np.linspace(0.0, 4.0, 5)
    pairs = [frames(camera, 0.0, 2, 2 * i, t) for i, t in enumerate(times)]
    return dark_current(times, pairs, camera.card.gain).from_mean_e_per_s


def test_dark_current_doubles_with_temperature() -> None:
    """mu_I(T) = mu_I(T_0) 2^((T - T_0) / T_double), 125 e-/s at 25 C."""
    temperatures = np.array([12.0, 25.0, 31.5, 45.0])
    rates = np.array([rate_at(float(t)) for t in temperatures])
    # Means of 154 k draws with up to 60 e- of noise, over 4 s: 0.05 e-/s.
    np.testing.assert_allclose(rates, 125 * 2 ** ((temperatures - 25) / 6.5), atol=0.25)
    assert abs(doubling_temperature(temperatures, rates) / 6.5 - 1) < 0.002
    assert abs(rate_at(None) - 125) < 0.25  # control: off, the stated current
    with pytest.raises(ValueError, match=r"^currents_e_per_s: must be > 0$"):
        doubling_temperature([0.0, 1.0], [1.0, 0.0])


@pytest.mark.parametrize(("dsnu_e", "prnu"), [(3.0, 0.008), (6.0, 0.02), (0.0, 0.0)])
def test_non_uniformity(dsnu_e: float, prnu: float) -> None:
    """DSNU and PRNU from stacks of 24 frames in the dark and at half of the full well."""
    camera = make(dsnu_e=dsnu_e, prnu=prnu)
    gain = camera.card.gain
    found = nonuniformity(frames(camera, 0.0, 24, 0), frames(camera, 0.5 * 13_500 / 0.6, 24, 100), gain)
    dark, half = found.dark.total, found.half.total
    # sd of a spatial variance V with a residue s2 / L of temporal noise: (V + s2 / L) sqrt(2 / N).
    dark_sd = (abs(dark) + gain**2 * 169 / 24) * (2 / PIXELS) ** 0.5
    half_sd = (abs(half) + gain**2 * 6919 / 24) * (2 / PIXELS) ** 0.5
    assert abs(dark - (gain * dsnu_e) ** 2) < 4.5 * dark_sd
    signal = found.half.mean - found.dark.mean
    # 6919 = 6750 + 169 e2. Dark subtraction leaves the PRNU alone.
    assert abs(half - dark - (prnu * signal) ** 2) < 4.5 * half_sd
    if prnu:
        assert abs(found.dsnu_e / dsnu_e - 1) < 0.02
        assert abs(found.prnu / prnu - 1) < 0.02


def test_white_pattern_has_no_rows_or_columns() -> None:
    """The pattern of the simulated pixels is all `pixel`. A column's mean has V / M of a pattern's variance, the
    variance of N such means a relative sd of sqrt(2 / N)."""
    camera = make(prnu=0.02)
    found = spatial_variance(frames(camera, 0.5 * 13_500 / 0.6, 16, 0))
    for part, others, means in ((found.row, 300, 256), (found.column, 256, 300)):
        assert abs(part) < 4.5 * found.total / others * (2 / means) ** 0.5
    assert abs(found.pixel / found.total - 1) < 4.5 * 2 * (2 / 256) ** 0.5 / 256


@pytest.mark.parametrize("parts", [(3.0, 1.0, 2.0), (0.0, 2.0, 1.0), (2.0, 0.0, 0.0)])
def test_columns_rows_and_pixels_are_told_apart(parts: tuple[float, float, float]) -> None:
    """A pattern made of them, under temporal noise of 4 DN in 10 frames of 200 x 500 pixels."""
    column, row, pixel = parts
    draw = np.random.default_rng(5).standard_normal
    pattern = column * draw(500) + row * draw((200, 1)) + pixel * draw((200, 500))
    found = spatial_variance(100 + pattern + 4.0 * draw((10, 200, 500)))
    # sd of the variance of n means, each with its own share of the pixels' variance: sqrt(2 / n) of all of it.
    assert abs(found.column - column**2) < 4.5 * (2 / 500) ** 0.5 * (column**2 + (pixel**2 + 1.6) / 200)
    assert abs(found.row - row**2) < 4.5 * (2 / 200) ** 0.5 * (row**2 + (pixel**2 + 1.6) / 500)
    sd = (2 / 100_000) ** 0.5 * (pixel**2 + 1.6) + 0.01 * (column**2 + row**2)
    assert abs(found.pixel - pixel**2) < 4.5 * sd
    assert found.total == pytest.approx(found.column + found.row + found.pixel, rel=1e-9)


def test_a_pattern_too_small_to_be_seen_is_not_a_number() -> None:
    """Variances below zero have no root; of 40 estimates of a variance of zero both signs occur."""
    camera = make(dsnu_e=0.0, prnu=0.0)
    stacks = [frames(camera, 0.0, 2, 2 * i)[:, :32, :32] for i in range(40)]
    found = [nonuniformity(stack, stack, 1.0).dsnu_e for stack in stacks]
    assert 5 < np.isnan(found).sum() < 35


def test_signal_to_noise(transfer: PhotonTransfer) -> None:
    """SNR = eta mu_p / sqrt(sigma_d^2 + sigma_q^2 / K^2 + eta mu_p), point by point."""
    used = (STEPS > 0.02) & (STEPS < 0.9)
    assert transfer.photons is not None
    mu_e = 0.6 * transfer.photons[used]
    predicted = signal_to_noise(mu_e, (169 + 0.05) ** 0.5, make().card.gain)
    # Half of a variance's relative sd of 0.5 %, at 4.5 sigmas.
    assert np.abs(transfer.snr[used] / predicted - 1).max() < 4.5 * 0.5 * (2 / PIXELS) ** 0.5


def test_signal_to_noise_of_a_single_frame() -> None:
    """Over the pixels of one frame DSNU and PRNU count too."""
    camera = make(prnu=0.02, dsnu_e=6.0)
    one = frames(camera, 9000.0, 1, 0).astype(float)
    dark = camera.card.offset_dn
    predicted = signal_to_noise(5400.0, 13.0, camera.card.gain, dsnu_e=6.0, prnu=0.02)
    assert abs((one.mean() - dark) / one.std() / predicted - 1) < 4.5 * 0.5 * (2 / PIXELS) ** 0.5 + 1e-4
    assert predicted < 0.6 * signal_to_noise(5400.0, 13.0, camera.card.gain)


LINE = np.arange(5.0)


@pytest.mark.parametrize(
    ("photons", "pairs", "message"),
    [
        (None, np.zeros((4, 3, 8, 8)), r"^pair: shape \(3, 8, 8\); must be \[2, row, column\]$"),
        (None, np.zeros((4, 2, 0, 8)), r"^pair: shape \(2, 0, 8\)"),
        (None, np.zeros((2, 2, 8, 8)), r"^mean, variance: shapes \(2,\), \(2,\); must be \[step\], 3 steps at least$"),
        (None, [], r"^mean, variance: shapes \(0,\)"),
        (LINE, np.zeros((4, 2, 8, 8)), r"^photons: shape \(5,\); must be one a step, \(4,\)$"),
        (LINE[1:], np.zeros((4, 2, 8, 8)), r"^photons: must rise from 0, the dark$"),
        (LINE[[0, 2, 1, 3]], np.zeros((4, 2, 8, 8)), r"^photons: must rise from 0, the dark$"),
    ],
)
def test_bad_pairs(photons: Any, pairs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photon_transfer(photons, pairs)


def test_bad_stacks_exposures_and_too_few_steps() -> None:
    with pytest.raises(ValueError, match=r"^stack: shape \(1, 8, 8\); must be \[frame >= 2, row >= 3, column >= 3\]$"):
        spatial_variance(np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match=r"^exposures_s: shape \(4,\) for 4 pairs; must be one a pair, 3 different"):
        dark_current([0.0, 1.0, 1.0, 0.0], np.zeros((4, 2, 8, 8)), 1.0)
    with pytest.raises(ValueError, match=r"^2 steps between 5 and 95 % of saturation: must be 3 at least$"):
        PhotonTransfer(LINE[:4], LINE[:4], LINE[:4]).linearity_error_percent  # noqa: B018
