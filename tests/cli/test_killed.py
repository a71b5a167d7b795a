"""Runs that are killed (SIGKILL, so that nothing can be saved in haste) and resumed end bit for bit as without."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from processes import COMMAND, environment
from runs import assert_same_run, hashes, history, result

Opu = Callable[..., subprocess.CompletedProcess[str]]

DRIFTING = {"device.medium.drift_time_s": 500, "device.medium.frame_decorrelation": 0.01}
DIGITS = ["digits-mlp", "--set", "model.hidden=[32]", *(f"--set={key}={value}" for key, value in DRIFTING.items())]
FILES = {"result.json", "history.csv", "config.toml", "checkpoint.npz", "history.png", "camera_frame.png"}


class Killed:
    """A run in a folder, started, killed and resumed."""

    def __init__(self, folder: Path, arguments: list[str], **environment: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._environment = environment

    def command(self) -> list[str]:
        """Killed before its first checkpoint, a run is begun again; later it is resumed."""
        resume = ["--resume"] if (self.folder / "checkpoint.npz").exists() else []
        return [*COMMAND, "train", *self._arguments, "--out", str(self.folder), *resume]

    def kill(self, saves: int, delay_s: float) -> None:
        """Start or resume it, wait until it has saved so often, and kill it so much later, wherever it then is.

        But at its second save in that time: on a computer whose load changes it might be at its end.
        """
        process = subprocess.Popen(
            self.command(), env=environment(**self._environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        limit = time.monotonic() + 120
        at = time.monotonic() + delay_s
        seen = self._stamp()
        while saves > -2 and (saves > 0 or time.monotonic() < at):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < limit
            if (stamp := self._stamp()) != seen:
                saves, seen = saves - 1, stamp
                at = time.monotonic() + delay_s if saves == 0 else at
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stderr.close()
        assert not (self.folder / "result.json").exists()

    def _stamp(self) -> int:
        path = self.folder / "checkpoint.npz"
        return path.stat().st_mtime_ns if path.exists() else 0

    def end(self) -> None:
        """Let it run to its end."""
        done = subprocess.run(
            self.command(), env=environment(**self._environment), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def killed_and_left_alone(
    tmp_path: Path, arguments: list[str], kills: int, seed: int, **environment: str
) -> tuple[Path, Path]:
    """Folders of a run that was killed so often and of one that was not.

    Moments: after 0 to 4 saves of a session, and up to two epochs later; without a save, in the start or in the first
    epoch.
    """
    straight = Killed(tmp_path / "straight", arguments, **environment)
    began = time.monotonic()
    straight.end()
    took_s, host_s = time.monotonic() - began, result(straight.folder)["host"]["host_s"]
    epoch_s = host_s / len(history(straight.folder))
    broken = Killed(tmp_path / "broken", arguments, **environment)
    rng = np.random.default_rng(seed)
    for _ in range(kills):
        saves = int(rng.integers(0, 5))
        broken.kill(saves, rng.uniform(0.0, 2.0 * epoch_s if saves else took_s - host_s))
    broken.end()
    return broken.folder, straight.folder


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_network_through_a_drifting_noisy_device(tmp_path: Path, kills: int) -> None:
    epochs = 8 * kills  # more than all sessions together reach before they are killed, 6 each
    broken, straight = killed_and_left_alone(tmp_path, [*DIGITS, f"--set=trainer.epochs={epochs}"], kills, seed=kills)
    assert_same_run(broken, straight)
    assert len(history(broken)) == epochs
    assert set(hashes(broken)) == set(hashes(straight)) == FILES  # what was half written is gone


@pytest.mark.skipif("OPU_DATA_DIR" not in os.environ, reason="Cora's graph: OPU_DATA_DIR is not set")
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_graph_network(tmp_path: Path, kills: int) -> None:
    """It has dropout, and a best epoch so far, on top."""
    arguments = ["cora-gcn", *DIGITS[3:]]
    data = os.environ["OPU_DATA_DIR"]
    broken, straight = killed_and_left_alone(tmp_path, arguments, kills, seed=20 + kills, OPU_DATA_DIR=data)
    assert_same_run(broken, straight)
    assert result(broken)["selected_epoch"] == result(straight)["selected_epoch"]


def test_killed_in_its_first_save(opu: Opu, refused: Callable[..., str], tmp_path: Path) -> None:
    """Half a checkpoint under another name: nothing to resume, nothing in the way of a new run."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "run").mkdir()
    half = tmp_path / "run" / f".checkpoint.npz.{dead.pid}.partial"
    half.write_bytes(b"PK\x03\x04 half a checkpoint")
    short = ["train", "--set", "trainer.epochs=1", "--set", "model.hidden=[8]", "--out", "run"]
    assert refused(*short, "--resume") == "run/checkpoint.npz: no checkpoint to resume from"
    assert opu(*short).returncode == 0
    assert set(hashes(tmp_path / "run")) == FILES
