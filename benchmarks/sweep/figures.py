"""Figures of a sweep: curves of one axis, heat maps of two, scatter of more; the Pareto front with its knee."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.sweep.definition import AxisConfig, SweepConfig
from benchmarks.sweep.pareto import Candidate
from benchmarks.sweep.quantities import BETTER, grouped, mean, quality, spread
from benchmarks.sweep.store import Row
from benchmarks.sweep.tables import short, text
from dfa.plots import save_png

_BLUE, _ORANGE, _GREY, _RED = "#1f5fa8", "#d9731a", "#777777", "#c0272d"
_COLOURS = (_BLUE, _ORANGE, "#2b7a3d", "#7a3d8f", _RED, "#4a4a4a")

LABELS = {
    "accuracy": ("test accuracy [%]", 100.0),
    "validation_accuracy": ("validation accuracy [%]", 100.0),
    "train_accuracy": ("training accuracy [%]", 100.0),
    "joules": ("device energy [J]", 1.0),
    "watts": ("device power [W]", 1.0),
    "device_s": ("device time [s]", 1.0),
    "frame_rate_hz": ("frame rate [Hz]", 1.0),
    "host_s": ("host time [s]", 1.0),
}
# What a unit at the end of a key means on an axis.
_UNITS = {"mw": "mW", "us": "µs", "s": "s", "e": "e⁻", "px": "pixels", "mhz": "MHz", "mm": "mm", "um": "µm", "nm": "nm"}

Groups = Sequence[tuple[dict[str, Any], list[dict[str, float]]]]


def draw(rows: Sequence[Row], config: SweepConfig, path: Path) -> None:
    """Accuracy with its spread over seeds, energy, and what else varies, against the axes; a PNG.

    One axis: curves. Two: a heat map, or a curve for each of up to six names (methods, cameras). More: a scatter for
    each, all others varying as well.
    """
    groups = grouped(rows)
    axes = list(config.axes)
    named = [axis for axis in axes if not _numeric(axis, groups)]
    if len(axes) == 1:
        figure = _curves(groups, axes[0], None)
    elif len(axes) == 2 and len(named) == 1 and len(_values(named[0], groups)) <= len(_COLOURS):
        figure = _curves(groups, next(axis for axis in axes if axis is not named[0]), named[0])
    elif len(axes) == 2 and not any(axis.sampled for axis in axes):
        figure = _maps(groups, axes[0], axes[1])
    else:
        figure = _scatters(groups, axes)
    figure.suptitle(_title(config, groups), fontsize=11)
    save_png(figure, path)


def _title(config: SweepConfig, groups: Groups) -> str:
    most = max(len(seeds) for _, seeds in groups)
    words = config.description or config.name
    return f"{words}\n{config.experiment}, {len(groups)} configurations, {most} seed{'s' if most > 1 else ''} each"


def label(name: str) -> tuple[str, float]:
    """Of a quantity: words for an axis, and the factor to its unit."""
    return LABELS.get(name, (name.replace("_", " ").replace("teraops", "TeraOPS"), 1.0))


def axis_label(key: str) -> str:
    """Of a key: its name, with the unit that it ends in."""
    name, _, unit = short(key).rpartition("_")
    return f"{name.replace('_', ' ')} [{_UNITS[unit]}]" if name and unit in _UNITS else short(key).replace("_", " ")


def _at(parameters: Mapping[str, Any], axis: AxisConfig) -> Any:
    """Value of an axis; of keys that vary together, the first one's where it names them all, else all of them."""
    values = [parameters[key] for key in axis.names]
    return values[0] if len(values) == 1 or isinstance(values[0], str) else " / ".join(map(text, values))


def _brief(value: float) -> str:
    """Three digits, and no exponent below 100,000."""
    return f"{value:.0f}" if 100.0 <= abs(value) < 1e5 else f"{value:.3g}"


def _ticks(values: Sequence[Any]) -> list[str]:
    """Values as short as they can be told apart."""
    brief = [_brief(value) if isinstance(value, float) else text(value) for value in values]
    return brief if len(set(brief)) == len(set(map(text, values))) else [text(value) for value in values]


def _values(axis: AxisConfig, groups: Groups) -> list[Any]:
    values = {repr(_at(parameters, axis)): _at(parameters, axis) for parameters, _ in groups}
    return list(values.values())


def _numeric(axis: AxisConfig, groups: Groups) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in (_at(parameters, axis) for parameters, _ in groups)
    )


def _quality(groups: Groups) -> str:
    return quality([seed for _, seeds in groups for seed in seeds])


def _shown(groups: Groups) -> list[str]:
    """Accuracy and energy, and of power and frame rate what the sweep moves."""
    names = [_quality(groups)]
    for name in ("joules", "watts", "frame_rate_hz"):
        values = [value for _, seeds in groups if (value := mean(seeds, name)) is not None]
        if values and (name == "joules" or max(values) - min(values) > 1e-6 * max(map(abs, values))):
            names.append(name)
    return [name for name in names if any(name in seed for _, seeds in groups for seed in seeds)]


