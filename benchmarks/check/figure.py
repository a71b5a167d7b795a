"""Figure sheet of a self-test: eight panels, each beside the law or the prediction that it is compared with."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.check import bank_figure
from dfa.plots import save_png
from opu_sim.medium.statistics import marchenko_pastur_cdf
from opu_sim.self_test import Check, SelfTest

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9731a", "#777777"
_GREEN, _RED = "#2b7a3d", "#c0272d"


def draw(test: SelfTest, path: Path) -> None:
    """Write the figure sheet (PNG): eight panels, each with the law or the prediction that it is compared with.

    A weight bank has panels of its own.
    """
    if "spectrum" in test.series:
        bank_figure.draw(test, path)
        return
    figure = Figure(figsize=(18.0, 9.4), layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    for axes, (title, key, checks, paint) in zip(panels, _PANELS, strict=True):
        series = test.series.get(key)
        axes.set_title(title, fontsize=12, fontweight="bold", color=_colour(test.checks, checks), pad=8)
        if series is None:
            _absent(axes, test.checks, checks)
        else:
            axes.grid(alpha=0.25)
            axes.set_axisbelow(True)
            paint(axes, series)
        axes.tick_params(labelsize=10)
        axes.xaxis.label.set_size(11)
        axes.yaxis.label.set_size(11)
    figure.suptitle(f"{test.counted()}\n{test.n_in} inputs, {test.n_out} outputs, seed {test.seed}", fontsize=14)
    figure.supxlabel(
        "titles: green passed, red failed, grey not compared; orange: the law or the prediction", fontsize=10
    )
    save_png(figure, path)


def _chosen(checks: list[Check], names: tuple[str, ...]) -> list[Check]:
    return [check for check in checks if check.name.startswith(names)]


def _colour(checks: list[Check], names: tuple[str, ...]) -> str:
    outcomes = {check.passed for check in _chosen(checks, names)}
    return _RED if False in outcomes else _GREEN if True in outcomes else _GREY


def _absent(axes: Axes, checks: list[Check], names: tuple[str, ...]) -> None:
    notes = [check.note for check in _chosen(checks, names) if check.note]
    notes += [check.note for check in checks if check.measured is None and check.name.startswith("speckle, noise")]
    text = textwrap.fill(f"not measured: {notes[0]}" if notes else "not measured", 34)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=_GREY, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


def _speckle(axes: Axes, series: dict[str, Any]) -> None:
    top = 7.0
    bins = np.linspace(0.0, top, 36)
    share, _ = np.histogram(series["intensity"], bins)
    density = share / (series["intensity"].size * np.diff(bins))
    axes.stairs(density, bins, fill=True, color=_BLUE, alpha=0.55, label="measured")
    law = np.diff(series["law"].cdf(bins)) / np.diff(bins)
    axes.plot(0.5 * (bins[1:] + bins[:-1]), law, color=_ORANGE, lw=2, label="law of the speckle")
    axes.set_yscale("log")
    axes.set(xlabel="intensity over its mean", ylabel="probability density", xlim=(0, top), ylim=(3e-4, 2.0))
    _say(axes, f"contrast {series['contrast']:.3f}", 0.04, 0.06)
    axes.legend(frameon=False, fontsize=10)


def _matrix(axes: Axes, series: dict[str, Any]) -> None:
    squared, gamma = series["squared"], series["gamma"]
    low, high = (1.0 - gamma**0.5) ** 2, (1.0 + gamma**0.5) ** 2
    axes.hist(squared, bins=24, density=True, color=_BLUE, alpha=0.55, label="measured")
    x = np.linspace(0.98 * low, 1.02 * high, 400)
    middle = 0.5 * (x[1:] + x[:-1])
    axes.plot(
        middle, np.diff(marchenko_pastur_cdf(x, gamma)) / np.diff(x), color=_ORANGE, lw=2, label="Marchenko–Pastur"
    )
    axes.set(xlabel="squared singular value (mean 1)", ylabel="density")
    axes.set_ylim(0.0, 1.3 * axes.get_ylim()[1])
    _say(axes, f"KS {series['ks']:.4f}", 0.04, 0.9)
    axes.legend(frameon=False, fontsize=10, loc="upper right")


def _linearity(axes: Axes, series: dict[str, Any]) -> None:
    x, y = (_thinned(series[key]) for key in ("sum", "together"))
    limit = 1.05 * float(np.max(np.abs([x, y])))
    axes.plot(x, y, ".", ms=2, color=_BLUE, alpha=0.35, rasterized=True)
    axes.plot([-limit, limit], [-limit, limit], color=_ORANGE, lw=1.5, ls="--")
    axes.set(xlabel="project(a) + project(b)", ylabel="project(a + b)", xlim=(-limit, limit), ylim=(-limit, limit))
    _say(axes, f"slope {series['slope']:.4f}", 0.05, 0.9)
    inset = axes.inset_axes((0.66, 0.12, 0.31, 0.31))
    inset.plot([0, 1], [0, 1], color=_ORANGE, lw=1.2)
    inset.plot(series["scales"], series["scaled"], "o", ms=4, color=_BLUE)
    inset.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1])
    inset.set_title("project(s x) on s", fontsize=9, pad=3)
    inset.tick_params(labelsize=8)


def _repeatability(axes: Axes, series: dict[str, Any]) -> None:
    x, y = _thinned(series["first"]), _thinned(series["second"])
    rng = np.random.default_rng(0)  # counts are whole numbers: spread over a code's width, so that dots do not cover
    x, y = (part + rng.uniform(-0.4, 0.4, part.shape) for part in (x, y))
    limit = float(np.quantile(x, 0.998))
    axes.plot(x, y, ".", ms=2.5, color=_BLUE, alpha=0.4, rasterized=True)
    axes.plot([0, limit], [0, limit], color=_ORANGE, lw=1.5)
    axes.set(
        xlabel="first shot [DN]", ylabel="second shot [DN]", xlim=(-0.02 * limit, limit), ylim=(-0.02 * limit, limit)
    )
    _say(axes, f"Pearson {series['pearson']:.4f}", 0.05, 0.9)


def _photon_transfer(axes: Axes, series: dict[str, Any]) -> None:
    mean, variance, level, fit = (series[key] for key in ("mean", "variance", "level", "fit"))
    levels = np.unique(level)
    shown = levels[[0, len(levels) // 2 - 1, -1]] if len(levels) > 3 else levels
    for value, shade in zip(shown, np.linspace(0.3, 1.0, len(shown)), strict=True):
        here = (level == value) & (mean > 0.5)
        x, y = _binned(mean[here], variance[here])
        axes.plot(x, y, "o", ms=4, color=_BLUE, alpha=shade, label=f"⟨I⟩ = {value:.1f} DN")
        curve = np.geomspace(x[0], x[-1], 300)
        axes.plot(curve, fit.variance_of_counts(curve, value, series["converter"]), color=_ORANGE, lw=1.5)
    axes.set(xscale="log", yscale="log", xlabel="mean of a pixel [DN]", ylabel="temporal variance [DN²]")
    _say(axes, f"K = {fit.gain:.4g} DN/e⁻\nread noise {fit.read_noise_e:.1f} e⁻", 0.52, 0.07)
    axes.legend(frameon=False, fontsize=10, loc="upper left")


def _snr(axes: Axes, series: dict[str, Any]) -> None:
    light = 100.0 * np.array(series["light"])
    measured, expected = (_decibels(series[key]) for key in ("measured", "expected"))
    axes.plot(light, expected, color=_ORANGE, lw=2, label="predicted")
    axes.fill_between(light, expected - 0.5, expected + 0.5, color=_ORANGE, alpha=0.2, lw=0, label="± 0.5 dB")
    axes.plot(light, measured, "o", ms=7, color=_BLUE, label="measured")
    axes.set(xlabel="inputs ON [%]", ylabel="signal to noise of project [dB]", xlim=(0, 1.1 * light.max()))
    axes.margins(y=0.25)
    if np.isfinite(expected).any():
        axes.legend(frameon=False, fontsize=10, loc="lower right")


def _drift(axes: Axes, series: dict[str, Any]) -> None:
    minutes = np.array(series["time_s"]) / 60.0
    axes.plot(minutes, series["law"], color=_ORANGE, lw=2, label="expected")
    axes.plot(minutes, series["correlation"], "o", ms=7, color=_BLUE, label="measured, noise taken off")
    low = min(*series["law"], *series["correlation"])
    axes.set(xlabel="device time [min]", ylabel="correlation with the first look")
    axes.set_ylim(1.0 - max(1.4 * (1.0 - low), 0.02), 1.0 + max(0.15 * (1.0 - low), 0.004))
    axes.legend(frameon=False, fontsize=10, loc="lower left")


def _budget(axes: Axes, series: dict[str, Any]) -> None:
    stages = dict(series["stages_us"])
    period = stages.pop("period", None)
    names = [*stages, "measured"]
    values = [*stages.values(), series["measured_us"]]
    bars = axes.barh(names, values, color=[*[_BLUE] * len(stages), _GREY], alpha=0.75)
    axes.bar_label(bars, labels=[f"{value:.0f}" for value in values], padding=4, fontsize=10)
    if period is not None:
        axes.axvline(period, color=_ORANGE, lw=2)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.18 * max(values))
    axes.set_xlabel("µs a frame (stages overlap)")
    axes.grid(axis="y", visible=False)


def _say(axes: Axes, text: str, x: float, y: float) -> None:
    axes.text(x, y, text, transform=axes.transAxes, fontsize=11)


def _thinned(values: np.ndarray[Any, Any], most: int = 6000) -> np.ndarray[Any, Any]:
    return values[:: max(math.ceil(values.size / most), 1)]


def _binned(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Means of both in bins of equal ratio that hold ten points or more."""
    bin_ = np.digitize(x, np.geomspace(x.min(), x.max(), 26))
    held = [bin_ == k for k in np.unique(bin_) if np.sum(bin_ == k) >= 10]
    return np.array([x[part].mean() for part in held]), np.array([y[part].mean() for part in held])


def _decibels(values: list[float]) -> np.ndarray[Any, Any]:
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = 10.0 * np.log10(np.array(values, dtype=float))
    return np.where(np.isfinite(shown), shown, np.nan)


_PANELS: list[tuple[str, str, tuple[str, ...], Callable[[Axes, dict[str, Any]], None]]] = [
    ("Speckle", "speckle", ("speckle c", "speckle l", "mean level", "dark", "saturated"), _speckle),
    ("Singular values of the matrix", "matrix", ("singular values", "scale of"), _matrix),
    ("Linearity", "linearity", ("superposition", "proportionality", "cosine"), _linearity),
    ("Two shots of one input", "repeatability", ("repeatability", "noise of a shot"), _repeatability),
    ("Photon transfer", "photon transfer", ("camera gain", "read noise", "light new", "laser"), _photon_transfer),
    ("Signal to noise", "snr", ("signal to noise", "effective bits"), _snr),
    ("Drift", "drift", ("drift",), _drift),
    ("Frame budget", "budget", ("frame",), _budget),
]
