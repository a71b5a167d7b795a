"""Clock and power of a weight bank: cycles of a projection, watts by part, throughput, energy and area.

The clock is a counter of simulated seconds, as in `opu_sim.power`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from opu_sim.cards import MicroringCard, figures
from opu_sim.microring.memory import AnalogMemory
from opu_sim.power import Ledger, Stage

HEATER_SHARE = 0.5
"""Mean lock drive over the drive of a free spectral range: a ring lies anywhere in it, and heaters only heat."""


class BankClock:
    """Cycles of the bank for a matrix n_in -> n_out, which is cut into tiles of columns x rows."""

    def __init__(self, card: MicroringCard, n_in: int, n_out: int) -> None:
        self.card = card
        self.tiles = math.ceil(n_in / card.bank.columns) * math.ceil(n_out / card.bank.rows)
        self.passes = 2 if card.modulator.encoding == "two-pass" else 1
        self.memory = AnalogMemory(card) if card.memory.refresh_us is not None else None

    @property
    def symbol_s(self) -> float:
        """Time of a cycle: one vector's part on one tile, in one pass."""
        return 1e-9 / self.card.clock.symbol_rate_ghz

    @property
    def cycles(self) -> int:
        """Cycles a vector: ceil(n_in / columns) * ceil(n_out / rows), twice for signed inputs in two passes."""
        return self.tiles * self.passes

    @property
    def settling_s(self) -> float:
        """Time that a pass spends on writing tiles; one tile alone stays written."""
        a_tile_s = self.card.tuning.settling_ns * 1e-9 + (self.memory.write_s if self.memory else 0.0)
        return self.tiles * a_tile_s if self.tiles > 1 else 0.0

    def refresh_s(self, symbols_s: float) -> float:
        """Time that rewriting of leaking weights takes from so many seconds of symbols."""
        return symbols_s * self.memory.duty / (1.0 - self.memory.duty) if self.memory else 0.0

    @property
    def latency_s(self) -> float:
        """Cost of each pass."""
        return self.card.clock.latency_ns * 1e-9


class BankPower:
    """Watts part by part; all parts draw their power for as long as the bank is on.

    N lasers, N drivers of modulators, N (M + 1) rings (M rows of weights and one of modulators), M amplifiers and
    converters. With a memory, M N weights are rewritten in its place of holding them.
    """

    def __init__(self, card: MicroringCard) -> None:
        self.card = card
        stated = {key: source for key, _, source in figures(card)}
        bank, tuning = card.bank, card.tuning
        weights, rings = bank.columns * bank.rows, bank.columns * (bank.rows + 1)
        driven, refresh_us = rings, card.memory.refresh_us
        lock_mw = HEATER_SHARE * tuning.heater_mw_per_fsr if tuning.lock == "heater" else 0.0
        memory: dict[str, tuple[float, str]] = {}
        if refresh_us is not None:
            driven = rings - weights
            memory["memory"] = (1e-3 * weights * (card.memory.write_pj or 0.0) / refresh_us, "memory.write_pj")
        watts = {
            "laser": (bank.columns * card.lasers.power_mw / card.lasers.wall_plug_efficiency, "lasers.power_mw"),
            "heater": (rings * lock_mw, "tuning.heater_mw_per_fsr"),
            "weight": (driven * tuning.weight_mw, "tuning.weight_mw"),
            "dac": (bank.columns * card.modulator.dac_mw, "modulator.dac_mw"),
            "tia": (bank.rows * card.receiver.tia_mw, "receiver.tia_mw"),
            "adc": (bank.rows * card.receiver.adc_mw, "receiver.adc_mw"),
            **memory,
        }
        seconds = 1e-9 / card.clock.symbol_rate_ghz
        self.stages = [
            Stage(name, 1e-3 * milliwatts, seconds, stated[key] or "not stated")
            for name, (milliwatts, key) in watts.items()
        ]

    @property
    def watts(self) -> float:
        """Power of all parts."""
        return sum(stage.watts for stage in self.stages)

    def picojoules_per_op(self, *, lasers: bool = True) -> float:
        """Energy of one multiplication or addition at full use of the bank [pJ], with its lasers or without."""
        watts = sum(stage.watts for stage in self.stages if lasers or stage.name != "laser")
        memory = AnalogMemory(self.card) if self.card.memory.refresh_us is not None else None
        return watts / bank_teraops_peak(self.card) / (1.0 - (memory.duty if memory else 0.0))


def bank_teraops_peak(card: MicroringCard) -> float:
    """2 x rows x columns x symbol rate [1e12 ops/s]; one op is one multiplication or one addition."""
    return 2.0 * card.bank.rows * card.bank.columns * card.clock.symbol_rate_ghz * 1e-3


def teraops_per_mm2(card: MicroringCard) -> float:
    """Peak over the area of all rings' cells, the modulators' among them."""
    area_mm2 = card.bank.columns * (card.bank.rows + 1) * card.bank.cell_area_um2 * 1e-6
    return bank_teraops_peak(card) / area_mm2


def feedback_teraops(hidden: Sequence[int], classes: int, *, rows: int, columns: int, rate_hz: float) -> float:
    """Throughput of direct feedback alignment, one layer after the other, of a bank limited by its converters.

    rate / layers * (2 classes - 1) / ceil(classes / columns) * sum_k width_k / ceil(width_k / rows) [1e12 ops/s]: an
    inner product of N terms is N multiplications and N - 1 additions, and tiles that are not full waste their cycle.

    References
    ----------
    Filipovich et al., "Training Deep Neural Networks in Situ with Neuromorphic Photonics", IEEE IPC 2020, eq. 3
    (secondary: the paper itself was not opened).
    """
    rate = rate_hz / len(hidden) * (2 * classes - 1) / math.ceil(classes / columns)
    return rate * sum(width / math.ceil(width / rows) for width in hidden) * 1e-12


def charge(ledger: Ledger, clock: BankClock, power: BankPower, vectors: int, n_in: int, n_out: int) -> None:
    """Charge one pass of `vectors` vectors, which counts a frame a cycle."""
    if not vectors:
        return
    bank = clock.card.bank
    cycles = vectors * clock.cycles
    symbols_s = cycles * clock.symbol_s
    busy = {"symbols": symbols_s, "settling": clock.settling_s, "latency": clock.latency_s}
    if clock.memory:
        busy["refresh"] = clock.refresh_s(symbols_s)
    seconds = sum(busy.values())
    ledger.projections += vectors
    ledger.frames += cycles
    ledger.passes += 1
    ledger.ops += 2.0 * n_in * n_out * vectors
    ledger.ops_optical += 2.0 * bank.rows * bank.columns * cycles
    ledger.device_s += seconds
    for name, value in busy.items():
        ledger.stage_s[name] = ledger.stage_s.get(name, 0.0) + value
    for stage in power.stages:
        joules = stage.watts * seconds
        if stage.name == "memory" and clock.tiles > 1:  # written for this pass, on top of what rewrites them
            joules += 1e-12 * clock.tiles * bank.columns * bank.rows * (clock.card.memory.write_pj or 0.0)
        ledger.stage_joules[stage.name] = ledger.stage_joules.get(stage.name, 0.0) + joules
        ledger.joules += joules
