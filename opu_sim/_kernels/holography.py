"""Off-axis holograms and their demodulation tile by tile, as products with small constant matrices.

A tile is 16 x 16 modes on size x size pixels, size = 16 times the pixels of a mode. The way from modes to
pixels, or back, is a Fourier series of 16 lines, -8 .. 7, along either axis: one matrix on the left (rows), one on
the right (columns). Without a carrier lines k and -k pair up, so that the rows' matrix is real, all but the share
of line -8, which has no partner: its imaginary part is the same for every mode but for the sign (-1)^mode, and one
more real row or column holds it. This halves the work.

All innermost sums have 16 or 17 terms, in fixed order: LLVM unrolls them and vectorises the loop around them.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_MODES = 16
_TILE_MODES = _MODES * _MODES
_ZERO = np.float32(0.0)
_TWO = np.float32(2.0)


@njit(inline="always")
def _wide(modes_re, modes_im, columns_re, columns_im, wide_re, wide_im):  # type: ignore[no-untyped-def]
    """17 lines along a tile's columns: the modes times the columns' matrix, and the sum over modes with (-1)^mode."""
    size = columns_re.shape[1]
    a, b = np.empty(_MODES, np.float32), np.empty(_MODES, np.float32)
    for m in range(_MODES + 1):
        for c in range(_MODES):
            if m < _MODES:
                a[c], b[c] = modes_re[m * _MODES + c], modes_im[m * _MODES + c]
            else:  # i sum (-1)^mode F, for the imaginary part of the rows' matrix
                s, t = _ZERO, _ZERO
                for k in range(0, _TILE_MODES, 2 * _MODES):
                    s += modes_im[k + _MODES + c] - modes_im[k + c]
                    t += modes_re[k + c] - modes_re[k + _MODES + c]
                a[c], b[c] = s, t
        for x in range(size):
            s, t = _ZERO, _ZERO
            for c in range(_MODES):
                s += a[c] * columns_re[c, x] - b[c] * columns_im[c, x]
                t += a[c] * columns_im[c, x] + b[c] * columns_re[c, x]
            wide_re[m, x], wide_im[m, x] = s, t


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def hologram_photons(re, im, rows, columns_re, columns_im, order_zero, reference, fringes, energy, out):  # type: ignore[no-untyped-def]
    """Mean photons of the frames: energy (|s|^2 order_zero + 2 fringes reference Re s + reference^2), 0 at least.

    s = (rows[:, :16] + i rows[:, 16:] (-1)^mode) @ modes @ (columns_re + i columns_im), the signal on the tile.
    re, im: float32 [frame, mode], tile after tile of 16 x 16 modes; rows: float32 [size, 17];
    columns_*: float32 [16, size]; order_zero, reference: float32; fringes (their visibility), energy: float32 [frame];
    out: float32 [frame, pixel], tile after tile of size x size pixels.
    """
    n_frames, n_modes = re.shape
    size = rows.shape[0]
    pixels = size * size
    tiles = n_modes // _TILE_MODES
    constant = reference * reference
    for job in prange(n_frames * tiles):
        frame, tile = job // tiles, job % tiles
        modes = slice(tile * _TILE_MODES, (tile + 1) * _TILE_MODES)
        photons = out[frame, tile * pixels : (tile + 1) * pixels]
        wide_re = np.empty((_MODES + 1, size), np.float32)
        wide_im = np.empty((_MODES + 1, size), np.float32)
        _wide(re[frame, modes], im[frame, modes], columns_re, columns_im, wide_re, wide_im)
        power, twice = energy[frame], _TWO * fringes[frame] * reference
        for y in range(size):
            for x in range(size):
                s, t = _ZERO, _ZERO
                for m in range(_MODES + 1):
                    s += rows[y, m] * wide_re[m, x]
                    t += rows[y, m] * wide_im[m, x]
                light = (s * s + t * t) * order_zero + (twice * s + constant)
                photons[y * size + x] = power * max(light, _ZERO)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def structured_photons(  # type: ignore[no-untyped-def]
    re,
    im,
    rows,
    columns_re,
    columns_im,
    order_zero,
    zero,
    reference_re,
    reference_im,
    fringes,
    energy,
    out,
):
    """`hologram_photons` for a reference with an amplitude of its own at each pixel, and |s|^2 given apart.

    energy (zero + 2 fringes Re(reference* s) + |reference|^2), 0 at least. zero: float32 [frame, pixel], |s|^2 on the
    pixels, or of length 0, which stands for |s|^2 order_zero; reference_*: float32 [pixel]; the rest as there.
    """
    n_frames, n_modes = re.shape
    size = rows.shape[0]
    pixels = size * size
    tiles = n_modes // _TILE_MODES
    given = zero.shape[0] > 0
    for job in prange(n_frames * tiles):
        frame, tile = job // tiles, job % tiles
        modes = slice(tile * _TILE_MODES, (tile + 1) * _TILE_MODES)
        wide_re = np.empty((_MODES + 1, size), np.float32)
        wide_im = np.empty((_MODES + 1, size), np.float32)
        _wide(re[frame, modes], im[frame, modes], columns_re, columns_im, wide_re, wide_im)
        power, twice = energy[frame], _TWO * fringes[frame]
        light = np.empty(size, np.float32)
        for y in range(size):
            line = slice(tile * pixels + y * size, tile * pixels + (y + 1) * size)
            photons, a, b = out[frame, line], reference_re[line], reference_im[line]
            if given:
                light[:] = zero[frame, line]
            for x in range(size):
                s, t = _ZERO, _ZERO
                for m in range(_MODES + 1):
                    s += rows[y, m] * wide_re[m, x]
                    t += rows[y, m] * wide_im[m, x]
                speckle = light[x] if given else (s * s + t * t) * order_zero
                beam = twice * (a[x] * s + b[x] * t) + (a[x] * a[x] + b[x] * b[x])
                photons[x] = power * max(speckle + beam, _ZERO)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def speckle_light(re, im, rows, columns_re, columns_im, blur, out):  # type: ignore[no-untyped-def]
    """|s|^2 averaged over the pixels' area: blur @ |s|^2 @ blur, with s of point-like pixels as in `hologram_photons`.

    blur: float32 [size, size], symmetric; out: float32 [frame, pixel], tile after tile.
    """
    n_frames, n_modes = re.shape
    size = rows.shape[0]
    pixels = size * size
    tiles = n_modes // _TILE_MODES
    for job in prange(n_frames * tiles):
        frame, tile = job // tiles, job % tiles
        modes = slice(tile * _TILE_MODES, (tile + 1) * _TILE_MODES)
        light = out[frame, tile * pixels : (tile + 1) * pixels]
        wide_re = np.empty((_MODES + 1, size), np.float32)
        wide_im = np.empty((_MODES + 1, size), np.float32)
        _wide(re[frame, modes], im[frame, modes], columns_re, columns_im, wide_re, wide_im)
        point = np.empty((size, size), np.float32)
        for y in range(size):
            for x in range(size):
                s, t = _ZERO, _ZERO
                for m in range(_MODES + 1):
                    s += rows[y, m] * wide_re[m, x]
                    t += rows[y, m] * wide_im[m, x]
                point[y, x] = s * s + t * t
        down = np.zeros(size, np.float32)
        for y in range(size):
            down[:] = _ZERO
            for k in range(size):
                weight = blur[y, k]
                for x in range(size):
                    down[x] += weight * point[k, x]
            line = light[y * size : (y + 1) * size]
            line[:] = _ZERO
            for k in range(size):
                weight = down[k]
                for x in range(size):
                    line[x] += weight * blur[k, x]


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def demodulate_real(frames, rows, columns_re, columns_im, gain, out):  # type: ignore[no-untyped-def]
    """gain Re((rows[:16] + i rows[16:] (-1)^mode) @ frame @ (columns_re + i columns_im)), tile by tile.

    frames: any real type [frame, pixel], tile after tile of size x size pixels; rows: float32 [17, size];
    columns_*: float32 [size, 16]; gain: float32 [output]; out: float32 [frame, output], the first outputs of the
    tiles' modes.
    """
    n_frames, n_pixels = frames.shape
    n_out = out.shape[1]
    size = rows.shape[1]
    tile_pixels = size * size
    tiles = n_pixels // tile_pixels
    for job in prange(n_frames * tiles):
        frame, tile = job // tiles, job % tiles
        pixels = frames[frame, tile * tile_pixels : (tile + 1) * tile_pixels]
        band = np.empty((_MODES, _MODES), np.float32)
        lines = np.empty((_MODES + 1, _MODES), np.float32)
        odd = np.zeros(_MODES, np.float32)
        field = np.zeros((_MODES, _MODES), np.float32)
        # Blocks of 16 x 16 pixels: loops of fixed length, and short sums that stay in registers.
        for x in range(0, size, _MODES):
            lines[:] = _ZERO
            for y in range(0, size, _MODES):
                for k in range(_MODES):
                    for c in range(_MODES):
                        band[k, c] = pixels[(y + k) * size + x + c]
                for m in range(0, _MODES, 2):
                    for c in range(_MODES):
                        s, t = lines[m, c], lines[m + 1, c]
                        for k in range(_MODES):
                            s += rows[m, y + k] * band[k, c]
                            t += rows[m + 1, y + k] * band[k, c]
                        lines[m, c], lines[m + 1, c] = s, t
                for c in range(_MODES):
                    s = lines[_MODES, c]
                    for k in range(_MODES):
                        s += rows[_MODES, y + k] * band[k, c]
                    lines[_MODES, c] = s
            for c in range(_MODES):
                s = odd[c]
                for k in range(_MODES):
                    s += lines[_MODES, k] * columns_im[x + k, c]
                odd[c] = s
            for m in range(0, _MODES, 2):
                for c in range(_MODES):
                    s, t = field[m, c], field[m + 1, c]
                    for k in range(_MODES):
                        s += lines[m, k] * columns_re[x + k, c]
                        t += lines[m + 1, k] * columns_re[x + k, c]
                    field[m, c], field[m + 1, c] = s, t
        first = tile * _TILE_MODES
        for i in range(min(_TILE_MODES, n_out - first)):
            m, c = i // _MODES, i % _MODES
            s = field[m, c] + odd[c] if m % 2 else field[m, c] - odd[c]
            out[frame, first + i] = gain[first + i] * s
