"""Estimators of EMVA Standard 1288, release 4.0 Linear: recorded frames of any camera to its characteristics.

Frames are plain arrays of counts [DN], simulated or recorded. The order is the standard's own:

- `photon_transfer`: pairs of frames from dark to beyond saturation give the gain K, the quantum efficiency, the
  dark noise, the sensitivity threshold, saturation, dynamic range, signal-to-noise and linearity;
- `dark_current`: pairs of dark frames of several exposures give the dark current, twice over;
  `doubling_temperature` takes that at several temperatures;
- `nonuniformity`: a stack of dark frames and one at half of saturation give DSNU and PRNU, each split into
  columns, rows and pixels.

What needs light in photons a pixel (quantum efficiency, responsivity, linearity) needs `photons`; all else follows
from mean and variance alone.

References
----------
EMVA Standard 1288, Standard for Characterization of Image Sensors and Cameras, Release 4.0 Linear (2021).
Reference implementation: github.com/EMVA1288/emva1288, emva1288/process/data.py and results.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Frames = NDArray[np.number[Any]]
Floats = NDArray[np.float64]

QUANTISATION_DN2 = 1.0 / 12.0
"""Variance of rounding to whole counts."""
LEAST_DARK_VARIANCE_DN2 = 0.24
"""Below it rounding dominates the temporal noise in the dark, and the standard puts this in its place."""
GAIN_RANGE = 0.7
"""K and the responsivity are fitted from the dark to this share of the signal at saturation."""
LINEARITY_RANGE = (0.05, 0.95)
"""Linearity is judged between these shares of the signal at saturation."""


def pair_statistics(pair: Frames) -> tuple[float, float]:
    """Mean [DN] and temporal variance [DN^2] from two frames [2, row, column] of the same light.

    Half the mean squared difference of the frames, less half the squared difference of their means: a light source
    that changed between the frames adds no variance. Light that varies over the frame does not matter.
    """
    pair = np.asarray(pair)
    if pair.ndim < 2 or pair.shape[0] != 2 or pair[0].size == 0:
        raise ValueError(f"pair: shape {pair.shape}; must be [2, row, column]")
    first, second = pair[0].astype(np.float64), pair[1].astype(np.float64)
    means = first.mean(), second.mean()
    variance = np.mean((first - second) ** 2) / 2.0 - (means[0] - means[1]) ** 2 / 2.0
    return float(sum(means) / 2.0), float(variance)


@dataclass(frozen=True)
class PhotonTransfer:
    """Photon transfer: mean and temporal variance of the counts at every light, and what follows from them.

    Parameters
    ----------
    mean, variance : float64 [step]
        [DN], [DN^2]; step 0 is dark. For saturation to be found, the last step lies beyond it.
    photons : float64 [step], optional
        Mean photons a pixel and exposure, from 0 upwards.

    Raises
    ------
    ValueError
        Fewer than three steps, different lengths, photons that do not rise from 0.
    """

    mean: Floats
    variance: Floats
    photons: Floats | None = None

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.variance.shape or len(self.mean) < 3:
            raise ValueError(
                f"mean, variance: shapes {self.mean.shape}, {self.variance.shape}; must be [step], 3 steps at least"
            )
        if self.photons is not None:
            if self.photons.shape != self.mean.shape:
                raise ValueError(f"photons: shape {self.photons.shape}; must be one a step, {self.mean.shape}")
            if self.photons[0] != 0 or not np.all(np.diff(self.photons) > 0):
                raise ValueError("photons: must rise from 0, the dark")

    @cached_property
    def signal(self) -> Floats:
        """Mean above the dark one [step] [DN]."""
        return np.asarray(self.mean - self.mean[0], dtype=np.float64)

    @cached_property
    def saturation_step(self) -> int:
        """Step of the largest temporal variance: from there on charge or counts are clipped."""
        return int(np.argmax(self.variance))

    def _within(self, low: float, high: float) -> NDArray[np.bool_]:
        """Steps whose signal is between two shares of that at saturation."""
        full = self.signal[self.saturation_step]
        used: NDArray[np.bool_] = (self.signal >= low * full) & (self.signal <= high * full)
        used[self.saturation_step + 1 :] = False
        return used

    def _slope(self, x: Floats, y: Floats) -> float:
        """Least-squares line through the origin, over the range of the gain."""
        used = self._within(-np.inf, GAIN_RANGE)
        return float((x * y)[used].sum() / (x * x)[used].sum())

    @cached_property
    def gain_dn_per_e(self) -> float:
        """K [DN/e-]: slope of the variance over the signal, as shot noise has the variance of its mean."""
        return self._slope(self.signal, self.variance - self.variance[0])

    @cached_property
    def gain_of_bright_frames_dn_per_e(self) -> float:
        """K [DN/e-] where dark frames cannot be used, because an offset is missing and code 0 cuts the noise off.

        Not the standard's: the variance at the signal's foot is fitted too, from 5 % of saturation on. It is less
        sharp than K by about three times.
        """
        used = self._within(LINEARITY_RANGE[0], GAIN_RANGE)
        return float(np.polyfit(self.mean[used], self.variance[used], 1)[0])

    @cached_property
    def responsivity_dn_per_photon(self) -> float:
        """R [DN/photon] = K eta: slope of the signal over the photons."""
        return self._slope(self._photons, self.signal)

    @cached_property
    def quantum_efficiency(self) -> float:
        """Eta = R / K, all of the camera's losses included."""
        return self.responsivity_dn_per_photon / self.gain_dn_per_e

    @property
    def _photons(self) -> Floats:
        if self.photons is None:
            raise ValueError("photons: not given; quantum efficiency, responsivity and linearity need them")
        return self.photons

    @property
    def quantisation_limited(self) -> bool:
        """The dark noise is too small for K: its figure is an upper limit."""
        return bool(self.variance[0] < LEAST_DARK_VARIANCE_DN2)

    @property
    def dark_noise_dn(self) -> float:
        """Temporal noise in the dark, rounding included [DN]; sigma_y.dark."""
        return float(max(self.variance[0], LEAST_DARK_VARIANCE_DN2) ** 0.5)

    @property
    def dark_noise_e(self) -> float:
        """Temporal noise in the dark without rounding [e-]; sigma_d."""
        return float((self.dark_noise_dn**2 - QUANTISATION_DN2) ** 0.5 / self.gain_dn_per_e)

    @property
    def threshold_e(self) -> float:
        """Electrons at a signal-to-noise of one; mu_e.min = sigma_y.dark / K + 1/2."""
        return self.dark_noise_dn / self.gain_dn_per_e + 0.5

    @property
    def threshold_photons(self) -> float:
        """Absolute sensitivity threshold mu_p.min [photons]."""
        return self.threshold_e / self.quantum_efficiency

    @property
    def saturation_photons(self) -> float:
        """Photons at saturation; mu_p.sat."""
        return float(self._photons[self.saturation_step])

    @property
    def saturation_e(self) -> float:
        """Electrons at saturation; mu_e.sat = eta mu_p.sat.

        Without photons it is the signal over K, less what is already clipped at that step.
        """
        if self.photons is None:
            return float(self.signal[self.saturation_step] / self.gain_dn_per_e)
        return self.quantum_efficiency * self.saturation_photons

    @property
    def dynamic_range(self) -> float:
        """Saturation over threshold; 20 log10 of it in decibels."""
        return self.saturation_e / self.threshold_e

    @property
    def snr_max(self) -> float:
        """Largest signal-to-noise, sqrt(mu_e.sat)."""
        return float(self.saturation_e**0.5)

    @cached_property
    def snr(self) -> Floats:
        """Measured signal-to-noise [step]."""
        noise = np.sqrt(np.maximum(self.variance, np.finfo(np.float64).tiny))
        return np.asarray(self.signal / noise, dtype=np.float64)

    @cached_property
    def linearity_deviation_percent(self) -> Floats:
        """Signal's deviation from its line [step between 5 and 95 % of saturation] [%].

        The line is fitted with weights 1 / signal, so that deviations count relative to the signal.
        """
        used = self._within(*LINEARITY_RANGE)
        x, y = self._photons[used], self.signal[used]
        if len(x) < 3:
            raise ValueError(f"{len(x)} steps between 5 and 95 % of saturation: must be 3 at least")
        line = np.polyval(np.polyfit(x, y, 1, w=1.0 / y), x)
        return np.asarray(100.0 * (y - line) / line, dtype=np.float64)

    @property
    def linearity_error_percent(self) -> tuple[float, float]:
        """Least and greatest deviation; LE_min and LE_max."""
        deviation = self.linearity_deviation_percent
        return float(deviation.min()), float(deviation.max())


