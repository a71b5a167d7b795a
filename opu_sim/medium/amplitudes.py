"""Products of T with amplitudes instead of binary patterns, summed so that the order cannot reach the result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim.medium.transmission import Field

_BITS = 24


class AmplitudeProduct:
    """Sum of b[:, inputs] T[inputs] over tiles of inputs, in float64, rounded to float32 at the end.

    Amplitudes become fixed-point numbers of 24 bits, relative to the largest real or imaginary part of their
    pattern, which is the precision that a float32 of that size has. Times an entry on its grid of 2^-11 (14 bits) that
    is a whole number of less than 2^38 units. A float64 sum of whole numbers is exact below 2^53, which random terms
    reach only beyond 2^35 inputs: no order of summation, and so no BLAS, thread or tile, changes the result.

    Parameters
    ----------
    patterns : float or complex [pattern, input], finite
    n_outputs : int

    Raises
    ------
    ValueError
        NaN or infinite amplitudes.
    """

    def __init__(self, patterns: NDArray[Any], n_outputs: int) -> None:
        if not np.isfinite(patterns).all():
            raise ValueError("patterns: amplitudes must be finite")
        self._parts = [patterns.real, patterns.imag] if np.iscomplexobj(patterns) else [patterns]
        largest = np.max([np.abs(part).max(axis=1, initial=0.0) for part in self._parts], axis=0).astype(np.float64)
        self._unit = np.ldexp(1.0, np.frexp(largest)[1] - _BITS)[:, None]
        self._re = np.zeros((len(patterns), n_outputs))
        self._im = np.zeros((len(patterns), n_outputs))

    def add(
        self,
        inputs: slice | NDArray[np.intp],
        re: NDArray[np.float32],
        im: NDArray[np.float32],
        first_output: int = 0,
    ) -> None:
        """Add `inputs`, whose entries are re, im [input, output]."""
        where = slice(first_output, first_output + re.shape[1])
        wide_re, wide_im = re.astype(np.float64), im.astype(np.float64)
        b = [np.rint(part[:, inputs].astype(np.float64) / self._unit) * self._unit for part in self._parts]
        self._re[:, where] += b[0] @ wide_re
        self._im[:, where] += b[0] @ wide_im
        if len(b) == 2:
            self._re[:, where] -= b[1] @ wide_im
            self._im[:, where] += b[1] @ wide_re

    def field(self) -> Field:
        """The sum so far, float32 [pattern, output]."""
        return self._re.astype(np.float32), self._im.astype(np.float32)
