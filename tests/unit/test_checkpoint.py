"""Checkpoints: exact, whole or not there, without pickle, and a clear line for one that cannot be used."""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfa import checkpoint
from opu_sim.errors import ConfigError

SHA = "a" * 64
STATE = {"progress": {"epoch": 3, "loss_sum": 0.1 + 0.2, "tiny": 5e-324, "history": [{"x": 1 / 3}]}}


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1e-45, np.float32(1 / 3)], np.float32)
    return {
        "parameter_0": rng.standard_normal((7, 5)).astype(np.float32),
        "special": special,
        "optimizer_steps": np.array([2**62, 0], np.int64),
        "empty": np.zeros((0, 3), np.float32),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / checkpoint.FILE
    checkpoint.save(path, SHA, arrays(), STATE)
    return path


def refusal(path: Path) -> str:
    # Not pytest.raises: what it keeps of an error would keep a damaged file open.
    kind, text = None, ""
    try:
        checkpoint.load(path, SHA)
    except Exception as error:
        kind, text = type(error), str(error)
    assert kind is ConfigError, text
    assert text.startswith(f"{path}: ")
    assert text.splitlines() == [text]
    return text


def npz(path: Path, **content: Any) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    path.write_bytes(buffer.getvalue())


def header(**changes: Any) -> np.ndarray:
    return np.array(json.dumps({"version": 1, "config_sha256": SHA, "state": STATE} | changes))


def test_round_trip_is_exact(path: Path) -> None:
    loaded, state = checkpoint.load(path, SHA)
    assert state == STATE
    assert set(loaded) == set(arrays())
    for name, wanted in arrays().items():
        assert loaded[name].dtype == wanted.dtype
        assert loaded[name].shape == wanted.shape
        assert loaded[name].tobytes() == wanted.tobytes()  # bytes: 0.0 == -0.0
    assert np.signbit(loaded["special"][1])


def test_saving_again_replaces_the_file_and_leaves_nothing_else(path: Path) -> None:
    checkpoint.save(path, SHA, {"other": np.ones(2)}, {"n": 1})
    loaded, state = checkpoint.load(path, SHA)
    assert (set(loaded), state) == ({"other"}, {"n": 1})
    assert [entry.name for entry in path.parent.iterdir()] == [checkpoint.FILE]


def test_a_failing_write_leaves_the_old_file_and_no_scratch(path: Path) -> None:
    before = path.read_bytes()
    # Fails half way: the first write is done, its content is no bytes.
    with pytest.raises(TypeError):
        checkpoint.write_atomic(path, "text, not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [checkpoint.FILE]


def test_a_rename_that_fails_leaves_no_scratch(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        checkpoint.write_atomic(tmp_path / "taken", b"content")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f".{checkpoint.FILE}.{dead.pid}.partial", f".history.csv.{dead.pid}.partial", ".x.9999999999.partial"):
        (tmp_path / name).write_bytes(b"half")
    kept = {f".{checkpoint.FILE}.{os.getppid()}.partial", f".mine.{dead.pid}", "a.partial", ".b.partial"}
    for name in kept:
        (tmp_path / name).write_bytes(b"mine")
    checkpoint.remove_partial_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
    checkpoint.remove_partial_files(tmp_path / "nosuch")


def test_a_folder_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoint.save(tmp_path / "gone" / checkpoint.FILE, SHA, arrays(), STATE)
    assert list(tmp_path.iterdir()) == []


def test_no_checkpoint(tmp_path: Path) -> None:
    assert refusal(tmp_path / checkpoint.FILE).endswith(": no checkpoint to resume from")
    assert refusal(tmp_path).endswith(": no checkpoint to resume from")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # see test_a_damaged_file_is_closed
def test_truncated(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "damaged checkpoint: " in refusal(path)


def test_a_damaged_file_is_closed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refusal(path)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("content", [b"garbage", b"\x80\x04N.", b"\0" * 5000, b"PK\x05\x06" + b"\0" * 18])
def test_garbage(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "damaged checkpoint: " in refusal(path)


def test_a_turned_bit_in_an_array(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.index(arrays()["parameter_0"].tobytes()[:8])
    content[at] ^= 1
    path.write_bytes(content)
    assert "damaged checkpoint: " in refusal(path)


def test_no_pickle(path: Path, tmp_path: Path) -> None:
    npz(path, header=header(), evil=np.array([Evil(tmp_path / "executed")], dtype=object))
    assert "damaged checkpoint: " in refusal(path)
    assert not (tmp_path / "executed").exists()
    with np.load(path, allow_pickle=True) as archive:  # control: this file does run code where pickle is allowed
        archive["evil"]
    assert (tmp_path / "executed").exists()


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_other_version(path: Path) -> None:
    npz(path, header=header(version=99))
    assert refusal(path).endswith(": checkpoint version 99; this program reads 1")


def test_other_configuration(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        checkpoint.load(path, "b" * 64)
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert f"another configuration (sha256 {'a' * 12}, this run is {'b' * 12})" in text
    assert "choose another --out" in text
    checkpoint.load(path, SHA)  # control


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"version": 1}', f'{{"version": 1, "config_sha256": "{SHA}"}}'])
def test_header_that_is_no_header(path: Path, content: str) -> None:
    npz(path, header=np.array(content))
    refusal(path)


def test_a_single_array_in_place_of_an_archive(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    path.write_bytes(buffer.getvalue())
    assert "damaged checkpoint: " in refusal(path)


@pytest.mark.parametrize("offset", [6, 8, 10])  # of an entry of the zip's directory: version, flags, compression
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_damaged_directory(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = 0xFF
    path.write_bytes(content)
    assert "damaged checkpoint: " in refusal(path)
