"""Digital micromirror device."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive
from opu_sim.config import Section

# Mirrors a cell: least and most, for the encodings that have a choice.
_CELLS = {"lee": (4, 64), "superpixel": (2, 8)}


class DmdCard(Section):
    """Digital micromirror device."""

    columns: Count
    rows: Count
    pitch_um: Positive
    fill_factor: Fraction
    window_transmission: Fraction
    """One pass through the window; the light passes twice."""
    mirror_reflectivity: Fraction
    diffraction_efficiency: Fraction | None = None
    """Share of the mirrors' light in the orders that the optics accept; or state `tilt_deg` and `incidence_deg`."""
    tilt_deg: Annotated[float, Field(gt=0, le=30)] | None = None
    """Angle of an ON mirror; with it the diffraction efficiency follows from pitch, wavelength and incidence."""
    incidence_deg: Annotated[float, Field(ge=-60, le=60)] | None = None
    """Angle of the light from the array's normal, positive on the side to which an ON mirror leans."""
    contrast: Annotated[float, Field(ge=10)] | None = None
    """Intensity ratio ON : OFF of one mirror; leave it out for OFF mirrors that are perfectly dark."""
    pattern_rate_hz: Positive
    load_time_us: NotNegative
    bit_planes: Annotated[int, Field(ge=1, le=12)] = 6
    """Planes a sign for inputs that are not ternary."""
    encoding: Literal["amplitude", "pi-pair", "lee", "superpixel"] = "amplitude"
    """How numbers become mirrors; all but the first pass an aperture off the axis, and show either sign at once."""
    cell_mirrors: Annotated[int, Field(ge=2)] | None = None
    """Period of Lee's fringes, or side of a superpixel [mirrors]."""
    flatness_waves: Annotated[float, Field(gt=0, le=10)] | None = None
    """Root mean square of the array's phase about its best plane, in waves of reflected light; left out, it is flat."""
    warm_up_decorrelation: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Loss of the speckle's intensity correlation while the chip warms up; left out, it stays cold."""
    warm_up_time_s: Positive | None = None
    """Time constant of the chip's temperature."""
    warm_up_rate_per_s: NotNegative | None = None
    """Slow loss that goes on after the chip has warmed up."""
    temperature_control: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the temperature change that a controller leaves; left out, there is no controller."""
    watts: NotNegative

    @model_validator(mode="after")
    def _diffraction_stated_once(self) -> DmdCard:
        angles = {"tilt_deg": self.tilt_deg, "incidence_deg": self.incidence_deg}
        stated = [key for key, value in angles.items() if value is not None]
        if self.diffraction_efficiency is None:
            if not stated:
                raise ValueError("diffraction_efficiency: missing; must be a number > 0 and <= 1, or give tilt_deg")
            missing = set(angles) - set(stated)
            if missing:
                raise ValueError(f"{missing.pop()}: missing; must be given with {stated[0]}")
        elif stated:
            raise ValueError(
                f"diffraction_efficiency = {self.diffraction_efficiency!r}: must be left out where {stated[0]} "
                "states the grating"
            )
        return self

    @model_validator(mode="after")
    def _cell_of_the_encoding(self) -> DmdCard:
        if self.encoding not in _CELLS:
            if self.cell_mirrors is not None:
                raise ValueError(
                    f"cell_mirrors = {self.cell_mirrors}: must be left out with encoding = {self.encoding!r}"
                )
            return self
        least, most = _CELLS[self.encoding]
        if self.cell_mirrors is None or not least <= self.cell_mirrors <= most:
            raise ValueError(
                f"cell_mirrors = {self.cell_mirrors}: must be an integer >= {least} and <= {most} "
                f"with encoding = {self.encoding!r}"
            )
        return self

    @model_validator(mode="after")
    def _warm_up_complete(self) -> DmdCard:
        if self.warm_up_decorrelation is not None and self.warm_up_time_s is None:
            raise ValueError("warm_up_time_s: missing; must be given with warm_up_decorrelation")
        if self.warm_up_decorrelation is None:
            for key in ("warm_up_time_s", "warm_up_rate_per_s", "temperature_control"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} = {getattr(self, key)!r}: must be left out without warm_up_decorrelation")
        return self

    @property
    def mirrors(self) -> int:
        """Number of mirrors."""
        return self.columns * self.rows
