"""Inner loops of the optimizers: one pass over parameters, gradients and moments, which memory bounds.

Compiled without contraction of products and sums, they have the bits of the same operations in NumPy, array by array.
They release the interpreter's lock, so that the pieces of a parameter are updated on all cores.
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
