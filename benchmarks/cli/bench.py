"""`opu bench`: a command a benchmark. All write JSON first, tables and figures are made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import completion
from benchmarks.cli.options import (
    AsJson,
    Experiment,
    Out,
    OwnDevice,
    Plot,
    changes,
    check_files,
    parsed,
    show,
    write_files,
)

app = typer.Typer(
    help="Benchmarks: JSON first, tables and plots from it.",
    epilog="Example: opu bench throughput --quick",
    no_args_is_help=True,
)


@app.command("throughput", epilog="Example: opu bench throughput --quick --json > throughput.json")
def throughput(
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="Four small rows, under a minute.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also write a log-log plot (PNG).", show_default=False)] = None,
) -> None:
    """Simulator speed (host) and device speed over sizes, beside the bare products or FFTs and plain NumPy."""
    from benchmarks import console
    from benchmarks.throughput.figure import plot as draw
    from benchmarks.throughput.measure import measure
    from benchmarks.throughput.tables import summary, table

    check_files(plot=plot)
    document = measure(quick=quick, progress=console.note)
    write_files(document, plot=plot, draw=draw)
    show(document, table, as_json=as_json)
    if not as_json:
        for line in summary(document):
            typer.echo(line)


@app.command("training", epilog="Example: opu bench training mnist-mlp --seeds 3 --out mnist-mlp.json")
def training(
    experiment: Experiment = "digits-mlp",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 .. N-1 of each method.")] = 3,
    set_: Annotated[
        list[str] | None, changes("Override, for example trainer.epochs=3.", completion.experiment_keys)
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """All five methods on one experiment: accuracy over seeds, host seconds an epoch, device TeraOPS and watts."""
    from benchmarks import console
    from benchmarks.training import measure, table

    check_files(out)
    settings = parsed(set_)
    document = measure(experiment, seeds, settings, progress=console.note)
    write_files(document, out)
    show(document, table, as_json=as_json)


@app.command("bank-sizes", epilog="Example: opu bench bank-sizes --bits 6 --out bank-sizes.json --plot bank-sizes.png")
def bank_sizes(
    device: Annotated[str, typer.Option(help="Shipped weight bank or TOML file.")] = "filipovich-50x20",
    bits: Annotated[float, typer.Option(min=1.0, help="Bits of a reading that the lasers are to give.")] = 8.0,
    set_: Annotated[list[str] | None, changes("Override, for example clock.symbol_rate_ghz=5.")] = None,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Microring weight banks of 10 x 10 to 1000 x 100: TeraOPS, watts, pJ an operation by part, rings that it takes."""
    from benchmarks.bank_sizes import measure, table
    from benchmarks.bank_sizes import plot as draw

    check_files(out, plot)
    document = measure(device, bits, parsed(set_))
    write_files(document, out, plot, draw)
    show(document, table, as_json=as_json)


