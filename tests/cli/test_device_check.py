"""`opu device check`: verdicts, exit statuses, the figure sheet."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli import main
from opu_sim.config import shipped_folder

Opu = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ["--n-in", "64", "--n-out", "512"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """The JSON document of a check, which must end with this status and say nothing else."""
    assert main(["device", "check", *arguments, "--json"]) == status
    shown = capsys.readouterr()
    assert shown.err == ""
    document: dict[str, Any] = json.loads(shown.out)
    return document


@pytest.mark.parametrize("name", ["lighton-aurora", "light-in-the-loop", "ideal"])
def test_shipped_devices_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = checked(capsys, name)
    assert document["device"] == name
    assert document["pass"] is True
    assert (document["n_in"], document["n_out"], document["seed"]) == (256, 2048, 0)
    outcomes = []
    for check in document["checks"]:
        assert {"name", "measured", "expected", "tolerance", "pass", "unit", "note"} <= set(check)
        outcomes.append(check["pass"])
        if check["pass"] is None:
            assert check["note"]
        else:
            assert abs(check["measured"] - check["expected"]) <= check["tolerance"]
    assert False not in outcomes
    assert outcomes.count(True) >= (6 if name == "ideal" else 22)


def test_for_people(opu: Opu, tmp_path: Path) -> None:
    done = opu("device", "check", "lighton-aurora", *QUICK, "--plot", "sheet.png")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("camera gain (DN/e-)", "singular values, KS", "measured", "tolerance", "pass", "checks passed"):
        assert words in done.stdout
    assert "FAIL" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80  # fits a terminal
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    sheet = (tmp_path / "sheet.png").read_bytes()
    assert sheet.startswith(b"\x89PNG")
    assert len(sheet) > 50_000


def test_a_figure_sheet_of_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(capsys, "ideal", *QUICK, "--plot", "new/sheet.png")
    assert (tmp_path / "new" / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_weight_bank_and_its_figure_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = checked(capsys, "filipovich-50x20", *QUICK, "--plot", "bank.png")
    assert document["pass"] is True
    assert [check["pass"] for check in document["checks"]].count(True) >= 18
    sheet = (tmp_path / "bank.png").read_bytes()
    assert sheet.startswith(b"\x89PNG")
    assert len(sheet) > 100_000


def test_a_weight_bank_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A converter that saturates, and rings so broad that the formula of a narrow line does not hold."""
    broad = ["ring.self_coupling=0.7", "bank.columns=1", "bank.channel_spacing_nm=18.0", "tuning.range_pm=9000.0"]
    changes = [word for change in [*broad, "receiver.full_scale=0.3"] for word in ("--set", change)]
    assert main(["device", "check", "filipovich-50x20", *QUICK, *changes, "--json"]) == 1
    shown = capsys.readouterr()
    assert "of the readings of one call are saturated (receiver.full_scale = 0.3)" in shown.err
    document = json.loads(shown.out)
    failed = {check["name"] for check in document["checks"] if check["pass"] is False}
    assert {"linewidth of a ring", "inner products of 10, device: rms error"} <= failed
    assert "inner products of 10, mac: sd of error" not in failed


def test_a_device_that_fails(opu: Opu, tmp_path: Path) -> None:
    """A converter of 6 bits: repeated counts round alike, and what is lost is lost to every projection alike."""
    done = opu("device", "check", "lighton-aurora", *QUICK, "--set", "camera.adc_bits=6", "--plot", "sheet.png")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "FAIL" in done.stdout
    assert "failed: " in done.stdout
    assert (tmp_path / "sheet.png").exists()


def test_a_device_that_fails_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = checked(capsys, "lighton-aurora", *QUICK, "--set", "camera.adc_bits=6", status=1)
    assert document["pass"] is False
    failed = {check["name"] for check in document["checks"] if check["pass"] is False}
    assert {"superposition, deviation", "cosine with digital product"} <= failed
    assert "frame rate" not in failed


def test_the_user_s_own_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small one: fewer mirrors than inputs, fewer pixels than outputs of the usual test, and less light to fit."""
    text = (shipped_folder("devices") / "lighton-aurora.toml").read_text()
    for old, new in (
        ('name = "lighton-aurora"', 'name = "mine"'),
        ("columns = 912", "columns = 16"),
        ("rows = 1140", "rows = 8"),
        ("roi_rows = 178", "roi_rows = 96\nrows = 96\ncolumns = 96"),
        ("power_mw = 100.0", "power_mw = 0.4"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "mine.toml").write_text(text)
    document = checked(capsys, "mine.toml")
    assert document["device"] == "mine"
    assert (document["n_in"], document["n_out"]) == (128, 256)
    assert [note.split(":")[0] for note in document["notes"]] == ["n_in = 128", "n_out = 256"]
    done = main(["device", "check", "mine.toml"])
    assert done == 0
    assert "n_out = 256: the device has no room for 512 outputs" in " ".join(capsys.readouterr().out.split())


def test_the_same_seed_gives_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (checked(capsys, "lighton-aurora", *QUICK, "--seed", seed) for seed in ("7", "7", "8"))
    assert first == again
    assert other["checks"] != first["checks"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument"),
        (["nosuch"], "'nosuch': no such device; shipped are filipovich-50x20, ideal, "),
        (["nosuch.toml"], "nosuch.toml: no such file"),
        (["ideal", "--set", "watts=3"], "watts: unknown key; "),
        (["lighton-aurora", "--set", "camera.adc_bits=40"], "camera.adc_bits = 40: must be an integer >= 1 and <= 16"),
        (["ideal", "--set", "watts"], "--set 'watts': must be KEY=VALUE"),
        (["ideal", "--seed", "-1"], "seed = -1: must be an integer in 0 .. 2^63 - 1"),
        (["ideal", "--seed", "x"], "Invalid value for '--seed'"),
        (
            ["filipovich-50x20", "--set", "modulator.encoding=single-pass"],
            "modulator.encoding = 'single-pass': light has no sign; must be 'two-pass'",
        ),
        (["ideal", "--n-in", "7"], "n_in = 7: a self-test needs at least 8"),
        (["ideal", "--n-in", "0"], "n_in = 0: must be an integer >= 1"),
        (["ideal", "--n-out", "63"], "n_out = 63: a self-test needs at least 64"),
        (["lighton-aurora", "--n-out", "200000"], "n_out = 200000: outputs 5 pixels apart (one speckle grain) leave "),
        (["ideal", "--plot", "/proc/none/sheet.png"], "--plot /proc/none: cannot be written: "),
        (["ideal", "--frob"], "No such option: --frob"),
    ],
    ids=" ".join,
)
def test_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here("device", "check", *arguments)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "check", "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "Example: opu device check lighton-aurora" in " ".join(shown.out.split())
