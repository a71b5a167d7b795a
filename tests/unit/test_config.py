"""Configuration: TOML to validated tables, overrides, and the one line that a mistake costs."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from opu_sim.cards import OpuCard, load_camera_card, load_card
from opu_sim.config import (
    Section,
    find_toml,
    merged,
    nested,
    parse_assignment,
    read_toml,
    shipped_folder,
    shipped_names,
    validated,
)
from opu_sim.errors import ConfigError

AURORA = shipped_folder("devices") / "lighton-aurora.toml"
CMV2000 = shipped_folder("cameras") / "cmv2000.toml"


def refusal(call: Callable[..., Any], *args: Any) -> str:
    """Text of the ConfigError that the call raises; always one line."""
    with pytest.raises(ConfigError) as caught:
        call(*args)
    text = str(caught.value)
    assert text
    assert text.splitlines() == [text]
    return text


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def aurora_with(folder: Path, old: str, new: str) -> Path:
    """A user's copy of the shipped card with one change."""
    text = AURORA.read_text()
    assert text.count(old) == 1
    return write(folder / "mine.toml", text.replace(old, new))


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root reads everything, so become nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        # unknown keys: a close name is suggested, else all of the table's are listed
        ("camera.adc_bit", 6, "camera.adc_bit: unknown key; did you mean 'adc_bits'?"),
        ("camra.adc_bits", 6, "camra: unknown key; did you mean 'camera'?"),
        (
            "laser.zzzzz",
            1,
            "laser.zzzzz: unknown key; allowed: linewidth_mhz, power_mw, rin_db_per_hz, "
            "wall_plug_efficiency, wavelength_nm",
        ),
        (
            "zzzzz",
            1,
            "zzzzz: unknown key; allowed: camera, description, dmd, faults, fidelity, kind, laser, medium, name, "
            "power, recovery, sources, timing",
        ),
        # wrong types: nothing is converted
        ("camera.adc_bits", True, "camera.adc_bits = True: must be an integer >= 1 and <= 16"),
        ("camera.adc_bits", 6.0, "camera.adc_bits = 6.0: must be an integer >= 1 and <= 16"),
        ("camera.adc_bits", "6", "camera.adc_bits = '6': must be an integer >= 1 and <= 16"),
        ("camera.adc_bits", [6], "camera.adc_bits = [6]: must be an integer >= 1 and <= 16"),
        ("laser.power_mw", "100", "laser.power_mw = '100': must be a number > 0"),
        ("laser.power_mw", True, "laser.power_mw = True: must be a number > 0"),
        ("dmd.columns", {"a": 1}, "dmd.columns = {'a': 1}: must be an integer >= 1"),
        ("name", 3, "name = 3: must be a text"),
        (
            "recovery.method",
            "magic",
            "recovery.method = 'magic': must be one of 'anchor', 'off-axis', 'phase-stepping'",
        ),
        # out of range
        ("camera.adc_bits", 0, "camera.adc_bits = 0: must be an integer >= 1 and <= 16"),
        ("camera.adc_bits", 17, "camera.adc_bits = 17: must be an integer >= 1 and <= 16"),
        ("camera.prnu", 0.2, "camera.prnu = 0.2: must be a number >= 0 and <= 0.1"),
        ("camera.read_noise_e", -1e-9, "camera.read_noise_e = -1e-09: must be a number >= 0"),
        ("laser.power_mw", 0.0, "laser.power_mw = 0.0: must be a number > 0"),
        ("dmd.fill_factor", 1.01, "dmd.fill_factor = 1.01: must be a number > 0 and <= 1"),
        ("dmd.bit_planes", 13, "dmd.bit_planes = 13: must be an integer >= 1 and <= 12"),
        ("camera.roi_rows", 1089, "camera.roi_rows = 1089: must be <= rows = 1088"),
        # not numbers
        ("laser.power_mw", float("nan"), "laser.power_mw = nan: must be a finite number > 0"),
        ("laser.power_mw", float("inf"), "laser.power_mw = inf: must be a finite number > 0"),
        ("laser.power_mw", float("-inf"), "laser.power_mw = -inf: must be a finite number > 0"),
        # a value that holds a line break stays on one line
        ("dmd.rows", "a\nb", "dmd.rows = 'a\\nb': must be an integer >= 1"),
    ],
)
def test_a_bad_override_is_refused_with_file_key_value_and_what_is_allowed(
    key: str, value: Any, complaint: str
) -> None:
    assert refusal(load_card, "lighton-aurora", {key: value}) == f"{AURORA}: {complaint}"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("camera.roi_rows", 0, r"^must be an integer >= 1$"),
        ("camera.roi_rows", "x", r"^must be an integer >= 1$"),
        ("camera.gain_dn_per_e", 0.0, r"^must be a number > 0$"),
        ("laser.rin_db_per_hz", -201.0, r"^must be a number >= -200 and <= -60$"),
        ("laser.rin_db_per_hz", -59.0, r"^must be a number >= -200 and <= -60$"),
        ("laser.rin_db_per_hz", "quiet", r"^must be a number >= -200 and <= -60$"),
        ("laser.rin_db_per_hz", float("nan"), r"^must be a finite number >= -200 and <= -60$"),
        ("dmd.contrast", 9.9, r"^must be a number >= 10$"),
        ("camera.model", 3, r"^must be a text$"),
        ("dmd", 3, r"^must be a table$"),
        ("camera", 3, r"^must be a table$"),
        ("laser", "red", r"^must be a table$"),
    ],
)
def test_keys_that_may_be_left_out_and_whole_tables_are_checked_too(key: str, value: Any, allowed: str) -> None:
    text = refusal(load_card, "lighton-aurora", {key: value})
    start = f"{AURORA}: {key} = {value!r}: "
    assert text.startswith(start)
    assert re.search(allowed, text.removeprefix(start))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("camera.adc_bits", 1),
        ("camera.adc_bits", 16),
        ("camera.prnu", 0.0),
        ("camera.prnu", 0.1),
        ("dmd.fill_factor", 1.0),
        ("dmd.bit_planes", 12),
        ("dmd.contrast", 10.0),
        ("camera.roi_rows", 1),
        ("camera.roi_rows", 1088),
        ("laser.power_mw", 5),  # TOML writes five milliwatts as 5: an integer is a number
    ],
)
def test_the_ends_of_each_range_are_allowed(key: str, value: float) -> None:
    part, name = key.split(".")
    assert getattr(getattr(load_card("lighton-aurora", {key: value}), part), name) == value


