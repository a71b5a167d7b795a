"""A hologram's tile: where the orders lie, and the constant matrices between its modes and its pixels.

A tile is 16 x 16 modes on 16p x 16p pixels. A mode is a sample of a speckle field whose square pupil fills 1/p of
the sensor's Nyquist band either way; the reference is tilted so that fringes run along the rows and the side band
ends at the Nyquist frequency. The light of the signal alone, |s|^2, has twice the bandwidth of the field: from p = 4
on it stays clear of the side band (|k_c| >= 3 k_s), with fewer pixels it reaches into it.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from opu_sim.errors import ConfigError

MODES = 16  # modes along a tile
PIXELS_PER_MODE = range(2, 9)  # along either axis
_LINES = np.fft.fftfreq(MODES, 1.0 / MODES)  # spectrum lines of a tile's modes, 0 .. 7, -8 .. -1

Parts = tuple[NDArray[np.float32], NDArray[np.float32]]


def parts(matrix: NDArray[np.complexfloating]) -> Parts:
    """Real and imaginary part, each contiguous."""
    return np.ascontiguousarray(matrix.real, np.float32), np.ascontiguousarray(matrix.imag, np.float32)


class HologramTile:
    """Tile of 16 x 16 modes with p x p pixels a mode.

    Parameters
    ----------
    grain_px : float
        p, pixels a mode along either axis: an integer, 2 .. 8.
    filter_edge : float or None
        Share of the side band's half-width over which the filter falls off as a raised cosine along either axis;
        None is a sharp filter.

    Raises
    ------
    ConfigError
        grain_px is not such an integer.

    Notes
    -----
    With p = 2 the side band's last line is the Nyquist frequency itself, where it meets its own twin image, so that
    the pixels hold one quadrature of it; the other 15 of 16 lines are whole. (A carrier one line lower would bring
    the twin in at the other end, and the mean of |r|^2 with it.)
    """

    def __init__(self, grain_px: float, filter_edge: float | None = None) -> None:
        if grain_px not in PIXELS_PER_MODE:
            raise ConfigError(
                f"medium.speckle_grain_px = {grain_px!r}: must be an integer "
                f"{PIXELS_PER_MODE[0]} .. {PIXELS_PER_MODE[-1]} for off-axis recovery"
            )
        self.pixels_per_mode = p = int(grain_px)
        self.size = size = MODES * p
        """Pixels along the tile."""
        self.carrier = max(MODES // 2 * (p - 1), MODES // 2 + 1)
        """Fringes along the tile."""
        self.overlaps = self.carrier - MODES // 2 < MODES
        """Whether |s|^2, of lines -15 .. 15, reaches into the side band."""
        # A square pixel averages the fringes over its area: sinc(fx) sinc(fy) at the side band's own frequencies.
        columns = _LINES + self.carrier
        mtf = np.sinc(_LINES / size), np.sinc(columns / size)
        taper = _raised_cosine(filter_edge)
        at_nyquist = columns == size // 2
        # One quadrature of that line is half of what the pixels show of the line and of its twin.
        kept = taper, np.where(at_nyquist, 0.5, 1.0) * taper
        self._to_pixels = self._series(mtf[0], 0), self._series(mtf[1], self.carrier).T
        self._to_points = self._series(np.ones(MODES), 0), self._series(np.ones(MODES), self.carrier).T
        # The way back is the adjoint of the way there, but divided by the transfer function instead of multiplied,
        # and by the pixels of a mode.
        self._to_modes = (
            self._series(kept[0] / mtf[0], 0).conj().T / p,
            self._series(kept[1] / mtf[1], self.carrier).conj() / p,
        )
        self._set_shares(np.outer(*kept), np.outer(*mtf), at_nyquist)

    def _series(self, weight: NDArray[np.float64], carrier: int) -> NDArray[np.complex128]:
        """Band-limited row of modes between its samples, line by line times `weight`, on the carrier [pixel, mode]."""
        to_lines = np.exp(-2j * np.pi / MODES * np.outer(_LINES, np.arange(MODES))) / MODES
        from_lines = np.exp(2j * np.pi / self.size * np.outer(np.arange(self.size), _LINES + carrier)) * weight
        return np.asarray(from_lines @ to_lines, dtype=np.complex128)

    def _set_shares(self, kept: NDArray[np.float64], mtf: NDArray[np.float64], at_nyquist: NDArray[np.bool_]) -> None:
        """Sums over the side band's lines [row, column] that the closed forms need, for 1 in each of the modes."""
        whole = kept * kept
        partnered = at_nyquist[None, :] & (np.abs(_LINES) < MODES // 2)[:, None]
        self.signal = float(np.mean(np.where(partnered, 2.0, 1.0) * whole))
        """Power of the field that the filter lets pass."""
        self.noise = float(np.mean(whole / mtf**2)) / self.pixels_per_mode**2
        """Power of white noise of variance 1 on the pixels: the side band's share of the spectrum, deblurred."""
        pairs = np.maximum(MODES - np.abs(_LINES), 0.0), np.maximum(MODES - np.abs(_LINES + self.carrier), 0.0)
        self.overlap = float(np.sum(whole * np.outer(*pairs))) / MODES**4
        """Share of the variance of |s|^2 in the side band.

        The spectrum of |s|^2 is the autocorrelation of the field's: (16 - |k|)(16 - |l|) / 16^4 of it at line (k, l).
        """
        self.order_zero = float(1.0 / np.mean(mtf**2))
        """Light of the signal over that of its fringes, which the pixels blur."""
        self.mixed = float(np.mean(mtf**2)) * self.noise
        """Power of the fringes that a white pattern on the pixels throws back into the side band."""

    @cached_property
    def rows_to_pixels(self) -> NDArray[np.float32]:
        """Rows' matrix of `_kernels.holography`, modes to pixels."""
        return _rows(self._to_pixels[0])

    @cached_property
    def rows_to_points(self) -> NDArray[np.float32]:
        """The same for pixels as small as points."""
        return _rows(self._to_points[0])

    @cached_property
    def rows_to_modes(self) -> NDArray[np.float32]:
        """Rows' matrix of `_kernels.holography`, pixels to modes."""
        rows = self._to_modes[0]
        return np.concatenate([rows.real, rows.imag[:1]]).astype(np.float32)

    def columns_to_pixels(self, factor: float) -> Parts:
        """Columns' matrix, modes to pixels."""
        return parts(factor * self._to_pixels[1])

    def columns_to_points(self, factor: float) -> Parts:
        """The same for pixels as small as points."""
        return parts(factor * self._to_points[1])

    def columns_to_modes(self, factor: complex) -> Parts:
        """Columns' matrix, pixels to modes."""
        return parts(factor * self._to_modes[1])

    @cached_property
    def blur(self) -> NDArray[np.float32]:
        """What a pixel's area does to a row of point samples [pixel, pixel]: each line times sinc."""
        lines = np.fft.fftfreq(self.size, 1.0 / self.size)
        response = np.fft.ifft(np.sinc(lines / self.size)).real
        return np.asarray(response[np.subtract.outer(np.arange(self.size), np.arange(self.size))], dtype=np.float32)

    def fringes(self, modes: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Signal times carrier on the pixels [..., row, column] of modes [..., row, column]."""
        rows, columns = (matrix.astype(np.complex64) for matrix in self._to_pixels)
        return rows @ (modes @ columns)

    def smooth(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Low-passed pixels [tile, row, column] at the modes, [tile, row, column]: least squares, quadratic a tile.

        A Gaussian beam some thousand pixels wide differs from its quadratic by less than 1e-4 over a tile.
        """
        x = np.arange(self.size) - 0.5 * (self.size - 1)
        at_pixels = np.stack([np.ones_like(x), x, x * x], axis=1)
        to_modes = at_pixels[:: self.pixels_per_mode] @ np.linalg.pinv(at_pixels)
        return np.asarray(to_modes @ pixels @ to_modes.T)


def _rows(matrix: NDArray[np.complex128]) -> NDArray[np.float32]:
    # Real, but for the share of line -8: one more column, with alternating signs; see the kernels.
    return np.concatenate([matrix.real, matrix.imag[:, :1]], axis=1).astype(np.float32)


def _raised_cosine(edge: float | None) -> NDArray[np.float64]:
    """Filter over the lines of one axis: 1 inside, falling to 0 at the side band's edge, line 8 either way."""
    if edge is None:
        return np.ones(MODES)
    outwards = (np.abs(_LINES) / (MODES // 2) - (1.0 - edge)) / edge
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(outwards, 0.0, 1.0)))
