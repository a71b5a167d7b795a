"""From a new process to the first result: with the kernels' cache on disk, and with none.

`python -m benchmarks.throughput.start_up` is the process that is timed. Nothing is imported here before it is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

DEVICE, N_IN, N_OUT = "lighton-aurora", 10, 2048


def measure(repeats: int, cold: bool, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Seconds to the first projection in new processes, in all and part by part.

    Parameters
    ----------
    repeats : int
        Processes with a warm cache, one more before them; the median of the total counts.
    cold : bool
        Also once with an empty cache, so that all kernels on the way are compiled (a minute or so).
    progress : callable, optional
        Called with a line of text before each part.

    Returns
    -------
    dict
        `startup_s` and `cold_start_s`: from the start of the process to the projection in hand. `startup_parts_s` and
        `cold_start_parts_s`: `interpreter` until the first line of Python, `imports`, `build` (matrix, calibration),
        `projection`. None where not measured.
    """
    if progress is not None:
        progress(f"start-up: {DEVICE}, {N_IN} -> {N_OUT}")
    _start({})  # fills the cache
    warm = sorted((_start({}) for _ in range(repeats)), key=lambda run: run["total"])[repeats // 2]
    compiled = None
    if cold:
        if progress is not None:
            progress("start-up with an empty kernel cache")
        with tempfile.TemporaryDirectory() as empty:
            compiled = _start({"NUMBA_CACHE_DIR": empty})
    parts = ("interpreter", "imports", "build", "projection")
    return {
        "startup_s": warm["total"],
        "startup_parts_s": {part: warm[part] for part in parts},
        "cold_start_s": compiled and compiled["total"],
        "cold_start_parts_s": compiled and {part: compiled[part] for part in parts},
    }


def _start(changes: dict[str, str]) -> dict[str, float]:
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.throughput.start_up"],
        env={**os.environ, **changes},
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline() if process.stdout is not None else ""
        total = time.perf_counter() - begin
    if process.returncode != 0:
        raise RuntimeError(f"the process that starts a device ended with {process.returncode}")
    parts: dict[str, float] = json.loads(line)
    return {**parts, "interpreter": total - sum(parts.values()), "total": total}


def main() -> None:
    """Start a device and project once; one line of JSON with the seconds of each part."""
    marks = [time.perf_counter()]
    import numpy as np

    from opu_sim import load_device

    marks.append(time.perf_counter())
    with load_device(DEVICE, n_in=N_IN, n_out=N_OUT, seed=0) as device:
        marks.append(time.perf_counter())
        device.project(np.eye(1, N_IN, dtype=np.float32))
        marks.append(time.perf_counter())
    seconds = (after - before for before, after in pairwise(marks))
    sys.stdout.write(json.dumps(dict(zip(("imports", "build", "projection"), seconds, strict=True))) + "\n")


if __name__ == "__main__":
    main()