def test_a_missing_key_is_named_with_what_it_must_be(tmp_path: Path) -> None:
    path = aurora_with(tmp_path, "power_mw = 100.0\n", "")
    assert refusal(load_card, path) == f"{path}: laser.power_mw: missing; must be a number > 0"


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    text = AURORA.read_text().replace("[timing]", "[timings]")
    path = write(tmp_path / "mine.toml", text)
    # The misspelt table is the cause, so it is what is reported, not that `timing` is missing.
    assert refusal(load_card, path) == f"{path}: timings: unknown key; did you mean 'timing'?"
    start, end = AURORA.read_text().split("[power]\n")
    path = write(tmp_path / "mine.toml", start + end[end.index("[sources.power]") :])
    assert refusal(load_card, path) == f"{path}: power: missing; must be a table"


def test_an_empty_file_lacks_its_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.toml", "")
    assert refusal(load_card, path).startswith(f"{path}: kind = None: must be one of 'opu', 'microring', 'ideal'")


@pytest.mark.parametrize("kind", [3, "opus", "a\nb", True])
def test_an_unknown_kind_of_device_is_refused(kind: Any) -> None:
    text = refusal(load_card, "lighton-aurora", {"kind": kind})
    assert text.startswith(f"{AURORA}: kind = {kind!r}: must be one of 'opu', 'microring', 'ideal'")


def test_a_mistake_in_the_file_itself_is_found_like_one_in_an_override(tmp_path: Path) -> None:
    path = aurora_with(tmp_path, "exposure_us = 400.0", "exposure_us = nan")
    assert refusal(load_card, path) == f"{path}: timing.exposure_us = nan: must be a finite number > 0"
    assert load_card(path, {"timing.exposure_us": 300.0}).timing.exposure_us == 300.0


