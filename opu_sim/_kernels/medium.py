"""Entries of the transmission matrix, how they change, and their product with few or sparse inputs."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

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


@njit(cache=True, parallel=True)
def fill_tile(keys, keys_2, first_column, re, im):  # type: ignore[no-untyped-def]
    """re, im: float32 [input, output]; entry (output r, input c) is keyed by (keys[r], first_column + c)."""
    n_in, n_out = re.shape
    for c in prange(n_in):
        column = np.uint64(first_column + c)
        line_re, line_im = re[c], im[c]
        for r in range(n_out):
            line_re[r], line_im[r] = entry(keys[r], keys_2[r], column)


@njit(cache=True)
def fill_matrix(key, key_2, first_row, first_column, re, im):  # type: ignore[no-untyped-def]
    """re, im: float32 [input, output]; entry (output r, input c) is keyed by (first_row + r, first_column + c)."""
    keys = np.empty(re.shape[1], np.uint64)
    keys_2 = np.empty(re.shape[1], np.uint64)
    row_keys(key, key_2, first_row, keys, keys_2)
    fill_tile(keys, keys_2, first_column, re, im)


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
    n_in, n_out = re.shape
    for c in prange(n_in):
        line_re, line_im = re[c], im[c]
        a, b = factor_re[c] * _STEPS, factor_im[c] * _STEPS
        for r in range(n_out):
            x, y = line_re[r], line_im[r]
            line_re[r] = np.rint(a * x - b * y) * GRID
            line_im[r] = np.rint(a * y + b * x) * GRID


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
