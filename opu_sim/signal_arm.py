"""Signal arm: laser, DMD and medium together, from binary patterns to the field on the camera.

Units: a field F of one macropixel fully ON has E|F|^2 = 1; `photons_per_intensity` turns |F|^2 into mean photons
a pixel and exposure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.random import normals
from opu_sim.cards import OpuCard
from opu_sim.dmd import Dmd
from opu_sim.laser import Laser
from opu_sim.medium import Field, Medium, StoredMedium
from opu_sim.rng import stream_key


class SignalArm:
    """What happens to the light before the camera.

    Parameters
    ----------
    card : OpuCard
    n_in : int
    n_outputs : int
        Outputs 0 .. n_outputs - 1; fields carry one neighbour more at either end.
    seed : int
    """

    def __init__(self, card: OpuCard, n_in: int, n_outputs: int, seed: int) -> None:
        self.card = card
        self.dmd = Dmd(card.dmd, n_in)
        self.laser = Laser(card.laser)
        self.exposure_s = card.timing.exposure_us * 1e-6
        self.medium: Medium = StoredMedium(seed, n_in, n_outputs + 2, first_output=-1)
        self._laser_key = stream_key(seed, "laser.intensity")
        self.photons_per_intensity = self._photons_per_mirror() * self.dmd.replication

        # An OFF mirror leaks the fraction `off` of an ON mirror's amplitude, so pattern b makes the field
        # T (b + off (1 - b)) = on_gain T b + off_field; mirrors left over leak a constant speckle of their own.
        off = self.dmd.off_amplitude
        unused = (card.dmd.mirrors - self.dmd.mirrors_used) / self.dmd.replication
        self.on_gain = 1.0 - off
        self.all_on = self.fields(np.ones((1, n_in), dtype=np.uint8))
        leftover = self.medium.column(0)
        self.off_field: Field = tuple(
            (off * (on[0] + unused**0.5 * rest[0])).astype(np.float32)
            for on, rest in zip(self.all_on, leftover, strict=True)
        )
        self._off_brightness = off * off * (n_in + unused)
        self.on_brightness = 1.0 - off * off
        """Brightness that one more input ON adds."""
        self.reference_gain = ((1.0 + off) ** 2 * n_in + 4.0 * off * off * unused) / (n_in + off * off * unused)
        """E|F(all ON) + F(all OFF)|^2 over E|F(all ON)|^2: one, but for the leakage."""

    def _photons_per_mirror(self) -> float:
        """Mean photons a pixel and exposure from one ON mirror.

        The laser lights all mirrors evenly, the medium spreads the light evenly over the sensor.
        """
        card = self.card
        share = self.dmd.efficiency / card.dmd.mirrors
        collected = card.medium.transmission * card.medium.analyser_transmission
        pixels = card.camera.rows * card.camera.columns
        return self.laser.photon_rate_hz * self.exposure_s * share * collected / pixels

    def fields(self, patterns: NDArray[np.uint8]) -> Field:
        """T b, float32 [pattern, output + 2]."""
        return self.medium.propagate(patterns)

    def brightness(self, inputs_on: NDArray[np.integer]) -> NDArray[np.float32]:
        """E|F|^2 of patterns with this many inputs ON [pattern]: the number of ON mirrors sets the light."""
        return (self.on_brightness * inputs_on + self._off_brightness).astype(np.float32)

    def laser_energy(self, first_frame: int, frames: int) -> NDArray[np.float32]:
        """Energy of each exposure relative to the mean [frame]."""
        energy = np.empty(frames, dtype=np.float32)
        normals(*self._laser_key, first_frame, energy)
        return np.float32(1.0) + np.float32(self.laser.intensity_noise(self.exposure_s)) * energy
