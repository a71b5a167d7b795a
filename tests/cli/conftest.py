"""`opu` as users run it: a process of its own, in an empty folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import COMMAND, environment

Opu = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def opu(tmp_path: Path) -> Opu:
    def call(*arguments: str | Path, cwd: Path = tmp_path, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=environment(**changes),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture
def refused(opu: Opu) -> Callable[..., str]:
    """Runs a command that must end with status 2 and one line on stderr, which is returned without its `opu: `."""

    def call(*arguments: str | Path, **kwargs: str) -> str:
        done = opu(*arguments, **kwargs)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert done.stderr.splitlines(keepends=True) == [done.stderr]
        assert done.stderr.startswith("opu: ")
        assert done.stderr.endswith("\n")
        assert "Traceback" not in done.stderr
        return done.stderr.removeprefix("opu: ").rstrip("\n")

    return call
