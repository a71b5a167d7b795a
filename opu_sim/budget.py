"""What follows from a card before anything runs: TeraOPS, watts, frame rates, stage by stage."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opu_sim.cards import DeviceCard, OpuCard, figures
from opu_sim.power import FrameClock, PowerBudget, teraops_peak


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
        "figures": figures_,
        "card": card.model_dump(mode="json"),
    }
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
        }
    return document
