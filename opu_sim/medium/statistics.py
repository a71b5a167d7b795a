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


def truncated_unitary_cdf(x: NDArray[np.floating] | float, p: float, q: float) -> NDArray[np.float64]:
    """Share of squared singular values below x, for an M x L block of a large random unitary matrix.

    Of eigenvalues e of T T^dagger (or T^dagger T, the smaller), the density is sqrt((e_+ - e)(e - e_-)) /
    (2 pi min(p, q) e (1 - e)) with e_+- = (sqrt(p (1 - q)) +- sqrt(q (1 - p)))^2, the law of the product of two free
    projections. Scaled as in `singular_values`, x = e / max(p, q); for p, q -> 0 it becomes Marchenko and Pastur's.

    Parameters
    ----------
    x : array
    p, q : float
        Sides of the block over that of the whole, above 0, together at most 1 (beyond, some eigenvalues are 1).

    Raises
    ------
    ValueError
        p or q not so.

    References
    ----------
    Goetschy & Stone, "Filtering random matrices: the effect of incomplete channel control in multiple scattering",
    arXiv 1304.5562: why a measured transmission matrix, a block of a larger one, looks independent.
    """
    if not (p > 0.0 and q > 0.0 and p + q <= 1.0):
        raise ValueError(f"p, q = {p!r}, {q!r}: must be > 0, and <= 1 together")
    one, other = (p * (1.0 - q)) ** 0.5, (q * (1.0 - p)) ** 0.5
    low, width = (one - other) ** 2, 4.0 * one * other
    # e = low + width sin^2(a / 2) takes the roots out of the density's ends.
    a = np.linspace(0.0, np.pi, 20001)
    e = low + width * np.sin(0.5 * a) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):  # p = q: 0 / 0 at the lower end; p + q = 1: at the upper
        density = (0.5 * width * np.sin(a)) ** 2 / (2.0 * np.pi * min(p, q) * e * (1.0 - e))
    density[[0, -1]] = np.where(np.isfinite(density[[0, -1]]), density[[0, -1]], density[[1, -2]])
    share = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * (a[1] - a[0]))])
    law: NDArray[np.float64] = np.interp(np.asarray(x, dtype=np.float64) * max(p, q), e, share)
    return law


def ks_marchenko_pastur(T: NDArray[Any]) -> float:
    """Kolmogorov-Smirnov distance of the squared singular values of T [output, input] from Marchenko-Pastur.

    Independent entries: about 2 / n for the smaller side n of a square matrix (the values repel each other, and so
    lie far more evenly than n independent draws), plus the spread of their mean.
    """
    squares = singular_values(T) ** 2
    return _distance(marchenko_pastur_cdf(squares, len(squares) / max(T.shape)))


def ks_truncated_unitary(T: NDArray[Any], modes: int) -> float:
    """The same from the law of a block of a unitary matrix of so many modes; T [output, input] with E|T|^2 = 1."""
    squares = np.linalg.svd(np.asarray(T, dtype=np.complex128), compute_uv=False)[::-1] ** 2
    law = truncated_unitary_cdf(squares / max(T.shape), T.shape[0] / modes, T.shape[1] / modes)
    return _distance(law)


def _distance(law: NDArray[np.float64]) -> float:
    """Of an ascending sample whose distribution function under the law is given."""
    steps = np.arange(len(law) + 1) / len(law)
    return float(max(np.abs(law - steps[:-1]).max(), np.abs(law - steps[1:]).max()))