def photon_transfer(photons: ArrayLike | None, pairs: Iterable[Frames]) -> PhotonTransfer:
    """Photon transfer from pairs of frames at rising light.

    Parameters
    ----------
    photons : float [step] or None
        Mean photons a pixel, the first 0. None: not known; see `PhotonTransfer` for what is left.
    pairs : array [step, 2, row, column], or an iterable of [2, row, column]
        Counts [DN], the first pair dark.

    Raises
    ------
    ValueError
        As `PhotonTransfer` and `pair_statistics`.
    """
    statistics = np.array([pair_statistics(pair) for pair in pairs], dtype=np.float64).reshape(-1, 2)
    light = None if photons is None else np.asarray(photons, dtype=np.float64)
    return PhotonTransfer(statistics[:, 0], statistics[:, 1], light)


def signal_to_noise(
    electrons: ArrayLike, dark_noise_e: float, gain_dn_per_e: float, dsnu_e: float = 0.0, prnu: float = 0.0
) -> Floats:
    """Predicted signal-to-noise at mean photo-electrons mu_e; with DSNU and PRNU that of a single frame's pixels.

    mu_e / sqrt(sigma_d^2 + DSNU^2 + sigma_q^2 / K^2 + mu_e + PRNU^2 mu_e^2), sigma_q^2 = 1/12 DN^2.
    """
    mu_e = np.asarray(electrons, dtype=np.float64)
    constant = dark_noise_e**2 + dsnu_e**2 + QUANTISATION_DN2 / gain_dn_per_e**2
    return np.asarray(mu_e / np.sqrt(constant + mu_e + (prnu * mu_e) ** 2), dtype=np.float64)


