"""Figures of a training run: learning curves and alignment, and a camera frame with its speckle."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from dfa.checkpoint import write_atomic
from opu_sim import Opu

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9731a", "#777777"


def save_png(figure: Figure, path: Path) -> None:
    """Write the figure whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    write_atomic(path, buffer.getvalue())


def history_figure(
    history: list[dict[str, float]], alignments: list[list[float]], result: dict[str, Any], title: str
) -> Figure:
    """Loss, accuracy or perplexity, and alignment against epochs; the caption says what the device spent.

    alignments: rows of the step and a cosine a segment; empty where they were measured once an epoch only.
    """
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    loss, quality, angle = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    test = result["metrics"]["test"]

    def curve(axes: Axes, label: str, colour: str, values: list[float]) -> None:
        axes.plot(epochs, values, "o-", ms=3, color=colour, label=label)

    curve(loss, "training", _BLUE, [row["train_loss"] for row in history])
    if "validation_loss" in history[0]:
        curve(loss, "validation", _ORANGE, [row["validation_loss"] for row in history])
    language = "perplexity" in test
    loss.set(title="Loss [nat a token]" if language else "Loss", xlabel="epoch", yscale="linear" if language else "log")
    chosen = f"epoch {result['selected_epoch']}" if "selected_epoch" in result else "last epoch"
    if language:
        curve(quality, "training, as it went", _BLUE, [math.exp(row["train_loss"]) for row in history])
        if "validation_perplexity" in history[0]:
            curve(quality, "validation", _ORANGE, [row["validation_perplexity"] for row in history])
        quality.axhline(
            test["perplexity"], color=_GREY, ls="--", lw=1, label=f"test, {chosen}: {test['perplexity']:.2f}"
        )
        quality.set(title="Perplexity", xlabel="epoch", yscale="log")
        quality.yaxis.set_major_formatter(ScalarFormatter())
        quality.yaxis.set_minor_formatter(ScalarFormatter())
    else:
        curve(quality, "training", _BLUE, [100.0 * row["train_accuracy"] for row in history])
        if "validation_accuracy" in history[0]:
            curve(quality, "validation", _ORANGE, [100.0 * row["validation_accuracy"] for row in history])
        percent = 100.0 * test["accuracy"]
        quality.axhline(percent, color=_GREY, ls="--", lw=1, label=f"test, {chosen}: {percent:.1f} %")
        quality.set(title="Accuracy [%]", xlabel="epoch")
    model = result["experiment"]["model"]
    segment = "hidden layer" if "hidden" in model else "block" if model["injection"] == "macro" else "point"
    _draw_alignment(angle, history, alignments, segment)
    for axes in (loss, quality, angle):
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"{title}\n{_spent(result)}", fontsize=11)
    return figure


def _draw_alignment(axes: Axes, history: list[dict[str, float]], alignments: list[list[float]], name: str) -> None:
    keys = [key for key in history[0] if key.startswith("alignment_")]
    at = [row[0] for row in alignments] or [row["epoch"] for row in history]
    for segment, key in enumerate(keys):
        values = [row[segment + 1] for row in alignments] or [row[key] for row in history]
        shade = 0.25 + 0.6 * segment / max(len(keys) - 1, 1)
        axes.plot(
            at, values, "-" if alignments else "o-", ms=3, color=_BLUE, alpha=shade, label=f"{name} {segment + 1}"
        )
    axes.axhline(0.0, color=_GREY, lw=0.8)
    lowest = min((value for line in axes.get_lines() for value in np.asarray(line.get_ydata(), float)), default=0.0)
    axes.set(
        title="Cosine of update to backpropagation",
        xlabel="step" if alignments else "epoch",
        ylim=(min(-0.1, lowest - 0.05), 1.05),
    )


def _spent(result: dict[str, Any]) -> str:
    device = result["device"]
    if not device["device_s"]:
        return "digital: no simulated device time"
    return (
        f"{device['name']}: {device['device_s']:.4g} s of device time, {device['joules']:.4g} J, "
        f"{device['watts']:.3g} W, {device['teraops_delivered']:.3g} TeraOPS delivered"
    )


def camera_frame_figure(opu: Opu, pattern: NDArray[np.uint8]) -> Figure:
    """A camera frame as the sensor sees it, beside the histogram of its counts and the law of ideal speckle."""
    frame = opu.snapshot(pattern)
    holographic = opu.card.recovery.method == "off-axis"
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    picture, histogram = figure.subplots(1, 2, width_ratios=[1.15, 1])
    top = max(int(np.quantile(frame, 0.998)), 1)
    shown = picture.imshow(frame, cmap="inferno", vmin=0, vmax=top, interpolation="nearest")
    figure.colorbar(shown, ax=picture, label="counts [DN]", shrink=0.9)
    what = "hologram: speckle and reference fringes" if holographic else "speckle"
    picture.set(title=f"{opu.name}: {what}", xlabel="column [pixel]", ylabel="row [pixel]")
    counts = np.bincount(frame.ravel(), minlength=top + 1)[: top + 1] / frame.size
    histogram.bar(np.arange(top + 1), counts, width=1.0, color=_BLUE, label="frame")
    mean = float(frame.mean())
    if not holographic and mean > 0:
        level = np.arange(top + 1)
        law = np.exp(-np.maximum(level - 0.5, 0) / mean) - np.exp(-(level + 0.5) / mean)
        histogram.plot(level, law, color=_ORANGE, label="exponential law of full speckle")
        histogram.set_yscale("log")
        histogram.set_ylim(0.3 / frame.size, None)
    contrast = float(frame.std()) / mean if mean else 0.0
    histogram.set(title=f"mean {mean:.1f} DN, contrast {contrast:.2f}", xlabel="counts [DN]", ylabel="share of pixels")
    histogram.legend(frameon=False)
    return figure
