"""Section of a document of `opu bench throughput`: host time beside the floor; device time in a table of its own."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks.report import figures
from benchmarks.report.files import Stored
from benchmarks.report.page import Figure, Section, columns, number
from benchmarks.throughput.tables import summary
from opu_sim.config import refused, validated


class _Row(Stored):
    n_in: int
    n_out: int
    batch: int
    recovery: str
    medium: str
    fidelity: str
    host_s_per_projection: float
    floor_s_per_projection: float
    ratio_to_floor: float
    numpy_s_per_projection: float | None = None
    device_s_per_projection: float
    device_frames_s_per_projection: float | None = None
    simulated_teraops: float
    peak_rss_bytes: int


class _Document(Stored):
    rows: list[_Row]
    cpu: str = "an unnamed processor"
    threads: int = 1


_WHAT = (
    ("n_in", "n_in", 1.0),
    ("n_out", "n_out", 1.0),
    ("batch", "batch", 1.0),
    ("recovery", "recovery", 1.0),
    ("medium", "medium", 1.0),
    ("fidelity", "fidelity", 1.0),
    ("input", "input", 1.0),
)
_HOST = (
    ("host [µs]", "host_s_per_projection", 1e6),
    ("floor [µs]", "floor_s_per_projection", 1e6),
    ("host / floor", "ratio_to_floor", 1.0),
    ("NumPy [µs]", "numpy_s_per_projection", 1e6),
    ("simulated TeraOPS", "simulated_teraops", 1.0),
    ("peak memory [MB]", "peak_rss_bytes", 1e-6),
    ("speed-up from threads", "speed_up_from_threads", 1.0),
)
_DEVICE = (
    ("device [µs]", "device_s_per_projection", 1e6),
    ("of it frames [µs]", "device_frames_s_per_projection", 1e6),
    ("frames", "frames_per_projection", 1.0),
    ("mirrors used", "mirrors_used", 1.0),
    ("pixels read", "pixels_read", 1.0),
)
_MARKERS = "os^Dv<>"


def section(content: dict[str, Any], where: str) -> Section:
    """Host figures, then device figures."""
    document = validated(_Document, content, where)
    try:
        said = summary(content)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise refused(f"{where}: damaged: {type(error).__name__}: {error}") from None
    rows = document.rows
    pixel = [row for row in rows if row.fidelity == "pixel"] or rows
    drawn = [
        Figure("Host time of one projection against its outputs (pixel by pixel).",
               figures.drawn(lambda axes: _scatter(axes, pixel, "host_s_per_projection", "host time [s]"))),
        Figure("Host time over the floor: bare matrix products, or FFTs (1: none faster with this medium).",
               figures.drawn(lambda axes: _scatter(axes, pixel, "ratio_to_floor", "host time / floor"))),
        Figure("Device time (simulated) of one projection, the latency of its pass included.",
               figures.drawn(lambda axes: _scatter(axes, pixel, "device_s_per_projection", "device time [s]"))),
    ]  # fmt: skip
    largest = max(rows, key=lambda row: row.n_in * row.n_out)
    size = f"{largest.n_in:,} → {largest.n_out:,}"
    tiles = [
        (f"{number(1e3 * largest.host_s_per_projection, 3)} ms", f"host time, {size}"),
        (number(largest.ratio_to_floor, 3), f"host time over the floor, {size}"),
        (number(largest.simulated_teraops, 3), f"TeraOPS simulated, {size}"),
        (f"{number(largest.peak_rss_bytes / 1e6, 3)} MB", f"peak memory, {size}"),
    ]
    first = f"Speed of the simulator on {document.cpu}, {document.threads} threads: {len(rows)} sizes and recoveries."
    tables = [
        columns("Host time a projection", content["rows"], _WHAT + _HOST),
        columns("Device time a projection (simulated)", content["rows"], _WHAT + _DEVICE),
    ]
    return Section("Throughput", text=[first, *said], tiles=tiles, figures=drawn, tables=tables)


def _scatter(axes: Axes, rows: list[_Row], key: str, label: str) -> None:
    """One point a row: colours are media, markers recoveries."""
    media = list(dict.fromkeys(row.medium for row in rows))
    recoveries = list(dict.fromkeys(row.recovery for row in rows))
    colour = {medium: figures.SERIES[i % len(figures.SERIES)] for i, medium in enumerate(media)}
    marker = {recovery: _MARKERS[i % len(_MARKERS)] for i, recovery in enumerate(recoveries)}
    for row in rows:
        axes.plot(row.n_out, getattr(row, key), marker[row.recovery], color=colour[row.medium], ms=6, alpha=0.85)
    if all(getattr(row, key) > 0 for row in rows):
        axes.set(xscale="log", yscale="log")
    if key == "ratio_to_floor":
        axes.axhline(1.0, color=figures.MUTED, lw=1.2, ls="--")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="outputs n_out", ylabel=label)
    handles = [Line2D([], [], color=colour[m], lw=4, label=figures.plain(m, 16)) for m in media]
    handles += [Line2D([], [], color=figures.MUTED, marker=marker[r], lw=0, ms=6, label=figures.plain(r, 16))
                for r in recoveries]  # fmt: skip
    axes.legend(handles=handles, ncols=2, fontsize=9)
