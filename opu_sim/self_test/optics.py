"""Checks on camera counts: speckle, noise of a shot, photon transfer, ends of the range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from opu_sim.self_test.estimators import (
    Array,
    SpeckleLaw,
    blocks,
    cdf_with_noise,
    jackknife,
    ks_on_grid,
    paired_variance,
)
from opu_sim.self_test.photon_transfer import Converter, fit_photon_transfer
from opu_sim.self_test.prediction import Prediction
from opu_sim.self_test.probe import Probe
from opu_sim.self_test.report import SelfTest

HALF_FRAMES = 64  # of either half pattern
LEVELS = 8
LEVEL_FRAMES = 256
_SIGMAS = 4.0  # of sampling error that every check allows: one in 16,000 fails by chance
_LEVEL_EDGES = (0.0, 0.5, 1.5, math.inf)  # of dim, middling and bright pixels, in means
# Contrast of a pixel between a third of a grain and a point, for want of a card.
_CONTRAST_WITHOUT_CARD = (0.95, 0.05)


class HalfPatterns:
    """Repeated frames [pattern, frame, output] of the two half patterns, and their offset."""

    def __init__(self, probe: Probe, prediction: Prediction | None) -> None:
        stack, kinds = zip(*(probe.frames(pattern, HALF_FRAMES) for pattern in probe.halves()), strict=True)
        self.frames: Array = np.stack(stack)
        self.integers = bool(np.issubdtype(kinds[0], np.integer))
        self.max_dn = float(np.iinfo(kinds[0]).max) if self.integers else math.inf
        if prediction is None:
            dark, _ = probe.frames(np.zeros(probe.n_in, dtype=np.uint8), HALF_FRAMES)
            self.offset_dn = float(dark.mean())
        else:
            self.offset_dn, self.max_dn = prediction.offset_dn, float(prediction.card.camera.max_dn)
        self.intensity: Array = self.frames.mean(axis=1) - self.offset_dn
        self.level = float(self.intensity.mean())
        self.variance: Array = paired_variance(self.frames)

    def static_covariance(self, first: Array, second: Array) -> Array:
        """Covariance over outputs of two independent sets of frames [pattern, frame, output], a product an output.

        Noise of the shots, independent in the two, leaves it alone.
        """
        one, two = (part.mean(axis=1) for part in (first, second))
        one, two = (part - part.mean(axis=1, keepdims=True) for part in (one, two))
        return np.asarray((one * two).mean(axis=0) * self.outputs / (self.outputs - 1))

    @property
    def outputs(self) -> int:
        """Outputs a pattern."""
        return int(self.frames.shape[-1])

    @property
    def samples(self) -> int:
        """Independent speckle intensities."""
        return int(self.intensity.size)

    def noise_sd(self, intensity: Array) -> Array:
        """Measured sd of the average of the frames at a mean intensity, smoothed by a parabola."""
        curve = np.polyfit(self.intensity.ravel(), self.variance.ravel(), 2)
        return np.asarray(np.sqrt(np.maximum(np.polyval(curve, intensity), 0.0) / HALF_FRAMES))


def check_speckle(test: SelfTest, half: HalfPatterns, prediction: Prediction | None, half_on: int) -> None:
    """Level, contrast and law of the intensity."""
    noise_free = half.static_covariance(half.frames[:, 0::2], half.frames[:, 1::2])
    contrast = max(float(noise_free.mean()), 0.0) ** 0.5 / half.level if half.level > 0 else 0.0
    if prediction is None:
        law = SpeckleLaw(max(contrast**-2, 1.0) if contrast > 0 else 1.0)
        expected, allowed = _CONTRAST_WITHOUT_CARD
        note = "no card: between a point and a third of a grain to a pixel"
        test.add("mean level", half.level, unit="DN", note="no card to compare with")
    else:
        law, allowed = prediction.law, 0.0
        camera = prediction.card.camera
        # Light that is new in each frame does not add to the static pattern; uneven pixels do.
        expected = ((1.0 + camera.prnu**2) * (1.0 + (law.contrast * (1.0 - prediction.new_light)) ** 2) - 1.0) ** 0.5
        note = f"{law.modes:.2f} modes a pixel"
        level = prediction.mean_dn(half_on)
        spread = _SIGMAS * (law.contrast**2 / half.samples + prediction.gain_jump**2) ** 0.5
        test.add("mean level", half.level, level, level * spread, "DN", "laser to converter, half of the inputs ON")
    allowed += _SIGMAS * law.contrast_error(half.samples)
    test.add("speckle contrast", contrast, expected, allowed, note=note)

    grid = np.linspace(0.0, min(8.0 * half.level, half.max_dn - half.offset_dn - 1.0), 600)
    if prediction is None:
        means = half.level * law.quantiles()
        cdf = cdf_with_noise(grid, means, half.noise_sd(means))
    else:
        means, variances = prediction.codes(prediction.intensities(half.level), half.level)
        cdf = cdf_with_noise(grid, means, (variances / HALF_FRAMES) ** 0.5)
    distance = ks_on_grid(half.intensity, grid, cdf)
    # Kolmogorov's 1 % point; the mean is the sample's own, which makes it stricter than 1 %.
    test.add("speckle law, KS", distance, 0.0, 1.63 * half.samples**-0.5, note="integrated speckle, through the noise")
    test.series["speckle"] = {"intensity": (half.intensity / half.level).ravel(), "law": law, "contrast": contrast}


def check_repeatability(test: SelfTest, half: HalfPatterns, prediction: Prediction | None) -> None:
    """One shot against the next one: correlation, signal-to-noise, scatter at three levels."""
    first, second = half.frames[:, 0::2], half.frames[:, 1::2]
    quantities = np.stack([half.static_covariance(first, second), half.variance.mean(axis=0)])
    sums = blocks(quantities)
    pearson, pearson_error = jackknife(sums, lambda s: float(s[0] / (s[0] + s[1])))
    snr, snr_error = jackknife(sums, ratio_db)
    if prediction is None or half.level <= 0:
        expected = None
    else:
        codes, variances = prediction.codes(prediction.intensities(half.level), half.level)
        expected = float(codes.var() / (codes.var() + variances.mean())), variances
    no_card = "" if expected else "no card to compare with"
    if expected is None:
        test.add("repeatability, Pearson", pearson, note=no_card)
        test.add("repeatability", snr, unit="dB", note=no_card)
    else:
        like, variances = expected
        test.add("repeatability, Pearson", pearson, like, 0.05 * (1.0 - like) + _SIGMAS * pearson_error)
        like_db = 10.0 * math.log10(like / (1.0 - like)) if like < 1.0 else math.inf
        test.add("repeatability", snr, like_db, 0.2 + _SIGMAS * snr_error, "dB", "signal over noise, powers")
    levels = list(zip(_LEVEL_EDGES[:-1], _LEVEL_EDGES[1:], ("dim", "middling", "bright"), strict=True))
    for low, high, name in levels:
        chosen = (half.intensity >= low * half.level) & (half.intensity < high * half.level)
        if chosen.sum() < 50:
            test.add(f"noise of a shot, {name}", None, unit="DN", note="too few pixels at this level")
            continue
        measured = half.variance[chosen]
        sigma = float(measured.mean() ** 0.5)
        if expected is None or sigma == 0.0:
            test.add(f"noise of a shot, {name}", sigma, unit="DN", note=no_card)
            continue
        inside = (codes >= low * half.level) & (codes < high * half.level)
        like = float(variances[inside].mean() ** 0.5)
        error = float(measured.std() * chosen.sum() ** -0.5 / (2.0 * sigma))
        test.add(f"noise of a shot, {name}", sigma, like, 0.03 * like + _SIGMAS * error, "DN")
    shots = half.frames[:, :2] - half.offset_dn
    test.series["repeatability"] = {"first": shots[:, 0].ravel(), "second": shots[:, 1].ravel(), "pearson": pearson}


def ratio_db(sums: Array) -> float:
    """First sum over the second one, in dB."""
    return float(10.0 * np.log10(sums[0] / sums[1])) if sums[0] > 0 and sums[1] > 0 else math.inf


def check_photon_transfer(test: SelfTest, probe: Probe, half: HalfPatterns, prediction: Prediction | None) -> None:
    """Variance against mean over eight levels of light: gain, read noise, light new in each frame; share of clipped.

    References
    ----------
    EMVA Standard 1288, Release 4.0 Linear (photon transfer from pairs of frames, up to 70 % of saturation).
    """
    counts_on = np.unique(np.linspace(0, probe.n_in, LEVELS + 1).round().astype(int)[1:])
    mean, again, variance, level, laser, floor = [], [], [], [], [], []
    saturated, brightest = 0.0, 0.0
    for on in counts_on:
        frames, _ = probe.frames(probe.on(int(on)), LEVEL_FRAMES)
        saturated = float(np.mean(frames >= half.max_dn))
        frames = frames - half.offset_dn
        brightest = float(frames.mean())
        # What all pixels share is the laser's: taken off, as far as it is not their own noise in the sum.
        common = frames.mean(axis=1, keepdims=True) / frames.mean() if frames.mean() > 0 else np.ones((len(frames), 1))
        laser.append(float(paired_variance(common)[0]))
        floor.append(float(paired_variance(frames).sum() / frames.mean(axis=0).sum() ** 2))
        share = max(1.0 - floor[-1] / laser[-1], 0.0) if laser[-1] > 0 else 0.0
        still = frames / (1.0 + share * (common - 1.0))
        # Mean, once more the mean, and variance from different frames: their errors are then independent.
        quarters = still.reshape(-1, 4, still.shape[1])
        for i, j, k, m in ((0, 1, 2, 3), (2, 3, 0, 1)):
            mean.append(quarters[:, i].mean(axis=0))
            again.append(quarters[:, j].mean(axis=0))
            variance.append(0.5 * np.mean((quarters[:, k] - quarters[:, m]) ** 2, axis=0))
            # Random fields add in power: the light around a pixel follows from the inputs ON, without the sampling
            # error that the mean of this level's own speckle has.
            level.append(np.full(still.shape[1], half.level * on * 2.0 / probe.n_in))
    names = ("mean", "again", "variance", "level")
    points = dict(zip(names, map(np.concatenate, (mean, again, variance, level)), strict=True))
    _laser(test, np.array(laser), np.array(floor), prediction)
    _photon_transfer(test, points, half, prediction)
    _clipped(test, saturated, brightest, half, prediction)


def _laser(test: SelfTest, measured: Array, floor: Array, prediction: Prediction | None) -> None:
    """Fluctuation common to all pixels of a frame, less what their own noise leaves in the sum."""
    # A level's variance scatters in proportion to itself: the brightest level, of the least noise, counts most.
    weight = 1.0 / np.maximum(measured, 1e-300) ** 2
    weight /= weight.sum()
    sd = max(float(weight @ (measured - floor)), 0.0) ** 0.5
    error = float(np.sum((weight * measured) ** 2) * 2.0 / (LEVEL_FRAMES / 2)) ** 0.5
    if prediction is None:
        test.add("laser, frame to frame", sd, note="no card to compare with")
        return
    expected = prediction.laser_noise
    test.add(
        "laser, frame to frame", sd, expected, (expected**2 + _SIGMAS * error) ** 0.5 - expected, note="rms, relative"
    )


def _photon_transfer(test: SelfTest, points: dict[str, Any], half: HalfPatterns, prediction: Prediction | None) -> None:
    names = ("camera gain", "read noise", "light new in each frame")
    units = ("DN/e-", "e-", "")
    converter = Converter(half.offset_dn, half.max_dn, half.integers)
    frames = LEVEL_FRAMES // 4
    fit = fit_photon_transfer(**points, frames=frames, converter=converter)
    if fit is None:
        why = "not measurable: too little noise, repeated counts round alike"
        for name, unit in zip(names, units, strict=True):
            test.add(name, None, unit=unit, note=why)
        return
    test.series["photon transfer"] = {**points, "fit": fit, "converter": converter}
    if prediction is None:
        for name, unit, value in zip(names, units, (fit.gain, fit.read_noise_e, fit.new_light), strict=True):
            test.add(name, value, unit=unit, note="no card to compare with")
        return
    gain, read, modes = prediction.card.camera.gain, prediction.read_noise_e, prediction.law.modes
    fewer = "slope of variance over mean"
    test.add(names[0], fit.gain, gain, 0.02 * gain + _SIGMAS * fit.errors[1], units[0], fewer)
    error = 0.02 * read + _SIGMAS * fit.read_noise_error_e
    if min(fit.coefficients[:2] - _SIGMAS * fit.errors[:2]) > 0:
        test.add(names[1], fit.read_noise_e, read, error, units[1], "intercept, rounding taken off")
    else:
        test.add(names[1], None, read, unit=units[1], note="not measurable: far below the shot noise or a code's width")
    share = modes * fit.new_light
    expected = modes * prediction.new_light
    level_error = prediction.law.contrast * half.samples**-0.5  # of the light around, which it is relative to
    tolerance = _SIGMAS * (expected * level_error + modes * fit.errors[2])
    test.add(names[2], share, expected, tolerance, units[2], "share of the field's power; variance 2 e I <I>")


def _clipped(test: SelfTest, saturated: float, level: float, half: HalfPatterns, prediction: Prediction | None) -> None:
    """Share of pixels at the largest code with all inputs ON, and at the smallest with half of them ON."""
    dark_code = round(half.offset_dn) if prediction is not None else 0
    dark = float(np.mean(half.frames <= dark_code))
    if not math.isfinite(half.max_dn) or not half.integers:
        test.add("saturated, all ON", None, note="counts have no largest code")
        return
    if prediction is None:
        law = SpeckleLaw(max(test.series["speckle"]["contrast"] ** -2, 1.0))
        test.add("dark, half ON", dark, note="no card to compare with")
    else:
        law = prediction.law
        intensity = prediction.intensities(half.level)
        sd = prediction.noise_variance(intensity, half.level) ** 0.5
        share = float(cdf_with_noise(np.array([dark_code + 0.5 - half.offset_dn]), intensity, sd)[0])
        test.add("dark, half ON", dark, share, _share_error(share, half.samples), note="share of counts at the offset")
    share = float(1.0 - law.cdf(np.array([(half.max_dn - 0.5 - half.offset_dn) / level]))[0]) if level > 0 else 0.0
    tolerance = _share_error(share, half.outputs)
    test.add("saturated, all ON", saturated, share, tolerance, note="share of counts at the largest code")


def _share_error(share: float, samples: int) -> float:
    """Binomial error of a share, and three counts for rare ones."""
    return float(_SIGMAS * (share * (1.0 - share) / samples) ** 0.5 + 3.0 / samples)
