"""Photon transfer: temporal variance against mean, with the part that grows with the light around a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opu_sim.self_test.estimators import Array, code_moments

_ROUNDING = 1.0 / 12.0
_LEAST_SD = 0.2  # noise [DN] below which repeated counts round alike
_FEWEST_POINTS = 500


@dataclass(frozen=True)
class Converter:
    """Range of the counts: what lies at zero light, the largest code, and whether counts are whole numbers."""

    offset_dn: float
    max_dn: float
    rounded: bool


@dataclass(frozen=True)
class PhotonTransfer:
    """variance = c_0 + K mean + d (2 mean <mean> - d <mean>^2), before rounding.

    Attributes
    ----------
    coefficients : c_0 [DN^2], K [DN/e-], d
    covariance : of these, from the scatter of the points
    """

    coefficients: Array
    covariance: Array

    @property
    def errors(self) -> Array:
        """Standard errors of the coefficients."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def gain(self) -> float:
        """K [DN/e-]."""
        return float(self.coefficients[1])

    @property
    def read_noise_e(self) -> float:
        """Read and dark noise [e-]."""
        return float(max(self.coefficients[0], 0.0) ** 0.5 / self.gain) if self.gain > 0 else float("nan")

    @property
    def read_noise_error_e(self) -> float:
        """Standard error of the read noise [e-]: of c_0, and of the gain that turns counts into electrons."""
        if self.coefficients[0] <= 0 or self.gain <= 0:
            return float("nan")
        slope = np.array([0.5 / self.coefficients[0], -1.0 / self.gain, 0.0])
        return float(self.read_noise_e * (slope @ self.covariance @ slope) ** 0.5)

    @property
    def new_light(self) -> float:
        """d: share of a pixel's light that is new in each frame."""
        return float(self.coefficients[2])

    def variance(self, mean: Array, level: Array | float) -> Array:
        """Of pixels of this mean in a frame of mean `level` [DN^2], before rounding."""
        return np.asarray(_design(mean, level, self.new_light) @ self.coefficients)

    def added_by_rounding(self, mean: Array, level: float, converter: Converter, blur: Array | float = 0.0) -> Array:
        """Variance of the counts of these means less that before rounding and clipping [DN^2].

        blur : standard error of the means; what is added is averaged over it.
        """
        if not converter.rounded:
            return np.zeros_like(mean)
        before = np.linspace(-0.5, float(mean.max()) + 1.0, 2000)
        noise = np.maximum(self.variance(np.maximum(before, 0.0), level), 1e-4)
        after, variance = code_moments(before + converter.offset_dn, noise**0.5, int(converter.max_dn))
        after = np.maximum.accumulate(after) - converter.offset_dn
        three = ((0.0, 2.0 / 3.0), (3.0**0.5, 1.0 / 6.0), (-(3.0**0.5), 1.0 / 6.0))  # Gauss-Hermite
        total = np.zeros_like(mean)
        for at, weight in three:
            total += weight * np.interp(mean + at * blur, after, variance - noise)
        return total

    def variance_of_counts(self, mean: Array, level: float, converter: Converter) -> Array:
        """Temporal variance of the counts [DN^2]."""
        return self.variance(mean, level) + self.added_by_rounding(mean, level, converter)


def _design(mean: Array, level: Array | float, new_light: float) -> Array:
    return np.stack([np.ones_like(mean), mean, level * (2.0 * mean - new_light * level)], axis=1)


def fit_photon_transfer(
    mean: Array, again: Array, variance: Array, level: Array, *, frames: int, converter: Converter
) -> PhotonTransfer | None:
    """Weighted least squares over pixels and levels.

    Light that is new in each frame adds a circular Gaussian field of power d <I> to a pixel's own field, and so the
    variance 2 d I <I> - d^2 <I>^2: linear in the pixel's mean within a level, but steeper at brighter levels. That
    tells it from shot noise, K I. Where noise is less than half a code, rounding adds more or less than 1/12 as the
    mean lies between two codes or on one; what it adds follows from the noise, and is taken off.

    Parameters
    ----------
    mean, again, variance : float [point], above the offset [DN, DN, DN^2]
        The mean twice, and the variance, from different frames. Regression on one mean by way of the other (an
        instrumental variable) is not flattened by the noise of either, however much dim pixels weigh.
    level : float [point]
        Mean over the pixels of the frame; few different values.
    frames : int
        Differences behind each variance.

    Returns
    -------
    PhotonTransfer, or None where too few points have enough noise.

    References
    ----------
    EMVA Standard 1288, Release 4.0 Linear: K is the slope of the temporal variance over the mean, up to 70 % of
    saturation. Janesick, Photon Transfer: the method, and the part that grows with the square of the signal.
    """
    least = 1e-6 * max(float(variance.mean()), 1e-12)
    inside = again < 0.7 * (converter.max_dn - converter.offset_dn)
    added = np.full_like(variance, _ROUNDING if converter.rounded else 0.0)
    fit = PhotonTransfer(np.array([max(float(np.median(variance - added)), least), 0.0, 0.0]), np.zeros((3, 3)))
    best = 0.5 * (mean + again)
    for _ in range(8):
        model = np.maximum(fit.variance(again, level), least)
        # Pixels that get little but fresh light have noise far from Gaussian.
        used = inside & (again > 5.0 * max(fit.new_light, 0.0) * level)
        if converter.rounded:
            blur = np.sqrt(np.maximum(model + added, 0.25 * model) / (2.0 * frames))
            for value in np.unique(level):
                here = level == value
                added[here] = fit.added_by_rounding(best[here], float(value), converter, blur[here])
            # Near zero the converter cuts the noise, and the mean says little of the light.
            bottom = np.maximum(1.0, 3.0 * np.sqrt(model)) - converter.offset_dn
            used &= (model > _LEAST_SD**2) & (again > bottom)
        if used.sum() < _FEWEST_POINTS or not variance[used].any():
            return None
        X, Z = (_design(part, level, fit.new_light)[used] for part in (mean, again))
        target = (variance - added)[used]
        # The variance's own noise is proportional to itself.
        Z *= (frames / (2.0 * np.maximum(model + added, 0.25 * model)[used] ** 2))[:, None]
        inverse = np.linalg.inv(Z.T @ X)
        coefficients = inverse @ (Z.T @ target)
        # The errors follow from the residuals: noise after rounding is not Gaussian.
        scores = Z * (target - X @ coefficients)[:, None]
        fit = PhotonTransfer(coefficients, inverse @ (scores.T @ scores) @ inverse.T)
    return fit
