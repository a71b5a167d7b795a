"""The command `opu`. Nothing heavy is imported before a command needs it, so that `opu --help` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from benchmarks import BLAS_WAIT
from benchmarks.cli import bench, data, device, sweep, training

app = typer.Typer(
    name="opu",
    help="Photonic co-processor simulator: accuracy, TeraOPS and watts from one run.",
    epilog="Example: opu train digits-mlp --out runs/first && opu report runs/first\n\n"
    "Exit status: 0 done; 1 a fault of the program, or a check that does not hold; 2 wrong input, one line on stderr "
    "says what and what is allowed; 130 interrupted, the state is saved.\n\n"
    "Environment: OPU_DATA_DIR, a local folder of data sets; OPU_CACHE_DIR, where downloads go. Names complete at the "
    "press of Tab after opu --install-completion.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# `opu --help` lists them in this order.
app.add_typer(training.app)
app.add_typer(sweep.app)
app.add_typer(device.app, name="device")
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")


def _version(wanted: bool) -> None:
    if wanted:
        from dfa import provenance

        typer.echo(f"opu-sim {provenance.version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1, 2 (the user's input) or 130 (interrupted)."""
    # Idle BLAS threads spin for 25 ms by default and slow down the kernels' own threads; see also `opu_sim`.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", BLAS_WAIT)
    from benchmarks.failures import exit_status

    return exit_status(lambda: app(args=arguments, standalone_mode=False, prog_name="opu"))


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
