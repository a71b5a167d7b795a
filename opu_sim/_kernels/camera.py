"""Camera chain of EMVA 1288: mean photons to counts, one draw of shot and read noise a pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

from opu_sim._kernels.chunks import chunk_of, chunks_of
from opu_sim._kernels.random import hash_counter, normal_pair, uniform

_SIXTH = np.float32(1.0 / 6.0)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@njit(inline="always")
def _poisson(mean, bits):  # type: ignore[no-untyped-def]
    """Exact Poisson draw by inversion of the distribution function; for means of some tens."""
    u = (float(bits >> np.uint64(11)) + 0.5) * 2.0**-53
    term = math.exp(-mean)
    total = term
    k = 0
    while u > total and k < 1000:
        k += 1
        term *= mean / k
        total += term
    return np.float32(k)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def expose(  # type: ignore[no-untyped-def]
    photons,
    responsivity,
    dark_e,
    full_well_e,
    read_noise_e,
    dsnu_e,
    gain,
    offset,
    max_dn,
    exact_below_e,
    hot,
    hot_e,
    key,
    key_2,
    first_frame,
    out,
):
    """photons float32 [frame, pixel] -> out uint8 or uint16, same shape; returns pixels at the largest code and at 0.

    responsivity (quantum efficiency x (1 + PRNU)) and dsnu_e: float32 [pixel]. Poisson draws are exact where
    the mean is below exact_below_e, elsewhere Cornish-Fisher to second order, rounded to whole electrons: mean,
    variance (to 1/18 + 1/12 e^2) and skewness are those of the Poisson law. Order: shot noise, full well, read
    noise and DSNU, gain, offset, rounding, clipping to the converter's codes. hot: positions, in ascending order, of
    pixels whose mean dark charge is greater by hot_e; few, so that they are exposed anew after the others.
    """
    n_frames, n = photons.shape
    chunks = chunks_of(n)
    saturated = 0
    dark = 0
    for job in prange(n_frames * chunks):
        f = job // chunks
        part = chunk_of(job % chunks, n)
        frame = np.uint64(first_frame + f)
        frame_key = hash_counter(key, key_2, frame)
        frame_key_2 = hash_counter(key_2, key, frame)
        first = np.uint64(part.start)
        light, codes, response, pattern_e = photons[f, part], out[f, part], responsivity[part], dsnu_e[part]
        top = np.float32(max_dn)
        for i in range(len(codes)):
            mean = light[i] * response[i] + dark_e
            z, w = normal_pair(hash_counter(frame_key, frame_key_2, first + np.uint64(i)))
            electrons = np.rint(mean + np.sqrt(mean) * z + (z * z - _ONE) * _SIXTH)
            electrons = min(electrons, full_well_e)
            code = np.rint((electrons + read_noise_e * w + pattern_e[i]) * gain + offset)
            code = min(max(code, _ZERO), top)
            codes[i] = np.int32(code)
        if exact_below_e > 0:
            for i in range(len(codes)):
                mean = light[i] * response[i] + dark_e
                if mean < exact_below_e:
                    counter = first + np.uint64(i)
                    w = normal_pair(hash_counter(frame_key, frame_key_2, counter))[1]
                    electrons = min(_poisson(mean, hash_counter(frame_key_2, frame_key, counter)), full_well_e)
                    code = np.rint((electrons + read_noise_e * w + pattern_e[i]) * gain + offset)
                    code = min(max(code, _ZERO), top)
                    codes[i] = np.int32(code)
        for position in hot[np.searchsorted(hot, part.start) : np.searchsorted(hot, part.stop)]:
            i = position - part.start
            mean = light[i] * response[i] + dark_e + hot_e
            counter = np.uint64(position)
            z, w = normal_pair(hash_counter(frame_key, frame_key_2, counter))
            if mean < exact_below_e:
                electrons = _poisson(mean, hash_counter(frame_key_2, frame_key, counter))
            else:
                electrons = np.rint(mean + np.sqrt(mean) * z + (z * z - _ONE) * _SIXTH)
            electrons = min(electrons, full_well_e)
            code = np.rint((electrons + read_noise_e * w + pattern_e[i]) * gain + offset)
            code = min(max(code, _ZERO), top)
            codes[i] = np.int32(code)
        # A pass of its own over the codes, still in the cache, is cheaper than counting in the loops above.
        full: Any = np.int32(0)
        none: Any = np.int32(0)
        last = np.int32(max_dn)
        for i in range(len(codes)):
            full += np.int32(np.int32(codes[i]) == last)
            none += np.int32(np.int32(codes[i]) == np.int32(0))
        saturated += full
        dark += none
    return saturated, dark


@njit(cache=True)
def chosen(key, key_2, share, pixel, out):  # type: ignore[no-untyped-def]
    """out [pixel] True for the given share of all pixels; a pixel's lot depends on its number alone."""
    for i in range(pixel.shape[0]):
        out[i] = uniform(hash_counter(key, key_2, np.uint64(pixel[i]))) < share
