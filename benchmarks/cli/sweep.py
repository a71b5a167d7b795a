"""`opu sweep`: many runs over a grid of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import completion
from benchmarks.cli.options import Workers, changes, parsed

app = typer.Typer()


@app.command(
    epilog="Example: opu sweep adc-bits --workers 2 --out runs/bits --plot --pareto accuracy joules\n\n"
    "Shipped sweeps: opu sweep --list. One of your own is a TOML file, see the README. A sweep that was stopped or "
    "killed goes on with --resume and repeats nothing; with nothing left to run, it makes the tables and figures anew."
)
def sweep(
    sweep: Annotated[
        str | None,
        typer.Argument(
            help="Shipped name (see --list) or TOML file.", show_default=False, autocompletion=completion.sweeps
        ),
    ] = None,
    workers: Workers = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on a Dask scheduler's workers, for example tcp://host:8786.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Sweep directory; runs/sweep-<name> without it.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; what failed is tried again.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds 0 .. N-1 instead of the file's.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None, changes("Change the base, for example trainer.epochs=3.", completion.experiment_keys)
    ] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Also write results.parquet (needs pyarrow).")] = False,
    pareto: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Front and knee of two quantities, for example accuracy joules.", show_default=False),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Also write sweep.png, with --pareto pareto.png.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Names of the shipped sweeps, with a line on each.")] = False,
) -> None:
    """Train over grids, ranges or samples of any keys of experiment and device, on Dask; results in one SQLite file."""
    from benchmarks import console
    from benchmarks.sweep import command

    if list_:
        command.show_shipped()
        return
    if sweep is None:
        raise typer.BadParameter(f"missing; shipped are {', '.join(command.shipped())}", param_hint="'SWEEP'")
    if workers is not None and scheduler is not None:
        raise typer.BadParameter("does not go with --scheduler, which has its own", param_hint="'--workers'")

    settings = parsed(set_)
    with console.StopOnSignal() as stop, console.PointsBar() as bar:
        found = command.sweep(
            sweep,
            out,
            bar,
            stop.asked,
            workers=workers,
            scheduler=scheduler,
            resume=resume,
            seeds=seeds,
            settings=settings,
            parquet=parquet,
            pareto=pareto,
        )
    command.show(found, pareto, plot=plot)
    if found.report.faults:
        raise typer.Exit(1)
