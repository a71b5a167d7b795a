"""The bottom of the model: a learned row for each token, plus one for its position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Tokens = npt.NDArray[np.integer[Any]]


def normal(rng: np.random.Generator, rows: int, width: int, dtype: npt.DTypeLike) -> Array:
    """Initial rows [rows, width]: normal, standard deviation sqrt(1 / width)."""
    drawn: Array = (rng.standard_normal((rows, width)) / math.sqrt(width)).astype(dtype)
    return drawn


class Embedding:
    """x = rows[token] + positions[place in the sequence]."""

    def __init__(
        self, vocabulary: int, context: int, width: int, rng: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        self.rows, self.positions = normal(rng, vocabulary, width, dtype), normal(rng, context, width, dtype)
        self.parameters = [self.rows, self.positions]
        self.gradients = [np.zeros_like(self.rows), np.zeros_like(self.positions)]

    def checked(self, tokens: npt.ArrayLike) -> Tokens:
        """The tokens as an integer array [sequences, length].

        Raises
        ------
        ValueError
            No such array, sequences longer than the context, or a token beyond the vocabulary.
        """
        found, context, vocabulary = np.asarray(tokens), len(self.positions), len(self.rows)
        if not np.issubdtype(found.dtype, np.integer) or found.ndim != 2 or not 1 <= found.shape[1] <= context:
            raise ValueError(
                f"tokens {found.dtype}{found.shape}: must be integers [sequences, length] of 1 to {context} a line"
            )
        if found.size and (found.min() < 0 or found.max() >= vocabulary):
            raise ValueError(f"tokens span {found.min()}..{found.max()}: must be within 0..{vocabulary - 1}")
        return found

    def forward(self, tokens: Tokens, out: Array) -> None:
        """Write x [sequences, length, width] of checked tokens."""
        np.take(self.rows, tokens, axis=0, out=out, mode="clip")  # checked: "clip" only spares a copy
        out += self.positions[: tokens.shape[1]]

    def backward(self, tokens: Tokens, incoming: Array, add: bool) -> None:
        """Sum incoming = dL/dx [sequences * length, width] over the places of each token, and of each position.

        `add` leaves what the gradient of the token rows holds already, for a head that shares them.
        """
        row_gradient, position_gradient = self.gradients
        sequences, length = tokens.shape
        position_gradient[length:] = 0
        np.sum(incoming.reshape(sequences, length, -1), axis=0, out=position_gradient[:length])
        if not add:
            row_gradient.fill(0)
        if tokens.size:
            # Sorted by token, its rows are neighbours, and added in the order in which they stand in the batch.
            flat = tokens.reshape(-1)
            order = np.argsort(flat, kind="stable")
            present, first = np.unique(flat[order], return_index=True)
            row_gradient[present] += np.add.reduceat(incoming[order], first, axis=0)
