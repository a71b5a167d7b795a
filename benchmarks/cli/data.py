"""`opu data`: data sets, where they are, and how they come here."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.cli import completion

app = typer.Typer(
    help="Data sets: list them, download with SHA-256 check.",
    epilog="Example: opu data fetch mnist",
    no_args_is_help=True,
)


@app.command("list", epilog="Example: OPU_DATA_DIR=~/data opu data list")
def list_() -> None:
    """Data sets, their licence, and where they are found now."""
    from dfa.sources import catalogue

    for source, where in catalogue():
        typer.echo(f"{source.name:15} {source.description}; {source.licence}; {where}")


@app.command("fetch", epilog="Example: opu data fetch mnist")
def fetch(
    name: Annotated[str, typer.Argument(help="Name as in `opu data list`.", autocompletion=completion.data_sets)],
) -> None:
    """Download a data set into the cache; the SHA-256 of every file is checked."""
    from dfa import sources

    typer.echo(sources.fetch(name, progress=True))
