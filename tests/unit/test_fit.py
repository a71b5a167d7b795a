"""`opu device fit` without training: the space from the cards, and the search against closed forms."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fit.document import card_toml
from benchmarks.fit.run import CARD
from benchmarks.fit.search import Evaluate, Found, Measured, Trial, front, light, ranked, search
from benchmarks.fit.space import BITS, EXPOSURE, MODEL, POWER, ROWS, Choice, Range, Space, parse_space
from benchmarks.fit.task import Task, make_task
from benchmarks.sweep.definition import load_sweep
from benchmarks.sweep.store import Store
from opu_sim.cards import load_camera_card, load_card
from opu_sim.config import shipped_names
from opu_sim.errors import ConfigError

BASE = {POWER: 100.0, EXPOSURE: 400.0}
SMALL = {"trainer.epochs": 1, "model.hidden": [16]}


def found(space: Space, evaluate: Evaluate, *, accuracy: float = 0.9, **changes: Any) -> Found:
    options = {"cost": "joules", "trials": 40, "seeds": range(3), "fresh": range(3, 8), "seed": 0, "base": BASE}
    return search(space, evaluate, accuracy=accuracy, **{**options, **changes})


def physics(parameters: Mapping[str, Any]) -> tuple[float, float]:
    """Accuracy that rises with the light, joules that rise with watts and the time of a frame."""
    power, exposure = parameters[POWER], parameters.get(EXPOSURE, 400.0)
    photons = power * exposure
    return photons / (photons + 4000.0), (24.0 + power / 0.018 * 1e-3) * (exposure + 50.0)


def evaluate(configurations: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Measured]:
    out = []
    for parameters in configurations:
        accuracy, joules = physics(parameters)
        out.append(Measured(tuple(seeds), tuple({"accuracy": accuracy, "joules": joules} for _ in seeds)))
    return out


def test_cheapest_of_a_small_grid() -> None:
    space = Space((Choice(POWER, (1.0, 50.0, 100.0, 200.0), ""), Choice(EXPOSURE, (200.0, 400.0, 800.0), "")))
    result = found(space, evaluate)
    everything = [{POWER: p, EXPOSURE: e} for p in (1.0, 50.0, 100.0, 200.0) for e in (200.0, 400.0, 800.0)]
    cheapest = min((c for c in everything if physics(c)[0] >= 0.9), key=lambda c: physics(c)[1])
    assert result.whole
    assert [trial.parameters for trial in result.trials] == everything
    assert result.winner is not None
    assert result.winner.parameters == cheapest == {POWER: 200.0, EXPOSURE: 200.0}
    assert [trial.parameters for trial in result.trials if trial.base] == [BASE]


def test_parzen_estimator_comes_near_the_known_optimum_of_a_continuum() -> None:
    space = Space((Range(EXPOSURE, {"": (200.0, 14580.0)}, ""), Range(POWER, {"": (1.0, 1000.0)}, "")))
    # Accuracy 0.9 takes 36,000 nJ; joules then fall with the exposure, down to its shortest: 180 mW, 200 us.
    best = physics({POWER: 180.0, EXPOSURE: 200.0})[1]
    random = found(space, evaluate, trials=10)
    guided = found(space, evaluate, trials=100)
    for result in (random, guided):
        assert result.winner is not None
        assert physics(result.winner.parameters)[0] >= 0.9
    assert guided.trials[0].parameters == BASE
    assert best <= physics(guided.winner.parameters)[1] <= 1.3 * best  # type: ignore[union-attr]
    # Control: the ten first trials, which no estimator guides, are far away but for the base.
    assert min(physics(t.parameters)[1] for t in random.trials[1:] if physics(t.parameters)[0] >= 0.9) > 1.3 * best


def test_proposals_depend_on_the_seed_alone() -> None:
    space = Space((Range(EXPOSURE, {"": (200.0, 14580.0)}, ""), Range(BITS, {"": (2.0, 16.0)}, "")))

    def constant(configurations: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Measured]:
        return evaluate([{POWER: 100.0, **entry} for entry in configurations], seeds)

    first, again, other = (
        [trial.parameters for trial in found(space, constant, trials=24, seed=seed).trials] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    # More trials begin with the same ones.
    assert [trial.parameters for trial in found(space, constant, trials=40, seed=1).trials][:24] == first


def test_a_lucky_trial_does_not_win() -> None:
    def lucky(configurations: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Measured]:
        return [
            Measured(
                tuple(seeds),
                tuple(
                    {"accuracy": 0.95 if entry[POWER] > 1.0 or seed < 3 else 0.6, "joules": entry[POWER]}
                    for seed in seeds
                ),
            )
            for entry in configurations
        ]

    result = found(Space((Choice(POWER, (1.0, 2.0, 3.0), ""),)), lucky)
    assert [trial.confirmation is not None for trial in result.trials] == [True, True, False]
    assert result.trials[0].confirmation is not None
    assert result.trials[0].confirmation.mean("accuracy") == pytest.approx(0.6)
    assert result.winner is result.trials[1]


def test_refused_points_are_trials_without_a_result_and_stop_nothing() -> None:
    def refusing(configurations: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Measured]:
        done = evaluate(configurations, seeds)
        return [
            Measured(error="no") if entry[EXPOSURE] < 300.0 else m
            for entry, m in zip(configurations, done, strict=True)
        ]

    space = Space((Range(EXPOSURE, {"": (200.0, 14580.0)}, ""), Range(POWER, {"": (1.0, 1000.0)}, "")))
    result = found(space, refusing)
    failed = [trial for trial in result.trials if trial.measured.error is not None]
    assert len(result.trials) == 40
    assert 0 < len(failed) < 40
    assert result.winner is not None
    assert result.winner.parameters[EXPOSURE] >= 300.0
    ranking = ranked(result.trials, 0.9, "joules", BASE)
    assert ranking[0] is result.winner
    assert ranking[-len(failed) :] == failed


def test_equal_costs_are_put_in_order_by_light() -> None:
    def trial(number: int, power: float, exposure: float) -> Trial:
        measured = Measured((0, 1), ({"accuracy": 0.95, "joules": 5.0},) * 2)
        return Trial(number, {POWER: power, EXPOSURE: exposure}, measured)

    trials = [trial(0, 10.0, 300.0), trial(1, 5.0, 400.0), trial(2, 100.0, 200.0), trial(3, 10.0, 300.0)]
    assert [t.number for t in ranked(trials, 0.9, "joules", {})] == [1, 0, 2]  # 3 is 0 once more
    assert light({POWER: 5.0}, BASE) == 2000.0


def test_nothing_is_taken_off_the_accuracy() -> None:
    def at(value: float) -> Evaluate:
        return lambda configurations, seeds: [
            Measured(tuple(seeds), tuple({"accuracy": value, "joules": 1.0} for _ in seeds)) for _ in configurations
        ]

    space = Space((Choice(POWER, (1.0,), ""),))
    assert found(space, at(0.9), accuracy=0.9).winner is not None
    assert found(space, at(0.8999), accuracy=0.9).winner is None


def test_mean_and_standard_error() -> None:
    measured = Measured((0, 1, 2), tuple({"accuracy": value} for value in (0.9, 0.92, 0.97)))
    assert measured.mean("accuracy") == pytest.approx(0.93)
    variance = (0.03**2 + 0.01**2 + 0.04**2) / 2
    assert measured.standard_error("accuracy") == pytest.approx(math.sqrt(variance / 3))
    assert Measured((0,), ({"accuracy": 0.9},)).standard_error("accuracy") is None


def test_front() -> None:
    def trial(number: int, joules: float, accuracy: float) -> Trial:
        return Trial(number, {}, Measured((0,), ({"accuracy": accuracy, "joules": joules},)))

    trials = [trial(0, 3.0, 0.9), trial(1, 1.0, 0.5), trial(2, 2.0, 0.4), trial(3, 2.0, 0.7), trial(4, 3.0, 0.8)]
    assert [t.number for t in front([*trials, Trial(5, {}, Measured(error="no"))], "joules")] == [1, 3, 0]


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("digits-mlp", 0.9, settings=SMALL)


def test_bounds_are_those_of_the_cards(task: Task) -> None:
    space = {entry.key: entry for entry in task.space.dimensions}
    cameras = {name: load_camera_card(name) for name in shipped_names("cameras")}
    assert list(space) == [MODEL, EXPOSURE, POWER, BITS, ROWS]
    models, exposure, power, bits, rows = space.values()
    assert isinstance(models, Choice)
    assert list(models.values) == list(cameras)
    assert isinstance(exposure, Range)
    # DLP4500 at 4 kHz less 50 us; IMX250: 258.63 + 2056 x 6.9899 us less 50 us.
    assert exposure.bounds[""] == pytest.approx((200.0, 258.63 + 2056 * 6.9899 - 50.0), rel=5e-4)
    assert isinstance(power, Range)
    assert power.bounds == {"": (1.0, 1000.0)}
    assert isinstance(bits, Range)
    for name, camera in cameras.items():
        low, high = bits.bounds[name]
        assert high == camera.adc_bits
        assert 2**low - 1 >= 2.0 * camera.offset_dn > 2 ** (low - 1) - 1 or low == 2
    assert isinstance(rows, Range)
    # 16 outputs, 5 pixels apart, fit in one row of speckle grains.
    assert rows.bounds == {"": (5.0, min(camera.rows for camera in cameras.values()))}
    assert task.start() == {MODEL: "cmv2000", EXPOSURE: 400.0, POWER: 100.0, BITS: 8, ROWS: 178}
    assert task.space.enqueued(task.start()) is not None


def test_every_corner_of_the_space_is_a_card(task: Task) -> None:
    for name in shipped_names("cameras"):
        for end in (0, 1):
            corner: dict[str, Any] = {MODEL: name}
            for entry in task.space.dimensions[1:]:
                assert isinstance(entry, Range)
                value = entry.bounds.get(name, entry.bounds.get(""))[end]  # type: ignore[index]
                corner[entry.key] = int(value) if entry.integer else value
            assert task.resolved(corner, 0).device["camera"]["model"] == name


def test_the_winning_card_reads_back_as_it_was_tried(task: Task, tmp_path: Path) -> None:
    parameters = {MODEL: "imx174", EXPOSURE: 321.5, POWER: 12.5, BITS: 9, ROWS: 64}
    path = tmp_path / CARD
    path.write_text(card_toml(task, Trial(3, parameters, Measured())))
    read = load_card(path)
    tried = task.resolved(parameters, 0)
    expected = load_card(
        "lighton-aurora",
        {**parameters, "timing.frame_time_us": 0.0},
    )
    said = {"name", "description", "sources"}
    assert read.model_dump(exclude=said) == expected.model_dump(exclude=said)
    assert read.sources["laser"]["power_mw"] == "opu device fit: least joules at accuracy >= 0.9 on digits-mlp"
    assert read.sources["camera"]["full_well_e"] == expected.sources["camera"]["full_well_e"]
    assert tried.device["timing"] == {"frame_time_us": 0.0, "exposure_us": 321.5}


def test_set_keys_are_not_searched_and_space_keys_are_as_given() -> None:
    task = make_task(
        "digits-mlp",
        0.9,
        settings={**SMALL, "device.camera.model": "imx174", "device.laser.power_mw": 5.0},
        space=parse_space(["camera.adc_bits=8..10", "device.timing.exposure_us=[300.0]", "dmd.bit_planes=[4, 6]"]),
    )
    assert [entry.key for entry in task.space.dimensions] == [EXPOSURE, BITS, ROWS, "dmd.bit_planes"]
    assert task.space.dimensions[1].document() == {
        "key": BITS,
        "low": 8.0,
        "high": 10.0,
        "log": False,
        "why": "--space",
    }
    rows = 1216 - 5 + 1
    assert task.space.whole(1 * 3 * rows * 2 - 1) is None
    whole = task.space.whole(1 * 3 * rows * 2)
    assert whole is not None
    assert len({repr(entry) for entry in whole}) == 3 * rows * 2


def test_a_card_that_states_its_cameras_figures_keeps_it(task: Task, tmp_path: Path) -> None:
    path = tmp_path / CARD
    path.write_text(card_toml(task, Trial(0, {MODEL: "imx174", BITS: 9}, Measured())))
    again = make_task("digits-mlp", 0.9, device=str(path), settings=SMALL)
    assert [entry.key for entry in again.space.dimensions] == [EXPOSURE, POWER, BITS, ROWS]
    with pytest.raises(ConfigError, match=r"--space camera\.model: the file of .* states camera\.\w+ itself"):
        make_task("digits-mlp", 0.9, device=str(path), settings=SMALL, space={MODEL: ["cmv2000"]})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["laser.power_mw"], "must be KEY=VALUE, for example laser.power_mw=1..100"),
        (["laser.power_mw=5..1"], "must be 0 < LOW < HIGH"),
        (["laser.power_mw=0..1"], "must be 0 < LOW < HIGH"),
        (["laser.power_mw=1..x"], "must be LOW..HIGH, for example"),
        (["camera.adc_bits=2.5..8"], "must be whole numbers"),
        (["dmd.watts=1..2"], "a range is for timing.exposure_us, laser.power_mw"),
        (["laser.power_mw=[]"], "must be a list of one or more different values"),
        (["laser.power_mw=[1.0, 1.0]"], "must be a list of one or more different values"),
        (["laser.power_mw=[[1.0], [2.0]]"], "must be numbers, texts, true or false"),
        (["laser.power_mw=1..2", "device.laser.power_mw=[1.0]"], "laser.power_mw: there twice"),
    ],
)
def test_bad_space_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space(texts)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--space ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "ideal"}, "ideal: nothing to fit: must be a device with a laser and a camera"),
        ({"device": "filipovich-50x20"}, "filipovich-50x20: nothing to fit"),
        ({"experiment": "shakespeare-gpt"}, "shakespeare-gpt: has no accuracy"),
        ({"space": {"camera.no_such": [1]}}, "--space device.camera.no_such: unknown key"),
        ({"space": {MODEL: ["nosuch"]}}, "'nosuch': no such camera"),
        ({"space": {BITS: (2.0, 40.0)}}, "--space device.camera.adc_bits = 40: must be an integer >= 1 and <= 16"),
        (
            {"space": {POWER: [5.0]}, "settings": {**SMALL, "device.laser.power_mw": 3.0}},
            "--space laser.power_mw: set by --set device.laser.power_mw, too",
        ),
    ],
)
def test_bad_tasks_are_refused(changes: dict[str, Any], message: str) -> None:
    options = {"experiment": "digits-mlp", "accuracy": 0.9, "settings": SMALL, **changes}
    if options["experiment"] != "digits-mlp":
        options["settings"] = {}
    with pytest.raises(ConfigError) as caught:
        make_task(**options)
    assert message in str(caught.value)


def test_points_that_come_one_by_one_are_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\nexperiment = "digits-mlp"\nseeds = 2\n[[axes]]\nkey = "device.camera.adc_bits"\nvalues = [4, 8]\n'
    )
    points = load_sweep(path).points
    with Store(tmp_path) as store:
        store.begin({"name": "a"})
        store.add(points[:2])
        store.begin_session("now", 1, 1, None, {})
        store.record(points[0].sha256, "done", json.dumps({"x": 1}), "a", "b")
        store.add(points)
        assert [row.sha256 for row in store.rows()] == [point.sha256 for point in points]
        assert [row.status for row in store.rows()] == ["done", *["waiting"] * 3]
    with Store(tmp_path) as store:
        with pytest.raises(ConfigError, match="was begun with name = 'a', not 'b'"):
            store.begin({"name": "b"})
        store.begin({"name": "a"})
        assert len(store.rows()) == 4
