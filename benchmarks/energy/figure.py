"""Figure of an `energy.measure` document: time and energy against size, training time, and what assumptions do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.energy.tables import count
from dfa.plots import save_png

_OPTICAL = ("#1f5fa8", "#d9731a", "#1b8a5a", "#a63d8f", "#c0272d", "#7a5c00", "#4fa3c7", "#555577")
_GREYS = ("#bdbdbd", "#9a9a9a", "#777777", "#4d4d4d", "#1a1a1a", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STAGES = {"optimiser": "#f3ead9", "weights": "#efd9cf"}
_STYLES = {"intensity": "-", "ternary": (0, (5, 1.5)), "float": (0, (1.5, 1.5))}


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Four panels, PNG: seconds and joules a vector, a training step beside a card, crossings as assumptions change.

    Parameters
    ----------
    document : mapping
        What `energy.measure` returns.
    path : Path
    """
    figure = Figure(figsize=(15.0, 12.0), layout="constrained")
    above, below = figure.subfigures(2, 1)
    time, energy = above.subplots(1, 2)
    training, firmness = below.subplots(1, 2, width_ratios=(1.3, 1.0))
    _against_size(time, document, "seconds", "time")
    _against_size(energy, document, "joules", "energy")
    _training(training, document)
    _firmness(firmness, document)
    figure.legend(handles=_legend(document), loc="outside lower center", ncols=4, frameon=False, fontsize=10.5)
    figure.suptitle("When does an optical device beat an electronic card?", fontsize=15)
    save_png(figure, path)


def _against_size(axes: Axes, document: Mapping[str, Any], key: str, quantity: str) -> None:
    sweep = document["sweep"]
    for colour, card in zip(_GREYS, sweep["electronic"], strict=False):
        sizes, values = np.array(card["sizes"]), np.array(card[key])
        held = sizes <= card["memory_limit"]
        axes.plot(sizes[held], values[held], color=colour, lw=1.6)
        axes.plot(sizes[~held], values[~held], color=colour, lw=1.0, ls=":")
    for table in document["measurements"]:
        per_vector = np.array(table[key]) / table["vectors"]
        axes.plot(table["sizes"], per_vector, "+", color="black", ms=8, mew=1.4, zorder=5)
    for colour, curve in _coloured(document):
        axes.plot(curve["sizes"], curve[key], color=colour, ls=_STYLES[curve["operation"]], lw=2.0, zorder=4)
        axes.plot(curve["sizes"][-1], curve[key][-1], "|", color=colour, ms=11, mew=2.0)
    _mark_measured(axes, document, quantity)
    axes.set(xscale="log", yscale="log", xlabel="D, of a projection D → D")
    axes.set_ylabel(f"{key} a vector, {sweep['vectors']:,} in a call")
    axes.set_title(f"{quantity.capitalize()} against size", fontsize=13)
    axes.grid(alpha=0.25)


def _mark_measured(axes: Axes, document: Mapping[str, Any], quantity: str) -> None:
    """The crossing with a measured table, of the first device that has one."""
    kind = ("measured, interpolated", quantity)
    crossed = [entry for entry in document["crossovers"] if (entry["basis"], entry["quantity"]) == kind]
    found = next((entry for entry in crossed if entry["size"] is not None), None)
    if found is None:
        return
    table = next(table for table in document["measurements"] if table["accelerator"] == found["against"])
    values = np.array(table["seconds" if quantity == "time" else "joules"]) / table["vectors"]
    at = float(np.interp(found["size"], table["sizes"], values))
    axes.plot(found["size"], at, "o", ms=11, mfc="none", mec=_OPTICAL[0], mew=2.0, zorder=6)
    axes.annotate(
        f"{count(found['size'])}, {found['against']} measured",
        (found["size"], at),
        (26, -46),
        textcoords="offset points",
        ha="left",
        fontsize=11,
        color=_OPTICAL[0],
        bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85},
        arrowprops={"arrowstyle": "-", "color": _OPTICAL[0]},
    )


