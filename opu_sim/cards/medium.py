"""Scattering medium."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opu_sim.cards.quantities import Fraction
from opu_sim.config import Section


class MediumCard(Section):
    """Multiply scattering medium."""

    kind: Literal["stored"] = "stored"
    transmission: Fraction
    """Share of the light leaving the DMD that falls on the whole sensor, both polarisations."""
    analyser_transmission: Fraction
    speckle_grain_px: Annotated[float, Field(ge=1)]
    """lambda z / D in camera pixels. Below one pixel a grain, a pixel averages several independent modes."""
    frame_decorrelation: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the field's power that is new in each frame (vibration, air, mirrors)."""
