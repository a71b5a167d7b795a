"""Off-axis holograms and their demodulation tile by tile, as products with small constant matrices.

A tile is 16 x 16 modes on 64 x 64 pixels. The way from modes to pixels, or back, is a Fourier series of 16
lines, -8 .. 7, along either axis: one matrix on the left (rows), one on the right (columns). Without a
carrier lines k and -k pair up, so that the rows' matrix is real, all but the share of line -8, which has no
partner: its imaginary part is the same for every mode but for the sign (-1)^mode, and one more real row or
column holds it. This halves the work.

All innermost sums have 16 or 17 terms, in fixed order: LLVM unrolls them and vectorises the loop around them.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_MODES = 16
_SIZE = 64
_TILE_MODES = _MODES * _MODES
_TILE_PIXELS = _SIZE * _SIZE
_ZERO = np.float32(0.0)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def hologram_photons(re, im, rows, columns_re, columns_im, order_zero, reference, energy, out):  # type: ignore[no-untyped-def]
    """Mean photons of the frames: energy (|s|^2 order_zero + 2 reference Re s + reference^2), 0 at least.

    s = (rows[:, :16] + i rows[:, 16:] (-1)^mode) @ modes @ (columns_re + i columns_im), the signal on the tile.
    re, im: float32 [frame, mode], tile after tile of 16 x 16 modes; rows: float32 [64, 17];
    columns_*: float32 [16, 64]; order_zero, reference: float32; energy: float32 [frame];
    out: float32 [frame, pixel], tile after tile of 64 x 64 pixels.
    """
    n_frames, n_modes = re.shape
    tiles = n_modes // _TILE_MODES
    twice, constant = np.float32(2.0) * reference, reference * reference
    for job in prange(n_frames * tiles):
        frame, tile = job // tiles, job % tiles
        modes_re = re[frame, tile * _TILE_MODES : (tile + 1) * _TILE_MODES]
        modes_im = im[frame, tile * _TILE_MODES : (tile + 1) * _TILE_MODES]
        photons = out[frame, tile * _TILE_PIXELS : (tile + 1) * _TILE_PIXELS]
        a, b = np.empty(_MODES, np.float32), np.empty(_MODES, np.float32)
        wide_re = np.empty((_MODES + 1, _SIZE), np.float32)
        wide_im = np.empty((_MODES + 1, _SIZE), np.float32)
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
            for x in range(_SIZE):
                s, t = _ZERO, _ZERO
                for c in range(_MODES):
                    s += a[c] * columns_re[c, x] - b[c] * columns_im[c, x]
                    t += a[c] * columns_im[c, x] + b[c] * columns_re[c, x]
                wide_re[m, x], wide_im[m, x] = s, t
        power = energy[frame]
        for y in range(_SIZE):
            for x in range(_SIZE):
                s, t = _ZERO, _ZERO
                for m in range(_MODES + 1):
                    s += rows[y, m] * wide_re[m, x]
                    t += rows[y, m] * wide_im[m, x]
                light = (s * s + t * t) * order_zero + (twice * s + constant)
                photons[y * _SIZE + x] = power * max(light, _ZERO)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz"})
def demodulate_real(frames, rows, columns_re, columns_im, out):  # type: ignore[no-untyped-def]
    """Real part of (rows[:16] + i rows[16:] (-1)^mode) @ frame @ (columns_re + i columns_im), tile by tile.

    frames: any real type [frame, pixel], tile after tile of 64 x 64 pixels; rows: float32 [17, 64];
    columns_*: float32 [64, 16]; out: float32 [frame, output], the first outputs of the tiles' modes.
    """
    n_frames, n_pixels = frames.shape
    n_out = out.shape[1]
    tiles = n_pixels // _TILE_PIXELS
    for job in prange(n_frames * tiles):
        frame, tile = job // tiles, job % tiles
        pixels = frames[frame, tile * _TILE_PIXELS : (tile + 1) * _TILE_PIXELS]
        band = np.empty((_MODES, _SIZE), np.float32)
        lines = np.zeros((_MODES + 1, _SIZE), np.float32)
        # Sixteen rows of pixels at a time: short sums that stay in registers.
        for y in range(0, _SIZE, _MODES):
            for k in range(_MODES):
                for x in range(_SIZE):
                    band[k, x] = pixels[(y + k) * _SIZE + x]
            for m in range(_MODES + 1):
                for x in range(_SIZE):
                    s = lines[m, x]
                    for k in range(_MODES):
                        s += rows[m, y + k] * band[k, x]
                    lines[m, x] = s
        odd = np.zeros(_MODES, np.float32)
        for x in range(0, _SIZE, _MODES):
            for c in range(_MODES):
                s = odd[c]
                for k in range(_MODES):
                    s += lines[_MODES, x + k] * columns_im[x + k, c]
                odd[c] = s
        field = np.empty(_TILE_MODES, np.float32)
        for m in range(_MODES):
            line = field[m * _MODES : (m + 1) * _MODES]
            for c in range(_MODES):
                line[c] = odd[c] if m % 2 else -odd[c]
            for x in range(0, _SIZE, _MODES):
                for c in range(_MODES):
                    s = line[c]
                    for k in range(_MODES):
                        s += lines[m, x + k] * columns_re[x + k, c]
                    line[c] = s
        first = tile * _TILE_MODES
        for i in range(min(_TILE_MODES, n_out - first)):
            out[frame, first + i] = field[i]
