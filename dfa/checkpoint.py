"""Checkpoints: arrays and JSON in one .npz, written whole or not at all, no pickle."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim.errors import ConfigError

VERSION = 1
FILE = "checkpoint.npz"


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Replace a file in one step; a crash leaves the old one."""
    scratch = _scratch(path)
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def remove_partial_files(folder: Path) -> None:
    """Delete what processes that were killed in `write_atomic` left in a folder; nothing ever reads such a file."""
    if os.name != "posix":  # elsewhere there is no asking whether a process lives
        return
    for scratch in folder.glob(".*.partial"):
        number = scratch.stem.rpartition(".")[2]
        if number.isdecimal() and not _alive(int(number)):
            scratch.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def save(path: Path, config_sha256: str, arrays: dict[str, NDArray[Any]], state: dict[str, Any]) -> None:
    """Write a checkpoint; `state` is JSON-ready (floats round-trip exactly)."""
    header = json.dumps({"version": VERSION, "config_sha256": config_sha256, "state": state})
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array(header), **arrays)  # type: ignore[arg-type]
    write_atomic(path, buffer.getbuffer())


def load(path: Path, config_sha256: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and state of a checkpoint.

    Raises
    ------
    ConfigError
        No checkpoint, a damaged one, another version, or one of another configuration.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no checkpoint to resume from")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
        version, sha256, state = int(header["version"]), str(header["config_sha256"]), dict(header["state"])
    except Exception as error:  # a damaged archive raises almost anything, from zipfile's own errors to RuntimeError
        raise ConfigError(f"{path}: damaged checkpoint: {type(error).__name__}: {_first_line(error)}") from None
    if version != VERSION:
        raise ConfigError(f"{path}: checkpoint version {version}; this program reads {VERSION}")
    if sha256 != config_sha256:
        raise ConfigError(
            f"{path}: checkpoint of another configuration (sha256 {sha256[:12]}, this run is "
            f"{config_sha256[:12]}); resume with the config.toml beside it, or choose another --out"
        )
    return arrays, state


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def make_file_writable(file: Path, option: str) -> None:
    """Make sure, before long work, that a result can be written there: it is no folder, and its own folder will do.

    Raises
    ------
    ConfigError
        It cannot; the line names the option.
    """
    make_writable(file.parent, option)
    if file.is_dir():
        raise ConfigError(f"{option} {file}: is a folder; must be a file")


def make_writable(folder: Path, option: str) -> None:
    """Create a folder if need be and make sure that it can be written.

    Raises
    ------
    ConfigError
        It cannot; the line names the option.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _scratch(folder / "probe")
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"{option} {folder}: cannot be written: {error.strerror}") from None
