"""Transmission matrix that is never stored: each entry is made again, from its key, wherever it is needed.

Entries lie on a grid that makes sums of binary patterns exact in any order (see `_kernels.medium`). That is what lets
two ways of adding them up, tiles of any shape and any number of threads give the same bits as a stored matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.medium import add_made_columns, fill_tile, light_tile, row_keys
from opu_sim.medium.amplitudes import AmplitudeProduct
from opu_sim.medium.transmission import (
    BEYOND_INPUTS,
    Field,
    Patterns,
    checked_illumination,
    checked_part,
    is_binary,
    no_drift,
    refuse_what_does_not_fit,
    stored_bytes,
    whole_matrix,
)
from opu_sim.rng import stream_key

# Many patterns: a tile of entries is made, multiplied by all of them, and overwritten. A matrix product is at its best
# with thousands of inputs and a thousand outputs. At 10,000 x 5,000 and 3000 patterns on two cores the products ran at
# 0.95 times the speed of the undivided one; smaller tiles lose more, above all where other work shares the cores.
# Memory: 16 MiB a tile, at most 24 MiB for its part of the patterns and 24 MiB for a product on its way to the sum.
_TILE_ENTRIES = 2**21
_TILE_INPUTS = 2048
_AMPLITUDE_INPUTS = 512  # of an amplitude product: it works on float64 copies

# Few or sparse patterns: each entry is added, while it is in the first-level cache, to the patterns that show it.
# Measured, ns an entry: 1.1 to make it and 0.075 for each pattern that shows it; the product takes 0.025 to 0.035 for
# each pattern, showing it or not. Beyond some hundred patterns the sums leave the caches, hence the wide margin.
_FEW_ON = 32  # patterns that show an input, on average: 64 half ON take the same time either way
_SPARSE = 1 / 16  # the same, as a share of the patterns
_CHUNK_OUTPUTS = 512  # 256 take 1.3 times as long at 4 to 32 patterns, 1024 the same
_VECTOR = 16  # float32 in the widest registers: chunks are multiples of it


class StreamedMedium:
    """Transmission matrix made on the fly, the same to the last bit as `StoredMedium`'s.

    Memory: O(n_in + n_outputs), the fields themselves and at most 64 MiB, whatever n_in x n_outputs. Time: the entries
    are made once for all patterns of a call, so a call should bring many; inputs that no pattern shows cost nothing.

    Parameters
    ----------
    seed, n_in, n_outputs, first_output, illumination
        As for `StoredMedium`.

    Raises
    ------
    ValueError
        An illumination of wrong shape.
    """

    kind = "streamed"
    batch = 3072  # more are cut, and the entries made again for each part: 2 % of the time of its product
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
        factors = checked_illumination(illumination, n_in)
        self._factors = np.empty((2, 0), np.float32) if factors is None else np.array([factors.real, factors.imag])
        self._keys = np.empty((2, n_outputs), dtype=np.uint64)
        row_keys(*stream_key(seed, "medium.transmission_matrix"), first_output + 1, *self._keys)

    def move_to(self, step: int) -> None:
        """Do nothing: T never changes."""
        no_drift(step)

    def _fill(self, keys: NDArray[np.uint64], inputs: NDArray[np.intp], memory: NDArray[np.float32]) -> Field:
        """Entries re, im [input, output] of the outputs with `keys` [2, output], in `memory` [2, >= input * output]."""
        shape = (len(inputs), keys.shape[1])
        re, im = (part[: math.prod(shape)].reshape(shape) for part in memory)
        fill_tile(*keys, inputs, re, im)
        if self._factors.size:
            light_tile(*self._factors.take(inputs, axis=1), re, im)
        return re, im

    def _tiles(self, lit: NDArray[np.intp], at_most: int) -> Iterator[tuple[slice, int, Field]]:
        """(part of `lit`, first output, re and im [input, output]); the next tile overwrites the arrays.

        All outputs of a part follow each other; no part has more than `at_most` inputs.
        """
        if not len(lit):
            return
        parts = math.ceil(len(lit) / at_most)
        inputs = math.ceil(len(lit) / parts)
        outputs = min(max(_TILE_ENTRIES // inputs, 1), self.n_outputs)
        memory = np.empty((2, inputs * outputs), dtype=np.float32)
        for first in range(0, len(lit), inputs):
            part = slice(first, min(first + inputs, len(lit)))
            for first_output in range(0, self.n_outputs, outputs):
                keys = self._keys[:, first_output : first_output + outputs]
                yield part, first_output, self._fill(keys, lit[part], memory)

    def propagate(self, patterns: Patterns) -> Field:
        """T b, float32 [pattern, output]; patterns and errors as `StoredMedium.propagate`."""
        if not is_binary(patterns):
            return self._propagate_amplitudes(patterns)
        b = np.ascontiguousarray(patterns, dtype=np.uint8)
        fields = (
            np.zeros((len(b), self.n_outputs), dtype=np.float32),
            np.zeros((len(b), self.n_outputs), dtype=np.float32),
        )
        for first in range(0, len(b), self.batch):
            rows = slice(first, first + self.batch)
            part = b[rows]
            lit = np.flatnonzero(part.max(axis=0))
            few = np.count_nonzero(part) <= len(lit) * max(_FEW_ON, _SPARSE * len(part))
            add = self._add_columns if few else self._add_products
            add(part, lit, fields[0][rows], fields[1][rows])
        return fields

    def _propagate_amplitudes(self, patterns: Patterns) -> Field:
        product = AmplitudeProduct(patterns, self.n_outputs)
        lit = np.flatnonzero((patterns != 0).any(axis=0))
        for part, first_output, (re, im) in self._tiles(lit, _AMPLITUDE_INPUTS):
            product.add(lit[part], re, im, first_output)
        return product.field()

    def _add_columns(
        self, b: NDArray[np.uint8], lit: NDArray[np.intp], re: NDArray[np.float32], im: NDArray[np.float32]
    ) -> None:
        """re, im += T b over the inputs `lit`, entry by entry."""
        vectors = math.ceil(self.n_outputs / numba.get_num_threads() / _VECTOR)
        width = min(max(vectors, 1) * _VECTOR, _CHUNK_OUTPUTS)
        add_made_columns(*self._keys, lit, b, *self._factors, width, re, im)

    def _add_products(
        self, b: NDArray[np.uint8], lit: NDArray[np.intp], re: NDArray[np.float32], im: NDArray[np.float32]
    ) -> None:
        """re, im = T b over the inputs `lit`, tile by tile."""
        shown, wide = slice(0, 0), np.empty(0, dtype=np.float32)
        memory = np.empty(0, dtype=np.float32)
        for part, first_output, tile in self._tiles(lit, _TILE_INPUTS):
            if part != shown:
                taken = b[:, part] if len(lit) == self.n_in else b.take(lit[part], axis=1)
                shown, wide = part, taken.astype(np.float32)
            for field, entries in zip((re, im), tile, strict=True):
                where = field[:, first_output : first_output + entries.shape[1]]
                if part.start == 0:
                    np.matmul(wide, entries, out=where)
                    continue
                if memory.size < where.size:
                    memory = np.empty(where.size, dtype=np.float32)
                product = memory[: where.size].reshape(where.shape)
                where += np.matmul(wide, entries, out=product)

    def column(self, index: int) -> Field:
        """Response [1, output] of source `index` (>= 0) beyond the mirrors of any DMD."""
        re, im = np.empty((2, 1, self.n_outputs), dtype=np.float32)
        fill_tile(*self._keys, np.array([BEYOND_INPUTS + index]), re, im)
        return re, im

    def block(self, outputs: NDArray[np.integer], inputs: NDArray[np.integer]) -> NDArray[np.complex64]:
        """T [output, input] at chosen outputs (first_output and on) and inputs; makes no other entries.

        Raises
        ------
        DeviceError
            The block would take more than half of this computer's memory.
        ValueError
            Outputs or inputs that the medium does not have.
        """
        rows, columns = checked_part(self, outputs, inputs)
        needed = stored_bytes(len(columns), len(rows))
        refuse_what_does_not_fit(len(columns), len(rows), "this part of the matrix", needed, "ask for less of it")
        T = np.empty((len(rows), len(columns)), dtype=np.complex64)
        keys = self._keys.take(rows, axis=1)
        at_once = max(_TILE_ENTRIES // max(len(rows), 1), 1)
        memory = np.empty((2, min(at_once, len(columns)) * len(rows)), dtype=np.float32)
        for first in range(0, len(columns), at_once):
            part = slice(first, first + at_once)
            re, im = self._fill(keys, columns[part], memory)
            T.real[:, part], T.imag[:, part] = re.T, im.T
        return T

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input], stored after all: for tests and small shapes; errors as for `block`."""
        return whole_matrix(self)
