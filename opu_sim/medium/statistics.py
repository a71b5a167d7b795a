"""Is T a matrix of independent Gaussian entries? Its singular values against random matrix theory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def marchenko_pastur_cdf(x: NDArray[np.floating] | float, gamma: float) -> NDArray[np.float64]:
    """Share of squared singular values below x, for a large M x N matrix with entries of variance 1 / N.

    The integral of sqrt((b - t)(t - a)) / (2 pi gamma t) from a to x, with a, b = (1 -+ sqrt gamma)^2.

    Parameters
    ----------
    x : array
    gamma : float
        M / N, the smaller side over the larger, in (0, 1].

    Raises
    ------
    ValueError
        gamma outside (0, 1].

    References
    ----------
    Marchenko & Pastur, Math. USSR Sb. 1, 457 (1967): the law. Popoff et al. 2010, arXiv 0910.5436: measured
    transmission matrices follow it.
    """
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma = {gamma!r}: must be > 0 and <= 1")
    root = gamma**0.5
    low, high = (1.0 - root) ** 2, (1.0 + root) ** 2
    t = np.clip(np.asarray(x, dtype=np.float64), low, high)
    centre = np.arcsin(np.clip((t - 1.0 - gamma) / (2.0 * root), -1.0, 1.0))
    total = np.sqrt((high - t) * (t - low)) + (1.0 + gamma) * centre
    if gamma < 1.0:
        inverse = ((1.0 + gamma) * t - (1.0 - gamma) ** 2) / (2.0 * root * t)
        total -= (1.0 - gamma) * np.arcsin(np.clip(inverse, -1.0, 1.0))
    share: NDArray[np.float64] = 0.5 + total / (2.0 * np.pi * gamma)
    return share


def singular_values(T: NDArray[Any]) -> NDArray[np.float64]:
    """Singular values of T / sqrt(N <|T|^2>), ascending; N is the larger side of T [output, input]."""
    T = np.asarray(T, dtype=np.complex128)
    values = np.linalg.svd(T, compute_uv=False)[::-1]
    scaled: NDArray[np.float64] = values / np.sqrt(max(T.shape) * np.mean(np.abs(T) ** 2))
    return scaled


def ks_marchenko_pastur(T: NDArray[Any]) -> float:
    """Kolmogorov-Smirnov distance of the squared singular values of T [output, input] from Marchenko-Pastur.

    Independent entries: about 2 / n for the smaller side n of a square matrix (the values repel each other, and so
    lie far more evenly than n independent draws), plus the spread of their mean.
    """
    squares = singular_values(T) ** 2
    n = len(squares)
    law = marchenko_pastur_cdf(squares, n / max(T.shape))
    steps = np.arange(n + 1) / n
    return float(max(np.abs(law - steps[:-1]).max(), np.abs(law - steps[1:]).max()))
