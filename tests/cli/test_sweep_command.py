"""`opu sweep`: real workers, real deaths, one table."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from dask.system import CPU_COUNT
from processes import COMMAND, environment

from benchmarks.cli import main
from benchmarks.sweep.quantities import HOST

Opu = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]

SWEEP = """
name = "small"
description = "a test"
experiment = "digits-mlp"
seeds = 2

[settings]
trainer.epochs = 1
model.hidden = [16]

[[axes]]
key = "device.camera.adc_bits"
values = [6, 8]
"""
# A point takes some tenths of a second, so that there is a middle to be killed in.
LONGER = SWEEP.replace("seeds = 2", "seeds = 5").replace("epochs = 1", "epochs = 5")
PATIENCE_S = 100.0  # on a machine that has other work, too


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return path


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    path = tmp_path / "longer.toml"
    path.write_text(LONGER)
    return path


def query(folder: Path, statement: str) -> list[Any]:
    """Rows of the results; none as long as there are no tables."""
    path = folder / "results.sqlite"
    if not path.exists():
        return []
    with sqlite3.connect(path, timeout=30) as db:
        try:
            return db.execute(statement).fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            db.rollback()


def count(folder: Path, status: str) -> int:
    return sum(n for (n,) in query(folder, f"SELECT count(*) FROM points WHERE status = '{status}'"))


def table(folder: Path) -> list[dict[str, str]]:
    """results.csv without what differs from run to run."""
    with (folder / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in HOST} for row in csv.DictReader(file)]


def outcomes(folder: Path) -> list[Any]:
    """All points with their whole result, without host times and the machine's state."""
    found = []
    for sha256, status, text in query(folder, "SELECT config_sha256, status, result FROM points ORDER BY position"):
        result = json.loads(text)
        for name in ("host", "provenance"):
            result.pop(name, None)
        found.append((sha256, status, result))
    return found


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


