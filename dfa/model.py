"""What the trainer asks of a model: parameters with their gradients, and where the feedback enters.

A model is a chain of segments with a feedback point at the end of each, and an output above the last one. Its rows are
samples, nodes of a graph, or tokens; logits and errors have one line a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


class Model(Protocol):
    """A network with an exact backward pass, and one by feedback alignment.

    Attributes
    ----------
    parameters, gradients
        C-contiguous arrays of the same shapes; the `backward_*` methods fill the gradients.
    step
        Number of the training step, set before each `forward`: the index of the model's own random streams (dropout),
        so that a resumed run draws what an unbroken one draws.
    """

    parameters: list[Array]
    gradients: list[Array]
    step: int

    @property
    def error_width(self) -> int:
        """Width of the error that the feedback projects: inputs of the device."""

    @property
    def feedback_widths(self) -> Sequence[int]:
        """Width of each feedback point, first to last: slices of the device's outputs."""

    @property
    def segments(self) -> Sequence[Sequence[int]]:
        """Of each feedback point, the indices in `parameters` of the weights below it whose alignment is reported."""

    @property
    def output_layer_only(self) -> list[bool]:
        """Mask over `parameters`: True above the last feedback point, which is what shallow training updates."""

    @property
    def decayed(self) -> list[bool]:
        """Mask over `parameters`: True where weight decay applies."""

    def forward(self, inputs: Any, /) -> Array:
        """Logits [row, class] of a training batch, keeping what a following `backward_*` needs."""

    def predict(self, inputs: Any, /) -> Array:
        """Logits [row, class] for evaluation: no dropout, and nothing that `forward` stored is touched."""

    def feedback_error(self, error: Array, /) -> Array:
        """Error that the feedback projects [row, error_width], from dLoss/dlogits of the last forward pass."""

    def backward_bp(self, error: Array, /) -> None:
        """Fill `gradients` with the exact gradient for error = dLoss/dlogits [row, class]."""

    def backward_feedback(self, error: Array, feedback: Sequence[Array] | None, /) -> None:
        """Fill `gradients` with feedback alignment's: exact above the last feedback point and within each segment.

        feedback: per feedback point, [row, width], in place of the error that backpropagation would carry there, for
        the rows of `feedback_error`. None is shallow training: zero below the last feedback point.
        """