@dataclass(frozen=True)
class DarkCurrent:
    """Dark current mu_I from the slopes of mean and variance in the dark over the exposure."""

    from_mean_e_per_s: float
    from_variance_e_per_s: float
    """It does not suffer where a camera subtracts its dark signal."""
    dark_noise_e: float
    """Temporal noise in the dark at no exposure, without rounding; sigma_d0."""


def dark_current(exposures_s: ArrayLike, pairs: Iterable[Frames], gain_dn_per_e: float) -> DarkCurrent:
    """Dark current from pairs of dark frames at several exposures.

    Parameters
    ----------
    exposures_s : float [exposure]
        [s], three different ones at least.
    pairs : array [exposure, 2, row, column], or an iterable of [2, row, column]
        Dark counts [DN].
    gain_dn_per_e : float
        K, of `photon_transfer`.

    Raises
    ------
    ValueError
        Fewer than three exposures, another number of pairs.
    """
    times = np.asarray(exposures_s, dtype=np.float64)
    statistics = np.array([pair_statistics(pair) for pair in pairs], dtype=np.float64).reshape(-1, 2)
    if times.shape != (len(statistics),) or len(np.unique(times)) < 3:
        raise ValueError(
            f"exposures_s: shape {times.shape} for {len(statistics)} pairs; must be one a pair, 3 different ones"
        )
    mean = np.polyfit(times, statistics[:, 0], 1)
    variance = np.polyfit(times, statistics[:, 1], 1)
    noise = max(float(variance[1]), LEAST_DARK_VARIANCE_DN2) - QUANTISATION_DN2
    return DarkCurrent(
        float(mean[0] / gain_dn_per_e), float(variance[0] / gain_dn_per_e**2), float(noise**0.5 / gain_dn_per_e)
    )


