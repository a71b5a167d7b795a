"""Hot and dead pixels: their share, that they belong to the pixel, and what they do to frames."""

from typing import Any

import numpy as np
import pytest

from opu_sim import Camera, ConfigError

ROWS, COLUMNS = 200, 300
PIXELS = np.arange(ROWS * COLUMNS)
CARD: dict[str, Any] = {
    "rows": ROWS,
    "columns": COLUMNS,
    "pitch_um": 5.5,
    "quantum_efficiency": 0.6,
    "full_well_e": 13_500.0,
    "read_noise_e": 13.0,
    "dark_current_e_per_s": 100.0,
    "offset_dn": 200.0,
    "adc_bits": 12,
    "prnu": 0.01,
    "dsnu_e": 3.0,
}
HOT: dict[str, Any] = {"hot_pixels": 0.02, "hot_pixel_current_e_per_s": 5000.0}


def camera(seed: int = 4, **overrides: Any) -> Camera:
    return Camera(CARD | overrides, seed)


def flat(mean: float, frames: int) -> np.ndarray:
    return np.full((frames, ROWS, COLUMNS), mean, np.float32)


def dead(device: Camera) -> np.ndarray:
    return np.flatnonzero(device.fixed_pattern(PIXELS)[0] == 0)


@pytest.mark.parametrize("share", [1e-3, 0.02, 0.3])
def test_share_of_defects(share: float) -> None:
    """Binomial: N share +- sqrt(N share (1 - share))."""
    device = camera(hot_pixels=share, hot_pixel_current_e_per_s=1.0, dead_pixels=share)
    sd = (PIXELS.size * share * (1 - share)) ** 0.5
    hot, cold = device.hot_pixels(PIXELS), dead(device)
    assert abs(len(hot) - PIXELS.size * share) < 4.5 * sd
    assert abs(len(cold) - PIXELS.size * share) < 4.5 * sd
    # Drawn apart: the two coincide as often as by chance.
    both = len(np.intersect1d(hot, cold))
    assert abs(both - PIXELS.size * share**2) < 4.5 * max((PIXELS.size * share**2) ** 0.5, 1.0)
    # Scattered: as many in either half of the rows, and of the columns.
    for half in (hot < PIXELS.size / 2, hot % COLUMNS < COLUMNS / 2):
        assert abs(half.mean() - 0.5) < 4.5 * 0.5 * len(hot) ** -0.5


def test_defects_belong_to_the_pixel() -> None:
    """The same pixels in any region, in any order, whatever else is exposed; other pixels for another seed; more of
    them include the fewer."""
    device = camera(**HOT, dead_pixels=0.02)
    hot = device.hot_pixels(PIXELS)
    chosen = np.random.default_rng(1).permutation(PIXELS)[:5000]
    assert np.array_equal(np.sort(chosen[device.hot_pixels(chosen)]), np.intersect1d(chosen, hot))
    assert np.array_equal(device.hot_pixels(PIXELS[:1000]), hot[hot < 1000])
    responsivity = device.fixed_pattern(PIXELS)[0]
    assert np.array_equal(device.fixed_pattern(chosen)[0], responsivity[chosen])
    assert len(np.intersect1d(camera(5, **HOT).hot_pixels(PIXELS), hot)) < 0.1 * len(hot)
    more = camera(**(HOT | {"hot_pixels": 0.04})).hot_pixels(PIXELS)
    assert np.array_equal(np.intersect1d(more, hot), hot)
    # A corner of the sensor has the sensor's defects: 0.1 s of 5000 e-/s is 500 e-, 38 sigmas of the read noise.
    whole = device.expose(flat(0.0, 1), 0.1)[0]
    corner = device.expose(flat(0.0, 1)[:, :50, :70], 0.1)[0]
    assert np.array_equal(corner > 275, whole[:50, :70] > 275)
    assert (corner > 275).sum() > 20


def test_other_pixels_keep_their_numbers() -> None:
    """A new imperfection shifts no other pixel's noise or pattern."""
    plain = camera().expose(flat(900.0, 3), 0.1)
    device = camera(**HOT, dead_pixels=0.02)
    counts = device.expose(flat(900.0, 3), 0.1)
    sound = np.ones(PIXELS.size, bool)
    sound[device.hot_pixels(PIXELS)] = False
    sound[dead(device)] = False
    assert np.array_equal(counts.reshape(3, -1)[:, sound], plain.reshape(3, -1)[:, sound])
    assert np.all(np.any(counts.reshape(3, -1)[:, ~sound] != plain.reshape(3, -1)[:, ~sound], axis=0))


