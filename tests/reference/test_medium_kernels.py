"""Kernels of the medium against naive twins: entries that change, entries that are lit."""

import importlib
import pkgutil

import naive
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from opu_sim import _kernels
from opu_sim._kernels import medium

KEY, KEY_2 = np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543210)
SHAPES = [(0, 5), (3, 0), (1, 1), (2, 3), (3, 17), (5, 33)]
GRID = 2.0**-11


def keys_of(rows: range, steps: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Keys [step, row]; step s has the words KEY + s, KEY_2."""
    both = np.array(
        [[naive.row_keys(int(KEY) + s, int(KEY_2), row) for row in rows] for s in range(steps)], dtype=np.uint64
    )
    both = both.reshape(steps, len(rows), 2)
    return np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])


def close_to_whole_steps(got: np.ndarray, steps: np.ndarray, steps_off: float = 1e-2) -> None:
    """`got` is `steps` rounded to the grid, where float32 leaves no doubt about the rounding."""
    whole = got.astype(np.float64) / GRID
    assert np.array_equal(whole, np.rint(whole))
    sure = np.abs(np.abs(steps - np.floor(steps)) - 0.5) > steps_off
    assert np.array_equal(whole[sure], np.rint(steps[sure]))
    assert np.all(np.abs(whole - steps) < 0.5 + steps_off)
    assert sure.mean() > 0.9 if sure.size > 20 else True


@pytest.mark.parametrize("first", [-1, 0, 2**40])
def test_row_keys(first: int) -> None:
    for rows in (0, 1, 7):
        got = np.empty((2, rows), np.uint64)
        medium.row_keys(KEY, KEY_2, first, *got)
        expected = keys_of(range(first, first + rows))
        assert np.array_equal(got, np.array(expected)[:, 0])


@pytest.mark.parametrize("shape", SHAPES)
def test_tile_equals_its_part_of_the_matrix(shape: tuple[int, int]) -> None:
    inputs, outputs = shape
    got, expected = np.empty((2, *shape), np.float32), np.empty((2, *shape), np.float32)
    medium.fill_tile(*(k[0] for k in keys_of(range(4, 4 + outputs))), 9 + np.arange(inputs), *got)
    medium.fill_matrix(KEY, KEY_2, 4, 9, *expected)
    assert np.array_equal(got, expected)
    steps = naive.matrix_in_grid_steps(int(KEY), int(KEY_2), 4, 9, inputs, outputs)
    for part, wanted in zip(got, np.moveaxis(steps, -1, 0), strict=True):
        close_to_whole_steps(part, wanted)


def test_columns_of_a_tile_in_any_order() -> None:
    columns = np.array([2**40, 3, 0, 3])
    keys = [k[0] for k in keys_of(range(7))]
    got, one = np.empty((2, 4, 7), np.float32), np.empty((2, 1, 7), np.float32)
    medium.fill_tile(*keys, columns, *got)
    for c, column in enumerate(columns):
        medium.fill_tile(*keys, np.array([column]), *one)
        assert np.array_equal(got[:, c], one[:, 0])
    assert not np.array_equal(got[:, 1], got[:, 2])


@pytest.mark.parametrize("lit", [False, True])
@pytest.mark.parametrize("width", [1, 16, 100])
@pytest.mark.parametrize("outputs", [1, 16, 33])
def test_columns_made_and_added(lit: bool, width: int, outputs: int) -> None:
    rng = np.random.default_rng(5)
    patterns = rng.integers(0, 2, (4, 9), dtype=np.uint8)
    patterns[0], patterns[:, 6] = 0, 0
    columns = np.flatnonzero(patterns.any(axis=0))
    factors = rng.standard_normal((2, 9 if lit else 0)).astype(np.float32)
    keys = [k[0] for k in keys_of(range(outputs))]
    tile = np.empty((2, 9, outputs), np.float32)
    medium.fill_tile(*keys, np.arange(9), *tile)
    if lit:
        medium.light_tile(*factors, *tile)
    start = rng.integers(-9, 9, (2, 4, outputs)).astype(np.float32)
    got = start.copy()
    medium.add_made_columns(*keys, columns, patterns, *factors, width, *got)
    for g, s, part in zip(got, start, tile, strict=True):
        assert np.array_equal(g, s + naive.add_columns(patterns, part))
    assert np.array_equal(got[:, 0], start[:, 0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_renewal(shape: tuple[int, int], steps: int) -> None:
    inputs, outputs = shape
    start = np.rint(np.random.default_rng(1).standard_normal((2, *shape)) * 2**11).astype(np.float32) * np.float32(GRID)
    got, state = start.copy(), start.astype(np.float64) / GRID
    keys = keys_of(range(2, 2 + outputs), steps)
    medium.renew_tile(*keys, np.float32(0.8), np.float32(0.6), 5, *got)
    for step in range(steps):
        new = naive.matrix_in_grid_steps(int(KEY) + step, int(KEY_2), 2, 5, inputs, outputs)
        state = np.rint(0.8 * state + 0.6 * np.rint(np.moveaxis(new, -1, 0)))
    # A tie of one step of the walk may fall to either side in float32: one grid step, shrunk since.
    assert np.all(np.abs(got / GRID - state) <= 1)
    assert np.mean(got / GRID == state) > 0.97 if got.size > 60 else True
    assert np.array_equal(got / GRID, np.rint(got / GRID))
    if steps == 0:
        assert np.array_equal(got, start)


@pytest.mark.parametrize("shape", SHAPES)
def test_light(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    start = np.rint(rng.standard_normal((2, *shape)) * 2**11).astype(np.float32) * np.float32(GRID)
    factors = (rng.standard_normal((shape[0], 2)) @ np.array([1, 1j])).astype(np.complex64)
    got = start.copy()
    medium.light_tile(factors.real.copy(), factors.imag.copy(), *got)
    expected = (start[0] + 1j * start[1].astype(np.float64)) * factors[:, None].astype(np.complex128) / GRID
    close_to_whole_steps(got[0], expected.real)
    close_to_whole_steps(got[1], expected.imag)
    same = start.copy()
    medium.light_tile(np.ones(shape[0], np.float32), np.zeros(shape[0], np.float32), *same)
    assert np.array_equal(same, start)


def test_no_kernel_calls_a_parallel_one() -> None:
    """Compiled where the parallel kernel came from the cache on disk, the caller crashes once it is cached itself."""
    called, parallel = 0, 0
    for module in pkgutil.iter_modules(_kernels.__path__):
        for kernel in vars(importlib.import_module(f"{_kernels.__name__}.{module.name}")).values():
            if not isinstance(kernel, Dispatcher):
                continue
            parallel += bool(kernel.targetoptions.get("parallel"))
            for name in kernel.py_func.__code__.co_names:
                callee = kernel.py_func.__globals__.get(name)
                if isinstance(callee, Dispatcher):
                    called += 1
                    assert not callee.targetoptions.get("parallel"), (kernel, callee)
    assert called > 10  # it did look at them
    assert parallel > 10
