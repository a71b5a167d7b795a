"""Signal arm: laser, DMD and medium together, from binary patterns to the field on the camera.

Units: a field F of one macropixel fully ON has E|F|^2 = 1; `photons_per_intensity` turns |F|^2 into mean photons
a pixel and exposure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.random import normals
from opu_sim.cards import OpuCard
from opu_sim.dmd import Dmd, Patterns
from opu_sim.dmd.warm_up import mixing as warm_up_mixing
from opu_sim.exposure import exposure_s
from opu_sim.laser import Laser
from opu_sim.medium import Field, Medium, make_medium
from opu_sim.mirrors import MirrorState
from opu_sim.rng import stream_key


class SignalArm:
    """What happens to the light before the camera.

    An OFF mirror leaks the fraction `off` of an ON mirror's amplitude, so pattern b makes the field
    T (b + off (1 - b)) = on_gain T b + off_field; mirrors left over leak a constant speckle of their own, and mirrors
    stuck ON shine always. Where the medium drifts, `move_to` a frame's time comes before its fields.

    Parameters
    ----------
    card : OpuCard
        With an exposure: `timing.exposure_us` is not None.
    n_in : int
    n_outputs : int
        Outputs 0 .. n_outputs - 1; fields carry one neighbour more at either end.
    seed : int
    """

    def __init__(self, card: OpuCard, n_in: int, n_outputs: int, seed: int) -> None:
        self.card = card
        self.laser = Laser(card.laser)
        anchors = card.recovery.anchors if card.recovery.method == "anchor" and card.recovery.anchors > 1 else 0
        self.dmd = Dmd(card.dmd, n_in, wavelength_m=card.laser.wavelength_nm * 1e-9, anchors=anchors)
        self.exposure_s = exposure_s(card)
        self.mirrors = MirrorState.of(card, self.dmd, seed)
        self.mean_illumination = float(np.mean(np.abs(self.mirrors.illumination) ** 2))
        """Mean power of an input's column relative to that of a device whose mirrors all move."""
        self.medium: Medium = make_medium(
            card,
            seed,
            n_in,
            n_outputs + 2,
            first_output=-1,
            illumination=self.mirrors.factors,
            mixing=warm_up_mixing(card.dmd),
        )
        self._laser_key = stream_key(seed, "laser.intensity")
        self._gain_key = stream_key(seed, "faults.gain_jump")
        self.photons_per_intensity = self._photons_per_mirror() * self.dmd.replication
        off = self.dmd.off_background
        unused = (card.dmd.mirrors - self.dmd.mirrors_used) / self.dmd.replication
        self._leakage = off, unused**0.5
        self.on_gain = 1.0 - self.dmd.off_amplitude
        self.n_in = n_in
        self.step = 0
        """Step of its drift that the medium is at."""
        self._settle()
        lit = n_in * self.mean_illumination
        self._off_brightness = off * off * (lit + unused) + self.mirrors.stuck_on
        self.on_brightness = (self.on_gain**2 + 2.0 * self.on_gain * off) * self.mean_illumination
        """Mean brightness that one more input ON adds."""
        leak = off * off * unused + self.mirrors.stuck_on
        self.reference_gain = ((1.0 + off) ** 2 * lit + 4.0 * leak) / (lit + leak)
        """E|F(all ON) + F(all OFF)|^2 over E|F(all ON)|^2: one, but for the leakage."""

    def _settle(self) -> None:
        """Fields that no pattern changes: all inputs ON, what OFF and stuck mirrors send, the anchors."""
        off, unused_amplitude = self._leakage
        self.all_on = self.fields(np.ones((1, self.n_in), dtype=np.uint8))
        leftover, stuck = self.medium.column(0), self.medium.column(1)
        stuck_amplitude = self.mirrors.stuck_on**0.5
        self.off_field: Field = tuple(
            (off * (on[0] + unused_amplitude * rest[0]) + stuck_amplitude * shine[0]).astype(np.float32)
            for on, rest, shine in zip(self.all_on, leftover, stuck, strict=True)
        )

    def anchor_field(self, index: int) -> Field:
        """Field [output + 2] that anchor `index`, a group of mirrors beside the inputs, adds when it is ON."""
        amplitude = self.on_gain * (self.dmd.anchor_mirrors / self.dmd.replication) ** 0.5
        re, im = (np.float32(amplitude) * part[0] for part in self.medium.column(2 + index))
        return re, im

    @property
    def anchor_brightness(self) -> float:
        """Mean brightness that an anchor adds."""
        return self.dmd.anchor_mirrors / self.dmd.replication * self.on_gain**2

    def move_to(self, time_s: float) -> None:
        """Let the medium drift to a time since it was made [s]; it moves in steps of `medium.step_s`."""
        step = self.step_at(time_s)
        if step != self.step:
            self.medium.move_to(step)
            self.step = step
            self._settle()

    def step_at(self, time_s: float) -> int:
        """Step of the medium's drift at a time [s]; a medium that does not drift stays at step 0."""
        # Times are sums of periods and waits: those that round to just below a step's beginning belong to it.
        return int(time_s / self.medium.step_s + 1e-6)

    def _photons_per_mirror(self) -> float:
        """Mean photons a pixel and exposure from one ON mirror.

        The laser lights all mirrors evenly, the medium spreads the light evenly over the sensor.
        """
        card = self.card
        share = self.dmd.efficiency / card.dmd.mirrors
        collected = card.medium.transmission * card.medium.analyser_transmission
        pixels = card.camera.rows * card.camera.columns
        return self.laser.photon_rate_hz * self.exposure_s * share * collected / pixels

    def fields(self, patterns: Patterns) -> Field:
        """T b, float32 [pattern, output + 2]."""
        return self.medium.propagate(patterns)

    def brightness(self, inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """E|F|^2 of patterns [pattern] with this many inputs ON, or of this `Encoded.brightness`."""
        return (self.on_brightness * inputs_on.astype(np.float64) + self._off_brightness).astype(np.float32)

    @property
    def energy_variance(self) -> float:
        """Relative variance of the light from frame to frame, of the laser alone."""
        return self.laser.intensity_noise(self.exposure_s) ** 2

    def pass_gain(self, first_frame: int, frames: int) -> NDArray[np.float32]:
        """Light of each frame's pass relative to the mean [frame]; 1 without gain jumps.

        Between passes the light is switched off and on: one factor for all frames of a pass of
        `timing.pass_patterns` patterns.
        """
        jump = self.card.faults.gain_jump
        if jump is None or frames == 0:
            return np.ones(frames, dtype=np.float32)
        a_pass = (first_frame + np.arange(frames)) // (
            self.card.timing.pass_patterns * self.card.recovery.frames_a_pattern
        )
        factors = np.empty(int(a_pass[-1] - a_pass[0]) + 1, dtype=np.float32)
        normals(*self._gain_key, int(a_pass[0]), factors)
        gain = np.maximum(np.float32(1.0) + np.float32(jump) * factors, np.float32(0.0))[a_pass - a_pass[0]]
        return np.asarray(gain, dtype=np.float32)

    def laser_energy(self, first_frame: int, frames: int) -> NDArray[np.float32]:
        """Energy of each exposure relative to the mean [frame]."""
        energy = np.empty(frames, dtype=np.float32)
        normals(*self._laser_key, first_frame, energy)
        energy = np.float32(1.0) + np.float32(self.laser.intensity_noise(self.exposure_s)) * energy
        return energy * self.pass_gain(first_frame, frames)
