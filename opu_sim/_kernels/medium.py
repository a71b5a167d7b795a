"""Entries of the transmission matrix, and its product with few or sparse inputs."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from opu_sim._kernels.random import hash_counter, normal_pair

# Entries lie on a grid of 2^-11 (of a unit-variance entry; 77 dB below it). Sums of grid values below 2^13 are
# exact in float32, whatever the order: a product with binary patterns is then the same to the last bit for
# any number of threads, any cut of the batch and any BLAS. Cost: nothing that an 8- to 12-bit camera can see.
GRID = np.float32(2.0**-11)
_TO_GRID = np.float32(2.0**11 * 0.5**0.5)


@njit(inline="always")
def entry(row_key, row_key_2, column):  # type: ignore[no-untyped-def]
    """One entry as (real, imaginary), circular Gaussian of unit variance, on the grid."""
    a, b = normal_pair(hash_counter(row_key, row_key_2, column))
    return np.rint(a * _TO_GRID) * GRID, np.rint(b * _TO_GRID) * GRID


@njit(cache=True, parallel=True)
def fill_matrix(key, key_2, first_row, first_column, re, im):  # type: ignore[no-untyped-def]
    """re, im: float32 [input, output]; entry (output r, input c) is keyed by (first_row + r, first_column + c)."""
    n_in, n_out = re.shape
    keys = np.empty(n_out, np.uint64)
    keys_2 = np.empty(n_out, np.uint64)
    for r in range(n_out):
        row = np.uint64(first_row + r)
        keys[r] = hash_counter(key, key_2, row)
        keys_2[r] = hash_counter(key_2, key, row)
    for c in prange(n_in):
        column = np.uint64(first_column + c)
        line_re, line_im = re[c], im[c]
        for r in range(n_out):
            line_re[r], line_im[r] = entry(keys[r], keys_2[r], column)


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
