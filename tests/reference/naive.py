"""Obvious, slow twins of the numba kernels: Python integers and float64 NumPy, one number at a time."""

from __future__ import annotations

import numpy as np

MASK_64 = 2**64 - 1


def hash_counter(key: int, key_2: int, counter: int) -> int:
    """SplitMix64's finaliser on a Weyl sequence, `key_2` entering after the first multiplication."""
    z = (int(key) + int(counter) * 0x9E3779B97F4A7C15) & MASK_64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
    z ^= int(key_2)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK_64
    return z ^ (z >> 31)


def uniform(bits: int) -> float:
    """(k + 1/2) / 2^31 with k from bits 1 .. 31, rounded to float32 as the kernel's type demands."""
    low = (bits & 0xFFFFFFFF) >> 1
    return float(np.float32(np.float32(low) + np.float32(0.5))) * 2.0**-31


def normal_pair(bits: int) -> tuple[float, float]:
    """Box & Muller: radius from the low word; angle from the high word, 2 bits of quadrant and a signed r /
    2^30."""
    radius = np.sqrt(-2.0 * np.log(uniform(bits)))
    high = bits >> 32
    quadrant, r = high >> 30, high & (2**30 - 1)
    if r >= 2**29:
        r -= 2**30
    angle = 0.5 * np.pi * (quadrant + r / 2**30)
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))


def row_keys(key: int, key_2: int, row: int) -> tuple[int, int]:
    """Keys of a row or a frame below the stream's key."""
    row &= MASK_64
    return hash_counter(key, key_2, row), hash_counter(key_2, key, row)


def normals(key: int, key_2: int, first: int, count: int) -> np.ndarray:
    return np.array([normal_pair(hash_counter(key, key_2, (first + i) & MASK_64))[0] for i in range(count)])


def noise(key: int, key_2: int, first_frame: int, step: int, frames: int, count: int) -> np.ndarray:
    """Pairs of normals [frame, i, 2] as the camera and the jitter draw them."""
    out = np.empty((frames, count, 2))
    for f in range(frames):
        keys = row_keys(key, key_2, first_frame + f * step)
        for i in range(count):
            out[f, i] = normal_pair(hash_counter(*keys, i))
    return out


def matrix_in_grid_steps(
    key: int, key_2: int, first_row: int, first_column: int, inputs: int, outputs: int
) -> np.ndarray:
    """Transmission matrix [input, output, 2] in steps of 2^-11, before rounding to whole steps."""
    out = np.empty((inputs, outputs, 2))
    for r in range(outputs):
        keys = row_keys(key, key_2, first_row + r)
        for c in range(inputs):
            pair = normal_pair(hash_counter(*keys, (first_column + c) & MASK_64))
            out[c, r] = np.array(pair) * np.sqrt(0.5) * 2**11
    return out


