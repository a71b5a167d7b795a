"""Counts of many frames combined into linear projections."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from opu_sim._kernels.chunks import chunk_of, chunks_of
from opu_sim._kernels.random import hash_counter, normal_pair


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_pairs(counts, weights, on, first, constant, tilt, scale, out):  # type: ignore[no-untyped-def]
    """Differences of frame pairs, summed with the weights of each vector's patterns p.

    out[v, i] = scale[i] (sum_p w_p (counts[2p, i] - counts[2p+1, i] + constant[i]) - sum_p w_p on[p] tilt[i]).
    counts [2 pattern, output]; weights, on (share of the inputs that are ON) float32 [pattern];
    first [vector + 1]; constant, tilt, scale float32 [output]; out float32 [vector, output].
    """
    n = out.shape[1]
    chunks = chunks_of(n)
    for job in prange(out.shape[0] * chunks):
        v = job // chunks
        part = chunk_of(job % chunks, n)
        line = out[v, part]
        base, slope, factor = constant[part], tilt[part], scale[part]
        for i in range(len(line)):
            line[i] = np.float32(0.0)
        total, load = np.float32(0.0), np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w = weights[p]
            total += w
            load += w * on[p]
            a, b = counts[2 * p, part], counts[2 * p + 1, part]
            for i in range(len(line)):
                line[i] += w * np.float32(np.int32(a[i]) - np.int32(b[i]))
        for i in range(len(line)):
            line[i] = factor[i] * (line[i] + (total * base[i] - load * slope[i]))


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_fields(fields, weights, first, constant, scale, out):  # type: ignore[no-untyped-def]
    """out[v, i] = scale * sum over the vector's patterns p of weights[p] * (fields[p] - constant)[i]; all real."""
    n = out.shape[1]
    chunks = chunks_of(n)
    for job in prange(out.shape[0] * chunks):
        v = job // chunks
        part = chunk_of(job % chunks, n)
        line, base = out[v, part], constant[part]
        for i in range(len(line)):
            line[i] = np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w, a = weights[p], fields[p, part]
            for i in range(len(line)):
                line[i] += w * (a[i] - base[i])
        for i in range(len(line)):
            line[i] *= scale


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_steps(counts, factors, out):  # type: ignore[no-untyped-def]
    """out[p, i] = sum over the steps n of factors[n] * counts[p N + n, i].

    counts [N x pattern, output]; factors float32 [N]; out float32 [pattern, output].
    """
    steps = len(factors)
    n = out.shape[1]
    chunks = chunks_of(n)
    for job in prange(out.shape[0] * chunks):
        p = job // chunks
        part = chunk_of(job % chunks, n)
        line = out[p, part]
        for i in range(len(line)):
            line[i] = np.float32(0.0)
        for k in range(steps):
            factor, a = factors[k], counts[p * steps + k, part]
            for i in range(len(line)):
                line[i] += factor * np.float32(a[i])


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_anchors(counts, weights, first, anchors, constant, out):  # type: ignore[no-untyped-def]
    """Frames beside K anchors less the frame alone, combined output by output, summed over each vector's patterns.

    out[v, i] = sum_p w_p (sum_k anchors[k, i] (counts[p (K+1) + k + 1, i] - counts[p (K+1), i]) - constant[i]).
    counts [(K+1) x pattern, output]; weights float32 [pattern]; first [vector + 1]; anchors float32 [K, output];
    constant float32 [output]; out float32 [vector, output].
    """
    n = out.shape[1]
    K = anchors.shape[0]
    chunks = chunks_of(n)
    for job in prange(out.shape[0] * chunks):
        v = job // chunks
        part = chunk_of(job % chunks, n)
        line, base = out[v, part], constant[part]
        for i in range(len(line)):
            line[i] = np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w = weights[p]
            alone = counts[p * (K + 1), part]
            for i in range(len(line)):
                line[i] -= w * base[i]
            for k in range(K):
                beside, c = counts[p * (K + 1) + k + 1, part], anchors[k, part]
                for i in range(len(line)):
                    line[i] += w * c[i] * np.float32(np.int32(beside[i]) - np.int32(alone[i]))


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def combine_noisy(projected, deviation, weights, first, key, key_2, first_frame, step, out):  # type: ignore[no-untyped-def]
    """out[v, i] = sum over the vector's patterns p of weights[p] (projected[p, i] + deviation[p, i] z).

    z: standard normal, keyed by the number of the pattern's first frame, first_frame + p step, and by the output.
    projected float32 [pattern, output]; deviation float32, same shape or [pattern, 1]; out float32 [vector, output].
    """
    n = out.shape[1]
    one = deviation.shape[1] == 1
    chunks = chunks_of(n)
    for job in prange(out.shape[0] * chunks):
        v = job // chunks
        part = chunk_of(job % chunks, n)
        line = out[v, part]
        start = np.uint64(part.start)
        for i in range(len(line)):
            line[i] = np.float32(0.0)
        for p in range(first[v], first[v + 1]):
            w, y, sd = weights[p], projected[p, part], deviation[p]
            for i in range(len(line)):
                line[i] += w * y[i]
            if w == 0 or (one and sd[0] == 0):
                continue
            frame = np.uint64(first_frame + p * step)
            frame_key = hash_counter(key, key_2, frame)
            frame_key_2 = hash_counter(key_2, key, frame)
            if one:
                common = w * sd[0]
                for i in range(len(line)):
                    line[i] += common * normal_pair(hash_counter(frame_key, frame_key_2, start + np.uint64(i)))[0]
            else:
                each = sd[part]
                for i in range(len(line)):
                    line[i] += w * each[i] * normal_pair(hash_counter(frame_key, frame_key_2, start + np.uint64(i)))[0]


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def pair_variance(  # type: ignore[no-untyped-def]
    projected,
    load,
    across,
    fresh,
    fresh_complement,
    floor,
    half_energy_variance,
    gain,
    anchor,
    constant,
    tilt,
    scale,
    out,
):
    """Variance of the projection of a pattern from the frames of itself and its complement; all float32.

    Their difference D = projected / scale - constant + load tilt, in electrons; their sum S = (anchor + across +
    D^2 / anchor) / 2, |D| at least. Variance S + floor + S (f + g) + D (f - g) + f^2 + g^2 + (S^2 + D^2) e, with f
    and g the new light in either frame. projected, out [pattern, output]; load, across, fresh, fresh_complement
    [pattern]; anchor, constant, tilt, scale [output].
    """
    n = out.shape[1]
    to_e = np.float32(1.0) / gain
    half = np.float32(0.5)
    chunks = chunks_of(n)
    for job in prange(out.shape[0] * chunks):
        p = job // chunks
        part = chunk_of(job % chunks, n)
        line, y = out[p, part], projected[p, part]
        light, base, slope, per = anchor[part], constant[part], tilt[part], scale[part]
        f, g = fresh[p], fresh_complement[p]
        new, rest, most = f * f + g * g + floor, across[p], load[p]
        for i in range(len(line)):
            difference = (y[i] / per[i] - base[i] + most * slope[i]) * to_e
            square = difference * difference
            total = max(half * (light[i] + rest + square / light[i]), abs(difference))
            variance = total + total * (f + g) + difference * (f - g) + new
            variance += (total * total + square) * half_energy_variance
            factor = per[i] * gain
            line[i] = variance * factor * factor
