"""Camera: Poisson law in both branches, the order of the chain, noise numbered by frame, errors."""

from typing import Any

import numba
import numpy as np
import pytest
from scipy import stats

from opu_sim import Camera, ConfigError
from opu_sim._kernels.camera import expose
from opu_sim.camera.sensor import EXACT_BELOW_E, MASKING_READ_NOISE_E
from opu_sim.cards import load_camera_card
from opu_sim.rng import stream_key

QUIET: dict[str, Any] = {
    "rows": 64,
    "columns": 96,
    "pitch_um": 5.5,
    "quantum_efficiency": 1.0,
    "full_well_e": 10_000.0,
    "read_noise_e": 0.0,
    "dark_current_e_per_s": 0.0,
    "gain_dn_per_e": 1.0,
    "offset_dn": 0.0,
    "adc_bits": 16,
    "prnu": 0.0,
    "dsnu_e": 0.0,
}


def camera(seed: int = 1, **overrides: Any) -> Camera:
    return Camera(QUIET | overrides, seed)


def flat(mean: float, frames: int = 1, rows: int = 64, columns: int = 96) -> np.ndarray:
    return np.full((frames, rows, columns), mean, np.float32)


def counts_law(mean: float, read_noise: float, offset: int, size: int) -> np.ndarray:
    """P(code = 0 .. size - 1) of a Poisson charge plus Gaussian read noise, rounded, at 1 DN/e-."""
    n = np.arange(stats.poisson.ppf(1 - 1e-15, mean) + 2)
    edges = np.arange(size + 1) - 0.5 - offset
    away = edges[:, None] - n
    below = stats.norm.cdf(away / read_noise) if read_noise else (away > 0).astype(float)
    return np.diff(below @ stats.poisson.pmf(n, mean))


def chi_square_p(counts: np.ndarray, law: np.ndarray) -> float:
    """p-value of a chi-square test over codes with at least 10 expected, the rest in one cell."""
    observed = np.bincount(counts.ravel(), minlength=len(law))[: len(law)]
    expected = law * counts.size
    often = expected >= 10
    cells = np.append(observed[often], counts.size - observed[often].sum())
    means = np.append(expected[often], counts.size - expected[often].sum())
    if means[-1] < 1:
        assert cells[-1] < 12
        cells, means = cells[:-1], means[:-1] * cells[:-1].sum() / means[:-1].sum()
    return float(stats.chisquare(cells, means).pvalue)


@pytest.mark.parametrize("mean", [0.05, 0.7, 3.0, 19.5])
@pytest.mark.parametrize("read_noise", [0.0, 0.5])
def test_few_electrons_follow_the_exact_poisson_law(mean: float, read_noise: float) -> None:
    counts = camera(read_noise_e=read_noise, offset_dn=5.0).expose(flat(mean, 80), 1e-3)
    # Half a million draws; a p-value is uniform, so both ends of its range are improbable.
    assert 1e-4 < chi_square_p(counts, counts_law(mean, read_noise, 5, 100)) < 1 - 1e-4


@pytest.mark.parametrize("mean", [0.05, 0.7, 3.0])
def test_approximate_branch_is_told_from_poisson_without_read_noise(mean: float) -> None:
    """Control: the same test with the exact branch switched off."""
    light = np.full((80, 6144), mean, np.float32)
    out = np.empty(light.shape, np.uint16)
    unit, zero = np.ones(6144, np.float32), np.zeros(6144, np.float32)
    scalars = [np.float32(v) for v in (0.0, 1e4, 0.5)]
    tail = [np.float32(1.0), np.float32(5.0), 65535, np.float32(0.0), np.empty(0, np.int64), np.float32(0.0)]
    expose(light, unit, *scalars, zero, *tail, *stream_key(1, "test"), 0, out)
    assert chi_square_p(out, counts_law(mean, 0.5, 5, 100)) < 1e-12


@pytest.mark.parametrize("mean", [20.5, 60.0])
def test_many_electrons_follow_the_poisson_law_nearly(mean: float) -> None:
    """Above 20 e- the expansion is used at any read noise; a hundred thousand draws cannot tell it from
    Poisson."""
    counts = camera(read_noise_e=0.5, offset_dn=5.0).expose(flat(mean, 16), 1e-3)
    law = counts_law(mean, 0.5, 5, 200)
    assert 1e-4 < chi_square_p(counts, law) < 1 - 1e-4
    # Control: a Gaussian charge of the same mean and variance, without the skewness term.
    z = np.random.default_rng(0).standard_normal((2, counts.size))
    gaussian = np.rint(np.rint(mean + mean**0.5 * z[0]) + 0.5 * z[1] + 5).astype(np.int64).clip(0)
    assert chi_square_p(gaussian, law) < 1e-12


