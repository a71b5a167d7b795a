"""Device and camera cards: what a data sheet would say of each part, frozen and validated.

A card is a TOML file. `[sources]` holds, for every figure, where it comes from or the word `assumed`.
Every dimensional key ends in its unit. All of a card is frozen but the texts of `sources`, which are a plain
dictionary that decides no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from opu_sim.config import (
    Section,
    Table,
    find_toml,
    merged,
    nested,
    read_toml,
    refused,
    shipped_names,
    shown,
    validated,
)
from opu_sim.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def _texts(source: Any) -> Any:
    if isinstance(source, Mapping):
        for key, text in source.items():
            if not isinstance(text, str):
                raise ValueError(f"{key} = {shown(text)}: must be a text")
    elif not isinstance(source, str):
        raise ValueError("must be a text or a table of texts")
    return source


Sources = dict[str, Annotated[Any, AfterValidator(_texts)]]

MAX_INTENSITY_NOISE = 0.1
"""Largest relative standard deviation of the light of one exposure: far from negative energies."""


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


class RecoveryCard(Section):
    """How a linear projection is recovered from intensities."""

    method: Literal["anchor", "off-axis"]
    calibration_frames: Annotated[int, Field(ge=1, le=10_000)]
    """Frames averaged for each constant pattern when the device opens."""
    anchor_floor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """anchor: pixels darker than this share of the anchor's mean brightness are divided by the floor."""
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
    sources: Sources = Field(default_factory=dict)

    @model_validator(mode="after")
    def _light_stays_positive(self) -> OpuCard:
        rin, exposure_us = self.laser.rin_db_per_hz, self.timing.exposure_us
        # Relative variance RIN / (2 t), as in `Laser.intensity_noise`; no division, as t may round to 0.
        limit = MAX_INTENSITY_NOISE**2 * 2.0 * exposure_us * 1e-6
        if rin is not None and 10.0 ** (rin / 10.0) >= limit:
            raise ValueError(
                f"laser.rin_db_per_hz = {rin!r} with timing.exposure_us = {exposure_us!r}: "
                f"relative intensity noise of one exposure must be < {MAX_INTENSITY_NOISE}"
            )
        return self


class IdealCard(Section):
    """A digital reference: the same interface, no physics, no time, no power."""

    kind: Literal["ideal"]
    name: str
    description: str
    sources: Sources = Field(default_factory=dict)


DeviceCard = OpuCard | IdealCard
_KINDS: dict[str, type[OpuCard] | type[IdealCard]] = {"opu": OpuCard, "ideal": IdealCard}


def load_card(name: str | Path, overrides: Mapping[str, Any] | None = None) -> DeviceCard:
    """Card of a shipped device or of a TOML file, with dotted overrides such as {"camera.adc_bits": 6}.

    `camera.model` is the name of a shipped camera or the path of a camera's TOML file; a relative path is
    looked for in the folder of the device's file, then in the working directory. What else `[camera]` states
    is laid over that file.

    Raises
    ------
    ConfigError
        Missing file, malformed TOML, unknown key, wrong type, value out of range: one line, with the file at
        fault.
    """
    path = find_toml("devices", name)
    plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in (overrides or {}).items()}
    table = merged(read_toml(path), nested(plain))
    camera, sources = table.get("camera"), table.get("sources", {})
    if isinstance(camera, Mapping) and isinstance(camera.get("model"), str):
        base, base_sources = _camera_table(_camera_path(camera["model"], path))
        table["camera"] = merged(base, camera)
        if isinstance(sources, Mapping):
            table["sources"] = merged({"camera": base_sources}, sources)
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise refused(f"{path}: kind = {shown(kind)}: must be one of {', '.join(map(repr, _KINDS))}")
    return validated(_KINDS[kind], table, str(path))


def _camera_path(model: str, device: Path) -> Path:
    try:
        return find_toml("cameras", model, beside=device.parent)
    except ConfigError as error:
        reason = str(error).removeprefix(f"{model!r}: ")
        raise refused(f"{device}: camera.model = {shown(model)}: {reason}") from None


def _camera_table(path: Path) -> tuple[Table, Table]:
    """Figures and sources of a camera's file, valid by itself, so that a fault is put down to this file."""
    table = read_toml(path)
    validated(CameraFile, table, str(path))
    table.pop("description", None)
    sources = table.pop("sources", {})
    return table, sources


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
    return validated(CameraCard, _camera_table(path)[0], str(path))


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
