"""Fourier transforms of complex64 arrays behind one seam: scipy.fft, or ducc0 where the environment asks for it.

OPU_FFT=ducc0 chooses the second (`pip install opu-sim[ducc0]`; GPL, hence optional). The two round differently in the
last bits, and so do the fields of a wave-optics medium: whoever compares runs bit by bit compares like with like.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from opu_sim.errors import ConfigError


def _chosen() -> str:
    name = os.environ.get("OPU_FFT", "scipy")
    if name not in ("scipy", "ducc0"):
        raise ConfigError(f"OPU_FFT = {name!r}: must be 'scipy' or 'ducc0'")
    return name


def _ducc0() -> Any:
    try:
        return importlib.import_module("ducc0")
    except ImportError as error:
        raise ConfigError("OPU_FFT = 'ducc0': not installed; pip install ducc0, or leave OPU_FFT out") from error


LIBRARY = _chosen()
"""Name of the library in use."""

if LIBRARY == "ducc0":
    _library = _ducc0()

    def fft_lines(lines: NDArray[np.complex64]) -> None:
        """Discrete Fourier transform of each line [line, point] in place, not normalised, in the calling thread."""
        _library.fft.c2c(lines, axes=(1,), out=lines, nthreads=1)

    def fft2(plane: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Of a plane [row, column], not normalised, with as many threads as the kernels have."""
        transformed: NDArray[np.complex64] = _library.fft.c2c(plane, nthreads=numba.get_num_threads())
        return transformed

else:

    def fft_lines(lines: NDArray[np.complex64]) -> None:
        """Discrete Fourier transform of each line [line, point] in place, not normalised, in the calling thread."""
        transformed = scipy.fft.fft(lines, axis=1, overwrite_x=True)
        if transformed is not lines and not np.may_share_memory(transformed, lines):
            lines[:] = transformed

    def fft2(plane: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Of a plane [row, column], not normalised, with as many threads as the kernels have."""
        transformed: NDArray[np.complex64] = scipy.fft.fft2(plane, workers=numba.get_num_threads())
        return transformed


def fast_plane(cells: int, least_side: int = 1) -> tuple[int, int]:
    """Sides of the smallest plane that has so many cells and transforms fast; no side is twice the other.

    Sides have no prime factor above 7; from 128 on they are multiples of 16, which fills a processor's vectors: at some
    1800 points that takes 2.2 to 2.6 ns a point and core, other lengths without large factors 2.7 to 3.8.
    """
    root = max(math.isqrt(max(cells, 1) - 1) + 1, least_side)
    best = None
    for points in _fast_lengths(max(int(root / 1.4), least_side), 2 * root + 32):
        least = max(math.ceil(cells / points), least_side)
        lines = next(_fast_lengths(least, 4 * least + 64))
        if max(lines, points) <= 2 * min(lines, points) and (best is None or lines * points < math.prod(best)):
            best = lines, points
    if best is None:
        raise ValueError(f"cells = {cells}, least_side = {least_side}: no plane found")
    return best


def _fast_lengths(start: int, stop: int) -> Iterator[int]:
    for length in range(start, stop):
        if (length < 128 or length % 16 == 0) and scipy.fft.prev_fast_len(length) == length and length % 11:
            yield length
