"""What a card says that a device of this shape does: everything a self-test compares with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from opu_sim.cards import OpuCard
from opu_sim.device import Opu
from opu_sim.dmd.warm_up import mixing
from opu_sim.power import FrameClock
from opu_sim.self_test.estimators import Array, SpeckleLaw, code_moments


class Prediction:
    """Expectations from a card, by way of the simulator's own closed forms; no frame is simulated for them.

    Parameters
    ----------
    card : OpuCard
    n_in, n_out : int
    model : Opu, optional
        A device of this card and shape, if there is one already.

    Raises
    ------
    DeviceError
        The card's device does not have this shape.
    """

    def __init__(self, card: OpuCard, n_in: int, n_out: int, model: Opu | None = None) -> None:
        self.card = card
        self.n_in = n_in
        model = Opu(card, n_in, n_out) if model is None else model
        camera = card.camera
        dead = camera.dead_pixels or 0.0
        self.law = SpeckleLaw(model.imager.modes.modes, model.imager.modes.weight, dead)
        self.new_light = model.imager.decorrelation
        """Share of a pixel's light that is new in each frame: the field's share over the coherence modes."""
        self.laser_noise = model.arm.laser.intensity_noise(model.arm.exposure_s)
        self.gain_jump = card.faults.gain_jump or 0.0
        """Relative sd of the light from pass to pass."""
        dark_e = camera.dark_e_per_s * model.arm.exposure_s
        self.read_noise_e = (camera.read_noise_e**2 + dark_e) ** 0.5
        """Of a dark exposure, with the shot noise of the dark current."""
        self.offset_dn = camera.offset_dn + camera.gain * dark_e
        self.mean_dn: Callable[[int], float] = lambda inputs_on: (1.0 - dead) * model.imager.mean_dn(inputs_on)
        """Mean count above the offset with this many inputs ON."""
        self.snr: Callable[[int], float] = model.snr
        """Power signal-to-noise of the projection of one binary pattern with this many inputs ON."""
        self.clock: FrameClock = model.clock
        self.frames_per_pattern = model.recovery.frames_per_pattern
        self.shared_weight = self.law.weight if card.recovery.method == "anchor" else None
        """Weight of a pixel's first coherence mode where outputs share the second one with their neighbours."""
        self.signs_at_once = card.dmd.encoding != "amplitude"
        """Whether both signs of a vector are shown in one pattern; else each has one of its own."""

    def noise_variance(self, intensity: Array, level: float) -> Array:
        """Temporal variance [DN^2] before rounding, of pixels of mean `intensity` in a frame of mean `level` [DN].

        Read and dark noise; shot noise, K I; the speckle's light that is new in each frame, which adds a circular
        Gaussian field to the pixel's own: 2 d I <I> - d^2 <I>^2; the laser's, common to all pixels.
        """
        K, d = self.card.camera.gain, self.new_light
        jitter = 2.0 * d * intensity * level - (d * level) ** 2
        return np.asarray(
            (K * self.read_noise_e) ** 2 + K * intensity + np.maximum(jitter, 0.0) + (self.laser_noise * intensity) ** 2
        )

    def intensities(self, level: float) -> Array:
        """Mean intensities [DN] of equal shares of the pixels in a frame of mean `level`.

        Static speckle, and light that is new in each frame, of which all pixels get the same on average.
        """
        return np.asarray(level * ((1.0 - self.new_light) * self.law.quantiles() + self.new_light))

    def codes(self, intensity: Array, level: float) -> tuple[Array, Array]:
        """Mean above the offset and temporal variance of the counts of such pixels, rounded and clipped."""
        sd = self.noise_variance(intensity, level) ** 0.5
        mean, variance = code_moments(intensity + self.offset_dn, sd, self.card.camera.max_dn)
        return mean - self.offset_dn, variance

    def correlation(self, start_s: float, end_s: float) -> tuple[float, str]:
        """Correlation of one pattern's speckle at two times of the device's clock, and what it comes from.

        An intensity's correlation is the square of the field's, exp(-t / tau) for a medium that drifts. Warm-up of the
        DMD turns a share q of the power into another field, F = sqrt(1 - q) A + sqrt(q) B.
        """
        field, reasons = 1.0, []
        time_s = self.card.medium.drift_time_s
        if time_s is not None:
            field *= math.exp(-(end_s - start_s) / time_s)
            reasons.append(f"medium.drift_time_s = {time_s:g}")
        share = mixing(self.card.dmd)
        if share is not None:
            q, r = share(start_s), share(end_s)
            field *= ((1.0 - q) * (1.0 - r)) ** 0.5 + (q * r) ** 0.5
            reasons.append("warm-up of the DMD")
        return field**2, "; ".join(reasons) or "the card states no drift"
