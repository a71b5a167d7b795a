"""Transmission matrix: law of the entries, keyed blocks, exact products with binary patterns."""

import numba
import numpy as np
import pytest

from opu_sim import DeviceError
from opu_sim._kernels.medium import GRID, add_columns
from opu_sim.medium import StoredMedium

SIGMAS = 4.5


@pytest.fixture(scope="module")
def entries() -> np.ndarray:
    return StoredMedium(1, 1000, 1000).matrix().astype(np.complex128).ravel()


def test_moments_of_the_entries(entries: np.ndarray) -> None:
    """E T = 0, E T^2 = 0, E|T|^2 = 1, E|T|^4 = 2, E|T|^6 = 6.

    Of N entries: sd of the mean of a quadrature 1 / sqrt(2 N), of T^2 1 / sqrt N a part, of |T|^2 1 / sqrt N,
    of |T|^4 sqrt(24 - 4) / sqrt N, of |T|^6 sqrt(720 - 36) / sqrt N.
    """
    n = entries.size
    for part in (np.real, np.imag):
        assert abs(part(entries.mean())) < SIGMAS * (2 * n) ** -0.5
        assert abs(part(np.mean(entries**2))) < SIGMAS * n**-0.5
    power = np.abs(entries) ** 2
    for order, mean, variance in ((1, 1, 1), (2, 2, 20), (3, 6, 684)):
        assert abs(np.mean(power**order) - mean) < SIGMAS * (variance / n) ** 0.5


def test_entries_lie_on_the_grid(entries: np.ndarray) -> None:
    for part in (entries.real, entries.imag):
        steps = part * 2**11
        assert np.array_equal(steps, np.rint(steps))
        assert np.any(steps % 2 == 1)  # and on no coarser one
    assert GRID == 2.0**-11


def test_rows_and_columns_are_independent() -> None:
    """N |r|^2 of the correlation of two rows is exponential of mean 1; 32,640 pairs average it to 0.55 %."""
    n = 256
    T = StoredMedium(2, n, n).matrix().astype(np.complex128)
    for matrix in (T, T.T):
        r = (matrix @ matrix.conj().T)[np.triu_indices(n, 1)]
        power = np.abs(r) ** 2 / n
        assert abs(power.mean() - 1) < SIGMAS * power.size**-0.5
        assert power.max() < np.log(power.size) + 7  # of exponentials: exceeded once in e^7


@pytest.mark.parametrize(("n_in", "n_outputs", "first_output"), [(1, 1, 0), (37, 11, 5), (200, 3, -1), (64, 40, 17)])
def test_entries_depend_on_seed_output_and_input_alone(n_in: int, n_outputs: int, first_output: int) -> None:
    whole = StoredMedium(4, 200, 60, first_output=-1).matrix()
    part = StoredMedium(4, n_in, n_outputs, first_output=first_output)
    start = first_output + 1
    assert np.array_equal(part.matrix(), whole[start : start + n_outputs, :n_in])
    assert not np.array_equal(part.matrix(), StoredMedium(5, n_in, n_outputs, first_output).matrix())
    column = np.array(part.column(3))
    assert np.array_equal(column, np.array(StoredMedium(4, 9, n_outputs, first_output).column(3)))
    assert not np.any(np.all(column[0] == part.matrix().real.T, axis=1))


def exact(medium: StoredMedium, patterns: np.ndarray) -> np.ndarray:
    """T b in integers of 2^-11."""
    T = medium.matrix()
    steps = [np.rint(part.astype(np.float64) * 2**11).astype(np.int64) for part in (T.real, T.imag)]
    return np.array([patterns.astype(np.int64) @ part.T for part in steps]) / 2**11


@pytest.mark.parametrize("n_in", [1, 3, 63, 64, 65, 300, 5000])
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_product_is_exact_in_every_way(n_in: int, batch: int) -> None:
    medium = StoredMedium(6, n_in, 33)
    b = np.random.default_rng(0).integers(0, 2, (batch, n_in), dtype=np.uint8)
    if batch > 2:
        b[0], b[1] = 0, 1
    expected = exact(medium, b)
    assert np.array_equal(np.array(medium.propagate(b)), expected)  # adds columns up to 64 inputs, else BLAS
    T = np.ascontiguousarray(medium.matrix().T)
    re, im = (np.ascontiguousarray(part) for part in (T.real, T.imag))
    out = np.empty((2, batch, 33), np.float32)
    add_columns(b, re, im, *out)
    assert np.array_equal(out, expected)
    for row in range(batch):  # any cut of the batch
        assert np.array_equal(np.array(medium.propagate(b[row : row + 1]))[:, 0], expected[:, row])
    blas = b.astype(np.float32)[:, ::-1] @ np.ascontiguousarray(re[::-1])  # any order of the sum
    assert np.array_equal(blas, expected[0])


def test_product_off_the_grid_is_not_exact() -> None:
    """Control: entries that are not rounded to the grid give sums that depend on their order."""
    rng = np.random.default_rng(1)
    T, b = (
        rng.standard_normal((5000, 33)).astype(np.float32),
        rng.integers(0, 2, (7, 5000)).astype(np.float32),
    )
    assert not np.array_equal(b @ T, b[:, ::-1] @ np.ascontiguousarray(T[::-1]))


