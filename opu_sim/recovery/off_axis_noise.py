"""Closed forms of off-axis holography's errors: what a projection's noise is, without a single pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from opu_sim.recovery.reference import ReferenceArm
from opu_sim.recovery.tiles import HologramTile
from opu_sim.signal_arm import SignalArm

Terms = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class OffAxisNoise:
    """Noise of the recovered field over its power, term by term, on the mean over the outputs.

    With N_s = E|s|^2 and N_r photo-electrons a pixel of either arm, E and g^2 the reference's light and the squared
    gain of an output over their means, v the mean of the fringes' phase factor c over frames, e the light that is new
    in each frame, and G the power that filter and fine structure leave of the field, the signal is
    (1 - e) v^2 G <g^2 E> N_s, and over it:

    camera         f h <g^2 (N_r E + N_s + sigma_d^2 + 1 / 12 K^2)> / N_r: shot, dark, read and rounding noise in the
                   side band; f h is the band's share f of the spectrum times the mean of filter^2 / MTF^2 in it
    responsivity   2 f h w^2 <g^2> N_s^2 / N_r: |s|^2 through the pixels' unequal responsivity, relative variance w^2
    overlap        o <g^2> N_s^2 / N_r: o is the share of the variance of |s|^2 in the side band (p < 4)
    decorrelation  e E|c|^2 G <g^2 E> N_s
    phase          (1 - e) (E|c|^2 - v^2) G <g^2 E> N_s; with Gaussian jitter s alone, 1 - exp(-s^2) of the power
    laser          (1 - e) var(energy) v^2 G <g^2 E> N_s

    `responsivity` and `overlap` are the same in each frame of a pattern, and another for another pattern; `phase` and
    `laser` are common to all outputs of a frame. The variance of one output follows the light around it, by its shot
    noise: about N_s / (N_r + N_s + ...) of `camera` times the relative speckle intensity, smoothed over a grain. It
    is the mean over the outputs that is given here.

    Rounding counts as 1/12 DN^2, which needs noise of about 0.3 DN or more to dither it (at 5 bits repeated
    frames measure 0.9 dB better). Pixels at the full well are not counted: see `clipped`.
    """

    arm: SignalArm
    tile: HologramTile
    reference: ReferenceArm
    intensity: NDArray[np.float64]
    """Light of the reference's smooth beam at the outputs over its mean over the sensor [output]."""
    corrected: bool
    """Whether the outputs are divided by the reference's local amplitude."""
    pattern_variance: float
    """Relative variance of the pixels' responsivity."""
    power_kept: float
    """G."""
    kept: float
    """Amplitude that an ON mirror keeps over an OFF one in a projection; see `OffAxisRecovery`."""

    @cached_property
    def _beam(self) -> float:
        """<g^2 E>."""
        return 1.0 if self.corrected else float(self.intensity.mean())

    @cached_property
    def _gain(self) -> float:
        """<g^2>."""
        return float(np.mean(1.0 / self.intensity)) if self.corrected else 1.0

    def _signal_e(self, inputs_on: NDArray[np.integer]) -> NDArray[np.float64]:
        """N_s of patterns with this many inputs ON."""
        electrons = self.arm.photons_per_intensity * self.arm.card.camera.quantum_efficiency
        return self.arm.brightness(inputs_on).astype(np.float64) * electrons

    def _powers(self, signal_e: NDArray[np.float64]) -> tuple[NDArray[np.float64], Terms]:
        """Power of the signal, and of each error, in electrons a pixel."""
        card, tile = self.arm.card, self.tile
        camera, level_e = card.camera, self.reference.level_e
        v2, all_v2 = self.reference.visibility**2, self.reference.mean_square_visibility
        new = card.medium.frame_decorrelation
        field = self.power_kept * self._beam * signal_e
        dark_e = (camera.dark_e_per_s + (camera.hot_pixels or 0.0) * camera.hot_e_per_s) * self.arm.exposure_s
        floor_e2 = dark_e + camera.read_noise_e**2 + 1.0 / (12.0 * camera.gain**2)
        laser = self.arm.laser.intensity_noise(self.arm.exposure_s) ** 2
        return (1.0 - new) * v2 * field, {
            "camera": tile.noise * (self._beam + self._gain * (signal_e + floor_e2) / level_e),
            "responsivity": 2.0 * tile.noise * self.pattern_variance * self._gain * signal_e**2 / level_e,
            "overlap": tile.overlap * self._gain * signal_e**2 / level_e,
            "decorrelation": new * all_v2 * field,
            "phase": (1.0 - new) * (all_v2 - v2) * field,
            "laser": (1.0 - new) * laser * v2 * field,
        }

    def terms(self, inputs_on: NDArray[np.integer]) -> Terms:
        """Each error's power over the signal's [pattern]."""
        power, errors = self._powers(self._signal_e(inputs_on))
        return {name: error / power for name, error in errors.items()}

    def snr(self, inputs_on: float) -> float:
        """Power signal-to-noise of the recovered complex field, and of its real part, all errors together."""
        return 1.0 / sum(float(error[0]) for error in self.terms(np.array([inputs_on])).values())

    def variance(self, inputs_on: NDArray[np.integer], *, without: tuple[str, ...] = ()) -> NDArray[np.float64]:
        """Variance of the projection of one pattern of weight 1 [pattern]: all errors, but for those named.

        Encoded weights come on top, squared, as does the noise of the calibration, which is the same in all frames.
        """
        inputs_on = np.asarray(inputs_on)
        _, errors = self._powers(self._signal_e(inputs_on))
        error_e = sum((error for name, error in errors.items() if name not in without), np.zeros(inputs_on.shape))
        card = self.arm.card
        per_intensity_e = self.arm.photons_per_intensity * card.camera.quantum_efficiency
        # `project` scales the field by (2 / n_in G)^(1/2) / kept, and half of the error's power is in the real part.
        scale2 = 2.0 / (self.arm.dmd.n_in * self.arm.mean_illumination * self.power_kept * self.kept**2)
        return np.asarray(0.5 * scale2 * error_e / per_intensity_e)

    def clipped(self, inputs_on: NDArray[np.integer]) -> NDArray[np.float64]:
        """Share of pixels [pattern] whose mean charge is beyond the full well, where the beam is of mean strength.

        The pixels blur the fringes u more than the signal's own light, z |u|^2 with z > 1; the charge is then
        z |u + r / z|^2 + (1 - 1 / z) |r|^2, and |u + r / z|^2 a noncentral chi-squared variable with two degrees of
        freedom. Above some 1e-4 the closed forms no longer hold: the charge lost is of the order of the charge itself,
        not of its noise.
        """
        from scipy.stats import ncx2  # takes a third of a second to import, which other recoveries need not wait for

        z, level_e = self.tile.order_zero, self.reference.level_e
        # Weaker light than this, 4 sd of which are 4 % of the amplitude, does not count.
        half = np.maximum(0.5 * self._signal_e(inputs_on) / z, 1e-4 * level_e)
        full_well_e = self.arm.card.camera.full_well_e
        room_e = max(full_well_e - (1.0 - 1.0 / z) * level_e, 0.0) / z
        return np.asarray(ncx2.sf(room_e / half, 2, level_e / z**2 / half))
