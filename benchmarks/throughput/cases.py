"""Rows that the throughput benchmark takes: shapes, recoveries, media."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEVICES = {"intensity": "lighton-aurora", "anchor": "lighton-aurora", "off-axis": "light-in-the-loop"}
"""Device card that each recovery is measured on, where the case names none."""

MIRRORS, PIXELS, MODES = 1_039_680, 2_228_224, 139_264
"""Inputs and outputs of a full frame: 912 x 1140 mirrors, 2048 x 1088 pixels, or 512 x 272 modes of 16 pixels."""


@dataclass(frozen=True)
class Case:
    """A row to measure.

    Attributes
    ----------
    input : "binary" or "ternary"
        Intensity takes binary vectors alone.
    medium : str, optional
        Kind of medium; the card's own choice without it.
    device : str, optional
        Card; that of the recovery in `DEVICES` without it.
    """

    n_in: int
    n_out: int
    batch: int
    recovery: str
    input: str = "ternary"
    fidelity: str = "pixel"
    medium: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.input not in ("binary", "ternary") or (self.recovery == "intensity" and self.input != "binary"):
            allowed = "'binary'" if self.recovery == "intensity" else "'binary' or 'ternary'"
            raise ValueError(f"input = {self.input!r}: must be {allowed} for recovery = {self.recovery!r}")

    def __str__(self) -> str:
        medium = "" if self.medium is None else f", {self.medium}"
        return f"{self.n_in} -> {self.n_out}, batch {self.batch}, {self.recovery}, {self.fidelity}{medium}"

    @property
    def card(self) -> str:
        """Device card of the row."""
        return self.device or DEVICES[self.recovery]

    @property
    def overrides(self) -> dict[str, Any]:
        """What the row changes on the card."""
        medium = {} if self.medium is None else {"medium.kind": self.medium}
        return {"fidelity": self.fidelity, **medium}

    @property
    def full_frame(self) -> bool:
        """Whether every mirror is an input."""
        return self.n_in == MIRRORS

    def vectors(self) -> NDArray[Any]:
        """Batch [batch, n_in], a third ON or +1, for ternary ones a third -1; uint8 for intensity, else float32."""
        ternary = np.random.default_rng(0).integers(-1, 2, (self.batch, self.n_in), dtype=np.int8)
        drawn = ternary > 0 if self.input == "binary" else ternary
        return drawn.astype(np.uint8 if self.recovery == "intensity" else np.float32)


_WAVES = Case(10_000, 10_000, 3000, "anchor", "binary", medium="wave-optics")
_MNIST = Case(784, 10_000, 1000, "intensity", "binary")
_HOLOGRAMS = Case(MIRRORS, MODES, 1, "off-axis", medium="wave-optics")

# About as many outputs a call in each: the fixed cost of a call would pass for a flat start of the curve.
GROWTH = tuple(
    Case(min(n, MIRRORS), n, PIXELS // n, "intensity", "binary", medium="wave-optics", device="lighton-full-frame")
    for n in (10_000, 30_000, 100_000, 300_000, 1_000_000, PIXELS)
)
"""Rows that the growth of cost with size is fitted to; the last is the full frame."""

ONE_THREAD = frozenset({_MNIST, _WAVES, _HOLOGRAMS, GROWTH[-1]})
"""Rows that are measured once more with one thread."""


def cases(quick: bool) -> list[Case]:
    """Rows that `throughput.measure` takes, smallest first."""
    ten = [Case(10, 2048, 128, recovery) for recovery in ("anchor", "off-axis")]
    small = [*ten, Case(1000, 1000, 256, "intensity", "binary", medium="stored"), GROWTH[0]]
    if quick:
        return small
    sizes = ((1000, 256), (3000, 256), (10_000, 100))
    square = [
        Case(n, n, batch, recovery, "binary" if recovery == "intensity" else "ternary", medium="stored")
        for n, batch in sizes
        for recovery in DEVICES
    ]
    linear = [case for case in (*ten, *square) if case.recovery != "intensity" and case.n_out < 10_000]
    modes = [replace(case, fidelity="mode") for case in linear]
    streamed = [replace(_WAVES, medium="streamed"), Case(100_000, 10_000, 16, "anchor", medium="streamed")]
    mnist = [_MNIST, replace(_MNIST, recovery="anchor", input="ternary")]
    waves = [_WAVES, _HOLOGRAMS, *GROWTH]
    order = attrgetter("n_out", "n_in", "recovery", "fidelity", "batch")
    found = {*small, *square, *modes, *mnist, *streamed, *waves}
    return sorted(found, key=lambda case: (case.n_in * case.n_out, *order(case), str(case.medium)))
