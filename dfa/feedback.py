"""The way of the error: from the output's error to every hidden layer, by backpropagation or by projection.

Direct feedback alignment (Nøkland 2016, arXiv 1609.01596) sends the output error e straight to each hidden layer
through a fixed random matrix B_l: delta_l = (B_l e) * f'(a_l). Here all B_l are slices of one matrix, so that a batch
is one projection (as in Launay et al. 2020, arXiv 2006.12878), done digitally or by a photonic device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dfa.config import Experiment, flattened
from dfa.model import Model
from opu_sim import Projector, load_device

Array = NDArray[np.float32]


def ternarised(error: Array, threshold: float, magnitudes: Literal["one", "two"] = "two") -> Array:
    """Error vectors as what a DMD shows in two patterns: a positive and a negative one, each with a magnitude.

    "two": an entry is kept where it exceeds `threshold` times the largest entry of its sign, and the kept entries of
    a sign share that sign's whole sum. The vector's sum is then that of the error: 0 for softmax cross-entropy, so
    nothing pushes all hidden units one way.

    "one": t = sign(e) where |e| > threshold * max|e|, else 0; returned is alpha t with the least-squares magnitude
    alpha = <e, t> / <t, t>. Errors with one large and many small entries then lose their small ones and their zero
    sum, and training drifts: 90.7 % on digits against 96.9 % for "two" (`opu bench training digits-mlp --seeds 5 --set
    trainer.ternary_magnitudes=one`, dfa-ternary).

    Parameters
    ----------
    error : float32 [batch, class]
    threshold : float in [0, 1)

    Returns
    -------
    float32 [batch, class]; at most one positive and one negative value a row, and zeros
    """
    if magnitudes == "one":
        size = np.abs(error)
        kept = size > threshold * size.max(axis=1, keepdims=True)
        count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
        alpha = (size * kept).sum(axis=1, keepdims=True) / count
        fitted: Array = (np.sign(error) * kept * alpha).astype(np.float32)
        return fitted
    out = np.zeros_like(error)
    for part, sign in ((np.maximum(error, 0), 1), (np.maximum(-error, 0), -1)):
        kept = (part > threshold * part.max(axis=1, keepdims=True)) & (part > 0)
        count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
        out += sign * kept * (part.sum(axis=1, keepdims=True) / count)
    return out


NORMALISATIONS: dict[str, Callable[[int, int, int], float]] = {
    "width": lambda n_in, width, widest: width**-0.5,
    "principled": lambda n_in, width, widest: (width * n_in) ** -0.5,
    "widest": lambda n_in, width, widest: widest**-0.5,
    "unit": lambda n_in, width, widest: 1.0,
}
"""Standard deviation of the feedback's entries from n_in, the width of the layer and that of the widest layer.

"width": the spread that the output weights have at initialisation, so that DFA and backpropagation start with deltas
of one size, and one learning rate suits both. "principled": Launay, Poli & Krzakala 2019 (arXiv 1906.04554), code.
"widest": Ren et al. 2025 (arXiv 2507.15603), code. "unit": standard normal entries, not normalised.
"""


class Feedback:
    """Fills a network's gradients from the output error, by the experiment's method.

    The projector's entries have variance 1 / n_in; a feedback point gets them times the factor that gives its feedback
    matrix the spread gain * `NORMALISATIONS[feedback_normalisation]`.
    """

    def __init__(self, experiment: Experiment, network: Model) -> None:
        self.method = experiment.method
        trainer = experiment.trainer
        self._threshold, self._magnitudes = trainer.ternary_threshold, trainer.ternary_magnitudes
        self._ternary = self.method == "dfa-ternary" or (self.method == "odfa" and trainer.error_encoding == "ternary")
        self.widths: Sequence[int] = network.feedback_widths
        n_in = network.error_width
        self._shared = trainer.feedback_outputs == "shared"
        spread = NORMALISATIONS[trainer.feedback_normalisation]
        widest = max(self.widths, default=0)
        self._scales = [
            np.float32(trainer.feedback_gain * n_in**0.5 * spread(n_in, width, widest)) for width in self.widths
        ]
        self.projector = self._load(experiment, n_in)
        self.projection_host_s = 0.0
        """Host time spent in `project`: the cost of simulating, never part of device_s."""

    def _load(self, experiment: Experiment, n_in: int) -> Projector | None:
        if self.method in ("bp", "shallow"):
            return None
        n_out = max(self.widths) if self._shared else sum(self.widths)
        if self.method == "odfa":
            overrides = flattened(experiment.device_overrides)
            return load_device(experiment.device_name, n_in=n_in, n_out=n_out, seed=experiment.seed, **overrides)
        return load_device("ideal", n_in=n_in, n_out=n_out, seed=experiment.seed)

    def backward(self, network: Model, error: Array) -> None:
        """Fill `network.gradients` for error = dLoss/dlogits [row, class] of the last forward pass."""
        if self.method == "bp":
            network.backward_bp(error)
        elif self.projector is None:
            network.backward_feedback(error, None)
        else:
            network.backward_feedback(error, self.project(network.feedback_error(error)))

    def project(self, error: Array) -> list[Array]:
        """One projection of the batch, sliced and scaled point by point: float32 [row, width] each."""
        if self.projector is None:
            raise RuntimeError(f"method {self.method} has no projector")
        sent = ternarised(error, self._threshold, self._magnitudes) if self._ternary else error
        start = time.perf_counter()
        projected = self.projector.project(sent)
        self.projection_host_s += time.perf_counter() - start
        slices, at = [], 0
        for width, scale in zip(self.widths, self._scales, strict=True):
            if self._shared:
                slices.append(projected[:, :width] * scale)
                continue
            part = projected[:, at : at + width]
            part *= scale
            slices.append(part)
            at += width
        return slices


def cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Cosine of the angle between two gradients; 0 where either vanishes."""
    x, y = a.ravel(), b.ravel()
    norm = float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    return float(np.dot(x, y)) / norm if norm > 0 else 0.0


def alignment(network: Model, error: Array) -> list[float]:
    """Cosine between each segment's weight gradient, as just filled, and its backpropagation gradient.

    Overwrites nothing: the gradients are put back. Uses no new projection.
    """
    filled = [gradient.copy() for gradient in network.gradients]
    network.backward_bp(error)
    cosines = [cosine(_joined(filled, at), _joined(network.gradients, at)) for at in network.segments]
    for gradient, kept in zip(network.gradients, filled, strict=True):
        gradient[...] = kept
    return cosines


def _joined(gradients: Sequence[NDArray[np.floating]], at: Sequence[int]) -> NDArray[np.floating]:
    return np.concatenate([gradients[index].ravel() for index in at])
