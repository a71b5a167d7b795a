"""Recovery of a linear projection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opu_sim.config import Section


class RecoveryCard(Section):
    """How a linear projection is recovered from intensities."""

    method: Literal["anchor", "off-axis"]
    calibration_frames: Annotated[int, Field(ge=1, le=10_000)]
    """Frames averaged for each constant pattern when the device opens."""
    anchor_floor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """anchor: pixels darker than this share of the anchor's mean brightness are divided by the floor."""
    reference_fill: Annotated[float, Field(gt=0, le=0.8)] = 0.3
    """off-axis: mean reference level as a share of the full well."""
