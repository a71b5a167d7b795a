"""DMD: numbers to binary patterns, patterns to mirrors, mirrors to light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from opu_sim.cards import DmdCard
from opu_sim.dmd.blaze import MirrorGrating
from opu_sim.dmd.encodings import FieldEncoding, cell_shape, field_encoding
from opu_sim.errors import DeviceError

Patterns = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.complex64]
"""Fields of macropixels [pattern, input]; see `Encoded`."""


@dataclass(frozen=True)
class Encoded:
    """A batch as patterns: vector v is the sum of weights[p] * patterns[p], p in first[v] .. first[v+1]-1.

    Attributes
    ----------
    patterns : uint8, float32 or complex64 [pattern, input]
        Field of each macropixel, relative to one that is all ON in the ordinary order: 0 or 1 for plain amplitudes;
        what an aperture off the axis passes for the others (real for pi pairs).
    weights : float32 [pattern]
    first : int64 [vector + 1]
    """

    patterns: Patterns
    weights: NDArray[np.float32]
    first: NDArray[np.int64]

    def part(self, start: int, end: int) -> Encoded:
        """Vectors start .. end - 1."""
        p, q = int(self.first[start]), int(self.first[end])
        return Encoded(self.patterns[p:q], self.weights[p:q], self.first[start : end + 1] - p)

    @property
    def brightness(self) -> NDArray[np.float32]:
        """Light of each pattern [pattern], in macropixels all ON: the sum of |field|^2 over the inputs."""
        if self.patterns.dtype == np.uint8:
            return inputs_on(self.patterns).astype(np.float32)
        squares = self.patterns.real**2 + self.patterns.imag**2
        return np.asarray(squares.sum(axis=1, dtype=np.float32))


class Dmd:
    """Micromirror array that shows each input on a macropixel of `replication` mirrors.

    Parameters
    ----------
    card : DmdCard
    n_in : int
        Inputs; the mirrors left over stay OFF.
    wavelength_m : float, optional
        Needed by `efficiency` where the card states tilt and incidence.
    anchors : int
        Groups of mirrors kept beside the inputs; see `recovery.anchors`.

    Raises
    ------
    DeviceError
        More inputs than mirrors, or than cells of the card's encoding.
    """

    def __init__(self, card: DmdCard, n_in: int, wavelength_m: float | None = None, anchors: int = 0) -> None:
        down, along = cell_shape(card)
        # Inputs and anchors share the mirrors evenly.
        cells = (card.rows // down) * (card.columns // along) // (anchors + 1)
        if n_in > cells:
            each = "" if down * along == 1 else f", {down} x {along} an input for {card.encoding!r}"
            each += f", shared with {anchors} anchors" if anchors else ""
            raise DeviceError(
                f"n_in = {n_in}: the DMD has {card.columns} x {card.rows} = {card.mirrors} mirrors{each}; "
                f"allowed: 1 .. {cells}"
            )
        self.card = card
        self.n_in = n_in
        self.wavelength_m = wavelength_m
        self.cells = cells // n_in
        """Cells of a macropixel; a cell of plain amplitudes is one mirror."""
        self.replication = self.cells * down * along
        self.mirrors_used = self.replication * n_in
        self.anchor_mirrors = card.mirrors // (anchors + 1) if anchors else 0
        """Mirrors of each anchor, a group that is ON or OFF as a whole."""

    @cached_property
    def encoding(self) -> FieldEncoding | None:
        """How fields are encoded; None for plain amplitudes."""
        return field_encoding(self.card)

    @property
    def full_scale(self) -> float:
        """Field of a macropixel that shows 1, relative to one all ON in the ordinary order."""
        return 1.0 if self.encoding is None else abs(self.encoding.full_scale)

    def owners(self) -> NDArray[np.int64]:
        """Input that each mirror belongs to [row, column], -1 for mirrors left over: cells in rows, run by run."""
        card = self.card
        down, along = cell_shape(card)
        rows, columns = card.rows // down, card.columns // along
        cell = np.arange(rows * columns) // self.cells
        cell[cell >= self.n_in] = -1
        mirrors = np.full((card.rows, card.columns), -1, dtype=np.int64)
        blocks = cell.reshape(rows, columns).repeat(down, axis=0).repeat(along, axis=1)
        mirrors[: rows * down, : columns * along] = blocks
        return mirrors

    @property
    def grating(self) -> MirrorGrating | None:
        """The array as a blazed grating, where the card states tilt and incidence.

        Raises
        ------
        DeviceError
            The wavelength is not known.
        """
        card = self.card
        if card.tilt_deg is None or card.incidence_deg is None:
            return None
        if self.wavelength_m is None:
            raise DeviceError("the DMD's diffraction efficiency follows from its tilt: it needs the laser's wavelength")
        tilt, incidence = math.radians(card.tilt_deg), math.radians(card.incidence_deg)
        return MirrorGrating(card.pitch_um * 1e-6, self.wavelength_m, tilt, incidence, card.fill_factor)

    @cached_property
    def diffraction_efficiency(self) -> float:
        """Share of the mirrors' light in the orders that the optics accept: stated, or the strongest order's.

        Through an aperture off the axis: in that aperture's direction, under an envelope that stays where it is.
        """
        grating = self.grating
        if grating is None:
            return 1.0 if self.card.diffraction_efficiency is None else self.card.diffraction_efficiency
        return grating.diffraction_efficiency((0.0, 0.0) if self.encoding is None else self.encoding.frequency)

    @property
    def efficiency(self) -> float:
        """Light that an ON mirror sends on over light falling on its cell.

        Window twice, aluminium, fill, diffraction into the orders that the optics accept. What an encoding costs on
        top is in `Encoded.patterns`.
        """
        card = self.card
        return card.window_transmission**2 * card.mirror_reflectivity * card.fill_factor * self.diffraction_efficiency

    @property
    def off_amplitude(self) -> float:
        """Field of an OFF mirror relative to an ON one: the root of the intensity ratio."""
        return 0.0 if self.card.contrast is None else float(self.card.contrast**-0.5)

    @property
    def off_background(self) -> float:
        """Field of a macropixel all OFF, relative to one all ON in the ordinary order.

        An aperture off the axis passes none of it, as the cell's phasors cancel; either way what mirrors show is
        weakened by 1 - `off_amplitude`.
        """
        return self.off_amplitude if self.encoding is None else 0.0

    @property
    def period_s(self) -> float:
        """Shortest time between two patterns."""
        return max(1.0 / self.card.pattern_rate_hz, self.card.load_time_us * 1e-6)

    def encode(self, x: NDArray[np.floating]) -> Encoded:
        """Patterns of a batch of real vectors, by the card's encoding.

        The choice looks at one vector at a time, so the cut of a batch does not change it. Weights are float32:
        magnitudes below 1e-38 lose precision, and beyond 1e37 an encoding through an aperture has no room for them.

        Plain amplitudes: a vector whose positive entries share one magnitude, and whose negative entries share one, is
        exact: a positive pattern and, if it has negative entries, a negative one, weighted by their magnitudes. Binary
        and ternary vectors are of this kind. Any other vector is `bit_planes` patterns for each sign,
        x = max|x| * sum_k 2^k (P_k - N_k) / (2^planes - 1), rounded to the nearest of these values (error at most
        max|x| / (2 (2^planes - 1))).

        Pi pairs: the same with both signs in one pattern; two where the signs have different magnitudes.

        Lee's holograms and superpixels: one pattern, whatever the vector, to the precision of a macropixel.

        Parameters
        ----------
        x : float [vector, input]; finite, in the range of float32
        """
        if self.encoding is None:
            return self._amplitudes(x)
        if self.card.encoding == "pi-pair":
            return self._ternary(x)
        peak = np.abs(x).max(axis=1, initial=0.0).astype(np.float64)
        patterns = self.encoding.real(x / np.where(peak > 0, peak, 1.0)[:, None], self.cells)
        return Encoded(patterns, (peak / self.full_scale).astype(np.float32), np.arange(len(x) + 1, dtype=np.int64))

    def _ternary(self, x: NDArray[np.floating]) -> Encoded:
        """Ternary patterns: one, two with a magnitude a sign, or a bit plane each."""
        split = _Signs.of(x)
        high, low, two_level = split.high, split.low, split.two_level
        alike = two_level & ((high == low) | (high == 0) | (low == 0))
        planes = self.card.bit_planes
        first = np.concatenate([[0], np.cumsum(np.where(alike, 1, np.where(two_level, 2, planes)))]).astype(np.int64)
        signs = np.empty((int(first[-1]), self.n_in), dtype=np.float32)
        weights = np.empty(len(signs), dtype=np.float64)

        at = first[:-1][alike]
        signs[at] = np.sign(x[alike])
        weights[at] = np.maximum(high, low)[alike]
        apart = two_level & ~alike
        for shown, sign, offset, magnitude in ((split.positive, 1, 0, high), (split.negative, -1, 1, low)):
            at = first[:-1][apart] + offset
            signs[at] = shown[apart].astype(np.int8) * sign
            weights[at] = magnitude[apart]
        grey = ~two_level
        direction = np.sign(x[grey])
        for bit, on, scale in _bit_planes(x[grey], planes):
            at = first[:-1][grey] + bit
            signs[at] = on * direction
            weights[at] = scale
        signs *= np.float32(self.full_scale)
        return Encoded(signs, (weights / self.full_scale).astype(np.float32), first)

    def _amplitudes(self, x: NDArray[np.floating]) -> Encoded:
        """Binary patterns, those of positive and of negative entries apart."""
        split = _Signs.of(x)
        high, low, two_level = split.high, split.low, split.two_level
        planes = self.card.bit_planes
        counts = np.where(two_level, np.where(low > 0, 2, 1), 2 * planes)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        patterns = np.empty((int(first[-1]), self.n_in), dtype=np.uint8)
        weights = np.empty(len(patterns), dtype=np.float32)

        at = first[:-1][two_level]
        patterns[at] = split.positive[two_level]
        # An empty positive pattern takes the weight of the negative one, so that what all frames share cancels.
        # A vector of zeros has the weight 0: its noise is that of no input, not of an input of magnitude 1.
        weights[at] = np.where(high > 0, high, low)[two_level]
        signed = two_level & (low > 0)
        at = first[:-1][signed] + 1
        patterns[at] = split.negative[signed]
        weights[at] = -low[signed]

        grey = ~two_level
        positive, negative = split.positive[grey], split.negative[grey]
        for bit, on, scale in _bit_planes(x[grey], planes):
            for shown, sign, offset in ((positive, 1, 2 * bit), (negative, -1, 2 * bit + 1)):
                at = first[:-1][grey] + offset
                patterns[at] = on & shown
                weights[at] = (sign * scale).astype(np.float32)
        return Encoded(patterns, weights, first)


def inputs_on(patterns: Patterns) -> NDArray[np.int64]:
    """Inputs that are ON in each of binary patterns, [pattern]."""
    # Line by line: a count over an axis would first turn the patterns into integers of 8 bytes.
    return np.array([np.count_nonzero(line) for line in patterns], dtype=np.int64)


@dataclass(frozen=True)
class _Signs:
    """Where vectors [vector, input] are positive and negative, and the largest magnitudes of either sign [vector]."""

    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    high: NDArray[np.floating]
    low: NDArray[np.floating]
    two_level: NDArray[np.bool_]
    """Whether the entries of either sign share one magnitude [vector]."""

    @classmethod
    def of(cls, x: NDArray[np.floating]) -> _Signs:
        high, low = np.maximum(x.max(axis=1), 0), np.maximum(-x.min(axis=1), 0)
        positive, negative = x > 0, x < 0
        # Booleans take a byte each: comparing them costs little beside reading x.
        alike = [
            ((x == magnitude[:, None]) == sign).all(axis=1) | (magnitude == 0)
            for sign, magnitude in ((positive, high), (negative, -low))
        ]
        return cls(positive, negative, high, low, alike[0] & alike[1])


def _bit_planes(x: NDArray[np.floating], planes: int) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float64]]]:
    """Bit, where it is set [vector, input], its weight [vector]: |x| = sum of weight * bit, rounded."""
    if not len(x):
        return
    magnitude = np.abs(x.astype(np.float64))
    peak = magnitude.max(axis=1, keepdims=True)
    steps = 2**planes - 1
    magnitude /= peak
    magnitude *= steps
    level = np.rint(magnitude, out=magnitude).astype(np.int32)
    for bit in range(planes):
        yield bit, (level & (1 << bit)) != 0, 2**bit / steps * peak[:, 0]