def _curves(groups: Groups, axis: AxisConfig, series: AxisConfig | None) -> Figure:
    names = _shown(groups)
    figure = Figure(figsize=(7.0, 1.2 + 2.1 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    numeric = _numeric(axis, groups)
    places = {repr(value): value if numeric else index for index, value in enumerate(_values(axis, groups))}
    kinds = _values(series, groups) if series is not None else [None]
    for panel, name in zip(panels, names, strict=True):
        words, scale = label(name)
        for kind, colour in zip(kinds, _COLOURS, strict=False):
            own = [(p, seeds) for p, seeds in groups if series is None or _at(p, series) == kind]
            _curve(panel, axis, own, name, scale, colour, places, numeric, None if kind is None else text(kind))
        panel.set_ylabel(words)
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
        _scale_y(panel, name)
    if series is not None:
        panels[0].legend(frameon=False, title=axis_label(series.names[0]))
    _scale_x(panels[-1], axis, places, numeric)
    panels[-1].set_xlabel(axis_label(axis.names[0]))
    return figure


def _curve(
    panel: Axes,
    axis: AxisConfig,
    groups: Groups,
    name: str,
    scale: float,
    colour: str,
    places: Mapping[str, Any],
    numeric: bool,
    words: str | None,
) -> None:
    """Means joined by a line, their standard deviation as a bar, each seed as a small mark."""
    known = [(places[repr(_at(p, axis))], seeds) for p, seeds in groups if mean(seeds, name) is not None]
    known.sort(key=lambda entry: entry[0])
    x = [at for at, _ in known]
    y = [scale * (mean(seeds, name) or 0.0) for _, seeds in known]
    errors = [scale * (spread(seeds, name) or 0.0) for _, seeds in known]
    style = "-" if numeric else ""
    panel.errorbar(x, y, errors, fmt=f"o{style}", ms=5, lw=1.4, elinewidth=1.2, capsize=3, color=colour, label=words)
    marks = [(at, scale * seed[name]) for at, seeds in known for seed in seeds if len(seeds) > 1]
    if marks:
        panel.plot(*zip(*marks, strict=True), "o", ms=2.5, color=colour, alpha=0.4, mew=0)


def _scale_y(panel: Axes, name: str) -> None:
    """Logarithmic where values span more than a decade; at least 4 % high, so that rounding is no mountain."""
    low, high = panel.dataLim.y0, panel.dataLim.y1
    if "accuracy" not in name and low > 0.0 and high > 10.0 * low:
        panel.set_yscale("log")
    elif high - low < 0.04 * abs(high):
        panel.set_ylim(low - 0.02 * abs(high), high + 0.02 * abs(high))


def _logarithmic(axis: AxisConfig, values: Sequence[float]) -> bool:
    return axis.scale == "log" or (min(values) > 0 and max(values) >= 50 * min(values))


def _scale_x(panel: Axes, axis: AxisConfig, places: Mapping[str, Any], numeric: bool) -> None:
    values = list(places.values())
    if not numeric:
        panel.set_xticks(values, [name.strip("'") for name in places], rotation=20 if len(values) > 4 else 0)
    elif _logarithmic(axis, values):
        panel.set_xscale("log")
        if len(values) <= 12 and max(values) < 100 * min(values):
            panel.set_xticks(values, _ticks(values))
            panel.xaxis.set_minor_formatter(NullFormatter())
    elif len(values) <= 12:
        panel.set_xticks(values, _ticks(values))


def _maps(groups: Groups, down: AxisConfig, across: AxisConfig) -> Figure:
    names = _shown(groups)
    rows, columns = (_sorted(_values(axis, groups)) for axis in (down, across))
    figure = Figure(
        figsize=(1.6 + max(3.2, 0.62 * len(columns)) * len(names), 1.6 + 0.5 * len(rows)), layout="constrained"
    )
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        words, scale = label(name)
        field = np.full((len(rows), len(columns)), math.nan)
        for parameters, seeds in groups:
            value = mean(seeds, name)
            if value is not None:
                field[rows.index(_at(parameters, down)), columns.index(_at(parameters, across))] = scale * value
        _map(panel, figure, field, words, name)
        panel.set_xticks(range(len(columns)), _ticks(columns), rotation=60)
        panel.set_yticks(range(len(rows)), _ticks(rows))
        panel.set_xlabel(axis_label(across.names[0]))
        panel.set_title(words, fontsize=11)
    panels[0].set_ylabel(axis_label(down.names[0]))
    return figure


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values) if all(isinstance(value, int | float) for value in values) else values


def _map(panel: Axes, figure: Figure, field: Any, words: str, name: str) -> None:
    """Bright is good; cells show their value where they are few; a configuration without a result stays grey."""
    colours = "viridis" if BETTER[name] == "more" else "viridis_r"
    image = panel.imshow(np.ma.masked_invalid(field), cmap=colours, origin="lower", aspect="auto")
    panel.set_facecolor("#cccccc")
    figure.colorbar(image, ax=panel, shrink=0.9)
    if field.size > 120:
        return
    for (row, column), value in np.ndenumerate(field):
        if math.isfinite(value):
            light = sum(image.cmap(image.norm(value))[:3]) > 1.6
            number = f"{value:.1f}" if "accuracy" in name else _brief(value)
            panel.text(column, row, number, ha="center", va="center", fontsize=7, color="black" if light else "white")


def _scatters(groups: Groups, axes: Sequence[AxisConfig]) -> Figure:
    """Accuracy against each axis, coloured by energy where there is any."""
    across = 2 if len(axes) == 4 else min(len(axes), 3)
    down = -(-len(axes) // across)
    figure = Figure(figsize=(1.0 + 3.6 * across, 1.2 + 3.0 * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    name = _quality(groups)
    words, scale = label(name)
    known = [(p, seeds) for p, seeds in groups if mean(seeds, name) is not None]
    energy = [mean(seeds, "joules") for _, seeds in known]
    shades = energy if known and None not in energy else None
    drawn = None
    for panel, axis in zip(panels, axes, strict=False):
        numeric = _numeric(axis, groups)
        places = {repr(value): value if numeric else index for index, value in enumerate(_values(axis, groups))}
        x = [places[repr(_at(p, axis))] for p, _ in known]
        y = [scale * (mean(seeds, name) or 0.0) for _, seeds in known]
        drawn = panel.scatter(x, y, c=shades if shades is not None else _BLUE, s=16, cmap="viridis_r")
        if numeric and axis.scale == "log":
            panel.set_xscale("log")
        elif not numeric:
            panel.set_xticks(list(places.values()), [value.strip("'") for value in places], rotation=20)
        panel.set_xlabel(axis_label(axis.names[0]))
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
    for panel in panels[::across]:
        panel.set_ylabel(words)
    for panel in panels[len(axes) :]:
        panel.set_visible(False)
    if shades is not None and drawn is not None:
        figure.colorbar(drawn, ax=list(panels), label=label("joules")[0], shrink=0.9)
    return figure


def draw_pareto(
    candidates: Sequence[Candidate], objectives: tuple[str, str], title: str, keys: Sequence[str], path: Path
) -> None:
    """All configurations, the front as a staircase, the knee with its parameters; a PNG."""
    (x_words, x_scale), (y_words, y_scale) = (label(name) for name in objectives)
    figure = Figure(figsize=(7.4, 5.4), layout="constrained")
    panel = figure.subplots()
    panel.plot(
        *zip(*((x_scale * c.x, y_scale * c.y) for c in candidates), strict=True),
        "o",
        ms=4,
        color=_GREY,
        alpha=0.5,
        mew=0,
        label="configurations, means over seeds",
    )
    front = sorted((c for c in candidates if c.on_front), key=lambda candidate: candidate.x)
    panel.errorbar(
        [x_scale * c.x for c in front],
        [y_scale * c.y for c in front],
        [y_scale * (c.y_std or 0.0) for c in front],
        [x_scale * (c.x_std or 0.0) for c in front],
        fmt="o",
        ms=5,
        color=_BLUE,
        elinewidth=0.8,
        zorder=3,
        label="front (bars: standard deviation over seeds)",
    )
    # What is reached at no worse x: from each point on towards worse values.
    steps = "steps-pre" if BETTER[objectives[0]] == "more" else "steps-post"
    panel.plot(
        [x_scale * c.x for c in front], [y_scale * c.y for c in front], color=_BLUE, lw=1.2, drawstyle=steps, zorder=2
    )
    for knee in (c for c in front if c.knee):
        words = "\n".join(f"{axis_label(key)}: {_ticks([knee.parameters[key]])[0]}" for key in keys)
        panel.plot(x_scale * knee.x, y_scale * knee.y, "o", ms=12, mfc="none", mec=_RED, mew=1.8, zorder=4)
        more = BETTER[objectives[0]] == "more"
        place = {"x": 0.03, "ha": "left"} if more else {"x": 0.97, "ha": "right"}  # the corner without good points
        panel.text(y=0.97, s=f"knee\n{words}", va="top", color=_RED, fontsize=9, transform=panel.transAxes, **place)
    for name, set_scale, values in (
        (objectives[0], panel.set_xscale, [c.x for c in candidates]),
        (objectives[1], panel.set_yscale, [c.y for c in candidates]),
    ):
        if "accuracy" not in name and min(values) > 0 and max(values) > 10.0 * min(values):
            set_scale("log")
    panel.set(xlabel=x_words, ylabel=y_words)
    panel.grid(alpha=0.25)
    panel.set_axisbelow(True)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    panel.set_title(title, fontsize=11)
    save_png(figure, path)
