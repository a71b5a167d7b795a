"""The Pareto front of a gain against a cost, and its knee, by the rule of `opu sweep --pareto`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.sweep.pareto import front_of, knee_of


def front(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Indices of the points that no other beats in both, by rising cost; what is not finite never is on it."""
    known = [i for i in range(len(cost)) if math.isfinite(cost[i]) and math.isfinite(gain[i])]
    return [known[place] for place in front_of([(-cost[i], gain[i]) for i in known])]


def knee(cost: Sequence[float], gain: Sequence[float], best: Sequence[int]) -> int | None:
    """The point of the front that bends most; None without a bend."""
    place = knee_of([(-cost[i], gain[i]) for i in best])
    return None if place is None else best[place]
