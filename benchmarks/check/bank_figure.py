"""Figure sheet of a weight bank's self-test: light of a row, weights against drives, errors of inner products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from scipy.stats import norm

from dfa.plots import save_png
from opu_sim.self_test import SelfTest

_THROUGH, _DROP, _GREY, _RED = "#1f5fa8", "#d9731a", "#777777", "#c0272d"
_GREEN = "#2b7a3d"


def draw(test: SelfTest, path: Path) -> None:
    """Write the figure sheet (PNG) of a self-test that has looked at a bank's rings."""
    figure = Figure(figsize=(17.0, 9.6), layout="constrained")
    grid = GridSpec(2, 12, figure, height_ratios=(1.0, 1.15))
    spectrum, drive = test.series["spectrum"], test.series["drive"]
    products = test.series["products"]
    _row(figure.add_subplot(grid[0, :8]), spectrum)
    _one_channel(figure.add_subplot(grid[0, 8:]), spectrum)
    _drive(figure.add_subplot(grid[1, :3]), drive)
    _weight_error(figure.add_subplot(grid[1, 3:6]), drive)
    _device_errors(figure.add_subplot(grid[1, 6:9]), products)
    _mac_errors(figure.add_subplot(grid[1, 9:]), products)
    for axes in figure.axes:
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=10)
        axes.title.set_fontweight("bold")
        axes.title.set_fontsize(12)
        axes.xaxis.label.set_size(11)
        axes.yaxis.label.set_size(11)
    figure.suptitle(test.summary(), fontsize=14, color=_GREEN if test.passed else _RED)
    save_png(figure, path)


def _row(axes: Axes, series: dict[str, Any]) -> None:
    wavelengths, channels = 1e9 * series["wavelengths_m"], 1e9 * series["channels_m"]
    through, drop = series["at_channels"]
    for channel in channels:
        axes.axvline(channel, color=_GREY, lw=0.7, ls=":")
    axes.plot(wavelengths, series["through"], color=_THROUGH, lw=1.2, label="through port")
    axes.plot(wavelengths, series["drop"], color=_DROP, lw=1.2, label="drop port")
    axes.plot(channels, through, "o", ms=5, color=_THROUGH)
    axes.plot(channels, drop, "o", ms=5, color=_DROP)
    axes.plot(channels, np.full_like(channels, 1.03), "v", ms=6, color="black", label="channels")
    for channel, weight in zip(channels, drop - through, strict=True):
        axes.annotate(
            f"{weight:+.2f}",
            (channel, 1.03),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=min(9.0, 190.0 / len(channels)),
            color="black",
        )
    axes.set(xlabel="wavelength [nm]", ylabel="power over the input's", ylim=(0.0, 1.27))
    axes.set_xlim(wavelengths[0], wavelengths[-1])
    axes.set_title(
        f"Light of one row, {len(channels)} rings, set to its weights (above); "
        f"free spectral range {1e9 * series['free_spectral_range_m']:.1f} nm"
    )
    axes.legend(fontsize=10, loc="upper center", ncols=3, frameon=False)


def _one_channel(axes: Axes, series: dict[str, Any]) -> None:
    """A channel in the middle, beside its neighbours."""
    through, drop = series["at_channels"]
    k = len(drop) // 2
    channels = 1e12 * (series["channels_m"] - series["channels_m"][k])
    offset = 1e12 * (series["wavelengths_m"] - series["channels_m"][k])
    half = 1.45 * (channels[1] - channels[0]) if len(channels) > 1 else 8e12 * series["linewidth_m"]
    near = np.abs(offset) <= half
    through_all, drop_all = series["through"], series["drop"]
    axes.plot(offset[near], through_all[near], color=_THROUGH, lw=2)
    axes.plot(offset[near], drop_all[near], color=_DROP, lw=2)
    axes.plot(offset[near], (through_all + drop_all)[near], color=_GREY, lw=1, ls="--", label="through + drop")
    shown = np.abs(channels) <= half
    for channel in channels[shown]:
        axes.axvline(channel, color=_GREY, lw=0.8, ls=":")
    axes.plot(channels[shown], through[shown], "o", ms=7, color=_THROUGH)
    axes.plot(channels[shown], drop[shown], "o", ms=7, color=_DROP)
    axes.set(xlabel="distance from a channel [pm]", ylim=(0.0, 1.27), xlim=(-half, half))
    axes.set_title(f"Neighbours; a line of {1e12 * series['linewidth_m']:.0f} pm, Q = {series['quality_factor']:.0f}")
    axes.legend(fontsize=10, loc="upper center", frameon=False)


