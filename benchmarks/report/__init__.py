"""`opu report`: one self-contained HTML page from the directory of a run, a benchmark or a sweep."""

from __future__ import annotations

from pathlib import Path

from benchmarks.failures import HostError
from benchmarks.report import bench, sweep, training_run
from benchmarks.report.page import Page
from dfa.checkpoint import make_writable, write_atomic
from opu_sim.config import refused

FILE = "report.html"


def page(folder: Path) -> Page:
    """The report of whatever the folder holds.

    Raises
    ------
    ConfigError
        No folder, nothing in it that is known, or something damaged.
    """
    try:
        if not folder.is_dir():
            raise refused(f"DIR {folder}: {'is a file, not a directory' if folder.exists() else 'no such directory'}")
        if sweep.is_sweep(folder):
            return sweep.page(folder)
        if training_run.is_run(folder):
            return training_run.page(folder)
        found = bench.documents(folder)
    except OSError as error:
        raise refused(f"DIR {folder}: cannot be read: {error.strerror}") from None
    if not found:
        raise refused(
            f"DIR {folder}: no result in it; must hold result.json (`opu train`), results.sqlite (`opu sweep`) "
            "or the JSON of `opu bench`"
        )
    return bench.page(folder, found)


def write(folder: Path) -> Path:
    """Write `report.html` into the folder, whole or not at all; its path.

    Raises
    ------
    ConfigError
        As `page`; or the folder cannot be written.
    HostError
        The disk is full.
    """
    html = page(folder).html()
    make_writable(folder, "DIR")
    path = folder / FILE
    try:
        write_atomic(path, html.encode())
    except OSError as error:  # the folder takes files, so that it is the disk that does not
        raise HostError(f"{path}: cannot be written: {error.strerror}") from None
    return path
