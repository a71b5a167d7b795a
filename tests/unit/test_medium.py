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


def marchenko_pastur_square(x: np.ndarray) -> np.ndarray:
    """Distribution function of the squared singular values of an N x N matrix of variance 1 / N."""
    x = np.clip(x, 0, 4)
    return (np.sqrt(x * (4 - x)) + 4 * np.arcsin(np.sqrt(x) / 2)) / (2 * np.pi)


def distance_to_marchenko_pastur(T: np.ndarray) -> float:
    squared = np.linalg.eigvalsh(T @ T.conj().T) / np.sum(np.abs(T) ** 2) * len(T)
    law, n = marchenko_pastur_square(squared), len(T)
    return float(max(np.abs(law - np.arange(n) / n).max(), np.abs(law - np.arange(1, n + 1) / n).max()))


def test_singular_values_follow_marchenko_pastur() -> None:
    """Popoff et al. 2010, arXiv 0910.5436: measured matrices agree with random matrix theory."""
    T = StoredMedium(3, 256, 256).matrix().astype(np.complex128)
    assert distance_to_marchenko_pastur(T) < 0.03
    # Control: outputs closer than a grain share half of their field with a neighbour, and the law is missed.
    smeared = T + np.roll(T, 1, axis=0)
    assert distance_to_marchenko_pastur(smeared) > 0.08


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


def test_matrix_too_large_for_this_computer() -> None:
    with pytest.raises(DeviceError, match=r"n_in x n_out = 1099511627776 x 1048576: .* half of this computer's memory"):
        StoredMedium(0, 2**40, 2**20)
