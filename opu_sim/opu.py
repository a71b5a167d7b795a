"""The free-space optical processing unit, one step a line."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim.camera import Camera, Counts
from opu_sim.cards import OpuCard
from opu_sim.dmd import Encoded
from opu_sim.dmd.array import inputs_on
from opu_sim.errors import DeviceWarning
from opu_sim.exposure import PROBED, exposure_s, is_automatic, settled
from opu_sim.grabber import FrameGrabber
from opu_sim.imaging import SpeckleImager
from opu_sim.output_grid import OutputGrid
from opu_sim.power import FrameClock, PowerBudget, teraops_peak
from opu_sim.projector import Device
from opu_sim.recovery import (
    AnchorRecovery,
    AnchorsRecovery,
    ModeRecovery,
    OffAxisRecovery,
    PhaseSteppingRecovery,
    Recovery,
    patterns_at_once,
)
from opu_sim.recovery.reference import ReferenceArm
from opu_sim.signal_arm import SignalArm

MUCH_SATURATED = 0.01
"""Share of saturated pixels in one call that is worth a warning."""
LITTLE_LIGHT_DN = 2.0
"""Mean level of all inputs ON that is worth one."""

_PICTURE_FRAME = 2**62  # pictures take their noise from a frame that no run reaches


class Opu(Device):
    """Free-space optical processing unit: laser, DMD, medium, camera, recovery, clock.

    Parameters
    ----------
    card : OpuCard
    n_in, n_out : int
    seed : int
        Same seed, same numbers, for any threads, any cut of the batch and any n_out.

    Raises
    ------
    DeviceError
        The DMD, the sensor or this computer's memory is too small.
    """

    def __init__(self, card: OpuCard, n_in: int, n_out: int, seed: int = 0) -> None:
        n_in, n_out = int(n_in), int(n_out)  # NumPy's small integers would overflow where bytes are counted
        super().__init__(card.name, n_in, n_out)
        # Refuse what the sensor cannot hold before a matrix is made for it.
        grid = OutputGrid(card, n_out, math.ceil(card.medium.speckle_grain_px))
        self._exposure_frames = 0
        if is_automatic(card):
            card, self._exposure_frames = _with_exposure(card, n_in, seed)
        self.card = card
        """The device's card, with the exposure and the reference level that it works at."""
        lossless = card.faults.dropped_frames is None and card.faults.duplicated_frames is None
        self.camera = Camera(card.camera, seed) if lossless else FrameGrabber(card, seed)
        holographic = card.recovery.method == "off-axis"
        rows = OffAxisRecovery.outputs_simulated(n_out) if holographic else n_out
        self.arm = SignalArm(card, n_in, rows, seed)
        self.imager = SpeckleImager(self.arm, self.camera, n_out, seed)
        self.recovery = self._recovery(seed)
        if isinstance(self.recovery, OffAxisRecovery):
            grid = self.recovery.grid
        self.clock = FrameClock(card, grid.rows)
        self.budget = PowerBudget(card, self.clock)
        if card.fidelity != "pixel":
            self.recovery = ModeRecovery(self.recovery, self.arm, seed, noisy=card.fidelity == "mode")
        self._calibrated = False
        self._calibrated_at_s = 0.0
        self._warned: set[str] = set()
        self._exposed = 0

    def _recovery(self, seed: int) -> Recovery:
        card = self.card.recovery
        if card.method == "anchor":
            return AnchorRecovery(self.imager, seed) if card.anchors == 1 else AnchorsRecovery(self.imager)
        if card.method == "off-axis":
            return OffAxisRecovery(self.arm, self.camera, self.n_out, seed)
        level_e = (card.reference_fill or 0.0) * self.card.camera.full_well_e
        return PhaseSteppingRecovery(self.imager, ReferenceArm(self.card, seed, level_e), seed)

    def open(self) -> None:
        """Switch on; a device that has shown no frame yet is charged for its calibration frames, numbers 0 and up."""
        super().open()
        self._calibrate()
        if self.ledger.frames == 0:
            self._charge_calibration()
            self._warn_of_little_light()
        else:  # calibrated for an earlier session's sake, and counted then
            self.camera.saturated, self.camera.dark = self.ledger.saturated_pixels, self.ledger.dark_pixels

    def _charge_calibration(self) -> None:
        frames = self.recovery.calibration_frames + self._exposure_frames
        self._charge(math.ceil(frames / self.recovery.frames_per_pattern), frames)

    def recalibrate(self) -> None:
        """Measure the constants of the recovery anew, at today's state of the medium; charged as the first time.

        Raises
        ------
        DeviceError
            The device is not open.
        """
        self._require_open("recalibrate")
        self._calibrated, self._calibrated_at_s = False, self.now_s
        self._calibrate()
        self._charge_calibration()

    def _calibrate(self) -> None:
        # The frames have fixed numbers, so calibrating early (for `matrix`) or again gives the same constants.
        if not self._calibrated:
            self.arm.move_to(self._calibrated_at_s)
            self.recovery.calibrate()
            self._calibrated = True

    @property
    def now_s(self) -> float:
        """Time that the medium has drifted for [s]: frames shown times the frame period, and waits.

        Latencies between passes are left out: how a caller cuts batches into passes is nothing the medium knows.
        """
        return self._time_s(self.ledger.frames)

    def _time_s(self, frame: int) -> float:
        return self.ledger.idle_s + frame * self.clock.period_s

    def wait(self, seconds: float) -> None:
        """Let device time pass, the device on and showing nothing; costs energy, and the medium drifts.

        Raises
        ------
        ValueError
            Not a finite number >= 0.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"seconds = {seconds!r}: must be a finite number >= 0")
        self.ledger.add_idle(seconds, self.budget)

    def snr(self, inputs_on: int) -> float:
        """Predicted power signal-to-noise of one pattern's projection, with this many inputs at full scale.

        Noise that differs from frame to frame; gain jumps, which a whole pass shares, come on top.
        """
        self._calibrate()
        return self.recovery.snr(inputs_on * self.arm.dmd.full_scale**2)

    def project(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Linear projection through the optics.

        Parameters
        ----------
        x : float [batch, n_in], finite
            Vectors in {-1, 0, 1}, or with one magnitude a sign, are shown as one or two binary patterns, others as
            signed bit planes (`Dmd.encode`).

        Returns
        -------
        float32 [batch, n_out]
            E[y] = x @ matrix().T, up to the rounding of bit planes.

        Raises
        ------
        ValueError
            Wrong shape or dtype, NaN or infinite values.
        DeviceError
            The device is not open.
        """
        self._require_open("project")
        x = self._checked_float(x)
        encoded = self.arm.dmd.encode(x)
        parts = [
            self.recovery.project(part, self._frame_of(encoded, start)) for part, start in self._while_still(encoded)
        ]
        y = parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, self.n_out), np.float32), *parts])
        patterns = len(encoded.patterns)
        self._charge(patterns, self.recovery.frames_per_pattern * patterns)
        self._deliver(len(x))
        return y

    def _frame_of(self, encoded: Encoded, vector: int) -> int:
        return self.ledger.frames + self.recovery.frames_per_pattern * int(encoded.first[vector])

    def _while_still(self, encoded: Encoded) -> Iterator[tuple[Encoded, int]]:
        """Parts of a batch during which the medium stands still, the medium moved to each: (part, first vector)."""
        vectors = len(encoded.first) - 1
        frames = self.ledger.frames + self.recovery.frames_per_pattern * encoded.first[:-1]
        # A vector whose frames straddle a step of the drift is measured in the state of its first frame.
        steps = [self.arm.step_at(self._time_s(int(frame))) for frame in frames]
        start = 0
        while start < vectors:
            end = start + 1
            while end < vectors and steps[end] == steps[start]:
                end += 1
            self.arm.move_to(self._time_s(int(frames[start])))
            yield encoded if end - start == vectors else encoded.part(start, end), start
            start = end

    def intensity(self, b: NDArray[Any]) -> Counts:
        """Camera counts of binary patterns, the non-linear |T b|^2 mode (any reference arm is blocked).

        Parameters
        ----------
        b : bool or integer [batch, n_in], 0 or 1

        Returns
        -------
        uint8 or uint16 [batch, n_out]

        Raises
        ------
        ValueError
            Wrong shape, a float dtype, values other than 0 and 1.
        DeviceError
            The device is not open.
        """
        self._require_open("intensity")
        patterns = self._checked_binary(b)
        out = np.empty((len(patterns), self.n_out), dtype=self.camera.dtype)
        for start, end in self._still_frames(len(patterns)):
            self._photograph(patterns[start:end], self.ledger.frames + start, out[start:end])
        self._charge(len(patterns), len(patterns))
        self._deliver(len(patterns))
        return out

    def _still_frames(self, frames: int) -> Iterator[tuple[int, int]]:
        """Ranges of coming frames during which the medium stands still, the medium moved to each."""
        start = 0
        while start < frames:
            step, end = self.arm.step_at(self._time_s(self.ledger.frames + start)), start + 1
            while end < frames and self.arm.step_at(self._time_s(self.ledger.frames + end)) == step:
                end += 1
            self.arm.move_to(self._time_s(self.ledger.frames + start))
            yield start, end
            start = end

    def _photograph(self, patterns: NDArray[np.uint8], frame: int, out: Counts) -> None:
        """Counts [frame, output] of patterns without a reference arm."""
        medium = self.arm.medium
        at_once = patterns_at_once(self.n_in, medium.n_outputs, batch=medium.batch, other_bytes=5 * 2**20)
        for start in range(0, len(patterns), at_once):
            chunk = patterns[start : start + at_once]
            on = inputs_on(chunk)
            self.imager.counts(self.arm.fields(chunk), on, frame + start, out=out[start : start + at_once])

    def snapshot(self, pattern: NDArray[np.uint8]) -> Counts:
        """Picture [row, column] of the sensor under one binary pattern [n_in]; not charged to the ledger.

        Off-axis: hologram tiles side by side. Otherwise: the fields of the first outputs, laid out on a square and
        drawn between the outputs by band-limited interpolation.
        """
        patterns = np.atleast_2d(pattern)
        if isinstance(self.recovery, OffAxisRecovery):
            tiles = self.recovery.holograms(patterns, _PICTURE_FRAME)[0]
            across = math.isqrt(len(tiles))
            return np.hstack([np.vstack(tiles[across * i : across * (i + 1)]) for i in range(across)])
        return self.imager.picture(patterns, _PICTURE_FRAME)

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [n_out, n_in] of `project`, now: entries have variance 1 / n_in."""
        self._calibrate()
        self.arm.move_to(self.now_s)
        return self.recovery.matrix()

    def _charge(self, patterns: int, frames: int) -> None:
        timing = self.card.timing
        passes = math.ceil(patterns / timing.pass_patterns)
        ops = 2.0 * self.arm.dmd.mirrors_used * self.clock.pixels * frames
        repeated = 0
        if isinstance(self.camera, FrameGrabber):
            repeated = self.camera.repeats(self.ledger.frames, frames)
        self.ledger.add_frames(frames, passes, ops, self.clock, self.budget, timing.latency_s, repeated)
        self._warn_of_much_light(self.camera.saturated - self.ledger.saturated_pixels, frames)
        self.ledger.saturated_pixels = self.camera.saturated
        self.ledger.dark_pixels = self.camera.dark

    def _warn_of_much_light(self, saturated: int, frames: int) -> None:
        exposed = self.camera.exposed - self._exposed
        self._exposed = self.camera.exposed
        if exposed and saturated > MUCH_SATURATED * exposed:
            self._warn(
                "saturated",
                f"{saturated / exposed:.1%} of the pixels read in {frames} frames are saturated "
                f"(laser.power_mw = {self.card.laser.power_mw}, timing.exposure_us = {self.card.timing.exposure_us}): "
                "less light, or leave timing.exposure_us out",
            )

    def _warn_of_little_light(self) -> None:
        brightest = self.n_in + self.arm.anchor_brightness / self.arm.on_brightness
        level = self.imager.mean_dn(brightest)
        if level < LITTLE_LIGHT_DN:
            self._warn(
                "dark",
                f"the brightest frames give {level:.2g} DN on average "
                f"(laser.power_mw = {self.card.laser.power_mw}, timing.exposure_us = {self.card.timing.exposure_us}): "
                f"under {LITTLE_LIGHT_DN:g} DN rounding hides the signal; more light, or more adc_bits",
            )

    def _warn(self, what: str, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(f"{self.name}: {message}", DeviceWarning, stacklevel=4)

    def _deliver(self, vectors: int) -> None:
        self.ledger.projections += vectors
        self.ledger.ops += 2.0 * self.n_in * self.n_out * vectors

    def state(self) -> dict[str, Any]:
        """JSON-ready state: the ledger, whose frame count numbers the noise, and when the device was calibrated."""
        return super().state() | {"calibrated_at_s": self._calibrated_at_s}

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`: the clock, the drift and the noise go on from there."""
        super().restore(state)
        self.camera.saturated = self.ledger.saturated_pixels
        self.camera.dark = self.ledger.dark_pixels
        self._calibrated = self._calibrated and self._calibrated_at_s == state["calibrated_at_s"]
        self._calibrated_at_s = state["calibrated_at_s"]

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        return self._summary(teraops_peak(self.card)) | {"medium": self.arm.medium.kind}


