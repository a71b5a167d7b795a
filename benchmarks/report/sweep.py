"""Report of a sweep directory: every configuration, curves or maps over the keys, Pareto fronts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import sweep_figures as draw
from benchmarks.report.page import Cell, Figure, Listing, Page, Section, Table, cell, number, provenance
from benchmarks.report.pareto import front, knee
from benchmarks.report.sweep_file import HEADINGS, Configuration, Sweep, read
from benchmarks.report.training_run import CONVENTIONS as RUN_CONVENTIONS
from benchmarks.sweep.store import FILE

_ROWS = 2000  # of a table; a page with more is no pleasure to open
_DEVICE = ("joules", "watts", "device_s", "frame_rate_hz", "teraops_delivered", "utilisation", "joules_per_op")

CONVENTIONS = (
    "A configuration is one choice of the swept keys; figures of it are means over its seeds, ± their sample standard "
    "deviation. Accuracy, perplexity and loss: test set.",
    "A Pareto front: configurations that no other beats in accuracy without costing more. Its knee: the one farthest "
    "above the straight line between the front's ends, both quantities scaled to 0 … 1 over the front (Das 1999).",
    *RUN_CONVENTIONS,
)


def is_sweep(folder: Path) -> bool:
    """Whether the folder holds the results of a sweep."""
    return (folder / FILE).is_file()


def page(folder: Path) -> Page:
    """The report of a sweep, at work or done.

    Raises
    ------
    ConfigError
        Its database is damaged.
    """
    sweep = read(folder)
    found = sweep.configurations()
    done = [configuration for configuration in found if any(c.found for c in configuration.points)]
    keys = _varied(sweep, found)
    name = str(sweep.definition.get("name") or folder.resolve().name)
    report = Page(
        title=name,
        kind="Sweep",
        lead=_sentence(sweep, found, keys),
        tiles=_tiles(sweep, done, keys),
        notices=_notices(sweep),
    )
    if done:
        report.sections += [_over_keys(done, keys), *_fronts(done, keys), _host(done, keys)]
    report.sections += [
        *_failed(sweep, keys),
        *_warned(sweep),
        _what(sweep, keys, found),
        Section("Conventions", text=CONVENTIONS),
        *_sessions(sweep),
    ]
    return report


def _varied(sweep: Sweep, found: Sequence[Configuration]) -> list[str]:
    """Keys with more than one value, of those of one axis the first; without any, all keys."""
    keys = list(dict.fromkeys(key for configuration in found for key in configuration.parameters))
    followers = {key for axis in sweep.joined() for key in axis[1:]}
    varied = [key for key in keys if len({json.dumps(c.parameters.get(key)) for c in found}) > 1]
    return [key for key in varied if key not in followers] or keys


def _sentence(sweep: Sweep, found: Sequence[Configuration], keys: Sequence[str]) -> str:
    seeds = len({point.seed for point in sweep.points})
    said = str(sweep.definition.get("description") or "").rstrip(".")
    count = f"{_of(len(found), 'configuration')} of {', '.join(keys) or 'no key'}, {_of(seeds, 'seed')} each"
    return f"{said}: {count}." if said else f"{count}."


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _tiles(sweep: Sweep, done: Sequence[Configuration], keys: Sequence[str]) -> list[tuple[str, str]]:
    finished = sum(point.status == "done" for point in sweep.points)
    tiles = [(f"{finished:,} of {len(sweep.points):,}", "points done")]
    texts = [(value, c) for c in done if (value := c.mean("perplexity")) is not None]
    rated = [configuration for configuration in done if configuration.mean("accuracy") is not None]
    if texts:
        least, best = min(texts, key=lambda pair: pair[0])
        tiles.append((number(least, 3), f"least perplexity, {_named(best, keys)}"))
    elif rated:
        best = max(rated, key=lambda configuration: configuration.mean("accuracy") or 0.0)
        tiles.append((f"{best.mean('accuracy'):.2f} %", f"best accuracy, {_named(best, keys)}"))
    for cost in ("joules", "watts"):
        points, at = _knee(done, cost)
        if at is not None:
            text = f"{points[at].mean('accuracy'):.2f} %, {number(points[at].mean(cost) or 0.0, 3)} {cost[0].upper()}"
            tiles.append((text, f"knee of accuracy against {cost}, {_named(points[at], keys)}"))
    return tiles


def _knee(done: Sequence[Configuration], cost: str) -> tuple[list[Configuration], int | None]:
    points, costs, gains = _priced(done, cost)
    return points, knee(costs, gains, front(costs, gains))


def _named(configuration: Configuration, keys: Sequence[str]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {cell(configuration.parameters.get(key)).text}" for key in keys)


def _notices(sweep: Sweep) -> list[str]:
    open_ = sum(point.status not in ("done", "failed") for point in sweep.points)
    failed = sum(point.status == "failed" for point in sweep.points)
    said = []
    if open_:
        said.append(f"Not finished: {open_:,} of {_of(len(sweep.points), 'point')} not run yet; "
                    "`opu sweep` with `--resume` runs them.")  # fmt: skip
    if failed:
        said.append(f"{_of(failed, 'point')} failed; the reasons are below.")
    if not any(point.found for point in sweep.points):
        said.append("No point has a result yet: no figures.")
    return said


def _over_keys(done: Sequence[Configuration], keys: Sequence[str]) -> Section:
    """Figures over the swept keys, and the table of all configurations."""
    drawn = []
    names = [
        name for name in ("perplexity", "accuracy", "joules", "watts", "teraops_delivered") if _changes(done, name)
    ]
    if not any(configuration.values("accuracy") for configuration in done):
        names.insert(0, "loss")
    for name in names:
        if len(keys) == 2:
            drawn.append(Figure(f"{_title(name)} over {keys[0]} and {keys[1]}, mean over seeds.",
                                draw.over_two_keys(done, keys[0], keys[1], name)))  # fmt: skip
            continue
        for key in keys[:8] if name in ("perplexity", "accuracy", "loss") or len(keys) == 1 else ():
            others = " (all values of the other keys; line: their mean)" if len(keys) > 1 else ""
            caption = f"{_title(name)} against {key}, mean and standard deviation over seeds{others}."
            drawn.append(Figure(caption, draw.over_one_key(done, key, name)))
    measured = ("accuracy", "perplexity", "loss", *_DEVICE)
    tables = [_table("Configurations: accuracy, and device figures (simulated)", done, keys, measured)]
    text = (
        [f"The table shows the first {_ROWS:,} of {len(done):,}; results.csv has them all."]
        if len(done) > _ROWS
        else []
    )
    return Section("Results", text=text, figures=drawn, tables=tables)


def _changes(done: Sequence[Configuration], quantity: str) -> bool:
    """Whether there is something to draw: accuracy always, the rest where it is not one value all along."""
    values = [value for configuration in done if (value := configuration.mean(quantity)) is not None]
    if quantity == "accuracy":
        return bool(values)
    return bool(values) and max(values) - min(values) > 1e-3 * max(map(abs, values))


def _title(quantity: str) -> str:
    heading = HEADINGS[quantity].partition(" [")[0]
    return heading[:1].upper() + heading[1:]


def _table(caption: str, done: Sequence[Configuration], keys: Sequence[str], quantities: Sequence[str]) -> Table:
    every = list(dict.fromkeys([*keys, *(key for configuration in done for key in configuration.parameters)]))
    shown = [name for name in quantities if any(configuration.values(name) for configuration in done)]
    header = [*every, "seeds"]
    spread = any(configuration.spread("accuracy") is not None for configuration in done)
    for name in shown:
        header += [HEADINGS[name]] + (["± [%]"] if name == "accuracy" and spread else [])
    rows = []
    for configuration in done[:_ROWS]:
        row = [cell(configuration.parameters.get(key)) for key in every]
        row.append(cell(sum(bool(point.found) for point in configuration.points)))
        for name in shown:
            mean = configuration.mean(name)
            row.append(_percent(mean) if name == "accuracy" else cell(mean))
            if name == "accuracy" and spread:
                row.append(_percent(configuration.spread(name)))
        rows.append(row)
    return Table(caption, header, rows)


def _percent(value: float | None) -> Cell:
    """Accuracies in %, which a column shows with the same digits."""
    return Cell("–") if value is None else Cell(f"{value:.2f}", value)


def _priced(done: Sequence[Configuration], cost: str) -> tuple[list[Configuration], list[float], list[float]]:
    """Configurations with accuracy and cost, their costs and accuracies."""
    kept, costs, gains = [], [], []
    for configuration in done:
        paid, gained = configuration.mean(cost), configuration.mean("accuracy")
        if paid is not None and gained is not None:
            kept.append(configuration)
            costs.append(paid)
            gains.append(gained)
    return kept, costs, gains


def _fronts(done: Sequence[Configuration], keys: Sequence[str]) -> list[Section]:
    """Accuracy against joules and against watts."""
    drawn, tables, said = [], [], []
    for cost in ("joules", "watts"):
        kept, costs, gains = _priced(done, cost)
        if len(kept) < 2:
            continue
        if not _changes(kept, cost):
            said.append(f"{_title(cost)} is the same in every configuration, {number(costs[0], 4)} {cost[0].upper()}: "
                        "the most accurate one is the front.")  # fmt: skip
            continue
        best = front(costs, gains)
        at = knee(costs, gains, best)
        drawn.append(Figure(f"Accuracy against {_title(cost).lower()}: every configuration, and the Pareto front.",
                            draw.pareto(costs, gains, best, at, HEADINGS[cost])))  # fmt: skip
        header = [*keys, "accuracy [%]", HEADINGS[cost], "knee"]
        rows = []
        for index in best[:_ROWS]:
            values = [cell(kept[index].parameters.get(key)) for key in keys]
            rows.append([*values, _percent(gains[index]), cell(costs[index]), Cell("knee" if index == at else "")])
        tables.append(Table(f"Pareto front of accuracy against {cost}", header, rows))
    if not drawn and not said:
        return []
    return [Section("What accuracy costs", text=said, figures=drawn, tables=tables)]


def _host(done: Sequence[Configuration], keys: Sequence[str]) -> Section:
    return Section(
        "Host time", tables=[_table("What the simulation itself took, mean of a point", done, keys, ("host_s",))]
    )


def _failed(sweep: Sweep, keys: Sequence[str]) -> list[Section]:
    failed = [point for point in sweep.points if point.status == "failed"]
    if not failed:
        return []
    rows = [
        [*(cell(point.parameters.get(key)) for key in keys), cell(point.seed), cell(point.result.get("error"))]
        for point in failed[:_ROWS]
    ]
    return [Section("Failed points", tables=[Table("Points that failed", [*keys, "seed", "reason"], rows)])]


def _warned(sweep: Sweep) -> list[Section]:
    """What the devices warned of: too much light, or too little."""
    counts: dict[str, int] = {}
    for point in sweep.points:
        said = point.result.get("warnings")
        for line in said if isinstance(said, list) else ():
            counts[str(line)] = counts.get(str(line), 0) + 1
    if not counts:
        return []
    rows = [[Cell(line), cell(count)] for line, count in counts.items()][:_ROWS]
    return [Section("Warnings", tables=[Table("What devices warned of", ("warning", "points"), rows)])]


def _what(sweep: Sweep, keys: Sequence[str], found: Sequence[Configuration]) -> Section:
    """The axes, and the definition as it was run."""
    rows = []
    for key in dict.fromkeys(key for configuration in found for key in configuration.parameters):
        values = list(dict.fromkeys(cell(configuration.parameters.get(key)).text for configuration in found))
        text = ", ".join(values) if len(values) <= 16 else f"{values[0]}, {values[1]} … {values[-1]}"
        rows.append([Cell(key), cell(len(values)), Cell(text)])
    listings = []
    if sweep.definition:
        listings.append(
            Listing("definition of the sweep, with the base experiment", json.dumps(sweep.definition, indent=2))
        )
    return Section("What was swept", tables=[Table("Swept keys", ("key", "values", "which"), rows)], listings=listings)


def _sessions(sweep: Sweep) -> list[Section]:
    """Where the points were computed."""
    origin: dict[str, Any] = next((point.result["provenance"] for point in sweep.points
                                   if isinstance(point.result.get("provenance"), dict)), {})  # fmt: skip
    tables = []
    if sweep.sessions:
        header = list(dict.fromkeys(key for session in sweep.sessions for key in session if key != "provenance"))
        rows = [[cell(session.get(key)) for key in header] for session in sweep.sessions]
        tables.append(Table("Sessions", [key.replace("_", " ") for key in header], rows))
        origin = sweep.sessions[-1]["provenance"] or origin
    if origin:
        tables.append(provenance(origin))
    return [Section("Provenance", tables=tables)] if tables else []
