"""Reading `results.sqlite` of a sweep directory, also while the sweep is at work: nothing is written."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from opu_sim.config import refused
from opu_sim.errors import ConfigError

FILE = "results.sqlite"
_COLUMNS = ("parameters", "seed", "status", "result")

# Name, heading, where it is in a point's result (the first that is there), factor.
QUANTITIES: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("accuracy", "accuracy [%]", ("metrics.test.accuracy", "metrics.validation.accuracy"), 100.0),
    ("loss", "loss", ("metrics.test.loss", "metrics.validation.loss"), 1.0),
    ("joules", "energy [J]", ("device.joules",), 1.0),
    ("watts", "power [W]", ("device.watts",), 1.0),
    ("device_s", "device time [s]", ("device.device_s",), 1.0),
    ("frame_rate_hz", "frame rate [Hz]", ("device.frame_rate_hz",), 1.0),
    ("teraops_delivered", "TeraOPS delivered", ("device.teraops_delivered",), 1.0),
    ("utilisation", "utilisation", ("device.utilisation",), 1.0),
    ("joules_per_op", "J an op", ("device.joules_per_op",), 1.0),
    ("host_s", "host time [s]", ("host.host_s",), 1.0),
)
HEADINGS = {name: heading for name, heading, _, _ in QUANTITIES}


@dataclass(frozen=True)
class Point:
    """A training run of the sweep; `found` holds those of `QUANTITIES` that it has."""

    parameters: dict[str, Any]
    seed: int
    status: str
    result: dict[str, Any]
    found: dict[str, float]


@dataclass
class Configuration:
    """All seeds of one choice of parameters."""

    parameters: dict[str, Any]
    points: list[Point] = field(default_factory=list)

    def values(self, quantity: str) -> list[float]:
        """Of the seeds that are done."""
        return [point.found[quantity] for point in self.points if quantity in point.found]

    def mean(self, quantity: str) -> float | None:
        """Over seeds; None where no seed has one."""
        values = self.values(quantity)
        return fmean(values) if values else None

    def spread(self, quantity: str) -> float | None:
        """Sample standard deviation over seeds; None below two."""
        values = self.values(quantity)
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Sweep:
    """What a sweep directory holds; definition and sessions are empty where the file has none."""

    points: list[Point]
    definition: dict[str, Any]
    sessions: list[dict[str, Any]]

    def joined(self) -> list[list[str]]:
        """Keys that vary together, axis by axis, as the definition has them."""
        axes = self.definition.get("axes")
        keys = [axis.get("keys") for axis in axes if isinstance(axis, Mapping)] if isinstance(axes, list) else []
        return [[str(key) for key in names] for names in keys if isinstance(names, list)]

    def configurations(self) -> list[Configuration]:
        """In the order of the sweep."""
        found: dict[str, Configuration] = {}
        for point in self.points:
            key = json.dumps(point.parameters, sort_keys=True)
            found.setdefault(key, Configuration(point.parameters)).points.append(point)
        return list(found.values())


def read(folder: Path) -> Sweep:
    """Content of `results.sqlite`.

    Raises
    ------
    ConfigError
        It is damaged, or not the results of a sweep.
    """
    path = folder / FILE
    try:
        try:
            sweep = _content(path, "ro")
        except sqlite3.OperationalError:
            # A sweep that was killed within a transaction leaves a journal, which only a writer may roll back.
            sweep = _content(path, "rw")
    except (sqlite3.Error, OverflowError) as error:
        raise refused(f"{path}: damaged, or not the results of a sweep: {error}") from None
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refused(f"{path}: damaged: {type(error).__name__}: {error}") from None
    if not sweep.points:
        raise refused(f"{path}: a sweep without a point: nothing to report")
    return sweep


def _content(path: Path, mode: str) -> Sweep:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)) as db:
        db.row_factory = sqlite3.Row
        tables = {row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "points" not in tables:
            raise refused(f"{path}: not the results of a sweep: no table 'points'")
        known = {row["name"] for row in db.execute("PRAGMA table_info(points)")}
        if missing := [name for name in _COLUMNS if name not in known]:
            raise refused(f"{path}: not the results of a sweep: table 'points' has no {', '.join(missing)}")
        order = "position" if "position" in known else "rowid"
        points = [_point(row) for row in db.execute(f"SELECT * FROM points ORDER BY {order}")]
        definition = _definition(db) if "sweep" in tables else {}
        sessions = [dict(row) for row in db.execute("SELECT * FROM sessions")] if "sessions" in tables else []
    return Sweep(points, definition, sessions)


def _point(row: Mapping[str, Any]) -> Point:
    parameters = json.loads(row["parameters"])
    result = json.loads(row["result"]) if row["result"] else {}
    if not isinstance(parameters, dict) or not isinstance(result, dict):
        raise ValueError("parameters and result of a point must be tables")
    return Point(parameters, int(row["seed"]), str(row["status"]), result, _quantities(result))


def _quantities(result: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, _, places, scale in QUANTITIES:
        for place in places:
            value: Any = result
            for part in place.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found[name] = scale * value
                break
    if not found.get("device_s"):  # all digital: no figures of a device
        found = {name: value for name, value in found.items() if name in ("accuracy", "loss", "host_s")}
    return found


def _definition(db: sqlite3.Connection) -> dict[str, Any]:
    row = db.execute("SELECT value FROM sweep WHERE key = 'definition'").fetchone()
    content = json.loads(row["value"]) if row is not None else {}
    if not isinstance(content, dict):
        raise ValueError("definition must be a table")
    return content
