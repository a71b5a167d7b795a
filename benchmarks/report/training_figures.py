"""Figures of a training run: loss, accuracy and alignment against epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from benchmarks.report import figures

CURVES = (("train", "training", figures.BLUE), ("validation", "validation", figures.ORANGE))


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], key: str, **look: Any) -> None:
    known = [(row["epoch"], row[key]) for row in history if math.isfinite(row.get(key, math.nan))]
    if known:
        axes.plot(*zip(*known, strict=True), marker="o" if len(known) <= 60 else None, **look)


def loss(axes: Axes, history: Sequence[Mapping[str, float]]) -> None:
    """Loss of training and validation samples."""
    for part, name, colour in CURVES:
        _curve(axes, history, f"{part}_loss", color=colour, label=name)
    values = [row[f"{part}_loss"] for row in history for part, _, _ in CURVES if f"{part}_loss" in row]
    if values and min(values) > 0 and max(values) > 3 * min(values):
        axes.set_yscale("log")
    axes.set_title("Loss")
    axes.legend()
    figures.whole_epochs(axes)


def accuracy(axes: Axes, history: Sequence[Mapping[str, float]], test: float | None) -> None:
    """Accuracy of both in %, and of the test set in the end."""
    percent = [{key: 100 * v if key != "epoch" else v for key, v in row.items()} for row in history]
    for part, name, colour in CURVES:
        _curve(axes, percent, f"{part}_accuracy", color=colour, label=name)
    if test is not None:
        axes.axhline(100 * test, color=figures.MUTED, ls="--", lw=1.2, label=f"test: {100 * test:.2f} %")
    axes.set_title("Accuracy [%]")
    axes.legend()
    figures.whole_epochs(axes)


def alignment(axes: Axes, history: Sequence[Mapping[str, float]], layers: Sequence[str]) -> None:
    """Cosine to backpropagation, layer by layer."""
    for index, key in enumerate(layers):
        colour = figures.SERIES[index % len(figures.SERIES)]
        shown = f"hidden layer {key.removeprefix('alignment_')}" if len(layers) <= 6 or index % 4 == 0 else None
        _curve(axes, history, key, color=colour, label=shown)
    axes.axhline(0.0, color=figures.MUTED, lw=0.8)
    lowest = min((row[key] for row in history for key in layers if math.isfinite(row.get(key, math.nan))), default=0.0)
    axes.set(title="Alignment to backpropagation", ylim=(min(-0.1, lowest - 0.05), 1.05))
    axes.legend()
    figures.whole_epochs(axes)
