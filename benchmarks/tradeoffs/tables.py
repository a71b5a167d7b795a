"""Terminal table and closing line of a `tradeoffs.measure` document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARROWS = {"up": "↗", "down": "↘", "flat": "→", "mixed": "↯", None: "–"}
# quantity, key of a point, its spread over seeds, scale, axis label
ROWS = (
    ("accuracy", "accuracy_mean", "accuracy_std", 100.0, "accuracy [%]"),
    ("bits", "bits_mean", "bits_std", 1.0, "effective bits"),
    ("frame_rate", "frame_rate_hz", None, 1e-3, "frame rate [kHz]"),
    ("watts", "watts", None, 1.0, "power [W]"),
    ("joules", "joules", None, 1e-3, "energy [kJ]"),
)
COUNTS = ("camera.adc_bits", "camera.roi_rows")  # their names say what is counted


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of strings: a sweep's first and last value and the direction of each quantity."""
    header = ["move", "accuracy, %", "bits", "frames, kHz", "W", "kJ"]
    rows = []
    for sweep in document["sweeps"]:
        first, last = (sweep["points"][index]["value"] for index in (0, -1))
        unit = "" if sweep["key"] in COUNTS else f" {sweep['unit']}"
        cells = [_cell(sweep["directions"][quantity], scale) for quantity, _, _, scale, _ in ROWS]
        rows.append([f"{sweep['move']}, {first:g} → {last:g}{unit}", *cells])
    return header, rows


def verdict(document: Mapping[str, Any]) -> str:
    """One line: how many directions are as derived, and which are not."""
    outcomes = {
        f"{sweep['move']}: {quantity.replace('_', ' ')} {found['measured']}, derived {found['expected']}": found["pass"]
        for sweep in document["sweeps"]
        for quantity, found in sweep["directions"].items()
    }
    text = f"{sum(outcomes.values())} of {len(outcomes)} directions as derived"
    wrong = [name for name, passed in outcomes.items() if not passed]
    return f"{text}; not: {'; '.join(wrong)}" if wrong else text


def _cell(found: Mapping[str, Any], scale: float) -> str:
    if found["measured"] is None:
        return f"no value, not {found['expected']}"
    first, last = (f"{scale * found[end]:.3g}" for end in ("first", "last"))
    span = f"{ARROWS[found['measured']]} {first} … {last}" if first != last else f"{ARROWS[found['measured']]} {last}"
    return span if found["pass"] else f"{span} (derived: {found['expected']})"