def _drive(axes: Axes, series: dict[str, Any]) -> None:
    """All channels of some rows; below, enlarged, where rings are farthest out and neighbours count most."""
    inset = axes.inset_axes((0.47, 0.40, 0.51, 0.36))
    for panel in (axes, inset):
        panel.plot(*series["curve"], color=_GREY, lw=2, label="ring alone")
        for name, colour, text in _CALIBRATIONS:
            if name in series:
                detuning, weights = series[name]
                style: dict[str, Any] = {"mfc": "none", "ms": 4} if name == "separate" else {"ms": 2}
                panel.plot(detuning.ravel(), weights.ravel(), "o", color=colour, label=text, **style)
        for end in (-1.0, 1.0):
            panel.axhline(end * series["weight_range"], color=_GREY, lw=0.8, ls="--")
    farthest = max(float(series[name][0].max()) for name, _, _ in _CALIBRATIONS if name in series)
    inset.set_xlim(0.55 * farthest, 1.05 * farthest)
    inset.set_ylim(-1.2 * series["weight_range"], -0.6 * series["weight_range"])
    inset.tick_params(labelsize=8)
    right = float(np.max(series["curve"][0]))
    axes.set(xlabel="drive: detuning of the ring [pm]", ylabel="weight of its channel", xlim=(0.0, right))
    axes.set_ylim(top=1.05)
    axes.set_title("Weight against drive")
    axes.legend(fontsize=9, frameon=False, loc="upper right")


def _weight_error(axes: Axes, series: dict[str, Any]) -> None:
    wanted = series["target"].ravel()
    for name, colour, text in _CALIBRATIONS:
        if name in series:
            error = series[name][1].ravel() - wanted
            label = f"{text}: rms {np.sqrt(np.mean(error**2)):.1e}"
            axes.plot(wanted, error, ".", ms=4, color=colour, alpha=0.6, label=label)
    axes.set(xlabel="weight wanted", ylabel="weight found, less wanted")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))
    axes.set_title("Cross-talk left by calibration")
    axes.legend(fontsize=9, framealpha=0.9, loc="upper right")


def _device_errors(axes: Axes, series: dict[str, Any]) -> None:
    error, predicted = series["device"], series["predicted"]
    width = 4.5 * predicted
    bins = np.linspace(-width, width, 61)
    axes.hist(error, bins, density=True, color=_THROUGH, alpha=0.55, label=f"rings, rms {error.std():.4f}")
    axes.hist(
        series["told"], bins, density=True, histtype="step", color=_GREEN, lw=1.5, label='"mac" with that deviation'
    )
    x = np.linspace(-width, width, 400)
    axes.plot(x, norm.pdf(x, 0.0, predicted), color=_DROP, lw=2, label=f"predicted normal, {predicted:.4f}")
    _finish(axes, f'Inner products of {series["terms"]}, "device"')


def _mac_errors(axes: Axes, series: dict[str, Any]) -> None:
    mean, sd = series["law"]
    error, width = series["mac"], 4.5 * sd
    if sd == 0.0:
        width = max(abs(mean), 1e-3)
    bins = np.linspace(mean - width, mean + width, 61)
    axes.hist(
        error, bins, density=True, color=_THROUGH, alpha=0.55, label=f"drawn, {error.mean():.3f} ± {error.std():.3f}"
    )
    if sd > 0.0:
        x = np.linspace(mean - width, mean + width, 400)
        axes.plot(x, norm.pdf(x, mean, sd), color=_DROP, lw=2, label=f"measured law, {mean:g} ± {sd:g}")
    _finish(axes, f'Inner products of {series["terms"]}, "mac"')


def _finish(axes: Axes, title: str) -> None:
    axes.set(xlabel="error (entries up to 1)", ylabel="density", yticks=[])
    axes.set_ylim(0.0, 1.4 * axes.get_ylim()[1])
    axes.set_title(title)
    axes.legend(fontsize=9, framealpha=0.9, loc="upper left")


_CALIBRATIONS = [
    ("separate", _DROP, "each ring by itself"),
    ("joint", _THROUGH, "cross-talk taken off"),
]
