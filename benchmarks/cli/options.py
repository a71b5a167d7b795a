"""Options that several commands share, and the way that a document leaves a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.cli import completion
from benchmarks.failures import HostError

Experiment = Annotated[str, typer.Argument(help="Shipped name or TOML file.", autocompletion=completion.experiments)]
Device = Annotated[str, typer.Argument(help="Shipped device or TOML file.", autocompletion=completion.devices)]
OwnDevice = Annotated[
    str | None,
    typer.Option(
        help="Shipped device or TOML file; the experiment's own without it.",
        show_default=False,
        autocompletion=completion.devices,
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes on this machine; one a core without it.", show_default=False)
]
Out = Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)]
Plot = Annotated[Path | None, typer.Option(help="Also write the figure (PNG).", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

Table = tuple[list[str], list[list[str]]]


def changes(help: str, completed: Callable[[str], completion.Offers] | None = None) -> Any:
    """The option `--set KEY=VALUE`, which may be repeated; `help` says what of, with an example."""
    return typer.Option("--set", metavar="KEY=VALUE", help=f"{help} Repeatable.", autocompletion=completed)


def parsed(assignments: Sequence[str] | None) -> dict[str, Any]:
    """What `--set` was given, by dotted key.

    Raises
    ------
    ConfigError
        As `parse_assignment`.
    """
    from opu_sim.config import parse_assignment

    return dict(parse_assignment(text) for text in assignments or [])


def check_files(out: Path | None = None, plot: Path | None = None) -> None:
    """Make sure, before long work, that its results can be written.

    Raises
    ------
    ConfigError
        They cannot; the line names the option.
    """
    from dfa.checkpoint import make_file_writable

    for path, option in ((out, "--out"), (plot, "--plot")):
        if path is not None:
            make_file_writable(path, option)


def write_files(
    document: Any,
    out: Path | None = None,
    plot: Path | None = None,
    draw: Callable[[Any, Path], None] | None = None,
) -> None:
    """Write the document, and the figure that `draw` makes of it, each whole or not at all.

    Raises
    ------
    HostError
        A disk is full, or a folder is gone.
    """
    from dfa.checkpoint import write_atomic

    path = out
    try:
        if out is not None:
            write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
        path = plot
        if plot is not None and draw is not None:
            draw(document, plot)
    except OSError as error:
        raise HostError(f"{path}: cannot be written: {error.strerror or error}") from None


def show(document: Mapping[str, Any], table: Callable[[Any], Table], *, as_json: bool) -> None:
    """Print a document as JSON, or as its table with the conventions below."""
    from benchmarks import console

    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.table(*table(document), fold=False)
        console.note(document["conventions"])