def _training(axes: Axes, document: Mapping[str, Any]) -> None:
    """Optical step over backpropagation's on the middle one of the cards, an error vector a token and a sequence."""
    middle = len(document["accelerators"]) // 2
    name = document["accelerators"][middle]["name"]
    for number, part in enumerate(document["training"]["devices"]):
        curve = next(curve for curve in part["curves"] if curve["against"] == name)
        n, bp = np.array(curve["parameters"]), np.array(curve["bp_s"])
        if number == 0:
            card = next(card for card in part["cards"] if card["against"] == name)
            starts = [card[f"{stage}_off_loaded_from"] for stage in _STAGES]
            for stage, start, end in zip(_STAGES, starts, [*starts[1:], n[-1]], strict=True):
                if start is not None and start < n[-1]:
                    axes.axvspan(start, end or n[-1], color=_STAGES[stage], zorder=0, lw=0)
                    axes.text(start * 1.08, 0.985, f"{stage}\noff-loaded", transform=axes.get_xaxis_transform(),
                              va="top", fontsize=9.5, color="#7a5a40")  # fmt: skip
        colour = _device_colour(document, part["device"])
        axes.plot(n, np.array(curve["odfa_token_s"]) / bp, color=colour, lw=1.8)
        axes.plot(n, np.array(curve["odfa_sequence_s"]) / bp, color=colour, lw=1.8, ls=(0, (1.2, 1.2)))
    axes.axhline(1.0, color="black", lw=2.0, zorder=1)
    _published(axes, document)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="step, optical over backpropagation")
    axes.set_title(f"Training beside one {name}: below the line, optics is faster", fontsize=13)
    axes.set_xlim(1e8, 1e12)
    axes.set_ylim(0.5, 300.0)
    axes.grid(alpha=0.25)


def _firmness(axes: Axes, document: Mapping[str, Any]) -> None:
    """Crossings in time of the first device, one assumption changed at a time; none: at the right edge, hollow."""
    part = document["training"]["devices"][0]
    entries = [{"change": "as assumed", "against": c["against"], "time": c["token"]["time"]} for c in part["cards"]]
    entries += part["sensitivity"]
    changes = list(dict.fromkeys(entry["change"] for entry in entries))
    cards = [card["against"] for card in part["cards"]]
    none = 1e13
    for entry in entries:
        place = cards.index(entry["against"])
        at = changes.index(entry["change"]) + 0.13 * (place - (len(cards) - 1) / 2)
        colour = _GREYS[place % len(_GREYS)]
        found = entry["time"] is not None
        x = float(np.clip(entry["time"], 1e8, none)) if found else none
        style: dict[str, Any] = {"color": colour, "mfc": colour if found else "white", "clip_on": False}
        axes.plot(x, at, _MARKERS[place % len(_MARKERS)], ms=7, **style)
    _published(axes, document)
    axes.set_xscale("log")
    axes.set_xlim(1e8, none)
    axes.set_yticks(range(len(changes)), changes, fontsize=10.5)
    axes.set_ylim(len(changes) - 0.5, -0.5)
    axes.set_xlabel("parameters from which on optics is faster (hollow: never)")
    axes.set_title(f"{part['device']}: how firm is the crossing?", fontsize=13)
    axes.grid(axis="x", alpha=0.25)
    for line in range(1, len(changes)):
        axes.axhline(line - 0.5, color="#dddddd", lw=0.7, zorder=0)


def _published(axes: Axes, document: Mapping[str, Any]) -> None:
    at = document["training"]["published"]["parameters"]
    axes.axvline(at, color=_OPTICAL[4], lw=1.3, ls=(0, (6, 3)), zorder=1)
    text = f" {count(at)} published\n (secondary)"
    place = {"transform": axes.get_xaxis_transform(), "va": "bottom", "zorder": 6}
    axes.text(at, 0.02, text, fontsize=9.5, color=_OPTICAL[4], **place)


def _coloured(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Optical curves with a colour a device and variant."""
    seen: dict[tuple[str, Any], str] = {}
    out = []
    for curve in document["sweep"]["optical"]:
        key = curve["device"], curve["variant"]
        seen.setdefault(key, _OPTICAL[len(seen) % len(_OPTICAL)])
        out.append((seen[key], curve))
    return out


def _device_colour(document: Mapping[str, Any], device: str) -> str:
    plain = [colour for colour, curve in _coloured(document) if curve["device"] == device and curve["variant"] is None]
    return plain[0] if plain else _OPTICAL[0]


def _legend(document: Mapping[str, Any]) -> list[Line2D]:
    handles = []
    for colour, curve in _coloured(document):
        variant = f" ({curve['variant']})" if curve["variant"] else ""
        label = f"{curve['device']}{variant}, {curve['operation']}"
        handles.append(Line2D([], [], color=colour, ls=_STYLES[curve["operation"]], lw=2.0, label=label))
    for place, card in enumerate(document["sweep"]["electronic"]):
        handles.append(Line2D([], [], color=_GREYS[place % len(_GREYS)], lw=1.6, marker=_MARKERS[place % len(_MARKERS)],
                              label=card["device"]))  # fmt: skip
    for table in document["measurements"]:
        label = f"{table['accelerator']}, measured ({table['dtype']})"
        handles.append(Line2D([], [], color="black", marker="+", ls="", ms=8, label=label))
    handles.append(Line2D([], [], color="#777777", ls=":", lw=1.2, label="matrix does not fit the card"))
    handles.append(Line2D([], [], color="#888888", ls=(0, (1.2, 1.2)), lw=1.8, label="training, an error a sequence"))
    return handles
