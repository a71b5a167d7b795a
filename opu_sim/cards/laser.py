"""Laser."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opu_sim.cards.quantities import Fraction, Positive
from opu_sim.config import Section


class LaserCard(Section):
    """Continuous-wave laser."""

    wavelength_nm: Annotated[float, Field(ge=200, le=2000)]
    power_mw: Positive
    rin_db_per_hz: Annotated[float, Field(ge=-200, le=-60)] | None = None
    """Relative intensity noise, white over the exposure's bandwidth; leave it out for a noiseless laser."""
    linewidth_mhz: Positive | None = None
    """Full width at half maximum of a Lorentzian line; leave it out for a line of no width."""
    wall_plug_efficiency: Fraction
