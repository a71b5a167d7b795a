"""Compiled inner loops of the trainer: one pass over arrays where NumPy takes several, which memory bounds.

Compiled without contraction of products and sums, they have the bits of the same operations in NumPy, array by array.
They release the interpreter's lock, so that several threads can share the work.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def sgd(p, g, velocity, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """v = momentum v + (g + decay p), p -= rate v; flat arrays of one piece, scalars of their type."""
    for i in range(p.size):
        gradient = g[i] + p[i] * decay
        v = velocity[i] * momentum + gradient
        velocity[i] = v
        p[i] -= v * rate


@njit(cache=True, nogil=True, error_model="numpy")
def adam(p, g, first, second, rate, beta1, beta2, epsilon, decay):  # type: ignore[no-untyped-def]
    """M = beta1 M + g, V = beta2 V + g^2, p -= rate M / (sqrt V + epsilon); see `optimizers.Adam` for the scalars."""
    for i in range(p.size):
        gradient = g[i] + p[i] * decay
        m = first[i] * beta1 + gradient
        v = second[i] * beta2 + gradient * gradient
        first[i] = m
        second[i] = v
        p[i] -= m / (np.sqrt(v) + epsilon) * rate


@njit(cache=True, nogil=True)
def add_bias_relu(h, bias):  # type: ignore[no-untyped-def]
    """h = max(h + bias, 0) in place, [row, unit]; what is not a number stays so."""
    zero = h.dtype.type(0)
    for row in range(h.shape[0]):
        for unit in range(h.shape[1]):
            value = h[row, unit] + bias[unit]
            h[row, unit] = zero if value <= zero else value


@njit(cache=True, nogil=True)
def relu_slope_times(h, incoming, out):  # type: ignore[no-untyped-def]
    """out = incoming where the relu's output h is above 0, else 0; all [row, unit]."""
    zero, one = h.dtype.type(0), h.dtype.type(1)
    for row in range(h.shape[0]):
        for unit in range(h.shape[1]):
            out[row, unit] = (one if h[row, unit] > zero else zero) * incoming[row, unit]
