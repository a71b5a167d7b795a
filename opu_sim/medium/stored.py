"""Transmission matrix held in memory."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.medium import add_columns, fill_matrix
from opu_sim.errors import DeviceError
from opu_sim.medium.transmission import Field
from opu_sim.rng import stream_key

# Below this many inputs, adding columns beats a matrix product (measured at 2048 outputs: 1.7 times at 10, even at 32).
_FEW_INPUTS = 32


class StoredMedium:
    """Transmission matrix held in memory, 8 bytes an entry.

    Parameters
    ----------
    seed : int
    n_in, n_outputs : int
    first_output : int
        Number of the first output; may be -1, a neighbour of output 0.

    Raises
    ------
    DeviceError
        The matrix would take more than half of this computer's memory.
    """

    def __init__(self, seed: int, n_in: int, n_outputs: int, first_output: int = 0) -> None:
        _refuse_what_does_not_fit(n_in, n_outputs)
        self.n_in = n_in
        self.n_outputs = n_outputs
        self.first_output = first_output
        self._key = stream_key(seed, "medium.transmission_matrix")
        self._re, self._im = self._block(0, n_in)

    def _block(self, first_column: int, columns: int) -> Field:
        re = np.empty((columns, self.n_outputs), dtype=np.float32)
        im = np.empty_like(re)
        # Output -1 has to exist as a neighbour, so row counters start one higher.
        fill_matrix(*self._key, self.first_output + 1, first_column, re, im)
        return re, im

    def propagate(self, patterns: NDArray[np.uint8]) -> Field:
        """T b for binary patterns uint8 [pattern, input]; exact, because the entries lie on a grid."""
        shape = (len(patterns), self.n_outputs)
        if self.n_in <= _FEW_INPUTS:
            re, im = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
            add_columns(patterns, self._re, self._im, re, im)
            return re, im
        b = patterns.astype(np.float32)
        return b @ self._re, b @ self._im

    def column(self, index: int) -> Field:
        """Response [1, output] of source `index` (>= 0) beyond the mirrors of any DMD."""
        return self._block(2**40 + index, 1)

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input]."""
        return np.ascontiguousarray((self._re + 1j * self._im).T)


def _refuse_what_does_not_fit(n_in: int, n_outputs: int) -> None:
    needed = 8 * n_in * n_outputs
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory // 2:
        raise DeviceError(
            f"n_in x n_out = {n_in} x {n_outputs}: a stored transmission matrix takes {needed / 2**30:.1f} GiB; "
            f"allowed: {memory / 2**31:.1f} GiB, half of this computer's memory"
        )
