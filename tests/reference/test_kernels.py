"""Every numba kernel against its naive twin: odd shapes, empty arrays, extreme values."""

import naive
import numpy as np
import pytest
from numba import njit

from opu_sim._kernels import camera, medium, random, recovery, speckle

KEY, KEY_2 = np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543210)
EDGE_WORDS = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1]
SHAPES = [(0, 5), (3, 0), (1, 1), (2, 3), (3, 17), (5, 33)]


@njit
def pairs_of(bits):
    out = np.empty((len(bits), 2), np.float32)
    for i in range(len(bits)):
        out[i] = random.normal_pair(bits[i])
    return out


@njit
def uniforms_of(bits):
    out = np.empty(len(bits), np.float32)
    for i in range(len(bits)):
        out[i] = random.uniform(bits[i])
    return out


@njit
def poisson_of(mean, bits):
    out = np.empty(len(bits), np.float32)
    for i in range(len(bits)):
        out[i] = camera._poisson(mean, bits[i])
    return out


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def words(count: int) -> np.ndarray:
    return np.concatenate([np.array(EDGE_WORDS, dtype=np.uint64), rng().integers(0, 2**64, count, dtype=np.uint64)])


def test_hash_equals_python_integers() -> None:
    cases = [(a, b, c) for a in EDGE_WORDS for b in EDGE_WORDS for c in EDGE_WORDS]
    cases += [tuple(int(w) for w in row) for row in rng().integers(0, 2**64, (500, 3), dtype=np.uint64)]
    for case in cases:
        assert int(random.hash_counter(*map(np.uint64, case))) == naive.hash_counter(*case)


