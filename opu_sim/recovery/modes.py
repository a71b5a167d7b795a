"""One sample an output mode: the recovery's own matrix, and the noise that its pixels would have made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.medium import add_columns
from opu_sim._kernels.recovery import combine_noisy
from opu_sim.dmd import Encoded
from opu_sim.medium.transmission import FEW_INPUTS
from opu_sim.recovery.method import Recovery, patterns_at_once, vector_chunks
from opu_sim.rng import stream_key
from opu_sim.signal_arm import SignalArm

# Entries of the matrix are rounded to this many bits below their standard deviation, so that products with binary
# patterns are exact in float32 in any order (see `_kernels.medium`); 77 dB below the entries.
_GRID_BITS = 11


class ModeRecovery:
    """Rungs `mode` and `ideal` of the ladder of fidelity, in front of a recovery that does it pixel by pixel.

    A pattern's projection is R b, with the matrix R that the recovery realises, plus (rung `mode`) Gaussian noise of
    the variance that the recovery predicts of its pixels: `Recovery.noise_variance`. Frames, time and energy are
    those of the recovery. What is not in it: saturation, and the counts' rounding where no noise dithers it.
    """

    def __init__(self, inner: Recovery, arm: SignalArm, seed: int, *, noisy: bool) -> None:
        self.inner = inner
        self._arm = arm
        self._noisy = noisy
        self.frames_per_pattern = inner.frames_per_pattern
        self.calibration_frames = inner.calibration_frames
        self.pixels_per_mode = inner.pixels_per_mode
        self._key = stream_key(seed, "recovery.mode_noise")
        self._transposed: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
        self._offset: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._step = -1

    def calibrate(self) -> None:
        """Measure the constants of the recovery, pixel by pixel."""
        self.inner.calibrate()
        self._step = -1

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix R [output, input] of the recovery, on a grid 77 dB below its entries."""
        return np.ascontiguousarray(self._columns().T)

    def _columns(self) -> NDArray[np.float32]:
        """R^T [input, output], again after the medium has drifted."""
        if self._step != self._arm.step:
            matrix = self.inner.matrix()
            grid = 2.0 ** (np.floor(-0.5 * np.log2(matrix.shape[1])) - _GRID_BITS)
            self._transposed = np.ascontiguousarray((np.rint(matrix / grid) * grid).T, dtype=np.float32)
            self._offset = self.inner.offset()
            self._step = self._arm.step
        return self._transposed

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output] of encoded vectors; the first frame is number `frame`."""
        columns = self._columns()
        out = np.empty((len(encoded.first) - 1, columns.shape[1]), dtype=np.float32)
        # Projections and deviations are as large as a field; the variance is not yet a deviation when it is made.
        at_once = patterns_at_once(len(columns), columns.shape[1], bytes_an_output=4)
        for start, end in vector_chunks(encoded.first, at_once):
            p = int(encoded.first[start])
            part = encoded.part(start, end)
            patterns = part.patterns
            projected = _product(patterns, columns)
            deviation = np.zeros((len(patterns), 1), dtype=np.float32)
            if self._noisy:
                deviation = np.sqrt(self.inner.noise_variance(projected, part.brightness))
                projected += self._offset
            first_frame = frame + self.frames_per_pattern * p
            weights = part.weights
            if self._noisy:
                gain = self._arm.pass_gain(first_frame, self.frames_per_pattern * len(patterns))
                weights = weights * gain[:: self.frames_per_pattern]
            combine_noisy(
                projected,
                deviation,
                weights,
                part.first,
                *self._key,
                first_frame,
                self.frames_per_pattern,
                out[start:end],
            )
        return out

    def snr(self, inputs_on: float) -> float:
        """Predicted power signal-to-noise of one pattern's projection."""
        return self.inner.snr(inputs_on) if self._noisy else float("inf")

    def noise_variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """Predicted variance of a pattern's projection."""
        variance = self.inner.noise_variance(projected, inputs_on)
        return variance if self._noisy else np.zeros_like(variance)

    def offset(self) -> NDArray[np.float32]:
        """What noise in the calibration adds to each output of a pattern of weight 1 [output]."""
        self._columns()
        return self._offset if self._noisy else np.zeros_like(self._offset)


def _product(patterns: NDArray[Any], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """patterns @ columns; these lie on a grid, so that the order of the sums does not reach the bits."""
    if patterns.dtype != np.uint8 or len(columns) > FEW_INPUTS:
        return np.asarray(patterns.astype(np.float32) @ columns)
    # The kernel sums a complex matrix; it is asked for the real part twice, which is still quicker than a product.
    real, again = np.empty((2, len(patterns), columns.shape[1]), dtype=np.float32)
    add_columns(patterns, columns, columns, real, again)
    return real
