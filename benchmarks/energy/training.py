"""Where optical training overtakes backpropagation: against each card, in depth and in width, and how firmly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np

from benchmarks.energy.assumptions import Assumptions
from benchmarks.energy.electronic import AcceleratorCard
from benchmarks.energy.training_time import (
    PUBLISHED_CROSSING,
    Family,
    OpticalCost,
    Optics,
    crossings,
    family,
    needed_s_per_vector,
    off_loading_from,
    step,
    variations,
)
from opu_sim.cards import DeviceCard
from opu_sim.estimate import estimate, most_outputs

DEPTH, WIDTH = 32.0, 2560.0
"""Assumed: a Transformer of 2.7 B parameters; the depth and the width that are held while the other one grows."""
_CURVE = np.geomspace(1e8, 1e12, 33)


def optical_cost(card: DeviceCard) -> OpticalCost:
    """The device's time for a step's error vectors, ternary; outputs beyond what it has are taken in turn."""
    capacity = most_outputs(card)

    @cache
    def cost(n_in: int, n_out: int, vectors: int) -> Optics:
        turns = 1 if capacity is None else math.ceil(n_out / capacity)
        table = estimate(card, n_in, math.ceil(n_out / turns), vectors, operation="ternary")
        return Optics(turns * table["device_s"], table["watts"])

    return cost


def study(device: DeviceCard, cards: Sequence[AcceleratorCard], given: Assumptions) -> dict[str, Any]:
    """What the document's part `training` says of one device.

    Raises
    ------
    ConfigError, DeviceError
        The device has no time or power, or too few inputs for the vocabulary; a card has no link that is asked for.
    """
    optics = optical_cost(device)
    shapes = family(given)
    per_sequence = replace(given, errors_per_token=1.0 / given.sequence)
    out: dict[str, Any] = {
        "device": device.name,
        "cards": [_against(card, optics, shapes, given, per_sequence) for card in cards],
        "families": [],
        "sensitivity": [],
        "curves": [_curve(card, optics, shapes, given, per_sequence) for card in cards],
    }
    kinds = {
        f"width = {given.aspect:g} x depth": shapes,
        f"deeper, {WIDTH:g} wide": family(given, width=WIDTH),
        f"wider, {DEPTH:g} blocks": family(given, depth=DEPTH),
    }
    for card in cards:
        for name, kind in kinds.items():
            token, sequence = (crossings(kind, card, optics, case) for case in (given, per_sequence))
            out["families"].append({"against": card.name, "family": name, "token": token, "sequence": sequence})
        for name, change in variations(given, card.peer_link_gb_per_s is not None):
            changed = replace(given, **change)
            found = crossings(family(changed), card, optics, changed)
            out["sensitivity"].append({"against": card.name, "change": name, **found})
    return out


def _against(
    card: AcceleratorCard, optics: OpticalCost, shapes: Family, given: Assumptions, per_sequence: Assumptions
) -> dict[str, Any]:
    shape = shapes(PUBLISHED_CROSSING)
    if shape is None:
        raise ValueError("a family without a member of the published size")
    out: dict[str, Any] = {
        "against": card.name,
        "optimiser_off_loaded_from": off_loading_from(shapes, card, given, "optimiser"),
        "weights_off_loaded_from": off_loading_from(shapes, card, given, "weights"),
    }
    for label, case in (("token", given), ("sequence", per_sequence)):
        vectors = max(math.ceil(case.tokens * case.errors_per_token), 1)
        odfa = step("odfa", shape, card, optics, case)
        out[label] = {
            **crossings(shapes, card, optics, case),
            "error_vectors": vectors,
            "at_published": {
                "bp": asdict(step("bp", shape, card, optics, case)),
                "odfa": asdict(odfa),
                "device_s_per_vector": odfa.optical_s / vectors,
                "needed_s_per_vector": needed_s_per_vector(shape, card, optics, case),
            },
        }
    return out


def _curve(
    card: AcceleratorCard, optics: OpticalCost, shapes: Family, given: Assumptions, per_sequence: Assumptions
) -> dict[str, Any]:
    """Seconds a step against parameters, for the figure."""
    points = [(n, shape) for n in _CURVE if (shape := shapes(float(n))) is not None]
    bp = [step("bp", shape, card, optics, given) for _, shape in points]
    return {
        "against": card.name,
        "parameters": [_short(float(n)) for n, _ in points],
        "bp_s": [_short(one.seconds) for one in bp],
        "odfa_token_s": [_short(step("odfa", shape, card, optics, given).seconds) for _, shape in points],
        "odfa_sequence_s": [_short(step("odfa", shape, card, optics, per_sequence).seconds) for _, shape in points],
    }


def _short(value: float) -> float:
    """Six digits, all that a figure shows."""
    return float(f"{value:.6g}")