@pytest.mark.parametrize("n_in", [40, 400])
def test_threads_change_nothing(n_in: int) -> None:
    b = np.random.default_rng(2).integers(0, 2, (5, n_in), dtype=np.uint8)
    before = numba.get_num_threads()
    expected = np.array(StoredMedium(7, n_in, 65).propagate(b))
    try:
        numba.set_num_threads(1)
        assert np.array_equal(np.array(StoredMedium(7, n_in, 65).propagate(b)), expected)
    finally:
        numba.set_num_threads(before)


def real_amplitudes(batch: int, n_in: int) -> np.ndarray:
    rng = np.random.default_rng(8)
    return (rng.standard_normal((batch, n_in)) * 10.0 ** rng.uniform(-6, 6, (batch, 1))).astype(np.float32)


def exact_amplitudes(medium: StoredMedium, b: np.ndarray) -> np.ndarray:
    """T b in Python integers: amplitudes in 2^-24 of the power of two above the largest, entries in 2^-11."""
    T = medium.matrix()
    steps = [np.rint(part.astype(np.float64) * 2**11).astype(np.int64).astype(object) for part in (T.real, T.imag)]
    out = np.zeros((2, len(b), len(T)))
    for p, pattern in enumerate(b):
        parts = [pattern.real.astype(np.float64), pattern.imag.astype(np.float64)]
        exponent = int(np.frexp(max(np.abs(part).max() for part in parts))[1])
        re, im = (np.rint(np.ldexp(part, 24 - exponent)).astype(np.int64).astype(object) for part in parts)
        for i, total in enumerate((steps[0] @ re - steps[1] @ im, steps[0] @ im + steps[1] @ re)):
            out[i, p] = [np.ldexp(float(value), exponent - 35) for value in total]  # |value| < 2^53: exact
    return out


@pytest.mark.parametrize("n_in", [1, 33, 511, 512, 513, 2000])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_product_with_amplitudes_is_rounded_once(n_in: int, kind: str) -> None:
    medium = StoredMedium(6, n_in, 21)
    b = real_amplitudes(5, n_in)
    if kind == "complex":
        b = (b + 1j * b[:, ::-1]).astype(np.complex64)
    b[1] = 0
    expected = exact_amplitudes(medium, b).astype(np.float32)
    assert np.array_equal(medium.propagate(b), expected)
    for row in range(5):
        assert np.array_equal(np.array(medium.propagate(b[row : row + 1]))[:, 0], expected[:, row])
    # Near the product of the amplitudes as they were given: 2^-25 of the largest times the root of n_in.
    T = medium.matrix().astype(np.complex128)
    near = b.astype(np.complex128) @ T.T
    largest = np.abs(b).max(axis=1, keepdims=True)
    assert np.all(np.abs(expected[0] + 1j * expected[1] - near) <= largest * (2.0**-24 * 6 * n_in**0.5))


def test_order_of_a_float32_sum_does_reach_the_result() -> None:
    """Control: the same product in single precision depends on the order of the inputs."""
    medium = StoredMedium(6, 2000, 21)
    b = real_amplitudes(5, 2000)
    re = medium.matrix().T.real
    assert not np.array_equal(b @ re, b[:, ::-1] @ np.ascontiguousarray(re[::-1]))


def test_amplitudes_of_zero_and_one_are_a_binary_pattern() -> None:
    medium = StoredMedium(6, 300, 9)
    b = np.random.default_rng(9).integers(0, 2, (4, 300), dtype=np.uint8)
    expected = medium.propagate(b)
    for dtype in (np.bool_, np.float32, np.float64, np.complex64, np.complex128):
        assert np.array_equal(medium.propagate(b.astype(dtype)), expected)
    assert np.array(medium.propagate(np.empty((0, 300), np.float32))).shape == (2, 0, 9)


def test_patterns_of_other_kinds() -> None:
    medium = StoredMedium(0, 3, 2)
    with pytest.raises(ValueError, match="patterns: dtype int64; must be uint8, or float or complex for amplitudes"):
        medium.propagate(np.ones((1, 3), np.int64))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="patterns: amplitudes must be finite"):
            medium.propagate(np.full((1, 3), bad, np.float32))


@pytest.mark.parametrize("n_in", [20, 300])
def test_illumination_is_part_of_the_matrix(n_in: int) -> None:
    rng = np.random.default_rng(10)
    factors = (rng.uniform(0.5, 1.5, n_in) * np.exp(2j * np.pi * rng.uniform(size=n_in))).astype(np.complex64)
    bare, lit = StoredMedium(6, n_in, 33), StoredMedium(6, n_in, 33, illumination=factors)
    # Rounded to the grid once: half a step a part.
    difference = lit.matrix() - bare.matrix().astype(np.complex128) * factors
    assert max(np.abs(difference.real).max(), np.abs(difference.imag).max()) < 2.0**-12 * 1.01
    assert np.abs(lit.matrix() - bare.matrix()).max() > 0.1
    b = rng.integers(0, 2, (6, n_in), dtype=np.uint8)
    assert np.array_equal(np.array(lit.propagate(b)), exact(lit, b))
    assert np.array_equal(lit.column(0), bare.column(0))  # not an input
    even = StoredMedium(6, n_in, 33, illumination=np.ones(n_in, np.complex64))
    assert np.array_equal(even.matrix(), bare.matrix())
    with pytest.raises(ValueError, match=r"illumination: shape \(3,\); must be"):
        StoredMedium(6, n_in, 33, illumination=np.ones(3, np.complex64))


def test_matrix_too_large_for_this_computer() -> None:
    with pytest.raises(DeviceError, match=r"n_in x n_out = 1099511627776 x 1048576: .* half of this computer's memory"):
        StoredMedium(0, 2**40, 2**20)
