"""How tests start `opu`: through Python, so that no installed script need be on the path."""

from __future__ import annotations

import os
import sys

COMMAND = [sys.executable, "-m", "benchmarks"]


def environment(**changes: str) -> dict[str, str]:
    """This process's, without the data folders and the terminal of whoever runs the tests."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("OPU_") and k not in ("COLUMNS", "FORCE_COLOR")}
    return {**own, **changes}
