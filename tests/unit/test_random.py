"""Random kernels: error of the polynomials, moments, independence, extremes; named streams."""

import numba
import numpy as np
import pytest
from numba import njit
from scipy import stats

from opu_sim import ConfigError
from opu_sim._kernels.camera import expose
from opu_sim._kernels.medium import fill_matrix
from opu_sim._kernels.random import hash_counter, log2_poly, normal_pair, normals, uniform
from opu_sim.rng import stream, stream_key

DRAWS = 4_000_000
SIGMAS = 4.5  # two-sided bound for a standard normal: 7e-6 a check, some 100 checks here


@njit
def many_pairs(key, key_2, count):
    out = np.empty((2, count), np.float32)
    for i in range(count):
        out[0, i], out[1, i] = normal_pair(hash_counter(key, key_2, np.uint64(i)))
    return out


@njit
def log2_of(u):
    out = np.empty_like(u)
    for i in range(len(u)):
        out[i] = log2_poly(u[i])
    return out


@njit
def pairs_of_bits(bits):
    out = np.empty((len(bits), 2), np.float32)
    for i in range(len(bits)):
        out[i] = normal_pair(bits[i])
    return out


@njit
def uniform_extremes(first, last):
    """Smallest and largest uniform over a range of low words."""
    low, high = np.float32(2.0), np.float32(-1.0)
    for word in range(first, last):
        u = uniform(np.uint64(word))
        low, high = min(low, u), max(high, u)
    return low, high


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    return many_pairs(*stream_key(1, "test"), DRAWS // 2).astype(np.float64)


def test_log2_is_off_by_1e_7() -> None:
    """Error of log2_poly against float64: the polynomial's 1e-7 and float32 rounding of exponent + p x."""
    mantissa = np.linspace(1, 2, 200_001, endpoint=False).astype(np.float32)
    for exponent in (-32, -5, -2, -1):
        u = np.ldexp(mantissa, exponent)
        error = np.abs(log2_of(u) - np.log2(u.astype(np.float64))).max()
        # The sum is rounded to half an ulp of its magnitude, Horner's last steps to about 6e-8.
        assert 3e-8 < error < 1e-7 + 6e-8 + 0.5 * np.spacing(np.float32(-exponent))
    # Next to 1 the relative error counts: the radius is the root of the logarithm.
    near = np.float32(1.0) - np.arange(1, 2000, dtype=np.float32) * np.float32(2**-24)
    relative = log2_of(near) / np.log2(near.astype(np.float64)) - 1
    assert np.abs(relative).max() < 2e-7


def test_sine_and_cosine_are_off_by_3e_8() -> None:
    """Radius from the word's low half, angle from its high half: pairs at one fixed radius around the
    circle."""
    low = np.uint64(2 * 0x05_F5_E1_00)
    high = np.linspace(0, 2**32, 400_000, endpoint=False).astype(np.uint64)
    got = pairs_of_bits(high << np.uint64(32) | low).astype(np.float64)
    quarter_turns = (high >> np.uint64(30)).astype(np.float64)
    r = (high & np.uint64(2**30 - 1)).astype(np.int64)
    r = np.where(r >= 2**29, r - 2**30, r) / 2**30
    angle = 0.5 * np.pi * (quarter_turns + r)
    radius = np.hypot(*got.T)
    # Pythagoras: cos^2 + sin^2 = 1 to twice the two errors.
    assert np.ptp(radius) / radius.mean() < 2 * 2 * (3e-8 + 1e-7)
    unit = got / radius.mean()
    for part, exact in ((unit[:, 0], np.cos(angle)), (unit[:, 1], np.sin(angle))):
        error = np.abs(part - exact).max()
        # 3e-8 of the polynomial, and three roundings of 6e-8 (r, the polynomial, the product with the
        # radius).
        assert 3e-8 < error < 3e-8 + 3 * 6e-8


def test_moments_to_fourth_order(pairs: np.ndarray) -> None:
    """sd of the sample means of z, z^2, z^3, z^4 over N draws: sqrt(1, 2, 15, 96) / sqrt N."""
    for part in (pairs[0], pairs[1], pairs.ravel()):
        n = part.size
        for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs(np.mean(part**power) - mean) < SIGMAS * (variance / n) ** 0.5


def test_normal_distribution_function(pairs: np.ndarray) -> None:
    # Kolmogorov: P(D sqrt n > 2.0) = 7e-4. Of a normal with a standard deviation 0.5 % off, D sqrt n would be
    # 2.4.
    z = pairs.ravel()
    assert stats.kstest(z, "norm").statistic * z.size**0.5 < 2.0
    assert stats.kstest(1.005 * z, "norm").statistic * z.size**0.5 > 2.0


def test_tails(pairs: np.ndarray) -> None:
    """Counts beyond 3, 4 and 5 sd are Poisson with the normal law's mean."""
    z = np.abs(pairs.ravel())
    for bound in (3.0, 4.0, 4.75):
        expected = z.size * 2 * stats.norm.sf(bound)
        assert abs(np.count_nonzero(z > bound) - expected) < SIGMAS * expected**0.5
    assert z.max() < 6.67


def test_the_two_draws_of_a_pair_are_independent(pairs: np.ndarray) -> None:
    """sd of the mean of z w is 1 / sqrt n, of (z^2 - 1)(w^2 - 1) 2 / sqrt n, of z^2 w sqrt 3 / sqrt n."""
    z, w = pairs
    n = z.size
    assert abs(np.mean(z * w)) < SIGMAS * n**-0.5
    assert abs(np.mean((z**2 - 1) * (w**2 - 1))) < SIGMAS * 2 * n**-0.5
    assert abs(np.mean(z**2 * w)) < SIGMAS * (3 / n) ** 0.5
    # 2-d histogram in 16 x 16 cells of equal probability: chi-square with 255 degrees of freedom.
    edges = stats.norm.ppf(np.linspace(0, 1, 17)[1:-1])
    cells = np.digitize(z, edges) * 16 + np.digitize(w, edges)
    assert 1e-4 < stats.chisquare(np.bincount(cells, minlength=256)).pvalue < 1 - 1e-4


def test_neighbouring_counters_are_independent(pairs: np.ndarray) -> None:
    n = pairs.shape[1]
    for lag in (1, 2, 64):
        for part in pairs:
            assert abs(np.mean(part[lag:] * part[:-lag])) < SIGMAS * n**-0.5
            assert abs(np.mean((part[lag:] ** 2 - 1) * (part[:-lag] ** 2 - 1))) < SIGMAS * 2 * n**-0.5


def test_rows_and_streams_are_independent() -> None:
    """All 256 x 255 / 2 correlations between rows of n draws: mean square 1 / n, none beyond 6 sd."""
    n = 4096
    re, im = np.empty((n, 128), np.float32), np.empty((n, 128), np.float32)
    fill_matrix(*stream_key(3, "test"), 0, 0, re, im)
    rows = np.concatenate([re.T, im.T]).astype(np.float64) * 2**0.5
    correlation = (rows @ rows.T / n)[np.triu_indices(256, 1)] * n**0.5
    # The mean square of 32,640 squared normals has an sd of sqrt(2 / 32640) = 0.8 %.
    assert abs(np.mean(correlation**2) - 1) < SIGMAS * (2 / correlation.size) ** 0.5
    assert np.abs(correlation).max() < 6
    other = np.empty_like(re)
    fill_matrix(*stream_key(3, "test 2"), 0, 0, other, im)
    assert abs(np.mean(2 * other * re)) < SIGMAS * other.size**-0.5


def test_uniform_is_never_zero() -> None:
    for first in (0, 2**31 - 2000, 2**32 - 2000):
        low, high = uniform_extremes(first, first + 2000)
        assert 2.0**-32 <= low <= high <= 1.0
    assert uniform_extremes(0, 1)[0] == 2.0**-32
    assert uniform_extremes(2**32 - 1, 2**32)[1] == 1.0


def test_no_nan_at_the_edges() -> None:
    words = [0, 1, 2, 3, 2**31, 2**32 - 2, 2**32 - 1]
    corners = [high << 32 | low for high in [*words, 2**29, 2**30, 2**30 - 1, 3 * 2**29] for low in words]
    z = pairs_of_bits(np.array(corners, np.uint64))
    assert np.all(np.isfinite(z))
    assert 6.65 < np.abs(z).max() < 6.67  # sqrt(2 * 32 ln 2) = 6.6604
    # The largest uniforms: their logarithm must not come out positive.
    u = np.float32(1) - np.arange(0, 100_000, dtype=np.float32) * np.float32(2**-24)
    assert np.all(log2_of(u) <= 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_number_of_threads_changes_nothing(threads: int) -> None:
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer processors than threads")
    key = stream_key(4, "test")
    light = np.full((7, 513), 900.0, np.float32)
    unit, zero = np.ones(513, np.float32), np.zeros(513, np.float32)
    counts = np.empty((7, 513), np.uint16)
    re, im = np.empty((31, 257), np.float32), np.empty((31, 257), np.float32)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        scalars = [np.float32(v) for v in (0.0, 1e5, 2.0)]
        cold = np.empty(0, np.int64), np.float32(0)  # no hot pixels
        expose(light, unit, *scalars, zero, np.float32(1), np.float32(0), 4095, np.float32(0), *cold, *key, 0, counts)
        fill_matrix(*key, 0, 0, re, im)
    finally:
        numba.set_num_threads(before)
    line = np.empty((1, 513), np.uint16)
    for frame in range(7):  # one frame a call cannot be shared between threads
        expose(
            light[:1],
            unit,
            *scalars,
            zero,
            np.float32(1),
            np.float32(0),
            4095,
            np.float32(0),
            *cold,
            *key,
            frame,
            line,
        )
        assert np.array_equal(counts[frame], line[0])
    for column in range(31):
        part_re, part_im = np.empty((1, 257), np.float32), np.empty((1, 257), np.float32)
        fill_matrix(*key, 0, column, part_re, part_im)
        assert np.array_equal(part_re[0], re[column])
        assert np.array_equal(part_im[0], im[column])


def test_normals_do_not_depend_on_the_cut() -> None:
    key = stream_key(5, "test")
    whole = np.empty(1001, np.float32)
    normals(*key, 0, whole)
    part = np.empty(400, np.float32)
    normals(*key, 601, part)
    assert np.array_equal(whole[601:], part)


def test_stream_keys_differ_in_seed_name_and_index() -> None:
    keys = [
        stream_key(seed, name, *index)
        for seed in (0, 1, 2**63 - 1)
        for name in ("camera.temporal", "camera.prnu")
        for index in ((), (0,), (1,), (1, 0))
    ]
    assert len(set(keys)) == len(keys)
    assert stream_key(np.int64(7), "a") == stream_key(7, "a")
    assert stream(1, "a").random() == stream(1, "a").random()
    assert stream(1, "a").random() != stream(1, "b").random()


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None, True])
def test_bad_seeds(seed: object) -> None:
    with pytest.raises(ConfigError, match="must be an integer in 0"):
        stream_key(seed, "a")  # type: ignore[arg-type]
