"""Points a minute of a sweep with one worker and with several, on the same cores, in turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.sweep.definition import load_sweep
from benchmarks.sweep.store import DONE, read
from dfa import provenance
from opu_sim.errors import ConfigError

CONVENTIONS = (
    "Each row: `opu sweep` as a process of its own, all cores shared out among its workers, rounds in turns. "
    "points_per_minute: all points over the time from the first one's start to the last one's end, median over rounds; "
    "command_s: the whole command, with the start of interpreter and workers. speed_up: points a minute over those of "
    "the first row. same_results: all results of all rows are equal to the last bit, host times aside."
)
_HOST = ("host", "provenance")


def measure(
    sweep: str,
    workers: Sequence[int],
    rounds: int,
    settings: Sequence[str],
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run the sweep with each number of workers, `rounds` times; the JSON document of `opu bench sweep`.

    settings: texts KEY=VALUE, for `opu sweep --set`.

    Raises
    ------
    ConfigError
        As `load_sweep`, or a sweep that cannot be run.
    """
    started_at = provenance.now()
    points = len(load_sweep(sweep).points)
    rates: dict[int, list[float]] = {count: [] for count in workers}
    seconds: dict[int, list[float]] = {count: [] for count in workers}
    results: list[Any] = []
    for number in range(rounds):
        for count in workers:
            if progress is not None:
                progress(f"{sweep}: round {number + 1} of {rounds}, workers: {count}")
            rate, whole, found = _run(sweep, count, settings)
            rates[count].append(rate)
            seconds[count].append(whole)
            results.append(found)
    first = statistics.median(rates[workers[0]])
    rows = [
        {
            "workers": count,
            "threads_a_worker": results[index][1],
            "points_per_minute": statistics.median(rates[count]),
            "rounds": rates[count],
            "command_s": statistics.median(seconds[count]),
            "speed_up": statistics.median(rates[count]) / first,
        }
        for index, count in enumerate(workers)
    ]
    return {
        "sweep": sweep,
        "points": points,
        "rows": rows,
        "same_results": all(found[0] == results[0][0] for found in results),
        "conventions": CONVENTIONS,
        "provenance": provenance.collect(started_at=started_at),
    }


def _run(sweep: str, workers: int, settings: Sequence[str]) -> tuple[float, float, tuple[Any, int]]:
    with tempfile.TemporaryDirectory(prefix="opu-sweep-") as name:
        folder = Path(name) / "sweep"
        command = [sys.executable, "-m", "benchmarks", "sweep", sweep, "--workers", str(workers), "--out", str(folder)]
        before = time.perf_counter()
        changes = [part for text in settings for part in ("--set", text)]
        done = subprocess.run([*command, *changes], capture_output=True, text=True, check=False)
        whole = time.perf_counter() - before
        if done.returncode:
            raise ConfigError(done.stderr.strip().removeprefix("opu: "))
        stored = read(folder)
    rows = [row for row in stored.rows if row.status == DONE]
    starts = [datetime.fromisoformat(row.started_at) for row in rows if row.started_at]
    ends = [datetime.fromisoformat(row.finished_at) for row in rows if row.finished_at]
    span = (max(ends) - min(starts)).total_seconds()
    found = [
        (row.sha256, {key: value for key, value in (row.result or {}).items() if key not in _HOST}) for row in rows
    ]
    return 60.0 * len(rows) / span, whole, (found, stored.sessions[0]["threads"])


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and a line a number of workers."""
    lines = [
        [
            str(row["workers"]),
            str(row["threads_a_worker"]),
            f"{row['points_per_minute']:.1f}",
            f"{row['speed_up']:.2f}",
            f"{row['command_s']:.1f}",
        ]
        for row in document["rows"]
    ]
    return ["workers", "threads each", "points a minute", "speed-up", "command, s"], lines
