"""What the command `opu sweep` does with the parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from benchmarks import console
from benchmarks.sweep import pareto as front
from benchmarks.sweep.definition import Sweep, load_sweep
from benchmarks.sweep.quantities import write_whole
from benchmarks.sweep.run import Report, default_folder, run
from benchmarks.sweep.tables import MOST_LINES, complaints, pareto_table, summary, table
from opu_sim.config import find_toml, read_toml, shipped_names


@dataclass(frozen=True)
class Found:
    """A sweep and how it ended."""

    sweep: Sweep
    report: Report


def shipped() -> list[str]:
    """Names of the shipped sweeps."""
    return shipped_names("sweeps")


def show_shipped() -> None:
    """`opu sweep --list`."""
    for name in shipped():
        typer.echo(f"{name:20} {read_toml(find_toml('sweeps', name)).get('description', '')}")


def sweep(
    name: str,
    out: Path | None,
    bar: console.PointsBar,
    should_stop: Callable[[], bool],
    *,
    workers: int | None,
    scheduler: str | None,
    resume: bool,
    seeds: int | None,
    settings: Mapping[str, Any],
    parquet: bool,
    pareto: tuple[str, str] | None,
) -> Found:
    """Check everything, then run what is open; raises as `run.run`."""
    if pareto is not None:
        front.check(pareto)
    resolved = load_sweep(name, seeds=seeds, settings=settings)
    folder = out or default_folder(resolved, resume=resume)
    console.note(f"{resolved.config.name}: {resolved.config.description}; {len(resolved.points)} points")
    report = run(
        resolved,
        folder,
        workers=workers,
        scheduler=scheduler,
        resume=resume,
        parquet=parquet,
        on_start=bar.start,
        on_point=bar.point,
        should_stop=should_stop,
    )
    return Found(resolved, report)


def show(found: Found, pareto: tuple[str, str] | None, *, plot: bool) -> None:
    """Tables on stdout, figures in the directory, complaints on stderr."""
    report, keys = found.report, found.sweep.keys
    header, lines = table(report.rows, keys)
    console.table(header, lines[:MOST_LINES], title=found.sweep.config.description or None, fold=False)
    if len(lines) > MOST_LINES:
        typer.echo(f"… {len(lines) - MOST_LINES} more configurations in {report.folder / 'results.csv'}")
    if pareto is not None:
        candidates = front.candidates(report.rows, pareto)
        document = front.document(candidates, pareto)
        write_whole(report.folder / "pareto.json", (json.dumps(document, indent=2) + "\n").encode())
        title = f"Pareto front of {len(candidates)} configurations"
        console.table(*pareto_table(document, keys), title=title, fold=False)
        console.note(document["conventions"])
        if plot:
            from benchmarks.sweep.figures import draw_pareto

            draw_pareto(candidates, pareto, found.sweep.config.description, keys, report.folder / "pareto.png")
    if plot:
        from benchmarks.sweep.figures import draw

        draw(report.rows, found.sweep.config, report.folder / "sweep.png")
    typer.echo(summary(report))
    for line in complaints(report):
        typer.echo(f"opu: {line}", err=True)
