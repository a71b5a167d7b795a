"""Sweep directories with made-up results, in the layout that `opu sweep` writes: for reports of them."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started_at TEXT, finished_at TEXT, workers INTEGER, provenance TEXT);
CREATE TABLE points (config_sha256 TEXT PRIMARY KEY, position INTEGER, parameters TEXT, seed INTEGER, status TEXT,
    result TEXT, started_at TEXT, finished_at TEXT, session INTEGER);
"""
ORIGIN = {"version": "0.1.0", "commit": "0" * 40, "python": "3.11.7", "cpu": "made up", "threads": 1}
BITS, POWER = "device.camera.adc_bits", "device.laser.power_mw"


def result(accuracy: float, watts: float, device_s: float) -> dict[str, Any]:
    """As `result.json` has it, the parts that a report reads."""
    return {
        "metrics": {"test": {"accuracy": accuracy, "loss": 1.5 - accuracy}},
        "device": {"device_s": device_s, "watts": watts, "joules": watts * device_s, "teraops_delivered": 1e-6},
        "host": {"host_s": 2.5},
        "provenance": ORIGIN,
    }


def at(bits: float, power_mw: float, seed: int) -> dict[str, Any]:
    """More light and more bits help, up to a limit."""
    snr = power_mw / (3.0 + 400.0 * 4.0**-bits * power_mw)
    accuracy = 0.93 - 0.6 * math.exp(-0.8 * math.sqrt(snr)) + 0.004 * math.sin(7 * seed + bits)
    return result(accuracy, 25.0 + 0.05 * power_mw, 80.0)


def make(
    folder: Path,
    points: Iterable[tuple[Mapping[str, Any], int, str, Mapping[str, Any] | None]],
    name: str = "bits-and-light",
    description: str = "ADC bits against laser power",
    axes: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write results.sqlite: parameters, seed, status and result of each point."""
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "results.sqlite")
    db.executescript(_TABLES)
    definition = {"name": name, "description": description, "experiment": "digits-mlp", "axes": axes}
    db.execute("INSERT INTO sweep VALUES ('definition', ?)", (json.dumps(definition),))
    started = "2026-01-02T03:04:05+00:00"
    db.execute("INSERT INTO sessions VALUES (1, ?, ?, 2, ?)", (started, started, json.dumps(ORIGIN)))
    for position, (parameters, seed, status, outcome) in enumerate(points):
        sha256 = hashlib.sha256(f"{json.dumps(parameters)} {seed}".encode()).hexdigest()
        text = json.dumps(outcome) if outcome is not None else None
        row = (sha256, position, json.dumps(parameters), seed, status, text, started, started, 1)
        db.execute("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
    return folder


def over_two_keys(folder: Path) -> Path:
    """Bits by laser power, two seeds, all done."""
    grid = [(bits, power) for bits in (2, 3, 4, 6, 8) for power in (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)]
    return make(folder, [({BITS: b, POWER: p}, seed, "done", at(b, p, seed)) for b, p in grid for seed in range(2)])


def unfinished(folder: Path) -> Path:
    """One key; a point failed, some are waiting."""
    points: list[tuple[dict[str, Any], int, str, dict[str, Any] | None]] = []
    for bits in (1, 2, 3, 4, 5, 6, 8, 10):
        for seed in range(3):
            waiting = bits == 10
            points.append(
                ({BITS: bits}, seed, "waiting" if waiting else "done", None if waiting else at(bits, 30, seed))
            )
    points[0] = ({BITS: 1}, 0, "failed", {"error": "camera.adc_bits = 1: <b>must</b> be 2 or more & so on"})
    return make(folder, points, name="adc-bits", description="")