def add_columns(patterns: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Sum of the columns where the pattern is ON, one column after the other."""
    out = np.zeros((len(patterns), matrix.shape[1]))
    for p, pattern in enumerate(patterns):
        for j, on in enumerate(pattern):
            if on:
                out[p] += matrix[j].astype(np.float64)
    return out


def poisson(mean: float, bits: int) -> int:
    """Inversion of the Poisson law: smallest k whose distribution function reaches u."""
    u = ((bits >> 11) + 0.5) * 2.0**-53
    k, term = 0, float(np.exp(-mean))
    total = term
    while u > total and k < 1000:
        k += 1
        term *= mean / k
        total += term
    return k


def expose(
    photons: np.ndarray,
    responsivity: np.ndarray,
    dark_e: float,
    full_well_e: float,
    read_noise_e: float,
    dsnu_e: np.ndarray,
    gain: float,
    offset: float,
    max_dn: int,
    exact_below_e: float,
    hot: np.ndarray,
    hot_e: float,
    key: int,
    key_2: int,
    first_frame: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts, and how far from a rounding tie each is (the smaller of electrons' and counts' distance)."""
    frames, pixels = photons.shape
    counts = np.empty((frames, pixels), dtype=np.int64)
    margin = np.empty((frames, pixels))
    for f in range(frames):
        keys = row_keys(key, key_2, first_frame + f)
        for i in range(pixels):
            mean = float(photons[f, i]) * float(responsivity[i]) + dark_e + hot_e * (i in hot)
            z, w = normal_pair(hash_counter(*keys, i))
            if mean < exact_below_e:
                electrons, distance = poisson(mean, hash_counter(keys[1], keys[0], i)), 0.5
            else:
                raw = mean + np.sqrt(mean) * z + (z * z - 1.0) / 6.0
                electrons, distance = np.rint(raw), abs(abs(raw - np.floor(raw)) - 0.5)
            electrons = min(electrons, full_well_e)
            value = (electrons + read_noise_e * w + float(dsnu_e[i])) * gain + offset
            inside = -0.5 < value < max_dn + 0.5
            margin[f, i] = min(distance, abs(abs(value - np.floor(value)) - 0.5)) if inside else distance
            counts[f, i] = min(max(np.rint(value), 0), max_dn)
    return counts, margin


def speckle_photons(
    field: np.ndarray,
    gain: float,
    offset: np.ndarray,
    weight: float,
    jitter: np.ndarray,
    keep: float,
    photons_per_intensity: np.ndarray,
    draws: np.ndarray,
) -> np.ndarray:
    """Mean photons [pattern, output] of complex fields T b [pattern, output + 2] with given draws [.., ..,
    2]."""
    patterns, width = field.shape
    out = np.empty((patterns, width - 2))
    for p in range(patterns):
        F = gain * field[p].astype(np.complex128) + offset
        for i in range(width - 2):
            main, slope = F[i + 1], (F[i + 2] - F[i]) / np.sqrt(2.0)
            intensity = keep * (weight * abs(main) ** 2 + (1.0 - weight) * abs(slope) ** 2)
            new = jitter[p] * (draws[p, i, 0] + 1j * draws[p, i, 1])
            out[p, i] = photons_per_intensity[p] * abs(np.sqrt(intensity) + new) ** 2
    return out


def perturb_fields(field: np.ndarray, sigma: np.ndarray, keep_amplitude: float, draws: np.ndarray) -> np.ndarray:
    new = draws[..., 0] + 1j * draws[..., 1]
    return keep_amplitude * field.astype(np.complex128) + sigma[:, None] * new


def combine_pairs(
    counts: np.ndarray,
    weights: np.ndarray,
    on: np.ndarray,
    first: np.ndarray,
    constant: np.ndarray,
    tilt: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """Pattern minus complement plus constant, less the tilt of its share ON, weighted and summed vector by vector."""
    out = np.zeros((len(first) - 1, counts.shape[1]))
    for v in range(len(first) - 1):
        for p in range(first[v], first[v + 1]):
            difference = counts[2 * p].astype(np.float64) - counts[2 * p + 1].astype(np.float64)
            tilted = float(on[p]) * tilt.astype(np.float64)
            out[v] += float(weights[p]) * (difference + constant.astype(np.float64) - tilted)
        out[v] *= scale.astype(np.float64)
    return out


def combine_fields(
    fields: np.ndarray, weights: np.ndarray, first: np.ndarray, constant: np.ndarray, scale: float
) -> np.ndarray:
    """Field minus constant, weighted and summed vector by vector."""
    out = np.zeros((len(first) - 1, fields.shape[1]))
    for v in range(len(first) - 1):
        for p in range(first[v], first[v + 1]):
            out[v] += float(weights[p]) * (fields[p].astype(np.float64) - constant.astype(np.float64))
        out[v] *= float(scale)
    return out


def side_band_transfer() -> np.ndarray:
    """Square pixel's transfer function at the side band of a 64 x 64 tile: lines -8 .. 7 down, 16 .. 31 across."""
    lines = np.arange(-8, 8)
    return np.sinc(lines[:, None] / 64) * np.sinc((lines[None, :] + 24) / 64)


def hologram_photons(
    modes: np.ndarray, amplitude: float, order_zero: float, reference: float, energy: np.ndarray
) -> np.ndarray:
    """Photons [frame, tile, 64, 64] of modes [frame, tile, 16, 16], by zero padding of the spectrum."""
    spectrum = np.fft.fftshift(np.fft.fft2(modes.astype(np.complex128)), axes=(-2, -1)) * side_band_transfer()
    wide = np.zeros((*modes.shape[:2], 64, 64), np.complex128)
    wide[..., 32 - 8 : 32 + 8, 32 + 16 : 32 + 32] = spectrum * 16  # zero frequency at [32, 32]; 16 pixels a mode
    signal = amplitude * np.fft.ifft2(np.fft.ifftshift(wide, axes=(-2, -1)))
    light = np.abs(signal) ** 2 * order_zero + 2 * reference * signal.real + reference**2
    return np.maximum(light, 0) * energy.astype(np.float64)[:, None, None, None]


def demodulate(frames: np.ndarray) -> np.ndarray:
    """Modes [frame, tile, 16, 16] from pixels [frame, tile, 64, 64]: the side band of the spectrum, deblurred."""
    spectrum = np.fft.fftshift(np.fft.fft2(frames.astype(np.float64)), axes=(-2, -1))
    side_band = spectrum[..., 32 - 8 : 32 + 8, 32 + 16 : 32 + 32] / side_band_transfer() / 16
    return np.fft.ifft2(np.fft.ifftshift(side_band, axes=(-2, -1)))


def wave_optics(
    sources: np.ndarray, masks: list[np.ndarray], hops: list[tuple[int, int]], outputs: slice
) -> np.ndarray:
    """Fields [output] of one pattern through screens and lenses, whole planes in double precision.

    masks: the first [copy, source], the last of the stop's size, all but the first in the order (line, point) that the
    transposing passes of the kernel meet: the plane is turned after every hop.
    """
    plane = np.zeros(hops[0][0] * hops[0][1], dtype=np.complex128)
    lit = np.zeros(masks[0].shape, dtype=np.complex128)
    lit[:, : len(sources)] = masks[0][:, : len(sources)] * sources
    plane[: lit.size] = lit.ravel()
    plane = plane.reshape(hops[0])
    for mask in masks[1:]:
        plane = np.fft.fft2(plane).T
        plane = plane[: mask.shape[0], : mask.shape[1]] * mask
    return np.fft.fft2(plane).T.ravel()[outputs]
