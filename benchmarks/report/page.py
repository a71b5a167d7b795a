"""What a report is made of, and the one HTML file that it becomes: nothing is fetched, nothing is left unescaped."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

_LONGEST = 240


@dataclass(frozen=True)
class Cell:
    """Text of a table's cell, and what it is sorted by: a number, or without one its text."""

    text: str
    key: float | None = None


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by each of its columns; the first column names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    """Shown when asked for."""

    @property
    def words(self) -> list[bool]:
        """Column by column: whether it holds no number, so that it is set from the left."""
        return [all(row[column].key is None for row in self.rows) for column in range(len(self.header))]


@dataclass(frozen=True)
class Figure:
    """A picture with its caption: SVG that follows the page's colours, or a PNG."""

    caption: str
    svg: str = ""
    png: bytes = b""

    @property
    def data_uri(self) -> str:
        """The PNG within the page."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Listing:
    """A file shown as it is, folded away."""

    caption: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: Sequence[str] = ()
    notices: Sequence[str] = ()
    tiles: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    sheets: Sequence[Figure] = ()
    """Wide figures: across the page, scrolled on a narrow screen."""
    listings: Sequence[Listing] = ()


@dataclass
class Page:
    """A report: its head, and its sections in order.

    Attributes
    ----------
    kind : what kind of result it is of
    lead : a sentence on what was run
    tiles : the figures that matter most: value, name
    notices : what is missing
    """

    title: str
    kind: str
    lead: str
    tiles: Sequence[tuple[str, str]] = ()
    notices: Sequence[str] = ()
    sections: list[Section] = field(default_factory=list)

    def html(self) -> str:
        """The whole file."""
        script, style = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in _ASSETS)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        template = resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
        shaped = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        shaped.filters["own_svg"] = Markup  # drawn here by matplotlib, from numbers and shapes of letters
        shaped.filters["prose"] = _prose
        html = shaped.from_string(template).render(
            page=self, script=Markup(script), style=Markup(style), script_hash=digest
        )
        return re.sub("[\x00\ud800-\udfff]", "\ufffd", html)  # what no HTML file may hold


def _prose(text: str) -> Markup:
    """Escaped text, what stands between backticks as code."""
    words = text.split("`")
    if len(words) % 2 == 0:
        return Markup("{}").format(text)
    return Markup("").join(Markup("<code>{}</code>" if i % 2 else "{}").format(word) for i, word in enumerate(words))


_ASSETS = ("page.js", "page.css")


def cell(value: Any, digits: int = 4, scale: float = 1.0) -> Cell:
    """A cell of any JSON value; numbers to `digits` significant digits."""
    if value is None:
        return Cell("–")
    if isinstance(value, bool):
        return Cell("yes" if value else "no", float(value))
    if isinstance(value, int | float):
        return Cell(number(value * scale if scale != 1.0 else value, digits), _sortable(value))
    if isinstance(value, str):
        return Cell(_cut(value))
    if isinstance(value, list | tuple) and all(isinstance(entry, int | float | str) for entry in value):
        return Cell(_cut(", ".join(cell(entry, min(digits, 3)).text for entry in value)))
    return Cell(_cut(json.dumps(value, default=str)))


def number(value: float, digits: int = 4) -> str:
    """A number for people: whole ones with thousands separated, others to `digits` significant digits."""
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{float(value):.{digits}g}" if value < 10**300 else "> 1e300"
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    if value == 0.0 or 1e-3 <= abs(value) < 1e6:
        decimals = max(digits - 1 - (math.floor(math.log10(abs(value))) if value else 0), 0)
        text = f"{value:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')} × 10{str(int(power)).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _sortable(value: float) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def pairs(caption: str, entries: Iterable[tuple[str, Any]], *, folded: bool = False) -> Table:
    """A table of names and values."""
    return Table(caption, ("quantity", "value"), [[Cell(name), cell(value)] for name, value in entries], folded)


Column = tuple[str, str, float]


def columns(
    caption: str, rows: Sequence[Mapping[str, Any]], wanted: Sequence[Column], *, digits: int = 4, folded: bool = False
) -> Table:
    """A table of chosen keys: (heading, key, factor) each; a column that no row fills is left out."""
    kept = [column for column in wanted if any(row.get(column[1]) is not None for row in rows)]
    body = [[_of_column(row.get(key), heading, digits, scale) for heading, key, scale in kept] for row in rows]
    return Table(caption, [heading for heading, _, _ in kept], body, folded)


def _of_column(value: Any, heading: str, digits: int, scale: float) -> Cell:
    """Per cent with the same decimals all down the column."""
    if heading.endswith("[%]") and isinstance(value, float):
        return Cell(f"{scale * value:.2f}", _sortable(value))
    return cell(value, digits, scale)


def provenance(origin: Mapping[str, Any]) -> Table:
    """Where a result comes from; commits and hashes whole, as they are to be compared."""
    return Table("Provenance", ("item", "value"), [[Cell(str(k)), Cell(_plain(v))] for k, v in origin.items()])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else cell(value or None).text if value != 0 else "0"
