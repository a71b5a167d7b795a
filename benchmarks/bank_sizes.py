"""Energy of a weight bank against its size: TeraOPS, watts and pJ an operation by part, with heaters and trimmed.

JSON first; the table and the figure are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfa import provenance
from dfa.plots import save_png
from opu_sim import load_device
from opu_sim.cards import MicroringCard, load_card
from opu_sim.config import refused
from opu_sim.device import MicroringBank
from opu_sim.microring.sizing import energy_of_sizes, sized

SIZES = ((10, 10), (20, 20), (50, 20), (100, 20), (100, 50), (200, 100), (500, 100), (1000, 100))
"""Rows and columns."""
_LOCKS = ("heater", "trimmed")
_VECTORS = 64
_CONVENTIONS = (
    "At full use: all rows and columns, a symbol a cycle. One op is a multiplication or an addition. Lasers have the "
    "least power that gives a reading the stated bits, log2(range / sd). relative_error: rms of full-size products of "
    "the simulated bank with random vectors, less exact ones, over the rms of these. The host computer is not in it."
)


def measure(device: str, bits: float, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The document of `opu bench bank-sizes`: rows of `energy_of_sizes`, and the error of each bank, simulated.

    Raises
    ------
    ConfigError
        The device is no weight bank, or its rings lose too much.
    DeviceError
        More bits than are to be had.
    """
    started_at = provenance.now()
    card = load_card(device, settings)
    if not isinstance(card, MicroringCard):
        raise refused(f"--device {device}: kind = {card.kind!r}: must be a weight bank, 'microring'")
    rows = []
    for lock in _LOCKS:
        locked = card.model_copy(update={"tuning": card.tuning.model_copy(update={"lock": lock})})
        for found in energy_of_sizes(locked, SIZES, bits):
            size = found["rows"], found["columns"]
            rows.append({"lock": lock, **found, "relative_error": _relative_error(sized(locked, *size, bits))})
    origin = provenance.collect(started_at=started_at)
    return {"device": card.name, "bits": bits, "rows": rows, "provenance": origin, "conventions": _CONVENTIONS}


def _relative_error(card: MicroringCard) -> float:
    bank = load_device(card, n_in=card.bank.columns, n_out=card.bank.rows)
    if not isinstance(bank, MicroringBank):
        raise TypeError(card.kind)
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (_VECTORS, card.bank.columns))
    exact = x @ bank.wanted_matrix().T
    with bank:
        error = bank.project(x) - exact
    return math.sqrt(float(np.mean(error**2) / np.mean(exact**2)))


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text, a size a row."""
    header = ["rows x columns", "TeraOPS", "W, heaters", "pJ/op, heaters", "W, trimmed", "pJ/op, trimmed"]
    header += [
        "of it lasers",
        "tuning",
        "converters",
        "laser mW",
        "finesse",
        "ring µm",
        "linewidth GHz",
        "relative error",
    ]
    by_lock = [[row for row in document["rows"] if row["lock"] == lock] for lock in _LOCKS]
    rows = []
    for heater, trimmed in zip(*by_lock, strict=True):
        part = trimmed["picojoules_by_part"]
        rows.append(
            [
                f"{heater['rows']} x {heater['columns']}",
                f"{heater['teraops_peak']:.0f}",
                f"{heater['watts']:.4g}",
                f"{heater['picojoules_per_op']:.3g}",
                f"{trimmed['watts']:.4g}",
                f"{trimmed['picojoules_per_op']:.3g}",
                f"{part['laser']:.2g}",
                f"{part['weight'] + part['heater'] + part.get('memory', 0.0):.2g}",
                f"{part['dac'] + part['tia'] + part['adc']:.2g}",
                f"{trimmed['laser_mw']:.2g}",
                f"{trimmed['finesse']:.0f}",
                f"{trimmed['radius_um']:.2g}",
                f"{trimmed['linewidth_ghz']:.3g}",
                f"{trimmed['relative_error']:.3f}",
            ]
        )
    return header, rows


_COLOURS = {
    "laser": "#d9731a",
    "heater": "#c0272d",
    "weight": "#8c564b",
    "memory": "#9467bd",
    "dac": "#1f5fa8",
    "tia": "#6fa8dc",
    "adc": "#2b7a3d",
}


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Write the figure (PNG): energy an operation by part, with heaters and trimmed, and the rings that it takes."""
    figure = Figure(figsize=(16.0, 5.0), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, lock, title in ((left, "heater", "locked by heaters"), (middle, "trimmed", "trimmed rings")):
        _parts(axes, [row for row in document["rows"] if row["lock"] == lock], title)
    _rings(right, [row for row in document["rows"] if row["lock"] == "trimmed"])
    for axes in (left, middle, right):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    figure.suptitle(f"{document['device']}: energy against size, lasers for {document['bits']:g} bits a reading")
    save_png(figure, path)


def _parts(axes: Axes, rows: list[dict[str, Any]], title: str) -> None:
    names = [f"{row['rows']}x{row['columns']}" for row in rows]
    bottom = np.zeros(len(rows))
    for part in rows[0]["picojoules_by_part"]:
        energies = np.array([row["picojoules_by_part"][part] for row in rows])
        if energies.any():
            axes.bar(names, energies, bottom=bottom, color=_COLOURS[part], label=part)
            bottom += energies
    for name, row in zip(names, rows, strict=True):
        label = f"{row['picojoules_per_op']:.2g} pJ\n{_watts(row['watts'])}"
        axes.annotate(label, (name, row["picojoules_per_op"]), (0, 3), textcoords="offset points", ha="center", size=8)
    axes.set_ylim(0.0, 1.18 * float(bottom.max()))
    axes.set(xlabel="rows x columns", ylabel="pJ an operation", title=title)
    axes.tick_params(axis="x", labelrotation=45)
    axes.legend(frameon=False, loc="upper right")


def _watts(watts: float) -> str:
    return f"{watts:.0f} W" if watts >= 100.0 else f"{watts:.3g} W"


def _rings(axes: Axes, rows: list[dict[str, Any]]) -> None:
    names = [f"{row['rows']}x{row['columns']}" for row in rows]
    series = (
        ("finesse", "finesse of the rings", 1.0),
        ("linewidth_ghz", "linewidth [GHz]", 1.0),
        ("radius_um", "radius [µm]", 1.0),
        ("laser_mw", "power of each laser [mW]", 1.0),
        ("relative_error", "relative error [%]", 100.0),
    )
    for (key, label, unit), marker in zip(series, "osd^v", strict=True):
        axes.plot(names, [unit * row[key] for row in rows], marker=marker, label=label)
    axes.set(yscale="log", xlabel="rows x columns", title="rings and lasers that it takes")
    axes.set_ylim(top=8.0 * axes.get_ylim()[1])
    axes.tick_params(axis="x", labelrotation=45)
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="upper left")
