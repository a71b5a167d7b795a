"""Cycles, throughput, watts and energy of a weight bank; the published figures."""

import json
from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.cards import MicroringCard, load_card
from opu_sim.device import MicroringBank
from opu_sim.microring.budget import bank_budget
from opu_sim.microring.clock import (
    BankClock,
    BankPower,
    bank_teraops_peak,
    feedback_teraops,
    teraops_per_mm2,
)


def card(**changes: Any) -> MicroringCard:
    loaded = load_card("filipovich-50x20", changes)
    assert isinstance(loaded, MicroringCard)
    return loaded


# Filipovich et al., IEEE IPC 2020, Table I: 1000 rings, converters of 5 GS/s.
@pytest.mark.parametrize(
    ("hidden", "classes", "columns", "rows", "printed"),
    [([800], 10, 10, 100, 9.40), ([400], 100, 100, 10, 9.91), ([8000, 10_000], 100, 10, 100, 9.95)],
)
def test_published_throughput(hidden: list[int], classes: int, columns: int, rows: int, printed: float) -> None:
    found = feedback_teraops(hidden, classes, rows=rows, columns=columns, rate_hz=5e9)
    # Rows 1 and 2 are printed 1.0 % and 0.4 % below their formula.
    assert found == pytest.approx(printed, rel=0.015)
    # Control: a bank that does not divide the layer wastes cycles.
    assert feedback_teraops(hidden, classes, rows=rows - 1, columns=columns, rate_hz=5e9) < 0.985 * printed


def test_cycles_of_the_clock_are_those_of_the_formula() -> None:
    # Counting additions as N - 1 and one pass, the clock gives the published throughput.
    bank = card(**{"modulator.encoding": "single-pass", "bank.rows": 100, "bank.columns": 10})
    clock = BankClock(bank, 10, 800)
    assert clock.cycles == 8
    rate_hz = 1 / clock.symbol_s
    ops_per_s = 800 * (2 * 10 - 1) / (clock.cycles * clock.symbol_s) * 1e-12
    assert ops_per_s == pytest.approx(feedback_teraops([800], 10, rows=100, columns=10, rate_hz=rate_hz), rel=1e-12)


def test_peak() -> None:
    assert bank_teraops_peak(card()) == pytest.approx(20.0, rel=1e-12)


def test_recollected_energy_and_area() -> None:
    """A consistency check, no citation: a recollected budget of parts closes on the recollected totals.

    With heaters 1.0 pJ an operation, trimmed 0.28, both without lasers, and 5.78 TeraOPS/mm2.
    """
    heaters, trimmed = BankPower(card()), BankPower(card(**{"tuning.lock": "trimmed"}))
    assert heaters.picojoules_per_op(lasers=False) == pytest.approx(1.0, abs=0.05)
    assert trimmed.picojoules_per_op(lasers=False) == pytest.approx(0.28, abs=0.005)
    assert heaters.picojoules_per_op() - heaters.picojoules_per_op(lasers=False) == pytest.approx(0.05, rel=1e-9)
    assert teraops_per_mm2(card()) == pytest.approx(5.78, rel=0.01)
    # The heater's part, from its power a free spectral range: 14 mW on average for each of 20 x 51 rings.
    assert heaters.watts - trimmed.watts == pytest.approx(20 * 51 * 0.014, rel=1e-9)


def test_watts_by_part() -> None:
    power = BankPower(card())
    watts = {stage.name: stage.watts for stage in power.stages}
    assert watts == pytest.approx(
        {
            "laser": 20 * 0.010 / 0.2,
            "heater": 14.28,
            "weight": 20 * 51 * 0.12e-3,
            "dac": 20 * 0.180,
            "tia": 50 * 0.024,
            "adc": 50 * 0.013,
        }
    )
    assert power.watts == pytest.approx(sum(watts.values()), rel=1e-12)
    assert all(stage.source for stage in power.stages)


@pytest.mark.parametrize(
    ("n_in", "n_out", "tiles"), [(10, 1600, 32), (20, 50, 1), (21, 50, 2), (20, 51, 2), (784, 1000, 40 * 20)]
)
def test_ledger(n_in: int, n_out: int, tiles: int) -> None:
    device = load_device("filipovich-50x20", n_in=n_in, n_out=n_out, fidelity="ideal")
    assert isinstance(device, MicroringBank)
    with device:
        device.project(np.ones((7, n_in)))
        device.project(np.ones((2, n_in)))
    ledger = device.ledger
    cycles = 9 * tiles * 2
    assert (ledger.projections, ledger.frames, ledger.passes) == (9, cycles, 2)
    # One tile alone stays written.
    settling_s = 2 * (tiles * 0.1e-9 if tiles > 1 else 0.0)
    assert ledger.device_s == pytest.approx(cycles * 1e-10 + settling_s + 2 * 100e-9, rel=1e-12)
    assert ledger.stage_s == pytest.approx({"symbols": cycles * 1e-10, "settling": settling_s, "latency": 2e-7})
    assert ledger.joules == pytest.approx(ledger.device_s * device.power.watts, rel=1e-12)
    assert sum(ledger.stage_joules.values()) == pytest.approx(ledger.joules, rel=1e-12)
    assert ledger.ops == 2.0 * 9 * n_in * n_out
    assert ledger.ops_optical == 2.0 * 1000 * cycles
    report = device.report()
    assert report["teraops_peak"] == pytest.approx(20.0)
    assert 0 < report["teraops_delivered"] < report["teraops_optical"] < 20.0


def test_slow_weights_cost_time() -> None:
    by_heat = {"tuning.weights": "heater", "tuning.settling_ns": 10_000.0}
    device = load_device("filipovich-50x20", n_in=10, n_out=1600, fidelity="ideal", **by_heat)
    with device:
        device.project(np.ones((64, 10)))
    # 32 tiles written with heaters of 10 us take 320 us a pass; the 4096 symbols in between take 0.4 us.
    assert device.ledger.stage_s["settling"] == pytest.approx(320e-6)
    assert device.ledger.stage_s["symbols"] == pytest.approx(0.4096e-6)


def test_budget() -> None:
    document = bank_budget(card())
    assert document["teraops_peak"] == pytest.approx(20.0)
    assert document["teraops_per_watt"] == pytest.approx(20.0 / document["watts"])
    assert sum(stage["watts"] for stage in document["stages"]) == pytest.approx(document["watts"])
    bank = document["bank"]
    # 1550^2 / (4.2 * 2 pi * 5000) nm.
    assert bank["free_spectral_range_nm"] == pytest.approx(18.208, abs=1e-3)
    assert bank["finesse"] * bank["linewidth_pm"] == pytest.approx(1e3 * bank["free_spectral_range_nm"])
    assert bank["channel_photocurrent_ua"] == pytest.approx(1e6 * 0.010 * 0.1 / 50)
    # A pJ an op is a TeraOPS/W the other way round.
    assert bank["picojoules_per_op"] * document["teraops_per_watt"] == pytest.approx(1.0)
    assert json.dumps(document)
