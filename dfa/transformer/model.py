"""Decoder-only causal Transformer: next-token logits, and the two backward passes of `dfa.model.Model`.

Pre-norm blocks on one residual stream, learned positions, a last LayerNorm, a vocabulary projection. Where feedback
enters follows Launay, Poli, Boniface & Krzakala 2020 (arXiv 2006.12878): the projected error stands for dL/d of the
stream after a block ("macro"), or at three points a block ("micro"), and from one point down to the one below the
gradient is exact. The error that is projected is taken below the vocabulary projection, at one of two points.

Their blocks end in a LayerNorm, and feedback enters after it. Here it therefore stands for dL/d of the normalised
stream, x_hat of the LayerNorm that reads it, and is carried back through x_hat(x). What reaches the stream is then
orthogonal to it, as the exact gradient of a model that ends in a LayerNorm nearly is. Feedback straight on the stream
is not: it makes the stream grow, and the gradients, which go as one over its size, vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dfa.transformer.attention import CausalAttention
from dfa.transformer.buffers import Buffers
from dfa.transformer.embedding import Embedding, Tokens, normal
from dfa.transformer.feed_forward import FeedForward
from dfa.transformer.layer_norm import LayerNorm

Array = npt.NDArray[np.floating[Any]]

INJECTIONS = ("macro", "micro")
ERROR_POINTS = ("head", "stream")
FEEDBACK_POINTS = ("normed", "stream")


class Transformer:
    """Causal language model; rows are tokens: row s * length + t is token t of sequence s.

    Parameters
    ----------
    vocabulary, context : int
        Number of tokens, and of positions: the longest sequence.
    width, blocks, heads : int
        Width of the residual stream; `heads` divides it.
    hidden : int or None
        Width of the feed-forward layers; None is 4 * width.
    rng
        Source of the initial weights. Embeddings and head are normal with standard deviation sqrt(1 / width), the
        matrices that write to the stream are scaled by 1 / sqrt(2 * blocks), as there are 2 * blocks of them.
    activation
        "gelu" or "relu".
    tied : bool
        The vocabulary projection is the transposed token embedding, and trains with it.
    injection
        "macro": feedback at each block's output, `width` wide. "micro": after the attention's residual sum, after the
        feed-forward activation (`hidden` wide), and at the block's output.
    error_point
        What is projected. "head": dL/d of what enters the vocabulary projection. "stream": dL/d of the last block's
        output, one step below, which is what backpropagation hands to that block; its rows sum to zero, as those of a
        softmax's error do, and shrink as the stream grows.
    feedback_point
        What feedback on the stream stands for. "normed": dL/d of the normalised stream. "stream": dL/d of the stream.
    dtype
        float32 or float64 of parameters, activations and gradients.

    Attributes
    ----------
    parameters, gradients
        Token embedding [vocabulary, width], positions [context, width], then block by block the LayerNorm, W_qkv,
        b_qkv, W_o, b_o of the attention and the LayerNorm, W_1, b_1, W_2, b_2 of the feed-forward part, then the last
        LayerNorm, the head [vocabulary, width] unless tied, its bias [vocabulary].
    step
        As `Model` has it; nothing here is random after the initial weights.
    """

    step = 0

    def __init__(
        self,
        vocabulary: int,
        context: int,
        rng: np.random.Generator,
        width: int = 128,
        blocks: int = 4,
        heads: int = 4,
        hidden: int | None = None,
        activation: str = "gelu",
        tied: bool = False,
        injection: str = "macro",
        error_point: str = "head",
        feedback_point: str = "normed",
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.vocabulary, self.context, self.width, self.heads = vocabulary, context, width, heads
        self.hidden = 4 * width if hidden is None else hidden
        for name, size in (("vocabulary", vocabulary), ("context", context), ("width", width), ("blocks", blocks)):
            if size < 1:
                raise ValueError(f"{name} = {size}: must be >= 1")
        if self.hidden < 1:
            raise ValueError(f"hidden = {self.hidden}: must be >= 1")
        if heads < 1 or width % heads:
            raise ValueError(f"heads = {heads}: must divide width = {width}")
        for name, choice, choices in (
            ("injection", injection, INJECTIONS),
            ("error_point", error_point, ERROR_POINTS),
            ("feedback_point", feedback_point, FEEDBACK_POINTS),
        ):
            if choice not in choices:
                raise ValueError(f"{name} = {choice!r}: must be one of {', '.join(choices)}")
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype = {self.dtype}: must be float32 or float64")
        self.activation, self.tied, self.injection, self.error_point = activation, tied, injection, error_point
        self.feedback_point = feedback_point
        self.embedding = Embedding(vocabulary, context, width, rng, self.dtype)
        gain = (2 * blocks) ** -0.5
        self.blocks = [
            (
                CausalAttention(width, heads, rng, gain, self.dtype),
                FeedForward(width, self.hidden, activation, rng, gain, self.dtype),
            )
            for _ in range(blocks)
        ]
        self.norm = LayerNorm(width, self.dtype)
        self.head = self.embedding.rows if tied else normal(rng, vocabulary, width, self.dtype)
        self.head_bias: Array = np.zeros(vocabulary, self.dtype)
        self._collect_parameters()
        self._kept = [Buffers(self.dtype) for _ in range(2 * blocks + 1)]
        self._scratch = Buffers(self.dtype)
        self._tokens: Tokens = np.empty((0, 1), np.intp)
        self._projected: Array | None = None
        self._zero_below_head = True

    def _collect_parameters(self) -> None:
        layers = [self.embedding, *(layer for block in self.blocks for layer in block)]
        below = [parameter for layer in layers for parameter in layer.parameters]
        self.parameters: list[Array] = [
            *below,
            *self.norm.parameters,
            *([] if self.tied else [self.head]),
            self.head_bias,
        ]
        self._above_feedback = len(below)
        self._head_gradient = self.embedding.gradients[0] if self.tied else np.zeros_like(self.head)
        self._bias_gradient = np.zeros_like(self.head_bias)
        self.gradients: list[Array] = [gradient for layer in layers for gradient in layer.gradients]
        self.gradients += [*self.norm.gradients, *([] if self.tied else [self._head_gradient]), self._bias_gradient]

    @property
    def error_width(self) -> int:
        """Width of the stream: the error is taken below the vocabulary projection."""
        return self.width

    @property
    def feedback_widths(self) -> tuple[int, ...]:
        """Width of each feedback point, first to last: one a block, or three."""
        block = (self.width,) if self.injection == "macro" else (self.width, self.hidden, self.width)
        return block * len(self.blocks)

    @property
    def segments(self) -> list[list[int]]:
        """Of each feedback point, its weight matrices: those of the block, or W_qkv with W_o, then W_1, then W_2."""
        matrices = [[2, 4], [8], [10]] if self.injection == "micro" else [[2, 4, 8, 10]]
        return [[2 + 12 * n + at for at in segment] for n in range(len(self.blocks)) for segment in matrices]

    @property
    def output_layer_only(self) -> list[bool]:
        """Mask over `parameters`: True for the last LayerNorm and the head, a tied embedding included."""
        return [at >= self._above_feedback or (self.tied and at == 0) for at in range(len(self.parameters))]

    @property
    def decayed(self) -> list[bool]:
        """Mask over `parameters`: weight decay applies to matrices, not to gains, shifts and biases."""
        return [parameter.ndim == 2 for parameter in self.parameters]

    def forward(self, tokens: npt.ArrayLike) -> Array:
        """Logits of a training batch, keeping what a following `backward_*` needs.

        Parameters
        ----------
        tokens
            Integers [sequences, length] below `vocabulary`, length at most `context`.

        Returns
        -------
        Array
            Logits [sequences * length, vocabulary], a view that the next `forward` overwrites.
        """
        self._tokens = self.embedding.checked(tokens)
        self._projected = None
        return self._propagate(self._tokens, self._kept, self._scratch)

    def predict(self, tokens: npt.ArrayLike, chunk: int = 8) -> Array:
        """Logits for evaluation, `chunk` sequences at a time; what `forward` stored stays untouched.

        Returns
        -------
        Array
            Logits [sequences * length, vocabulary], newly allocated.
        """
        checked = self.embedding.checked(tokens)
        sequences, length = checked.shape
        logits = np.empty((sequences, length, self.vocabulary), self.dtype)
        kept, scratch = Buffers(self.dtype), Buffers(self.dtype)
        for start in range(0, sequences, chunk):
            # One set of buffers for all layers, because nothing is kept.
            piece = checked[start : start + chunk]
            found = self._propagate(piece, [kept] * len(self._kept), scratch)
            logits[start : start + chunk] = found.reshape(*piece.shape, -1)
        return logits.reshape(-1, self.vocabulary)

    def _propagate(self, tokens: Tokens, kept: Sequence[Buffers], scratch: Buffers) -> Array:
        sequences, length = tokens.shape
        stream = scratch("stream", sequences, length, self.width)
        self.embedding.forward(tokens, stream)
        x = stream.reshape(-1, self.width)
        for n, (attention, feed_forward) in enumerate(self.blocks):
            attention.forward(x, (sequences, length), kept[2 * n], scratch)
            feed_forward.forward(x, kept[2 * n + 1], scratch)
        logits = np.matmul(self.norm.forward(x, kept[-1]), self.head.T, out=scratch("logits", len(x), self.vocabulary))
        logits += self.head_bias
        return logits

    def feedback_error(self, error: Array) -> Array:
        """Error that the feedback projects [row, width], carried back exactly from error = dL/dlogits to `error_point`.

        A view that the next call overwrites. The `backward_*` take up the work done here if they are given the same
        `error`, so leave that unchanged.
        """
        above_norm = self._head_error(error)
        if self.error_point == "head":
            return above_norm
        below_norm = self._kept[-1]("stream_error", *above_norm.shape)
        below_norm.fill(0)
        self.norm.backward(above_norm, self._kept[-1], into=below_norm)
        return below_norm

    def _head_error(self, error: Array) -> Array:
        """dL/d of what enters the vocabulary projection [row, width]; a large product, so made once an `error`."""
        at_head = self._kept[-1]("head_error", self._tokens.size, self.width)
        if self._projected is None or self._projected is not error:
            np.matmul(self._checked_error(error), self.head, out=at_head)
            self._projected = error
        return at_head

    def backward_bp(self, error: Array) -> None:
        """Fill `gradients` with the exact gradient for error = dL/dlogits [row, vocabulary] of the last forward."""
        stream = self._head_backward(error, exact=True)
        for n in reversed(range(len(self.blocks))):
            self._block_backward(n, stream, into=stream)
        self._embedding_backward(stream)

    def backward_feedback(self, error: Array, feedback: Sequence[Array] | None) -> None:
        """Fill `gradients` with feedback alignment's: exact in the head, the last LayerNorm and within each segment.

        The embeddings get the first segment's local gradient; a tied one the head's as well.

        Parameters
        ----------
        error
            dL/dlogits [row, vocabulary] of the last forward.
        feedback
            Per feedback point [row, width of the point], in place of the error that backpropagation would carry
            there. None is shallow training: zero gradients below the last LayerNorm, but for the tied embedding.
        """
        if feedback is None:
            self._head_backward(error, exact=False)
            self._clear_below_head()
            return
        expected = [(self._tokens.size, width) for width in self.feedback_widths]
        if (shapes := [np.shape(signal) for signal in feedback]) != expected:
            raise ValueError(f"feedback shapes {shapes}: must be {expected}")
        self._head_backward(error, exact=False)
        bottom = self._scratch("gradient", self._tokens.size, self.width)
        for n in reversed(range(len(self.blocks))):
            if self.injection == "macro":
                self._into_stream(feedback[n], 2 * n + 2, bottom)
                self._block_backward(n, bottom, into=bottom if n == 0 else None)
            else:
                self._micro_backward(n, feedback[3 * n : 3 * n + 3], into=bottom if n == 0 else None)
        self._embedding_backward(bottom)

    def _into_stream(self, feedback: Array, layer: int, out: Array) -> Array:
        """Write dL/d of the stream that LayerNorm number `layer` reads, the last one being the head's, to `out`."""
        if self.feedback_point == "stream":
            out[...] = feedback
            return out
        norms = [*(part.norm for block in self.blocks for part in block), self.norm]
        return norms[layer].carried(feedback, self._kept[layer], out)

    def _block_backward(self, n: int, stream: Array, into: Array | None) -> None:
        """Exact gradients of block n, `stream` going from dL/d of its output to that of its input.

        `into` is `stream`, or None where nobody asks for dL/d of the input.
        """
        attention, feed_forward = self.blocks[n]
        feed_forward.backward(stream, self._kept[2 * n + 1], self._scratch, into=stream)
        attention.backward(stream, self._shape, self._kept[2 * n], self._scratch, into=into)

    def _micro_backward(self, n: int, feedback: Sequence[Array], into: Array | None) -> None:
        """Gradients of block n from the feedback at its three points; dL/d of its input goes to `into`."""
        attention, feed_forward = self.blocks[n]
        on_stream = self._scratch("feedback", self._tokens.size, self.width)
        attended, hidden, output = feedback
        output = self._into_stream(output, 2 * n + 2, on_stream)
        feed_forward.backward(output, self._kept[2 * n + 1], self._scratch, into=None, hidden_error=hidden)
        attended = self._into_stream(attended, 2 * n + 1, on_stream)
        if into is not None:
            into[...] = attended
        attention.backward(attended, self._shape, self._kept[2 * n], self._scratch, into=into)

    @property
    def _shape(self) -> tuple[int, int]:
        sequences, length = self._tokens.shape
        return sequences, length

    def _head_backward(self, error: Array, exact: bool) -> Array:
        """Gradients of the head and the last LayerNorm; dL/d of the last block's output, where `exact` asks for it."""
        delta = self._checked_error(error)
        rows = self._tokens.size
        np.matmul(delta.T, self._kept[-1]("normed", rows, self.width), out=self._head_gradient)
        np.sum(delta, axis=0, out=self._bias_gradient)
        stream = self._scratch("gradient", rows, self.width)
        if exact:
            stream.fill(0)
        self.norm.backward(self._head_error(error), self._kept[-1], into=stream if exact else None)
        return stream

    def _embedding_backward(self, stream: Array) -> None:
        self.embedding.backward(self._tokens, stream, add=self.tied)
        self._zero_below_head = False

    def _clear_below_head(self) -> None:
        if not self._zero_below_head:
            for gradient, above in zip(self.gradients, self.output_layer_only, strict=True):
                if not above:
                    gradient.fill(0)
            self._zero_below_head = True

    def _checked_error(self, error: npt.ArrayLike) -> Array:
        delta = np.ascontiguousarray(error, dtype=self.dtype)
        if delta.shape != (self._tokens.size, self.vocabulary):
            raise ValueError(f"error of shape {delta.shape}: must be {(self._tokens.size, self.vocabulary)}")
        return delta
