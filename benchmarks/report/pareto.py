"""The Pareto front of a gain against a cost, and its knee."""

from __future__ import annotations

import math
from collections.abc import Sequence


def front(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Indices of the points that no other beats in both, by rising cost; of equal points the first.

    A point is beaten by one that costs no more and gains no less, and is better in one of the two. NaN never is on it.
    """
    known = [i for i in range(len(cost)) if math.isfinite(cost[i]) and math.isfinite(gain[i])]
    best: list[int] = []
    for index in sorted(known, key=lambda i: (cost[i], -gain[i])):
        if not best or gain[index] > gain[best[-1]]:
            best.append(index)
    return best


def knee(cost: Sequence[float], gain: Sequence[float], best: Sequence[int]) -> int | None:
    """The point of the front farthest above the straight line between its ends; None without a bend.

    Cost and gain are scaled to [0, 1] over the front, so that units play no part.

    References
    ----------
    Das, On characterizing the "knee" of the Pareto curve based on normal-boundary intersection, Structural
    Optimization 18 (1999) 107: the knee as the point farthest from the line through the ends.
    """
    if len(best) < 3:
        return None
    x, y = [cost[i] for i in best], [gain[i] for i in best]
    above = [(b - y[0]) / (y[-1] - y[0]) - (a - x[0]) / (x[-1] - x[0]) for a, b in zip(x, y, strict=True)]
    farthest = max(range(len(best)), key=lambda k: above[k])
    return best[farthest] if above[farthest] > 1e-9 else None
