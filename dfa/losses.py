"""Losses of a classifier with linear outputs: the value, and its derivative with respect to the logits.

Both are means over the batch, so the returned error already carries the division by the batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]
Loss = Callable[[Array, Labels], tuple[float, Array]]


def _checked_rows(logits: Array, labels: Labels) -> npt.NDArray[np.intp]:
    batch, classes = logits.shape
    if batch == 0 or labels.shape != (batch,):
        raise ValueError(f"labels of shape {labels.shape}: must be one per row of logits {logits.shape}")
    # A negative label would silently index from the end.
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels span {labels.min()}..{labels.max()}: must be within 0..{classes - 1}")
    return np.arange(batch)


def softmax_cross_entropy(logits: Array, labels: Labels) -> tuple[float, Array]:
    """Mean over the batch of -log softmax(logits)[label], stable for logits of any finite size.

    Parameters
    ----------
    logits
        Network outputs [batch, classes].
    labels
        Class indices [batch].

    Returns
    -------
    tuple
        Loss, and error = dLoss/dlogits = (softmax - onehot) / batch, [batch, classes].
    """
    rows = _checked_rows(logits, labels)
    # The largest exponent is 0, so nothing overflows and the sum is at least 1.
    shifted = logits - logits.max(axis=1, keepdims=True)
    error = np.exp(shifted)
    total = error.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - shifted[rows, labels], dtype=np.float64))
    error /= total
    error[rows, labels] -= 1
    error /= len(logits)
    return loss, error


def mean_squared_error(logits: Array, labels: Labels) -> tuple[float, Array]:
    """Mean over the batch of 0.5 * sum over classes of (logits - onehot)^2.

    Parameters
    ----------
    logits
        Network outputs [batch, classes].
    labels
        Class indices [batch], made one-hot.

    Returns
    -------
    tuple
        Loss, and error = dLoss/dlogits = (logits - onehot) / batch, [batch, classes].
    """
    rows = _checked_rows(logits, labels)
    error = logits.copy()
    error[rows, labels] -= 1
    loss = 0.5 * float(np.sum(np.square(error), dtype=np.float64)) / len(logits)
    error /= len(logits)
    return loss, error


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "mean_squared_error": mean_squared_error,
}
