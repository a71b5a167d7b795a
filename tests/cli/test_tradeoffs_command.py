"""`opu bench tradeoffs`: every direction as derived, one document, a figure, one line for the user's mistakes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.cli import main

Opu = Callable[..., subprocess.CompletedProcess[str]]


def test_quick_run_finds_every_direction_as_derived(opu: Opu, tmp_path: Path) -> None:
    done = opu("bench", "tradeoffs", "--quick", "--json", "--out", "t.json", "--plot", "t.png")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "t.json").read_text()) == document
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert document["pass"] is True
    derived = {
        "laser.power_mw": ("up", "up", "flat", "up", "up"),
        "timing.exposure_us": ("down", "down", "up", "flat", "down"),
        "camera.adc_bits": ("down", "down", "flat", "flat", "flat"),
        "camera.roi_rows": ("flat", "flat", "up", "flat", "down"),
    }
    order = ("accuracy", "bits", "frame_rate", "watts", "joules")
    for sweep in document["sweeps"]:
        for outcome in ("expected", "measured"):
            assert tuple(sweep["directions"][quantity][outcome] for quantity in order) == derived[sweep["key"]]
    # The effect on training is plain to see, not only significant.
    for key in ("laser.power_mw", "timing.exposure_us", "camera.adc_bits"):
        (sweep,) = (s for s in document["sweeps"] if s["key"] == key)
        accuracy = sweep["directions"]["accuracy"]
        assert abs(accuracy["last"] - accuracy["first"]) > 0.15


def test_a_direction_that_is_not_as_derived_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    # A laser so weak that no key brings light: accuracy and bits go nowhere.
    dark = ["--set", "device.laser.power_mw=0.001", "--set", "trainer.epochs=1", "--set", "model.hidden=[16]"]
    assert main(["bench", "tradeoffs", "--quick", *dark]) == 1
    shown = capsys.readouterr().out
    assert "of 20 directions as derived; not: " in shown
    assert "raise laser power: bits " in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nosuch"], "'nosuch': no such experiment; "),
        (["--device", "nosuch"], "'nosuch': no such device; "),
        (["--device", "ideal"], "ideal: nothing to sweep: must be a device with a laser and a camera"),
        (["--seeds", "0"], "Invalid value for '--seeds': "),
        (["--seeds", "many"], "Invalid value for '--seeds': "),
        (["--set", "trainer.epoch=3"], "trainer.epoch: unknown key; did you mean 'epochs'?"),
        (["--set", "device.camera.roi_rows=5000"], "roi_rows = 5000: must be <= rows = 1088"),
        (["--set", "model.hidden=[200000]"], "n_out = 200000: "),
        (["--out", "/proc/no/t.json"], "--out /proc/no"),
        (["--plot", "/proc/no/t.png"], "--plot /proc/no"),
        (["--frob"], "No such option: --frob"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here("bench", "tradeoffs", *arguments)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tradeoffs", "--help"]) == 0
    assert "Example: opu bench tradeoffs" in " ".join(capsys.readouterr().out.split())
