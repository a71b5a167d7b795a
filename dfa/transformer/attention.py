"""Causal multi-head self-attention as a pre-norm residual branch, forward and backward by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dfa.parallel import for_each
from dfa.transformer.buffers import Buffers
from dfa.transformer.layer_norm import LayerNorm

Array = npt.NDArray[np.floating[Any]]

# Multiplications of the largest product that OpenBLAS leaves to one thread: here there is a thread for each sequence,
# and products of this size do not repay the two waits that sharing one costs.
ONE_THREAD = 2**18


class CausalAttention:
    """x + W_o concat_h(P_h v_h) + b_o, with q, k, v = W_qkv norm(x) + b_qkv and P_h = softmax(q_h k_h^T / sqrt w).

    Row t of P has no weight beyond column t: a token sees itself and what came before (Vaswani et al. 2017,
    arXiv 1706.03762). w = width / heads is the width of one head.

    Parameters
    ----------
    width, heads : int
        `heads` divides `width`.
    rng
        Source of the initial weights: normal, standard deviation sqrt(1 / width).
    residual_gain : float
        Times the initial W_o, so that the sum of many branches starts at the size of one.
    """

    def __init__(
        self, width: int, heads: int, rng: np.random.Generator, residual_gain: float, dtype: npt.DTypeLike
    ) -> None:
        self.heads = heads
        self.norm = LayerNorm(width, dtype)
        self.W_qkv: Array = (rng.standard_normal((width, 3 * width)) / np.sqrt(width)).astype(dtype)
        self.b_qkv: Array = np.zeros(3 * width, dtype)
        self.W_o: Array = (rng.standard_normal((width, width)) * (residual_gain / np.sqrt(width))).astype(dtype)
        self.b_o: Array = np.zeros(width, dtype)
        own = [self.W_qkv, self.b_qkv, self.W_o, self.b_o]
        self.parameters = [*self.norm.parameters, *own]
        self.gradients = [*self.norm.gradients, *map(np.zeros_like, own)]
        self._scale = self.W_o.dtype.type((width / heads) ** -0.5)

    def forward(self, x: Array, shape: tuple[int, int], kept: Buffers, scratch: Buffers) -> None:
        """Add the branch to x [sequences * length, width], in place; shape = (sequences, length)."""
        rows, width = x.shape
        sequences, length = shape
        qkv, mixed = kept("qkv", rows, 3 * width), kept("mixed", rows, width)
        np.matmul(self.norm.forward(x, kept), self.W_qkv, out=qkv)
        qkv += self.b_qkv
        q, k, v = self._by_head(qkv, shape)
        q *= self._scale
        weights = kept("weights", sequences, self.heads, length, length)
        (outputs,) = self._by_head(mixed, shape)
        blocks = self._blocks(length)
        future: Array = np.triu(np.full((length, length), -np.inf, x.dtype), 1)

        # One sequence at a time: its scores stay in cache from the product to the softmax and the next product.
        def attend(n: int) -> None:
            for block in blocks:
                seen = slice(block.stop)
                p = np.matmul(q[n, :, block], k[n, :, seen].swapaxes(1, 2), out=weights[n, :, block, seen])
                p[:, :, block] += future[block, block]
                p -= p.max(axis=-1, keepdims=True)
                np.exp(p, out=p)
                p /= p.sum(axis=-1, keepdims=True)
                np.matmul(p, v[n, :, seen], out=outputs[n, :, block])

        for_each(sequences, attend)
        branch = np.matmul(mixed, self.W_o, out=scratch("branch", rows, width))
        branch += self.b_o
        x += branch

    def backward(
        self, incoming: Array, shape: tuple[int, int], kept: Buffers, scratch: Buffers, into: Array | None
    ) -> None:
        """Fill the gradients from incoming = dL/d(x + branch) [rows, width], which is left unchanged.

        dL/dx by way of the branch is added to `into` (the way past it is the caller's), unless that is None;
        `into` may be `incoming`, which is then read first.
        """
        rows, width = incoming.shape
        sequences, length = shape
        mixed, weights = kept("mixed", rows, width), kept("weights", sequences, self.heads, length, length)
        qkv_gradient, b_qkv_gradient, o_gradient, b_o_gradient = self.gradients[2:]
        np.matmul(mixed.T, incoming, out=o_gradient)
        np.sum(incoming, axis=0, out=b_o_gradient)
        d_mixed = np.matmul(incoming, self.W_o.T, out=scratch("d_mixed", rows, width))
        d_qkv = scratch("d_qkv", rows, 3 * width)
        q, k, v = self._by_head(kept("qkv", rows, 3 * width), shape)
        d_q, d_k, d_v = self._by_head(d_qkv, shape)
        (d_outputs,), (outputs,) = self._by_head(d_mixed, shape), self._by_head(mixed, shape)
        blocks = self._blocks(length)

        def attend(n: int) -> None:
            p, d_o = weights[n], d_outputs[n]
            # Softmax: dS = P * (dP - sum_j P dP), and that sum is dO . O, which is shorter.
            along = np.einsum("htw,htw->ht", d_o, outputs[n])[:, :, None]
            d_s = np.empty_like(p)
            for block in blocks:
                seen = slice(block.stop)
                d_p = np.matmul(d_o[:, block], v[n, :, seen].swapaxes(1, 2), out=d_s[:, block, seen])
                d_p -= along[:, block]
                d_p *= p[:, block, seen]
                np.matmul(d_p, k[n, :, seen], out=d_q[n, :, block])
            for block in blocks:
                seeing = slice(block.start, None)
                np.matmul(p[:, seeing, block].swapaxes(1, 2), d_o[:, seeing], out=d_v[n, :, block])
                np.matmul(d_s[:, seeing, block].swapaxes(1, 2), q[n, :, seeing], out=d_k[n, :, block])

        for_each(sequences, attend)
        d_q *= self._scale
        np.matmul(kept("normed", rows, width).T, d_qkv, out=qkv_gradient)
        np.sum(d_qkv, axis=0, out=b_qkv_gradient)
        d_normed = np.matmul(d_qkv, self.W_qkv.T, out=d_mixed)
        self.norm.backward(d_normed, kept, into)

    def _blocks(self, length: int) -> list[slice]:
        """Tokens in blocks: a block sees itself and those before, so what is beyond is neither computed nor read."""
        rows = max(1, ONE_THREAD * self.heads // (length * len(self.b_o)))
        return [slice(start, min(start + rows, length)) for start in range(0, length, rows)]

    def _by_head(self, flat: Array, shape: tuple[int, int]) -> tuple[Array, ...]:
        """Views [sequences, heads, length, w] of the parts, each `width` wide, of [rows, parts * width]."""
        sequences, length = shape
        parts = flat.shape[1] // len(self.b_o)
        split = flat.reshape(sequences, length, parts, self.heads, -1)
        return tuple(split[:, :, part].transpose(0, 2, 1, 3) for part in range(parts))