def _with_exposure(card: OpuCard, n_in: int, seed: int) -> tuple[OpuCard, int]:
    """Card with the exposure and reference level that calibration frames of all inputs ON lead to; frames shown.

    The exposure is halved until few pixels saturate. The frames see the same outputs for any n_out.
    """
    probe, frames = card, 0
    while True:
        arm = SignalArm(probe, n_in, PROBED, seed)
        imager = SpeckleImager(arm, Camera(card.camera, seed), PROBED, seed)
        ones = np.ones((1, n_in), dtype=np.uint8)
        counts = imager.counts(arm.fields(ones), ones.sum(axis=1), _PICTURE_FRAME + 1 + frames)[0]
        frames += 1
        exposure_us = arm.exposure_s * 1e6
        if card.timing.exposure_us is not None or np.mean(counts == card.camera.max_dn) < 0.01 or exposure_us < 2:
            break
        probe = card.model_copy(update={"timing": card.timing.model_copy(update={"exposure_us": 0.5 * exposure_us})})
    mean_e = max(float(counts.mean()) - card.camera.offset_dn, 0.0) / card.camera.gain
    # The brightest frames show an anchor beside the inputs, if there are several.
    mean_e *= 1.0 + arm.anchor_brightness / (arm.on_brightness * n_in)
    return settled(card, mean_e * exposure_s(card) / arm.exposure_s), frames
