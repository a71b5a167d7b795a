"""Where a result comes from: versions, commit, machine."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any


def version() -> str:
    """Version of the installed distribution."""
    try:
        return importlib.metadata.version("opu-sim")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@cache
def commit() -> str:
    """Commit of the checkout that this package runs from, with `+` if files differ; empty for an installed wheel.

    As of the first call: later changes are not of the code that runs.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+" if changed else head


def cpu() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    return text.partition("model name")[2].partition("\n")[0].strip("\t :") or platform.machine()


def peak_rss_bytes() -> int:
    """Peak memory of this process; not getrusage on Linux, whose figure starts at the parent's size."""
    if (status := Path("/proc/self/status")).exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def now(timespec: str = "seconds") -> str:
    """UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def collect(**extra: Any) -> dict[str, Any]:
    """The `provenance` table of a result."""
    import numba
    import numpy as np

    return {
        "version": version(),
        "commit": commit(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "cpu": cpu(),
        "threads": numba.get_num_threads(),
        **extra,
    }
