"""Speckle on the camera without a reference: one pixel an output, outputs one grain apart."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.speckle import speckle_photons
from opu_sim.camera import Camera, Counts
from opu_sim.cards import OpuCard
from opu_sim.errors import DeviceError
from opu_sim.medium import Field
from opu_sim.rng import stream_key
from opu_sim.signal_arm import SignalArm
from opu_sim.speckle import PixelModes, interpolated


class OutputGrid:
    """Where the outputs lie on the sensor: `spacing` pixels apart, in rows from the first row of the region read.

    Raises
    ------
    DeviceError
        More outputs than the sensor holds at this spacing.
    """

    def __init__(self, card: OpuCard, n_out: int, spacing: int, block: int = 1) -> None:
        camera = card.camera
        step = spacing * block
        columns = camera.columns // step
        capacity = columns * (camera.rows // step) * block * block
        if n_out > capacity:
            raise DeviceError(
                f"n_out = {n_out}: outputs {spacing} pixels apart (one speckle grain) leave {capacity} independent "
                f"ones on {camera.rows} x {camera.columns} pixels; allowed: 1 .. {capacity}"
            )
        self.spacing = spacing
        self.columns = columns
        """Blocks side by side."""
        self.blocks = math.ceil(n_out / block**2)
        rows_needed = math.ceil(self.blocks / columns) * step
        self.rows = max(rows_needed, camera.roi_rows or camera.rows)
        """Sensor rows read: the card's region of interest, or as many as the outputs need."""

    def pixels(self, n_out: int, sensor_columns: int) -> NDArray[np.int64]:
        """Pixel number (row * columns + column) of each output, for a block of one output."""
        output = np.arange(n_out)
        row, column = output // self.columns * self.spacing, output % self.columns * self.spacing
        return row * sensor_columns + column


class SpeckleImager:
    """Counts of |field|^2 at the outputs, with the frame-to-frame jitter of the field and of the laser."""

    def __init__(self, arm: SignalArm, camera: Camera, n_out: int, seed: int) -> None:
        medium = arm.card.medium
        self.arm = arm
        self.camera = camera
        self.n_out = n_out
        self.modes = PixelModes.of_grain(medium.speckle_grain_px)
        self.grid = OutputGrid(arm.card, n_out, math.ceil(medium.speckle_grain_px))
        self.responsivity, self.dsnu_e = camera.fixed_pattern(self.grid.pixels(n_out, camera.card.columns))
        # Of the pixel's light, the share `decorrelation / M` is new in each frame; see `speckle_photons`.
        self.decorrelation = medium.frame_decorrelation / self.modes.modes
        self._key = stream_key(seed, "medium.frame_decorrelation")
        # Field of a pattern's frame, on_gain T b + off_field, and of its complement's, that of all inputs ON less T b.
        all_on = [off + arm.on_gain * on[0] for off, on in zip(arm.off_field, arm.all_on, strict=True)]
        self._halves = (
            (np.float32(arm.on_gain), arm.off_field),
            (np.float32(-arm.on_gain), tuple(part.astype(np.float32) for part in all_on)),
        )

    def photons(
        self, fields: Field, inputs_on: NDArray[np.integer], frame: int, *, complement: bool = False
    ) -> NDArray[np.float32]:
        """Mean photons [frame, output] of patterns with fields T b [pattern, output + 2].

        One frame a pattern; with `complement` two, the pattern and its complement: one propagation is enough for both.
        """
        arm = self.arm
        step = 2 if complement else 1
        out = np.empty((step * len(inputs_on), self.n_out), dtype=np.float32)
        energy = arm.photons_per_intensity * arm.laser_energy(frame, len(out))
        for which, (gain, offset) in enumerate(self._halves[:step]):
            on = arm.dmd.n_in - inputs_on if which else inputs_on
            jitter = np.sqrt(arm.brightness(on) * (0.5 * self.decorrelation))
            speckle_photons(
                *fields,
                gain,
                *offset,
                np.float32(self.modes.weight),
                jitter.astype(np.float32),
                np.float32(1.0 - self.decorrelation),
                energy[which::step].astype(np.float32),
                *self._key,
                frame + which,
                step,
                which,
                out,
            )
        return out

    def counts(self, fields: Field, inputs_on: NDArray[np.integer], frame: int, *, complement: bool = False) -> Counts:
        """Counts [frame, output]; see `photons`."""
        photons = self.photons(fields, inputs_on, frame, complement=complement)
        return self.camera.expose_pixels(photons, self.responsivity, self.dsnu_e, self.arm.exposure_s, frame)

    def picture(self, pattern: NDArray[np.uint8], frame: int) -> Counts:
        """Every pixel of a square patch [row, column] around the first outputs, for one pattern [1, input]."""
        arm, spacing = self.arm, self.grid.spacing
        side = min(math.isqrt(self.n_out), 32)
        re, im = (
            arm.on_gain * part[0, 1 : side**2 + 1] + off[1 : side**2 + 1]
            for part, off in zip(arm.fields(pattern), arm.off_field, strict=True)
        )
        modes = (re + 1j * im).astype(np.complex64).reshape(side, side)
        field = interpolated(modes, spacing)
        photons = arm.photons_per_intensity * (field.real**2 + field.imag**2)
        counts: Counts = self.camera.expose(photons[None], arm.exposure_s, frame)[0]
        return counts

    def mean_dn(self, inputs_on: int) -> float:
        """Mean count above the offset of a pattern with this many inputs ON."""
        card = self.camera.card
        brightness = float(self.arm.brightness(np.array([inputs_on]))[0])
        electrons = brightness * self.arm.photons_per_intensity * card.quantum_efficiency
        return electrons * card.gain
