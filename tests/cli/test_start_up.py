"""What a new process loads and compiles before its first answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

from benchmarks.throughput import start_up

# Not pydantic: typer imports it by itself to show the help of a command.
HEAVY = {"numba", "numpy", "scipy", "matplotlib", "sklearn", "distributed", "optuna"}

MODULES = """
import json, sys
from benchmarks.cli import main
status = main(sys.argv[1:])
print("\\n" + json.dumps([status, sorted({name.split(".")[0] for name in sys.modules})]))
"""

CACHE = """
import json, sys
from benchmarks.throughput import start_up
start_up.main()
from numba.core.dispatcher import Dispatcher
modules = [module for name, module in sys.modules.items() if name.startswith("opu_sim._kernels.")]
kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels)
misses = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
print(json.dumps([hits, misses]))
"""


def answer(code: str, *arguments: str, **changes: str) -> list:
    """The last line that a new Python process prints, from JSON."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment(**changes), capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["bench", "--help"],
        ["bench", "throughput", "--help"],
        ["bench", "energy", "--help"],
        ["train", "--help"],
        ["device", "--help"],
        ["device", "fit", "--help"],
        ["sweep", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    status, modules = answer(MODULES, *arguments)
    assert status == 0
    assert not HEAVY & set(modules)


def test_a_device_does_import_numba() -> None:
    """Control: the check sees what is loaded."""
    assert set(answer(MODULES, "--version")[1]) & HEAVY == set()
    assert "numba" in answer("import json, sys\nimport opu_sim.device\nprint(json.dumps(sorted(sys.modules)))")


def test_a_second_process_compiles_no_kernel() -> None:
    answer(CACHE)  # fills the cache where it is not full yet
    hits, misses = answer(CACHE)
    assert misses == 0
    assert hits > 0  # control: kernels were needed


def test_parts_add_up_to_the_start() -> None:
    found = start_up.measure(1, cold=False)
    assert found["cold_start_s"] is found["cold_start_parts_s"] is None
    parts = found["startup_parts_s"]
    assert set(parts) == {"interpreter", "imports", "build", "projection"}
    assert all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) == pytest.approx(found["startup_s"])


def test_a_process_that_fails_is_a_fault_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_up.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="ended with 1"):
        start_up.measure(1, cold=False)
