"""Graph convolution network: an MLP whose layers average over neighbours, with both ways of filling its gradients.

H_0 = X, H_(l+1) = relu(A drop(H_l) W_l + b_l), without the relu at the output; A = D^-1/2 (A + I) D^-1/2 is sparse and
symmetric (Kipf and Welling 2017, arXiv 1609.02907). The loss sees a few labelled nodes only, and so does the device:
one error vector a labelled node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dfa.planetoid import Graph
from opu_sim.rng import stream

Array = npt.NDArray[np.floating[Any]]
Nodes = npt.NDArray[np.integer[Any]]


class GCN:
    """Graph convolution network on one graph; its inputs are numbers of nodes, the rows that count.

    Initial weights are uniform in +- sqrt(6 / (inputs + outputs)) (Glorot), biases zero. Weight decay applies to the
    first layer's weights only, as in the paper.

    A feedback point is the input of each layer but the first, behind its dropout. The error of backpropagation has
    come there through one A a layer and through the weights; feedback alignment replaces the weights, and keeps
    the A's, which are data and no parameters: the projected errors of the labelled nodes spread to their neighbours
    (topology in the feedback links is also what Zhao et al. 2024, arXiv 2406.02040, propose). With the output weights
    themselves as feedback, one hidden layer's update is that of backpropagation.

    Parameters
    ----------
    graph
        Features and adjacency.
    hidden
        Widths of the hidden layers.
    rng
        Source of the initial weights.
    dropout
        Share of the inputs of each layer set to 0 in training; the others are divided by what is left.
    seed
        Seed of the dropout streams, one a step and layer.
    dtype
        float32 or float64 of parameters, activations and gradients.
    """

    def __init__(
        self,
        graph: Graph,
        hidden: Sequence[int],
        rng: np.random.Generator,
        *,
        dropout: float = 0.0,
        seed: int = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.sizes = (int(graph.features.shape[1]), *hidden, graph.classes)
        self.step = 0
        self._features, self._adjacency = graph.features.astype(dtype), graph.adjacency.astype(dtype)
        self._dropout, self._seed = dropout, seed
        self.W: list[Array] = []
        self.b: list[Array] = []
        for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False):
            bound = (6.0 / (inputs + outputs)) ** 0.5
            self.W.append(rng.uniform(-bound, bound, (inputs, outputs)).astype(dtype))
            self.b.append(np.zeros(outputs, dtype))
        self.parameters = [array for pair in zip(self.W, self.b, strict=True) for array in pair]
        self.gradients = [np.zeros_like(parameter) for parameter in self.parameters]
        self._nodes: Nodes = np.empty(0, np.int64)
        self._inputs: list[Any] = []
        self._kept: list[Any] = []

    @property
    def error_width(self) -> int:
        """Classes: the feedback reads the error of the logits."""
        return self.sizes[-1]

    @property
    def feedback_widths(self) -> tuple[int, ...]:
        """A feedback point at each hidden layer's output."""
        return self.sizes[1:-1]

    @property
    def segments(self) -> list[list[int]]:
        """Of each hidden layer, its weights."""
        return [[2 * layer] for layer in range(len(self.feedback_widths))]

    @property
    def output_layer_only(self) -> list[bool]:
        """Mask over `parameters`: True for the output layer's two."""
        return [index >= len(self.parameters) - 2 for index in range(len(self.parameters))]

    @property
    def decayed(self) -> list[bool]:
        """Mask over `parameters`: True for the first layer's weights."""
        return [index == 0 for index in range(len(self.parameters))]

    def forward(self, nodes: Nodes) -> Array:
        """Logits [node, class] of a training batch of distinct nodes; every other node takes part unlabelled."""
        self._nodes, self._inputs, self._kept = np.asarray(nodes), [], []
        h: Any = self._features
        for layer in range(len(self.W)):
            dropped = self._dropped(h, layer)
            self._inputs.append(dropped)
            h = self._convolved(dropped, layer)
        logits: Array = h[self._nodes]
        return logits

    def predict(self, nodes: Nodes) -> Array:
        """Logits [node, class] without dropout; what `forward` stored stays untouched."""
        h: Any = self._features
        for layer in range(len(self.W)):
            h = self._convolved(h, layer)
        logits: Array = h[np.asarray(nodes)]
        return logits

    def feedback_error(self, error: Array) -> Array:
        """Error that the feedback projects: that of the labelled nodes' logits, as it is."""
        return error

    def backward_bp(self, error: Array) -> None:
        """Fill `gradients` with the exact gradient for error = dLoss/dlogits [node, class] of the last forward."""
        delta = self._spread(error, hops=0)
        for layer in reversed(range(len(self.W))):
            arriving = self._layer_gradients(layer, delta)
            if layer:
                delta = self._through(layer, arriving @ self.W[layer].T)

    def backward_feedback(self, error: Array, feedback: Sequence[Array] | None) -> None:
        """Fill `gradients` with feedback alignment's: exact at the output, projected errors below.

        Parameters
        ----------
        error
            dLoss/dlogits [node, class] of the last forward.
        feedback
            Per hidden layer, the projected and scaled errors [node, width] of the labelled nodes; None is shallow
            training.
        """
        last = len(self.W) - 1
        self._layer_gradients(last, self._spread(error, hops=0))
        if feedback is None:
            for gradient in self.gradients[:-2]:
                gradient.fill(0)
            return
        shapes = [np.shape(signal) for signal in feedback]
        expected = [(len(self._nodes), width) for width in self.feedback_widths]
        if shapes != expected:
            raise ValueError(f"feedback shapes {shapes}: must be {expected}")
        for layer, signal in enumerate(feedback):
            self._layer_gradients(layer, self._through(layer + 1, self._spread(signal, hops=last - layer)))

    def _dropped(self, h: Any, layer: int) -> Any:
        """Input of a layer with some entries set to 0; of the sparse features, stored entries only."""
        if not self._dropout:
            self._kept.append(None)
            return h
        values = h if layer else h.data
        uniform = stream(self._seed, "model.dropout", self.step, layer).random(values.shape, dtype=np.float32)
        kept = (uniform >= self._dropout) * values.dtype.type(1 / (1 - self._dropout))
        self._kept.append(kept)
        return values * kept if layer else type(h)((values * kept, h.indices, h.indptr), shape=h.shape)

    def _convolved(self, h: Any, layer: int) -> Array:
        out: Array = self._adjacency @ (h @ self.W[layer])
        out += self.b[layer]
        if layer < len(self.W) - 1:
            np.maximum(out, 0, out=out)
        return out

    def _spread(self, rows: Array, hops: int) -> Array:
        """Rows of the labelled nodes among all nodes, and then over `hops` edges."""
        out: Array = np.zeros((self._features.shape[0], rows.shape[1]), self.W[0].dtype)
        out[self._nodes] = rows
        for _ in range(hops):
            out = self._adjacency @ out
        return out

    def _through(self, layer: int, arriving: Array) -> Array:
        """Error at a layer's input, [node, width], taken back through its dropout and the relu below it."""
        # A dropped unit has kept = 0 already, so the sign of what is left is that of the relu's output.
        kept = self._kept[layer]
        delta: Array = arriving * (self._inputs[layer] > 0)
        return delta if kept is None else delta * kept

    def _layer_gradients(self, layer: int, delta: Array) -> Array:
        """Gradients of a layer for the error of its sums; returns that error taken back over the edges."""
        arriving: Array = self._adjacency @ delta
        self.gradients[2 * layer][...] = self._inputs[layer].T @ arriving
        np.sum(delta, axis=0, out=self.gradients[2 * layer + 1])
        return arriving
