"""Terminal table and plot of a `throughput.measure` document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of strings, for a terminal table; times per projection in microseconds."""
    # As many columns as fit a terminal; the JSON has the rest.
    header = ["n_in → n_out", "batch", "recovery", "host µs", "floor µs", "host / floor", "NumPy µs", "device µs", "MB"]
    lines = []
    for row in result["rows"]:
        recovery = row["recovery"] if row["fidelity"] == "pixel" else f"{row['recovery']}, {row['fidelity']}"
        line = [f"{row['n_in']} → {row['n_out']}", str(row["batch"]), recovery]
        line += [_micro(row["host_s_per_projection"]), _micro(row["floor_s_per_projection"])]
        line += [f"{row['ratio_to_floor']:.1f}", _micro(row["numpy_s_per_projection"])]
        line += [_micro(row["device_s_per_projection"]), f"{row['peak_rss_bytes'] / 1e6:.0f}"]
        lines.append(line)
    return header, lines


def _micro(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1e6:,.0f}" if seconds >= 1e-4 else f"{seconds * 1e6:#.3g}"


_HOST = "#1f5fa8"
_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "device_s_per_projection": (
        "device time: simulated clock",
        {"color": "#d95f02", "marker": "s", "linestyle": "--", "markerfacecolor": "white", "markersize": 6.5},
    ),
    "host_s_per_projection": (
        "host time: this simulator, median (bar: min to max)",
        {"color": _HOST, "marker": "o", "linestyle": "-", "linewidth": 2.0},
    ),
    "numpy_s_per_projection": (
        "host time: plain NumPy, no physics",
        {"color": "#555555", "marker": "x", "linestyle": ":"},
    ),
}
_TITLES = {
    "intensity": "intensity |T b|²\nbinary inputs",
    "anchor": "linear, anchor recovery\nternary inputs",
    "off-axis": "linear, off-axis holography\nternary inputs",
}


def plot(result: Mapping[str, Any], path: str | Path) -> None:
    """Seconds per projection against n_in n_out, a panel each recovery; device time hollow, host time filled.

    Parameters
    ----------
    result : mapping
        What `throughput.measure` returns.
    path : str or Path
        Image file to write.
    """
    figure = Figure(figsize=(12.0, 6.0), layout="constrained")
    panels = figure.subplots(1, len(_TITLES), sharex=True, sharey=True)
    for axes, (recovery, title) in zip(panels, _TITLES.items(), strict=True):
        rows = [row for row in result["rows"] if row["recovery"] == recovery and row["fidelity"] == "pixel"]
        rows.sort(key=_size)
        square = [row for row in rows if row["n_in"] == row["n_out"]]
        for row in rows:
            axes.vlines(_size(row), *row["host_s_spread"], color=_HOST, linewidth=4.0, alpha=0.35)
        for key, (_, style) in _LINES.items():
            for drawn, without in ((rows, {"linestyle": "none"}), (square, {"marker": ""})):
                seconds = [math.nan if row[key] is None else row[key] for row in drawn]
                axes.plot([_size(row) for row in drawn], seconds, **(style | without))
        for size, name in _names(rows):
            where = axes.get_xaxis_transform()
            axes.text(size, 1.02, name, transform=where, rotation=90, fontsize=8, ha="center", va="bottom")
        axes.set_title(title, fontsize=11, pad=92)
        axes.set_xlabel("entries of the matrix, n_in × n_out")
        axes.grid(which="major", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set(xscale="log", yscale="log", ylabel="time per projection [s]")
    panels[0].margins(x=0.1)
    handles = [panels[0].plot([], [], label=label, **style)[0] for label, style in _LINES.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    host = f"{result['cpu']}, {result['threads']} threads"
    names = "above: n_in → n_out (batch); lines join square matrices"
    figure.suptitle(f"Time per projection on the device's clock and on the host's ({host}); {names}")
    figure.savefig(path, dpi=140)


def _size(row: Mapping[str, Any]) -> float:
    return float(row["n_in"] * row["n_out"])


def _names(rows: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Size and shape of each row, smallest first; shapes of nearly the same size share a place."""
    names: list[tuple[float, str]] = []
    for row in rows:
        size = _size(row)
        name = f"{row['n_in']} → {row['n_out']} ({row['batch']})"
        if names and size < 1.5 * names[-1][0]:
            before, above = names.pop()
            size, name = math.sqrt(before * size), f"{above}\n{name}"
        names.append((size, name))
    return names
