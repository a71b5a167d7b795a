"""Sections of documents that are tables: `opu reproduce`, `opu device check`, `opu device show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import figures
from benchmarks.report.page import Column, Figure, Section, Table, cell, columns, number, pairs
from dfa.config import flattened

Document = Mapping[str, Any]


def generic(content: Document, name: str = "", *, folded: bool = False) -> list[Table]:
    """Tables of whatever a document holds: single values together, lists of tables, and so on for what is nested."""
    found = []
    single = {key: value for key, value in content.items() if isinstance(value, int | float | str)}
    if single and [str(value) for value in single.values()] != [name.rpartition(", ")[2]]:  # more than its name
        entries = [(str(key).replace("_", " "), value) for key, value in single.items()]
        found.append(pairs(name or "Single figures", entries, folded=folded))
    for key, value in content.items():
        below = f"{name}, {key}".removeprefix(", ").replace("_", " ")
        if isinstance(value, Mapping) and _is_series(value):
            length = len(next(iter(value.values())))
            rows = [{k: series[i] for k, series in value.items()} for i in range(length)]
            found.append(columns(below, rows, all_keys(rows), folded=folded))
        elif isinstance(value, Mapping):
            found += generic(value, below, folded=folded)
        elif isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            if any(isinstance(entry, list) for row in value for entry in row.values()):
                for row in value:
                    named = next((text for text in row.values() if isinstance(text, str)), "")
                    found += generic(row, f"{below}, {named}".removesuffix(", "), folded=folded)
            else:
                rows = [flattened(row) for row in value]
                found.append(columns(below, rows, all_keys(rows), folded=folded))
    return found


def _is_series(table: Document) -> bool:
    """Whether all values are lists of one length of single values: columns of a table."""
    lengths = {len(value) if isinstance(value, list) else -1 for value in table.values()}
    if len(lengths) != 1 or not lengths.isdisjoint({-1, 0}):
        return False
    return not any(isinstance(entry, list | Mapping) for value in table.values() for entry in value)


def all_keys(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Every key of some rows as a column of its own."""
    keys = dict.fromkeys(str(key) for row in rows for key in row)
    return [(key.replace("_", " "), key, 1.0) for key in keys]


def _rows(content: Document, key: str) -> list[Mapping[str, Any]]:
    value = content.get(key)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def reproduction(content: dict[str, Any], where: str) -> Section:
    """Published figures beside ours, and the claims that must hold."""
    published = (
        ("result", "what", 1.0),
        ("method", "method", 1.0),
        ("published [%]", "published", 1.0),
        ("tag", "tag", 1.0),
        ("ours [%]", "mean", 1.0),
        ("± [%]", "std", 1.0),
        ("seeds", "seeds", 1.0),
        ("verdict", "verdict", 1.0),
        ("source", "source", 1.0),
    )
    claims = (
        ("experiment", "experiment", 1.0),
        ("method", "method", 1.0),
        ("claim", "wanted", 1.0),
        ("difference [points]", "difference", 1.0),
        ("standard error", "standard_error", 1.0),
        ("verdict", "verdict", 1.0),
    )
    tables = [
        columns("Published and ours", _rows(content, "figures"), published),
        columns("Claims", _rows(content, "criteria"), claims),
    ]
    return Section(str(content.get("title", content["system"])), text=["Published results beside ours."], tables=tables)


def reproductions(content: dict[str, Any], where: str) -> Section:
    """A table a published system."""
    tables = []
    for table in _rows(content, "tables"):
        name = " – ".join(str(table[key]) for key in ("id", "system", "source") if table.get(key))
        rows = _rows(table, "rows")
        tables.append(columns(name, rows, all_keys(rows)))
    return Section("Published results beside ours", text=["Published results beside ours."], tables=tables)


def other(content: dict[str, Any], where: str) -> Section:
    """A benchmark that has no page of its own yet: its rows and single figures."""
    shown = {key: value for key, value in content.items() if key not in ("conventions", "provenance", "experiment")}
    tables = [table for table in generic(shown) if table.rows]
    return Section(Path(where).stem, text=["Rows and figures of a benchmark."], tables=tables)


def self_test(content: dict[str, Any], where: str) -> Section:
    """A row a check."""
    checks = _rows(content, "checks")
    wanted = (
        ("check", "name", 1.0),
        ("unit", "unit", 1.0),
        ("measured", "measured", 1.0),
        ("expected", "expected", 1.0),
        ("tolerance", "tolerance", 1.0),
        ("passed", "pass", 1.0),
        ("note", "note", 1.0),
    )
    passed = [check.get("pass") for check in checks]
    tiles = [
        (str(passed.count(True)), "checks passed"),
        (str(passed.count(False)), "checks failed"),
        (str(passed.count(None)), "not compared"),
    ]
    text = [f"Self-test of {content['device']}: measured against what its card and the closed forms say."]
    text += [str(note) for note in content.get("notes") or []] if isinstance(content.get("notes"), list) else []
    return Section(
        f"{content['device']}: self-test", text=text, tiles=tiles, tables=[columns("Checks", checks, wanted)]
    )


def card(content: dict[str, Any], where: str) -> Section:
    """The budget derived from a device's card."""
    stages = _rows(content, "stages")
    wanted = (("stage", "name", 1.0), ("power [W]", "watts", 1.0), ("time of a frame [s]", "seconds", 1.0))
    figures_ = (("figure on the card", "key", 1.0), ("value", "value", 1.0), ("source", "source", 1.0))
    rates = content.get("frame_rate_hz")
    single = [(key.replace("_", " "), content.get(key)) for key in ("teraops_peak", "watts", "teraops_per_watt")]
    if isinstance(rates, Mapping):
        single += [(f"frame rate, {name} [Hz]", rate) for name, rate in rates.items()]
    watts = [(str(s.get("name")), float(s["watts"])) for s in stages if isinstance(s.get("watts"), int | float)]
    drawn = []
    if watts:
        names, values = [name for name, _ in watts], [value for _, value in watts]
        drawn.append(
            Figure("Power by part.", figures.drawn(lambda axes: figures.bars(axes, names, values, "power [W]")))
        )
    tables = [
        pairs("Derived from the parts", single),
        columns("Stages of a frame (they overlap)", stages, (*wanted, ("source", "source", 1.0))),
        columns("Figures of the card", _rows(content, "figures"), figures_),
    ]
    tiles = [(number(value, 4), name) for name, value in single[:3] if isinstance(value, int | float)]
    name = cell(content.get("name")).text
    return Section(f"{name}: budget", text=[f"What follows from the card of {name}."], tiles=tiles, figures=drawn,
                   tables=[table for table in tables if table.rows])  # fmt: skip
