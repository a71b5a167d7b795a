"""The two-layer network of a block, token by token, as a pre-norm residual branch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dfa.parallel import for_each
from dfa.transformer.buffers import Buffers
from dfa.transformer.layer_norm import LayerNorm

Array = npt.NDArray[np.floating[Any]]

# Rows per piece: of 512 wide float32 units 64 KiB, so that the many passes of a GELU find their piece in cache.
ROWS = 32


def _relu(a: Array, slope: Array) -> None:
    np.greater(a, 0, out=slope)
    np.maximum(a, np.zeros_like(a[:1]), out=a)


def _gelu(a: Array, slope: Array) -> None:
    # a * s with s = (1 + tanh u) / 2, u = c (a + 0.044715 a^3); its slope is s + 2 a s (1 - s) du/da.
    c = math.sqrt(2 / math.pi)
    square = a * a
    np.multiply(square, 0.044715 * c, out=slope)
    slope += c
    slope *= a
    s = np.tanh(slope, out=slope)
    s *= 0.5
    s += 0.5
    square *= 6 * 0.044715 * c
    square += 2 * c  # 2 du/da
    square *= a
    a *= s
    rest = np.subtract(1, s)
    rest *= square
    rest += 1
    slope *= rest


# Each turns pre-activations into activations in place, and writes the derivative into `slope`.
_ACTIVATIONS: dict[str, Callable[[Array, Array], None]] = {"relu": _relu, "gelu": _gelu}
ACTIVATIONS = tuple(_ACTIVATIONS)


class FeedForward:
    """x + W_2 h + b_2 with h = f(W_1 norm(x) + b_1), f a relu or a GELU.

    The GELU is the tanh form of Hendrycks & Gimpel 2016 (arXiv 1606.08415):
    a (1 + tanh(sqrt(2 / pi) (a + 0.044715 a^3))) / 2.

    Parameters
    ----------
    width, hidden : int
        Widths of a token and of h.
    activation
        "relu" or "gelu".
    rng
        Source of the initial weights: normal, standard deviation sqrt(2 / width) for W_1, sqrt(1 / hidden) for W_2.
    residual_gain : float
        Times the initial W_2, as in `CausalAttention`.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        activation: str,
        rng: np.random.Generator,
        residual_gain: float,
        dtype: npt.DTypeLike,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation = {activation!r}: must be one of {', '.join(ACTIVATIONS)}")
        self._activate = _ACTIVATIONS[activation]
        self.norm = LayerNorm(width, dtype)
        self.W_1: Array = (rng.standard_normal((width, hidden)) * math.sqrt(2 / width)).astype(dtype)
        self.b_1: Array = np.zeros(hidden, dtype)
        self.W_2: Array = (rng.standard_normal((hidden, width)) * (residual_gain / math.sqrt(hidden))).astype(dtype)
        self.b_2: Array = np.zeros(width, dtype)
        own = [self.W_1, self.b_1, self.W_2, self.b_2]
        self.parameters = [*self.norm.parameters, *own]
        self.gradients = [*self.norm.gradients, *map(np.zeros_like, own)]

    def forward(self, x: Array, kept: Buffers, scratch: Buffers) -> None:
        """Add the branch to x [rows, width], in place."""
        rows, width = x.shape
        hidden, slope = kept("hidden", rows, len(self.b_1)), kept("slope", rows, len(self.b_1))
        np.matmul(self.norm.forward(x, kept), self.W_1, out=hidden)

        def activate(n: int) -> None:
            piece = slice(n * ROWS, (n + 1) * ROWS)
            a = hidden[piece]
            a += self.b_1
            self._activate(a, slope[piece])

        for_each(-(-rows // ROWS), activate)
        branch = np.matmul(hidden, self.W_2, out=scratch("branch", rows, width))
        branch += self.b_2
        x += branch

    def backward(
        self, incoming: Array, kept: Buffers, scratch: Buffers, into: Array | None, hidden_error: Array | None = None
    ) -> None:
        """Fill the gradients from incoming = dL/d(x + branch) [rows, width], which is left unchanged.

        Parameters
        ----------
        into
            Where dL/dx by way of the branch is added, as in `CausalAttention.backward`.
        hidden_error
            What replaces dL/dh = incoming W_2^T [rows, hidden] below h; None for that exact one.
        """
        rows, width = incoming.shape
        hidden, slope = kept("hidden", rows, len(self.b_1)), kept("slope", rows, len(self.b_1))
        gradient_1, b_1_gradient, gradient_2, b_2_gradient = self.gradients[2:]
        np.matmul(hidden.T, incoming, out=gradient_2)
        np.sum(incoming, axis=0, out=b_2_gradient)
        delta = scratch("delta", rows, len(self.b_1))
        if hidden_error is None:
            hidden_error = np.matmul(incoming, self.W_2.T, out=delta)
        np.multiply(hidden_error, slope, out=delta)
        np.matmul(kept("normed", rows, width).T, delta, out=gradient_1)
        np.sum(delta, axis=0, out=b_1_gradient)
        d_normed = np.matmul(delta, self.W_1.T, out=scratch("d_mixed", rows, width))
        self.norm.backward(d_normed, kept, into)