def approximate_law(mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Electrons k and P(k) of rint(m + sqrt(m) z + (z^2 - 1) / 6): a parabola's level sets under a normal
    law."""
    k = np.arange(np.floor(-mean / 2 - 2), mean + 12 * np.sqrt(mean) + 20)
    level = np.append(k - 0.5, k[-1] + 0.5)
    root = np.sqrt(np.maximum(9 * mean + 6 * (level - mean) + 1, 0))
    below = stats.norm.cdf(-3 * mean**0.5 + root) - stats.norm.cdf(-3 * mean**0.5 - root)
    return k, np.diff(below)


MEANS = np.concatenate([np.geomspace(1e-3, 1, 40), np.geomspace(1.05, 300, 80)])


@pytest.mark.parametrize(
    ("read_noise", "above", "claimed"),
    [
        (3.0, 0.0, 6.3e-3),
        (3.0, 2.0, 1.5e-3),
        (3.0, 10.0, 7.8e-4),
        (13.0, 0.0, 1.45e-3),
        (13.0, 2.0, 1.0e-4),
        (13.0, 10.0, 9.6e-5),
    ],
)
def test_error_of_the_approximate_law_with_read_noise(read_noise: float, above: float, claimed: float) -> None:
    """Distribution function of charge + read noise against the Poisson law's, from a light level up.

    The worst light is the least: the mean is then 0.047 e- too high, and 0.047 / (sqrt(2 pi) read noise)
    follows.
    """
    assert read_noise >= MASKING_READ_NOISE_E
    worst = 0.0
    for mean in MEANS[above <= MEANS]:
        x = np.linspace(mean - 6 * (read_noise + mean**0.5), mean + 6 * (read_noise + mean**0.5), 600)
        k, p = approximate_law(mean)
        n = np.arange(stats.poisson.ppf(1 - 1e-14, mean) + 2)
        approximate = stats.norm.cdf((x[:, None] - k) / read_noise) @ p
        exact = stats.norm.cdf((x[:, None] - n) / read_noise) @ stats.poisson.pmf(n, mean)
        worst = max(worst, float(np.abs(approximate - exact).max()))
    assert 0.95 * claimed < worst <= claimed


def test_mean_error_of_the_approximate_law() -> None:
    error = np.array([abs(np.dot(*approximate_law(mean)) - mean) for mean in MEANS])
    assert 0.02 < error[MEANS < 1].max() <= 0.05
    assert error[MEANS > 2].max() <= 3e-5


@pytest.mark.parametrize("mean", [0.5, 2.0, 30.0])
def test_kernel_draws_from_the_approximate_law(mean: float) -> None:
    """With a read noise that hides single electrons the kernel is the law of the two tests above."""
    counts = camera(read_noise_e=3.0, offset_dn=40.0).expose(flat(mean, 80), 1e-3)
    k, p = approximate_law(mean)
    edges = np.arange(201) - 40.5
    law = np.diff(stats.norm.cdf((edges[:, None] - k) / 3.0) @ p)
    assert 1e-4 < chi_square_p(counts, law) < 1 - 1e-4


def test_variance_is_that_of_poisson() -> None:
    """Of N counts at mean m: sd of the mean sqrt(m / N), of the variance m sqrt(2 / N)."""
    for mean in (EXACT_BELOW_E - 1, EXACT_BELOW_E + 1, 400.0, 9e4):
        counts = camera(full_well_e=1e6, gain_dn_per_e=0.5).expose(flat(mean, 40), 1e-3).astype(np.float64)
        n = counts.size
        assert abs(counts.mean() / 0.5 - mean) < 4.5 * (mean / n) ** 0.5 + 1e-3
        # Rounding at 0.5 DN/e-: half of the integers are ties, so 1/8 DN^2 instead of 1/12, and ties go to
        # even.
        extra = 0.125 / 0.25 if mean < EXACT_BELOW_E else 0.125 / 0.25 + 1 / 18 + 1 / 12
        assert abs(counts.var() / 0.25 - mean - extra) < 4.5 * (mean + 1) * (2 / n) ** 0.5


def test_no_light_no_noise_no_counts() -> None:
    assert not camera().expose(flat(0.0), 1e-3).any()
    assert np.all(camera(offset_dn=17.0).expose(flat(0.0), 1e-3) == 17)
    assert np.all(camera(dark_current_e_per_s=1e9).expose(flat(0.0), 1e-3) == 10_000)


@pytest.mark.parametrize(
    ("bits", "dtype"), [(1, np.uint8), (8, np.uint8), (9, np.uint16), (10, np.uint16), (12, np.uint16)]
)
def test_codes_of_the_converter(bits: int, dtype: type) -> None:
    device = camera(adc_bits=bits, gain_dn_per_e=None, full_well_e=1000.0)
    counts = device.expose(flat(5000.0), 1e-3)
    assert counts.dtype == dtype
    assert np.all(counts == 2**bits - 1)  # the full well fills the range
    assert device.saturated == counts.size
    half = device.expose(flat(500.0, 8), 1e-3)
    # Mean of N: K * 500 +- K sqrt(500 / N), and the rounding of 1-bit codes is coarse: only from 8 bits on.
    if bits >= 8:
        gain = (2**bits - 1) / 1000
        assert abs(half.mean() - 500 * gain) < 4.5 * gain * (500 / half.size) ** 0.5 + 2e-3
    assert half.max() <= 2**bits - 1


def test_full_well_clips_before_read_noise() -> None:
    counts = camera(full_well_e=1000.0, read_noise_e=5.0).expose(flat(1e5, 20), 1e-3).astype(float)
    # Read noise stays on top of a full well: mean 1000, sd 5 and rounding, over N pixels.
    n, sd = counts.size, (25 + 1 / 12) ** 0.5
    assert abs(counts.mean() - 1000) < 4.5 * sd / n**0.5
    assert abs(counts.std() / sd - 1) < 4.5 * (2 * n) ** -0.5


def test_dark_frames_clip_at_zero() -> None:
    counts = camera(read_noise_e=10.0).expose(flat(0.0, 20), 1e-3)
    # rint(x) <= 0 for x < 1/2.
    share = stats.norm.cdf((0.5 - 0.0) / 10.0)
    assert abs(np.mean(counts == 0) - share) < 4.5 * (share * (1 - share) / counts.size) ** 0.5 + 5e-3


def test_saturation_is_counted_over_all_exposures() -> None:
    device = camera(adc_bits=8, full_well_e=1e4)
    light = flat(0.0)
    light[0, :3, :5] = 5000.0
    for exposures in (1, 2):
        device.expose(light, 1e-3)
        assert device.saturated == 15 * exposures
    assert device.saturated == 30


@pytest.mark.parametrize("read_noise", [0.5, 13.0])
def test_dark_and_exposed_pixels_are_counted_over_all_exposures(read_noise: float) -> None:
    """Code 0 is what the converter delivers for anything below it: `dark` counts it, on either branch."""
    device = camera(read_noise_e=read_noise)
    zeros = exposed = 0
    for mean in (0.0, 2.0, 500.0):
        counts = device.expose(flat(mean, 3), 1e-3)
        zeros += np.count_nonzero(counts == 0)
        exposed += counts.size
        assert (device.dark, device.exposed) == (zeros, exposed)
    # In the dark P(code 0) is that of noise below half a count, with 2 e- less; at 500 e- there are none.
    assert 0.2 * exposed / 3 < zeros < 2 * exposed / 3
    lifted = camera(read_noise_e=read_noise, offset_dn=100.0)
    lifted.expose(flat(0.0, 3), 1e-3)
    assert (lifted.dark, lifted.exposed) == (0, exposed / 3)
    assert (device.saturated, lifted.saturated) == (0, 0)


def test_extreme_light_saturates() -> None:
    for mean in (1e12, 1e30, 1e38):
        assert np.all(camera().expose(np.full((1, 8, 8), mean), 1e-3) == 10_000)


def test_light_beyond_float32_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be >= 0 and finite as float32$"):
        camera().expose(np.full((1, 8, 8), 1e39), 1e-3)


@pytest.mark.parametrize("read_noise", [0.5, 13.0])
def test_noise_is_numbered_by_frame(read_noise: float) -> None:
    light = flat(8.0, 6)
    whole = camera(read_noise_e=read_noise, offset_dn=50.0).expose(light, 1e-3, frame=10)
    again = camera(read_noise_e=read_noise, offset_dn=50.0)
    parts = [again.expose(light[a:b], 1e-3, frame=10 + a) for a, b in ((4, 6), (0, 1), (1, 4))]
    assert np.array_equal(np.concatenate([parts[1], parts[2], parts[0]]), whole)
    for a in range(6):
        for b in range(a):  # sd of a correlation: 1 / sqrt N
            r = np.corrcoef(whole[a].ravel(), whole[b].ravel())[0, 1]
            assert abs(r) < 4.5 * whole[a].size ** -0.5
    other = camera(2, read_noise_e=read_noise, offset_dn=50.0).expose(light, 1e-3, frame=10)
    assert abs(np.corrcoef(whole[0].ravel(), other[0].ravel())[0, 1]) < 4.5 * whole[0].size ** -0.5


def test_threads_change_nothing() -> None:
    light = flat(8.0, 5)
    expected = camera(read_noise_e=1.0).expose(light, 1e-3)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(camera(read_noise_e=1.0).expose(light, 1e-3), expected)
    finally:
        numba.set_num_threads(before)


def test_fixed_pattern_belongs_to_the_pixel() -> None:
    device = camera(3, prnu=0.05, dsnu_e=4.0)
    responsivity, dsnu = device.fixed_pattern(np.arange(64 * 96))
    chosen = np.array([5, 96, 4000])
    assert np.array_equal(device.fixed_pattern(chosen)[0], responsivity[chosen])
    assert np.array_equal(camera(3, prnu=0.05, dsnu_e=4.0).fixed_pattern(chosen)[1], dsnu[chosen])
    n = responsivity.size
    assert abs(responsivity.std() / 0.05 - 1) < 4.5 * (2 * n) ** -0.5
    assert abs(dsnu.std() / 4.0 - 1) < 4.5 * (2 * n) ** -0.5
    assert abs(np.corrcoef(responsivity, dsnu)[0, 1]) < 4.5 * n**-0.5
    # A corner of the sensor is the same pixels as in the whole.
    whole = device.expose(flat(900.0), 1e-3)
    assert np.array_equal(np.unique(device.fixed_pattern(np.array([96 * 2 + 1]))[0]), responsivity[[193]])
    assert whole.shape == (1, 64, 96)


def test_charge_depends_on_pixel_not_on_the_region() -> None:
    """With noise far below the fixed pattern, pixel (1, 2) of a small region is pixel (1, 2) of the
    sensor."""
    device = camera(prnu=0.1, full_well_e=1e9, gain_dn_per_e=2e-5)
    whole = device.expose(flat(1e9), 1e-3).astype(int)
    part = device.expose(flat(1e9, 1, 5, 7), 1e-3).astype(int)
    assert np.abs(part[0] - whole[0, :5, :7]).max() <= 4
    assert np.ptp(whole) > 1000


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (1, 1, 1)])
def test_odd_shapes(shape: tuple[int, int, int]) -> None:
    assert camera().expose(np.zeros(shape), 0.0).shape == shape


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_type_and_layout_of_the_light_change_nothing(dtype: type, order: str) -> None:
    light = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    expected = camera(read_noise_e=2.0).expose(light, 1e-3)
    assert np.array_equal(camera(read_noise_e=2.0).expose(np.array(light, dtype, order=order), 1e-3), expected)


def test_camera_by_name_card_and_mapping() -> None:
    card = load_camera_card("cmv2000")
    light = flat(900.0, 1, 4, 6)
    expected = Camera("cmv2000", 3).expose(light, 4e-4)
    assert np.array_equal(Camera(card, 3).expose(light, 4e-4), expected)
    assert np.array_equal(Camera(card.model_dump(), 3).expose(light, 4e-4), expected)
    assert expected.dtype == np.uint8
    with pytest.raises(ConfigError, match="no such camera"):
        Camera("cmv9999")
    with pytest.raises(ConfigError, match=r"camera card: adc_bits = 17: must be an integer >= 1 and <= 16"):
        camera(adc_bits=17)
    with pytest.raises(ConfigError, match=r"unknown key; did you mean 'read_noise_e'"):
        camera(read_noise=1.0)


def test_offset_beyond_the_converter_is_refused() -> None:
    with pytest.raises(ConfigError):
        camera(adc_bits=8, offset_dn=300.0, gain_dn_per_e=None)


@pytest.mark.parametrize(
    ("photons", "exposure_s", "message"),
    [
        (np.zeros((3, 4)), 1e-3, r"photons: shape \(3, 4\); must be \[frame, row <= 64, column <= 96\]"),
        (np.zeros((1, 65, 4)), 1e-3, r"photons: shape \(1, 65, 4\)"),
        (np.zeros((1, 4, 97)), 1e-3, r"photons: shape \(1, 4, 97\)"),
        (np.zeros((1, 4, 4), int), 1e-3, r"photons: dtype int64; must be a float type"),
        (np.full((1, 4, 4), -1e-9), 1e-3, r"photons: holds NaN, infinite or negative values"),
        (np.full((1, 4, 4), np.nan), 1e-3, r"photons: holds NaN, infinite or negative values"),
        (np.full((1, 4, 4), np.inf), 1e-3, r"photons: holds NaN, infinite or negative values"),
        (np.zeros((1, 4, 4)), -1e-3, r"exposure_s = -0.001: must be a number >= 0"),
        (np.zeros((1, 4, 4)), np.nan, r"exposure_s = nan: must be a number >= 0"),
    ],
)
def test_bad_light(photons: np.ndarray, exposure_s: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        camera().expose(photons, exposure_s)
