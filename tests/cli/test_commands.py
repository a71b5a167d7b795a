"""The other commands: what they print, as JSON and for people, and what they cost to start."""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.cli import app, main
from opu_sim.config import shipped_names

Opu = Callable[..., subprocess.CompletedProcess[str]]


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on stdout."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_version(opu: Opu) -> None:
    done = opu("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"opu-sim {importlib.metadata.version('opu-sim')}\n"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["train"],
        ["reproduce"],
        ["report"],
        ["device"],
        ["device", "list"],
        ["data"],
        ["bench"],
        ["device", "show"],
        ["device", "check"],
        ["device", "fit"],
        ["data", "fetch"],
        ["bench", "throughput"],
        ["bench", "energy"],
        ["bench", "training"],
        ["bench", "tradeoffs"],
        ["bench", "bank-sizes"],
        ["bench", "devices"],
    ],
)
def test_help_shows_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--help", "-h"):
        assert main([*command, option]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert f"Example: opu {' '.join(command)}".strip() in " ".join(shown.out.split())


def test_every_command_s_help_has_an_example() -> None:
    """Also of commands that the lists above forget."""

    def walk(command: Any, path: list[str]) -> None:
        words = " ".join(["opu", *path])
        assert re.search(rf"^Example: (\w+=\S+ )?{words}\b", command.epilog or ""), path
        assert command.help, path
        for name, below in getattr(command, "commands", {}).items():
            walk(below, [*path, name])

    walk(typer.main.get_command(app), [])


def test_help_states_the_exit_statuses(opu: Opu) -> None:
    done = opu("--help", COLUMNS="300")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("Exit status: 0 done; 1 a fault", "2 wrong input", "130 interrupted", "OPU_DATA_DIR"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ([], ["train", "reproduce", "report", "device", "data", "bench"]),
        (["device"], ["list", "show", "check"]),
        (["data"], ["list", "fetch"]),
        (["bench"], ["throughput", "energy", "training", "tradeoffs", "bank-sizes", "devices", "pytorch", "sweep"]),
    ],
)
def test_help_lists_the_commands(group: list[str], commands: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*group, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for command in commands:
        assert f"│ {command} " in shown.out


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from benchmarks.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "print('LOADED', status, *sorted({name.split('.')[0] for name in sys.modules}))\n"
        "print('OWN', *sorted(name for name in sys.modules if name.split('.')[0] in ('opu_sim', 'dfa')))\n"
    )

    def loaded(*arguments: str) -> tuple[set[str], set[str]]:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        first, second = done.stdout.splitlines()[-2:]
        assert first.startswith("LOADED 0 ")
        assert second.startswith("OWN")
        return set(first.split()[2:]), set(second.split()[1:])

    modules, own = loaded("--help")
    assert not modules & {"numpy", "numba", "scipy", "matplotlib", "pydantic", "sklearn"}
    # The kinds of errors are all that is needed to report one.
    assert own <= {"opu_sim", "opu_sim.errors", "dfa", "dfa.interruption"}
    assert "numpy" in loaded("device", "show", "ideal")[0]  # control: the check sees what is loaded


def test_device_list(opu: Opu) -> None:
    done = opu("device", "list")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == shipped_names("devices")
    assert {"ideal", "light-in-the-loop", "lighton-aurora", "lighton-full-frame"} <= set(names)
    assert all(len(line.split()) > 5 for line in lines)


def test_device_show_json(opu: Opu) -> None:
    shown = document(opu("device", "show", "lighton-aurora", "--json"))
    assert {"name", "teraops_peak", "watts", "teraops_per_watt", "frame_rate_hz", "stages", "card"} <= set(shown)
    assert shown["name"] == "lighton-aurora"
    assert shown["teraops_peak"] == pytest.approx(1575, abs=1)
    assert shown["teraops_per_watt"] == pytest.approx(52.5, abs=0.1)
    assert shown["watts"] == pytest.approx(30, abs=0.05)
    assert set(shown["frame_rate_hz"]) == {"default", "full"}
    assert shown["frame_rate_hz"]["default"] == pytest.approx(2000)
    assert shown["frame_rate_hz"]["full"] == pytest.approx(340, abs=0.5)
    assert len(shown["stages"]) >= 4
    for stage in shown["stages"]:
        assert {"watts", "seconds", "source"} <= set(stage)
    assert sum(stage["watts"] for stage in shown["stages"]) == pytest.approx(shown["watts"])