@contextmanager
def started(command: list[str], folder: Path, **changes: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def sweeping(folder: Path, *arguments: str | Path) -> Any:
    return started([*COMMAND, "sweep", *map(str, arguments)], folder)


def workers_of(pid: int) -> list[int]:
    """Worker processes of a sweep: those children of it that Python's multiprocessing started to do work."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [int(child) for path in children for child in path.read_text().split()]
    return [child for child in pids if b"spawn_main" in command_line(child)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def linux() -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("looks for worker processes in /proc")


@pytest.mark.usefixtures("linux")
def test_two_workers_make_the_table(opu: Opu, sweep: Path, tmp_path: Path) -> None:
    done = opu("sweep", sweep, "--workers", 2, "--out", "two", "--parquet", "--pareto", "accuracy", "joules", "--plot")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "4 points run, 4 of 4 done" in done.stdout
    folder = tmp_path / "two"
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "pareto.json",
        "pareto.png",
        "results.csv",
        "results.parquet",
        "results.sqlite",
        "sweep.png",
    }
    columns = "config_sha256, parameters, seed, status, result, started_at, finished_at"
    rows = query(folder, f"SELECT {columns} FROM points ORDER BY position")
    assert [(json.loads(row[1]), row[2], row[3]) for row in rows] == [
        ({"device.camera.adc_bits": bits}, seed, "done") for bits in (6, 8) for seed in (0, 1)
    ]
    assert all(row[5] < row[6] for row in rows)
    # A point is the run that `opu train` makes of it.
    same = opu("train", "--out", "run", "--seed", 1, *(f"--set={s}" for s in SETTINGS), "--set", ADC)
    assert same.returncode == 0, same.stderr
    run = json.loads((tmp_path / "run" / "result.json").read_text())
    point = json.loads(rows[3][4])
    assert rows[3][0] == run["provenance"]["config_sha256"]
    assert point["device"].pop("frame_rate_hz") == pytest.approx(2000.0)
    assert point["warnings"] == []
    for name in ("schema", "experiment", "seed", "method", "metrics", "device", "alignment"):
        assert point[name] == run[name]
    assert point["provenance"]["threads"] == max(1, CPU_COUNT // 2)
    # The exports say the same.
    (line,) = [row for row in table(folder) if row["config_sha256"] == rows[3][0]]
    assert float(line["accuracy"]) == run["metrics"]["test"]["accuracy"]
    assert float(line["joules"]) == run["device"]["joules"]
    assert (line["device.camera.adc_bits"], line["seed"], line["status"], line["error"]) == ("8", "1", "done", "")
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")
    assert pq.read_table(folder / "results.parquet").column("accuracy")[3].as_py() == float(line["accuracy"])


SETTINGS = ["trainer.epochs=1", "model.hidden=[16]"]
ADC = "device.camera.adc_bits=8"


@pytest.fixture(scope="module")
def by_one_worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a sweep that one worker ran, with all cores."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "small.toml").write_text(SWEEP)
    command = [*COMMAND, "sweep", "small.toml", "--workers", "1", "--out", "out"]
    subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)
    return folder / "out"


def test_two_workers_give_what_one_gives(by_one_worker: Path, opu: Opu, sweep: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        with suppress(OSError):  # taken already: all the better
            other.bind(("127.0.0.1", 8787))  # where another Dask on this machine has its dashboard
            other.listen()
        done = opu("sweep", sweep, "--workers", 2, "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert query(by_one_worker, "SELECT workers, threads FROM sessions") == [(1, CPU_COUNT)]
    assert query(tmp_path / "out", "SELECT workers, threads FROM sessions") == [(2, max(1, CPU_COUNT // 2))]
    assert outcomes(tmp_path / "out") == outcomes(by_one_worker)
    assert table(tmp_path / "out") == table(by_one_worker)
    # Control: the comparison sees a result that differs.
    first, second = (result["metrics"] for _, _, result in outcomes(by_one_worker)[:2])
    assert first != second


@pytest.mark.usefixtures("linux")
def test_a_worker_that_is_killed_is_replaced(longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    with sweeping(tmp_path, longer, "--workers", 2, "--out", folder) as process:
        wait_for(lambda: count(folder, "done") >= 2, process)
        victims = workers_of(process.pid)
        assert len(victims) == 2
        os.kill(victims[0], signal.SIGKILL)
        standing = count(folder, "done")
        assert standing < 10
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert err == ""
    assert "10 points run, 10 of 10 done" in out  # each outcome stored once
    assert count(folder, "done") == 10


@pytest.mark.usefixtures("linux")
def test_a_sweep_that_is_killed_goes_on_and_repeats_nothing(opu: Opu, longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    with sweeping(tmp_path, longer, "--workers", 2, "--out", folder) as process:
        wait_for(lambda: count(folder, "done") >= 3, process)
        workers = workers_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: not any(b"spawn_main" in command_line(worker) for worker in workers))  # none lives on
    before = query(folder, "SELECT * FROM points WHERE status = 'done' ORDER BY position")
    assert 3 <= len(before) < 10
    done = opu("sweep", longer, "--workers", 2, "--out", folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"{10 - len(before)} points run, 10 of 10 done" in done.stdout
    after = query(folder, "SELECT * FROM points ORDER BY position")
    assert len(after) == 10
    assert set(before) <= set(after)  # not one of them was run again, times included
    assert [n for _, n in query(folder, "SELECT session, count(*) FROM points GROUP BY session ORDER BY session")] == [
        len(before),
        10 - len(before),
    ]
    # Nothing is left to do: no worker starts, and the table stays.
    again = opu("sweep", longer, "--out", folder, "--resume")
    assert "0 points run, 10 of 10 done" in again.stdout
    assert query(folder, "SELECT * FROM points ORDER BY position") == after


def test_ctrl_c_keeps_what_is_done(longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    with sweeping(tmp_path, longer, "--workers", 2, "--out", folder) as process:
        wait_for(lambda: count(folder, "done") >= 1, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, "")
    assert err == "opu: interrupted; the state is saved, go on with --resume\n"
    kept = count(folder, "done")
    assert 1 <= kept < 10
    assert len(table(folder)) == 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scheduler_with_workers(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A Dask scheduler and its workers, each a process that knows of this test nothing but the address."""
    address = f"tcp://127.0.0.1:{free_port()}"
    python = [sys.executable, "-c"]
    scheduler = "from distributed.cli.dask_scheduler import main; main()"
    worker = "from distributed.cli.dask_worker import main; main()"
    listen = ["--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    with started([*python, scheduler, *listen], folder) as server:
        join = [address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        processes = [started([*python, worker, *join], folder) for _ in range(workers)]
        for process in processes:
            process.__enter__()
        try:
            wait_for(lambda: answers(address), server)
            yield address, server
        finally:
            for process in processes:
                process.__exit__(None, None, None)


def test_a_scheduler_of_its_own_gives_the_same_table(
    by_one_worker: Path, opu: Opu, sweep: Path, tmp_path: Path
) -> None:
    with scheduler_with_workers(tmp_path, 2) as (address, _):
        remote = opu("sweep", sweep, "--scheduler", address, "--out", "remote")
    assert remote.returncode == 0, remote.stderr
    assert outcomes(tmp_path / "remote") == outcomes(by_one_worker)
    assert table(tmp_path / "remote") == table(by_one_worker)
    assert query(tmp_path / "remote", "SELECT scheduler FROM sessions") == [(address,)]


def test_a_scheduler_that_is_lost_costs_no_result(longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with (
        scheduler_with_workers(tmp_path, 1) as (address, scheduler),
        sweeping(tmp_path, longer, "--scheduler", address, "--out", folder) as process,
    ):
        wait_for(lambda: count(folder, "done") >= 1, process)
        scheduler.kill()
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    assert err == f"opu: --scheduler {address}: the connection was lost; results so far are stored, --resume goes on\n"
    assert 1 <= count(folder, "done") < 10


def answers(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_scheduler_that_does_not_answer(refused: Refused, sweep: Path, tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    line = refused("sweep", sweep, "--scheduler", address, "--out", "out")
    assert line.startswith(f"--scheduler {address}: no answer: ")
    assert not (tmp_path / "out").exists()


def test_a_point_that_fails_stops_no_other(opu: Opu, sweep: Path, tmp_path: Path) -> None:
    """An output is a speckle grain: so many do not fit on the sensor, which the device says when it is built."""
    text = SWEEP.replace("model.hidden = [16]\n", "").replace("seeds = 2", "seeds = 1").partition("[[axes]]")[0]
    sweep.write_text(text + '[[axes]]\nkey = "model.hidden"\nvalues = [[200000], [16]]\n')
    done = opu("sweep", sweep, "--workers", 1, "--out", "out")
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("opu: failed, 1 point: ")
    assert "n_out = 200000" in line
    assert [row["status"] for row in table(tmp_path / "out")] == ["failed", "done"]
    assert "n_out = 200000" in table(tmp_path / "out")[0]["error"]


def test_a_sweep_of_failures_is_refused_and_tried_again(refused: Refused, sweep: Path, tmp_path: Path) -> None:
    sweep.write_text(SWEEP.replace("[16]", "[200000]").replace("[6, 8]", "[8]").replace("seeds = 2", "seeds = 1"))
    for extra in ([], ["--resume"]):
        line = refused("sweep", sweep, "--out", "out", *extra)
        assert line.startswith(f"{sweep}: not one point could be run: ")
        assert "n_out = 200000" in line
    assert query(tmp_path / "out", "SELECT status, session FROM points") == [("failed", 2)]


def test_a_second_sweep_on_one_directory_is_refused(refused: Refused, longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with sweeping(tmp_path, longer, "--workers", 1, "--out", folder) as process:
        wait_for(lambda: count(folder, "waiting") > 0, process)
        for extra in ([], ["--resume"]):
            line = refused("sweep", longer, "--out", folder, *extra)
            assert line == (
                f"--out {folder}: another sweep is at work there (process {process.pid} on {socket.gethostname()})"
            )
        process.kill()


def test_a_full_disk_keeps_what_is_done(longer: Path, tmp_path: Path) -> None:
    """The file's size is limited while the sweep runs: to the writer the same as a disk without room."""
    folder = tmp_path / "out"
    with sweeping(tmp_path, longer, "--workers", 1, "--out", folder) as process:
        wait_for(lambda: count(folder, "done") >= 2, process)
        size = (folder / "results.sqlite").stat().st_size
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, err
    assert len(err.splitlines()) == 1, err
    (line,) = err.splitlines()
    assert line.startswith(f"opu: {folder / 'results.sqlite'}: cannot be written: ")
    kept = count(folder, "done")
    assert 2 <= kept < 10
    assert query(folder, "PRAGMA integrity_check") == [("ok",)]


AXIS = '[[axes]]\nkey = "device.camera.adc_bits"\nvalues = [4, 8]\n'


@pytest.mark.parametrize(
    ("axis", "complaint"),
    [
        ("", "axes: missing; must be a list of length >= 1"),
        ("axes = []", "axes = []: must be a list of length >= 1"),
        (AXIS.replace("[4, 8]", "[]"), "axes.0.values = []: must be a list of length >= 1"),
        (AXIS.replace("adc_bits", "bits"), "camera.bits: unknown key; "),
        (
            AXIS.replace("device.camera.", ""),
            "axes.0.key = 'adc_bits': unknown key; must be method or begin with one of",
        ),
        (AXIS.replace("values", "value"), "axes.0.value: unknown key; did you mean 'values'?"),
        (AXIS.replace("8]", "40]"), "at device.camera.adc_bits = 40: "),
        (AXIS.replace("8]", "4]"), "axes.0.values.1 = 4: there twice"),
        (AXIS.replace("values = [4, 8]", "low = 8\nhigh = 4\npoints = 3"), "axes.0.high = 4.0: must be > low = 8.0"),
        (
            AXIS.replace("values = [4, 8]", "low = 4\nhigh = 8\npoints = 1"),
            "axes.0.points = 1: must be an integer >= 2",
        ),
        (AXIS.replace("values = [4, 8]", "low = 4\nhigh = 8"), "axes.0.points: missing; without [sampling] "),
        (
            AXIS.replace("values = [4, 8]", "low = 4"),
            "axes.0.high: missing; an axis has either values, or low and high",
        ),
        (
            AXIS.replace("values = [4, 8]", 'low = 0\nhigh = 8\npoints = 2\nscale = "log"'),
            "axes.0.low = 0.0: must be > 0 with scale = 'log'",
        ),
        (AXIS + "low = 3", "axes.0.low = 3.0: does not go with values"),
        (AXIS + "\n" + AXIS, "axes.1.key = 'device.camera.adc_bits': on another axis, too"),
        (
            AXIS.replace('key = "device', 'keys = ["method", "device').replace('bits"', 'bits"]'),
            "axes.0.values.0 = 4: ",
        ),
        (AXIS.replace("device.camera.adc_bits", "trainer.epochs"), "settings.trainer.epochs: is an axis"),
        (AXIS.replace("device.camera.adc_bits", "device.name").replace("4, 8", '"nosuch"'), "'nosuch': no such device"),
        (AXIS + '[sampling]\nkind = "sobol"\npoints = 4', "sampling: nothing to draw; "),
        (
            AXIS.replace("values = [4, 8]", "low = 4\nhigh = 8") + '[sampling]\nkind = "sobol"\npoints = 5',
            "sampling.points = 5: must be a power of two for 'sobol', 4 or 8",
        ),
        (
            AXIS.replace("values = [4, 8]", "low = 4\nhigh = 8") + '[sampling]\nkind = "halton"\npoints = 5',
            "sampling.kind = 'halton': must be one of 'random', 'sobol'",
        ),
    ],
)
def test_malformed(
    axis: str, complaint: str, sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(sweep.parent)
    sweep.write_text(SWEEP.partition("[[axes]]")[0] + axis)
    if axis == "axes = []":  # a plain key comes before the tables
        sweep.write_text(axis + SWEEP.partition("[[axes]]")[0])
    assert main(["sweep", "small.toml", "--out", "out"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("opu: small.toml: ")
    assert complaint in said.err
    assert list(sweep.parent.iterdir()) == [sweep]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nosuch"], "'nosuch': no such sweep; shipped are adc-bits"),
        ([], "Invalid value for 'SWEEP': missing; shipped are adc-bits"),
        (["adc-bits", "--resume", "--out", "nothing"], "nothing/results.sqlite: no sweep to resume"),
        (["adc-bits", "--workers", "0"], "Invalid value for '--workers': "),
        (
            ["adc-bits", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
            "Invalid value for '--workers': does not go ",
        ),
        (
            ["adc-bits", "--pareto", "accuracy", "beauty"],
            "--pareto beauty: unknown quantity; must be one of accuracy, ",
        ),
        (["adc-bits", "--pareto", "joules", "joules"], "--pareto joules joules: must be two different quantities"),
        (["adc-bits", "--set", "device.camera.adc_bits=3"], "settings.device.camera.adc_bits: is an axis"),
        (["adc-bits", "--set", "trainer.epoch=3"], "trainer.epoch: unknown key; did you mean 'epochs'?"),
        (["adc-bits", "--scheduler", "frob"], "--scheduler frob: no answer: "),
    ],
    ids=" ".join,
)
def test_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here("sweep", *arguments)


def test_a_directory_holds_one_sweep(
    by_one_worker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(by_one_worker, "out")
    Path("small.toml").write_text(SWEEP)
    assert main(["sweep", "small.toml", "--out", "out"]) == 2
    assert capsys.readouterr().err == (
        "opu: --out out: already holds results.sqlite; use --resume, or choose another folder\n"
    )
    assert main(["sweep", "small.toml", "--out", "out", "--resume", "--set", "model.hidden=[8]"]) == 2
    assert capsys.readouterr().err.startswith("opu: out/results.sqlite: holds points that small.toml has not, such as ")
    assert main(["sweep", "small.toml", "--out", "out", "--resume", "--seeds", "1"]) == 2
    assert capsys.readouterr().err.startswith("opu: out/results.sqlite: holds points that small.toml has not, such as ")
    assert main(["sweep", "small.toml", "--out", "out", "--resume"]) == 0
    assert "0 points run, 4 of 4 done" in capsys.readouterr().out
    Path("out", "results.sqlite").write_text(
        "no database, but longer than the header of one would be, to be sure ......"
    )
    assert main(["sweep", "small.toml", "--out", "out", "--resume"]) == 2
    assert "out/results.sqlite: not the results of a sweep: file is not a database" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_can_be_extended(by_one_worker: Path, opu: Opu, sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(by_one_worker, tmp_path / "out")
    done = opu("sweep", sweep, "--out", "out", "--resume", "--seeds", 3)
    assert "2 points run, 6 of 6 done" in done.stdout
    seeds = [seed for (seed,) in query(tmp_path / "out", "SELECT seed FROM points ORDER BY position")]
    assert seeds == [0, 1, 2, 0, 1, 2]


def test_list(opu: Opu) -> None:
    done = opu("sweep", "--list")
    assert done.returncode == 0
    assert "adc-bits" in done.stdout
