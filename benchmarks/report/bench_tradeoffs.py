"""Section of a document of `opu bench tradeoffs`: four keys of the device, and what accuracy costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from pydantic import Field

from benchmarks.report import figures
from benchmarks.report.files import Stored
from benchmarks.report.page import Cell, Figure, Section, Table, cell, columns
from benchmarks.report.pareto import front, knee
from opu_sim.config import validated


class _Point(Stored):
    value: float
    base: bool = False
    accuracy_mean: float
    accuracy_std: float | None = None
    watts: float
    joules: float
    left_out: str | None = None


class _Direction(Stored):
    expected: str
    measured: str | None = None


class _Sweep(Stored):
    key: str
    move: str
    name: str
    unit: str
    points: list[_Point]
    directions: dict[str, _Direction] = Field(default_factory=dict)


class _Document(Stored):
    experiment: dict[str, Any]
    device: str
    seeds: int
    sweeps: list[_Sweep]


_POINT = (
    ("accuracy [%]", "accuracy_mean", 100.0),
    ("± [%]", "accuracy_std", 100.0),
    ("effective bits", "bits_mean", 1.0),
    ("frame rate [Hz]", "frame_rate_hz", 1.0),
    ("device time [s]", "device_s", 1.0),
    ("power [W]", "watts", 1.0),
    ("energy [J]", "joules", 1.0),
    ("photons a pixel", "photons_per_pixel", 1.0),
    ("slowest stage", "slowest_stage", 1.0),
    ("left out", "left_out", 1.0),
)


def section(content: dict[str, Any], where: str) -> Section:
    """A figure and a table a key, the Pareto fronts of all points, and which way each quantity goes."""
    document = validated(_Document, content, where)
    drawn = [
        Figure(f"{sweep.name[:1].upper()}{sweep.name[1:]}: test accuracy, mean and standard deviation over seeds; "
               "hollow: saturated or without counts.", figures.drawn(partial(_accuracy, sweep=sweep)))
        for sweep in document.sweeps
    ]  # fmt: skip
    points = [point for sweep in document.sweeps for point in sweep.points if point.left_out is None]
    for key, unit in (("joules", "energy of the run [J]"), ("watts", "power [W]")):
        caption = f"Accuracy against {unit.split(' [')[0]}: all points of all keys, and the best of them."
        drawn.append(Figure(caption, figures.drawn(partial(_front, points=points, key=key, unit=unit))))
    tables = [
        columns(
            f"{sweep.name} ({sweep.key})",
            stored["points"],
            ((f"{sweep.name} [{sweep.unit}]", "value", 1.0), *_POINT),
        )
        for sweep, stored in zip(document.sweeps, content["sweeps"], strict=True)
    ]
    name = str(document.experiment.get("name", "an experiment"))
    text = f"{name} through {document.device}, {document.seeds} seeds a point: each key moved alone from the base."
    return Section(
        f"{name}: trade-offs of the device", text=[text], figures=drawn, tables=[_directions(document), *tables]
    )


def _accuracy(axes: Axes, sweep: _Sweep) -> None:
    points = sorted(sweep.points, key=lambda point: point.value)
    x, y = [point.value for point in points], [100 * point.accuracy_mean for point in points]
    axes.errorbar(x, y, [100 * (point.accuracy_std or 0.0) for point in points], color=figures.BLUE, lw=1.4, capsize=3)
    for point, at, value in zip(points, x, y, strict=True):
        hollow = point.left_out is not None
        axes.plot(at, value, "o", ms=8 if point.base else 5, color=figures.BLUE,
                  mfc=figures.PAPER if hollow else figures.BLUE, zorder=3)  # fmt: skip
    if figures.is_wide(x):
        axes.set_xscale("log")
    axes.set(xlabel=figures.plain(f"{sweep.name} [{sweep.unit}]"), title="Test accuracy [%]")


def _front(axes: Axes, points: Sequence[_Point], key: str, unit: str) -> None:
    cost, gain = [getattr(point, key) for point in points], [100 * point.accuracy_mean for point in points]
    best = front(cost, gain)
    figures.front(axes, cost, gain, best, knee(cost, gain, best))
    axes.set(xlabel=unit, title="Test accuracy [%]")


def _directions(document: _Document) -> Table:
    rows = []
    for sweep in document.sweeps:
        for quantity, found in sweep.directions.items():
            passed = found.expected == found.measured
            measured = Cell(found.measured or "–")
            rows.append(
                [Cell(sweep.move), Cell(quantity.replace("_", " ")), Cell(found.expected), measured, cell(passed)]
            )
    return Table("Which way each quantity goes", ("move", "quantity", "derived", "measured", "as derived"), rows)
