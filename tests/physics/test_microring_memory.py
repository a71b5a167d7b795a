"""Weights on leaking capacitors: exponential droop, ages of rows, error, time and energy of rewriting."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from opu_sim import ConfigError, load_device
from opu_sim.cards import MicroringCard, load_card
from opu_sim.device import MicroringBank
from opu_sim.microring.bank import WeightBank
from opu_sim.microring.clock import BankPower
from opu_sim.microring.memory import AnalogMemory

HELD: dict[str, Any] = {"memory.refresh_us": 8.3}
# As good as no noise: 16 bits, an amplifier without heat, much light.
QUIET: dict[str, Any] = {
    "receiver.feedback_ohm": 1e15,
    "receiver.adc_bits": 16,
    "modulator.dac_bits": 16,
    "lasers.power_mw": 1e9,
    "tuning.accuracy_bits": 16.0,
    "tuning.precision_bits": 16.0,
    "lasers.rin_db_per_hz": -200.0,
}


def card(**changes: Any) -> MicroringCard:
    loaded = load_card("filipovich-50x20", changes)
    assert isinstance(loaded, MicroringCard)
    return loaded


def bank(n_in: int = 10, n_out: int = 100, **changes: Any) -> MicroringBank:
    device = load_device("filipovich-50x20", n_in=n_in, n_out=n_out, **changes)
    assert isinstance(device, MicroringBank)
    return device


@pytest.mark.parametrize("age_us", [1.0, 100.0, 830.0])
def test_a_detuning_decays_with_the_voltage(age_us: float) -> None:
    one = card(**{"bank.columns": 1, "bank.calibration": "separate", **HELD})
    # A copy, as the card's own error of accuracy would hide the smallest change.
    rings = WeightBank(one.model_copy(update={"tuning": one.tuning.model_copy(update={"accuracy_bits": None})}), 0)
    kept = AnalogMemory(one).kept(1e-6 * age_us)
    assert kept == pytest.approx(math.exp(-age_us / 830.0), rel=1e-12)
    wanted = np.linspace(-1.0, 1.0, 9)
    fresh = rings.ring.detuning_rad(0.7 * wanted)
    found = rings.calibrated(wanted[:, None], kept).weights[0]
    assert_allclose(found, rings.ring.weight(fresh * math.exp(-age_us / 830.0)), atol=1e-6)
    # To first order w loses theta w'(theta) t / RC: a ring comes nearer to its channel, and its weight grows.
    assert np.all(found > 0.7 * wanted)
    if age_us == 1.0:
        slope = np.gradient(rings.ring.weight(fresh[:, None] + np.array([-1e-6, 0.0, 1e-6])), 1e-6, axis=1)[:, 1]
        assert_allclose(found - 0.7 * wanted, -fresh * slope / 830.0, rtol=2e-3, atol=2e-7)


def test_ages_of_rows() -> None:
    memory = AnalogMemory(card(**HELD), 3)
    lost = memory.lost(7, 2000)
    age = -830.0 / 8.3 * np.log1p(-lost.astype(np.float64))
    # Uniform in the refresh period: 2000 starts, known to 1 / sqrt(12 * 2000) = 0.0065.
    assert age.min() >= 0.0
    assert age.max() <= 1.0 + 1e-5
    assert age[:, 0].mean() == pytest.approx(0.5, abs=4 * 0.0065)
    assert age[:, 0].std() == pytest.approx(12**-0.5, rel=0.05)
    # The rows of a vector follow each other a fiftieth apart.
    assert_allclose(np.sort(age, axis=1)[:, 1:] - np.sort(age, axis=1)[:, :-1], 1 / 50, atol=1e-4)
    # A vector's ages are its own, wherever a call begins.
    assert_array_equal(memory.lost(1007, 500), lost[1000:1500])
    assert not np.array_equal(AnalogMemory(card(**HELD), 4).lost(7, 2000), lost)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 3.0])
def test_moments_are_those_of_the_exponential(ratio: float) -> None:
    memory = AnalogMemory(card(**{"memory.refresh_us": 830.0 * ratio, "memory.write_ns": 1.0}))
    mean, square = memory.moments()[1:3]
    left, left_squared = ((1 - math.exp(-n * ratio)) / (n * ratio) for n in (1, 2))
    assert mean == pytest.approx(1 - left, rel=1e-10)
    assert square == pytest.approx(1 - 2 * left + left_squared, rel=1e-8)
    covariance = memory.covariance()
    assert covariance[0, 0] == pytest.approx(left_squared - left**2, rel=1e-7)
    if ratio == 0.01:
        assert covariance[0, 0] == pytest.approx(ratio**2 / 12, rel=0.02)


@pytest.mark.parametrize("n_in", [10, 30])
@pytest.mark.parametrize("encoding", ["two-pass", "single-pass"])
def test_projections_meet_the_rows_at_their_ages(n_in: int, encoding: str) -> None:
    # A tenth of the retention: droops of several per cent of an entry.
    device = bank(n_in, 100, **QUIET, **{"memory.refresh_us": 83.0, "modulator.encoding": encoding})
    x = np.random.default_rng(0).uniform(0 if encoding == "single-pass" else -1, 1, (3, n_in))
    with device:
        y = device.project(x)
    memory = device.memory
    assert memory is not None
    scale = math.sqrt(3 / n_in) / 0.7
    for vector, (entries, lost) in enumerate(zip(x, memory.lost(0, 3), strict=True)):
        for row in (0, 17, 49):
            weights = device.bank.calibrated(device._wanted, 1.0 - float(lost[row])).weights[:, row]
            expected = scale * float(entries @ weights)
            # What is left: rounding, 14 bits of accuracy and the parabola through three ages.
            leak = 0.01 * scale * float(np.abs(device.weights.weights - device.mean_weights).sum(axis=0)[row])
            assert y[vector, row] == pytest.approx(expected, abs=1e-3 + (leak if encoding == "single-pass" else 0.0))
    error = y - x @ (scale * device.weights.weights)
    assert np.abs(error).max() > 0.03  # the droop itself


@pytest.mark.parametrize("refresh_us", [8.3, 83.0])
def test_error_after_holding(refresh_us: float) -> None:
    device = bank(10, 200, **QUIET, **{"memory.refresh_us": refresh_us})
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, 10)
    x /= np.abs(x).max()
    with device:
        y = device.project(np.repeat(x[None], 1000, axis=0)).astype(np.float64)
    # Evenly spread rows see the same ages but for their phase: 1000 vectors, a variance of a uniform known to 2.8 %.
    assert_allclose(y.mean(axis=0), device.matrix() @ x, atol=4 * y.std(axis=0).max() / math.sqrt(1000) + 1e-4)
    variance = y.var(axis=0)
    assert variance.mean() == pytest.approx(float(device.noise_variance(x[None]).mean()), rel=4 * 0.028)
    # By first order: each row's sum of p theta w'(theta), over a sawtooth of sd T / (RC sqrt 12).
    loss = math.sqrt(3 / 10) / 0.7 * (x @ device._droop[0].astype(np.float64)) * refresh_us / 830.0
    assert variance.mean() == pytest.approx(float((loss**2).mean()) / 12, rel=4 * 0.028 + refresh_us / 830.0)
    # Mean: half of it.
    shift = (device.matrix() - math.sqrt(3 / 10) / 0.7 * device.weights.weights.T) @ x
    assert_allclose(shift, loss / 2, rtol=0.1, atol=0.05 * np.abs(loss).max())
    # Control: written weights are not those.
    assert np.abs(shift).max() > 10 * np.abs(y.mean(axis=0) - device.matrix() @ x).max()


def test_without_leak_nothing_changes_but_time() -> None:
    x = np.random.default_rng(2).standard_normal((20, 10))
    results = []
    for changes in ({}, HELD | {"memory.retention_us": 1e12}, HELD):
        device = bank(10, 100, **changes)
        with device:
            results.append((device.project(x), device.ledger))
    assert_array_equal(results[0][0], results[1][0])
    assert not np.array_equal(results[0][0], results[2][0])
    assert "refresh" not in results[0][1].stage_s
    assert results[1][1].device_s > results[0][1].device_s


def test_results_do_not_depend_on_cut_or_outputs() -> None:
    x = np.random.default_rng(3).standard_normal((7, 45))
    whole_device = bank(45, 130, **HELD)
    with whole_device:
        whole = whole_device.project(x)
    cut, fewer = bank(45, 130, **HELD), bank(45, 77, **HELD)
    with cut, fewer:
        assert_array_equal(np.concatenate([cut.project(part) for part in (x[:1], x[1:5], x[5:])]), whole)
        assert_array_equal(fewer.project(x), whole[:, :77])


def test_time_and_energy_of_rewriting() -> None:
    held, driven = BankPower(card(**HELD)), BankPower(card())
    watts = {stage.name: stage.watts for stage in held.stages}
    # 1000 rings, 56 pJ each, every 8.3 us; the modulators' rings are driven as before.
    assert watts["memory"] == pytest.approx(1000 * 56e-12 / 8.3e-6, rel=1e-12)
    assert watts["weight"] == pytest.approx(20 * 0.12e-3, rel=1e-12)
    assert driven.watts - held.watts == pytest.approx(1000 * 0.12e-3 - watts["memory"], rel=1e-9)
    # 50 rows of 50 ns are 30 % of the time: as much more energy an op.
    duty = 50 * 50e-9 / 8.3e-6
    assert held.picojoules_per_op() == pytest.approx(held.watts / 20.0 / (1 - duty), rel=1e-12)
    one = bank(10, 50, fidelity="ideal", **HELD)
    with one:
        one.project(np.ones((1000, 10)))
    stage_s = one.ledger.stage_s
    assert stage_s["symbols"] == pytest.approx(2000 * 1e-10)
    assert stage_s["symbols"] / (stage_s["symbols"] + stage_s["refresh"]) == pytest.approx(1 - duty, rel=1e-9)
    assert one.ledger.device_s == pytest.approx(sum(stage_s.values()), rel=1e-12)
    assert one.ledger.joules == pytest.approx(one.ledger.device_s * held.watts, rel=1e-12)
    # Several tiles are written for each call, row by row, and that costs its own energy.
    many = bank(10, 1600, fidelity="ideal", **HELD)
    with many:
        many.project(np.ones((64, 10)))
    assert many.ledger.stage_s["settling"] == pytest.approx(32 * (50 * 50e-9 + 0.1e-9), rel=1e-12)
    extra = many.ledger.joules - many.ledger.device_s * held.watts
    assert extra == pytest.approx(32 * 1000 * 56e-12, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            HELD | {"tuning.weights": "heater"},
            "memory.refresh_us = 8.3: a capacitor holds no heater's current; must be left out with "
            "tuning.weights = 'heater'",
        ),
        (
            {"memory.refresh_us": 2.0},
            "memory.refresh_us = 2.0: writing 50 rows takes 2.5 us; must be > that",
        ),
        (HELD | {"memory.retention_us": 0.0}, "memory.retention_us = 0.0: must be a number > 0"),
    ],
)
def test_what_a_memory_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        card(**changes)
    assert str(caught.value).endswith(message)


def test_a_memory_is_stated_whole(tmp_path: Any) -> None:
    from opu_sim.config import shipped_folder

    text = (shipped_folder("devices") / "filipovich-50x20.toml").read_text()
    bare = text.replace("retention_us = 830.0\n", "refresh_us = 8.3\n")
    assert bare != text
    path = tmp_path / "mine.toml"
    path.write_text(bare)
    with pytest.raises(ConfigError, match=r"memory\.retention_us: missing; must be stated with refresh_us$"):
        load_card(path)