@app.command(
    "pytorch",
    epilog="Example: opu bench pytorch --out pytorch.json\n\nNeeds PyTorch (`pip install torch`) beside this program; "
    "exit status 1 where the trainer is slower than it may be, except with --quick.",
)
def pytorch(
    quick: Annotated[bool, typer.Option("--quick", help="Short epochs, few turns: to see that it works.")] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """The digital trainer beside PyTorch on the same cores, in turns: a DFA epoch, a Transformer's step."""
    from benchmarks import console
    from benchmarks.pytorch.measure import measure, table

    check_files(out)
    document = measure(quick, progress=console.note)
    write_files(document, out)
    show(document, table, as_json=as_json)
    if not document["pass"] and not quick:
        raise typer.Exit(1)


@app.command(
    "tradeoffs",
    epilog="Example: opu bench tradeoffs digits-mlp --seeds 3 --out tradeoffs.json --plot tradeoffs.png\n\n"
    "Exit status 1 if a quantity does not go the way that the physics says.",
)
def tradeoffs(
    experiment: Experiment = "digits-mlp",
    device: OwnDevice = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 .. N-1 of each point.")] = 3,
    set_: Annotated[
        list[str] | None,
        changes("Change the base, for example device.timing.latency_s=0 (seconds).", completion.experiment_keys),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three points a sweep, one seed: seconds.")] = False,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Laser power, exposure, ADC bits and rows read against accuracy, bits, frame rate, watts and joules."""
    from benchmarks import console
    from benchmarks.tradeoffs.figure import plot as draw
    from benchmarks.tradeoffs.measure import measure
    from benchmarks.tradeoffs.tables import table, verdict

    check_files(out, plot)
    settings = parsed(set_)
    document = measure(experiment, seeds, device=device, settings=settings, quick=quick, progress=console.note)
    write_files(document, out, plot, draw)
    show(document, table, as_json=as_json)
    if not as_json:
        typer.echo(verdict(document))
    if not document["pass"]:
        raise typer.Exit(1)


@app.command(
    "devices",
    epilog="Example: opu bench devices digits-mlp --device lighton-aurora --device filipovich-50x20 --plot devices.png",
)
def devices(
    experiment: Experiment = "digits-mlp",
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Shipped device or TOML file; lighton-aurora and filipovich-50x20.",
            show_default=False,
            autocompletion=completion.devices,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 .. N-1 for each device.")] = 3,
    set_: Annotated[
        list[str] | None, changes("Override for all, for example trainer.epochs=3.", completion.experiment_keys)
    ] = None,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """The same network trained through several devices: accuracy, device seconds, joules, pJ an op, utilisation."""
    from benchmarks import console
    from benchmarks.devices.figure import plot as draw
    from benchmarks.devices.measure import measure, table

    check_files(out, plot)
    settings = parsed(set_)
    devices = device or ["lighton-aurora", "filipovich-50x20"]
    document = measure(experiment, devices, seeds, settings, progress=console.note)
    write_files(document, out, plot, draw)
    show(document, table, as_json=as_json)


@app.command(
    "energy",
    epilog="Example: opu bench energy 20000x20000x3000 --device lighton-aurora --against h100 --efficiency 0.6\n\n"
    "Example: opu bench energy runs/digits-mlp-odfa-seed0/result.json --json",
)
def energy(
    workload: Annotated[
        str, typer.Argument(metavar="[WORKLOAD]", help="N_INxN_OUT[xVECTORS], or a run's result.json.")
    ] = "10000x10000x3000",
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Shipped device or TOML file, repeatable; all shipped without it.",
            show_default=False,
            autocompletion=completion.devices,
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Electronic card or TOML file, repeatable; all shipped without it.", show_default=False),
    ] = None,
    set_: Annotated[list[str] | None, changes("Override a key of --device, as camera.roi_rows=64.")] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option(help="intensity, ternary or float, repeatable; the first two without it.", show_default=False),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of the electronic cards: half or single.")] = "half",
    efficiency: Annotated[
        list[str] | None,
        typer.Option(metavar="[CARD=]X", help="Share of an electronic peak that is reached; CARD.training=X, too."),
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change an assumption of the training time, as tokens=512."),
    ] = None,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Seconds, joules, TeraOPS of a workload beside electronic cards; from which size, and model, optics is ahead."""
    from benchmarks import console
    from benchmarks.energy import measure as energy
    from benchmarks.energy import tables as energy_tables
    from benchmarks.energy import workload as given
    from benchmarks.energy.assumptions import assumptions
    from benchmarks.energy.figure import plot as draw

    check_files(out, plot)
    document = energy.measure(
        given.parse_workload(workload),
        devices=device or (),
        settings=parsed(set_),
        wanted=given.parse_operations(operation or ()),
        cards=given.parse_cards(against or (), efficiency or ()),
        precision=given.parse_precision(precision),
        assumptions=assumptions(assume or ()),
        progress=console.note,
    )
    write_files(document, out, plot, draw)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for title, table in energy_tables.shown(document):
        console.table(*table, title=title, fold=False)
    for line in energy_tables.notes(document):
        console.out.print(line, highlight=False, markup=False)


@app.command(
    "sweep",
    epilog="Example: opu bench sweep adc-bits --out sweep-speed.json\n\n"
    "Wants an idle machine. Exit status 1 if results differ.",
)
def sweep(
    sweep: Annotated[
        str, typer.Argument(help="Shipped name or TOML file.", autocompletion=completion.sweeps)
    ] = "adc-bits",
    workers: Annotated[
        list[int] | None,
        typer.Option("--workers", min=1, help="Repeat for each number; 1 and 2 without it.", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each is run, in turns.")] = 3,
    set_: Annotated[
        list[str] | None, changes("Change the base, for example trainer.epochs=30.", completion.experiment_keys)
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Points a minute of a sweep by number of workers, and whether results are the same to the bit."""
    from benchmarks import console
    from benchmarks.sweep.speed import measure, table

    check_files(out)
    document = measure(sweep, workers or [1, 2], rounds, set_ or [], progress=console.note)
    write_files(document, out)
    show(document, table, as_json=as_json)
    if not document["same_results"]:
        raise typer.Exit(1)
