"""Section of a document of `opu bench training`: the five methods on one experiment."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from pydantic import Field

from benchmarks.report import figures
from benchmarks.report.files import Stored
from benchmarks.report.page import Cell, Figure, Section, Table, cell, columns, number
from opu_sim.config import validated


class _Experiment(Stored):
    name: str
    description: str = ""


class _Row(Stored):
    method: str
    variant: str | None = None
    accuracies: list[float]
    accuracy_mean: float
    accuracy_std: float | None = None
    alignment: list[float] = Field(default_factory=list)
    host_s_per_epoch: float
    device: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """A comparison of devices calls its rows variants."""
        return self.variant or self.method


class _Ratio(Stored):
    median: float
    min: float
    max: float
    pairs: int


class _Document(Stored):
    experiment: _Experiment
    rows: list[_Row]
    optical_over_digital_epoch: _Ratio | None = None


_DEVICE = (
    ("method", "method", 1.0),
    ("device", "name", 1.0),
    ("projections", "projections", 1.0),
    ("frames", "frames", 1.0),
    ("device time [s]", "device_s", 1.0),
    ("energy [J]", "joules", 1.0),
    ("power [W]", "watts", 1.0),
    ("TeraOPS peak", "teraops_peak", 1.0),
    ("TeraOPS optical", "teraops_optical", 1.0),
    ("TeraOPS delivered", "teraops_delivered", 1.0),
    ("utilisation", "utilisation", 1.0),
    ("J an op", "joules_per_op", 1.0),
)


def section(content: dict[str, Any], where: str) -> Section:
    """Accuracy and alignment of each method; device and host figures apart."""
    document = validated(_Document, content, where)
    rows, ratio = document.rows, document.optical_over_digital_epoch
    accuracy = Table(
        "Test accuracy and alignment",
        ("method", "accuracy [%]", "± [%]", "seeds", "alignment, layer by layer"),
        [
            [
                Cell(row.name),
                Cell(f"{100 * row.accuracy_mean:.2f}", row.accuracy_mean),
                Cell(f"{100 * row.accuracy_std:.2f}", row.accuracy_std) if row.accuracy_std is not None else Cell("–"),
                cell(len(row.accuracies)),
                Cell(", ".join(f"{cosine:.2f}" for cosine in row.alignment)),
            ]
            for row in rows
        ],
    )
    devices = [{"method": row.name, **row.device} for row in rows if row.device]
    host = Table(
        "Host time of this program",
        ("method", "s an epoch"),
        [[Cell(row.name), cell(row.host_s_per_epoch, 3)] for row in rows],
    )
    drawn = [Figure("Test accuracy; dots are seeds, bars mean and standard deviation.",
                    figures.drawn(lambda axes: _accuracies(axes, rows)))]  # fmt: skip
    if any(row.alignment for row in rows):
        caption = "Cosine between each hidden layer's update and the one of backpropagation, mean over seeds."
        drawn.append(Figure(caption, figures.drawn(lambda axes: _alignments(axes, rows))))
    named = document.experiment
    compared = "variants" if any(row.variant for row in rows) else "training methods"
    text = [f"{named.description or named.name}: {len(rows)} {compared}, {len(rows[0].accuracies)} seeds."]
    if ratio is not None:
        text.append(
            f"Host time of an optical epoch over a digital one: {number(ratio.median, 3)}, "
            f"{number(ratio.min, 3)} to {number(ratio.max, 3)} over {ratio.pairs} pairs."
        )
    tables = [accuracy, *([columns("Device (simulated, seed 0)", devices, _DEVICE)] if devices else []), host]
    tiles = [(f"{100 * row.accuracy_mean:.2f} %", f"test accuracy, {row.name}") for row in rows]
    return Section(f"{named.name}: {compared}", text=text, tiles=tiles, figures=drawn, tables=tables)


def _accuracies(axes: Axes, rows: list[_Row]) -> None:
    for at, row in enumerate(rows):
        axes.plot([at] * len(row.accuracies), [100 * value for value in row.accuracies], "o", color=figures.BLUE,
                  alpha=0.55, ms=5)  # fmt: skip
        axes.errorbar(at, 100 * row.accuracy_mean, 100 * (row.accuracy_std or 0.0), fmt="_", ms=18, mew=2.0,
                      capsize=5, color=figures.ORANGE)  # fmt: skip
    _methods(axes, rows)
    axes.set_title("Test accuracy [%]")


def _alignments(axes: Axes, rows: list[_Row]) -> None:
    layers = max(len(row.alignment) for row in rows)
    for layer in range(layers):
        at = [
            index + (layer - (layers - 1) / 2) * 0.7 / layers
            for index, row in enumerate(rows)
            if len(row.alignment) > layer
        ]
        values = [row.alignment[layer] for row in rows if len(row.alignment) > layer]
        colour = figures.SERIES[layer % len(figures.SERIES)]
        axes.bar(
            at, values, width=0.65 / layers, color=colour, label=f"hidden layer {layer + 1}" if layer < 6 else None
        )
    _methods(axes, rows)
    axes.set_title("Alignment to backpropagation")
    if layers > 1:
        axes.legend()


def _methods(axes: Axes, rows: list[_Row]) -> None:
    axes.set_xticks(range(len(rows)), [figures.plain(row.name, 14) for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.grid(visible=False, axis="x")
