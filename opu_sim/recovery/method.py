"""What every linear recovery has in common: intensities in, x @ R.T with a real random R out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opu_sim.dmd import Encoded
from opu_sim.medium.transmission import PATTERNS_OF_A_PRODUCT

# Memory for the patterns propagated at once and what is made of them, unless a single one takes more; three times as
# much for a medium that makes its entries anew for each call.
CHUNK_BYTES = 128 * 2**20


class Recovery(Protocol):
    """A way to measure a linear projection.

    `frames_per_pattern` new camera frames are shown for each binary pattern; `calibration` frames once, when the
    device opens. Frames are numbered by the caller, and a frame's number fixes its noise.
    """

    frames_per_pattern: int
    calibration_frames: int

    @property
    def pixels_per_mode(self) -> float:
        """Pixels of the sensor that an output takes, beside the spacing that the speckle grain demands."""
        ...

    def calibrate(self) -> None:
        """Measure the constants of the method on frames 0 .. calibration_frames - 1."""
        ...

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output] of encoded vectors; the first frame is number `frame`."""
        ...

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix R [output, input], with E[project(x)] = x @ R.T and var R = 1 / n_in."""
        ...

    def snr(self, inputs_on: float) -> float:
        """Predicted power signal-to-noise of a binary pattern's recovery, with this many inputs ON."""
        ...

    def noise_variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """Predicted variance of patterns' projections, [pattern, output] or [pattern, 1].

        projected [pattern, output]: their expectation; inputs_on [pattern].
        """
        ...

    def offset(self) -> NDArray[np.float32]:
        """What noise in the calibration adds to each output of a pattern of weight 1 [output]; E[y] - R b."""
        ...


def patterns_at_once(
    n_in: int, n_out: int, *, batch: int = PATTERNS_OF_A_PRODUCT, bytes_an_output: int = 0, other_bytes: int = 0
) -> int:
    """Patterns to propagate at once: `batch`, or as many as `CHUNK_BYTES` hold; at least one.

    A pattern takes 4 bytes an input, as float32 for matrix products, and 8 bytes an output for its field.

    Parameters
    ----------
    n_in, n_out : int
    batch : int
        What is worth propagating at once, see `Medium.batch`.
    bytes_an_output : int
        What else is kept of each pattern.
    other_bytes : int
        Beside the patterns: photons and counts of the frames worked on at once.
    """
    budget = CHUNK_BYTES * (3 if batch > PATTERNS_OF_A_PRODUCT else 1) - other_bytes
    a_pattern = 4 * n_in + (8 + bytes_an_output) * (n_out + 2)
    return max(min(batch, budget // a_pattern), 1)


def frames_at_once(pixels: int, chunk_bytes: int, step: int = 1) -> int:
    """Frames, a multiple of `step`, whose photons and counts take chunk_bytes; `step` at least."""
    return max(chunk_bytes // (5 * max(pixels, 1)) // step, 1) * step


def vector_chunks(first: NDArray[np.int64], patterns_at_once: int) -> list[tuple[int, int]]:
    """Ranges of vectors whose patterns first[v] .. first[v+1]-1 fit in one chunk; at least one vector each."""
    chunks, start = [], 0
    while start < len(first) - 1:
        limit = first[start] + max(patterns_at_once, 1)
        end = max(int(np.searchsorted(first, limit, side="right")) - 1, start + 1)
        chunks.append((start, end))
        start = end
    return chunks
