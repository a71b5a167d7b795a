"""Figure of a `tradeoffs.measure` document: quantities down, keys across."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from benchmarks.tradeoffs.tables import ARROWS, COUNTS, ROWS, verdict
from dfa.plots import save_png

_BLUE, _ORANGE, _GREY, _GREEN, _RED = "#1f5fa8", "#d9731a", "#777777", "#2b7a3d", "#c0272d"


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Quantities down, keys across, every key along its move from left to right; one scale a row of panels.

    Parameters
    ----------
    document : mapping
        What `tradeoffs.measure` returns.
    path : Path
        PNG to write.
    """
    sweeps = document["sweeps"]
    figure = Figure(figsize=(10.0, 9.4), layout="constrained")
    panels = figure.subplots(len(ROWS), len(sweeps), sharex="col", sharey="row", squeeze=False)
    for column, sweep in enumerate(sweeps):
        for row, (quantity, key, spread, scale, label) in enumerate(ROWS):
            axes = panels[row, column]
            axes.axvline(sweep["base"], color=_GREY, lw=0.9, ls=(0, (4, 3)), zorder=0)
            _curve(axes, sweep["points"], key, spread, scale, light=spread is not None)
            if quantity == "bits":
                _prediction(axes, sweep["points"])
            _arrow(axes, sweep["directions"][quantity], light=spread is not None)
            axes.grid(alpha=0.25)
            axes.set_axisbelow(True)
            axes.tick_params(labelsize=10.5)
            if column == 0:
                axes.set_ylabel(label, fontsize=12)
        _stages(panels[2, column], sweep["points"])
        _keys(panels[-1, column], sweep)
        panels[0, column].set_title(f"{sweep['move']} ⟶", fontsize=12.5, fontweight="bold")
    panels[0, 0].set_ylim(0.0, 104.0)
    for row in (2, 3, 4):
        panels[row, 0].set_ylim(0.0, 1.28 * max(axes.get_ylim()[1] for axes in panels[row]))
    figure.align_ylabels(panels[:, 0])
    name = document["experiment"]["name"]
    seeds = "1 seed" if document["seeds"] == 1 else f"{document['seeds']} seeds"
    figure.suptitle(f"{name} through {document['device']}, {seeds}: {verdict(document).partition(';')[0]}", fontsize=13)
    predicted = any(p["bits_predicted"] is not None for sweep in sweeps for p in sweep["points"])
    figure.supxlabel(
        "dashed: base, of which each column moves one key; hollow: pixels saturated or without counts; "
        + ("orange: bits that the device predicts;\n" if predicted else "\n")
        + "arrows: derived direction, green if measured so; grey words: the stage that sets the frame rate",
        fontsize=10.5,
    )
    save_png(figure, path)


def _curve(
    axes: Axes, points: list[dict[str, Any]], key: str, spread: str | None, scale: float, *, light: bool
) -> None:
    known = [point for point in points if point[key] is not None]
    x = [point["value"] for point in known]
    y = [scale * point[key] for point in known]
    axes.plot(x, y, "-", color=_BLUE, lw=1.4)
    if spread is not None:
        errors = [scale * (point[spread] or 0.0) for point in known]
        axes.errorbar(x, y, errors, fmt="none", ecolor=_BLUE, elinewidth=1.2, capsize=2.5)
    for point, at, value in zip(known, x, y, strict=True):
        hollow = light and point["left_out"] is not None
        size = 8.5 if point["base"] else 5.5
        axes.plot(at, value, "o", ms=size, mfc="white" if hollow else _BLUE, mec=_BLUE, mew=1.3, zorder=3)


def _prediction(axes: Axes, points: list[dict[str, Any]]) -> None:
    known = [point for point in points if point["bits_predicted"] is not None]
    axes.plot([p["value"] for p in known], [p["bits_predicted"] for p in known], color=_ORANGE, lw=1.6, zorder=4)


def _arrow(axes: Axes, found: Mapping[str, Any], *, light: bool) -> None:
    """The derived direction, in the corner that a curve going that way leaves free."""
    text = ARROWS[found["expected"]]
    if not found["pass"]:
        text += f" not {found['measured']}"
    left, top = light and found["expected"] == "down", not light
    axes.text(
        0.04 if left else 0.96,
        0.95 if top else 0.05,
        text,
        transform=axes.transAxes,
        ha="left" if left else "right",
        va="top" if top else "bottom",
        color=_GREEN if found["pass"] else _RED,
        fontsize=17,
        zorder=5,
    )


def _stages(axes: Axes, points: list[dict[str, Any]]) -> None:
    """Names of the slowest stages at either end of a move, where a rate that rises or stays leaves room."""
    first, last = points[0]["slowest_stage"], points[-1]["slowest_stage"]
    style: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 10, "color": _GREY}
    if first != last:
        axes.text(0.04, 0.95, first, ha="left", va="top", **style)
    axes.text(0.96, 0.05, last, ha="right", va="bottom", **style)


def _keys(axes: Axes, sweep: Mapping[str, Any]) -> None:
    """The column's axis: logarithmic, along the move; bits are logarithms of levels already."""
    values = [point["value"] for point in sweep["points"]]
    bits = sweep["key"] == "camera.adc_bits"
    axes.set_xscale("linear" if bits else "log")
    name = sweep["name"]
    axes.set_xlabel(name if sweep["key"] in COUNTS else f"{name} [{sweep['unit']}]", fontsize=12)
    if bits:
        axes.set_xticks([value for value in values if value % 2 == 0 or len(values) < 5])
    else:
        low, high = min(values), max(values)
        decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [d for d in decades if low / 1.3 <= d <= 1.3 * high]
        if len(ticks) < 3:
            ticks = [v for v in (50, 100, 200, 500, 1000, 2000, 5000) if low / 1.3 <= v <= 1.3 * high]
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    if values[0] > values[-1]:
        axes.invert_xaxis()
