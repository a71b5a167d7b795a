"""Transmission matrix that is never stored: each entry is made again, from its key, wherever it is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.medium import fill_tile, light_tile, row_keys
from opu_sim.medium.amplitudes import AmplitudeProduct
from opu_sim.medium.transmission import BEYOND_INPUTS, Field, Patterns, checked_illumination, is_binary, no_drift
from opu_sim.rng import stream_key

# A tile of entries is made, multiplied by all patterns, and overwritten: its 2 MiB stay in the cores' caches.
# Measured on two Zen 4 cores, ns an entry of T: making it 1.1; made and multiplied by 1, 8, 64, 512 patterns
# 1.5, 2.7, 3.9, 13.9, where a stored matrix takes 0.3, 0.6, 1.7, 10.4. Tiles of 8 MiB: 2.2, 2.7, 3.8, 13.8.
_TILE_ENTRIES = 2**18
_TILE_OUTPUTS = 512


class StreamedMedium:
    """Transmission matrix made on the fly, the same to the last bit as `StoredMedium`'s.

    Memory: O(n_in + n_outputs) and the fields themselves, whatever n_in x n_outputs. Time: the entries are made once
    for all patterns of a call, so a call should bring many.

    Parameters
    ----------
    seed, n_in, n_outputs, first_output, illumination
        As for `StoredMedium`.

    Raises
    ------
    ValueError
        An illumination of wrong shape.
    """

    step_s = math.inf

    def __init__(
        self,
        seed: int,
        n_in: int,
        n_outputs: int,
        first_output: int = 0,
        illumination: NDArray[np.complex64] | None = None,
    ) -> None:
        self.n_in = n_in
        self.n_outputs = n_outputs
        self.first_output = first_output
        self._factors = checked_illumination(illumination, n_in)
        self._keys = np.empty((2, n_outputs), dtype=np.uint64)
        row_keys(*stream_key(seed, "medium.transmission_matrix"), first_output + 1, *self._keys)

    def move_to(self, step: int) -> None:
        """Do nothing: T never changes."""
        no_drift(step)

    def _tiles(self) -> Iterator[tuple[int, int, NDArray[np.float32], NDArray[np.float32]]]:
        """(first input, first output, re, im [input, output]); the arrays are overwritten by the next tile."""
        outputs = min(_TILE_OUTPUTS, self.n_outputs)
        inputs = min(max(_TILE_ENTRIES // outputs, 1), self.n_in)
        memory = np.empty((2, inputs * outputs), dtype=np.float32)
        for first_output in range(0, self.n_outputs, outputs):
            keys = self._keys[:, first_output : first_output + outputs]
            for first in range(0, self.n_in, inputs):
                shape = (min(inputs, self.n_in - first), keys.shape[1])
                re, im = (part[: shape[0] * shape[1]].reshape(shape) for part in memory)
                fill_tile(*keys, first, re, im)
                if self._factors is not None:
                    factors = self._factors[first : first + shape[0]]
                    light_tile(factors.real.copy(), factors.imag.copy(), re, im)
                yield first, first_output, re, im

    def propagate(self, patterns: Patterns) -> Field:
        """T b, float32 [pattern, output]; patterns and errors as `StoredMedium.propagate`."""
        if not is_binary(patterns):
            product = AmplitudeProduct(patterns, self.n_outputs)
            for first, first_output, re, im in self._tiles():
                product.add(first, re, im, first_output)
            return product.field()
        fields = (
            np.zeros((len(patterns), self.n_outputs), dtype=np.float32),
            np.zeros((len(patterns), self.n_outputs), dtype=np.float32),
        )
        for first, first_output, *tile in self._tiles():
            inputs, outputs = tile[0].shape
            b = patterns[:, first : first + inputs].astype(np.float32)
            for field, part in zip(fields, tile, strict=True):
                field[:, first_output : first_output + outputs] += b @ part
        return fields

    def column(self, index: int) -> Field:
        """Response [1, output] of source `index` (>= 0) beyond the mirrors of any DMD."""
        re, im = np.empty((2, 1, self.n_outputs), dtype=np.float32)
        fill_tile(*self._keys, BEYOND_INPUTS + index, re, im)
        return re, im

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input], stored after all: for tests and small shapes."""
        T = np.empty((self.n_outputs, self.n_in), dtype=np.complex64)
        for first, first_output, re, im in self._tiles():
            T[first_output : first_output + re.shape[1], first : first + len(re)] = (re + 1j * im).T
        return T
