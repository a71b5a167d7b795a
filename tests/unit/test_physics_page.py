"""The page of the physics says what there is: parts of a section, keys, tests, links, the encoding table."""

import ast
import re
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from opu_sim.cards import MicroringCard, OpuCard
from opu_sim.dmd.encoding_table import EncodingFigures, encoding_table

ROOT = Path(__file__).parents[2]
PAGE_PATH = ROOT / "opu_sim" / "PHYSICS.md"
PAGE = PAGE_PATH.read_text(encoding="utf-8")
PARTS = ("Formula", "Source", "Key", "Test")

SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for card in (OpuCard, MicroringCard)
    for name, field in card.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
KEYS = {f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields} | {"fidelity"}

KEY = re.compile(rf"`((?:{'|'.join(SECTIONS)})\.\w+|fidelity)(?: = ([^`]+))?`")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def sections(page: str) -> dict[str, dict[str, str]]:
    """Heading of each effect -> part -> its text."""
    found = {}
    for block in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        heading, _, body = block.partition("\n")
        body = re.split(r"^## ", body, flags=re.MULTILINE)[0]
        bullets = re.split(r"^- \*\*(\w+)\*\* ", body, flags=re.MULTILINE)[1:]
        found[heading] = {name: text.strip() for name, text in zip(bullets[0::2], bullets[1::2], strict=True)}
    return found


def incomplete(page: str) -> list[str]:
    """Sections without their four parts in their order, a number at most after them, or with an empty one."""
    return [
        heading
        for heading, parts in sections(page).items()
        if tuple(parts)[:4] != PARTS or tuple(parts)[4:] not in ((), ("Number",)) or not all(parts.values())
    ]


def without(page: str, part: str, what: Callable[[str], bool]) -> list[str]:
    """Sections in whose `part` there is nothing of the kind."""
    return [heading for heading, parts in sections(page).items() if not what(parts[part])]


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def missing_tests(page: str) -> list[str]:
    """Tests that are named and are not there."""
    named = set(TEST.findall(page))
    return [
        f"{path}::{name}"
        for path, name in sorted(named)
        if not (ROOT / path).is_file() or (name and not (name.startswith("test_") and name in functions(path)))
    ]


def wrong_keys(page: str) -> list[str]:
    """Keys that no card has, and values that theirs do not take."""
    wrong = []
    for key, value in sorted(set(KEY.findall(page))):
        if key not in KEYS:
            wrong.append(key)
        elif value and not takes(key, tomllib.loads(f"value = {value}")["value"]):
            wrong.append(f"{key} = {value}")
    return wrong


def takes(key: str, value: Any) -> bool:
    section, _, name = key.rpartition(".")
    field = (SECTIONS[section] if section else OpuCard).model_fields[name]
    kind: Any = Annotated[field.annotation, field]
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def unnamed_keys(page: str) -> set[str]:
    """Keys of the cards that the `Key` parts leave out."""
    named = {key for parts in sections(page).values() for key, _ in KEY.findall(parts["Key"])}
    return KEYS - named


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading: lower case, punctuation dropped, spaces to hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(page: str) -> list[str]:
    return re.findall(r"^###? (.+)$", page, flags=re.MULTILINE)


def broken_links(page: str) -> list[str]:
    anchors = {anchor(heading) for heading in headings(page)}
    return [
        target
        for target in LINK.findall(page)
        if not (target[1:] in anchors if target.startswith("#") else (PAGE_PATH.parent / target).is_file())
    ]


def rows(figures: list[EncodingFigures]) -> str:
    """The encoding table as the page prints it."""

    def share(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    lines = []
    for line in figures:
        ternary, _, real = line.frames_per_vector.partition(", real ")
        cells = [
            line.name,
            str(line.mirrors_per_value),
            f"{ternary}, {real or ternary}",
            share(line.light, 3),
            share(line.real_error, 4),
            share(line.fidelity, 3),
            share(line.target_light, 4),
        ]
        lines.append(f"| {' | '.join(cell or '—' for cell in cells)} |")
    return "\n".join(lines)


def table(page: str) -> str:
    """Rows of the encoding table, heading and rule left out."""
    found = re.search(r"<!-- encoding table -->\n.*\n\|[ -|]+\|\n((?:\|.*\n)+)<!-- end -->", page)
    assert found is not None
    return found[1].rstrip("\n")


def test_every_section_has_its_parts() -> None:
    assert len(sections(PAGE)) > 60
    assert incomplete(PAGE) == []


def test_every_section_names_a_test_a_module_and_a_key_or_none() -> None:
    assert without(PAGE, "Test", lambda text: any(name for _, name in TEST.findall(text))) == []
    assert without(PAGE, "Formula", lambda text: ".py)" in text) == []
    assert without(PAGE, "Key", lambda text: bool(KEY.search(text) or re.match("none|all", text))) == []


def test_every_test_exists() -> None:
    assert len(TEST.findall(PAGE)) > 150
    assert missing_tests(PAGE) == []


def test_every_key_exists() -> None:
    assert wrong_keys(PAGE) == []


def test_every_key_of_a_card_is_named() -> None:
    """The imperfections, which `test_single_imperfections` switches one by one, and all others."""
    assert unnamed_keys(PAGE) == set()


def test_links_lead_somewhere_and_the_contents_name_every_heading_once() -> None:
    assert broken_links(PAGE) == []
    contents = PAGE.split("## Contents")[1].split("\n## ")[0]
    listed = [target[1:] for target in LINK.findall(contents)]
    assert listed == [anchor(heading) for heading in headings(PAGE) if heading != "Contents"]
    assert len(set(listed)) == len(listed)


def test_the_encoding_table_is_the_simulator_s() -> None:
    assert table(PAGE) == rows(encoding_table())


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("- **Source** Assumed.\n", "", incomplete),
        ("`dmd.temperature_control`", "`temperature_control`", unnamed_keys),
        ("`camera.dead_pixels`", "`camera.deaf_pixels`", wrong_keys),
        ('`dmd.encoding = "lee"`', '`dmd.encoding = "leeward"`', wrong_keys),
        ("`recovery.anchors = 1`", "`recovery.anchors = 0`", wrong_keys),
        ("test_laser.py::test_energy_of_the_frames", "test_laser.py::test_energy_of_the_seas", missing_tests),
        ("test_laser.py::test_photons_and_watts", "test_lasers.py::test_photons_and_watts", missing_tests),
        ("test_laser.py::test_photons_and_watts", "test_laser.py::laser", missing_tests),  # there, but no test
        ("(#stuck-mirrors)", "(#unstuck-mirrors)", broken_links),
        ("(dmd/blaze.py)", "(dmd/blase.py)", broken_links),
    ],
)
def test_what_is_made_up_is_caught(old: str, new: str, found: Callable[[str], Any]) -> None:
    """Control."""
    assert old in PAGE
    assert found(PAGE.replace(old, new))


def test_another_encoding_table_is_told_apart() -> None:
    """Control: coarser planes, and another target."""
    assert table(PAGE) != rows(encoding_table(bit_planes=5, side=64))
