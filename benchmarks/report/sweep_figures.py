"""Figures of a sweep: a quantity against one key, over two, and the Pareto front."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmarks.report import figures
from benchmarks.report.sweep_file import HEADINGS, Configuration

_MANY = 1500  # points of a figure that are drawn as vectors
_FINEST = 40  # values of a key in a map


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _ordered(done: Sequence[Configuration], key: str) -> list[Any]:
    """Values of a key: numbers by size, others as the sweep has them."""
    by_text = {json.dumps(c.parameters.get(key)): c.parameters.get(key) for c in done}
    values = list(by_text.values())
    return sorted(values) if all(map(_is_number, values)) else values


def _shown(value: Any) -> str:
    return f"{value:g}" if _is_number(value) and isinstance(value, float) else str(value)


def over_one_key(done: Sequence[Configuration], key: str, quantity: str) -> str:
    """Mean with its spread; where other keys vary, too, all configurations and their mean."""

    def paint(axes: Axes) -> None:
        values = _ordered(done, key)
        continuous = all(map(_is_number, values))
        at = {json.dumps(value): float(value) if continuous else float(i) for i, value in enumerate(values)}
        known = [(at[json.dumps(c.parameters.get(key))], c) for c in done if c.mean(quantity) is not None]
        known.sort(key=lambda pair: pair[0])
        x, y = [place for place, _ in known], [c.mean(quantity) or 0.0 for _, c in known]
        many = len(set(x)) < len(x)
        if many:
            axes.plot(x, y, "o", color=figures.BLUE, alpha=0.35, rasterized=len(x) > _MANY)
            middle = {place: fmean(b for a, b in zip(x, y, strict=True) if a == place) for place in sorted(set(x))}
            axes.plot(list(middle), list(middle.values()), "-", color=figures.ORANGE, lw=1.6)
        else:
            errors = [c.spread(quantity) or 0.0 for _, c in known]
            axes.errorbar(x, y, errors, fmt="o-" if continuous else "o", color=figures.BLUE, lw=1.4, ms=5, capsize=3)
        if not continuous:
            slanted: dict[str, Any] = {"rotation": 30, "ha": "right"} if len(values) > 4 else {}
            axes.set_xticks(range(len(values)), [figures.plain(_shown(value), 16) for value in values], **slanted)
        elif figures.is_wide(x):
            axes.set_xscale("log")
        elif all(value == round(value) for value in values) and len(values) <= 12:
            axes.set_xticks([float(value) for value in values])
        if quantity in ("joules", "loss", "teraops_delivered") and figures.is_wide(y):
            axes.set_yscale("log")
        axes.set(xlabel=figures.plain(key), ylabel=HEADINGS[quantity])

    return figures.drawn(paint)


def over_two_keys(done: Sequence[Configuration], key_x: str, key_y: str, quantity: str) -> str:
    """A map where the two keys form a grid, otherwise points in colours."""
    xs, ys = _ordered(done, key_x), _ordered(done, key_y)
    places = {(json.dumps(c.parameters.get(key_x)), json.dumps(c.parameters.get(key_y))): c for c in done}
    gridded = max(len(xs), len(ys)) <= _FINEST and 2 * len(places) >= len(xs) * len(ys)

    def as_map(axes: Axes) -> None:
        z = np.full((len(ys), len(xs)), np.nan)
        for column, x in enumerate(xs):
            for row, y in enumerate(ys):
                found = places.get((json.dumps(x), json.dumps(y)))
                value = found.mean(quantity) if found is not None else None
                z[row, column] = np.nan if value is None else value
        figures.heat(axes, [_shown(x) for x in xs], [_shown(y) for y in ys], z, (key_x, key_y, HEADINGS[quantity]))

    def as_points(axes: Axes) -> None:
        known = [c for c in done if c.mean(quantity) is not None]
        x, y = ([_place(c.parameters.get(key), values) for c in known] for key, values in ((key_x, xs), (key_y, ys)))
        z = [c.mean(quantity) or 0.0 for c in known]
        dots = axes.scatter(x, y, c=z, cmap="viridis", s=36, edgecolors=figures.MUTED, linewidths=0.5,
                            rasterized=len(x) > _MANY)  # fmt: skip
        axes.figure.colorbar(dots, ax=axes, label=HEADINGS[quantity]).outline.set_visible(False)
        if figures.is_wide(x) and all(map(_is_number, xs)):
            axes.set_xscale("log")
        if figures.is_wide(y) and all(map(_is_number, ys)):
            axes.set_yscale("log")
        axes.set(xlabel=figures.plain(key_x), ylabel=figures.plain(key_y))

    return figures.drawn(as_map if gridded else as_points, height=max(3.5, min(0.34 * len(ys) + 1.2, 9.0)))


def _place(value: Any, values: Sequence[Any]) -> float:
    if all(map(_is_number, values)):
        return float(value)
    return float([json.dumps(v) for v in values].index(json.dumps(value)))


def pareto(cost: Sequence[float], gain: Sequence[float], best: Sequence[int], knee: int | None, label: str) -> str:
    """Accuracy against a cost."""

    def paint(axes: Axes) -> None:
        figures.front(axes, cost, gain, best, knee)
        axes.set(xlabel=label, ylabel="accuracy [%]")

    return figures.drawn(paint)
