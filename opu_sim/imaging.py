"""Speckle on the camera without a reference: one pixel an output, outputs one grain apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.speckle import speckle_photons
from opu_sim.camera import Camera, Counts
from opu_sim.medium import Field
from opu_sim.output_grid import OutputGrid
from opu_sim.rng import stream_key
from opu_sim.signal_arm import SignalArm
from opu_sim.speckle import PixelModes, interpolated

# Outputs of the frames that are exposed at once: photons and counts stay in the cache.
_OUTPUTS_AT_ONCE = 2**20
# Outputs whose expectation is worked out at once, in double precision.
_EXPECTED_OUTPUTS = 2**16


@dataclass(frozen=True)
class View:
    """One frame of a pattern: its field is gain * T b + offset, float32 [output + 2]."""

    gain: np.float32
    offset: Field
    complement: bool = False
    """Whether the inputs that are OFF in the pattern are ON in the frame."""
    brightness: float = 0.0
    """Mean brightness of what is ON beside the inputs."""


class SpeckleImager:
    """Counts of |field|^2 at the outputs, with the frame-to-frame jitter of the field and of the laser."""

    def __init__(self, arm: SignalArm, camera: Camera, n_out: int, seed: int) -> None:
        medium = arm.card.medium
        self.arm = arm
        self.camera = camera
        self.n_out = n_out
        self.modes = PixelModes.of_card(arm.card)
        self.grid = OutputGrid(arm.card, n_out, math.ceil(medium.speckle_grain_px))
        pixels = self.grid.pixels(n_out, camera.card.columns)
        self.responsivity, self.dsnu_e = camera.fixed_pattern(pixels)
        self.hot = camera.hot_pixels(pixels)
        # Of the pixel's light, the share `decorrelation / M` is new in each frame; see `speckle_photons`.
        self.decorrelation = medium.frame_decorrelation / self.modes.modes
        self._key = stream_key(seed, "medium.frame_decorrelation")

    def views(self, complement: bool = False, anchors: Sequence[int] = ()) -> list[View]:
        """What is shown of a pattern, one frame each: itself, its complement, itself beside an anchor."""
        arm = self.arm
        gain = np.float32(arm.on_gain)
        views = [View(gain, arm.off_field)]
        if complement:
            re, im = (off + gain * on[0] for off, on in zip(arm.off_field, arm.all_on, strict=True))
            views.append(View(-gain, (re, im), complement=True))
        for anchor in anchors:
            re, im = (off + part for off, part in zip(arm.off_field, arm.anchor_field(anchor), strict=True))
            views.append(View(gain, (re, im), brightness=arm.anchor_brightness))
        return views

    def pair_view(self, one: int, other: int) -> View:
        """A pattern beside two anchors."""
        arm = self.arm
        parts = zip(arm.off_field, arm.anchor_field(one), arm.anchor_field(other), strict=True)
        re, im = (off + a + b for off, a, b in parts)
        return View(np.float32(arm.on_gain), (re, im), brightness=2.0 * arm.anchor_brightness)

    def photons(
        self, fields: Field, inputs_on: NDArray[Any], frame: int, views: Sequence[View] | None = None
    ) -> NDArray[np.float32]:
        """Mean photons [frame, output] of patterns with fields T b [pattern, output + 2].

        One frame a pattern and view, the views of a pattern one after the other; left out, the pattern itself. One
        propagation is enough for all of them.
        """
        arm = self.arm
        views = self.views() if views is None else views
        step = len(views)
        out = np.empty((step * len(inputs_on), self.n_out), dtype=np.float32)
        re, im = (part[:, : self.n_out + 2] for part in fields)  # an arm may carry more outputs, for holograms
        energy = arm.photons_per_intensity * arm.laser_energy(frame, len(out))
        for which, view in enumerate(views):
            on = arm.dmd.n_in - inputs_on if view.complement else inputs_on
            jitter = np.sqrt((arm.brightness(on) + view.brightness) * (0.5 * self.decorrelation))
            speckle_photons(
                re,
                im,
                view.gain,
                *view.offset,
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

    def counts(
        self,
        fields: Field,
        inputs_on: NDArray[Any],
        frame: int,
        views: Sequence[View] | None = None,
        out: Counts | None = None,
    ) -> Counts:
        """Counts [frame, output]; see `photons`. Written to `out`, if given."""
        views = self.views() if views is None else views
        step, at_once = len(views), self._patterns_at_once(len(views))
        if out is None:
            if len(inputs_on) <= at_once:
                return self.expose(self.photons(fields, inputs_on, frame, views), frame)
            out = np.empty((step * len(inputs_on), self.n_out), dtype=self.camera.dtype)
        for start in range(0, len(inputs_on), at_once):
            part = slice(start, start + at_once)
            some, first = (fields[0][part], fields[1][part]), frame + step * start
            lines = slice(step * part.start, step * part.stop)
            # Photons get no name, so that those of one part are gone before the next are made.
            out[lines] = self.expose(self.photons(some, inputs_on[part], first, views), first)
        return out

    def _patterns_at_once(self, views: int) -> int:
        return max(_OUTPUTS_AT_ONCE // (views * self.n_out), 1)

    def mean_counts(
        self, pattern: NDArray[np.uint8], repeats: int, frame: int, views: Sequence[View]
    ) -> NDArray[np.float64]:
        """Mean counts [view, output] of a pattern [1, input] shown `repeats` times, from number `frame` on."""
        step = len(views)
        fields, on = self.arm.fields(pattern), pattern.sum(axis=1)
        total = np.zeros((step, self.n_out), dtype=np.int64)
        at_once = self._patterns_at_once(step)
        for start in range(0, repeats, at_once):
            count = min(at_once, repeats - start)
            same = (fields[0].repeat(count, axis=0), fields[1].repeat(count, axis=0))
            counts = self.counts(same, on.repeat(count), frame + step * start, views)
            total += counts.reshape(count, step, self.n_out).sum(axis=0, dtype=np.int64)
        return total / repeats

    def expose(self, photons: NDArray[np.float32], frame: int) -> Counts:
        """Counts [frame, output] of the outputs' pixels under mean photons."""
        return self.camera.expose_pixels(photons, self.responsivity, self.dsnu_e, self.arm.exposure_s, frame, self.hot)

    def expected_counts(self, fields: Field, inputs_on: NDArray[Any], views: Sequence[View]) -> NDArray[np.float64]:
        """Expectation of `counts` for one pattern [view, output], without rounding and clipping [DN]."""
        camera, weight = self.camera.card, self.modes.weight
        out = np.empty((len(views), self.n_out))
        for start in range(0, self.n_out, _EXPECTED_OUTPUTS):
            part = slice(start, min(start + _EXPECTED_OUTPUTS, self.n_out))
            wide = slice(part.start, part.stop + 2)
            F = fields[0][0, wide].astype(np.float64) + 1j * fields[1][0, wide]
            for line, view in zip(out[:, part], views, strict=True):
                field = float(view.gain) * F + view.offset[0][wide] + 1j * view.offset[1][wide]
                light = weight * np.abs(field[1:-1]) ** 2 + 0.5 * (1.0 - weight) * np.abs(field[2:] - field[:-2]) ** 2
                on = self.arm.dmd.n_in - inputs_on if view.complement else inputs_on
                fresh = self.decorrelation * (float(self.arm.brightness(on)[0]) + view.brightness)
                line[:] = self.arm.photons_per_intensity * ((1.0 - self.decorrelation) * light + fresh)
        out *= self.responsivity
        out += camera.dark_e_per_s * self.arm.exposure_s
        out += self.dsnu_e
        out[:, self.hot] += camera.hot_e_per_s * self.arm.exposure_s
        out *= camera.gain
        out += camera.offset_dn
        return out

    def picture(self, pattern: NDArray[np.uint8], frame: int) -> Counts:
        """Every pixel of a patch [row, column] around the first outputs, for one pattern [1, input].

        A square that fits on the sensor, of at most 32 outputs a side.
        """
        arm, spacing = self.arm, self.grid.spacing
        side = min(math.isqrt(self.n_out), 32)
        re, im = (
            arm.on_gain * part[0, 1 : side**2 + 1] + off[1 : side**2 + 1]
            for part, off in zip(arm.fields(pattern), arm.off_field, strict=True)
        )
        modes = (re + 1j * im).astype(np.complex64).reshape(side, side)
        field = interpolated(modes, spacing)[: self.camera.card.rows, : self.camera.card.columns]
        photons = arm.photons_per_intensity * (field.real**2 + field.imag**2)
        counts: Counts = self.camera.expose(photons[None], arm.exposure_s, frame)[0]
        return counts

    def mean_dn(self, inputs_on: float) -> float:
        """Mean count above the offset of a pattern with this many inputs ON."""
        card = self.camera.card
        brightness = float(self.arm.brightness(np.array([inputs_on]))[0])
        electrons = brightness * self.arm.photons_per_intensity * card.quantum_efficiency
        return electrons * card.gain
