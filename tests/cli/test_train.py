"""`opu train`: the run directory, running it again, and going on after a break."""

from __future__ import annotations

import platform
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import COMMAND, environment
from runs import arrays, assert_same_run, hashes, history, result, state

Opu = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = ["--set", "trainer.epochs=2", "--seed", "3"]
FILES = {"result.json", "history.csv", "config.toml", "checkpoint.npz", "history.png", "camera_frame.png"}
CONTRACT_DEVICE = {
    "name",
    "projections",
    "frames",
    "device_s",
    "joules",
    "watts",
    "teraops_peak",
    "teraops_optical",
    "teraops_delivered",
    "utilisation",
    "joules_per_op",
}
FURTHER_DEVICE = {"medium", "repeated_frames", "saturated_pixels", "dark_pixels", "stage_s", "stage_joules"}
FURTHER_DEVICE |= {"n_in", "n_out", "passes"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run of two epochs; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("train") / "run"
    command = [*COMMAND, "train", *SETTINGS, "--out", str(folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_files_and_output(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = run
    assert set(hashes(folder)) == FILES
    assert done.stderr == ""  # no progress where stderr is no terminal
    for words in ("test accuracy", "TeraOPS peak", "TeraOPS delivered", "power, energy", "utilisation", "1575"):
        assert words in done.stdout
    for picture in ("history.png", "camera_frame.png"):
        content = (folder / picture).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 10_000


def test_result_has_the_keys_of_the_contract(run: tuple[Path, Any]) -> None:
    folder, _ = run
    document = result(folder)
    assert list(document) == [
        "schema",
        "experiment",
        "seed",
        "method",
        "metrics",
        "device",
        "host",
        "alignment",
        "provenance",
    ]
    assert set(document["metrics"]) == {"train", "validation", "test"}
    for part in document["metrics"].values():
        assert set(part) == {"accuracy", "loss"}
        assert 0.5 < part["accuracy"] <= 1
    assert set(document["device"]) == CONTRACT_DEVICE | FURTHER_DEVICE
    assert set(document["host"]) == {"host_s", "projection_host_s", "peak_rss_bytes"}
    assert set(document["provenance"]) == {
        "version",
        "commit",
        "config_sha256",
        "python",
        "numpy",
        "numba",
        "cpu",
        "threads",
        "started_at",
    }
    assert (document["seed"], document["method"]) == (3, "odfa")
    assert len(document["alignment"]) == 2


def test_device_table(run: tuple[Path, Any]) -> None:
    device = result(run[0])["device"]
    n_in, n_out, vectors = 10, 256, 2 * 1237
    assert device["name"] == "lighton-aurora"
    assert device["projections"] == vectors
    assert device["frames"] == 4 * vectors + 128
    assert device["watts"] * device["device_s"] == pytest.approx(device["joules"])
    assert device["watts"] == pytest.approx(30, abs=0.05)
    # 500 us a frame, 155 ms a pass: one pass a batch (39 an epoch) and one for the calibration
    assert device["device_s"] == pytest.approx(500e-6 * device["frames"] + 0.155 * (2 * 39 + 1))
    ops = 2 * n_in * n_out * vectors
    assert device["teraops_delivered"] == pytest.approx(1e-12 * ops / device["device_s"])
    assert device["joules_per_op"] == pytest.approx(device["joules"] / ops)
    optical = 2 * 1_039_680 * (178 * 2048) * device["frames"]
    assert device["teraops_optical"] == pytest.approx(1e-12 * optical / device["device_s"])
    assert device["teraops_peak"] == pytest.approx(1575, abs=1)
    assert device["utilisation"] == pytest.approx(device["teraops_delivered"] / device["teraops_peak"])
    assert sum(device["stage_joules"].values()) == pytest.approx(device["joules"])


def test_host_and_provenance(run: tuple[Path, Any]) -> None:
    document = result(run[0])
    host, provenance = document["host"], document["provenance"]
    assert 0 < host["projection_host_s"] < host["host_s"] < 100
    assert 50e6 < host["peak_rss_bytes"] < 4e9
    assert provenance["python"] == platform.python_version()
    assert provenance["numpy"] == np.__version__
    assert len(provenance["config_sha256"]) == 64
    assert provenance["threads"] >= 1


def test_history(run: tuple[Path, Any]) -> None:
    rows, document = history(run[0]), result(run[0])
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["validation_accuracy"]) == document["metrics"]["validation"]["accuracy"]
    assert float(rows[-1]["device_s"]) == document["device"]["device_s"]
    assert [float(rows[-1][f"alignment_{layer}"]) for layer in (1, 2)] == document["alignment"]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])


def test_config_runs_again_to_the_same_result(opu: Opu, run: tuple[Path, Any], tmp_path: Path) -> None:
    done = opu("train", run[0] / "config.toml", "--out", "again")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "again", run[0])


