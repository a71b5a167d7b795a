"""Cards: every shipped one loads, states a source for each figure, and cannot be changed."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from opu_sim.cards import (
    CameraCard,
    IdealCard,
    OpuCard,
    device_names,
    figures,
    load_camera_card,
    load_card,
)
from opu_sim.cards.device import MAX_INTENSITY_NOISE
from opu_sim.config import shipped_folder, shipped_names
from opu_sim.errors import ConfigError
from opu_sim.laser import Laser

DEVICES = device_names()
OPUS = [name for name in DEVICES if isinstance(load_card(name), OpuCard)]
CAMERAS = shipped_names("cameras")


def unsourced(card: OpuCard | IdealCard) -> list[str]:
    return [key for key, _, source in figures(card) if not source.strip()]


def stale(model: type[BaseModel], sources: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Sources of what is no field of the model."""
    for key, source in sources.items():
        field = model.model_fields.get(key)
        inner = field.annotation if field else None
        if field is None or isinstance(source, Mapping) != (isinstance(inner, type) and issubclass(inner, BaseModel)):
            yield f"{prefix}{key}"
        elif isinstance(source, Mapping):
            yield from stale(inner, source, f"{prefix}{key}.")  # type: ignore[arg-type]


def test_the_shipped_cards_are_found() -> None:
    assert set(DEVICES) >= {"ideal", "light-in-the-loop", "lighton-aurora"}
    assert set(OPUS) >= {"light-in-the-loop", "lighton-aurora"}
    assert "cmv2000" in CAMERAS


