"""What follows from a weight bank's card before anything runs: TeraOPS, watts, light, bits."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any

from opu_sim.cards import MicroringCard
from opu_sim.errors import DeviceError
from opu_sim.microring.bank import WeightBank
from opu_sim.microring.clock import BankPower, bank_teraops_peak, teraops_per_mm2
from opu_sim.microring.memory import AnalogMemory
from opu_sim.microring.receiver import Receiver

_BITS = (4, 6, 8)


def bank_budget(card: MicroringCard) -> dict[str, Any]:
    """The parts of `opu_sim.budget.budget` that a weight bank has; `bank` holds what only it has."""
    power, peak = BankPower(card), bank_teraops_peak(card)
    rate_hz = 1e9 * card.clock.symbol_rate_ghz
    bank, receiver = WeightBank(card, 0), Receiver(card, card.bank.columns)
    ring, (low, high) = bank.ring, bank.weight_limits
    memory = AnalogMemory(card) if card.memory.refresh_us is not None else None
    return {
        "teraops_peak": peak,
        "watts": power.watts,
        "teraops_per_watt": peak / power.watts,
        "frame_rate_hz": {"default": rate_hz, "full": rate_hz},
        "stages": [asdict(stage) for stage in power.stages],
        "bank": {
            "free_spectral_range_nm": ring.free_spectral_range_m * 1e9,
            "linewidth_pm": ring.linewidth_m * 1e12,
            "linewidth_ghz": ring.bandwidth_hz * 1e-9,
            "quality_factor": ring.quality_factor,
            "finesse": ring.finesse,
            "photon_lifetime_ps": ring.photon_lifetime_s * 1e12,
            "spacing_linewidths": card.bank.channel_spacing_nm * 1e-9 / ring.linewidth_m,
            "weight_low": low,
            "weight_high": high,
            "channel_photocurrent_ua": receiver.channel_a * 1e6,
            "bits": receiver.bits(),
            "picojoules_per_op": power.picojoules_per_op(),
            "picojoules_per_op_without_lasers": power.picojoules_per_op(lasers=False),
            "teraops_per_mm2": teraops_per_mm2(card),
            **_laser_powers(receiver),
            **({"rewriting_duty": memory.duty, "detuning_lost_at_refresh": _lost(memory)} if memory else {}),
        },
    }


def _laser_powers(receiver: Receiver) -> dict[str, float]:
    """Smallest power of each laser for some numbers of bits, as far as these are to be had."""
    powers = {}
    for bits in _BITS:
        with contextlib.suppress(DeviceError):
            powers[f"laser_mw_for_{bits}_bits"] = receiver.laser_mw(bits)
    return powers


def _lost(memory: AnalogMemory) -> float:
    return 1.0 - memory.kept(memory.refresh_s)
