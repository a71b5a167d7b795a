"""DMD: numbers to binary patterns, patterns to mirrors, mirrors to light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opu_sim.cards import DmdCard
from opu_sim.errors import DeviceError


@dataclass(frozen=True)
class Encoded:
    """A batch as binary patterns: vector v is the sum of weights[p] * patterns[p], p in first[v] .. first[v+1]-1.

    Attributes
    ----------
    patterns : uint8 [pattern, input], 0 or 1
    weights : float32 [pattern]
    first : int64 [vector + 1]
    """

    patterns: NDArray[np.uint8]
    weights: NDArray[np.float32]
    first: NDArray[np.int64]


class Dmd:
    """Micromirror array that shows each input on a macropixel of `replication` mirrors.

    Parameters
    ----------
    card : DmdCard
    n_in : int
        Inputs; the mirrors left over stay OFF.

    Raises
    ------
    DeviceError
        More inputs than mirrors.
    """

    def __init__(self, card: DmdCard, n_in: int) -> None:
        if n_in > card.mirrors:
            raise DeviceError(
                f"n_in = {n_in}: the DMD has {card.columns} x {card.rows} = {card.mirrors} mirrors; "
                f"allowed: 1 .. {card.mirrors}"
            )
        self.card = card
        self.n_in = n_in
        self.replication = card.mirrors // n_in
        self.mirrors_used = self.replication * n_in

    @property
    def efficiency(self) -> float:
        """Light that an ON mirror sends on over light falling on its cell.

        Window twice, aluminium, fill, diffraction into the orders that the optics accept.
        """
        card = self.card
        return card.window_transmission**2 * card.mirror_reflectivity * card.fill_factor * card.diffraction_efficiency

    @property
    def off_amplitude(self) -> float:
        """Field of an OFF mirror relative to an ON one: the root of the intensity ratio."""
        return 0.0 if self.card.contrast is None else float(self.card.contrast**-0.5)

    @property
    def period_s(self) -> float:
        """Shortest time between two patterns."""
        return max(1.0 / self.card.pattern_rate_hz, self.card.load_time_us * 1e-6)

    def encode(self, x: NDArray[np.floating]) -> Encoded:
        """Patterns of a batch of real vectors.

        A vector whose positive entries share one magnitude, and whose negative entries share one, is exact: a
        positive pattern and, if it has negative entries, a negative one, weighted by their magnitudes. Binary and
        ternary vectors are of this kind. Any other vector is `bit_planes` patterns for each sign,
        x = max|x| * sum_k 2^k (P_k - N_k) / (2^planes - 1), rounded to the nearest of these values (error at most
        max|x| / (2 (2^planes - 1))). The choice looks at one vector at a time, so the cut of a batch does not
        change it. Weights are float32: magnitudes below 1e-38 lose precision.

        Parameters
        ----------
        x : float [vector, input]; finite, in the range of float32
        """
        high, low = _common_magnitude(x), _common_magnitude(-x)
        two_level = ~(np.isnan(high) | np.isnan(low))
        planes = self.card.bit_planes
        counts = np.where(two_level, np.where(low > 0, 2, 1), 2 * planes)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        patterns = np.empty((int(first[-1]), self.n_in), dtype=np.uint8)
        weights = np.empty(len(patterns), dtype=np.float32)

        at = first[:-1][two_level]
        patterns[at] = x[two_level] > 0
        # An empty positive pattern takes the weight of the negative one, so that what all frames share cancels.
        # A vector of zeros has the weight 0: its noise is that of no input, not of an input of magnitude 1.
        weights[at] = np.where(high > 0, high, low)[two_level]
        signed = two_level & (low > 0)
        at = first[:-1][signed] + 1
        patterns[at] = x[signed] < 0
        weights[at] = -low[signed]

        grey = ~two_level
        if grey.any():
            values = x[grey].astype(np.float64)
            peak = np.abs(values).max(axis=1, keepdims=True)
            steps = 2**planes - 1
            level = np.rint(np.abs(values) / peak * steps).astype(np.int64)
            for bit in range(planes):
                plane = (level >> bit) & 1
                for sign, offset in ((1, 2 * bit), (-1, 2 * bit + 1)):
                    at = first[:-1][grey] + offset
                    patterns[at] = plane * (np.sign(values) == sign)
                    weights[at] = (sign * 2**bit / steps * peak[:, 0]).astype(np.float32)
        return Encoded(patterns, weights, first)


def _common_magnitude(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """The one value that the positive entries of each vector share; 0 without any, NaN where they differ."""
    largest = np.maximum(x.max(axis=1), 0)
    smallest = np.where(x > 0, x, np.inf).min(axis=1)
    return np.where((largest == 0) | (largest == smallest), largest, np.nan)