@pytest.mark.parametrize("name", DEVICES)
def test_a_shipped_device_card_loads_under_its_own_name(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.description
    assert load_card(shipped_folder("devices") / f"{name}.toml") == card


@pytest.mark.parametrize("name", CAMERAS)
def test_a_shipped_camera_card_loads_from_name_path_and_mapping(name: str) -> None:
    path = shipped_folder("cameras") / f"{name}.toml"
    card = load_camera_card(name)
    table = tomllib.loads(path.read_text())
    plain = {key: value for key, value in table.items() if key not in ("sources", "description")}
    assert load_camera_card(path) == load_camera_card(plain) == card
    assert card.model_dump(include=set(plain)) == plain


@pytest.mark.parametrize("name", DEVICES)
def test_every_figure_of_a_shipped_device_states_its_source(name: str) -> None:
    card = load_card(name)
    assert unsourced(card) == []
    # All figures were looked at: one for each number that the validated card holds.
    dump = card.model_dump(exclude={"sources"}, exclude_none=True)
    numbers = {
        f"{part}.{key}": value
        for part, table in dump.items()
        if isinstance(table, dict)
        for key, value in table.items()
        if not isinstance(value, str)
    }
    assert {key: value for key, value, _ in figures(card)} == numbers
    if name in OPUS:
        assert len(numbers) > 35


@pytest.mark.parametrize("name", CAMERAS)
def test_every_figure_of_a_shipped_camera_states_its_source(name: str) -> None:
    table = tomllib.loads((shipped_folder("cameras") / f"{name}.toml").read_text())
    sources = table.pop("sources")
    numbers = {key for key, value in table.items() if isinstance(value, int | float)}
    assert len(numbers) >= 14
    assert {key for key, source in sources.items() if isinstance(source, str) and source.strip()} == numbers


def test_the_ideal_device_has_no_figures() -> None:
    assert list(figures(load_card("ideal"))) == []


@pytest.mark.parametrize("name", DEVICES)
def test_no_source_is_stale(name: str) -> None:
    card = load_card(name)
    assert list(stale(type(card), card.sources)) == []


@pytest.mark.parametrize("name", CAMERAS)
def test_no_source_of_a_camera_is_stale(name: str) -> None:
    table = tomllib.loads((shipped_folder("cameras") / f"{name}.toml").read_text())
    assert list(stale(CameraCard, table["sources"])) == []


def test_stale_and_missing_sources_would_be_noticed() -> None:
    card = load_card("lighton-aurora", {"sources.laser.colour": "x", "sources.dmd.rows": " ", "sources.lens": {}})
    assert list(stale(OpuCard, card.sources)) == ["laser.colour", "lens"]
    assert unsourced(card) == ["dmd.rows"]
    card = load_card("lighton-aurora", {"sources.laser": "a catalogue"})
    assert list(stale(OpuCard, card.sources)) == ["laser"]
    assert unsourced(card) == [f"laser.{key}" for key in card.laser.model_dump(exclude_none=True)]  # type: ignore[union-attr]


def test_a_camera_s_own_sources_come_with_the_model_and_the_device_s_word_wins(tmp_path: Path) -> None:
    stated = {key: source for key, _, source in figures(load_card("lighton-aurora"))}
    camera = tomllib.loads((shipped_folder("cameras") / "cmv2000.toml").read_text())["sources"]
    assert stated["camera.rows"] == camera["rows"]
    card = load_card("lighton-aurora", {"camera.watts": 4.0, "sources.camera.watts": "measured"})
    assert ("camera.watts", 4.0, "measured") in figures(card)
    assert ("camera.rows", 1088, camera["rows"]) in figures(card)


@pytest.mark.parametrize("name", DEVICES)
def test_a_card_is_frozen(name: str) -> None:
    card = load_card(name)
    with pytest.raises(ValidationError, match="frozen"):
        card.name = "other"
    with pytest.raises(ValidationError, match="frozen"):
        del card.name
    assert card.name == name


def test_every_part_of_a_card_is_frozen() -> None:
    card = load_card("lighton-aurora")
    before = card.model_dump()
    parts = [value for _, value in card if isinstance(value, BaseModel)]
    assert len(parts) == 8
    for part in parts:
        key = next(iter(type(part).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, key, getattr(part, key))
    assert card.model_dump() == before


def test_derived_figures() -> None:
    card = load_card("lighton-aurora")
    assert isinstance(card, OpuCard)
    assert card.dmd.mirrors == 1_039_680
    camera = card.camera
    assert camera.rows * camera.columns == 2_228_224
    assert camera.max_dn == 255
    assert camera.gain == pytest.approx(255 / 13500)
    assert camera.read_out_s(0) == pytest.approx(17.2e-6)
    assert camera.read_out_s(1088) - camera.read_out_s(88) == pytest.approx(1000 * 2.6875e-6)


def test_the_gain_fills_the_converter_unless_the_card_states_one() -> None:
    table = load_camera_card("cmv2000").model_dump()
    for bits, offset in ((1, 0.0), (8, 16.0), (12, 100.0), (16, 0.0)):
        camera = CameraCard(**{**table, "adc_bits": bits, "offset_dn": offset})
        assert camera.max_dn == 2**bits - 1
        assert camera.gain * camera.full_well_e + offset == pytest.approx(camera.max_dn)
    assert CameraCard(**{**table, "gain_dn_per_e": 0.5, "adc_bits": 12, "offset_dn": 16.0}).gain == 0.5


def test_a_region_of_interest_cannot_exceed_the_sensor() -> None:
    table = load_camera_card("cmv2000").model_dump()
    assert CameraCard(**{**table, "roi_rows": 1088}).roi_rows == 1088
    with pytest.raises(ConfigError, match=r"^camera card: roi_rows = 1089: must be <= rows = 1088$"):
        load_camera_card({**table, "roi_rows": 1089})


def test_two_loads_share_nothing() -> None:
    first = load_card("lighton-aurora")
    first.sources["laser"]["power_mw"] = "spoilt"
    assert load_card("lighton-aurora").sources["laser"]["power_mw"] != "spoilt"


@pytest.mark.parametrize("offset", [255.0, 300.0])
def test_an_offset_above_the_converter_s_range_is_refused(offset: float) -> None:
    table = load_camera_card("cmv2000").model_dump()
    assert load_camera_card({**table, "offset_dn": 254.0}).gain > 0
    complaint = rf"^camera card: offset_dn = {offset}: must be < 255, the largest code of 8 bits$"
    with pytest.raises(ConfigError, match=complaint):
        load_camera_card({**table, "offset_dn": offset})
    with pytest.raises(ConfigError, match=rf"\.toml: camera\.offset_dn = {offset}: must be < 255"):
        load_card("lighton-aurora", {"camera.offset_dn": offset})


def test_a_source_table_that_is_a_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sources\.laser"):
        load_card("lighton-aurora", {"sources.laser": 3})
    with pytest.raises(ConfigError, match=r"sources\.dmd\.rows = 3: must be a text$"):
        load_card("lighton-aurora", {"sources.dmd.rows": 3})


def test_light_that_flickers_below_zero_is_refused() -> None:
    # sqrt(RIN / (2 t)): 0.707 at -60 dB/Hz and 1 us, 0.035 at 400 us.
    noisy = {"laser.rin_db_per_hz": -60.0}
    card = load_card("lighton-aurora", noisy)
    assert isinstance(card, OpuCard)
    assert Laser(card.laser).intensity_noise(card.timing.exposure_us * 1e-6) < MAX_INTENSITY_NOISE
    for exposure_us in (1.0, 49.0, 1e-320):
        with pytest.raises(ConfigError) as caught:
            load_card("lighton-aurora", {**noisy, "timing.exposure_us": exposure_us})
        assert str(caught.value).endswith(
            f"lighton-aurora.toml: laser.rin_db_per_hz = -60.0 with timing.exposure_us = {exposure_us!r}: "
            "relative intensity noise of one exposure must be < 0.1"
        )
    load_card("lighton-aurora", {**noisy, "timing.exposure_us": 51.0})
