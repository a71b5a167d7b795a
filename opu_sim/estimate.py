"""What a workload would cost a device, without simulating its light: the ledger that a run of it would end with.

Clock and power do not depend on what the vectors hold, only on how many patterns they become, so that sizes far beyond
what a computer can simulate have their device seconds and joules all the same. Calibration, which is done once when a
device opens, is left out.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Literal

import numpy as np

from opu_sim.cards import DeviceCard, MicroringCard, OpuCard
from opu_sim.dmd import Dmd
from opu_sim.errors import ConfigError, DeviceError
from opu_sim.microring.clock import BankClock, BankPower, bank_teraops_peak, charge
from opu_sim.output_grid import OutputGrid, output_capacity
from opu_sim.power import FrameClock, Ledger, PowerBudget, summary, teraops_peak
from opu_sim.recovery.tiles import MODES

Operation = Literal["intensity", "ternary", "float"]
"""intensity: |T b|^2 of binary vectors; ternary, float: linear projections of vectors in {-1, 0, 1} or of any."""
OPERATIONS: tuple[Operation, ...] = ("intensity", "ternary", "float")

_EXAMPLES = {"ternary": (1.0, -1.0, 0.0, 1.0), "float": (1.0, -0.7, 0.4, 0.1)}


def estimate(
    card: DeviceCard,
    n_in: int,
    n_out: int,
    vectors: int,
    *,
    operation: Operation = "ternary",
    batch: int | None = None,
) -> dict[str, Any]:
    """The `device` table of result.json for projecting `vectors` vectors.

    Parameters
    ----------
    card : OpuCard or MicroringCard
    n_in, n_out, vectors : int
        >= 1.
    operation : str
    batch : int, optional
        Vectors a call; all in one without it. Each call ends a pass of the device.

    Returns
    -------
    dict
        As `Projector.report`, and `passes`. Frames that the card says are lost are shown again as often as expected.

    Raises
    ------
    ConfigError
        A device without time or power, an operation that it does not have, a size below 1.
    DeviceError
        More inputs or outputs than the device has.
    """
    for name, value in (("n_in", n_in), ("n_out", n_out), ("vectors", vectors), ("batch", batch or 1)):
        if value < 1:
            raise ConfigError(f"{name} = {value}: must be >= 1")
    batch = min(batch or vectors, vectors)
    calls, rest = divmod(vectors, batch)
    total = Ledger()
    for size, times in ((batch, calls), (rest, 1)):
        if size:
            call, peak = _one_call(card, n_in, n_out, size, operation)
            _add(total, call, times)
    return summary(card.name, total, peak) | {"passes": total.passes}


def operations(card: DeviceCard) -> tuple[Operation, ...]:
    """What a device can do."""
    if isinstance(card, OpuCard):
        return OPERATIONS
    return ("ternary", "float") if isinstance(card, MicroringCard) else ()


def patterns_a_vector(card: OpuCard, n_in: int, operation: Operation) -> int:
    """Patterns that a vector is shown as, by the DMD's own encoding."""
    if operation == "intensity":
        return 1
    # The number does not depend on how many inputs there are beyond those that tell the kinds of vectors apart.
    example = np.array([_EXAMPLES[operation][:n_in]], dtype=np.float64)
    return len(Dmd(card.dmd, example.shape[1]).encode(example).patterns)


def _one_call(card: DeviceCard, n_in: int, n_out: int, vectors: int, operation: Operation) -> tuple[Ledger, float]:
    """Ledger of one call, and the peak TeraOPS of the device."""
    if operation not in operations(card):
        known = ", ".join(operations(card))
        reason = f"it has {known}" if known else "a digital reference spends no simulated time or energy"
        raise ConfigError(f"{card.name}: no operation {operation!r}: {reason}")
    ledger = Ledger()
    if isinstance(card, MicroringCard):
        charge(ledger, BankClock(card, n_in, n_out), BankPower(card), vectors, n_in, n_out)
        return ledger, bank_teraops_peak(card)
    if not isinstance(card, OpuCard):
        raise TypeError(f"{card.name}: an unknown kind of device")
    recovery = card.recovery
    anchors = recovery.anchors if recovery.method == "anchor" and recovery.anchors > 1 else 0
    dmd = Dmd(card.dmd, n_in, wavelength_m=card.laser.wavelength_nm * 1e-9, anchors=anchors)
    clock = FrameClock(card, OutputGrid(card, n_out, math.ceil(card.medium.speckle_grain_px), _block(card)).rows)
    patterns = vectors * patterns_a_vector(card, n_in, operation)
    frames = patterns * (1 if operation == "intensity" else recovery.frames_a_pattern)
    lost = card.faults.dropped_frames or 0.0
    ledger.add_frames(
        frames,
        math.ceil(patterns / card.timing.pass_patterns),
        2.0 * dmd.mirrors_used * clock.pixels * frames,
        clock,
        PowerBudget(card, clock),
        card.timing.latency_s,
        round(frames * lost / (1.0 - lost)),
    )
    ledger.projections = vectors
    ledger.ops = 2.0 * n_in * n_out * vectors
    return ledger, teraops_peak(card)


def _add(total: Ledger, part: Ledger, times: int) -> None:
    for entry in fields(Ledger):
        value, more = getattr(total, entry.name), getattr(part, entry.name)
        if isinstance(value, dict):
            for key, amount in more.items():
                value[key] = value.get(key, 0.0) + times * amount
        else:
            setattr(total, entry.name, value + times * more)


def most_outputs(card: DeviceCard) -> int | None:
    """Outputs that a device can have at most; None where there is no limit (a bank's tiles follow each other)."""
    if not isinstance(card, OpuCard):
        return None
    return output_capacity(card, math.ceil(card.medium.speckle_grain_px), _block(card))


def _block(card: OpuCard) -> int:
    return MODES if card.recovery.method == "off-axis" else 1


def largest_square(card: DeviceCard, *, operation: Operation = "ternary", limit: int = 2**24) -> int:
    """Largest D, at most `limit`, for which a projection D -> D fits the device."""

    def fits(size: int) -> bool:
        try:
            _one_call(card, size, size, 1, operation)
        except DeviceError:
            return False
        return True

    low, high = 1, limit
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
