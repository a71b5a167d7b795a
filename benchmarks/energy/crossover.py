"""Where two curves against size meet: a measured table and a level, or two models.

Against a measured table, by two roads: straight lines between its points, and a power law through them. For the 2 kHz
device of Ohana et al. 2020 (3000 vectors in 1.5 s, at 30 W 45 J) both can be said beforehand. A card of rate r, all its
time in the product, takes t(D) = 2 V D^2 / r, so D = sqrt(t r / (2 V)): 8.87e12 ops/s (of the P100's 9.3e12) give
47.1 k; at the 221 W that it draws, 45 J are 0.204 s of it, 17.4 k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Curve = Callable[[int], float]


def interpolated(sizes: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """Smallest size at which straight lines between the points rise through the level; None where none does."""
    for left, right, low, high in zip(sizes, sizes[1:], values, values[1:], strict=False):
        if low <= level < high:
            return left + (right - left) * (level - low) / (high - low)
    return None


def power_law(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Factor c and exponent p of c D^p, by least squares of the logarithms."""
    exponent, intercept = np.polyfit(np.log(sizes), np.log(values), 1)
    return math.exp(float(intercept)), float(exponent)


def power_law_crossing(law: tuple[float, float], level: float) -> float:
    """Size at which c D^p reaches the level."""
    factor, exponent = law
    return float((level / factor) ** (1.0 / exponent))


def ahead_between(curve: Curve, other: Curve, low: int, high: int, points: int = 160) -> tuple[int | None, int | None]:
    """Sizes between which `curve` is below `other`: the first in low .. high, and the first after it where no longer.

    Sides are looked at on a grid of `points` equal ratios, so that a visit to the other side between two of them is
    missed; the sizes themselves are then exact. (None, None) where the curve stays above, (size, None) where it stays
    below once it is there.
    """
    grid = sorted({round(size) for size in np.geomspace(low, high, points)})
    sides = [curve(size) < other(size) for size in grid]
    if True not in sides:
        return None, None
    at = sides.index(True)
    start = grid[0] if at == 0 else _changed(curve, other, grid[at - 1], grid[at])
    if False not in sides[at:]:
        return start, None
    back = sides.index(False, at)
    return start, _changed(other, curve, grid[back - 1], grid[back], strictly=False)


def _changed(curve: Curve, other: Curve, above: int, below: int, *, strictly: bool = True) -> int:
    """Smallest size in above .. below at which `curve` is below `other`, by bisection."""
    while below - above > 1:
        middle = (above + below) // 2
        if curve(middle) < other(middle) or (not strictly and curve(middle) == other(middle)):
            below = middle
        else:
            above = middle
    return below
