"""Camera."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive, Sources
from opu_sim.config import Section


class CameraCard(Section):
    """Image sensor after EMVA 1288 (linear model)."""

    model: str | None = None
    rows: Count
    columns: Count
    pitch_um: Positive
    quantum_efficiency: Fraction
    full_well_e: Positive
    read_noise_e: NotNegative
    dark_current_e_per_s: NotNegative
    gain_dn_per_e: Positive | None = None
    """EMVA's K; left out, the full well fills the converter's range."""
    offset_dn: NotNegative
    adc_bits: Annotated[int, Field(ge=1, le=16)]
    prnu: Annotated[float, Field(ge=0, le=0.1)]
    """Relative standard deviation of the pixels' responsivity; six of them leave every pixel sensitive."""
    dsnu_e: NotNegative
    roi_rows: Count | None = None
    """Rows read; left out, all of them."""
    line_time_us: NotNegative = 0.0
    frame_overhead_us: NotNegative = 0.0
    watts: NotNegative = 0.0

    @model_validator(mode="after")
    def _roi_fits(self) -> CameraCard:
        if self.roi_rows is not None and self.roi_rows > self.rows:
            raise ValueError(f"roi_rows = {self.roi_rows}: must be <= rows = {self.rows}")
        return self

    @model_validator(mode="after")
    def _offset_leaves_codes(self) -> CameraCard:
        if self.offset_dn >= self.max_dn:
            raise ValueError(
                f"offset_dn = {self.offset_dn!r}: must be < {self.max_dn}, the largest code of {self.adc_bits} bits"
            )
        return self

    @property
    def max_dn(self) -> int:
        """Largest code of the converter."""
        return int(2**self.adc_bits - 1)

    @property
    def gain(self) -> float:
        """K [DN/e-]."""
        return self.gain_dn_per_e or (self.max_dn - self.offset_dn) / self.full_well_e

    def read_out_s(self, rows: int) -> float:
        """Time to read this many rows [s]: fewer rows are faster, fewer columns are not."""
        return (self.frame_overhead_us + self.line_time_us * rows) * 1e-6


class CameraFile(CameraCard):
    """A camera's TOML file: its card, with where the figures come from."""

    description: str = ""
    sources: Sources = Field(default_factory=dict)
