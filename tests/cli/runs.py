"""What tests read in a run directory, and when two runs are the same."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def result(folder: Path) -> dict[str, Any]:
    def no_nan(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    return json.loads((folder / "result.json").read_text(), parse_constant=no_nan)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def arrays(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "checkpoint.npz", allow_pickle=False) as archive:
        return {name: archive[name].tobytes() for name in archive.files if name != "header"}


def state(folder: Path) -> dict[str, Any]:
    with np.load(folder / "checkpoint.npz", allow_pickle=False) as archive:
        return json.loads(str(archive["header"]))["state"]


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def assert_same_run(a: Path, b: Path) -> None:
    """All that the host's clock does not touch."""
    for key in ("schema", "experiment", "seed", "method", "metrics", "device", "alignment"):
        assert result(a)[key] == result(b)[key], key
    assert result(a)["provenance"]["config_sha256"] == result(b)["provenance"]["config_sha256"]
    for x, y in zip(history(a), history(b), strict=True):
        assert {**x, "host_s": ""} == {**y, "host_s": ""}
    assert arrays(a) == arrays(b)
    assert state(a)["device"] == state(b)["device"]
    assert (a / "config.toml").read_bytes() == (b / "config.toml").read_bytes()
