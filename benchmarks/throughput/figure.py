"""Figure of a `throughput.measure` document: the floor, the real device, growth with size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from benchmarks.throughput.tables import Row, ratio
from dfa.plots import save_png

_MEDIA = {"stored": "#1f5fa8", "streamed": "#1b8a5a", "wave-optics": "#d1495b"}
_MARKERS = {"intensity": "o", "anchor": "s", "off-axis": "^"}
_GREY, _BAND = "#777777", "#e9eef4"
_GOAL = 1.3


def plot(result: Mapping[str, Any], path: str | Path) -> None:
    """Three panels: host time over the floor; host, NumPy's and the device's time; growth with size (log-log).

    Parameters
    ----------
    result : mapping
        What `throughput.measure` returns; rows of the pixel rung are drawn.
    path : str or Path
        Image file to write.
    """
    rows = [row for row in result["rows"] if row["fidelity"] == "pixel"]
    figure = Figure(figsize=(16.0, max(3.4 + 0.27 * len(rows), 5.5)), layout=ConstrainedLayoutEngine(w_pad=0.12))
    floor, device, growth = figure.subplots(1, 3, width_ratios=(1.0, 1.35, 1.35))
    device.sharey(floor)
    _from_the_floor(floor, rows)
    _from_the_device(device, rows)
    _with_size(growth, rows, result.get("growth"))
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=6, frameon=False, fontsize=10)
    figure.suptitle(f"Simulator of the optical device on {result['cpu']}, {result['threads']} threads", fontsize=13)
    save_png(figure, Path(path))


def _from_the_floor(axes: Axes, rows: Sequence[Row]) -> None:
    """Ratio of each row, with the spread of its pairs; 1 to 1.3 shaded."""
    axes.axvspan(1.0, _GOAL, color=_BAND, zorder=0)
    axes.axvline(1.0, color="black", linewidth=1.0)
    for at, row in enumerate(rows):
        colour = _colour(row)
        axes.hlines(at, *row.get("ratio_to_floor_spread", 2 * [row["ratio_to_floor"]]), color=colour, alpha=0.4, lw=3)
        axes.plot(row["ratio_to_floor"], at, _MARKERS[row["recovery"]], color=colour, ms=6.5)
        axes.annotate(ratio(row["ratio_to_floor"]), (1.0, at), (4, 0), ("axes fraction", "data"), "offset points",
                      va="center", fontsize=8.5, color=colour)  # fmt: skip
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.5), max(high, 4.0))
    _plain_ticks(axes)
    axes.set_yticks(range(len(rows)), [f"{row['n_in']:,} → {row['n_out']:,}  ({row['batch']:,})" for row in rows])
    axes.tick_params(axis="y", labelsize=9, length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title("How far from the floor?", fontsize=12)
    axes.set_xlabel(f"host time over that of the bare products or FFTs\nshaded: 1 to {_GOAL}")
    axes.set_ylabel("n_in → n_out  (vectors a call)")
    _grid(axes)


def _from_the_device(axes: Axes, rows: Sequence[Row]) -> None:
    """Host time and that of the device's frames, joined; with a pass's latency; plain NumPy where the matrix fits."""
    for at, row in enumerate(rows):
        host, device = row["host_s_per_projection"], row["device_frames_s_per_projection"]
        axes.hlines(at, min(host, device), max(host, device), color=_colour(row), linewidth=1.2, alpha=0.5)
        axes.plot(row["device_s_per_projection"], at, "|", color="black", ms=9)
        if row["numpy_s_per_projection"] is not None:
            axes.plot(row["numpy_s_per_projection"], at, "x", color=_GREY, ms=6)
        axes.plot(device, at, "D", color="black", mfc="white", ms=6)
        axes.plot(host, at, _MARKERS[row["recovery"]], color=_colour(row), ms=6.5)
        axes.annotate(_against(host / device), (1.0, at), (4, 0), ("axes fraction", "data"), "offset points",
                      va="center", fontsize=8.5, color=_colour(row))  # fmt: skip
    axes.set_xscale("log")
    axes.tick_params(axis="y", labelleft=False, length=0)
    axes.set_title("How far from the real device?", fontsize=12)
    axes.set_xlabel("time a projection [s]\nright: host time against the device's frames")
    _grid(axes)


def _against(ratio: float) -> str:
    """Host over device time in words."""
    if 0.95 < ratio < 1.05:
        return "as fast"
    times = max(ratio, 1.0 / ratio)
    return f"{times:,.{0 if times >= 10 else 1}f} × {'faster' if ratio < 1 else 'slower'}"


def _with_size(axes: Axes, rows: Sequence[Row], grown: Mapping[str, Any] | None) -> None:
    """Host time against n_out: the wave-optics rows that the exponent is fitted to, and square stored matrices."""
    for recovery, marker in _MARKERS.items():
        square = [row for row in rows if (row["recovery"], row["medium"]) == (recovery, "stored")]
        square = [row for row in square if row["n_in"] == row["n_out"]]
        axes.plot(*_line(square, "host_s_per_projection"), color=_MEDIA["stored"], marker=marker, lw=1.4, ms=6)
    if grown is not None:
        n, n_in, host = (np.array(grown[key], dtype=np.float64) for key in ("n_out", "n_in", "host_s_per_projection"))
        waves = [row for row in rows if row["medium"] == "wave-optics" and row["n_out"] in grown["n_out"]]
        waves = [row for row in waves if row["recovery"] == "intensity"]
        mean = 0.5 * (n_in + n)
        law = mean * np.log(mean)
        axes.plot(n, law * np.exp(np.mean(np.log(host / law))), color="black", lw=1.0, ls="--")
        axes.plot(*_line(waves, "floor_s_per_projection"), color=_MEDIA["wave-optics"], lw=1.0, ls=":")
        axes.plot(n, host, color=_MEDIA["wave-optics"], marker="o", lw=1.8, ms=6)
        axes.plot(*_line(waves, "device_frames_s_per_projection"), color="black", marker="D", mfc="white", lw=0, ms=6)
        fits = (
            f"n = n_out: wave-optics as n^{grown['exponent']:.2f}, n log n as n^{grown['n_log_n_exponent']:.2f}\n"
            f"m = (n_in + n_out) / 2: m^{grown['mean_size_exponent']:.2f}, "
            f"m log m as m^{grown['mean_size_n_log_n_exponent']:.2f}"
        )
        axes.text(0.03, 0.98, fits, transform=axes.transAxes, va="top", fontsize=10)
    else:
        axes.text(0.03, 0.98, "too few wave-optics rows for a fit", transform=axes.transAxes, va="top", fontsize=10)
    axes.set(xscale="log", yscale="log")
    axes.margins(y=0.12)
    axes.set_title("How does cost grow?", fontsize=12)
    axes.set_xlabel("outputs n = n_out\n(n_in = n_out; at most the 1,039,680 mirrors)")
    axes.set_ylabel("time a projection [s]")
    _grid(axes, "both")


def _line(rows: Sequence[Row], key: str) -> tuple[list[float], list[float]]:
    ordered = sorted(rows, key=lambda row: int(row["n_out"]))
    return [row["n_out"] for row in ordered], [row[key] for row in ordered]


def _legend(rows: Sequence[Row]) -> list[Line2D]:
    media = [medium for medium in _MEDIA if any(row["medium"] == medium for row in rows)]
    recoveries = [recovery for recovery in _MARKERS if any(row["recovery"] == recovery for row in rows)]
    return [
        *(Line2D([], [], color=_MEDIA[m], lw=4, label=f"host, {m} medium") for m in media),
        *(Line2D([], [], color=_GREY, marker=_MARKERS[r], lw=0, label=r) for r in recoveries),
        Line2D([], [], color="black", marker="D", mfc="white", lw=0, label="device: frames, simulated clock"),
        Line2D([], [], color="black", marker="|", lw=0, ms=9, label="device: latency of the call's passes, too"),
        Line2D([], [], color=_GREY, marker="x", lw=0, label="plain NumPy, no physics"),
        Line2D([], [], color=_MEDIA["wave-optics"], lw=1.0, ls=":", label="its FFTs alone"),
        Line2D([], [], color="black", lw=1.0, ls="--", label="m log m, scaled to the host's"),
    ]


def _colour(row: Row) -> str:
    return _MEDIA.get(row["medium"], _GREY)


def _plain_ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if low <= tick <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _grid(axes: Axes, which: str = "x") -> None:
    axes.grid(axis="both" if which == "both" else "x", which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