@pytest.mark.parametrize("load", [load_card, load_camera_card])
def test_a_missing_file_is_named(load: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "absent.toml"
    assert refusal(load, path) == f"{path}: no such file"
    (tmp_path / "folder.toml").mkdir()
    assert refusal(load, tmp_path / "folder.toml") == f"{tmp_path / 'folder.toml'}: no such file"


def test_a_name_that_is_not_shipped_lists_what_is() -> None:
    assert refusal(load_card, "aurora") == (
        f"'aurora': no such device; shipped are {', '.join(shipped_names('devices'))}; or give the path of a .toml file"
    )
    assert refusal(load_camera_card, "webcam") == (
        f"'webcam': no such camera; shipped are {', '.join(shipped_names('cameras'))}; or give the path of a .toml file"
    )
    assert "'a\\nb': no such device" in refusal(load_card, "a\nb")


def test_shipped_names_and_their_files_agree() -> None:
    assert {"ideal", "light-in-the-loop", "lighton-aurora"} <= set(shipped_names("devices"))
    assert "cmv2000" in shipped_names("cameras")
    for kind in ("devices", "cameras"):
        for name in shipped_names(kind):
            assert find_toml(kind, name) == shipped_folder(kind) / f"{name}.toml"
            assert find_toml(kind, name).is_file()


@pytest.mark.parametrize("text", ["kind = \n", "[laser\n", "a = 1\na = 2\n", 'kind = "x\0"\n'])
def test_malformed_toml_is_refused_with_the_place(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", text)
    said = refusal(load_card, path)
    assert said.startswith(f"{path}: not valid TOML: ")
    assert re.search(r"\(at (line \d+, column \d+|end of document)\)$", said)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", AURORA.read_bytes().replace(b"LightOn appliance", b"\xff\xfe appliance"))
    assert refusal(load_card, path).startswith(f"{path}: not valid TOML: 'utf-8' codec can't decode byte 0xff")
    path = write(tmp_path / "mine.toml", AURORA.read_bytes().replace(b"LightOn appliance", "µ appliance".encode()))
    assert load_card(path).description.startswith("µ appliance")


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.toml", AURORA.read_bytes())
    # Relative to the working directory, so that a closed folder further up plays no part.
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with without_privileges():
        assert load_card("mine.toml").name == "lighton-aurora"
    path.chmod(0)
    with without_privileges():
        assert refusal(load_card, "mine.toml") == "mine.toml: cannot be read: Permission denied"
    assert refusal(read_toml, tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("trainer.epochs=5", "trainer.epochs", 5),
        ("a=1e-3", "a", 1e-3),
        ("a=-0.5", "a", -0.5),
        ("a=true", "a", True),
        ("a=[64, 64]", "a", [64, 64]),
        ("a={b = 1}", "a", {"b": 1}),
        ("a='5'", "a", "5"),
        ("a=adam", "a", "adam"),
        ("a = adam ", "a", "adam"),
        ("a=some/path.toml", "a", "some/path.toml"),
        ("a=True", "a", "True"),
        ("a=x=y", "a", "x=y"),
        ('a=""', "a", ""),
        ("device.camera.adc_bits=6", "device.camera.adc_bits", 6),
    ],
)
def test_an_assignment_is_a_key_and_a_toml_value_or_a_bare_word(text: str, key: str, value: Any) -> None:
    assert parse_assignment(text) == (key, value)
    assert type(parse_assignment(text)[1]) is type(value)


@pytest.mark.parametrize("text", ["epochs", "", "=5", "  =5", "a b", "a\nb", "a=", "a= "])
def test_an_assignment_without_key_equals_sign_or_value_is_refused(text: str) -> None:
    assert refusal(parse_assignment, text) == (f"--set {text!r}: must be KEY=VALUE, for example trainer.epochs=5")


@pytest.mark.parametrize("text", ["a=1\nb=2", "a=1\rb=2", "a\nb=1", 'a="""x\ny"""'])
def test_an_assignment_of_more_than_one_line_is_refused(text: str) -> None:
    assert refusal(parse_assignment, text) == f"--set {text!r}: must be one line"
    assert parse_assignment("a=1\n") == ("a", 1)


def test_nested_turns_dotted_keys_into_tables() -> None:
    assert nested({}) == {}
    assert nested({"a": 1}) == {"a": 1}
    assert nested({"camera.adc_bits": 6}) == {"camera": {"adc_bits": 6}}
    assert nested({"a.b.c": 1, "a.b.d": 2, "a.e": 3, "f": 4}) == {
        "a": {"b": {"c": 1, "d": 2}, "e": 3},
        "f": 4,
    }
    assert nested({"a": {"b": 1}, "a.c": 2}) == {"a": {"b": 1, "c": 2}}


def test_nested_refuses_a_value_that_is_also_a_table() -> None:
    said = "camera: set to a value and used as a table"
    assert refusal(nested, {"camera": 3, "camera.adc_bits": 6}) == said
    assert refusal(nested, {"camera.adc_bits": 6, "camera": 3}) == said
    assert refusal(nested, {"a.b": 1, "a": {"b": 2}}) == "a.b: set twice"


def test_merged_lays_one_table_over_another_and_changes_neither() -> None:
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": 5}
    over = {"a": {"c": {"d": 3, "g": 4}}, "e": [9], "f": {"h": 6}, "i": 7}
    expected = {"a": {"b": 1, "c": {"d": 3, "g": 4}}, "e": [9], "f": {"h": 6}, "i": 7}
    assert merged(base, over) == expected
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": 5}
    assert over == {"a": {"c": {"d": 3, "g": 4}}, "e": [9], "f": {"h": 6}, "i": 7}
    assert merged(base, {}) == base
    assert merged({}, over) == over


def test_overriding_the_camera_model_swaps_the_sensor(tmp_path: Path) -> None:
    text = CMV2000.read_text()
    for old, new in (("rows = 1088\n", "rows = 500\n"), ("read_noise_e = 13.0\n", "read_noise_e = 2.5\n")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = write(tmp_path / "small.toml", text.replace('"CMOSIS CMV2000 data sheet"', '"hand-made"'))

    shipped = load_card("lighton-aurora").camera
    assert (shipped.model, shipped.rows, shipped.read_noise_e) == ("cmv2000", 1088, 13.0)
    card = load_card("lighton-aurora", {"camera.model": str(path)})
    assert (card.camera.model, card.camera.rows, card.camera.read_noise_e) == (str(path), 500, 2.5)
    # What the device card itself says of its camera stays, and so do the sources of either.
    assert card.camera.roi_rows == shipped.roi_rows == 178
    assert card.sources["camera"]["rows"] == "hand-made"
    assert card.sources["camera"]["roi_rows"] == load_card("lighton-aurora").sources["camera"]["roi_rows"]
    # A single figure on top of the swapped sensor.
    both = load_card("lighton-aurora", {"camera.model": str(path), "camera.rows": 400})
    assert (both.camera.rows, both.camera.read_noise_e) == (400, 2.5)


def test_a_camera_that_does_not_exist_is_refused() -> None:
    text = refusal(load_card, "lighton-aurora", {"camera.model": "webcam"})
    assert f"no such camera; shipped are {', '.join(shipped_names('cameras'))}" in text
    assert "'webcam'" in text
    assert "absent.toml: no such file" in refusal(load_card, "lighton-aurora", {"camera.model": "absent.toml"})


def test_an_unknown_key_in_a_camera_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "cam.toml", CMV2000.read_text().replace("watts = 3.0", "watt = 3.0"))
    said = refusal(load_card, "lighton-aurora", {"camera.model": str(path)})
    assert said == refusal(load_camera_card, path) == f"{path}: watt: unknown key; did you mean 'watts'?"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({}, "camera card: rows: missing; must be an integer >= 1"),
        ({"rows": 3.5}, "camera card: rows = 3.5: must be an integer >= 1"),
        ({"row": 3}, "camera card: row: unknown key; did you mean 'rows'?"),
    ],
)
def test_a_camera_given_as_a_mapping_is_checked(table: dict[str, Any], complaint: str) -> None:
    assert refusal(load_camera_card, table) == complaint


