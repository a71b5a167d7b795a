"""Which medium to take for a shape: the fastest of those that hold it, by a cost model.

The constants were measured on two Zen 4 cores. What they are on another computer moves the borders between the media a
little, and no result with it: stored and streamed entries are the same, and a card that names its medium has its way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from opu_sim.cards import MediumCard
from opu_sim.medium.planes import Planes
from opu_sim.medium.transmission import half_of_memory, stored_bytes

_PATTERNS = 512  # of a call, over which a streamed entry is made once
_PRODUCT_S = 20e-12  # a complex entry times a binary pattern, in a large matrix product
_ENTRY_S = 1.1e-9  # an entry made
_POINT_S = 0.16e-9  # a point of a plane, for each factor of two in their number
_PATTERN_S = 40e-6  # a pattern's calls of the library


@dataclass(frozen=True)
class Option:
    """A medium that could be taken."""

    kind: str
    seconds: float
    """A pattern, of many in one call."""
    bytes: float
    """What it keeps in memory."""


def options(card: MediumCard, n_in: int, n_outputs: int, *, changes: bool) -> list[Option]:
    """What each medium would take, fastest first; a streamed one cannot change with time."""
    entries = float(n_in) * n_outputs
    planes = Planes.of(card, n_in, n_outputs)
    points = sum(math.prod(hop) * math.log2(math.prod(hop) + 1) for hop in planes.hops)
    found = [
        Option("stored", entries * _PRODUCT_S, stored_bytes(n_in, n_outputs, copies=2 if changes else 1)),
        Option("wave-optics", _PATTERN_S + points * _POINT_S, planes.bytes(changes=changes)),
    ]
    if not changes:
        found.append(Option("streamed", entries * (_PRODUCT_S + _ENTRY_S / _PATTERNS), 16.0 * n_outputs))
    return sorted(found, key=lambda option: option.seconds)


def choose(card: MediumCard, n_in: int, n_outputs: int, *, changes: bool = False, memory: float | None = None) -> str:
    """Kind of the fastest medium that fits in `memory` [bytes], half of this computer's where left out.

    Where none does, the one that takes least; it says then what it lacks.
    """
    memory = half_of_memory() if memory is None else memory
    found = options(card, n_in, n_outputs, changes=changes)
    fitting = [option for option in found if option.bytes <= memory]
    return fitting[0].kind if fitting else min(found, key=lambda option: option.bytes).kind
