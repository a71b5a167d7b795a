"""Figure of a `devices.measure` document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.devices.measure import figure, picojoules_per_op
from dfa.plots import save_png

_NEEDED = ("device_s", "joules", "joules_per_op", "watts", "teraops_peak", "utilisation")
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9731a", "#777777"


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Devices down, quantities across; everything but accuracy on logarithmic scales.

    Parameters
    ----------
    document : mapping
        What `devices.measure` returns.
    path : Path
        PNG to write.
    """
    digital = [row for row in document["rows"] if row["method"] != "odfa"]
    rows = [row for row in document["rows"] if row["method"] == "odfa"]
    reports = [row["device"] or dict.fromkeys(_NEEDED, math.nan) for row in rows]  # "ideal" has neither clock nor power
    sheet = Figure(figsize=(12.5, 1.5 + 0.62 * len(rows)), layout="constrained")
    panels = sheet.subplots(1, 5, sharey=True, gridspec_kw={"width_ratios": [1.35, 1, 1, 1, 1]})
    _accuracies(panels[0], rows, digital)
    _dots(panels[1], [report["device_s"] for report in reports], "device time [s]")
    _dots(panels[2], [report["joules"] for report in reports], "energy [J]")
    energies = np.array([picojoules_per_op(report) for report in reports])
    _dots(panels[3], energies[:, 0], "energy an op [pJ]", energies[:, 1])
    _dots(
        panels[4],
        [report["utilisation"] for report in reports],
        "utilisation",
        [1.0 if row["device"] else math.nan for row in rows],
    )
    panels[0].set_yticks(range(len(rows)), [row["variant"] for row in rows], fontsize=11)
    panels[0].set_ylim(len(rows) - 0.45, -0.55)
    experiment, seeds = document["experiment"], document["seeds"]
    count = "1 seed" if seeds == 1 else f"{seeds} seeds"
    sheet.suptitle(f"{experiment['name']} by direct feedback alignment through each device, {count}", fontsize=12.5)
    sheet.supxlabel("hollow: at full use of the device; numbers: what the run needed of it", fontsize=10)
    save_png(sheet, path)


def _accuracies(axes: Axes, rows: Sequence[Mapping[str, Any]], digital: Sequence[Mapping[str, Any]]) -> None:
    for row, style in zip(digital, ((0, (4, 3)), (0, (1, 1.5))), strict=False):
        mean = 100 * np.mean(row["accuracies"])
        axes.axvline(mean, color=_GREY, lw=1.1, ls=style, zorder=0, label=f"{row['method']}, digital {mean:.1f}")
    for at, row in enumerate(rows):
        values = 100 * np.array(row["accuracies"])
        axes.plot(values, np.full(len(values), at), "o", ms=6.5, mfc="none", mec=_BLUE, mew=1.2)
        axes.plot(values.mean(), at, "|", ms=20, color=_ORANGE, mew=2.2)
        axes.annotate(f"{values.mean():.2f}", (values.mean(), at), (0, 11), **_TEXT)
    axes.set_xlabel("test accuracy [%]", fontsize=11)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9, frameon=False, handlelength=1.6)
    axes.margins(x=0.12)
    axes.grid(axis="x", alpha=0.25)


def _dots(axes: Axes, values: Sequence[float], label: str, best: Sequence[float] | None = None) -> None:
    at = np.arange(len(values))
    axes.set_xscale("log")
    if best is not None:
        axes.hlines(at, best, values, color=_GREY, lw=1.0, zorder=0)
        axes.plot(best, at, "o", ms=8, mfc="white", mec=_BLUE, mew=1.4)
    axes.plot(values, at, "o", ms=8, color=_BLUE)
    for row, value in enumerate(values):
        if math.isnan(value):
            continue
        axes.annotate(figure(value), (value, row), (0, 11), **_TEXT)
    axes.margins(x=0.3)
    axes.set_xlabel(label, fontsize=11)
    axes.grid(axis="x", alpha=0.25)


_TEXT: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 9.5}
