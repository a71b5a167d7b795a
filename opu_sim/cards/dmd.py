"""Digital micromirror device."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive
from opu_sim.config import Section


class DmdCard(Section):
    """Digital micromirror device."""

    columns: Count
    rows: Count
    pitch_um: Positive
    fill_factor: Fraction
    window_transmission: Fraction
    """One pass through the window; the light passes twice."""
    mirror_reflectivity: Fraction
    diffraction_efficiency: Fraction
    contrast: Annotated[float, Field(ge=10)] | None = None
    """Intensity ratio ON : OFF of one mirror; leave it out for OFF mirrors that are perfectly dark."""
    pattern_rate_hz: Positive
    load_time_us: NotNegative
    bit_planes: Annotated[int, Field(ge=1, le=12)] = 6
    """Planes a sign for inputs that are not ternary."""
    watts: NotNegative

    @property
    def mirrors(self) -> int:
        """Number of mirrors."""
        return self.columns * self.rows
