"""Pareto front of two quantities over the configurations of a sweep, and its knee.

A configuration is on the front if no other one is as good in both quantities and better in one; each is judged by its
mean over seeds.

Knee: the point of the front farthest from the straight line through the front's two ends, on the side of the better
values, after both quantities are scaled to 0 .. 1 over the front (Das 1999, "On characterizing the 'knee' of the Pareto
curve based on normal-boundary intersection", Structural Optimization 18, 107-115; for two objectives as in Deb and
Gupta 2010, "Understanding knee points in bicriteria problems", KanGAL report 2010005). A front without a point on that
side, or of fewer than three points, has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sweep.quantities import BETTER, grouped, mean, spread
from benchmarks.sweep.store import Row
from opu_sim.config import refused

KNEE = (
    "the point of the front farthest, towards better values, from the line through its two ends, both quantities "
    "scaled to 0 .. 1 over the front (Das 1999, Structural Optimization 18, 107-115)"
)
_STRAIGHT = 1e-9


@dataclass(frozen=True)
class Candidate:
    """A configuration: its parameters, and mean and spread over seeds of the two quantities."""

    parameters: dict[str, Any]
    x: float
    y: float
    x_std: float | None
    y_std: float | None
    seeds: int
    on_front: bool
    knee: bool


def check(objectives: Sequence[str]) -> None:
    """Refuse quantities that there are not.

    Raises
    ------
    ConfigError
    """
    for name in objectives:
        if name not in BETTER:
            raise refused(f"--pareto {name}: unknown quantity; must be one of {', '.join(BETTER)}")
    if len(set(objectives)) < 2:
        raise refused(f"--pareto {' '.join(objectives)}: must be two different quantities")


def candidates(rows: Sequence[Row], objectives: tuple[str, str]) -> list[Candidate]:
    """All configurations of a sweep, in its order, those of the front and the knee marked.

    Raises
    ------
    ConfigError
        Unknown quantities; no configuration has both.
    """
    check(objectives)
    found = []
    for parameters, seeds in grouped(rows):
        x, y = (mean(seeds, name) for name in objectives)
        if x is not None and y is not None:
            found.append((parameters, x, y, seeds))
    if not found:
        raise refused(f"--pareto {' '.join(objectives)}: no point of this sweep has both")
    signs = tuple(1.0 if BETTER[name] == "more" else -1.0 for name in objectives)
    values = [(signs[0] * x, signs[1] * y) for _, x, y, _ in found]
    front = front_of(values)
    at_knee = knee_of([values[index] for index in front])
    knee = None if at_knee is None else front[at_knee]
    return [
        Candidate(
            parameters,
            x,
            y,
            spread(seeds, objectives[0]),
            spread(seeds, objectives[1]),
            len(seeds),
            index in front,
            index == knee,
        )
        for index, (parameters, x, y, seeds) in enumerate(found)
    ]


def front_of(values: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other one beats, more being better in both; by the first value, falling.

    Of points that are equal in both, the first stands for all.
    """
    front: list[int] = []
    best = -math.inf
    # By the first value, falling; among equals by the second, falling; among equals in both as they come.
    for index in sorted(range(len(values)), key=lambda i: (-values[i][0], -values[i][1], i)):
        if values[index][1] > best:
            front.append(index)
            best = values[index][1]
    return front


def knee_of(front: Sequence[tuple[float, float]]) -> int | None:
    """Place of the knee in a front that is ordered along its first value, more being better in both."""
    if len(front) < 3:
        return None
    lows = [min(point[axis] for point in front) for axis in (0, 1)]
    spans = [max(point[axis] for point in front) - lows[axis] for axis in (0, 1)]
    # On a front the ends are (1, 0) and (0, 1), so that the distance to their line is (x + y - 1) / sqrt 2.
    bulges = [sum((point[axis] - lows[axis]) / spans[axis] for axis in (0, 1)) - 1.0 for point in front]
    knee = max(range(len(front)), key=lambda index: bulges[index])
    return knee if bulges[knee] > _STRAIGHT else None


def document(found: Sequence[Candidate], objectives: tuple[str, str]) -> dict[str, Any]:
    """JSON-ready: the front from the best of the first quantity on, and the knee."""

    def entry(candidate: Candidate) -> Mapping[str, Any]:
        x, y = objectives
        return {
            "parameters": candidate.parameters,
            x: candidate.x,
            y: candidate.y,
            f"{x}_std": candidate.x_std,
            f"{y}_std": candidate.y_std,
            "seeds": candidate.seeds,
        }

    more = BETTER[objectives[0]] == "more"
    front = sorted((c for c in found if c.on_front), key=lambda candidate: candidate.x, reverse=more)
    return {
        "objectives": [{"name": name, "better": BETTER[name]} for name in objectives],
        "configurations": len(found),
        "front": [entry(candidate) for candidate in front],
        "knee": next((entry(candidate) for candidate in found if candidate.knee), None),
        "conventions": f"means and sample standard deviations over seeds. knee: {KNEE}.",
    }
