"""Device and camera cards: what a data sheet would say of each part, frozen and validated.

A card is a TOML file. `[sources]` holds, for every figure, where it comes from or the word `assumed`.
Every dimensional key ends in its unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from opu_sim.config import Section, find_toml, merged, nested, read_toml, shipped_names, validated
from opu_sim.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class LaserCard(Section):
    """Continuous-wave laser."""

    wavelength_nm: Annotated[float, Field(ge=200, le=2000)]
    power_mw: Positive
    rin_db_per_hz: Annotated[float, Field(ge=-200, le=-60)] | None = None
    """Relative intensity noise, white over the exposure's bandwidth; leave it out for a noiseless laser."""
    wall_plug_efficiency: Fraction


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
    prnu: Annotated[float, Field(ge=0, lt=0.2)]
    """Relative standard deviation of the pixels' responsivity."""
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


class RecoveryCard(Section):
    """How a linear projection is recovered from intensities."""

    method: Literal["anchor", "off-axis"]
    calibration_frames: Annotated[int, Field(ge=1, le=10_000)]
    """Frames averaged for each constant pattern when the device opens."""
    anchor_floor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """anchor: pixels darker than this share of the mean anchor brightness are divided by the floor instead."""
    reference_fill: Annotated[float, Field(gt=0, le=0.8)] = 0.3
    """off-axis: mean reference level as a share of the full well."""


class TimingCard(Section):
    """Exposure and the frame's clock."""

    exposure_us: Positive
    frame_time_us: NotNegative
    """Period that the trigger is set to; the parts may force a longer one."""
    dead_time_us: NotNegative
    link_bytes_per_s: Positive
    latency_s: NotNegative
    """Cost of each pass, whatever its length."""
    pass_patterns: Count


class PowerCard(Section):
    """What the laser, the DMD and the camera do not account for."""

    electronics_w: NotNegative
    cooling_w: NotNegative
    supply_efficiency: Fraction


class OpuCard(Section):
    """A free-space optical processing unit."""

    kind: Literal["opu"]
    name: str
    description: str
    laser: LaserCard
    dmd: DmdCard
    medium: MediumCard
    camera: CameraCard
    recovery: RecoveryCard
    timing: TimingCard
    power: PowerCard
    sources: dict[str, Any] = {}


class IdealCard(Section):
    """A digital reference: the same interface, no physics, no time, no power."""

    kind: Literal["ideal"]
    name: str
    description: str
    sources: dict[str, Any] = {}


DeviceCard = OpuCard | IdealCard
_KINDS: dict[str, type[OpuCard] | type[IdealCard]] = {"opu": OpuCard, "ideal": IdealCard}


def load_card(name: str | Path, overrides: Mapping[str, Any] | None = None) -> DeviceCard:
    """Card of a shipped device or of a TOML file, with dotted overrides such as {"camera.adc_bits": 6}.

    Raises
    ------
    ConfigError
        Missing file, malformed TOML, unknown key, wrong type, value out of range: one line.
    """
    path = find_toml("devices", name)
    table = merged(read_toml(path), nested(overrides or {}))
    camera = table.get("camera")
    if isinstance(camera, dict) and isinstance(camera.get("model"), str):
        base = read_toml(find_toml("cameras", camera["model"]))
        base_sources = base.pop("sources", {})
        base.pop("description", None)
        table["camera"] = merged(base, camera)
        table["sources"] = merged({"camera": base_sources}, table.get("sources", {}))
    kind = table.get("kind")
    if kind not in _KINDS:
        raise ConfigError(f"{path}: kind = {kind!r}: must be one of {', '.join(map(repr, _KINDS))}")
    return validated(_KINDS[kind], table, str(path))


def load_camera_card(card: str | Path | Mapping[str, Any]) -> CameraCard:
    """Camera card from a shipped name, a TOML path, or a mapping.

    Raises
    ------
    ConfigError
        As `load_card`.
    """
    if isinstance(card, Mapping):
        return validated(CameraCard, card, "camera card")
    path = find_toml("cameras", card)
    table = read_toml(path)
    table.pop("sources", None)
    table.pop("description", None)
    return validated(CameraCard, table, str(path))


def figures(card: DeviceCard) -> Iterator[tuple[str, float | int, str]]:
    """Every number on the card as (dotted key, value, source); an empty source is one that is not stated."""
    table = card.model_dump(exclude={"sources"}, exclude_none=True)
    yield from _walk(table, card.sources, "")


def _walk(table: Mapping[str, Any], sources: Any, prefix: str) -> Iterator[tuple[str, float | int, str]]:
    for key, value in table.items():
        source = sources.get(key, "") if isinstance(sources, Mapping) else ""
        if isinstance(value, Mapping):
            yield from _walk(value, source, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", value, str(source)


def device_names() -> list[str]:
    """Shipped device cards."""
    return shipped_names("devices")
