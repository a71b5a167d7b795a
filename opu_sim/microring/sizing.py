"""Banks of other sizes: how far apart channels must lie, the ring that so many need, and what an operation costs then.

Rings on one bus at even distances of s linewidths, all of them detuned by d, pass the light of a channel as

    T = prod_m (d + m s)^2 / ((d + m s)^2 + 1/4) = sin^2(pi d / s) / (sin^2(pi d / s) + sinh^2(pi / 2s)),

lossless, Lorentzian, without ends, and what they do not pass they drop: weight 1 - 2 T. The row whose weights are all
-w is the hardest, as neighbours' tails only ever add to the drop port. It is reached at d = s / 2 at the latest, so
that cosh^2(pi / 2s) <= 2 / (1 + w).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from opu_sim.cards import MicroringCard
from opu_sim.config import merged, validated
from opu_sim.constants import SPEED_OF_LIGHT_M_S
from opu_sim.microring.clock import BankPower, bank_teraops_peak, teraops_per_mm2
from opu_sim.microring.receiver import Receiver

_ROOM = 1.05
"""Spacing over the least one: for loss, and for calibration to converge."""
_FIT = 0.9999


def least_spacing_linewidths(weight: float) -> float:
    """Distance of channels, in linewidths, at which all weights of a row can be -`weight` at once; 0 < weight < 1."""
    return math.pi / (2.0 * math.acosh(math.sqrt(2.0 / (1.0 + weight))))


def self_coupling(finesse: float, round_trip: float) -> float:
    """Coupler r of a symmetric ring with this finesse: pi sqrt(k) / (1 - k) = finesse, k = r^2 a."""
    root = (math.sqrt(math.pi**2 + 4.0 * finesse**2) - math.pi) / (2.0 * finesse)
    return root / math.sqrt(round_trip)


def sized(card: MicroringCard, rows: int, columns: int, bits: float | None = None) -> MicroringCard:
    """The card with other numbers of rows and columns, and with rings and lasers that these need.

    Where the columns fit the card's own channels, its rings stay. Otherwise the channels share the free spectral range
    evenly, the couplers are made weak enough for lines that keep apart, and, where these would be too narrow for the
    symbols, the radius is made smaller: finesse >= columns * spacing and linewidth >= symbol rate need a free spectral
    range c / (2 pi n_g R) of at least columns * spacing * rate. Losses and powers of a ring stay as they are.

    Parameters
    ----------
    bits : float, optional
        Lasers have the least power for this many bits of a reading, see `Receiver.laser_mw`.

    Raises
    ------
    ConfigError
        Rings that lose too much for `bank.weight_range`, or another value that a card does not allow.
    DeviceError
        More bits than are to be had at any laser power.
    """
    changes: dict[str, Any] = {"bank": {"rows": rows, "columns": columns}}
    ring = card.ring_at(card.bank.centre_nm * 1e-9)
    if columns * card.bank.channel_spacing_nm * 1e-9 > ring.free_spectral_range_m:
        finesse = columns * _ROOM * least_spacing_linewidths(card.bank.weight_range)
        rate_hz = 1e9 * card.clock.symbol_rate_ghz
        # A range of `finesse` linewidths at the symbol rate.
        largest_m = SPEED_OF_LIGHT_M_S / (2.0 * math.pi * card.ring.group_index * finesse * rate_hz)
        changes["ring"] = {"radius_um": min(card.ring.radius_um, _FIT * 1e6 * largest_m)}
        ring = _ring_card(card, changes).ring_at(card.bank.centre_nm * 1e-9)
        changes["ring"]["self_coupling"] = self_coupling(finesse, ring.round_trip)
        changes["bank"]["channel_spacing_nm"] = _FIT * 1e9 * ring.free_spectral_range_m / columns
    found = _changed(card, changes)
    if bits is not None:
        power_mw = Receiver(found, columns).laser_mw(bits)
        found = _changed(found, {"lasers": {"power_mw": power_mw}})
    return found


def _ring_card(card: MicroringCard, changes: dict[str, Any]) -> MicroringCard:
    """With another ring and nothing else, unchecked: for its lengths and losses."""
    return card.model_copy(update={"ring": card.ring.model_copy(update=changes["ring"])})


def _changed(card: MicroringCard, changes: dict[str, Any]) -> MicroringCard:
    return validated(MicroringCard, merged(card.model_dump(), changes), card.name)


def energy_of_sizes(
    card: MicroringCard, sizes: Iterable[tuple[int, int]], bits: float | None = None
) -> list[dict[str, Any]]:
    """TeraOPS, watts and pJ an operation, at full use and split by part, of the card at each size (rows, columns)."""
    return [_energy(sized(card, rows, columns, bits)) for rows, columns in sizes]


def _energy(card: MicroringCard) -> dict[str, Any]:
    power, peak = BankPower(card), bank_teraops_peak(card)
    ring = card.ring_at(card.bank.centre_nm * 1e-9)
    whole = power.picojoules_per_op()
    return {
        "rows": card.bank.rows,
        "columns": card.bank.columns,
        "teraops_peak": peak,
        "watts": power.watts,
        "picojoules_per_op": whole,
        "picojoules_by_part": {stage.name: whole * stage.watts / power.watts for stage in power.stages},
        "teraops_per_mm2": teraops_per_mm2(card),
        "bits": Receiver(card, card.bank.columns).bits(),
        "laser_mw": card.lasers.power_mw,
        "radius_um": card.ring.radius_um,
        "self_coupling": card.ring.self_coupling,
        "finesse": ring.finesse,
        "linewidth_ghz": 1e-9 * ring.bandwidth_hz,
        "channel_spacing_nm": card.bank.channel_spacing_nm,
    }