def test_device_show_with_overrides(opu: Opu) -> None:
    base = document(opu("device", "show", "lighton-aurora", "--json"))
    shown = document(
        opu("device", "show", "lighton-aurora", "--set", "camera.roi_rows=1088", "--set", "dmd.rows=570", "--json")
    )
    assert shown["frame_rate_hz"]["default"] == shown["frame_rate_hz"]["full"] == base["frame_rate_hz"]["full"]
    assert shown["teraops_peak"] == pytest.approx(base["teraops_peak"] / 2)
    assert shown["card"]["camera"]["roi_rows"] == 1088


def test_device_show_for_people(opu: Opu) -> None:
    done = opu("device", "show", "lighton-aurora")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("1575", "52.5", "2000 Hz", "340 Hz", "laser", "assumed", "camera.adc_bits"):
        assert words in done.stdout
    plain = opu("device", "show", "ideal")
    assert plain.returncode == 0
    assert "stage" not in plain.stdout


def test_device_show_of_the_user_s_own_file(opu: Opu, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('kind = "ideal"\nname = "mine"\ndescription = "my own"\n')
    assert document(opu("device", "show", "mine.toml", "--json"))["name"] == "mine"


def test_data_list(opu: Opu, tmp_path: Path) -> None:
    done = opu("data", "list", OPU_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "digits",
        "mnist",
        "fashion-mnist",
        "cora",
        "citeseer",
        "tinyshakespeare",
        "wikitext-2",
    ]
    assert lines[0].endswith("embedded")
    assert lines[1].endswith(f"not in {tmp_path}")


def test_bench_throughput(opu: Opu) -> None:
    shown = document(opu("bench", "throughput", "--quick", "--json"))
    assert shown["quick"] is True
    assert shown["skipped"] == []
    assert "growth_exponent" in shown
    assert [(row["n_in"], row["n_out"], row["recovery"]) for row in shown["rows"]] == [
        (10, 2048, "anchor"),
        (10, 2048, "off-axis"),
        (1000, 1000, "intensity"),
        (10000, 10000, "intensity"),
    ]
    assert [row["floor_kind"] for row in shown["rows"]] == ["gemm", "gemm", "gemm", "fft"]
    assert 0 < shown["startup_parts_s"]["imports"] < shown["startup_s"]
    assert shown["cold_start_s"] is None
    for row in shown["rows"]:
        for key in ("host_s_per_projection", "device_s_per_projection", "floor_s_per_projection", "simulated_teraops"):
            assert row[key] > 0
            assert math.isfinite(row[key])


def test_bench_training(opu: Opu, tmp_path: Path) -> None:
    done = opu("bench", "training", "digits-mlp", "--seeds", "1", "--set", "trainer.epochs=1", "--json", "--out", "x")
    shown = document(done)
    assert json.loads((tmp_path / "x").read_text()) == shown
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    rows = {row["method"]: row for row in shown["rows"]}
    assert list(rows) == ["bp", "dfa", "dfa-ternary", "odfa", "shallow"]
    for method, row in rows.items():
        assert len(row["accuracies"]) == 1
        assert row["accuracy_mean"] == row["accuracies"][0] > 0.3
        assert row["accuracy_std"] is None
        assert row["host_s_per_epoch"] > 0
        assert (row["device"] is not None) == (method == "odfa")
    assert rows["odfa"]["device"]["projections"] == 1237
    assert rows["bp"]["alignment"] == pytest.approx([1, 1], abs=1e-6)
    assert rows["shallow"]["alignment"] == [0, 0]
    ratio = rows["odfa"]["host_s_per_epoch"] / rows["dfa"]["host_s_per_epoch"]
    assert shown["optical_over_digital_epoch"]["median"] == pytest.approx(ratio)
    assert shown["experiment"]["trainer"]["epochs"] == 1
