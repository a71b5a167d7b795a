"""`opu` as users run it: a process of its own, in an empty folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import COMMAND, environment

from benchmarks.cli import main

Opu = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]


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
def refused(opu: Opu) -> Refused:
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


@pytest.fixture
def refused_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """As `refused`, but in this process, which is quick, and in an empty folder that must stay so;
    the whole line is returned."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        assert main(arguments) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("opu: ")
        assert shown.err.count("\n") == 1
        assert not list(tmp_path.iterdir())
        return shown.err

    return call
