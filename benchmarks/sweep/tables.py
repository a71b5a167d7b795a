"""What a sweep shows at its end: a line a configuration, the front, and what went wrong."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.sweep.quantities import grouped, mean, spread
from benchmarks.sweep.run import Report
from benchmarks.sweep.store import DONE, FILE, Row

MOST_LINES = 60
MOST_COMPLAINTS = 4

# quantity, heading, scale
_COLUMNS = (
    ("accuracy", "accuracy, %", 100.0),
    ("perplexity", "perplexity", 1.0),
    ("joules", "J", 1.0),
    ("watts", "W", 1.0),
    ("device_s", "device s", 1.0),
    ("frame_rate_hz", "frames, Hz", 1.0),
    ("teraops_delivered", "TeraOPS delivered", 1.0),
)


def short(key: str) -> str:
    """A key without its root: what a heading needs."""
    return key if key in ("method", "device.name") else key.partition(".")[2]


def text(value: Any) -> str:
    """A value of an axis."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(rows: Sequence[Row], keys: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and a line a configuration: means over seeds, for accuracy with its spread."""
    groups = grouped(rows)
    shown = [column for column in _COLUMNS if any(column[0] in seed for _, seeds in groups for seed in seeds)]
    lines = []
    for parameters, seeds in groups:
        cells = [text(parameters[key]) for key in keys]
        for name, _, scale in shown:
            value = mean(seeds, name)
            cells.append("–" if value is None else _cell(name, scale * value, spread(seeds, name)))
        lines.append([*cells, str(len(seeds))])
    return [*map(short, keys), *(heading for _, heading, _ in shown), "seeds"], lines


def _cell(name: str, value: float, deviation: float | None) -> str:
    if name == "accuracy":
        return f"{value:.2f}" if deviation is None else f"{value:.2f} ± {100.0 * deviation:.2f}"
    return f"{value:.4g}"


def pareto_table(document: Mapping[str, Any], keys: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and a line a point of the front, the knee marked."""
    names = [objective["name"] for objective in document["objectives"]]
    knee = document["knee"]
    lines = [
        [
            *(text(entry["parameters"][key]) for key in keys),
            *(f"{entry[name]:.4g}" for name in names),
            "knee" if knee is not None and entry["parameters"] == knee["parameters"] else "",
        ]
        for entry in document["front"]
    ]
    return [*map(short, keys), *names, ""], lines


def complaints(report: Report) -> list[str]:
    """Why points failed and what devices warned of: an example of each kind, and the number of points."""
    failures = kinds((row.result or {}).get("error", "") for row in report.failed)
    told = kinds(text for row in report.rows for text in (row.result or {}).get("warnings", []))
    lines = [f"failed, {_example(count)}: {error}" for error, count in failures]
    lines += [f"warning, {_example(count)}: {what}" for what, count in told]
    rest = [f"{len(lines) - MOST_COMPLAINTS} more failures and warnings in {report.folder / FILE}"]
    return lines if len(lines) <= MOST_COMPLAINTS else lines[:MOST_COMPLAINTS] + rest


def kinds(texts: Iterable[str]) -> list[tuple[str, int]]:
    """Texts that differ in nothing but figures are of one kind, which the first of them stands for; their numbers."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in texts:
        kind = re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", entry)
        counts[first.setdefault(kind, entry)] += 1
    return counts.most_common()


def summary(report: Report) -> str:
    """The closing line."""
    done = [row.result for row in report.rows if row.status == DONE and row.result]
    host = statistics.median(result["host"]["host_s"] for result in done)
    return (
        f"{_points(report.ran)} run, {len(done)} of {len(report.rows)} done; host time a point (median) {host:.2f} s; "
        f"written to {report.folder}"
    )


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count} points"


def _example(count: int) -> str:
    return _points(count) if count == 1 else f"{_points(count)}, such as"
