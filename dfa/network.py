"""Multi-layer perceptron: one forward pass, and two ways of filling the same gradients from its error.

Back-propagation carries the error through the transposed weights, layer after layer. Feedback alignment
hands every hidden layer a projected error of its own, from wherever it came (a matrix, an optical device).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dfa import loops

Array = npt.NDArray[np.floating[Any]]


def _tanh(h: Array, bias: Array) -> None:
    h += bias
    np.tanh(h, out=h)


def _tanh_backward(h: Array, incoming: Array, out: Array) -> None:
    np.multiply(h, h, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, incoming, out=out)


# Each forward makes h = f(h + bias) of h in place; each backward writes `incoming * f'` into `out`, with f' taken from
# the post-activation h.
_ACTIVATIONS: dict[str, tuple[Callable[[Array, Array], None], Callable[[Array, Array, Array], None]]] = {
    "relu": (loops.add_bias_relu, loops.relu_slope_times),
    "tanh": (_tanh, _tanh_backward),
}
ACTIVATIONS = tuple(_ACTIVATIONS)


class MLP:
    """Fully connected network with a linear output layer.

    Initial weights "scaled" are normal with standard deviation sqrt(2 / inputs) below a relu (He) and
    sqrt(1 / inputs) below a tanh and at the output (LeCun); biases are zero. "pytorch": weights and biases uniform
    within +-1 / sqrt(inputs), as the documentation of `torch.nn.Linear` has it.

    Parameters
    ----------
    sizes
        Widths [d0, d1, ..., dC] from input to output; [d0, dC] has no hidden layer.
    rng
        Source of the initial weights.
    activation
        "relu" or "tanh", on the hidden layers.
    dtype
        float32 or float64 of parameters, activations and gradients.
    initial_weights
        "scaled" or "pytorch", see above.

    Attributes
    ----------
    W, b
        Per layer, weights [inputs, outputs] (C-contiguous) and biases [outputs].
    parameters, gradients
        W0, b0, W1, b1, ... and the arrays of the same shapes that the `backward_*` methods fill.
    step
        As `Model` has it; nothing here is random after the initial weights.
    """

    step = 0

    def __init__(
        self,
        sizes: Sequence[int],
        rng: np.random.Generator,
        activation: str = "relu",
        dtype: npt.DTypeLike = np.float32,
        initial_weights: Literal["scaled", "pytorch"] = "scaled",
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes = {list(sizes)}: must be at least two widths >= 1")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation = {activation!r}: must be one of {', '.join(ACTIVATIONS)}")
        self.sizes = tuple(int(size) for size in sizes)
        self.activation = activation
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype = {self.dtype}: must be float32 or float64")
        self._activate, self._slope_times = _ACTIVATIONS[activation]
        self.W: list[Array] = []
        self.b: list[Array] = []
        for layer, (inputs, outputs) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            below_relu = activation == "relu" and layer < len(self.sizes) - 2
            if initial_weights == "pytorch":
                weights = rng.uniform(-1.0, 1.0, (inputs, outputs)) / np.sqrt(inputs)
                biases = rng.uniform(-1.0, 1.0, outputs) / np.sqrt(inputs)
            else:
                weights = rng.standard_normal((inputs, outputs)) * np.sqrt((2.0 if below_relu else 1.0) / inputs)
                biases = np.zeros(outputs)
            self.W.append(weights.astype(self.dtype))
            self.b.append(biases.astype(self.dtype))
        self.parameters = [array for pair in zip(self.W, self.b, strict=True) for array in pair]
        self.gradients = [np.zeros_like(parameter) for parameter in self.parameters]
        self._hidden_gradients_are_zero = True
        self._inputs: Array = np.empty((0, self.sizes[0]), self.dtype)
        self._rows = 0
        self._reserve(0)

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Widths of the hidden layers, first to last."""
        return self.sizes[1:-1]

    @property
    def error_width(self) -> int:
        """Classes: the feedback reads the error of the logits themselves."""
        return self.sizes[-1]

    @property
    def feedback_widths(self) -> tuple[int, ...]:
        """A feedback point at each hidden layer's output."""
        return self.hidden_sizes

    @property
    def segments(self) -> list[list[int]]:
        """Of each hidden layer, its weights."""
        return [[2 * layer] for layer in range(len(self.hidden_sizes))]

    @property
    def decayed(self) -> list[bool]:
        """Mask over `parameters`: weight decay applies to all of them."""
        return [True] * len(self.parameters)

    @property
    def output_layer_only(self) -> list[bool]:
        """Mask over `parameters`: True for the output layer's two (what shallow training updates)."""
        return [index >= len(self.parameters) - 2 for index in range(len(self.parameters))]

    def forward(self, x: npt.ArrayLike) -> Array:
        """Logits of a training batch, keeping what a following `backward_*` needs.

        Parameters
        ----------
        x
            Inputs [batch, d0]; kept by reference, so leave it unchanged until the backward pass.

        Returns
        -------
        Array
            Logits [batch, classes], a view that the next `forward` overwrites.
        """
        self._inputs = self._checked_inputs(x)
        self._rows = len(self._inputs)
        # Buffers only ever grow: the short last batch of an epoch uses their first rows.
        if self._rows > len(self._outputs[-1]):
            self._reserve(self._rows)
        return self._propagate(self._inputs, self._outputs)

    def predict(self, x: npt.ArrayLike, chunk: int = 2048) -> Array:
        """Logits for evaluation, `chunk` rows at a time; what `forward` stored stays untouched.

        Parameters
        ----------
        x
            Inputs [samples, d0].
        chunk
            Rows per pass, which bounds the memory of the hidden layers.

        Returns
        -------
        Array
            Logits [samples, classes], newly allocated.
        """
        inputs = self._checked_inputs(x)
        logits = np.empty((len(inputs), self.sizes[-1]), self.dtype)
        hidden = [np.empty((min(chunk, len(inputs)), size), self.dtype) for size in self.hidden_sizes]
        for start in range(0, len(inputs), chunk):
            self._propagate(inputs[start : start + chunk], [*hidden, logits[start : start + chunk]])
        return logits

    def hidden_activations(self) -> list[Array]:
        """Post-activations [batch, d_l] of the hidden layers in the last `forward`, as views."""
        return [h[: self._rows] for h in self._outputs[:-1]]

    def feedback_error(self, error: Array) -> Array:
        """Error that the feedback projects: that of the logits, as it is."""
        return error

    def backward_bp(self, error: npt.ArrayLike) -> None:
        """Fill `gradients` with the exact gradient.

        Parameters
        ----------
        error
            dLoss/dlogits [batch, classes] of the last forward, already divided by the batch size.
        """
        delta = self._checked_error(error)
        self._layer_gradients(len(self.W) - 1, delta)
        for layer in reversed(range(len(self.W) - 1)):
            incoming = self._incoming[layer][: self._rows]
            np.matmul(delta, self.W[layer + 1].T, out=incoming)
            delta = self._hidden_gradients(layer, incoming)
        self._hidden_gradients_are_zero = False

    def backward_feedback(self, error: npt.ArrayLike, feedback: Sequence[Array] | None) -> None:
        """Fill `gradients` with feedback alignment's: exact at the output, projected errors below.

        Parameters
        ----------
        error
            dLoss/dlogits [batch, classes] of the last forward, already divided by the batch size.
        feedback
            Per hidden layer, the projected and scaled error [batch, d_l] that replaces the
            back-propagated one. None is shallow training: the hidden layers' gradients are zero.
        """
        output_delta = self._checked_error(error)
        if feedback is not None:
            shapes = [np.shape(signal) for signal in feedback]
            expected = [(self._rows, size) for size in self.hidden_sizes]
            if shapes != expected:
                raise ValueError(f"feedback shapes {shapes}: must be {expected}")
        self._layer_gradients(len(self.W) - 1, output_delta)
        if feedback is not None:
            for layer, signal in enumerate(feedback):
                self._hidden_gradients(layer, signal)
            self._hidden_gradients_are_zero = False
        elif not self._hidden_gradients_are_zero:
            for gradient in self.gradients[:-2]:
                gradient.fill(0)
            self._hidden_gradients_are_zero = True

    def _reserve(self, rows: int) -> None:
        self._outputs: list[Array] = [np.empty((rows, size), self.dtype) for size in self.sizes[1:]]
        self._incoming: list[Array] = [np.empty((rows, size), self.dtype) for size in self.hidden_sizes]
        self._deltas: list[Array] = [np.empty((rows, size), self.dtype) for size in self.hidden_sizes]

    def _propagate(self, h: Array, outputs: Sequence[Array]) -> Array:
        rows = len(h)
        for layer, (weights, bias) in enumerate(zip(self.W, self.b, strict=True)):
            h = np.matmul(h, weights, out=outputs[layer][:rows])
            if layer < len(self.W) - 1:
                self._activate(h, bias)
            else:
                h += bias
        return h

    def _hidden_gradients(self, layer: int, incoming: Array) -> Array:
        delta = self._deltas[layer][: self._rows]
        self._slope_times(self._outputs[layer][: self._rows], incoming, delta)
        self._layer_gradients(layer, delta)
        return delta

    def _layer_gradients(self, layer: int, delta: Array) -> None:
        below = self._outputs[layer - 1][: self._rows] if layer else self._inputs
        np.matmul(below.T, delta, out=self.gradients[2 * layer])
        np.sum(delta, axis=0, out=self.gradients[2 * layer + 1])

    def _checked_inputs(self, x: npt.ArrayLike) -> Array:
        inputs = np.ascontiguousarray(x, dtype=self.dtype)
        if inputs.ndim != 2 or inputs.shape[1] != self.sizes[0]:
            raise ValueError(f"inputs of shape {inputs.shape}: must be [batch, {self.sizes[0]}]")
        return inputs

    def _checked_error(self, error: npt.ArrayLike) -> Array:
        delta = np.ascontiguousarray(error, dtype=self.dtype)
        if delta.shape != (self._rows, self.sizes[-1]):
            raise ValueError(f"error of shape {delta.shape}: must be {(self._rows, self.sizes[-1])}")
        return delta
