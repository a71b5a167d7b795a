"""Counts of many frames combined into linear projections."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_pairs(counts, weights, on, first, constant, tilt, scale, out):  # type: ignore[no-untyped-def]
    """Differences of frame pairs, summed with the weights of each vector's patterns p.

    out[v, i] = scale[i] (sum_p w_p (counts[2p, i] - counts[2p+1, i] + constant[i]) - sum_p w_p on[p] tilt[i]).
    counts [2 pattern, output]; weights, on (share of the inputs that are ON) float32 [pattern];
    first [vector + 1]; constant, tilt, scale float32 [output]; out float32 [vector, output].
    """
    n = out.shape[1]
    for v in prange(out.shape[0]):
        line = out[v]
        for i in range(n):
            line[i] = np.float32(0.0)
        total, load = np.float32(0.0), np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w = weights[p]
            total += w
            load += w * on[p]
            a, b = counts[2 * p], counts[2 * p + 1]
            for i in range(n):
                line[i] += w * np.float32(np.int32(a[i]) - np.int32(b[i]))
        for i in range(n):
            line[i] = scale[i] * (line[i] + (total * constant[i] - load * tilt[i]))


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
