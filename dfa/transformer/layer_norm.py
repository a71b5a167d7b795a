"""Layer normalisation over the width of each token (Ba, Kiros & Hinton 2016, arXiv 1607.06450)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dfa.parallel import for_each
from dfa.transformer.buffers import Buffers

Array = npt.NDArray[np.floating[Any]]

EPSILON = 1e-5
# Rows per piece: of 128 wide float32 tokens 128 KiB, so that the passes over a piece find it in cache.
ROWS = 256


class LayerNorm:
    """y = gain * x_hat + shift with x_hat = (x - mean) / sqrt(variance + 1e-5), both moments over the width."""

    def __init__(self, width: int, dtype: npt.DTypeLike) -> None:
        self.gain: Array = np.ones(width, dtype)
        self.shift: Array = np.zeros(width, dtype)
        self.parameters = [self.gain, self.shift]
        self.gradients = [np.zeros_like(self.gain), np.zeros_like(self.shift)]
        self._average = np.full(width, 1 / width, dtype)

    def forward(self, x: Array, kept: Buffers) -> Array:
        """Normalise x [rows, width], keeping x_hat and 1 / std; the result stays in `kept` too."""
        rows, width = x.shape
        unit, output = kept("unit", rows, width), kept("normed", rows, width)
        inverse_std = kept("inverse_std", rows, 1)

        def normalise(n: int) -> None:
            piece = slice(n * ROWS, (n + 1) * ROWS)
            u = np.subtract(x[piece], (x[piece] @ self._average)[:, None], out=unit[piece])
            np.einsum("rw,rw->r", u, u, out=inverse_std[piece, 0])
            spread = inverse_std[piece]
            spread /= width
            spread += EPSILON
            np.sqrt(spread, out=spread)
            np.reciprocal(spread, out=spread)
            u *= spread
            y = np.multiply(u, self.gain, out=output[piece])
            y += self.shift

        for_each(-(-rows // ROWS), normalise)
        return output

    def backward(self, incoming: Array, kept: Buffers, into: Array | None) -> None:
        """Fill the gradients from incoming = dL/dy [rows, width], and add dL/dx to `into` unless that is None.

        With d = gain * dL/dy: dL/dx = (d - <d> - x_hat <d x_hat>) / std, where <> averages over the width.
        """
        rows, width = incoming.shape
        unit, inverse_std = kept("unit", rows, width), kept("inverse_std", rows, 1)
        gain_gradient, shift_gradient = self.gradients
        weighted_average = self.gain * self._average
        pieces = -(-rows // ROWS)
        sums: Array = np.empty((2, pieces, width), incoming.dtype)

        def differentiate(n: int) -> None:
            piece = slice(n * ROWS, (n + 1) * ROWS)
            dy, u = incoming[piece], unit[piece]
            product = dy * u
            np.sum(product, axis=0, out=sums[0, n])
            np.sum(dy, axis=0, out=sums[1, n])
            if into is None:
                return
            along = (product @ weighted_average)[:, None]
            dx = np.multiply(dy, self.gain, out=product)
            dx -= (dy @ weighted_average)[:, None]
            dx -= u * along
            dx *= inverse_std[piece]
            into_piece = into[piece]
            into_piece += dx

        for_each(pieces, differentiate)
        np.sum(sums[0], axis=0, out=gain_gradient)
        np.sum(sums[1], axis=0, out=shift_gradient)

    def carried(self, incoming: Array, kept: Buffers, out: Array) -> Array:
        """dL/dx [rows, width] for incoming = dL/dx_hat, without gain and with no gradient filled; written to `out`."""
        unit, inverse_std = kept("unit", *incoming.shape), kept("inverse_std", len(incoming), 1)

        def carry(n: int) -> None:
            piece = slice(n * ROWS, (n + 1) * ROWS)
            d, u, dx = incoming[piece], unit[piece], out[piece]
            along = np.einsum("rw,rw->r", d, u)[:, None] * self._average[0]
            np.subtract(d, (d @ self._average)[:, None], out=dx)
            dx -= u * along
            dx *= inverse_std[piece]

        for_each(-(-len(incoming) // ROWS), carry)
        return out
