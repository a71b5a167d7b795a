"""Sizes of the planes of a wave-optics medium: how many modes the light has on its way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from opu_sim.cards import MediumCard
from opu_sim.fft import fast_plane

SOURCES = 18
"""Places beside the inputs: leftover mirrors, stuck ones, 16 anchors."""


@dataclass(frozen=True)
class Planes:
    """Planes of K screens and lenses: K - 1 hops between planes of N modes, one more behind the stop to the camera.

    Passes work across the lines of the last pass, so that a plane's sides change places from one to the next.
    """

    screens: int
    first: tuple[int, int]
    """(lines, points) of the plane behind the first screen; the others in front of the stop have its sides."""
    last: tuple[int, int]
    """Of the camera's plane."""
    copies: int
    """How often the inputs lie side by side on the first plane."""

    @classmethod
    def of(cls, card: MediumCard, n_in: int, shown: int) -> Self:
        """For so many inputs, and outputs on the camera's plane."""
        screens, oversampling = card.lenses
        last = fast_plane(shown)
        first = fast_plane(max(math.ceil(oversampling * (n_in + shown)), n_in + SOURCES), max(last))
        modes, places = math.prod(first), n_in + SOURCES
        # Behind two screens what is not lit is missing from the matrix's spectrum; behind three, half is enough.
        lit = modes if screens == 2 else modes // 2
        return cls(screens, first, last, min(math.ceil(lit / places), modes // places))

    @property
    def modes(self) -> int:
        """N."""
        return math.prod(self.first)

    @property
    def hops(self) -> list[tuple[int, int]]:
        """Sides of the plane that each hop transforms."""
        return [self.first] * (self.screens - 1) + [self.last]

    @property
    def stop(self) -> tuple[int, int]:
        """(lines, points) that the stop lets pass; where it lies in the plane only tilts the field at the camera."""
        return self.last[1], self.last[0]

    def turned(self, number: int) -> tuple[int, int]:
        """(lines, points) of a plane in pass `number`."""
        lines, points = self.first
        return (points, lines) if number % 2 else (lines, points)

    def bytes(self, sets: int = 1, *, changes: bool = False) -> float:
        """Screens and so many sets of two planes, complex64; phases in double precision, all kept if they change."""
        screens = (self.screens - 1) * self.modes + math.prod(self.last)
        return 8.0 * (2 * sets * self.modes + screens + (screens if changes else self.modes))
