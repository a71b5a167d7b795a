"""Rows of microrings: their response, the drives that give wanted weights, and noisy sums of channels."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from opu_sim._kernels.random import hash_counter, normal_pair, uniform

_ONE = np.float32(1.0)
_TWO = np.float32(2.0)


@njit(cache=True, parallel=True)
def fill_uniform(key, key_2, out):  # type: ignore[no-untyped-def]
    """float32 [output, input], uniform in [-1, 1); an entry depends on its output and its input alone."""
    for o in prange(out.shape[0]):
        row_key = hash_counter(key, key_2, np.uint64(o))
        row_key_2 = hash_counter(key_2, key, np.uint64(o))
        for j in range(out.shape[1]):
            out[o, j] = _ONE - _TWO * uniform(hash_counter(row_key, row_key_2, np.uint64(j)))


@njit(cache=True, parallel=True)
def fill_normal(key, key_2, out):  # type: ignore[no-untyped-def]
    """float32 [output, input], standard normal; an entry depends on its output and its input alone."""
    for o in prange(out.shape[0]):
        row_key = hash_counter(key, key_2, np.uint64(o))
        row_key_2 = hash_counter(key_2, key, np.uint64(o))
        for j in range(out.shape[1]):
            out[o, j] = normal_pair(hash_counter(row_key, row_key_2, np.uint64(j)))[0]


@njit(cache=True)
def row_response(cosine, sine, ring, phase_cosine, phase_sine, weights, totals):  # type: ignore[no-untyped-def]
    """Balanced weight and total of each channel of one row.

    cosine, sine: [channel, ring], of the round trip's phase with every ring on its own channel; phase_*: [ring], of
    what each ring is detuned by. ring: (r_2^2 a^2 + r_1^2, k, (1 - r_1^2)(1 - r_2^2) a), see `AddDropRing`.
    A channel passes the rings one after the other; what one drops goes to the drop port and is lost to the next.
    """
    through, k, drop = ring
    n = len(weights)
    for j in range(n):
        passed, dropped = 1.0, 0.0
        for i in range(n):
            twice = 2.0 * k * (cosine[j, i] * phase_cosine[i] - sine[j, i] * phase_sine[i])
            divisor = 1.0 / (1.0 + k * k - twice)
            dropped += passed * drop * divisor
            passed *= (through - twice) * divisor
        weights[j] = dropped - passed
        totals[j] = dropped + passed


@njit(cache=True, parallel=True)
def calibrate(  # type: ignore[no-untyped-def]
    target,
    cosine,
    sine,
    ring,
    low,
    high,
    joint,
    neighbours,
    held,
    shift,
    steps,
    tolerance,
    weights,
    totals,
    phases,
    residual,
):
    """Weights that the rows come to, for the entries wanted; float64 [row, channel], all arrays but `neighbours`.

    low, high: weights that a ring alone can be asked for. joint: each ring is asked for what brings its channel's
    weight, cross-talk included, to the target (fixed-point iteration, `steps` at most, down to `tolerance`), or else
    for the target itself. neighbours [ring, ring]: phase that a ring gets of another's detuning; joint calibration
    has taken it off. held: share of the detuning that has not leaked away since. shift: phase added to every ring
    afterwards. phases [row, ring]: detunings that the rings end up with. residual [row]: largest distance to the
    target that joint calibration left, inf where a target lies outside low .. high.
    """
    through, k, drop = ring
    constant = drop - through
    n = target.shape[1]
    # Detuning of weight 0, where rings are parked when the bank is locked.
    parked = np.arccos((0.0 * (1.0 + k * k) - constant) / (2.0 * k))
    for row in prange(target.shape[0]):
        asked = target[row].copy()
        phase, moved = np.empty(n), phases[row]
        phase_cosine, phase_sine = np.empty(n), np.empty(n)
        found, total = weights[row], totals[row]
        residual[row] = 0.0
        for i in range(n):
            if not low <= asked[i] <= high:
                residual[row] = np.inf
        for step in range(steps if joint else 1):
            for i in range(n):
                asked[i] = min(max(asked[i], low), high)
                c = (asked[i] * (1.0 + k * k) - constant) / (2.0 * k * (1.0 + asked[i]))
                phase_cosine[i] = min(max(c, -1.0), 1.0)
                phase_sine[i] = np.sqrt(1.0 - phase_cosine[i] * phase_cosine[i])
            row_response(cosine, sine, ring, phase_cosine, phase_sine, found, total)
            if not joint:
                break
            worst = 0.0
            for i in range(n):
                worst = max(worst, abs(target[row, i] - found[i]))
            if worst <= tolerance:
                break
            if step == steps - 1:
                residual[row] = max(residual[row], worst)
                break
            for i in range(n):
                asked[i] += target[row, i] - found[i]
        mixed = not joint and neighbours.shape[0] > 0
        for i in range(n):
            phase[i] = held * np.arccos(phase_cosine[i])
        for i in range(n):
            moved[i] = phase[i] + shift
            if mixed:
                for m in range(n):
                    moved[i] += neighbours[i, m] * (phase[m] - parked)
        if mixed or shift != 0.0 or held != 1.0:
            for i in range(n):
                phase_cosine[i] = np.cos(moved[i])
                phase_sine[i] = np.sin(moved[i])
            row_response(cosine, sine, ring, phase_cosine, phase_sine, found, total)


@njit(cache=True, fastmath={"contract", "nsz"})
def add_droop(light, droop, lost, first_signal, second_signal):  # type: ignore[no-untyped-def]
    """Add to the sums of either pass what weights have changed by; float32 light [pass, input], lost [row].

    droop: [2, input, output] of one tile, see `bank_sums`.
    """
    for j in range(droop.shape[1]):
        slope, curve = droop[0, j], droop[1, j]
        for o in range(droop.shape[2]):
            change = lost[o] * (slope[o] + lost[o] * curve[o])
            first_signal[o] += light[0, j] * change
            second_signal[o] += light[1, j] * change


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def bank_sums(  # type: ignore[no-untyped-def]
    light, weights, totals, droop, lost, bank, noise, converter, keys, first_vector, gains, out, saturated
):
    """Sum over channels of light times weight, as the converters read it; first pass less second.

    light: float32 [pass, vector, input], one or two passes, 1 is a channel's full light. weights, totals: float32
    [input, output], what the photodiodes read as difference and as sum of a channel. droop: float32 [2, input, output],
    a weight's change d_1 x + d_2 x^2 once a row has lost the share x of its detunings; lost: float32 [vector, row],
    that share; [0, 0, 0] and [0, 0] where weights do not leak. bank: (rows, columns); the inputs are taken `columns` at
    a time, in tiles whose readings are added up digitally.
    noise: float32 (sd of a laser's light, variance of a weight, shot variance per unit of light, other variance).
    converter: float32 (step, largest code). keys: two stream keys, of rows and of lasers. gains: float32
    [vector, output] of the amplifiers, or [0, 0] for 1. out: float32 [vector, output]; saturated: int64
    [vector, tile of rows], readings at the ends of the converter's range.
    """
    passes, vectors, n_in = light.shape
    n_out = weights.shape[1]
    rows, columns = bank
    laser_sd, weight_variance, shot, other = noise
    step, largest = converter
    key, key_2, laser_key, laser_key_2 = keys
    row_tiles = (n_out + rows - 1) // rows
    leaking = droop.shape[0] > 0
    for job in prange(vectors * row_tiles):
        v, tile = job // row_tiles, job % row_tiles
        first, last = tile * rows, min(tile * rows + rows, n_out)
        n = last - first
        number = np.uint64(first_vector + v)
        row_key, row_key_2 = hash_counter(key, key_2, number), hash_counter(key_2, key, number)
        vector_key = hash_counter(laser_key, laser_key_2, number)
        vector_key_2 = hash_counter(laser_key_2, laser_key, number)
        line = out[v, first:last]
        line[:] = np.float32(0.0)
        first_signal, first_power = np.empty(n, np.float32), np.empty(n, np.float32)
        second_signal, second_power = np.empty(n, np.float32), np.empty(n, np.float32)
        lit = np.empty((2, columns if leaking else 0), np.float32)
        at_end = 0
        for part, begin in enumerate(range(0, n_in, columns)):
            end = min(begin + columns, n_in)
            first_signal[:], first_power[:] = np.float32(0.0), np.float32(0.0)
            second_signal[:], second_power[:] = np.float32(0.0), np.float32(0.0)
            fixed_0, fixed_1 = other, other
            part_key = hash_counter(row_key, row_key_2, np.uint64(part))
            part_key_2 = hash_counter(row_key_2, row_key, np.uint64(part))
            # Of the part and the tile, each by itself: a number of both would depend on n_out.
            tile_key = hash_counter(vector_key, vector_key_2, np.uint64(part))
            tile_key_2 = hash_counter(vector_key_2, vector_key, np.uint64(tile))
            for j in range(begin, end):
                p_0 = light[0, v, j]
                p_1 = light[passes - 1, v, j] if passes == 2 else np.float32(0.0)
                if laser_sd > 0:
                    g, h = normal_pair(hash_counter(tile_key, tile_key_2, np.uint64(j)))
                    p_0 *= _ONE + laser_sd * g
                    p_1 *= _ONE + laser_sd * h
                fixed_0 += weight_variance * (p_0 * p_0)
                fixed_1 += weight_variance * (p_1 * p_1)
                w, t = weights[j, first:last], totals[j, first:last]
                for o in range(n):
                    first_signal[o] += p_0 * w[o]
                    first_power[o] += p_0 * t[o]
                    second_signal[o] += p_1 * w[o]
                    second_power[o] += p_1 * t[o]
                if leaking:
                    lit[0, j - begin], lit[1, j - begin] = p_0, p_1
            if leaking:
                add_droop(lit, droop[:, begin:end, first:last], lost[v], first_signal, second_signal)
            for o in range(n):
                g, h = normal_pair(hash_counter(part_key, part_key_2, np.uint64(first + o)))
                first_signal[o] += np.sqrt(max(fixed_0 + shot * first_power[o], np.float32(0.0))) * g
                second_signal[o] += np.sqrt(max(fixed_1 + shot * second_power[o], np.float32(0.0))) * h
            for p in range(passes):
                signal = first_signal if p == 0 else second_signal
                signed_step = step if p == 0 else -step
                if gains.shape[0] > 0:
                    gain = gains[v, first:last]
                    for o in range(n):
                        signal[o] *= gain[o]
                for o in range(n):
                    code = np.rint(signal[o] / step)
                    at_end += abs(code) >= largest
                    line[o] += signed_step * min(max(code, -largest), largest)
        saturated[v, tile] = at_end


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def add_noise(y, mean, deviation, key, key_2, first_vector, out):  # type: ignore[no-untyped-def]
    """out = y + mean + deviation * normal, float32 [vector, output]; y float64; mean, deviation float32 [vector]."""
    for v in prange(y.shape[0]):
        number = np.uint64(first_vector + v)
        row_key, row_key_2 = hash_counter(key, key_2, number), hash_counter(key_2, key, number)
        for o in range(y.shape[1]):
            g, _ = normal_pair(hash_counter(row_key, row_key_2, np.uint64(o)))
            out[v, o] = np.float32(y[v, o]) + (mean[v] + deviation[v] * g)
