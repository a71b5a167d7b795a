"""Sweep files, Pareto front and knee, the table, and bits that do not depend on threads."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sweep import pareto
from benchmarks.sweep.definition import MAX_POINTS, AxisConfig, SamplingConfig, load_sweep
from benchmarks.sweep.figures import draw, draw_pareto
from benchmarks.sweep.quantities import grouped, table, write_csv
from benchmarks.sweep.store import DONE, FAILED, Row, Store, read
from opu_sim.config import shipped_names
from opu_sim.errors import ConfigError
from opu_sim.rng import stream

HEAD = 'name = "s"\nexperiment = "digits-mlp"\nseeds = 2\n[settings]\ntrainer.epochs = 2\n'


def written(tmp_path: Path, axes: str) -> Path:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + axes)
    return path


@pytest.mark.parametrize("name", shipped_names("sweeps"))
def test_every_shipped_sweep_is_valid_and_described(name: str) -> None:
    sweep = load_sweep(name)
    assert sweep.config.name == name
    assert sweep.config.description
    assert 5 <= len(sweep.points) <= 100
    assert len({point.sha256 for point in sweep.points}) == len(sweep.points)


def test_grid_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[[axes]]\nkey = "device.camera.adc_bits"\nvalues = [4, 8]\n'
        '[[axes]]\nkeys = ["method", "trainer.learning_rate"]\nvalues = [["bp", 0.1], ["odfa", 0.2]]\n',
    )
    sweep = load_sweep(path)
    expected = [
        ({"device.camera.adc_bits": bits, "method": method, "trainer.learning_rate": rate}, seed)
        for bits in (4, 8)
        for method, rate in (("bp", 0.1), ("odfa", 0.2))
        for seed in (0, 1)
    ]
    assert [(point.parameters, point.seed) for point in sweep.points] == expected
    for point in sweep.points:
        experiment = point.experiment
        assert experiment.seed == point.seed
        assert experiment.method == point.parameters["method"]
        assert experiment.trainer.learning_rate == point.parameters["trainer.learning_rate"]
        assert experiment.trainer.epochs == 2
        assert experiment.device["camera"] == {"adc_bits": point.parameters["device.camera.adc_bits"]}
        assert point.sha256 == experiment.sha256


def test_a_device_of_the_axis_leaves_the_experiments_own_settings(tmp_path: Path) -> None:
    path = written(tmp_path, '[[axes]]\nkey = "device.name"\nvalues = ["lighton-aurora", "ideal"]\n')
    assert [point.experiment.device_name for point in load_sweep(path, seeds=1).points] == ["lighton-aurora", "ideal"]


def test_files_beside_the_sweep_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "mine.toml").write_text('kind = "ideal"\nname = "mine"\ndescription = ""\n')
    path = written(tmp_path, '[[axes]]\nkey = "device.name"\nvalues = ["mine.toml", "ideal"]\n')
    monkeypatch.chdir(elsewhere)
    assert load_sweep(path).points[0].experiment.device_name == str(tmp_path / "mine.toml")


def test_ranges() -> None:
    linear = AxisConfig(key="trainer.learning_rate", low=0.0, high=0.9, points=4)
    assert linear.grid() == [0.0, 0.3, 0.6, 0.9]
    log = AxisConfig(key="trainer.learning_rate", low=1e-4, high=1.0, points=5, scale="log")
    assert log.grid() == [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    bits = AxisConfig(key="device.camera.adc_bits", low=1, high=4, points=9, integer=True)
    assert bits.grid() == [1, 2, 3, 4]  # what is rounded to the same is there once
    assert all(isinstance(value, int) for value in bits.grid())


@pytest.mark.parametrize("kind", ["random", "sobol"])
def test_samples_fill_the_range_and_stay_when_there_are_more(kind: str) -> None:
    few, many = (SamplingConfig.model_validate({"kind": kind, "points": n, "seed": 5}).shares(2) for n in (64, 256))
    assert many[:64] == few
    cube = np.array(many)
    assert ((cube >= 0.0) & (cube < 1.0)).all()
    # Mean of 256 uniform numbers: standard error 1 / sqrt(12 * 256) = 0.018; Sobol' points are far better balanced.
    tolerance = 4.5 / math.sqrt(12 * 256) if kind == "random" else 1.0 / 256
    assert np.abs(cube.mean(axis=0) - 0.5).max() < tolerance
    assert SamplingConfig.model_validate({"kind": kind, "points": 64, "seed": 6}).shares(2) != few


def test_sobol_points_are_balanced_where_random_ones_are_not() -> None:
    """Each of the 8 x 8 cells gets exactly one of the first 64 points: the defining property of a (0, 6, 2)-net."""

    def cells(kind: str) -> set[tuple[int, int]]:
        shares = SamplingConfig.model_validate({"kind": kind, "points": 64}).shares(2)
        return {(int(8 * x), int(8 * y)) for x, y in shares}

    assert len(cells("sobol")) == 64
    assert len(cells("random")) < 64


def test_log_uniform_and_whole_numbers() -> None:
    log = AxisConfig(key="device.laser.power_mw", low=1.0, high=1e4, scale="log")
    assert [log.at(share) for share in (0.0, 0.25, 0.5)] == [1.0, 10.0, 100.0]
    whole = AxisConfig(key="device.camera.adc_bits", low=3, high=5, integer=True)
    shares = stream(0, "test").random(3000)
    counts = np.unique([whole.at(share) for share in shares], return_counts=True)
    assert counts[0].tolist() == [3, 4, 5]
    # Each third: 1000 +- 26 (binomial), 4.5 sigma.
    assert np.abs(counts[1] - 1000).max() < 4.5 * math.sqrt(3000 * 2 / 9)


def test_sampled_axes_are_drawn_together_for_each_point_of_the_grid(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[[axes]]\nkey = "device.laser.power_mw"\nlow = 1.0\nhigh = 100.0\nscale = "log"\n'
        '[[axes]]\nkey = "method"\nvalues = ["odfa", "dfa-ternary"]\n'
        '[[axes]]\nkey = "device.timing.exposure_us"\nlow = 10.0\nhigh = 20.0\n'
        '[sampling]\nkind = "sobol"\npoints = 4\n',
    )
    points = load_sweep(path).points
    assert len(points) == 2 * 4 * 2
    drawn = {m: [p.parameters for p in points if p.parameters["method"] == m] for m in ("odfa", "dfa-ternary")}
    pairs = [[(p["device.laser.power_mw"], p["device.timing.exposure_us"]) for p in own] for own in drawn.values()]
    assert pairs[0] == pairs[1]
    assert len(set(pairs[0])) == 4
    assert list(points[0].parameters) == ["device.laser.power_mw", "method", "device.timing.exposure_us"]


def test_points_of_one_configuration_are_one(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[[axes]]\nkey = "device.camera.adc_bits"\nlow = 7\nhigh = 8\ninteger = true\n'
        '[sampling]\nkind = "random"\npoints = 16\n',
    )
    assert len(load_sweep(path).points) == 2 * 2


def test_a_sweep_too_large_is_refused_at_once(tmp_path: Path) -> None:
    axes = [f'[[axes]]\nkey = "device.x.k{i}"\nlow = 1\nhigh = 2\npoints = 1000\n' for i in range(3)]
    path = written(tmp_path, "".join(axes))
    with pytest.raises(ConfigError, match=rf"2,000,000,000 points; must be at most {MAX_POINTS:,}"):
        load_sweep(path)


def test_front_and_knee_of_known_points() -> None:
    # Better is more, in both; (2, 2) is beaten, (5, 1) twice there.
    values = [(1.0, 5.0), (4.0, 4.0), (5.0, 1.0), (2.0, 2.0), (5.0, 1.0), (1.0, 4.9)]
    front = pareto.front_of(values)
    assert [values[i] for i in front] == [(5.0, 1.0), (4.0, 4.0), (1.0, 5.0)]
    assert front == [2, 1, 0]
    assert pareto.knee_of([values[i] for i in front]) == 1


def test_front_is_what_nothing_beats() -> None:
    """Against the definition, on random points with ties."""
    values = [(float(x), float(y)) for x, y in stream(1, "test").integers(0, 12, (80, 2))]

    def beaten(i: int) -> bool:
        (x, y), others = values[i], [v for j, v in enumerate(values) if j != i]
        return any(u >= x and v >= y and (u, v) != (x, y) for u, v in others)

    best = {values[i] for i in range(len(values)) if not beaten(i)}
    front = pareto.front_of(values)
    assert {values[i] for i in front} == best
    assert len(front) == len(best)


def test_knee_does_not_depend_on_units_and_may_be_missing() -> None:
    curve = [(x, math.sqrt(1.0 - x * x)) for x in np.linspace(1.0, 0.0, 21)]
    knee = pareto.knee_of(curve)
    # The circle is farthest from its chord at 45 degrees.
    assert knee is not None
    assert curve[knee][0] == pytest.approx(math.sqrt(0.5), abs=0.026)
    assert pareto.knee_of([(1e6 * x, 1e-3 * y - 7.0) for x, y in curve]) == knee
    assert pareto.knee_of([(x, 1.0 - x) for x in (1.0, 0.5, 0.0)]) is None  # a straight line
    assert pareto.knee_of([(1.0, 0.0), (0.4, 0.4), (0.0, 1.0)]) is None  # bulges towards worse values
    assert pareto.knee_of(curve[:2]) is None


def row(value: float, accuracy: float, joules: float, seed: int = 0, key: str = "device.laser.power_mw") -> Row:
    device = {"device_s": 1.0, "joules": joules, "watts": joules, "frames": 10, "frame_rate_hz": 2000.0}
    result = {
        "metrics": {"train": {}, "validation": {}, "test": {"accuracy": accuracy, "loss": 1.0}},
        "device": device,
        "alignment": [0.5, 0.25],
        "host": {"host_s": 0.1},
    }
    return Row(f"{value}-{seed}", {key: value}, seed, DONE, result, "a", "b")


def test_pareto_judges_means_over_seeds() -> None:
    rows = [row(1.0, 0.5, 10.0, 0), row(1.0, 0.7, 10.0, 1), row(2.0, 0.65, 20.0), row(3.0, 0.55, 30.0)]
    found = pareto.candidates(rows, ("accuracy", "joules"))
    assert [(c.parameters["device.laser.power_mw"], c.on_front) for c in found] == [
        (1.0, True),
        (2.0, True),
        (3.0, False),
    ]
    assert found[0].x == pytest.approx(0.6)
    assert found[0].x_std == pytest.approx(math.sqrt(0.02))
    document = json.loads(json.dumps(pareto.document(found, ("accuracy", "joules"))))
    assert [entry["joules"] for entry in document["front"]] == [20.0, 10.0]
    assert document["knee"] is None
    assert document["configurations"] == 3
    with pytest.raises(ConfigError, match="--pareto validation_loss joules: no point of this sweep has both"):
        pareto.candidates(rows, ("validation_loss", "joules"))


def test_table_has_a_column_for_everything(tmp_path: Path) -> None:
    failed = Row("f", {"device.laser.power_mw": 9.0}, 0, FAILED, {"error": "a, line"}, None, "b")
    rows = table([row(1.0, 0.5, 10.0), failed])
    assert list(rows[0]) == list(rows[1])
    assert list(rows[0])[:4] == ["config_sha256", "device.laser.power_mw", "seed", "status"]
    assert list(rows[0])[-4:] == ["error", "host_s", "started_at", "finished_at"]
    write_csv(rows, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open() as file:
        read_back = list(csv.DictReader(file))
    assert read_back[0]["accuracy"] == "0.5"
    assert read_back[0]["alignment_2"] == "0.25"
    assert read_back[1]["accuracy"] == ""
    assert read_back[1]["error"] == "a, line"


def test_store_never_writes_over_what_is_done(tmp_path: Path) -> None:
    path = written(tmp_path, '[[axes]]\nkey = "device.camera.adc_bits"\nvalues = [4, 8]\n')
    sweep = load_sweep(path, seeds=1)
    first, second = (point.sha256 for point in sweep.points)
    with Store(tmp_path) as store:
        assert not store.used
        store.prepare(sweep)
        store.begin_session("t0", 1, 1, None, {})
        store.record(first, DONE, '{"n": 1}', "t1", "t2")
        store.record(first, DONE, '{"n": 2}', "t3", "t4")
        store.record(second, FAILED, '{"error": "x"}', None, "t4")
        assert [point.sha256 for point in store.open_points(sweep.points)] == [second]
        with pytest.raises(ConfigError, match="another sweep is at work there"):
            Store(tmp_path)
    with Store(tmp_path) as store:
        assert store.used
        store.prepare(sweep)
        assert [(r.status, r.result) for r in store.rows()] == [(DONE, {"n": 1}), (FAILED, {"error": "x"})]
    stored = read(tmp_path)
    assert stored.definition["axes"][0]["key"] == "device.camera.adc_bits"
    assert stored.definition["base"]["trainer"]["epochs"] == 2
    assert [session["workers"] for session in stored.sessions] == [1]
    with pytest.raises(ConfigError, match=r"nothing/results.sqlite: no such file"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    "axes",
    [
        '[[axes]]\nkey = "device.laser.power_mw"\nlow = 1\nhigh = 1000\npoints = 4\nscale = "log"\n',
        '[[axes]]\nkey = "device.camera.model"\nvalues = ["cmv2000", "imx174"]\n',
        '[[axes]]\nkey = "device.camera.adc_bits"\nvalues = [4, 6, 8]\n'
        '[[axes]]\nkey = "method"\nvalues = ["odfa", "bp"]\n',
        '[[axes]]\nkey = "device.camera.adc_bits"\nvalues = [4, 6]\n'
        '[[axes]]\nkey = "device.laser.power_mw"\nvalues = [1.0, 2.0, 3.0]\n',
        '[[axes]]\nkey = "device.laser.power_mw"\nlow = 1\nhigh = 1000\nscale = "log"\n'
        '[[axes]]\nkey = "model.hidden"\nvalues = [[8], [8, 8]]\n'
        '[[axes]]\nkeys = ["device.camera.adc_bits", "device.camera.roi_rows"]\nvalues = [[4, 64], [8, 128]]\n'
        '[sampling]\nkind = "random"\npoints = 3\n',
    ],
    ids=["range", "names", "curves by name", "map", "scatter"],
)
def test_figures_of_every_kind_of_sweep(axes: str, tmp_path: Path) -> None:
    sweep = load_sweep(written(tmp_path, axes))
    rows = []
    for number, point in enumerate(sweep.points):
        made = row(0.0, 0.5 + 0.01 * number, 10.0 + number)
        result = made.result if point.parameters.get("method") != "bp" else {**made.result, "device": {"device_s": 0.0}}
        rows.append(Row(point.sha256, point.parameters, point.seed, DONE, result, "a", "b"))
    rows[0] = Row(rows[0].sha256, rows[0].parameters, 0, FAILED, {"error": "x"}, None, "b")
    draw(rows, sweep.config, tmp_path / "sweep.png")
    candidates = pareto.candidates(rows, ("accuracy", "joules"))
    draw_pareto(candidates, ("accuracy", "joules"), "t", sweep.keys, tmp_path / "pareto.png")
    for name in ("sweep.png", "pareto.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(grouped(rows)) == len(sweep.points) // 2


POINT = """
import hashlib, json, sys
from dfa.config import load_experiment
large = {"trainer.epochs": 1, "model.hidden": [784, 512], "trainer.batch_size": 1237}
experiment = load_experiment("digits-mlp", settings=large)
if sys.argv[1] == "point":
    from benchmarks.sweep.worker import run_point
    outcome = run_point(experiment, int(sys.argv[2]))
    result = json.loads(outcome.result)
    print(outcome.status, json.dumps([result["metrics"], result["device"], result["alignment"]]))
else:
    from dfa.trainer import Trainer
    with Trainer(experiment) as trainer:
        trainer.fit()
        print("done", json.dumps([trainer.metrics(), trainer.feedback.projector.report(), trainer.progress.alignment]))
"""


def test_a_point_has_the_same_bits_with_any_threads() -> None:
    """A BLAS with two threads cuts products as large as these in another way; a worker gives it one."""

    def answer(*arguments: str, threads: int) -> str:
        names = ("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
        own = {**os.environ, **dict.fromkeys(names, str(threads))}
        done = subprocess.run(
            [sys.executable, "-c", POINT, *arguments], env=own, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("done ")
        return done.stdout

    assert answer("point", "1", threads=1) == answer("point", "2", threads=2)
    if answer("train", threads=1) == answer("train", threads=2):
        pytest.skip("this BLAS gives the same bits by itself, so that there was nothing to prevent")


def test_grid_is_the_product_of_its_axes() -> None:
    sweep = load_sweep("ternary-threshold")
    values = [axis.grid() for axis in sweep.config.axes]
    assert [tuple(p.parameters.values()) for p in sweep.points if p.seed == 0] == list(itertools.product(*values))