@pytest.mark.parametrize(
    "overrides",
    [
        {"kind": [1]},
        {"kind": {}},
        {"sources": 3},
    ],
)
def test_a_wrong_type_at_the_top_of_a_card_is_refused(overrides: dict[str, Any]) -> None:
    (key,) = overrides
    assert refusal(load_card, "lighton-aurora", overrides).startswith(f"{AURORA}: {key} = {overrides[key]!r}: ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a = " + "[" * 2000 + "]" * 2000, id="deep"),
        pytest.param("a = " + "9" * 5000, id="long-integer"),
    ],
)
def test_toml_beyond_the_parser_is_refused_like_malformed_toml(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", text)
    assert refusal(load_card, path).startswith(f"{path}: ")
    assert refusal(parse_assignment, text).startswith("--set a: ")


def test_a_path_that_the_system_refuses_is_refused_in_one_line() -> None:
    assert refusal(load_card, "a" * 300 + ".toml").startswith("a" * 300 + ".toml: ")


def test_a_line_break_in_a_key_does_not_break_the_message() -> None:
    refusal(load_card, "lighton-aurora", {"a\nb": 1})


def test_a_fault_in_a_camera_file_names_that_file(tmp_path: Path) -> None:
    path = write(tmp_path / "cam.toml", CMV2000.read_text().replace("rows = 1088", 'rows = "many"'))
    assert str(path) in refusal(load_card, "lighton-aurora", {"camera.model": str(path)})


def test_a_wrong_camera_model_names_file_and_key(tmp_path: Path) -> None:
    path = aurora_with(tmp_path, 'model = "cmv2000"', 'model = "webcam"')
    assert refusal(load_card, path).startswith(f"{path}: camera.model = 'webcam': ")


def test_nested_leaves_its_argument_alone() -> None:
    inner = {"b": 1}
    nested({"a": inner, "a.c": 2})
    assert inner == {"b": 1}


@pytest.mark.parametrize(
    "dotted",
    [
        pytest.param({"a.b": 1, "a": 2}, id="value-after"),
        pytest.param({"a.b": 1, "a": {"c": 2}}, id="table-after"),
    ],
)
def test_nested_does_not_depend_on_the_order_of_its_keys(dotted: dict[str, Any]) -> None:
    backwards = dict(reversed(dotted.items()))
    try:
        expected = nested({k: dict(v) if isinstance(v, dict) else v for k, v in backwards.items()})
    except ConfigError:
        refusal(nested, dotted)
    else:
        assert nested(dotted) == expected


def test_a_key_that_resembles_none_gets_no_misleading_hint() -> None:
    ideal = shipped_folder("devices") / "ideal.toml"
    assert refusal(load_card, "ideal", {"camera.adc_bits": 6}) == (
        f"{ideal}: camera: unknown key; allowed: description, kind, name, sources"
    )


@pytest.mark.parametrize("bits", [np.int64(6), np.uint8(6)])
def test_numpy_scalars_are_taken_as_the_numbers_that_they_are(bits: np.integer) -> None:
    card = load_card("lighton-aurora", {"camera.adc_bits": bits, "laser.power_mw": np.float32(50.0)})
    assert isinstance(card, OpuCard)
    assert type(card.camera.adc_bits) is int
    assert (card.camera.adc_bits, card.laser.power_mw) == (6, 50.0)
    text = refusal(load_card, "lighton-aurora", {"camera.adc_bits": np.bool_(True)})
    assert text == f"{AURORA}: camera.adc_bits = True: must be an integer >= 1 and <= 16"


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", b"\xef\xbb\xbf" + AURORA.read_bytes())
    assert refusal(load_card, path) == (
        f"{path}: not valid TOML: begins with a byte order mark; must be saved as UTF-8 without one"
    )


def test_line_breaks_of_paths_are_escaped(tmp_path: Path) -> None:
    assert refusal(load_card, "a\nb.toml") == r"a\nb.toml: no such file"
    path = write(tmp_path / "a\nb.toml", "")
    assert refusal(load_card, path).startswith(rf"{tmp_path}/a\nb.toml: kind = None: ")


def test_a_value_too_large_to_print_is_still_refused_in_a_short_line(tmp_path: Path) -> None:
    path = aurora_with(tmp_path, "bit_planes = 6\n", f"bit_planes = 0x{'f' * 9000}\n")
    assert refusal(load_card, path) == (
        f"{path}: dmd.bit_planes = (int too large to show): must be an integer >= 1 and <= 12"
    )
    said = refusal(load_card, "lighton-aurora", {"dmd.bit_planes": "x" * 9000})
    assert said.endswith("xxx...: must be an integer >= 1 and <= 12")
    assert len(said) < 500


def test_a_camera_file_is_looked_for_beside_the_card_and_then_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, cards = tmp_path / "here", tmp_path / "cards"
    here.mkdir()
    cards.mkdir()
    monkeypatch.chdir(here)
    path = aurora_with(cards, 'model = "cmv2000"', 'model = "cam.toml"')
    assert refusal(load_card, path) == f"{path}: camera.model = 'cam.toml': cam.toml: no such file"
    for folder, watts in ((here, 4.0), (cards, 5.0)):
        write(folder / "cam.toml", CMV2000.read_text().replace("watts = 3.0", f"watts = {watts}"))
        card = load_card(path)
        assert isinstance(card, OpuCard)
        assert card.camera.watts == watts


def test_sources_of_a_camera_file_are_checked(tmp_path: Path) -> None:
    start = CMV2000.read_text().split("[sources]")[0]
    for sources, complaint in (
        ("sources = 3", "sources = 3: must be a table"),
        ("sources.rows = 3", "sources.rows = 3: must be a text or a table of texts"),
    ):
        path = write(tmp_path / "cam.toml", f"{start}{sources}\n")
        assert refusal(load_camera_card, path) == f"{path}: {complaint}"
        assert refusal(load_card, "lighton-aurora", {"camera.model": str(path)}) == f"{path}: {complaint}"


class Layers(Section):
    """A table with a list."""

    widths: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


@pytest.mark.parametrize(
    ("widths", "complaint"),
    [
        ([], "widths = []: must be a list of length >= 1"),
        (3, "widths = 3: must be a list of length >= 1"),
        ([4, 0], "widths.1 = 0: must be an integer >= 1"),
    ],
)
def test_lists_and_their_items_are_checked(widths: Any, complaint: str) -> None:
    assert refusal(validated, Layers, {"widths": widths}, "here") == f"here: {complaint}"