def test_first_key_alone_is_splitmix64() -> None:
    """With key_2 = 0 the hash is SplitMix64: published outputs for seed 1234567 (Vigna's splitmix64.c,
    Rosetta Code)."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    got = [int(random.hash_counter(np.uint64(1234567), np.uint64(0), np.uint64(i + 1))) for i in range(len(published))]
    assert got == published


def test_uniform_is_bit_identical() -> None:
    bits = words(2000)
    assert uniforms_of(bits).astype(np.float64).tolist() == [naive.uniform(int(b)) for b in bits]


def test_normal_pair() -> None:
    bits = words(20_000)
    got = pairs_of(bits)
    expected = np.array([naive.normal_pair(int(b)) for b in bits])
    # log2 off by 1e-7 and float32 rounding move radius^2 (at most 44.4) by 2 ln 2 (1e-7 + 32 * 6e-8) at most,
    # the trigonometric polynomials and their products by 6.66 * (3e-8 + 2 * 6e-8): together below 1.5e-6.
    assert np.abs(got - expected).max() < 1.5e-6
    # Typical draws (radius about 1) are ten times better.
    assert np.sqrt(np.mean((got - expected) ** 2)) < 1.5e-7


@pytest.mark.parametrize("first", [0, 7, 2**40, 2**63 - 3])
@pytest.mark.parametrize("count", [0, 1, 5, 33])
def test_normals(first: int, count: int) -> None:
    out = np.empty(count, np.float32)
    random.normals(KEY, KEY_2, first, out)
    np.testing.assert_allclose(out, naive.normals(KEY, KEY_2, first, count), rtol=0, atol=1.5e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("corner", [(0, 0), (3, 2**40), (2**40, 11)])
def test_fill_matrix(shape: tuple[int, int], corner: tuple[int, int]) -> None:
    re, im = np.empty(shape, np.float32), np.empty(shape, np.float32)
    medium.fill_matrix(KEY, KEY_2, *corner, re, im)
    steps = naive.matrix_in_grid_steps(KEY, KEY_2, *corner, *shape)
    got = np.stack([re, im], axis=-1).astype(np.float64) * 2**11
    assert np.array_equal(got, np.rint(got))
    # An error of 1.5e-6 in a normal is 2.2e-3 of a grid step: only values nearer to a tie may round
    # otherwise.
    sure = np.abs(np.abs(steps - np.floor(steps)) - 0.5) > 2.5e-3
    assert np.array_equal(got[sure], np.rint(steps)[sure])
    assert np.abs(got - steps).max(initial=0) < 0.503


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("patterns", [0, 1, 4])
def test_add_columns_is_exact(shape: tuple[int, int], patterns: int) -> None:
    matrix = (rng().integers(-8000, 8000, (2, *shape)) / 2048).astype(np.float32)
    b = rng(1).integers(0, 2, (patterns, shape[0]), dtype=np.uint8)
    if patterns > 1:
        b[0], b[1] = 0, 1
    re, im = (np.full((patterns, shape[1]), np.nan, np.float32) for _ in range(2))
    medium.add_columns(b, *matrix, re, im)
    assert np.array_equal(re, naive.add_columns(b, matrix[0]))
    assert np.array_equal(im, naive.add_columns(b, matrix[1]))


@pytest.mark.parametrize("mean", [0.0, 1e-30, 0.3, 4.0, 19.999])
def test_poisson_inversion_is_exact(mean: float) -> None:
    bits = words(1000)
    assert poisson_of(mean, bits).tolist() == [naive.poisson(mean, int(b)) for b in bits]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("read_noise", "exact_below", "dtype", "max_dn", "gain", "offset"),
    [
        (13.0, 0.0, np.uint8, 255, 0.0189, 0.0),
        (0.5, 20.0, np.uint16, 1023, 0.9, 12.0),
        (0.0, 20.0, np.uint16, 65535, 4.0, 0.0),
    ],
)
def test_expose(
    shape: tuple[int, int],
    read_noise: float,
    exact_below: float,
    dtype: type,
    max_dn: int,
    gain: float,
    offset: float,
) -> None:
    light = rng().choice(np.array([0.0, 1e-30, 0.5, 8.0, 30.0, 900.0, 2e4, 1e6, 1e30], np.float32), shape)
    responsivity = (0.6 * (1 + 0.05 * rng(1).standard_normal(shape[1]))).astype(np.float32)
    dsnu = (3.0 * rng(2).standard_normal(shape[1])).astype(np.float32)
    out = np.empty(shape, dtype)
    constants = [np.float32(v) for v in (0.4, 13500.0, read_noise)]
    tail = [np.float32(gain), np.float32(offset), max_dn, np.float32(exact_below)]
    hot, hot_e = np.flatnonzero(rng(3).random(shape[1]) < 0.3), np.float32(25.0)
    counted = camera.expose(light, responsivity, *constants, dsnu, *tail, hot, hot_e, KEY, KEY_2, 9, out)
    expected, margin = naive.expose(
        light,
        responsivity,
        *map(float, constants),
        dsnu,
        *map(float, tail[:2]),
        max_dn,
        exact_below,
        hot,
        float(hot_e),
        KEY,
        KEY_2,
        9,
    )
    # float32 carries 2^-24 of the charge: 8e-4 e- at the full well, times the gain. Nearer ties may go either
    # way.
    sure = margin > 5e-3
    assert np.array_equal(out[sure], expected[sure])
    assert np.abs(out.astype(np.int64) - expected).max(initial=0) <= max(1, gain)
    assert counted == (np.count_nonzero(out == max_dn), np.count_nonzero(out == 0))
    assert sure.sum() >= 0.8 * sure.size


def test_chosen() -> None:
    pixel = np.array([0, 3, 2**31, 7, 2**40], np.int64)
    out = np.empty(5, bool)
    for share in (1e-6, 0.3, 0.5, 0.99):
        camera.chosen(KEY, KEY_2, np.float32(share), pixel, out)
        lots = [((naive.hash_counter(int(KEY), int(KEY_2), int(i)) & 0xFFFFFFFF) // 2 + 0.5) / 2**31 for i in pixel]
        assert np.array_equal(out, np.array(lots) < share)


def test_expose_numbers_frames_from_first_frame() -> None:
    light = np.full((3, 9), 500.0, np.float32)
    unit, zero = np.ones(9, np.float32), np.zeros(9, np.float32)
    scalars = [np.float32(v) for v in (0.0, 1e5, 2.0)]
    tail = [np.float32(1.0), np.float32(0.0), 4095, np.float32(0.0), np.empty(0, np.int64), np.float32(0.0)]
    out = np.empty((3, 9), np.uint16)
    camera.expose(light, unit, *scalars, zero, *tail, KEY, KEY_2, 5, out)
    late = np.empty((1, 9), np.uint16)
    camera.expose(light[:1], unit, *scalars, zero, *tail, KEY, KEY_2, 7, late)
    assert np.array_equal(out[2], late[0])
    assert not np.array_equal(out[0], late[0])


@pytest.mark.parametrize("shape", [(0, 5), (3, 2), (1, 3), (2, 19), (4, 35)])
@pytest.mark.parametrize(("weight", "jitter"), [(1.0, 0.0), (0.55, 0.0), (0.9, 0.7)])
@pytest.mark.parametrize("step", [1, 2])
def test_speckle_photons(shape: tuple[int, int], weight: float, jitter: float, step: int) -> None:
    patterns, width = shape
    field = (rng().standard_normal(shape) + 1j * rng(1).standard_normal(shape)).astype(np.complex64)
    field[:1, 1:4] = 0
    offset = (rng(2).standard_normal(width) + 1j * rng(3).standard_normal(width)).astype(np.complex64)
    offset[1:4] = 0
    sigma = np.full(patterns, jitter, np.float32)
    per_intensity = np.linspace(1, 1e6, patterns, dtype=np.float32)
    keep, first_out = 0.97, step - 1
    out = np.full((patterns * step, width - 2), -1, np.float32)
    parts = [np.ascontiguousarray(part) for part in (field.real, field.imag)]
    speckle.speckle_photons(
        *parts,
        np.float32(-0.9),
        np.ascontiguousarray(offset.real),
        np.ascontiguousarray(offset.imag),
        np.float32(weight),
        sigma,
        np.float32(keep),
        per_intensity,
        KEY,
        KEY_2,
        100,
        step,
        first_out,
        out,
    )
    draws = naive.noise(KEY, KEY_2, 100, step, patterns, width - 2)
    expected = naive.speckle_photons(field, -0.9, offset, weight, sigma, keep, per_intensity, draws)
    # Differences of fields near 1 in float32, squared: 1e-6 of the unit intensity, relative to it.
    np.testing.assert_allclose(
        out[first_out::step] / per_intensity[:, None], expected / per_intensity[:, None], 2e-6, 4e-6
    )
    if step == 2:
        assert np.all(out[::2] == -1)


@pytest.mark.parametrize("shape", SHAPES)
def test_perturb_fields(shape: tuple[int, int]) -> None:
    field = (rng().standard_normal(shape) + 1j * rng(1).standard_normal(shape)).astype(np.complex64)
    re, im = field.real.copy(), field.imag.copy()
    sigma = np.linspace(0, 2, shape[0], dtype=np.float32)
    speckle.perturb_fields(re, im, sigma, np.float32(0.9), KEY, KEY_2, 3)
    draws = naive.noise(KEY, KEY_2, 3, 1, *shape)
    expected = naive.perturb_fields(field, sigma, float(np.float32(0.9)), draws)
    np.testing.assert_allclose(re, expected.real, 0, 4e-6)
    np.testing.assert_allclose(im, expected.imag, 0, 4e-6)


FIRSTS = [[0], [0, 0], [0, 1], [0, 2, 2, 5], [0, 12, 14]]


@pytest.mark.parametrize("first", FIRSTS)
@pytest.mark.parametrize("outputs", [0, 1, 19])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_combine_pairs(first: list[int], outputs: int, dtype: type) -> None:
    top = np.iinfo(dtype).max
    counts = rng().integers(0, top, (2 * first[-1], outputs), dtype=dtype, endpoint=True)
    counts[:1], counts[1:2] = 0, top  # the largest difference must not wrap around
    weights = rng(1).standard_normal(first[-1]).astype(np.float32)
    constant, tilt, scale = rng(2).standard_normal((3, outputs)).astype(np.float32)
    on = rng(3).random(first[-1]).astype(np.float32)
    out = np.full((len(first) - 1, outputs), np.nan, np.float32)
    bounds = np.array(first, np.int64)
    recovery.combine_pairs(counts, weights, on, bounds, constant, tilt, scale, out)
    expected = naive.combine_pairs(counts, weights, on, bounds, constant, tilt, scale)
    # Sums of up to 12 terms as large as 3 * top, in float32.
    np.testing.assert_allclose(out, expected, 2e-6, 1e-5 * top)


@pytest.mark.parametrize("first", FIRSTS)
@pytest.mark.parametrize("outputs", [0, 1, 19])
def test_combine_fields(first: list[int], outputs: int) -> None:
    fields = rng().standard_normal((first[-1], outputs)).astype(np.float32)
    weights = rng(1).standard_normal(first[-1]).astype(np.float32)
    constant = rng(2).standard_normal(outputs).astype(np.float32)
    out = np.full((len(first) - 1, outputs), np.nan, np.float32)
    bounds = np.array(first, np.int64)
    recovery.combine_fields(fields, weights, bounds, constant, np.float32(0.3), out)
    expected = naive.combine_fields(fields, weights, bounds, constant, float(np.float32(0.3)))
    np.testing.assert_allclose(out, expected, 2e-6, 1e-5)
