"""Cards from TOML files, with overrides; figures and their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from opu_sim.cards.camera import CameraCard, CameraFile
from opu_sim.cards.device import DeviceCard, IdealCard, OpuCard
from opu_sim.cards.microring import MicroringCard
from opu_sim.config import Table, at_fault, find_toml, merged, nested, read_toml, shipped_names, shown, validated
from opu_sim.errors import ConfigError

_KINDS: dict[str, type[DeviceCard]] = {"opu": OpuCard, "microring": MicroringCard, "ideal": IdealCard}


def load_card(
    name: str | Path, overrides: Mapping[str, Any] | None = None, set_by: Mapping[str, str] | None = None
) -> DeviceCard:
    """Card of a shipped device or of a TOML file, with dotted overrides such as {"camera.adc_bits": 6}.

    `camera.model` is the name of a shipped camera or the path of a camera's TOML file; a relative path is
    looked for in the folder of the device's file, then in the working directory. What else `[camera]` states
    is laid over that file. `set_by` says what set the overrides, for messages; see `opu_sim.config.at_fault`.

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
        base, base_sources = _camera_table(_camera_path(camera["model"], path, set_by))
        table["camera"] = merged(base, camera)
        if isinstance(sources, Mapping):
            table["sources"] = merged({"camera": base_sources}, sources)
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise at_fault(f"kind = {shown(kind)}: must be one of {', '.join(map(repr, _KINDS))}", str(path), set_by)
    return validated(_KINDS[kind], table, str(path), set_by)


def _camera_path(model: str, device: Path, set_by: Mapping[str, str] | None) -> Path:
    try:
        return find_toml("cameras", model, beside=device.parent)
    except ConfigError as error:
        reason = str(error).removeprefix(f"{model!r}: ")
        raise at_fault(f"camera.model = {shown(model)}: {reason}", str(device), set_by) from None


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
