"""Counts of many frames combined into linear projections."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_pairs(counts, weights, first, constant, scale, out):  # type: ignore[no-untyped-def]
    """out[v, i] = scale[i] * sum over the vector's patterns p of weights[p] * (counts[2p] - counts[2p + 1] + constant)[i].

    counts [2 pattern, output]; weights [pattern]; first [vector + 1]; constant, scale [output]; out [vector, output].
    """
    n = out.shape[1]
    for v in prange(out.shape[0]):
        line = out[v]
        for i in range(n):
            line[i] = np.float32(0.0)
        total = np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w = weights[p]
            total += w
            a, b = counts[2 * p], counts[2 * p + 1]
            for i in range(n):
                line[i] += w * np.float32(np.int32(a[i]) - np.int32(b[i]))
        for i in range(n):
            line[i] = scale[i] * (line[i] + total * constant[i])


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_fields(fields, weights, first, constant, scale, out):  # type: ignore[no-untyped-def]
    """out[v, i] = scale * sum over the vector's patterns p of weights[p] * (fields[p] - constant)[i]; all real."""
    n = out.shape[1]
    for v in prange(out.shape[0]):
        line = out[v]
        for i in range(n):
            line[i] = np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w, a = weights[p], fields[p]
            for i in range(n):
                line[i] += w * (a[i] - constant[i])
        for i in range(n):
            line[i] *= scale
