"""Entries of the transmission matrix, how they change, and their product with few inputs or patterns."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from opu_sim._kernels.random import hash_counter, normal_pair

# Entries lie on a grid of 2^-11 (of a unit-variance entry; 77 dB below it). Sums of grid values below 2^13 are
# exact in float32, whatever the order: a product with binary patterns is then the same to the last bit for
# any number of threads, any cut of the batch and any BLAS. Cost: nothing that an 8- to 12-bit camera can see.
GRID = np.float32(2.0**-11)
_STEPS = np.float32(2.0**11)
_TO_GRID = np.float32(2.0**11 * 0.5**0.5)


@njit(inline="always")
def entry(row_key, row_key_2, column):  # type: ignore[no-untyped-def]
    """One entry as (real, imaginary), circular Gaussian of unit variance, on the grid."""
    a, b = normal_pair(hash_counter(row_key, row_key_2, column))
    return np.rint(a * _TO_GRID) * GRID, np.rint(b * _TO_GRID) * GRID


@njit(cache=True, parallel=True)
def row_keys(key, key_2, first_row, keys, keys_2):  # type: ignore[no-untyped-def]
    """keys, keys_2: uint64 [output], the two words of each row's key below the stream's."""
    for r in prange(keys.shape[0]):
        row = np.uint64(first_row + r)
        keys[r] = hash_counter(key, key_2, row)
        keys_2[r] = hash_counter(key_2, key, row)


@njit(inline="always")
def fill_line(keys, keys_2, column, re, im):  # type: ignore[no-untyped-def]
    """re, im: float32 [output], the entries of one column."""
    for r in range(re.shape[0]):
        re[r], im[r] = entry(keys[r], keys_2[r], column)


@njit(inline="always")
def light_line(factor_re, factor_im, re, im):  # type: ignore[no-untyped-def]
    """re, im [output] <- one column times its complex factor, rounded to the grid."""
    a, b = factor_re * _STEPS, factor_im * _STEPS
    for r in range(re.shape[0]):
        x, y = re[r], im[r]
        re[r] = np.rint(a * x - b * y) * GRID
        im[r] = np.rint(a * y + b * x) * GRID


@njit(cache=True, parallel=True)
def fill_tile(keys, keys_2, columns, re, im):  # type: ignore[no-untyped-def]
    """re, im: float32 [input, output]; entry (output r, input c) is keyed by (keys[r], columns[c])."""
    for c in prange(re.shape[0]):
        fill_line(keys, keys_2, np.uint64(columns[c]), re[c], im[c])


def fill_matrix(
    key: np.uint64,
    key_2: np.uint64,
    first_row: int,
    first_column: int,
    re: NDArray[np.float32],
    im: NDArray[np.float32],
) -> None:
    """re, im: float32 [input, output]; entry (output r, input c) is keyed by (first_row + r, first_column + c).

    In Python: a compiled function that calls parallel kernels which were themselves read from the cache on disk is
    cached in a form that crashes when it is read (numba 0.68).
    """
    keys, keys_2 = np.empty((2, re.shape[1]), np.uint64)
    row_keys(key, key_2, first_row, keys, keys_2)
    fill_tile(keys, keys_2, first_column + np.arange(re.shape[0]), re, im)


@njit(cache=True, parallel=True)
def renew_tile(keys, keys_2, keep, fresh, first_column, re, im):  # type: ignore[no-untyped-def]
    """re, im <- keep T + fresh G once for each row of keys [step, output], rounded to the grid after each step.

    G is keyed by (keys[step, r], first_column + c); all steps of a column are made while it is in the cache.
    """
    n_in, n_out = re.shape
    for c in prange(n_in):
        column = np.uint64(first_column + c)
        line_re, line_im = re[c], im[c]
        for s in range(keys.shape[0]):
            key, key_2 = keys[s], keys_2[s]
            for r in range(n_out):
                new_re, new_im = entry(key[r], key_2[r], column)
                line_re[r] = np.rint((keep * line_re[r] + fresh * new_re) * _STEPS) * GRID
                line_im[r] = np.rint((keep * line_im[r] + fresh * new_im) * _STEPS) * GRID


@njit(cache=True, parallel=True)
def light_tile(factor_re, factor_im, re, im):  # type: ignore[no-untyped-def]
    """re, im [input, output] <- T times a complex factor an input, rounded to the grid."""
    for c in prange(re.shape[0]):
        light_line(factor_re[c], factor_im[c], re[c], im[c])


@njit(cache=True, parallel=True)
def add_columns(patterns, matrix_re, matrix_im, re, im):  # type: ignore[no-untyped-def]
    """re, im [pattern, output] = sum of the columns where the pattern is ON; matrix_* float32 [input, output]."""
    n_in, n_out = matrix_re.shape
    for p in prange(patterns.shape[0]):
        out_re, out_im = re[p], im[p]
        for i in range(n_out):
            out_re[i] = np.float32(0.0)
            out_im[i] = np.float32(0.0)
        for j in range(n_in):
            if patterns[p, j] != 0:
                line_re, line_im = matrix_re[j], matrix_im[j]
                for i in range(n_out):
                    out_re[i] += line_re[i]
                    out_im[i] += line_im[i]


@njit(cache=True, parallel=True)
def add_made_columns(keys, keys_2, columns, patterns, factor_re, factor_im, width, re, im):  # type: ignore[no-untyped-def]
    """re, im [pattern, output] += columns where the pattern is ON, each made once for all patterns, never kept.

    columns: int [], those that are ON in any pattern; patterns: uint8 [pattern, input], a whole line each;
    factor_*: float32 [input] or empty, as for `light_tile`. Chunks of `width` outputs run side by side.
    """
    n_out = keys.shape[0]
    for chunk in prange((n_out + width - 1) // width):
        start, end = chunk * width, min((chunk + 1) * width, n_out)
        key, key_2 = keys[start:end], keys_2[start:end]
        line_re = np.empty(end - start, np.float32)
        line_im = np.empty(end - start, np.float32)
        for c in columns:
            fill_line(key, key_2, np.uint64(c), line_re, line_im)
            if factor_re.shape[0]:
                light_line(factor_re[c], factor_im[c], line_re, line_im)
            for p in range(patterns.shape[0]):
                if patterns[p, c] != 0:
                    out_re, out_im = re[p, start:end], im[p, start:end]
                    for r in range(end - start):
                        out_re[r] += line_re[r]
                        out_im[r] += line_im[r]
