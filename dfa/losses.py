"""Losses of a classifier with linear outputs: the value, and its derivative with respect to the logits.

Both are means over the batch, so the returned error already carries the division by the batch size.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dfa.parallel import for_each

Array = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

# Logits of a piece that one core works on, from the first pass to the last: 1 MiB of float32 stays in its cache.
PIECE = 2**18


class Loss(Protocol):
    """Value of a loss, and its error = dLoss/dlogits."""

    def __call__(self, logits: Array, labels: Labels, out: Array | None = None) -> tuple[float, Array]:
        """Error goes to `out`, which may be `logits` itself; None allocates it."""


def _checked_rows(logits: Array, labels: Labels) -> npt.NDArray[np.intp]:
    batch, classes = logits.shape
    if batch == 0 or labels.shape != (batch,):
        raise ValueError(f"labels of shape {labels.shape}: must be one per row of logits {logits.shape}")
    # A negative label would silently index from the end.
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels span {labels.min()}..{labels.max()}: must be within 0..{classes - 1}")
    return np.arange(batch)


def softmax_cross_entropy(logits: Array, labels: Labels, out: Array | None = None) -> tuple[float, Array]:
    """Mean over the batch of -log softmax(logits)[label], stable for logits of any finite size.

    Parameters
    ----------
    logits
        Network outputs [batch, classes].
    labels
        Class indices [batch].
    out
        Where the error goes, [batch, classes]; may be `logits`, which with a large vocabulary is most of a step's
        memory. None allocates it.

    Returns
    -------
    tuple
        Loss, and error = dLoss/dlogits = (softmax - onehot) / batch, [batch, classes].
    """
    rows = _checked_rows(logits, labels)
    error = np.empty_like(logits) if out is None else out
    losses = np.empty(len(logits), logits.dtype)
    step = max(PIECE // logits.shape[1], 1)

    def piece(number: int) -> None:
        part = slice(number * step, (number + 1) * step)
        p, own, at = error[part], labels[part], rows[: len(rows[part])]
        # The largest exponent is 0, so nothing overflows and the sum is at least 1.
        np.subtract(logits[part], logits[part].max(axis=1, keepdims=True), out=p)
        shifted = p[at, own]
        np.exp(p, out=p)
        total = p.sum(axis=1, keepdims=True)
        losses[part] = np.log(total[:, 0]) - shifted
        p /= total
        p[at, own] -= 1
        p /= len(logits)

    for_each(-(-len(logits) // step), piece)
    return float(np.mean(losses, dtype=np.float64)), error


def mean_squared_error(logits: Array, labels: Labels, out: Array | None = None) -> tuple[float, Array]:
    """Mean over the batch of 0.5 * sum over classes of (logits - onehot)^2.

    Parameters
    ----------
    logits
        Network outputs [batch, classes].
    labels
        Class indices [batch], made one-hot.
    out
        Where the error goes, [batch, classes]; may be `logits`. None allocates it.

    Returns
    -------
    tuple
        Loss, and error = dLoss/dlogits = (logits - onehot) / batch, [batch, classes].
    """
    rows = _checked_rows(logits, labels)
    error = np.empty_like(logits) if out is None else out
    if error is not logits:
        error[...] = logits
    error[rows, labels] -= 1
    loss = 0.5 * float(np.sum(np.square(error), dtype=np.float64)) / len(logits)
    error /= len(logits)
    return loss, error


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "mean_squared_error": mean_squared_error,
}
