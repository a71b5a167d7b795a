"""`opu report`: what is on the page of a run, a benchmark and a sweep; what lacks; what is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_directory
from hypothesis import given
from hypothesis import strategies as st
from processes import COMMAND, environment

from benchmarks.cli import main
from benchmarks.report import page, pareto, write
from benchmarks.report.page import number
from opu_sim.errors import ConfigError

Opu = Callable[..., subprocess.CompletedProcess[str]]
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
VOID = {"meta", "link", "img", "br", "path", "use", "rect", "image"}


class Html(HTMLParser):
    """Tags with their attributes, tables by caption, and what a strict reader would complain of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._caption: str | None = None
        self.feed(text)
        assert self._open == []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if dict(attrs).get("class") == "caption":
            self._caption = ""
        if tag == "tr":
            list(self.tables.values())[-1].append([])
        if tag in ("th", "td"):
            list(self.tables.values())[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in ("p", "summary") and self._caption is not None:
            assert self._caption not in self.tables
            self.tables[self._caption] = []
            self._caption = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            return
        self.text += data
        if self._caption is not None:
            self._caption += data
        elif "tr" in self._open and data.strip():
            list(self.tables.values())[-1][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(folder: Path) -> Html:
    return Html((folder / "report.html").read_text("utf-8"))


def reported(folder: Path) -> Html:
    assert write(folder) == folder / "report.html"
    return read(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["train", "digits-mlp", "--set", "trainer.epochs=2", "--set", "model.hidden=[16, 16]", "--out", folder]
    subprocess.run([*COMMAND, *map(str, arguments)], env=environment(), check=True, capture_output=True)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


# A run.


def test_of_a_run(run: Path, opu: Opu) -> None:
    done = opu("report", run)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{run}/report.html\n")
    html, result = read(run), json.loads((run / "result.json").read_text())
    assert "digits-mlp, odfa, seed 0" in html.text
    metrics = {row[0]: row[1:] for row in html.tables["Metrics, after the last epoch"]}
    for part in ("train", "validation", "test"):
        assert metrics[part][0] == f"{100 * result['metrics'][part]['accuracy']:.2f} %"
    spent = dict(html.tables["What the device did and spent (simulated)"])
    assert spent["projections"] == f"{result['device']['projections']:,}"
    assert spent["power [W]"] == "30"
    energy = {row[0]: float(row[1].replace(",", "")) for row in html.tables["Energy by part"][1:]}
    assert energy == pytest.approx(result["device"]["stage_joules"], rel=1e-3)
    assert len(html.tables["Epoch by epoch"]) == 3
    assert len(html.named("svg")) == 5  # loss, accuracy, alignment; energy by part, time by stage
    assert len(html.named("img")) == 1  # the camera frame
    assert result["provenance"]["config_sha256"] in html.text
    assert "learning_rate = 0.003" in html.text
    assert 'class="notice"' not in (run / "report.html").read_text()


def test_nothing_is_fetched_and_scripts_are_its_own(run: Path) -> None:
    write(run)
    text = (run / "report.html").read_text()
    html = Html(text)
    assert "://" not in text
    for _, attributes in html.tags:
        for key in ("src", "href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith(("#", "data:"))
        assert not [key for key in attributes if key.startswith("on")]
    (policy,) = [meta["content"] for meta in html.named("meta") if "http-equiv" in meta]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert len(html.named("script")) == 1
    identifiers = [attributes["id"] for _, attributes in html.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_figures_follow_the_page_s_colours(run: Path) -> None:
    from benchmarks.report.figures import COLOURS

    figures = [figure.svg for section in page(run).sections for figure in section.figures]
    assert figures
    for svg in figures:
        assert "var(--ink)" in svg
        assert not [colour for colour in COLOURS.values() if colour in svg]


def test_device_time_and_host_time_share_no_table(run: Path) -> None:
    html = reported(run)
    texts = {caption: " ".join(map(str, rows)).lower() for caption, rows in html.tables.items()}
    assert [caption for caption, text in texts.items() if "device time [s]" in text]
    assert [caption for caption, text in texts.items() if "wall clock" in text]
    assert not [caption for caption, text in texts.items() if "device time" in text and "wall clock" in text]


def test_the_same_results_give_the_same_file(run: Path) -> None:
    assert page(run).html() == page(run).html()


def test_digital_run(tmp_path: Path) -> None:
    arguments = ["train", "--method", "bp", "--set", "trainer.epochs=1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    html = reported(tmp_path / "run")
    assert "no simulated device took part" in html.text
    assert "What the device did and spent (simulated)" not in html.tables


def test_what_is_missing_is_said(run: Path) -> None:
    for name in ("history.csv", "camera_frame.png", "config.toml"):
        (run / name).unlink()
    html = reported(run)
    assert "history.csv is missing: no learning curves." in html.text
    assert "config.toml is missing" in html.text
    assert "learning_rate = 0.003" in html.text  # from result.json instead
    assert len(html.named("svg")) == 2
    assert html.named("img") == []


def test_unfinished_run(run: Path) -> None:
    """As a run leaves it that is killed after its last epoch and before its result."""
    (run / "result.json").unlink()
    (run / "history.csv").unlink()
    html = reported(run)
    assert "This run is not finished: 2 of 2 epochs are done" in html.text
    assert f"opu train {run}/config.toml --resume --out {run}" in html.text
    assert len(html.tables["Epoch by epoch"]) == 3
    assert len(html.named("svg")) == 3


def test_unfinished_run_with_a_damaged_checkpoint(run: Path, refused: Callable[..., str]) -> None:
    (run / "result.json").unlink()
    (run / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut")
    assert refused("report", run).startswith(f"{run}/checkpoint.npz: damaged checkpoint: ")


# Benchmarks.


@pytest.mark.parametrize("name", ["digits-mlp", "throughput", "tradeoffs"])
@pytest.mark.parametrize("with_plot", [False, True])
def test_of_a_benchmark(name: str, with_plot: bool, tmp_path: Path) -> None:
    shutil.copy(RESULTS / f"{name}.json", tmp_path)
    if with_plot:
        shutil.copy(RESULTS / "history.png", tmp_path / f"{name}.png")
    html, document = reported(tmp_path), json.loads((RESULTS / f"{name}.json").read_text())
    assert len(html.named("img")) == with_plot
    assert document.get("provenance", document)["commit"] in html.text
    assert document["conventions"] in html.text
    if name == "digits-mlp":
        rows = {row[0]: row for row in html.tables["Test accuracy and alignment"][1:]}
        for row in document["rows"]:
            assert rows[row["method"]][1] == f"{100 * row['accuracy_mean']:.2f}"
        assert [row[0] for row in html.tables["Device (simulated, seed 0)"][1:]] == ["odfa"]
        assert len(html.tables["Host time of this program"]) == 6
    if name == "throughput":
        host, device = (html.tables[f"{what} time a projection{end}"] for what, end in
                        (("Host", ""), ("Device", " (simulated)")))  # fmt: skip
        assert len(host) == len(device) == len(document["rows"]) + 1
        assert not [heading for heading in host[0] if heading.startswith("device")]
        assert not [heading for heading in device[0] if heading.startswith("host")]
        at = host[0].index("host\u00a0[µs]")
        measured = [float(row[at].replace(",", "")) for row in host[1:]]
        assert measured == pytest.approx([1e6 * row["host_s_per_projection"] for row in document["rows"]], rel=2e-3)
    if name == "tradeoffs":
        assert len(html.named("svg")) == len(document["sweeps"]) + 2
        assert len(html.tables["laser power (laser.power_mw)"]) == len(document["sweeps"][0]["points"]) + 1


def test_of_several_benchmarks(tmp_path: Path) -> None:
    for name in ("digits-mlp", "throughput"):
        shutil.copy(RESULTS / f"{name}.json", tmp_path)
    (tmp_path / "package.json").write_text('{"name": "something else"}')
    report = page(tmp_path)
    assert [section.title for section in report.sections] == [
        "digits-mlp: training methods",
        "Throughput",
        "Conventions",
        "Provenance",
    ]
    assert report.notices == ["Left out, as no result of this program: package.json."]


def test_of_other_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, arguments in (("card", ["device", "show", "lighton-aurora"]), ("graphs", ["reproduce", "graphs"])):
        assert main([*arguments, "--json"]) == 0
        (tmp_path / f"{name}.json").write_text(capsys.readouterr().out)
    check = {"name": "speckle, contrast", "measured": 0.99, "expected": 1.0, "tolerance": 0.05, "pass": True}
    (tmp_path / "check.json").write_text(json.dumps({"device": "mine", "checks": [check], "notes": ["a note"]}))
    html = reported(tmp_path)
    assert dict(html.tables["Derived from the parts"])["teraops peak"] == "1,575"
    assert html.tables["Checks"][1][:2] == ["speckle, contrast", "0.99"]
    assert "Kipf and Welling 2017" in html.text


def test_energy_by_the_contract(tmp_path: Path) -> None:
    """The keys that `opu bench energy` must have, and some that it may."""
    rows = [
        {"device": device, "n_in": n, "n_out": n, "seconds": s * n, "joules": s * n * w, "teraops_delivered": 1e-3,
         "teraops_per_watt": 1e-4}
        for device, s, w in (("lighton-aurora", 1e-6, 30.0), ("P100", 2e-6, 250.0)) for n in (1000, 10000)
    ]  # fmt: skip
    crossovers = [
        {"against": "P100", "quantity": "energy", "size": 17200.0},
        {"against": "P100", "quantity": "time", "size": None},
    ]
    document = {"rows": rows, "crossovers": crossovers, "assumptions": [{"what": "efficiency", "value": 0.5}]}
    (tmp_path / "energy.json").write_text(json.dumps(document))
    html = reported(tmp_path)
    assert len(html.named("svg")) == 2
    crossings = html.tables["Crossovers: the size from which the optical device wins"]
    assert [row[2] for row in crossings[1:]] == ["17,200", "–"]
    assert html.tables["assumptions"] == [["what", "value"], ["efficiency", "0.5"]]


def test_energy_with_lines_and_a_training_model(tmp_path: Path) -> None:
    stages = {"laser": 1.0, "camera": 2.0}
    rows = [
        {
            "device": device,
            "operation": "ternary",
            "n_in": 10,
            "n_out": 10,
            "seconds": s,
            "joules": 3.0,
            "stage_joules": j,
        }
        for device, s, j in (("optics", 1e-6, stages), ("p100", 2e-3, None))
    ]
    line = {"sizes": [10, 100], "seconds": [1e-6, None], "joules": [1e-3, 1.0]}
    sweep = {"vectors": 3, "optical": [{"device": "optics", **line}], "electronic": [{"device": "p100", **line}]}
    study = {"device": "optics", "cards": [{"against": "p100", "token": {"time": 3e9, "energy": None}}],
             "curves": [{"against": "p100", "parameters": [1e7, 1e8], "seconds": [1.0, 2.0]}]}  # fmt: skip
    document = {"rows": rows, "crossovers": [], "sweep": sweep, "training": {"devices": [study]}}
    (tmp_path / "energy.json").write_text(json.dumps(document))
    html = reported(tmp_path)
    assert len(html.named("svg")) == 4
    assert html.tables["Energy by stage [J]"][1] == ["optics, ternary", "1", "2"]
    (cards,) = (table for caption, table in html.tables.items() if caption.endswith("cards"))
    assert cards == [["against", "token.time"], ["p100", "3 × 10⁹"]]


def test_of_a_benchmark_without_a_page_of_its_own(tmp_path: Path) -> None:
    rows = [
        {"lock": "heater", "watts": 3.5, "parts": {"laser": 0.5}},
        {"lock": "none", "watts": 1.0, "parts": {"laser": 1}},
    ]
    document = {"device": "mine", "rows": rows, "conventions": "what is what", "provenance": {"commit": "0" * 40}}
    (tmp_path / "bank-sizes.json").write_text(json.dumps(document))
    html = reported(tmp_path)
    assert html.tables["rows"] == [["lock", "watts", "parts.laser"], ["heater", "3.5", "0.5"], ["none", "1", "1"]]
    assert "what is what" in html.text


# Sweeps.


def test_of_a_sweep_of_two_keys(tmp_path: Path) -> None:
    folder = sweep_directory.over_two_keys(tmp_path / "sweep")
    html = reported(folder)
    report = page(folder)
    assert report.title == "bits-and-light"
    assert report.notices == []
    table = html.tables["Configurations: accuracy, and device figures (simulated)"]
    assert len(table) == 31
    assert table[0][:5] == [
        "device.camera.adc_bits",
        "device.laser.power_mw",
        "seeds",
        "accuracy\u00a0[%]",
        "±\u00a0[%]",
    ]
    for row in table[1:]:
        accuracies = [
            100 * sweep_directory.at(float(row[0]), float(row[1]), seed)["metrics"]["test"]["accuracy"]
            for seed in range(2)
        ]
        assert float(row[3]) == pytest.approx(np.mean(accuracies), abs=0.006)
        assert float(row[4]) == pytest.approx(np.std(accuracies, ddof=1), abs=0.006)
    over, costs = report.sections[:2]
    assert [figure.caption.split(" over ")[0] for figure in over.figures] == ["Accuracy", "Energy", "Power"]
    assert [figure.caption.split(":")[0] for figure in costs.figures] == [
        "Accuracy against energy",
        "Accuracy against power",
    ]
    front = html.tables["Pareto front of accuracy against joules"][1:]
    accuracy, joules = ([float(row[i].replace(",", "")) for row in front] for i in (2, 3))
    assert joules == sorted(joules)
    assert accuracy == sorted(accuracy)
    assert accuracy[-1] == max(float(row[3]) for row in table[1:])
    assert sum(row[4] == "knee" for row in front) == 1
    assert "Failed points" not in [section.title for section in report.sections]


def test_of_an_unfinished_sweep(tmp_path: Path) -> None:
    folder = sweep_directory.unfinished(tmp_path / "sweep")
    html = reported(folder)
    assert "Not finished: 3 of 24 points not run yet" in html.text
    assert "1 point failed; the reasons are below." in html.text
    assert html.tables["Points that failed"][1] == ["1", "0", "camera.adc_bits = 1: <b>must</b> be 2 or more & so on"]
    assert "&lt;b&gt;must&lt;/b&gt;" in (folder / "report.html").read_text()
    assert [row[1] for row in html.tables["Configurations: accuracy, and device figures (simulated)"][1:]] == [
        "2", *["3"] * 6,
    ]  # fmt: skip
    assert "Energy is the same in every configuration" in html.text


def test_of_a_sweep_without_a_result_yet(tmp_path: Path) -> None:
    folder = sweep_directory.make(tmp_path / "sweep", [({"trainer.epochs": 1}, 0, "waiting", None)])
    html = reported(folder)
    assert "No point has a result yet: no figures." in html.text
    assert html.named("svg") == []


@pytest.mark.parametrize("values", [["cmv2000", "imx174", "zyla"], [1, "two", None], [[16], [16, 16]], [True, False]])
def test_of_a_sweep_over_names(values: list[Any], tmp_path: Path) -> None:
    results = [sweep_directory.result(0.8 + 0.01 * i, 30.0 + i, 2.0) for i in range(len(values))]
    points = [({"device.camera": value}, 0, "done", results[i]) for i, value in enumerate(values)]
    html = reported(sweep_directory.make(tmp_path / "sweep", points))
    assert len(html.named("svg")) == 5  # accuracy, joules, watts; two fronts


def test_of_a_sweep_of_sampled_and_of_joined_keys(tmp_path: Path) -> None:
    """Points that are no grid; a key that changes along with another one is in the table, not in the figures."""
    points = []
    for i in range(24):
        parameters = {"device.laser.power_mw": 1.5**i, "device.laser.twin": -i, "trainer.learning_rate": (7 * i) % 24}
        points.append((parameters, 0, "done", sweep_directory.result(0.5 + 0.01 * i, 30.0, 2.0)))
    axes = [{"keys": ["device.laser.power_mw", "device.laser.twin"]}, {"key": "trainer.learning_rate"}]
    results = page(sweep_directory.make(tmp_path / "joined", points, axes=axes)).sections[0]
    caption = "Accuracy over device.laser.power_mw and trainer.learning_rate, mean over seeds."
    assert [figure.caption for figure in results.figures] == [caption]
    assert "device.laser.twin" in results.tables[0].header
    apart = page(sweep_directory.make(tmp_path / "apart", points)).sections[0]
    assert len(apart.figures) == 3


def test_of_a_sweep_that_was_killed_within_a_transaction(tmp_path: Path) -> None:
    folder = sweep_directory.unfinished(tmp_path / "sweep")
    before = page(folder).html()
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_spill = 1')\n"
        "db.execute('PRAGMA cache_size = 1')\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "db.execute(\"UPDATE points SET result = result || printf('%2000s', ''), status = 'half'\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    file = folder / "results.sqlite"
    subprocess.run([COMMAND[0], "-c", code, str(file)], check=False, capture_output=True)
    assert (folder / "results.sqlite-journal").stat().st_size > 0
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("SELECT * FROM points")  # control: a reader alone cannot
    db.close()
    assert page(folder).html() == before


# Text of others.


NASTY = "<script>alert(1)</script> \"quoted' $x_$ & \x00\ud800 {{ 7 * 7 }} -->"


def test_all_text_is_escaped(run: Path, tmp_path: Path) -> None:
    path = run / "result.json"
    result = json.loads(path.read_text())
    result["experiment"]["description"] = result["experiment"]["name"] = result["device"]["name"] = NASTY
    result["device"]["stage_joules"] = {NASTY: 3.0, "$$": 1.0, "\\frac{$": 2.0}
    result["provenance"][NASTY] = NASTY
    path.write_text(json.dumps(result))
    folder = sweep_directory.make(
        tmp_path / "sweep",
        [({NASTY: value}, 0, "done", sweep_directory.result(0.5, 30.0, 2.0)) for value in (NASTY, "plain")],
        name=NASTY,
        description=NASTY,
    )
    for place in (run, folder):
        html = reported(place)
        assert len(html.named("script")) == 1
        assert "<script>alert(1)</script>" in html.text
        assert "{{ 7 * 7 }}" in html.text


# What is refused: one line, nothing written.


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_run(run: Path, refused: Callable[..., str]) -> None:
    (run / "report.html").write_text("the old one")
    cut(run / "result.json")
    assert refused("report", run).startswith(f"{run}/result.json: damaged: not valid JSON: ")
    assert (run / "report.html").read_text() == "the old one"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": "other/1"}, "not a result of `opu train`: schema must begin with opu-sim/result/"),
        ({"metrics": {"test": {"accuracy": "high"}}}, "metrics.test.accuracy = 'high': input should be a valid number"),
        ({"device": {"name": "x"}}, "device.projections: missing"),
        ({"host": None}, "host = None: "),
    ],
)
def test_result_of_another_make(run: Path, change: dict[str, Any], complaint: str) -> None:
    path = run / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError) as caught:
        write(run)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"), [("epoch,train_loss\n1,much\n", 2), ("epoch,train_loss\n1,2\n3\n", 3), ("a\n1\n", 2)]
)
def test_damaged_history(run: Path, text: str, line: int) -> None:
    (run / "history.csv").write_text(text)
    with pytest.raises(ConfigError, match=rf"history\.csv: damaged: line {line}"):
        write(run)


def test_damaged_benchmark(tmp_path: Path, refused: Callable[..., str]) -> None:
    shutil.copy(RESULTS / "throughput.json", tmp_path)
    cut(tmp_path / "throughput.json")
    assert refused("report", tmp_path).startswith(f"{tmp_path}/throughput.json: damaged: not valid JSON: ")
    (tmp_path / "throughput.json").write_bytes(b"\xff\xfe")
    assert refused("report", tmp_path) == f"{tmp_path}/throughput.json: damaged: not UTF-8 text"
    document = json.loads((RESULTS / "throughput.json").read_text())
    del document["rows"][3]["floor_s_per_projection"]
    (tmp_path / "throughput.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"rows\.3\.floor_s_per_projection: missing"):
        write(tmp_path)
    document["rows"] = [{"host_s_per_projection": None}]
    (tmp_path / "throughput.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"throughput\.json: rows\.0"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["throughput.json"]


def test_a_sweep_of_language_models_is_judged_by_perplexity(tmp_path: Path) -> None:
    points = []
    for rate, perplexity in ((1e-3, 9.5), (3e-3, 6.875), (1e-2, 14.0)):
        outcome = sweep_directory.result(0.4, 30.0, 2.0)
        outcome["metrics"]["test"]["perplexity"] = perplexity
        points.append(({"trainer.learning_rate": rate}, 0, "done", outcome))
    shown = page(sweep_directory.make(tmp_path / "sweep", points))
    assert ("6.88", "least perplexity, learning_rate 0.003") in shown.tiles
    results = shown.sections[0]
    assert results.figures[0].caption.startswith("Perplexity against trainer.learning_rate")
    column = list(results.tables[0].header).index("perplexity")
    assert [row[column].key for row in results.tables[0].rows] == [9.5, 6.875, 14.0]
    # Control: a sweep without texts has no such column.
    without = page(sweep_directory.over_two_keys(tmp_path / "other"))
    assert "perplexity" not in without.sections[0].tables[0].header


def test_damaged_sweep(tmp_path: Path, refused: Callable[..., str]) -> None:
    folder = sweep_directory.over_two_keys(tmp_path / "sweep")
    file = folder / "results.sqlite"
    whole = file.read_bytes()
    cut(file)
    assert refused("report", folder).startswith(f"{file}: damaged, or not the results of a sweep: ")
    file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match="file is not a database"):
        write(folder)
    file.write_bytes(b"")
    with pytest.raises(ConfigError, match="not the results of a sweep: no such table"):
        write(folder)
    for change, complaint in (
        ("UPDATE points SET result = '{'", "damaged: JSONDecodeError"),
        ("UPDATE points SET parameters = '[1]'", "damaged: ValueError"),
        ("DELETE FROM points", "a sweep without a point"),
        ("ALTER TABLE points DROP COLUMN status", "not the results of a sweep: no such column: status"),
    ):
        file.write_bytes(whole)
        db = sqlite3.connect(file)
        db.execute(change)
        db.commit()
        db.close()
        with pytest.raises(ConfigError, match=complaint):
            write(folder)
    assert [path.name for path in folder.iterdir()] == ["results.sqlite"]


def test_nothing_to_report(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "other.json").write_text("[1, 2]")
    assert refused("report", tmp_path).startswith(f"DIR {tmp_path}: no result in it; must hold result.json")
    assert refused("report", tmp_path / "none") == f"DIR {tmp_path}/none: no such directory"
    assert refused("report", tmp_path / "other.json").startswith(f"DIR {tmp_path}/other.json: is a file")
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_a_disk_that_does_not_take_it(run: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    (run / "report.html").write_text("the old one")
    command = f"ulimit -f 8; exec {' '.join(COMMAND)} report {run}"
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"opu: {run}/report.html: cannot be written: File too large\n"
    assert (run / "report.html").read_text() == "the old one"
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


# Parts.


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    cost, gain = [c for c, _ in points], [g for _, g in points]
    found = pareto.front(cost, gain)

    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a != b and a[0] <= b[0] and a[1] >= b[1]

    wanted = {point for point in points if not any(beats(other, point) for other in points)}
    assert {points[i] for i in found} == wanted
    assert len(found) == len(wanted)
    assert [cost[i] for i in found] == sorted(cost[i] for i in found)


def test_the_knee_is_farthest_from_the_line_between_the_ends() -> None:
    cost = [0.0, 1.0, 2.0, 5.0, 10.0]
    gain = [0.0, 60.0, 80.0, 95.0, 100.0]
    # gain / 100 - cost / 10 is 0, 0.5, 0.6, 0.45, 0.
    assert pareto.knee(cost, gain, pareto.front(cost, gain)) == 2
    assert pareto.knee([1e-9 * c for c in cost], [7 * g for g in gain], [0, 1, 2, 3, 4]) == 2
    assert pareto.knee(cost, cost, [0, 1, 2, 3, 4]) is None  # a straight front has none
    assert pareto.knee(cost, [c * c for c in cost], [0, 1, 2, 3, 4]) is None  # nor one that sags
    assert pareto.knee(cost, gain, [0, 1]) is None
    assert pareto.front([float("nan"), 1.0], [1.0, float("nan")]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1234567, "1,234,567"), (10**400, "> 1e300"), (0.0, "0"), (30.000000000000135, "30"),
        (1575.3025, "1,575"), (42.81400000000013, "42.81"), (0.12345, "0.1235"), (9999.7, "10,000"),
        (7.396459e-07, "7.396 × 10⁻⁷"), (2.5e12, "2.5 × 10¹²"), (-0.5, "-0.5"), (float("nan"), "not a number"),
        (float("inf"), "∞"), (999999.9, "1,000,000"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text
