"""Transmission matrix held in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.medium import add_columns, fill_matrix, light_tile, renew_tile, row_keys
from opu_sim.medium.amplitudes import AmplitudeProduct
from opu_sim.medium.drift import Drift
from opu_sim.medium.transmission import (
    BEYOND_INPUTS,
    FEW_INPUTS,
    PATTERNS_OF_A_PRODUCT,
    Field,
    Patterns,
    checked_illumination,
    checked_part,
    is_binary,
    refuse_what_does_not_fit,
    stored_bytes,
)
from opu_sim.rng import StreamKey, stream_key

_STEPS_AT_ONCE = 64  # of the walk: bounds the memory for their keys
_INPUTS_AT_ONCE = 512  # of an amplitude product: bounds the memory for float64 copies


class StoredMedium:
    """Transmission matrix held in memory, 8 bytes an entry; 16 if it drifts and is lit or mixed as well.

    Parameters
    ----------
    seed : int
    n_in, n_outputs : int
    first_output : int
        Number of the first output; may be -1, a neighbour of output 0.
    illumination : complex64 [n_in], optional
        Factor on each input's field (unequal working mirrors, the phase of a DMD that is not flat); the product
        with T is rounded to the grid of the entries.
    drift_time_s : float, optional
        tau of the field's correlation exp(-t / tau), see `Drift`.
    mixing : callable, optional
        Share of a second, independent matrix at a time [s], see `Drift`.

    Raises
    ------
    DeviceError
        The matrix would take more than half of this computer's memory.
    ValueError
        An illumination of wrong shape.
    """

    kind = "stored"
    batch = PATTERNS_OF_A_PRODUCT

    def __init__(
        self,
        seed: int,
        n_in: int,
        n_outputs: int,
        first_output: int = 0,
        illumination: NDArray[np.complex64] | None = None,
        drift_time_s: float | None = None,
        mixing: Callable[[float], float] | None = None,
    ) -> None:
        self.n_in = n_in
        self.n_outputs = n_outputs
        self.first_output = first_output
        self._drift = Drift(drift_time_s, mixing)
        self.step_s = self._drift.step_s
        self._factors = checked_illumination(illumination, n_in)
        # The walk needs its own state; T itself follows from it, and is the same array if nothing else acts on it.
        self._apart = self._drift.walks and (self._factors is not None or mixing is not None)
        changes = drift_time_s is not None or mixing is not None
        kinds = "'wave-optics'" if changes else "'streamed' or 'wave-optics'"
        needed = stored_bytes(n_in, n_outputs, copies=2 if self._apart else 1)
        instead = f"medium.kind = {kinds} stores none"
        refuse_what_does_not_fit(n_in, n_outputs, "a stored transmission matrix", needed, instead)
        self._seed = seed
        self._key = stream_key(seed, "medium.transmission_matrix")
        self._walked = 0
        self._share = self._drift.at(0)[1]
        self._state = self._block(0, n_in)
        self._re, self._im = self._shown()

    def _block(self, first_column: int, columns: int) -> Field:
        re = np.empty((columns, self.n_outputs), dtype=np.float32)
        im = np.empty_like(re)
        # Output -1 has to exist as a neighbour, so row counters start one higher.
        fill_matrix(*self._key, self.first_output + 1, first_column, re, im)
        return re, im

    def _row_keys(self, streams: list[StreamKey]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        keys = np.empty((2, len(streams), self.n_outputs), dtype=np.uint64)
        for line, line_2, key in zip(*keys, streams, strict=True):
            row_keys(*key, self.first_output + 1, line, line_2)
        return keys[0], keys[1]

    def _walk(self, block: Field, first_column: int, start: int, stop: int) -> None:
        """Steps start .. stop - 1 of the walk, in place."""
        keep, fresh = np.float32(self._drift.keep), np.float32(self._drift.fresh)
        for first in range(start, stop, _STEPS_AT_ONCE):
            steps = range(first, min(first + _STEPS_AT_ONCE, stop))
            keys = self._row_keys([stream_key(self._seed, "medium.drift", step) for step in steps])
            renew_tile(*keys, keep, fresh, first_column, *block)

    def _mix(self, block: Field, first_column: int) -> None:
        keys = self._row_keys([stream_key(self._seed, "medium.warm_up")])
        keep, fresh = np.float32((1.0 - self._share) ** 0.5), np.float32(self._share**0.5)
        renew_tile(*keys, keep, fresh, first_column, *block)

    def _shown(self) -> Field:
        """T of the walk's state: mixed and lit."""
        shown = (self._state[0].copy(), self._state[1].copy()) if self._apart else self._state
        if self._share:
            self._mix(shown, 0)
        if self._factors is not None:
            light_tile(self._factors.real.copy(), self._factors.imag.copy(), *shown)
        return shown

    def move_to(self, step: int) -> None:
        """Let T be that of knot `step`; a move back goes again from knot 0."""
        walked, share = self._drift.at(step)
        if (walked, share) == (self._walked, self._share):
            return
        if walked < self._walked or not self._drift.walks:
            self._state = self._block(0, self.n_in)
            self._walked = 0
        self._walk(self._state, 0, self._walked, walked)
        self._walked, self._share = walked, share
        self._re, self._im = self._shown()

    def propagate(self, patterns: Patterns) -> Field:
        """T b, float32 [pattern, output].

        Parameters
        ----------
        patterns : uint8, float or complex [pattern, input]
            Binary patterns: exact, because the entries lie on a grid. Amplitudes: see `AmplitudeProduct`.

        Raises
        ------
        ValueError
            Another dtype, or amplitudes that are not finite.
        """
        if not is_binary(patterns):
            product = AmplitudeProduct(patterns, self.n_outputs)
            for first in range(0, self.n_in, _INPUTS_AT_ONCE):
                part = slice(first, first + _INPUTS_AT_ONCE)
                product.add(part, self._re[part], self._im[part])
            return product.field()
        shape = (len(patterns), self.n_outputs)
        if self.n_in <= FEW_INPUTS:
            re, im = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
            add_columns(patterns, self._re, self._im, re, im)
            return re, im
        b = patterns.astype(np.float32)
        return b @ self._re, b @ self._im

    def column(self, index: int) -> Field:
        """Response [1, output] of source `index` (>= 0) beyond the mirrors of any DMD; it drifts with the others."""
        block = self._block(BEYOND_INPUTS + index, 1)
        self._walk(block, BEYOND_INPUTS + index, 0, self._walked)
        if self._share:
            self._mix(block, BEYOND_INPUTS + index)
        return block

    def block(self, outputs: NDArray[np.integer], inputs: NDArray[np.integer]) -> NDArray[np.complex64]:
        """T [output, input] at chosen outputs (first_output and on) and inputs.

        Raises
        ------
        ValueError
            Outputs or inputs that the medium does not have.
        """
        rows, columns = checked_part(self, outputs, inputs)
        T = np.empty((len(rows), len(columns)), dtype=np.complex64)
        part = np.ix_(columns, rows)
        T.real, T.imag = self._re[part].T, self._im[part].T
        return T

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input]."""
        T = np.empty((self.n_outputs, self.n_in), dtype=np.complex64)
        T.real, T.imag = self._re.T, self._im.T
        return T