def test_resuming_a_finished_run_gives_its_result(opu: Opu, run: tuple[Path, Any], tmp_path: Path) -> None:
    copy = copied(run[0], tmp_path / "copy")
    done = opu("train", *SETTINGS, "--out", copy, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_run(copy, run[0])
    assert result(copy)["host"]["host_s"] == result(run[0])["host"]["host_s"]  # no step was run again


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_second_run_into_the_same_folder(refused: Callable[..., str], run: tuple[Path, Any]) -> None:
    before = hashes(run[0])
    message = refused("train", *SETTINGS, "--out", run[0])
    assert message.startswith(f"--out {run[0]}: already holds ")
    assert "--resume" in message
    assert hashes(run[0]) == before


def test_resume_with_a_changed_setting(refused: Callable[..., str], run: tuple[Path, Any]) -> None:
    before = hashes(run[0])
    message = refused("train", *SETTINGS, "--set", "trainer.learning_rate=0.004", "--out", run[0], "--resume")
    assert "checkpoint of another configuration" in message
    assert hashes(run[0]) == before


def test_resume_of_a_truncated_checkpoint(refused: Callable[..., str], run: tuple[Path, Any], tmp_path: Path) -> None:
    copy = copied(run[0], tmp_path / "copy")
    content = (copy / "checkpoint.npz").read_bytes()
    (copy / "checkpoint.npz").write_bytes(content[: len(content) // 2])
    before = hashes(copy)
    message = refused("train", *SETTINGS, "--out", copy, "--resume")
    assert message.startswith(f"{copy}/checkpoint.npz: damaged checkpoint: ")
    assert hashes(copy) == before


def test_default_folders(opu: Opu, tmp_path: Path) -> None:
    quick = ["--method", "bp", "--seed", "5", "--set", "trainer.epochs=1", "--set", "model.hidden=[8]"]
    for _ in range(2):
        assert opu("train", *quick).returncode == 0
    folders = sorted(path.relative_to(tmp_path) for path in (tmp_path / "runs").iterdir())
    assert list(map(str, folders)) == ["runs/digits-mlp-bp-seed5", "runs/digits-mlp-bp-seed5-2"]
    one, two = (tmp_path / folder for folder in folders)
    assert_same_digital_run(one, two)
    assert result(one)["device"]["name"] == "none"
    assert result(one)["device"]["joules"] == 0
    assert set(hashes(one)) == FILES - {"camera_frame.png"}


def assert_same_digital_run(a: Path, b: Path) -> None:
    assert result(a)["metrics"] == result(b)["metrics"]
    assert arrays(a) == arrays(b)


# --- interruption ---------------------------------------------------------------------------------------------

EPOCHS = 50
LONG = ["train", "--set", f"trainer.epochs={EPOCHS}", "--set", "model.hidden=[16]", "--out"]


class Process:
    """A training process in the background, and its checkpoint."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.checkpoint = folder / "checkpoint.npz"
        self.before = self._stamp()
        self.process = subprocess.Popen(
            [*COMMAND, *LONG, str(folder), *more],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _stamp(self) -> int:
        return self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else 0

    def end_after_an_epoch(self, number: signal.Signals) -> tuple[int, str, str]:
        """Signal it once it has saved an epoch of its own; status, stdout, stderr."""
        limit = time.monotonic() + 60
        # A new run saves once before its first epoch.
        seen, left = self.before, 1 if self.before else 2
        while left:
            stamp = self._stamp()
            left, seen = left - (stamp != seen), stamp
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < limit
            time.sleep(0.005)
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def test_interrupted_terminated_and_killed_a_run_ends_bit_for_bit_as_without(opu: Opu, tmp_path: Path) -> None:
    """One run, broken by each signal in turn, against one that went straight through."""
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    epochs = [0]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        status, out, err = Process(broken, *(["--resume"] if epochs[1:] else [])).end_after_an_epoch(number)
        if number == signal.SIGKILL:
            assert status == -signal.SIGKILL
        else:
            assert status == 130, err
            assert err == "opu: interrupted; the state is saved, go on with --resume\n"
        assert out == ""
        assert not (broken / "result.json").exists()
        epochs.append(state(broken)["progress"]["epoch"])
    # Each session went on from the one before, and each was broken before the end.
    assert epochs == sorted(set(epochs))
    assert epochs[-1] < EPOCHS
    done = opu(*LONG, broken, "--resume")
    assert done.returncode == 0, done.stderr
    assert opu(*LONG, straight).returncode == 0
    assert_same_run(broken, straight)
    assert len(history(broken)) == EPOCHS
    assert set(hashes(broken)) >= FILES  # beside them, perhaps, what was half written when the kill came
