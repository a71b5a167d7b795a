"""`opu bench devices`: one network through several devices, a document, a figure, one line for the user's mistakes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.devices import measure as devices
from opu_sim import load_device

Opu = Callable[..., subprocess.CompletedProcess[str]]
VECTORS = 1237  # training samples of digits-mlp, one epoch
PASSES = -(-VECTORS // 32)


def test_two_routes(opu: Opu, tmp_path: Path) -> None:
    one_epoch = ["--seeds", "1", "--set", "trainer.epochs=1"]
    done = opu("bench", "devices", *one_epoch, "--json", "--out", "d.json", "--plot", "d.png")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "d.json").read_text()) == document
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    rows = {row["variant"]: row for row in document["rows"]}
    assert list(rows) == ["bp", "dfa", "lighton-aurora", "filipovich-50x20"]
    assert rows["dfa"]["device"] is None
    for row in rows.values():
        assert row["accuracy_mean"] > 0.3
    # What the cards promise for the run: two patterns a vector at the frame rate; tiles and signs at the symbol rate.
    aurora, bank = rows["lighton-aurora"]["device"], rows["filipovich-50x20"]["device"]
    opu_card = load_device("lighton-aurora", n_in=10, n_out=256).card  # type: ignore[attr-defined]
    # Each pattern is shown with and without the anchor, and a few frames a pass are the anchor's own.
    assert 4 * VECTORS < aurora["frames"] < 4 * VECTORS + 4 * PASSES
    timing = opu_card.timing
    shown_s = aurora["frames"] * timing.frame_time_us * 1e-6
    assert aurora["device_s"] == pytest.approx(shown_s + PASSES * timing.latency_s, rel=0.03)
    tiles, passes = 6, 2  # 256 outputs on 50 rows, 10 inputs on 20 columns; signed errors
    seconds = VECTORS * tiles * passes * 1e-10 + PASSES * (100e-9 + tiles * 0.1e-9)
    assert bank["device_s"] == pytest.approx(seconds, rel=1e-9)
    assert bank["joules"] == pytest.approx(bank["watts"] * seconds, rel=1e-9)
    ops = 2 * 10 * 256 * VECTORS
    delivered, at_full_use = devices.picojoules_per_op(bank)
    assert delivered == pytest.approx(1e12 * bank["joules"] / ops)
    assert at_full_use == pytest.approx(bank["watts"] / 20)  # 2 x 50 x 20 x 10 GHz
    assert delivered == pytest.approx(at_full_use / bank["utilisation"])


def test_table_and_own_cards(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--device", "ideal", "--seeds", "1", "--set", "trainer.epochs=1", "--set", "model.hidden=[16]"]
    assert main(["bench", "devices", "digits-mlp", *arguments, "--plot", str(tmp_path / "none.png")]) == 0
    shown = capsys.readouterr().out
    for words in ("none: bp", "none: dfa", "ideal", "pJ an op", "utilisation"):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nosuch"], "'nosuch': no such experiment; "),
        (["--device", "nosuch"], "'nosuch': no such device; "),
        (["--device", "ideal", "--device", "ideal"], "--device: ideal, ideal; must be different ones"),
        (["--seeds", "0"], "Invalid value for '--seeds': "),
        (["--set", "trainer.epoch=3"], "trainer.epoch: unknown key; did you mean 'epochs'?"),
        (["--set", "device.camera.adc_bits=6"], "--set device.camera: unknown key; allowed: "),
    ],
    ids=" ".join,
)
def test_mistakes_cost_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here("bench", "devices", *arguments, "--out", "d.json")
