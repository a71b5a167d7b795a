"""Encodings of a field by binary mirrors and an aperture off the axis.

Seen through an aperture at the spatial frequency f, mirror r adds the phase -2 pi f.r. A cell of a few mirrors then
has, as its mean, any sum of some of its mirrors' phasors: mirrors that are all ON, or all OFF, give nothing, and light
that leaks from OFF mirrors goes to the ordinary order. An encoding is a cell, a frequency, and the table of what its
patterns give:

- pi pair: two mirrors at half an order, phasors +1 and -1: the numbers -1, 0, 1 in one pattern;
- Lee's hologram: a period of binary fringes; the fringe's place is the phase, its width the amplitude;
- superpixel: n x n mirrors whose phases are the multiples of 2 pi / n^2.

Amplitudes are relative to a cell all ON in the ordinary order, for the wave that falls on the array.

References
----------
Lee, "Binary synthetic holograms", Appl. Opt. 13, 1677 (1974). Goorden, Bertolotti & Mosk, "Superpixel-based spatial
amplitude and phase modulation using a digital micromirror device", Opt. Express 22, 17999 (2014): aperture at
(a, -n a), a = -wavelength f / (n^2 pitch), for superpixels of n x n mirrors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from opu_sim.cards import DmdCard
from opu_sim.dmd.filtering import ComplexField, carrier

_STEPS = 4096
"""Steps of a sign in the table of real numbers; what a single cell can show is coarser."""
_RUN = 1024
"""Cells of a macropixel after which they repeat: the mean is then within 1 / 2000 of full scale for any encoding."""
_LISTED_MIRRORS = 16  # cells up to this size have all their fields listed: 3^8 of a 4 x 4 superpixel


class FieldEncoding(Protocol):
    """What all encodings through an aperture off the axis have in common."""

    name: str
    cell: tuple[int, int]
    """Mirrors of a cell (rows, columns)."""
    frequency: tuple[float, float]
    """Place of the aperture: cycles a mirror (row, column)."""
    full_scale: complex
    """Mean of a cell that shows 1: the largest magnitude of which the opposite sign has the same."""

    @property
    def light(self) -> float:
        """Share of the light on the cell that arrives when it shows 1."""
        ...

    def real(self, values: ArrayLike, cells: int = 1) -> NDArray[np.complex64]:
        """Means [...] of macropixels of `cells` cells that show the real numbers `values` in [-1, 1]."""
        ...

    def pattern(self, target: NDArray[Any]) -> NDArray[np.uint8]:
        """Mirrors [row, column] for the complex field `target` [row, column], of magnitude <= 1."""
        ...


class _Cells:
    """A cell, its patterns and their means, looked up by the nearest mean."""

    name: str
    cell: tuple[int, int]
    frequency: tuple[float, float]
    full_scale: complex
    patterns: NDArray[np.uint8]
    """Patterns of a cell [pattern, row, column]; the first is all OFF."""

    @property
    def light(self) -> float:
        """Share of the light on the cell that arrives when it shows 1."""
        return abs(self.full_scale) ** 2

    @cached_property
    def phasors(self) -> ComplexField:
        """Phasor of each mirror of a cell at the aperture [row, column]."""
        return carrier(*self.cell, self.frequency)

    @cached_property
    def means(self) -> ComplexField:
        """Mean of each of `patterns` [pattern]."""
        mirrors = self.cell[0] * self.cell[1]
        flat = self.patterns.reshape(len(self.patterns), mirrors) @ self.phasors.ravel() / mirrors
        return np.asarray(flat, dtype=np.complex128)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(_plane(self.means))

    def nearest(self, means: NDArray[np.complexfloating]) -> NDArray[np.int64]:
        """Index of the pattern whose mean is nearest, for each mean [...]."""
        return np.asarray(self._tree.query(_plane(means))[1], dtype=np.int64)

    def cell_patterns(self, means: NDArray[np.complexfloating]) -> NDArray[np.uint8]:
        """Patterns [..., row, column] whose means are nearest to `means` [...]."""
        return np.asarray(self.patterns[self.nearest(means)])

    def cell_means(self, means: NDArray[np.complexfloating]) -> ComplexField:
        """The nearest means that cells can have [...]."""
        return np.asarray(self.means[self.nearest(means)])

    def real(self, values: ArrayLike, cells: int = 1) -> NDArray[np.complex64]:
        """Means of macropixels that show real numbers, relative to macropixels all ON in the ordinary order.

        The cells of a macropixel need not be alike: each takes the nearest it can to what is missing so far, so that
        the mean's error falls as 1 / cells. Opposite numbers have opposite means.

        Parameters
        ----------
        values : float [...], in [-1, 1]
        cells : int
            Cells of a macropixel.

        Returns
        -------
        complex64 [...]
            About full_scale x value, turned so that full_scale is real.
        """
        values = np.asarray(values, dtype=np.float64)
        step = np.rint(np.minimum(np.abs(values), 1.0) * _STEPS).astype(np.int64)
        means = self._table(cells)[step]
        return np.asarray(np.where(values < 0, -means, means), dtype=np.complex64)

    def _table(self, cells: int) -> NDArray[np.complex64]:
        tables: dict[int, NDArray[np.complex64]] = self.__dict__.setdefault("_tables", {})
        if cells not in tables:
            wanted = self._scale
            missing, total = np.zeros_like(wanted), np.zeros_like(wanted)
            shown_by: list[ComplexField] = []
            while len(shown_by) < min(cells, _RUN):
                shown_by.append(self._shown_on_scale(wanted + missing))
                missing += wanted - shown_by[-1]
                if np.abs(missing).max() < len(shown_by) * abs(self.full_scale) / (2 * _STEPS):
                    break
            # The run of cells begins anew as often as it takes.
            runs, rest = divmod(cells, len(shown_by))
            for place, shown in enumerate(shown_by):
                total += shown * (runs + (place < rest))
            turned = total / cells * (np.conj(self.full_scale) / abs(self.full_scale))
            turned[0] = 0.0
            tables[cells] = turned.astype(np.complex64)
        return tables[cells]

    @property
    def _scale(self) -> ComplexField:
        """Means wanted for the real numbers 0 .. 1 in steps."""
        return np.asarray(self.full_scale * np.arange(_STEPS + 1) / _STEPS, dtype=np.complex128)

    def _shown_on_scale(self, means: ComplexField) -> ComplexField:
        """The nearest means that cells can have, for `means` about `_scale`."""
        return self.cell_means(means)

    def pattern(self, target: NDArray[Any]) -> NDArray[np.uint8]:
        """Mirrors [row, column] for the complex field `target` [row, column], of magnitude <= 1; cell by cell.

        A cell shows the mean of the target over it; mirrors beyond the last whole cell stay OFF.
        """
        (rows, columns), (down, along) = target.shape, self.cell
        cells = target[: rows // down * down, : columns // along * along].reshape(rows // down, down, -1, along)
        # A cell's own phasors begin anew at its first mirror; the aperture sees the carrier run on.
        start = np.conj(carrier(rows, columns, self.frequency)[::down, ::along][: rows // down, : columns // along])
        means = self.full_scale * cells.mean(axis=(1, 3)) * start
        shown = self.cell_patterns(means)
        out = np.zeros(target.shape, dtype=np.uint8)
        out[: rows // down * down, : columns // along * along] = shown.transpose(0, 2, 1, 3).reshape(
            rows // down * down, columns // along * along
        )
        return out


class PiPair(_Cells):
    """Two neighbouring mirrors at half an order: (ON, OFF) is 1, (OFF, ON) is -1, (OFF, OFF) is 0."""

    name = "pi-pair"
    cell = (1, 2)
    frequency = (0.0, 0.5)
    full_scale = 0.5 + 0.0j

    def __init__(self) -> None:
        self.patterns = np.array([[[0, 0]], [[1, 0]], [[0, 1]]], dtype=np.uint8)


class Lee(_Cells):
    """Lee's hologram with fringes of `period` mirrors along the rows.

    A run of w ON mirrors of a period P has the mean sin(pi w / P) / (P sin(pi / P)); half a period gives the most,
    1 / (P sin(pi / P)), which goes to 1 / pi for wide fringes.
    """

    name = "lee"

    def __init__(self, period: int) -> None:
        self.cell = (1, period)
        self.frequency = (0.0, 1.0 / period)
        self.patterns = _runs(period)[:, None, :]
        self.full_scale = complex(self.means[np.argmax(np.abs(self.means))])

    def pattern(self, target: NDArray[Any]) -> NDArray[np.uint8]:
        """Mirrors [row, column] for the complex field `target` [row, column], whose phase moves the fringes.

        Mirror by mirror: ON where cos(2 pi x / P + phase) > cos(pi w / P), with the fringe's width w from
        sin(pi w / P) = |target|.
        """
        fringe = np.angle(target) + 2.0 * np.pi * self.frequency[1] * np.arange(target.shape[1])
        width = np.arcsin(np.minimum(np.abs(target), 1.0))
        # Half a mirror along, so that mirrors sit on either side of a fringe's edge and never on it.
        on = np.cos(fringe + np.pi * self.frequency[1]) > np.cos(width)
        return np.asarray(on, dtype=np.uint8)


class Superpixel(_Cells):
    """n x n mirrors with the phases 2 pi k / n^2, k = column + n row.

    Phasors of even n cancel in pairs, which leaves 3^(n^2 / 2) fields of the 2^(n^2) patterns (n = 4: 6561; all are
    listed). Larger cells start from the nearest run of neighbouring phases and toggle one or two mirrors at a time
    for as long as that brings the mean nearer. Half of the phases, next to each other, give the largest field,
    1 / (n^2 sin(pi / n^2)), or 1 / pi.
    """

    name = "superpixel"

    def __init__(self, side: int) -> None:
        mirrors = side * side
        self.cell = (side, side)
        self.frequency = (1.0 / side, 1.0 / mirrors)
        runs = _runs(mirrors)
        listed = _ternary(mirrors) if mirrors % 2 == 0 and mirrors <= _LISTED_MIRRORS else runs
        if mirrors <= 9 and mirrors % 2:
            listed = np.array(list(itertools.product((0, 1), repeat=mirrors)), dtype=np.uint8)
        self.patterns = listed.reshape(-1, side, side)
        self._search = len(listed) == len(runs) and mirrors > _LISTED_MIRRORS
        self.full_scale = complex(self.means[np.argmax(np.abs(self.means))])

    def cell_patterns(self, means: NDArray[np.complexfloating]) -> NDArray[np.uint8]:
        """Patterns [..., row, column] whose means are nearest to `means` [...]; near, by toggles, for large cells."""
        patterns = super().cell_patterns(means)
        if not self._search:
            return patterns
        flat = patterns.reshape(-1, self.phasors.size)
        wanted = np.ravel(means)
        for start in range(0, len(flat), 256):
            _toggle(flat[start : start + 256], wanted[start : start + 256], self.phasors.ravel())
        return flat.reshape(patterns.shape)

    def cell_means(self, means: NDArray[np.complexfloating]) -> ComplexField:
        """The means of `cell_patterns` [...]."""
        patterns = self.cell_patterns(means)
        return np.asarray((patterns * self.phasors).mean(axis=(-2, -1)), dtype=np.complex128)

    @cached_property
    def _found(self) -> ComplexField:
        """Means on the scale of real numbers that the search found; it runs once, not for each cell of many."""
        return np.unique(self.cell_means(self._scale))

    def _shown_on_scale(self, means: ComplexField) -> ComplexField:
        if not self._search:
            return self.cell_means(means)
        return np.asarray(self._found[cKDTree(_plane(self._found)).query(_plane(means))[1]])


def cell_shape(card: DmdCard) -> tuple[int, int]:
    """Mirrors of a cell (rows, columns); (1, 1) for plain amplitudes."""
    side = card.cell_mirrors or 1
    return {"pi-pair": (1, 2), "lee": (1, side), "superpixel": (side, side)}.get(card.encoding, (1, 1))


def field_encoding(card: DmdCard) -> FieldEncoding | None:
    """Encoding of a card; None for plain amplitudes."""
    return _encoding(card.encoding, card.cell_mirrors)


@cache
def _encoding(name: str, mirrors: int | None) -> FieldEncoding | None:
    # One of a kind serves all devices: its tables take up to a second to make, and never change.
    if name == "pi-pair":
        return PiPair()
    if name == "lee" and mirrors is not None:
        return Lee(mirrors)
    if name == "superpixel" and mirrors is not None:
        return Superpixel(mirrors)
    return None


def _plane(values: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    return np.stack([values.real, values.imag], axis=-1)


def _runs(length: int) -> NDArray[np.uint8]:
    """Patterns [pattern, mirror] with a run of up to half of a circle of mirrors ON; the first is all OFF."""

    def shifted() -> Iterator[NDArray[np.uint8]]:
        yield np.zeros(length, dtype=np.uint8)
        for width in range(1, length // 2 + 1):
            run = (np.arange(length) < width).astype(np.uint8)
            for shift in range(length):
                yield np.roll(run, shift)

    return np.array(list(shifted()), dtype=np.uint8)


def _ternary(mirrors: int) -> NDArray[np.uint8]:
    """Patterns [pattern, mirror] in which, of two mirrors with opposite phasors, one at most is ON; first all OFF."""
    half = mirrors // 2
    signs = np.array(list(itertools.product((0, 1, -1), repeat=half)), dtype=np.int8)
    return np.concatenate([signs == 1, signs == -1], axis=1).astype(np.uint8)


def _toggle(patterns: NDArray[np.uint8], wanted: ComplexField, phasors: ComplexField) -> None:
    """Toggle one or two mirrors of each pattern [cell, mirror] at a time while its mean comes nearer to `wanted`."""
    mirrors = len(phasors)
    first, second = np.triu_indices(mirrors)
    rows = np.arange(len(patterns))
    for _ in range(mirrors):
        change = (1.0 - 2.0 * patterns) * phasors / mirrors
        error = wanted - patterns @ phasors / mirrors
        after = change[:, first] + np.where(first == second, 0.0, change[:, second])
        distance = np.abs(error[:, None] - after)
        best = distance.argmin(axis=1)
        better = distance[rows, best] < np.abs(error) - 1e-12
        if not better.any():
            return
        a, b = first[best[better]], second[best[better]]
        cells = rows[better]
        patterns[cells, a] ^= 1
        patterns[cells[a != b], b[a != b]] ^= 1