def doubling_temperature(temperatures_c: ArrayLike, currents_e_per_s: ArrayLike) -> float:
    """Warming that doubles the dark current [C], from dark currents > 0 at two or more temperatures."""
    currents = np.asarray(currents_e_per_s, dtype=np.float64)
    if not np.all(currents > 0):
        raise ValueError("currents_e_per_s: must be > 0")
    return float(1.0 / np.polyfit(np.asarray(temperatures_c, dtype=np.float64), np.log2(currents), 1)[0])


@dataclass(frozen=True)
class SpatialVariance:
    """Mean [DN] of a stack of frames, and spatial variances [DN^2] free of temporal noise.

    Estimates of a variance that is zero are negative half of the time.
    """

    mean: float
    total: float
    column: float
    row: float
    pixel: float
    """What neither columns nor rows have in common."""


def spatial_variance(stack: Frames) -> SpatialVariance:
    """Spatial variances of a stack of frames [frame, row, column] of the same light, two frames at least.

    Notes
    -----
    The mean of L frames keeps 1/L of the temporal variance, the mean of its columns of M pixels 1/(L M). Without
    these, with variances s_col, s_row, s_pix of the independent parts and rows of N pixels:

    s_total = s_col + s_row + s_pix,  s_cav = s_col + s_pix / M,  s_rav = s_row + s_pix / N

    for the whole, the columns' means and the rows' means, solved for the parts.
    """
    stack = np.asarray(stack)
    if stack.ndim != 3 or len(stack) < 2 or min(stack.shape[1:]) < 3:
        raise ValueError(f"stack: shape {stack.shape}; must be [frame >= 2, row >= 3, column >= 3]")
    frames, rows, columns = stack.shape
    average = stack.mean(axis=0, dtype=np.float64)
    left = float(stack.var(axis=0, ddof=1, dtype=np.float64).mean()) / frames
    total = float(average.var(ddof=1)) - left
    of_columns = float(average.mean(axis=0).var()) - left / rows
    of_rows = float(average.mean(axis=1).var()) - left / columns
    scale = rows * columns - rows - columns
    return SpatialVariance(
        mean=float(average.mean()),
        total=total,
        column=(rows * (columns - 1) * of_columns - columns * (total - of_rows)) / scale,
        row=(columns * (rows - 1) * of_rows - rows * (total - of_columns)) / scale,
        pixel=rows * columns * (total - of_columns - of_rows) / scale,
    )


def _root(variance: float) -> float:
    """Standard deviation; NaN of a negative estimate, as in the reference implementation."""
    return float(variance**0.5) if variance >= 0 else float("nan")


@dataclass(frozen=True)
class NonUniformity:
    """Dark signal (DSNU) [e-] and photo response (PRNU) non-uniformities, relative to the signal.

    NaN where the estimate of a variance is negative: too small to be seen in these frames.
    """

    dark: SpatialVariance
    half: SpatialVariance
    gain_dn_per_e: float

    def dsnu_part_e(self, part: str) -> float:
        """DSNU of `total`, `column`, `row` or `pixel` [e-]."""
        return _root(getattr(self.dark, part)) / self.gain_dn_per_e

    def prnu_part(self, part: str) -> float:
        """PRNU of `total`, `column`, `row` or `pixel`, a fraction of the signal."""
        signal = self.half.mean - self.dark.mean
        return _root(getattr(self.half, part) - getattr(self.dark, part)) / signal

    @property
    def dsnu_e(self) -> float:
        """DSNU_1288 [e-]."""
        return self.dsnu_part_e("total")

    @property
    def prnu(self) -> float:
        """PRNU_1288, a fraction (the standard prints it in %)."""
        return self.prnu_part("total")


def nonuniformity(dark: Frames, half: Frames, gain_dn_per_e: float) -> NonUniformity:
    """DSNU and PRNU from frames [frame, row, column] in the dark and at half of saturation; K of `photon_transfer`.

    Both stacks with the same exposure: dark subtraction leaves the PRNU alone.
    """
    return NonUniformity(spatial_variance(dark), spatial_variance(half), gain_dn_per_e)
