"""Section of a document of `opu bench energy`: devices and electronic cards over sizes, and where they cross."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from benchmarks.report import figures
from benchmarks.report.bench_tables import generic
from benchmarks.report.files import Stored
from benchmarks.report.page import Figure, Section, columns, number
from opu_sim.config import validated


class _Row(Stored):
    device: str
    n_in: int
    n_out: int
    seconds: float | None = None
    joules: float | None = None


class _Crossover(Stored):
    against: str
    quantity: str
    size: float | None = None


class _Document(Stored):
    rows: list[_Row]
    crossovers: list[_Crossover]


_ROW = (
    ("device", "device", 1.0),
    ("n_in", "n_in", 1.0),
    ("n_out", "n_out", 1.0),
    ("time [s]", "seconds", 1.0),
    ("energy [J]", "joules", 1.0),
    ("TeraOPS peak", "teraops_peak", 1.0),
    ("TeraOPS optical", "teraops_optical", 1.0),
    ("TeraOPS delivered", "teraops_delivered", 1.0),
    ("TeraOPS / W", "teraops_per_watt", 1.0),
    ("utilisation", "utilisation", 1.0),
    ("J an op", "joules_per_op", 1.0),
    ("power [W]", "watts", 1.0),
)
_CROSSOVER = (
    ("device", "device", 1.0),
    ("against", "against", 1.0),
    ("quantity", "quantity", 1.0),
    ("size n = n_in = n_out", "size", 1.0),
    ("published", "published", 1.0),
    ("source", "source", 1.0),
)
_SHOWN = ("rows", "crossovers", "provenance", "experiment", "conventions")


def section(content: dict[str, Any], where: str) -> Section:
    """Time and energy of one projection against size; crossovers; whatever else the document tables."""
    document = validated(_Document, content, where)
    drawn = [
        Figure(f"{name} of one projection against size, device by device.",
               figures.drawn(partial(_against_size, document=document, key=key, label=label)))
        for name, key, label in (("Time", "seconds", "time [s]"), ("Energy", "joules", "energy [J]"))
        if any(getattr(row, key) for row in document.rows)
    ]  # fmt: skip
    crossings = [entry for entry in document.crossovers if entry.size is not None]
    tiles = [(number(round(entry.size or 0)), f"crossover in {entry.quantity}, {entry.against}") for entry in crossings]
    tables = [
        columns("Crossovers: the size from which the optical device wins", content["crossovers"], _CROSSOVER),
        columns("Devices and cards (device time; no host time)", content["rows"], _ROW),
        *generic({key: value for key, value in content.items() if key not in _SHOWN}),
    ]
    text = ["Time and energy of a projection on optical devices and on electronic cards."]
    return Section("Energy and time", text=text, tiles=tiles[:8], figures=drawn, tables=[t for t in tables if t.rows])


def _against_size(axes: Axes, document: _Document, key: str, label: str) -> None:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in document.rows:
        value = getattr(row, key)
        if value is not None and value > 0:
            lines.setdefault(row.device, []).append(((row.n_in * row.n_out) ** 0.5, value))
    for index, (device, points) in enumerate(lines.items()):
        style: Mapping[str, Any] = {
            "color": figures.SERIES[index % len(figures.SERIES)],
            "marker": "os^Dv<>"[index % 7],
        }
        axes.plot(*zip(*sorted(points), strict=True), label=figures.plain(device, 22), lw=1.3, **style)
    axes.set(xscale="log", yscale="log", xlabel="size √(n_in · n_out)", ylabel=label)
    if len(lines) <= 10:
        axes.legend(fontsize=9)
