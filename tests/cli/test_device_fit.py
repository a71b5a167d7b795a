"""`opu device fit`: real trainings, a known cheapest card, a kill in the middle, what is refused."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import COMMAND, environment

from benchmarks.cli import main

Opu = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]

PATIENCE_S = 100.0  # on a machine that has other work, too
TASK = ["--set", "trainer.epochs=1", "--set", "model.hidden=[16]"]
# One camera, so that only two keys are left to search.
NARROW = [*TASK, "--set", "device.camera.model=cmv2000", "--set", "device.camera.roi_rows=64", "--confirm", "1"]
GRID = [*NARROW, "--set", "device.timing.exposure_us=400.0", "--space", "camera.adc_bits=[6, 8]"]
CARDS = [*GRID, "--space", "laser.power_mw=[200.0, 50.0, 100.0]", "--seeds", "1", "--workers", "1"]


def content(folder: Path) -> dict[str, Any]:
    """fit.json without what differs from run to run."""
    document = json.loads((folder / "fit.json").read_text())
    del document["provenance"]
    return document


def stored(folder: Path) -> list[tuple[str, str, int]]:
    """Hash, status and session of all points; none as long as there are no tables."""
    path = folder / "results.sqlite"
    if not path.exists():
        return []
    with sqlite3.connect(path, timeout=30) as db:
        try:
            return db.execute("SELECT config_sha256, status, session FROM points ORDER BY position").fetchall()
        except sqlite3.OperationalError:
            return []


def test_cheapest_of_a_small_grid_is_a_card_that_trains_alike(
    opu: Opu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Any accuracy will do, so that the least watts win: the weakest laser, whatever its bits; 5 W of 30 are its 100 mW.
    done = opu("device", "fit", "--accuracy", "0.001", "--cost", "watts", *CARDS, "--out", "f", "--json", "--plot")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "f" / "fit.json").read_text())
    assert document["search"]["kind"] == "whole space"
    assert len(document["trials"]) == 6
    winner = document["trials"][document["winner"]]
    assert winner["parameters"]["laser.power_mw"] == 50.0
    # 50 mW less through 2 % at the wall and a supply of 90 %.
    base = next(t for t in document["trials"] if t["parameters"]["laser.power_mw"] == 100.0)
    assert base["watts"] - winner["watts"] == pytest.approx(0.05 / 0.02 / 0.9)
    assert (tmp_path / "f" / "fit.png").read_bytes().startswith(b"\x89PNG")

    card = str(tmp_path / "f" / "card.toml")
    assert main(["device", "show", card, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["watts"] == pytest.approx(winner["watts"])
    assert main(["train", "--device", card, *TASK, "--out", str(tmp_path / "again")]) == 0
    result = json.loads((tmp_path / "again" / "result.json").read_text())
    assert result["metrics"]["test"]["accuracy"] == winner["accuracies"][0]
    assert result["device"]["joules"] == pytest.approx(winner["joules"], rel=1e-12)


def test_killed_in_the_middle_and_resumed_nothing_is_lost_or_repeated(
    opu: Opu, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = [*NARROW, "--accuracy", "0.01", "--trials", "8", "--seeds", "1"]
    command = [*COMMAND, "device", "fit", *search, "--workers", "1", "--out", "killed"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while len([1 for _, status, _ in stored(tmp_path / "killed") if status == "done"]) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    before = [row for row in stored(tmp_path / "killed") if row[1] == "done"]
    assert 3 <= len(before) < 9
    assert not (tmp_path / "killed" / "fit.json").exists()

    resumed = opu("device", "fit", *search, "--workers", "2", "--out", "killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    after = stored(tmp_path / "killed")
    assert before == [row for row in after if row[2] == 1]
    assert {status for _, status, _ in after} == {"done"}
    # Two workers and one, in one go and in two: the same trials, to the last bit.
    assert main(["device", "fit", *search, "--workers", "1", "--out", str(tmp_path / "whole")]) == 0
    capsys.readouterr()
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    # Neither a new search nor another one goes there.
    for change, line in (
        ([], "already holds results.sqlite"),
        (["--resume", "--cost", "watts"], "was begun with cost = 'joules', not 'watts'"),
    ):
        assert main(["device", "fit", *search, *change, "--out", str(tmp_path / "whole")]) == 2
        assert line in capsys.readouterr().err


def test_refused_cards_are_failed_trials_and_nothing_found_is_one_line(opu: Opu, tmp_path: Path) -> None:
    # The IMX174's offset of 40 leaves no code of 5 bits; CMV2000 takes them.
    space = ["--space", 'camera.model=["imx174", "cmv2000"]', "--space", "camera.adc_bits=[5]"]
    fixed = ["--set", "device.timing.exposure_us=400.0", "--set", "device.laser.power_mw=100.0"]
    fixed += ["--set", "device.camera.roi_rows=64"]
    done = opu(
        "device", "fit", *TASK, *space, *fixed, "--accuracy", "1", "--seeds", "1", "--workers", "1", "--out", "f"
    )
    assert done.returncode == 1
    document = content(tmp_path / "f")
    failed, tried = document["trials"]
    assert failed["status"] == "failed"
    assert "offset_dn = 40.0: must be < 31" in failed["error"]
    assert (tried["status"], tried["feasible"], document["winner"]) == ("done", False, None)
    assert not (tmp_path / "f" / "card.toml").exists()
    lines = done.stderr.splitlines()
    assert lines[0].startswith("opu: trial 0 failed: ")
    best = f"{100 * tried['accuracy_mean']:.2f}"
    assert lines[-1].startswith(
        f"opu: no card of 2 trials reaches 100 %; best {best} % (trial 1: camera.model = cmv2000"
    )
    assert "Traceback" not in done.stderr


def test_a_device_that_cannot_be_built_is_a_failed_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Grains of 136 pixels: the CMV2000 has room for 15 x 8 outputs, the IMX174 for 14 x 8, of which 116 are too many.
    monkeypatch.chdir(tmp_path)
    values = {
        "trainer.epochs": 1,
        "model.hidden": [116],
        "device.medium.speckle_grain_px": 136.0,
        "device.camera.adc_bits": 8,
        "device.camera.roi_rows": 64,
        "device.timing.exposure_us": 400.0,
        "device.laser.power_mw": 100.0,
    }
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    options = ["--seeds", "1", "--confirm", "1", "--workers", "1", "--out", "f", "--accuracy", "0.01"]
    assert main(["device", "fit", *settings, "--space", 'camera.model=["imx174", "cmv2000"]', *options]) == 0
    assert "opu: trial 0 failed: n_out = 116: " in capsys.readouterr().err
    document = content(tmp_path / "f")
    assert [trial["status"] for trial in document["trials"]] == ["failed", "done"]
    assert document["winner"] == document["base"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--accuracy", "1.5"], "--accuracy 1.5: must be > 0 and <= 1"),
        (["--accuracy", "0"], "--accuracy 0: must be > 0 and <= 1"),
        (["--accuracy", "nan"], "--accuracy nan: must be > 0 and <= 1"),
        (["--accuracy", "0.9", "--trials", "0"], "--trials 0: must be >= 1"),
        (
            ["--accuracy", "0.9", "--cost", "euros"],
            "--cost euros: unknown cost; must be one of joules, watts, device_s",
        ),
        (["--accuracy", "0.9", "--space", "laser.power_mw=9..1"], "--space laser.power_mw = '9..1': must be 0 < LOW"),
        (["--accuracy", "0.9", "--resume", "--out", "none"], "none/results.sqlite: no search to resume"),
    ],
)
def test_bad_input_is_one_line(refused: Refused, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert refused("device", "fit", *arguments, *TASK).startswith(message)
    assert list(tmp_path.iterdir()) == []
