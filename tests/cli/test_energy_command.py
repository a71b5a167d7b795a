"""`opu bench energy`: a real process, one document, a run's own figures, one line for the user's mistakes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli import main
from benchmarks.energy.workload import DEFAULT_WORKLOAD, parse_workload

Opu = Callable[..., subprocess.CompletedProcess[str]]

CONTRACT_ROW = {"device", "n_in", "n_out", "seconds", "joules", "teraops_delivered", "teraops_per_watt"}
SMALL = ["--device", "lighton-aurora", "--against", "p100"]


def test_a_size_on_a_device_beside_a_card(opu: Opu, tmp_path: Path) -> None:
    done = opu("bench", "energy", "10000x20000x3000", *SMALL, "--json", "--out", "e.json", "--plot", "e.png")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "e.json").read_text()) == document
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    intensity, ternary, card = document["rows"]
    assert all(set(row) >= CONTRACT_ROW for row in document["rows"])
    assert [row["operation"] for row in document["rows"]] == ["intensity", "ternary", "product, fp16"]
    # 20,000 outputs, 409 a band of five rows, need 245 rows: 245/178 of the 2 kHz period, to the row's own time.
    assert intensity["seconds"] == pytest.approx(3000 * 0.5e-3 * 245 / 178 + 0.155, rel=0.02)
    assert ternary["frames"] == 4 * intensity["frames"] == 12_000
    for row in (intensity, ternary):
        assert row["joules"] == pytest.approx(30.0 * row["seconds"], rel=1e-3)
        assert row["joules"] == pytest.approx(sum(row["stage_joules"].values()))
        assert row["teraops_delivered"] == pytest.approx(2e-12 * 2e8 * 3000 / row["seconds"])
        assert row["joules_per_op"] == pytest.approx(row["joules"] / (2 * 2e8 * 3000))
        assert row["teraops_delivered"] < row["teraops_optical"] < row["teraops_peak"]
        assert row["utilisation"] == pytest.approx(row["teraops_delivered"] / row["teraops_peak"])
    assert card["teraops_per_watt"] == pytest.approx(card["teraops_delivered"] / (0.88 * 250))
    entry = document["crossovers"][0]
    assert {"against", "quantity", "size"} <= set(entry)
    assert document["training"]["published"]["tag"] == "secondary"
    assert len(document["training"]["assumptions"]) > 10


def test_the_whole_comparison_holds_the_published_crossovers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "energy", "--against", "p100", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["workload"]["source"] == DEFAULT_WORKLOAD
    found = {
        c["quantity"]: c["size"]
        for c in document["crossovers"]
        if c["variant"] == "2 kHz at any size" and c["basis"] == "measured, interpolated"
    }
    assert found == {"time": pytest.approx(47_200, rel=0.03), "energy": pytest.approx(17_200, rel=0.03)}
    devices = {row["device"] for row in document["rows"] if row["kind"] == "optical"}
    assert devices == {"lighton-aurora", "lighton-full-frame", "light-in-the-loop", "filipovich-50x20"}


def test_tables_on_the_terminal_say_what_is_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "energy", "100x100x10", *SMALL, "--assume", "tokens=512"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "Where the joules go",
        "dmd",
        "What the model assumes",
        "tokens │ 512",
        "secondary",
        "arXiv 1910.09880",
    ):
        assert words in shown, words


def test_an_efficiency_is_the_electronic_cards_alone(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = []
    for efficiency in ("0.2", "p100=0.8"):
        assert main(["bench", "energy", "9000x9000x3000", *SMALL, "--efficiency", efficiency, "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        seconds.append({row["device"]: row["seconds"] for row in rows})
    slow, fast = seconds
    assert slow["p100"] / fast["p100"] == pytest.approx(4.0, rel=0.01)
    assert slow["lighton-aurora"] == fast["lighton-aurora"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "odfa"
    few = ["--set", "trainer.epochs=1", "--set", "model.hidden=[24, 16]", "--out", str(folder)]
    assert main(["train", *few]) == 0
    return folder


def test_a_training_run_brings_its_own_ledger(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    spent = json.loads((run / "result.json").read_text())["device"]
    assert (spent["n_in"], spent["n_out"]) == (10, 40)
    assert parse_workload(str(run)) == parse_workload(str(run / "result.json"))
    assert main(["bench", "energy", str(run), "--device", "light-in-the-loop", "--against", "h100", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    own, *others = document["rows"]
    assert (own["kind"], own["device"], own["operation"]) == ("run", "lighton-aurora", "as trained")
    assert own["seconds"] == spent["device_s"]
    assert own["stage_joules"] == spent["stage_joules"]
    for key in ("joules", "utilisation", "joules_per_op", "teraops_delivered", "teraops_optical", "teraops_peak"):
        assert own[key] == spent[key]
    assert all((row["n_in"], row["n_out"], row["vectors"]) == (10, 40, spent["projections"]) for row in others)
    assert document["workload"]["calls"] == spent["passes"]
    holographic = next(row for row in others if row["operation"] == "ternary")
    assert holographic["frames"] == 2 * spent["projections"]


def test_a_result_of_an_earlier_version_is_read(run: Path, tmp_path: Path) -> None:
    document = json.loads((run / "result.json").read_text())
    for key in ("n_in", "n_out", "passes"):
        del document["device"][key]
    (tmp_path / "old.json").write_text(json.dumps(document))
    workload = parse_workload(str(tmp_path / "old.json"))
    assert (workload.n_in, workload.n_out) == (10, 40)
    assert workload.vectors == document["device"]["projections"]
    assert workload.batch == document["experiment"]["trainer"]["batch_size"]


def damaged(change: dict[str, Any]) -> str:
    device = {"name": "x", "n_in": 10, "n_out": 40, "passes": 3, "projections": 9, "device_s": 1.0, "joules": 30.0}
    device |= dict.fromkeys(("watts", "teraops_peak", "teraops_optical", "teraops_delivered"), 1.0)
    device |= {"utilisation": 0.1, "joules_per_op": 0.1, "stage_s": {}, "stage_joules": {}}
    return json.dumps({"method": "bp", "device": device | change})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "result.json: not a result.json: Expecting property name"),
        ("", "result.json: not a result.json: Expecting value"),
        ("[" * 100_000, "result.json: not a result.json: "),
        ("[]", "result.json: device: missing; must be a result.json of `opu train`"),
        ('{"device": 3}', "result.json: device: missing"),
        (damaged({"projections": "many"}), "result.json: device.projections = 'many': must be a number >= 0"),
        (damaged({"joules": float("nan")}), "result.json: device.joules = nan: must be a number >= 0"),
        (damaged({"watts": None}), "result.json: device.watts = None: must be a number >= 0"),
        (damaged({"stage_joules": []}), "result.json: device.stage_joules = []: must be a table"),
        (damaged({"n_in": 0}), "result.json: device.n_in = 0, device.n_out = 40: must be integers >= 1"),
        (damaged({"passes": "3"}), "result.json: device.passes = '3': must be an integer >= 1"),
        (damaged({"projections": 0}), "this run (bp) projected nothing; must be a run by odfa, dfa or dfa-ternary"),
    ],
)
def test_a_damaged_result_is_one_line(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("result.json").write_text(text)
    assert main(["bench", "energy", "result.json", *SMALL]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("opu: result.json: ")
    assert shown.err.count("\n") == 1
    assert complaint in shown.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["12by12"], "WORKLOAD '12by12': must be N_INxN_OUT or N_INxN_OUTxVECTORS"),
        (["0x10"], "WORKLOAD 0x10: N_IN = 0: must be >= 1"),
        (["missing/result.json"], "missing/result.json: cannot be read: No such file or directory"),
        (["."], "result.json: cannot be read: No such file or directory"),
        (["--device", "nosuch"], "'nosuch': no such device; shipped are "),
        (["--device", "ideal"], "ideal: a digital reference spends no simulated time or energy"),
        (["--against", "tpu"], "'tpu': no such accelerator; shipped are a100, b200, h100, p100, v100"),
        (["--device", "lighton-aurora", "10x100000"], "n_out = 100000: outputs 5 pixels apart"),
        (["--device", "lighton-aurora", "2000000x10"], "n_in = 2000000: the DMD has 912 x 1140"),
        (["--efficiency", "0"], "--efficiency '0': must be a number in (0, 1]"),
        (["--efficiency", "h100=1.5"], "--efficiency 'h100=1.5': must be a number in (0, 1]"),
        (["--efficiency", "tpu=0.5"], "--efficiency 'tpu=0.5': no card 'tpu'"),
        (["--precision", "double"], "--precision 'double': must be one of half, single"),
        (["--operation", "sort"], "--operation 'sort': must be one of intensity, ternary, float"),
        (["--device", "filipovich-50x20", "--operation", "intensity"], "--operation intensity: filipovich-50x20 has"),
        (["--set", "camera.adc_bits=6"], "--set: must go with --device"),
        (["--device", "lighton-aurora", "--set", "camera.bits=6"], "camera.bits: unknown key"),
        (["--assume", "token=6"], "--assume token: unknown key"),
        (["--device", "lighton-aurora", "--assume", "vocabulary=2000000"], "n_in = 2000000: the DMD has"),
        (["--out", "/proc/no/e.json"], "--out /proc/no"),
        (["--plot", "/proc/no/e.png"], "--plot /proc/no"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here("bench", "energy", *arguments)


def test_help_shows_examples_and_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "energy", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Example: opu bench energy" in shown
    assert DEFAULT_WORKLOAD in shown
