"""Camera."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive, Sources
from opu_sim.config import Section

Celsius = Annotated[float, Field(ge=-150, le=150)]
Defects = Annotated[float, Field(gt=0, le=0.5)]


class CameraCard(Section):
    """Image sensor after EMVA 1288 (linear model)."""

    model: str | None = None
    rows: Count
    columns: Count
    pitch_um: Positive
    """For the record: speckle and outputs are counted in pixels."""
    quantum_efficiency: Fraction
    full_well_e: Positive
    read_noise_e: NotNegative
    dark_current_e_per_s: NotNegative
    """At `dark_reference_c`, where that is stated."""
    dark_reference_c: Celsius | None = None
    dark_current_doubling_c: Annotated[float, Field(ge=3, le=20)] | None = None
    """Warming that doubles the dark current; 5 .. 8 C is usual for silicon."""
    temperature_c: Celsius | None = None
    """Of the sensor in use; left out, the dark current is used as it is stated."""
    gain_dn_per_e: Positive | None = None
    """EMVA's K; left out, the full well fills the converter's range."""
    offset_dn: NotNegative
    adc_bits: Annotated[int, Field(ge=1, le=16)]
    prnu: Annotated[float, Field(ge=0, le=0.1)]
    """Relative standard deviation of the pixels' responsivity; six of them leave every pixel sensitive."""
    dsnu_e: NotNegative
    hot_pixels: Defects | None = None
    """Share of pixels whose dark current is greater by `hot_pixel_current_e_per_s`."""
    hot_pixel_current_e_per_s: Positive | None = None
    """It doubles with temperature as the dark current does."""
    dead_pixels: Defects | None = None
    """Share of pixels that do not respond to light."""
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

    @model_validator(mode="after")
    def _temperature_is_complete(self) -> CameraCard:
        if self.temperature_c is not None:
            for key in ("dark_reference_c", "dark_current_doubling_c"):
                if getattr(self, key) is None:
                    raise ValueError(f"{key}: missing; temperature_c = {self.temperature_c!r} needs it")
        return self

    @model_validator(mode="after")
    def _hot_pixels_are_complete(self) -> CameraCard:
        if (self.hot_pixels is None) != (self.hot_pixel_current_e_per_s is None):
            stated, missing = "hot_pixels", "hot_pixel_current_e_per_s"
            if self.hot_pixels is None:
                stated, missing = missing, stated
            raise ValueError(f"{missing}: missing; {stated} = {getattr(self, stated)!r} needs it")
        return self

    @property
    def warming(self) -> float:
        """Dark current at the sensor's temperature over that stated: 2^((T - T_0) / T_double).

        EMVA Standard 1288, release 4.0 Linear, temperature dependence of the dark current.
        """
        if self.temperature_c is None or self.dark_reference_c is None or self.dark_current_doubling_c is None:
            return 1.0
        return float(2.0 ** ((self.temperature_c - self.dark_reference_c) / self.dark_current_doubling_c))

    @property
    def dark_e_per_s(self) -> float:
        """Dark current at the sensor's temperature [e-/s]; EMVA's mu_I."""
        return self.dark_current_e_per_s * self.warming

    @property
    def hot_e_per_s(self) -> float:
        """What a hot pixel has on top of it [e-/s]."""
        return (self.hot_pixel_current_e_per_s or 0.0) * self.warming

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
