"""Report of a directory with the JSON of `opu bench`, `opu reproduce` or `opu device`: a section a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.report import bench_energy, bench_tables, bench_throughput, bench_tradeoffs, bench_training
from benchmarks.report.files import read_json, read_png
from benchmarks.report.page import Figure, Listing, Page, Section, provenance

Document = dict[str, Any]
Make = Callable[[Document, str], Section]

# What tells a document: keys of its own and keys of its rows; the first that fits.
_KINDS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...], Make], ...] = (
    ("opu bench training", "rows", ("experiment",), ("method", "accuracies"), bench_training.section),
    ("opu bench throughput", "rows", (), ("host_s_per_projection",), bench_throughput.section),
    ("opu bench tradeoffs", "sweeps", ("experiment",), ("points",), bench_tradeoffs.section),
    ("opu bench energy", "rows", ("crossovers",), ("seconds", "joules"), bench_energy.section),
    ("opu reproduce", "figures", ("system", "criteria"), ("published",), bench_tables.reproduction),
    ("opu reproduce", "tables", (), ("rows", "system"), bench_tables.reproductions),
    ("opu device check", "checks", ("device",), ("measured", "expected"), bench_tables.self_test),
    ("opu device show", "figures", ("teraops_peak", "card"), (), bench_tables.card),
    ("opu bench", "rows", ("conventions", "provenance"), (), bench_tables.other),
)
_ORIGIN = ("version", "commit", "python", "numpy", "numba", "cpu", "threads", "started_at", "load_average")


def documents(folder: Path) -> list[tuple[Path, str, Document, Make]]:
    """Each known document of the folder: file, command, content, and what makes its section.

    Raises
    ------
    ConfigError
        A file that is not JSON.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        for command, rows, keys, row_keys, make in _KINDS:
            if _fits(content, rows, keys, row_keys):
                found.append((path, command, content, make))
                break
    return found


def _fits(content: Any, rows: str, keys: Sequence[str], row_keys: Sequence[str]) -> bool:
    if not isinstance(content, dict) or not all(key in content for key in keys):
        return False
    body = content.get(rows)
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        return False
    return bool(body or not row_keys) and all(key in row for row in body[:1] for key in row_keys)


def page(folder: Path, found: Sequence[tuple[Path, str, Document, Make]]) -> Page:
    """The report of these documents.

    Raises
    ------
    ConfigError
        One lacks what its kind must have.
    """
    sections = [_with_sheet(make(content, str(path)), path, command) for path, command, content, make in found]
    ending = [_conventions(found), _provenance(found)]
    left_out = sorted({path.name for path in folder.glob("*.json")} - {path.name for path, *_ in found})
    notices = [f"Left out, as no result of this program: {', '.join(left_out)}."] if left_out else []
    if len(sections) == 1:
        first = sections[0]
        lead = first.text[0] if first.text else ""
        report = Page(first.title, found[0][1].removeprefix("opu ").capitalize(), lead, first.tiles, notices)
        sections = [replace(first, title="Results", text=first.text[1:], tiles=())]
    else:
        named = ", ".join(path.name for path, *_ in found)
        report = Page(folder.resolve().name, "Benchmarks", f"{len(found)} results: {named}.", (), notices)
    report.sections = [*sections, *(section for section in ending if section.text or section.tables)]
    return report


def _with_sheet(section: Section, path: Path, command: str) -> Section:
    """With the figure that --plot wrote beside the JSON, and with where all of it is from."""
    sheet = read_png(path.with_suffix(".png"))
    text = [*section.text, f"From {path.name}, as `{command}` wrote it."]
    if sheet is None:
        return replace(section, text=text)
    caption = f"{path.with_suffix('.png').name}, as --plot wrote it."
    return replace(section, text=text, sheets=[*section.sheets, Figure(caption, png=sheet)])


def _conventions(found: Sequence[tuple[Path, str, Document, Make]]) -> Section:
    """What the documents say of their own words, each text once."""
    texts: dict[str, list[str]] = {}
    for path, _, content, _ in found:
        said = content.get("conventions")
        lines = [said] if isinstance(said, str) else said.values() if isinstance(said, dict) else said or []
        for line in lines:
            texts.setdefault(str(line), []).append(path.name)
    if len(found) == 1:
        return Section("Conventions", text=list(texts))
    return Section("Conventions", text=[f"{', '.join(names)}: {line}" for line, names in texts.items()])


def _provenance(found: Sequence[tuple[Path, str, Document, Make]]) -> Section:
    tables, listings = [], []
    for path, _, content, _ in found:
        origin: Mapping[str, Any] = {key: content[key] for key in _ORIGIN if key in content}
        if isinstance(content.get("provenance"), dict):
            origin = content["provenance"]
        if origin:
            tables.append(replace(provenance(origin), caption=f"Provenance of {path.name}"))
        if isinstance(content.get("experiment"), dict):
            listings.append(Listing(f"experiment of {path.name}", _toml(content["experiment"])))
    return Section("Provenance", tables=tables, listings=listings)


def _toml(table: Document) -> str:
    import tomli_w

    return tomli_w.dumps({key: value for key, value in table.items() if value is not None})
