"""Frame grabber: what goes wrong between the sensor and the host."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.random import uniforms
from opu_sim.camera import Camera, Counts
from opu_sim.camera.sensor import NO_PIXELS
from opu_sim.cards import OpuCard
from opu_sim.rng import stream_key


class FrameGrabber(Camera):
    """Camera whose frames are lost, or delivered twice, on their way.

    A duplicated frame takes the place of the next one, which the host never sees and nobody misses. A dropped one is
    missed (its number is absent), and its pattern is shown again: it costs a frame's time. Which frames these are
    depends on the frame's number alone.
    """

    def __init__(self, card: OpuCard, seed: int) -> None:
        super().__init__(card.camera, seed)
        self._dropped = card.faults.dropped_frames or 0.0
        self._duplicated = card.faults.duplicated_frames or 0.0
        self._drop_key = stream_key(seed, "faults.dropped_frames")
        self._duplicate_key = stream_key(seed, "faults.duplicated_frames")
        self._last: tuple[int, NDArray[Any]] | None = None

    def repeats(self, first_frame: int, frames: int) -> int:
        """Times that a frame of first_frame .. first_frame + frames - 1 is shown again; it may be lost again, too."""
        if not self._dropped:
            return 0
        missing = np.ones(frames, dtype=np.bool_)
        drawn = np.empty(frames, dtype=np.float32)
        again = 0
        for attempt in count():
            uniforms(*self._drop_key, first_frame + attempt * 2**48, drawn)
            missing &= drawn < self._dropped
            if not missing.any():
                break
            again += int(missing.sum())
        return again

    def expose_pixels(
        self,
        photons: NDArray[np.float32],
        responsivity: NDArray[np.float32],
        dsnu_e: NDArray[np.float32],
        exposure_s: float,
        frame: int,
        hot: NDArray[np.int64] = NO_PIXELS,
    ) -> Counts:
        """Digital counts [frame, pixel], some frames being those before them."""
        counts = super().expose_pixels(photons, responsivity, dsnu_e, exposure_s, frame, hot)
        if not self._duplicated or not len(counts):
            return counts
        drawn = np.empty(len(counts), dtype=np.float32)
        uniforms(*self._duplicate_key, frame, drawn)
        follows = self._last is not None and self._last[0] == frame - 1 and self._last[1].shape == counts[0].shape
        for k in np.flatnonzero(drawn < self._duplicated):
            if k:
                counts[k] = counts[k - 1]
            elif follows and self._last is not None:
                counts[0] = self._last[1]
        self._last = (frame + len(counts) - 1, counts[-1].copy())
        return counts
