"""Estimators that noise does not bias, with their standard errors, and the laws that counts follow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, ndtr

Array = NDArray[np.float64]


def jackknife(sums: Array, statistic: Callable[[Array], float]) -> tuple[float, float]:
    """Statistic of summed blocks, and its standard error from leaving out one block at a time.

    Parameters
    ----------
    sums : float [block, quantity]
    statistic : function of the sum over blocks, float [quantity]

    References
    ----------
    Efron & Tibshirani, An Introduction to the Bootstrap: the jackknife.
    """
    total = sums.sum(axis=0)
    left_out = np.array([statistic(total - block) for block in sums])
    n = len(sums)
    return statistic(total), float(((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)) ** 0.5)


def blocks(per_output: Array, n: int = 32) -> Array:
    """Sums of quantities [quantity, output] over n blocks of outputs, for a jackknife [block, quantity]."""
    return np.array([part.sum(axis=1) for part in np.array_split(per_output, n, axis=1)])


def ratio(total: Array) -> float:
    """First sum over the second one."""
    return float(total[0] / total[1]) if total[1] else float("nan")


def paired_variance(frames: Array) -> Array:
    """Temporal variance [..., output] of frames [..., frame, output] from disjoint pairs of successive frames.

    Slow drift cancels. Pairs without any difference in any output are a frame delivered twice and are left out,
    unless all of them are (a camera without noise).
    """
    difference = frames[..., 1::2, :] - frames[..., 0::2, :]
    new = difference.any(axis=-1)
    kept = np.where(new.any(axis=-1, keepdims=True), new, True)[..., None]
    return np.asarray(np.sum(0.5 * difference**2, axis=-2, where=kept) / kept.sum(axis=-2))


class SpeckleLaw:
    """Intensity over its mean where a pixel sums independent coherence modes.

    Parameters
    ----------
    modes : float
        M >= 1; the contrast is 1 / sqrt M. M = 1 is the exponential law of a point in full speckle.
    weight : float, optional
        Two modes of weights w and 1 - w with w^2 + (1 - w)^2 = 1 / M, which is what a pixel not larger than the
        grain sees. Without it, Goodman's approximation: a gamma law of shape M.
    dead : float
        Share of pixels that see nothing.

    References
    ----------
    Goodman, Speckle Phenomena in Optics: integrated speckle, exact and approximate law.
    """

    def __init__(self, modes: float, weight: float | None = None, dead: float = 0.0) -> None:
        self.modes = modes
        self.weight = weight
        self.dead = dead
        grid = np.concatenate([np.linspace(0.0, 2.0, 2001), np.linspace(2.0, 30.0, 2001)[1:]])
        self._grid, self._cumulated = grid, self.cdf(grid)

    @property
    def contrast(self) -> float:
        """Standard deviation over mean."""
        return float(((1.0 + 1.0 / self.modes) / (1.0 - self.dead) - 1.0) ** 0.5)

    def contrast_error(self, samples: int) -> float:
        """Standard error of the contrast of so many independent intensities (delta method)."""
        x = self.quantiles(100_000)
        mean, sd = x.mean(), x.std()
        skewness, kurtosis = (float(np.mean(((x - mean) / sd) ** k)) for k in (3, 4))
        c = sd / mean
        return float(c * ((kurtosis - 1.0) / 4.0 + c * c - c * skewness) ** 0.5 * samples**-0.5)

    def cdf(self, x: Array) -> Array:
        """Probability of an intensity up to x times the mean."""
        return np.asarray(np.where(x < 0.0, 0.0, self.dead + (1.0 - self.dead) * self._live((1.0 - self.dead) * x)))

    def _live(self, x: Array) -> Array:
        x = np.maximum(x, 0.0)
        if self.weight is None:
            return np.asarray(gammainc(self.modes, self.modes * x))
        w, v = self.weight, 1.0 - self.weight
        if v < 1e-9:
            return np.asarray(-np.expm1(-x))
        if w - v < 1e-6:
            return np.asarray(gammainc(2.0, 2.0 * x))
        return np.asarray(1.0 - (w * np.exp(-x / w) - v * np.exp(-x / v)) / (w - v))

    def quantiles(self, n: int = 2000) -> Array:
        """Intensities of n equal shares of probability, at their middles."""
        return np.asarray(np.interp((np.arange(n) + 0.5) / n, self._cumulated, self._grid))


def cdf_with_noise(x: Array, means: Array, sd: Array) -> Array:
    """Probability of a value up to x, over equally likely Gaussians of these means and sd."""
    width = np.maximum(sd, 1e-12)
    return np.array([ndtr((at - means) / width).mean() for at in np.atleast_1d(x)])


def correlation_error(correlation: float, samples: int, draws: int = 200_000) -> float:
    """Standard error of the correlation of so many pairs of speckle intensities, |F|^2 and |G|^2.

    The fields F, G are circular Gaussian with |correlation|^2 the intensities' (Siegert). From the influence function
    of a correlation, x y - r (x^2 + y^2) / 2 with x, y of unit variance.
    """
    rng = np.random.default_rng(0)
    first, other = (rng.normal(0.0, 0.5**0.5, (2, draws)) for _ in range(2))
    second = correlation**0.5 * first + (1.0 - correlation) ** 0.5 * other
    x, y = ((field**2).sum(axis=0) - 1.0 for field in (first, second))
    return float(np.std(x * y - 0.5 * correlation * (x**2 + y**2)) * samples**-0.5)


def code_moments(mean: Array, sd: Array, max_dn: int) -> tuple[Array, Array]:
    """Mean and variance of Gaussian values after rounding and clipping to 0 .. max_dn.

    With little noise repeated values round alike, and near either end of the range they are cut, so that the textbook's
    sd^2 + 1/12 does not hold; this is exact.

    Parameters
    ----------
    mean, sd : float [n], in DN
    """
    low = np.floor(mean - 8.0 * sd) - 1.0
    width = int(np.max(np.ceil(16.0 * sd), initial=0.0)) + 4
    codes = low[:, None] + np.arange(width)
    edges = np.concatenate([codes - 0.5, codes[:, -1:] + 0.5], axis=1)
    scaled = (edges - mean[:, None]) / np.maximum(sd, 1e-12)[:, None]
    probability = np.diff(ndtr(scaled), axis=1)
    values = np.clip(codes, 0, max_dn)
    first = (probability * values).sum(axis=1)
    return first, (probability * (values - first[:, None]) ** 2).sum(axis=1)


def ks_on_grid(samples: Array, grid: Array, cdf: Array) -> float:
    """Largest distance between the samples' distribution function and a law given on a grid."""
    ordered = np.sort(samples, axis=None)
    empirical = np.searchsorted(ordered, grid, side="right") / ordered.size
    return float(np.max(np.abs(empirical - cdf)))
