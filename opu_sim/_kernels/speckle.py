"""Fields at the camera to mean photons a pixel, and fields perturbed from frame to frame."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from opu_sim._kernels.chunks import chunk_of, chunks_of
from opu_sim._kernels.random import hash_counter, normal_pair

_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def speckle_photons(  # type: ignore[no-untyped-def]
    re,
    im,
    gain,
    offset_re,
    offset_im,
    weight,
    jitter,
    keep,
    photons_per_intensity,
    key,
    key_2,
    first_frame,
    frame_step,
    first_out,
    out,
):
    """Mean photons of one frame a pattern, at one pixel an output.

    re, im: float32 [pattern, output + 2], T b with a neighbour on either side of the outputs.
    The frame's field is gain * T b + offset; offset_*: float32 [output + 2].
    weight: of the pixel's main coherence mode; 1 - weight goes to the second one, (F[i+1] - F[i-1]) / sqrt 2.
    jitter: float32 [pattern], sd of each quadrature of the part of the field that is new in the frame;
    keep: power left to the static field. photons_per_intensity: float32 [pattern].
    Pattern p is frame first_frame + p * frame_step and row first_out + p * frame_step of `out`
    float32 [frame, output].
    """
    n_patterns, width = re.shape
    n = width - 2
    second = (np.float32(1.0) - weight) * _HALF
    chunks = chunks_of(n)
    for job in prange(n_patterns * chunks):
        p = job // chunks
        part = chunk_of(job % chunks, n)
        first = np.uint64(part.start)
        frame = np.uint64(first_frame + p * frame_step)
        frame_key = hash_counter(key, key_2, frame)
        frame_key_2 = hash_counter(key_2, key, frame)
        wide = slice(part.start, part.stop + 2)
        field_re, field_im, off_re, off_im = re[p, wide], im[p, wide], offset_re[wide], offset_im[wide]
        photons = out[first_out + p * frame_step, part]
        scale = photons_per_intensity[p]
        sigma = jitter[p]
        # Two loops: the compiler vectorises each; the chunk stays in the cache between them.
        for i in range(len(photons)):
            a = gain * field_re[i + 1] + off_re[i + 1]
            b = gain * field_im[i + 1] + off_im[i + 1]
            c = gain * (field_re[i + 2] - field_re[i]) + (off_re[i + 2] - off_re[i])
            d = gain * (field_im[i + 2] - field_im[i]) + (off_im[i + 2] - off_im[i])
            photons[i] = keep * (weight * (a * a + b * b) + second * (c * c + d * d))
        if sigma > 0:
            for i in range(len(photons)):
                # |F + g|^2 with circular g needs only |F|, so the pixel's total intensity is enough.
                g, h = normal_pair(hash_counter(frame_key, frame_key_2, first + np.uint64(i)))
                x = np.sqrt(photons[i]) + sigma * g
                y = sigma * h
                photons[i] = scale * (x * x + y * y)
        else:
            for i in range(len(photons)):
                photons[i] *= scale


@njit(cache=True, parallel=True)
def perturb_fields(re, im, sigma, keep_amplitude, key, key_2, first_frame):  # type: ignore[no-untyped-def]
    """In place, float32 [frame, mode]: keep_amplitude * F + circular Gaussian of sd sigma[frame] a quadrature."""
    n = re.shape[1]
    chunks = chunks_of(n)
    for job in prange(re.shape[0] * chunks):
        f = job // chunks
        part = chunk_of(job % chunks, n)
        first = np.uint64(part.start)
        frame = np.uint64(first_frame + f)
        frame_key = hash_counter(key, key_2, frame)
        frame_key_2 = hash_counter(key_2, key, frame)
        line_re, line_im = re[f, part], im[f, part]
        s = sigma[f]
        for i in range(len(line_re)):
            g, h = normal_pair(hash_counter(frame_key, frame_key_2, first + np.uint64(i)))
            line_re[i] = keep_amplitude * line_re[i] + s * g
            line_im[i] = keep_amplitude * line_im[i] + s * h


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def interference_photons(  # type: ignore[no-untyped-def]
    re,
    im,
    gain,
    offset_re,
    offset_im,
    weight,
    sigma,
    keep_amplitude,
    reference,
    cross,
    cosine,
    sine,
    energy,
    key,
    key_2,
    first_frame,
    steps,
    out,
):
    """Mean photons where the speckle meets a plane reference on axis: `steps` frames a pattern, one pixel an output.

    re, im: float32 [pattern, output + 2], T b with a neighbour on either side of the outputs, in root photons.
    The frame's field F is keep_amplitude * (gain * T b + offset) + circular Gaussian of sd sigma[pattern] a
    quadrature. A plane wave meets the pixel's main coherence mode alone, so that frame f has
    energy (reference + weight |F|^2 + (1 - weight) |slope|^2 / 2 + cross Re(F e^{i phase})) photons, with
    cosine, sine of the phase and energy float32 [frame]. out: float32 [steps * pattern, output].
    """
    n_patterns, width = re.shape
    n = width - 2
    second = (np.float32(1.0) - weight) * _HALF
    chunks = chunks_of(n)
    for job in prange(n_patterns * steps * chunks):
        f = job // chunks
        p = f // steps
        part = chunk_of(job % chunks, n)
        first = np.uint64(part.start)
        frame = np.uint64(first_frame + f)
        frame_key = hash_counter(key, key_2, frame)
        frame_key_2 = hash_counter(key_2, key, frame)
        wide = slice(part.start, part.stop + 2)
        field_re, field_im, off_re, off_im = re[p, wide], im[p, wide], offset_re[wide], offset_im[wide]
        photons = out[f, part]
        c, s = cross * cosine[f], cross * sine[f]
        power, jitter = energy[f], sigma[p]
        for i in range(len(photons)):
            a = keep_amplitude * (gain * field_re[i + 1] + off_re[i + 1])
            b = keep_amplitude * (gain * field_im[i + 1] + off_im[i + 1])
            if jitter > 0:
                g, h = normal_pair(hash_counter(frame_key, frame_key_2, first + np.uint64(i)))
                a += jitter * g
                b += jitter * h
            d = gain * (field_re[i + 2] - field_re[i]) + (off_re[i + 2] - off_re[i])
            e = gain * (field_im[i + 2] - field_im[i]) + (off_im[i + 2] - off_im[i])
            light = reference + weight * (a * a + b * b) + second * (d * d + e * e) + (c * a - s * b)
            photons[i] = power * max(light, _ZERO)
