"""What a sweep directory holds, as its report shows it: configurations, and means and spreads over their seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.sweep import store
from opu_sim.config import refused

# Name, heading, where it is in a point's result (the first that is there), factor.
QUANTITIES: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("accuracy", "accuracy [%]", ("metrics.test.accuracy", "metrics.validation.accuracy"), 100.0),
    ("perplexity", "perplexity", ("metrics.test.perplexity", "metrics.validation.perplexity"), 1.0),
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
    """What a sweep directory holds."""

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
    """Content of a sweep directory, also while the sweep is at work.

    Raises
    ------
    ConfigError
        It is damaged, or not the results of a sweep; it has no point.
    """
    stored = store.read(folder)
    if not stored.rows:
        raise refused(f"{folder / store.FILE}: a sweep without a point: nothing to report")
    points = [
        Point(row.parameters, row.seed, row.status, row.result or {}, _quantities(row.result or {}))
        for row in stored.rows
    ]
    return Sweep(points, stored.definition, stored.sessions)


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
        found = {name: value for name, value in found.items() if name in ("accuracy", "perplexity", "loss", "host_s")}
    return found
