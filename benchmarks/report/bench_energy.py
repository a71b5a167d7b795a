"""Section of a document of `opu bench energy`: devices and electronic cards, and from which size optics is ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from pydantic import Field

from benchmarks.report import figures
from benchmarks.report.bench_tables import all_keys, generic
from benchmarks.report.files import Stored
from benchmarks.report.page import Cell, Figure, Section, Table, cell, columns, number
from opu_sim.config import validated


class _Row(Stored):
    device: str
    variant: str | None = None
    operation: str | None = None
    n_in: int
    n_out: int
    seconds: float | None = None
    joules: float | None = None
    stage_joules: dict[str, float] | None = None


class _Crossover(Stored):
    against: str
    quantity: str
    size: float | None = None
    basis: str = ""
    device: str = "optics"
    variant: str | None = None
    operation: str | None = None


class _Line(Stored):
    device: str
    variant: str | None = None
    operation: str | None = None
    sizes: list[float]
    seconds: list[float | None]
    joules: list[float | None]


class _Sizes(Stored):
    optical: list[_Line] = Field(default_factory=list)
    electronic: list[_Line] = Field(default_factory=list)


class _Workload(Stored):
    n_in: int
    n_out: int
    vectors: int


class _Document(Stored):
    workload: _Workload | None = None
    rows: list[_Row]
    crossovers: list[_Crossover]
    sweep: _Sizes | None = None


_ROW = (
    ("device", "device", 1.0),
    ("operation", "operation", 1.0),
    ("variant", "variant", 1.0),
    ("n_in", "n_in", 1.0),
    ("n_out", "n_out", 1.0),
    ("vectors", "vectors", 1.0),
    ("time [s]", "seconds", 1.0),
    ("energy [J]", "joules", 1.0),
    ("power [W]", "watts", 1.0),
    ("TeraOPS peak", "teraops_peak", 1.0),
    ("TeraOPS optical", "teraops_optical", 1.0),
    ("TeraOPS delivered", "teraops_delivered", 1.0),
    ("utilisation", "utilisation", 1.0),
    ("TeraOPS / W", "teraops_per_watt", 1.0),
    ("J an op", "joules_per_op", 1.0),
    ("why not", "reason", 1.0),
)
_SHOWN = (
    "workload",
    "rows",
    "crossovers",
    "sweep",
    "training",
    "accelerators",
    "provenance",
    "experiment",
    "conventions",
)
_QUANTITIES = (("Time", "seconds", "time [s]"), ("Energy", "joules", "energy [J]"))


def section(content: dict[str, Any], where: str) -> Section:
    """The workload on every device; time and energy against size; crossovers; whatever else the document tables."""
    document = validated(_Document, content, where)
    drawn = []
    for name, key, label in _QUANTITIES:
        known = [row for row in document.rows if getattr(row, key)]
        if known and len({(row.n_in, row.n_out) for row in known}) == 1:
            caption = f"{name} of the workload, device by device; electronic cards by a model of their figures."
            painted = figures.drawn(partial(_bars, rows=known, key=key, label=label), height=1.2 + 0.3 * len(known))
            drawn.append(Figure(caption, painted))
    lines = document.sweep or _from_rows(document.rows)
    for name, key, label in _QUANTITIES:
        if any(len(line.sizes) > 1 for line in [*lines.optical, *lines.electronic]):
            caption = f"{name} against size n, of n → n projections; dashed: electronic cards."
            painted = figures.drawn(partial(_against_size, lines=lines, key=key, label=label), height=5.2)
            drawn.append(Figure(caption, painted))
    crossings = content["crossovers"]
    tables = [
        columns("Devices and cards (device time; no host time)", content["rows"], _ROW),
        _stages(document.rows),
        columns("Crossovers: the size from which the optical device wins", crossings, all_keys(crossings), folded=True),
        *_accelerators(content.get("accelerators")),
        *generic({key: value for key, value in content.items() if key not in _SHOWN}, folded=True),
        *generic({"training": content.get("training")}, folded=True),
    ]
    work = document.workload
    what = "of projections" if work is None else f"of {work.vectors:,} vectors, {work.n_in:,} → {work.n_out:,},"
    text = [f"Time and energy {what} on optical devices and on electronic cards; and from which size optics is ahead."]
    kept = [table for table in tables if table.rows]
    return Section("Energy and time", text=text, tiles=_tiles(document), figures=drawn, tables=kept)


def _name(entry: _Row | _Line | _Crossover) -> str:
    return ", ".join(part for part in (entry.device, entry.operation, entry.variant) if part)


def _tiles(document: _Document) -> list[tuple[str, str]]:
    """Crossovers with measured cards, or without any the first ones."""
    known = [entry for entry in document.crossovers if entry.size is not None]
    chosen = [entry for entry in known if entry.basis.startswith("measured, interpolated")] or known
    return [
        (number(round(entry.size or 0)), f"{entry.quantity} crossover, {_name(entry)} against {entry.against}")
        for entry in chosen[:4]
    ]


def _from_rows(rows: Sequence[_Row]) -> _Sizes:
    """Lines of a document whose rows are of several sizes."""
    lines: dict[str, list[_Row]] = {}
    for row in rows:
        lines.setdefault(_name(row), []).append(row)
    optical = []
    for name, found in lines.items():
        found.sort(key=lambda row: row.n_in * row.n_out)
        sizes = [math.sqrt(row.n_in * row.n_out) for row in found]
        seconds, joules = [row.seconds for row in found], [row.joules for row in found]
        optical.append(_Line(device=name, sizes=sizes, seconds=seconds, joules=joules))
    return _Sizes(optical=optical)


def _bars(axes: Axes, rows: Sequence[_Row], key: str, label: str) -> None:
    values = [getattr(row, key) for row in rows]
    axes.barh(range(len(rows)), values, color=figures.BLUE, height=0.65, left=0.0, log=True)
    for at, value in enumerate(values):
        axes.annotate(number(value, 3), (value, at), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [figures.plain(_name(row), 34) for row in rows], fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.set_xlim(0.4 * min(values), 30.0 * max(values))
    axes.set_xlabel(label)


def _against_size(axes: Axes, lines: _Sizes, key: str, label: str) -> None:
    styles = ("-", "--", ":", "-.")
    shades = (figures.MUTED, figures.INK)
    for index, line in enumerate([*lines.optical, *lines.electronic]):
        electronic = index >= len(lines.optical)
        place = index - len(lines.optical) if electronic else index
        colours = shades if electronic else figures.SERIES
        known = [
            (n, v) for n, v in zip(line.sizes, getattr(line, key), strict=False) if v is not None and v > 0 and n > 0
        ]
        if not known:
            continue
        style = styles[1 + place // len(colours) % 3] if electronic else "-" if place < len(colours) else "-."
        axes.plot(*zip(*known, strict=True), style, lw=1.1 if electronic else 1.6, color=colours[place % len(colours)],
                  marker="o" if len(known) < 6 else None, label=figures.plain(_name(line), 40))  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="size n", ylabel=label)
    axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8)


def _stages(rows: Sequence[_Row]) -> Table:
    """Energy by stage of the rows that have stages."""
    staged = [row for row in rows if row.stage_joules]
    names = list(dict.fromkeys(name for row in staged for name in row.stage_joules or {}))
    body = [[Cell(_name(row)), *(cell((row.stage_joules or {}).get(name)) for name in names)] for row in staged]
    return Table("Energy by stage [J]", ["device", *(f"{name} [J]" for name in names)], body)


def _accelerators(cards: Any) -> list[Table]:
    """Every figure of the electronic cards, with its source."""
    rows = []
    for card in cards if isinstance(cards, list) else ():
        if isinstance(card, Mapping) and isinstance(card.get("figures"), list):
            rows += [{"card": card.get("name"), **figure} for figure in card["figures"] if isinstance(figure, Mapping)]
    return [columns("Figures of the electronic cards", rows, all_keys(rows), folded=True)] if rows else []
