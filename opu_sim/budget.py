"""What follows from a card before anything runs: TeraOPS, watts, frame rates, stage by stage."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from opu_sim.cards import DeviceCard, MicroringCard, OpuCard, figures
from opu_sim.dmd import Dmd
from opu_sim.medium.memory_effect import memory_range_rad
from opu_sim.microring.budget import bank_budget
from opu_sim.output_grid import output_capacity
from opu_sim.power import FrameClock, PowerBudget, teraops_peak
from opu_sim.recovery.tiles import MODES
from opu_sim.speckle import PixelModes


def budget(card: DeviceCard) -> dict[str, Any]:
    """The document of `opu device show`; nothing in it is typed in, all follows from the card's parts."""
    figures_ = [{"key": key, "value": value, "source": source} for key, value, source in figures(card)]
    document: dict[str, Any] = {
        "name": card.name,
        "teraops_peak": 0.0,
        "watts": 0.0,
        "teraops_per_watt": 0.0,
        "frame_rate_hz": {"default": 0.0, "full": 0.0},
        "stages": [],
        "optics": {},
        "figures": figures_,
        "card": card.model_dump(mode="json"),
    }
    if isinstance(card, MicroringCard):
        document |= bank_budget(card)
    if isinstance(card, OpuCard):
        default = FrameClock(card, card.camera.roi_rows or card.camera.rows)
        full = FrameClock(card, card.camera.rows)
        power = PowerBudget(card, default)
        peak = teraops_peak(card)
        document |= {
            "teraops_peak": peak,
            "watts": power.watts,
            "teraops_per_watt": peak / power.watts,
            "frame_rate_hz": {"default": default.rate_hz, "full": full.rate_hz},
            "stages": [asdict(stage) for stage in power.stages],
            "optics": _optics(card),
        }
    return document


def _optics(card: OpuCard) -> dict[str, float | int | None]:
    """What the card's optics come to: light, contrast, outputs."""
    wavelength_m = card.laser.wavelength_nm * 1e-9
    dmd = Dmd(card.dmd, 1, wavelength_m)
    spacing = math.ceil(card.medium.speckle_grain_px)
    block = MODES if card.recovery.method == "off-axis" else 1
    thickness_um = card.medium.thickness_um
    return {
        "independent_outputs": output_capacity(card, spacing, block),
        "pixels_between_outputs": spacing,
        "speckle_contrast": PixelModes.of_card(card).contrast,
        "dmd_efficiency": dmd.efficiency,
        "diffraction_efficiency": dmd.diffraction_efficiency,
        "memory_range_rad": None if thickness_um is None else memory_range_rad(wavelength_m, thickness_um * 1e-6),
        "frames_a_pattern": card.recovery.frames_a_pattern,
    }