@pytest.mark.parametrize("read_noise", [13.0, 1.0])
@pytest.mark.parametrize("exposure_s", [0.001, 0.2])
def test_charge_of_hot_pixels_has_shot_noise(read_noise: float, exposure_s: float) -> None:
    """Mean and variance of (5000 + 100) e-/s x t on top of the read noise: 5.1 e- and 1020 e-.

    Above the exact Poisson law: below 20 e- at 1 e- read noise it is drawn exactly, at 13 e- with an error of the
    mean of up to 0.05 e-; rounding adds 1/12 DN^2.
    """
    device = camera(**HOT, read_noise_e=read_noise, dsnu_e=0.0, gain_dn_per_e=1.0, full_well_e=3e4)
    hot = device.hot_pixels(PIXELS)
    counts = device.expose(flat(0.0, 40), exposure_s).reshape(40, -1)[:, hot].astype(float) - 200.0
    electrons = 5100 * exposure_s
    variance = electrons + read_noise**2 + 1 / 12
    assert abs(counts.mean() - electrons) < 4.5 * (variance / counts.size) ** 0.5 + (0.05 if read_noise > 3 else 0)
    # sd of a variance: 2 s^4 / n, and the Poisson law's own fourth cumulant m / n.
    sd = ((2 * variance**2 + electrons) / counts.size) ** 0.5
    assert abs(counts.var(axis=0, ddof=1).mean() - variance) < 4.5 * sd + (0.14 if read_noise > 3 else 0)
    # Control: the same pixels of a camera without hot ones have the dark current alone.
    plain = camera(read_noise_e=read_noise, dsnu_e=0.0, gain_dn_per_e=1.0, full_well_e=3e4)
    dark = plain.expose(flat(0.0, 40), exposure_s).reshape(40, -1)[:, hot].astype(float) - 200.0
    assert abs(dark.mean() - 100 * exposure_s) < 4.5 * ((169 + 20) / dark.size) ** 0.5 + 0.05
    assert not len(plain.hot_pixels(PIXELS))


def test_hot_pixels_warm_up_with_the_sensor() -> None:
    """2^(13 / 6.5) = 4 times the charge of dark and hot current alike."""
    warm = {"temperature_c": 38.0, "dark_reference_c": 25.0, "dark_current_doubling_c": 6.5}
    means = []
    for extra in ({}, warm):
        device = camera(**HOT, **extra, gain_dn_per_e=1.0, full_well_e=3e4)
        means.append(device.expose(flat(0.0, 40), 0.02).reshape(40, -1)[:, device.hot_pixels(PIXELS)].mean() - 200.0)
    # 1200 pixels in 40 frames: 408 e- with 24 e- of noise, and the DSNU of 3 e- over the pixels.
    assert abs(means[0] - 102) < 4.5 * (271 / 48_000 + 9 / 1200) ** 0.5
    assert abs(means[1] - 408) < 4.5 * (577 / 48_000 + 9 / 1200) ** 0.5


def test_dead_pixels_do_not_see_light() -> None:
    """Light or not, a dead pixel has the same dark charge and read noise."""
    device = camera(dead_pixels=0.02, dsnu_e=0.0)
    gain = device.card.gain
    cold = dead(device)
    for light in (0.0, 2000.0, 15_000.0):
        counts = device.expose(flat(light, 20), 0.01).reshape(20, -1)[:, cold] - 200.0
        assert abs(counts.mean() / gain - 1.0) < 4.5 * (170 / counts.size) ** 0.5 + 0.05
        assert abs(counts.var() / (gain**2 * 170 + 1 / 12) - 1) < 4.5 * (2 / counts.size) ** 0.5
    # Control: sound pixels see it.
    assert camera().expose(flat(2000.0, 1), 0.01).reshape(-1)[cold].min() > 200 + 800 * gain


def test_frame_s_mean_and_histogram() -> None:
    """Under light the mean falls by the dead pixels' share; in the dark it rises by the hot ones' charge."""
    share = 0.05
    light = camera(dead_pixels=share).expose(flat(5000.0, 4), 1e-4).mean() - 200.0
    expected = 3000 * camera().card.gain
    assert abs(light / expected - (1 - share)) < 4.5 * (share * (1 - share) / PIXELS.size) ** 0.5
    dark = camera(**HOT).expose(flat(0.0, 4), 0.1).mean() - 200.0
    mean = (10 + 0.02 * 500) * camera().card.gain
    assert abs(dark / mean - 1) < 4.5 * 0.5 * (0.02 * PIXELS.size) ** -0.5 + 0.01


def test_off_by_default() -> None:
    device = camera()
    assert device.card.hot_pixels is None
    assert device.card.dead_pixels is None
    assert not len(device.hot_pixels(PIXELS))
    assert not len(dead(device))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"hot_pixels": 0.6}, r"^camera card: hot_pixels = 0.6: must be a number > 0 and <= 0.5$"),
        ({"dead_pixels": 0.0}, r"^camera card: dead_pixels = 0.0: must be a number > 0 and <= 0.5$"),
        (
            {"hot_pixels": 0.1},
            r"^camera card: hot_pixel_current_e_per_s: missing; hot_pixels = 0.1 needs it$",
        ),
        (
            {"hot_pixel_current_e_per_s": 9.0},
            r"^camera card: hot_pixels: missing; hot_pixel_current_e_per_s = 9.0 needs it$",
        ),
        (
            {"temperature_c": 30.0},
            r"^camera card: dark_reference_c: missing; temperature_c = 30.0 needs it$",
        ),
        (
            {"temperature_c": 30.0, "dark_reference_c": 25.0},
            r"^camera card: dark_current_doubling_c: missing; temperature_c = 30.0 needs it$",
        ),
        (
            {"dark_current_doubling_c": 0.5},
            r"^camera card: dark_current_doubling_c = 0.5: must be a number >= 3 and <= 20$",
        ),
        ({"temperature_c": 500.0}, r"^camera card: temperature_c = 500.0: must be a number >= -150 and <= 150$"),
    ],
)
def test_bad_keys(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        camera(**overrides)


def test_extreme_heat_fills_the_well() -> None:
    """2^100 times the dark current is beyond float32's comfort, not beyond the camera's."""
    device = camera(
        **HOT,
        temperature_c=150.0,
        dark_reference_c=-150.0,
        dark_current_doubling_c=3.0,
        dark_current_e_per_s=1e25,
    )
    assert np.all(device.expose(flat(0.0, 1), 10.0) >= 4000)
