"""`opu device`: what a card promises, whether a device keeps it, and which card a task needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.cli import completion
from benchmarks.cli.options import AsJson, Device, Experiment, Workers, changes, check_files, parsed, write_files

if TYPE_CHECKING:
    from opu_sim.cards import DeviceCard

app = typer.Typer(
    help="Device cards: list them, show the budget derived from one, test one.",
    epilog="Example: opu device show lighton-aurora",
    no_args_is_help=True,
)


@app.command("list", epilog="Example: opu device list")
def list_() -> None:
    """Names of the shipped devices, with a line on each."""
    from opu_sim.cards import device_names, load_card

    for name in device_names():
        typer.echo(f"{name:20} {load_card(name).description}")


@app.command("show", epilog="Example: opu device show lighton-aurora --set camera.roi_rows=64")
def show_card(
    device: Device,
    set_: Annotated[
        list[str] | None,
        changes("Override, for example camera.adc_bits=6; a key's unit is the end of its name.", completion.card_keys),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The budget derived from a card: TeraOPS, watts, frame rates, stage by stage, each figure with its source."""
    from benchmarks import console
    from opu_sim.budget import budget

    document = budget(_card(device, set_))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.device_tables(document)


@app.command(
    "check",
    epilog="Example: opu device check lighton-aurora --plot aurora.png\n\n"
    "Exit status 1 if a check fails. Checks that this device cannot make are listed, and count neither way.",
)
def check_card(
    device: Device,
    set_: Annotated[
        list[str] | None,
        changes("Override, for example camera.adc_bits=10; a key's unit is the end of its name.", completion.card_keys),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the device and of the patterns.")] = 0,
    n_in: Annotated[int | None, typer.Option(help="Inputs; 256 without it.", show_default=False)] = None,
    n_out: Annotated[int | None, typer.Option(help="Outputs; 2048 without it.", show_default=False)] = None,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Also write a figure sheet (PNG).", show_default=False)] = None,
) -> None:
    """Acceptance test of a device: speckle, matrix, linearity, noise, drift and frames against what its card says."""
    from benchmarks import console
    from opu_sim.self_test import device_to_test, self_test

    check_files(plot=plot)
    tested, notes = device_to_test(_card(device, set_), n_in=n_in, n_out=n_out, seed=seed)
    for note in notes:
        console.note(note)
    with tested:
        test = self_test(tested, seed=seed)
    test.notes += notes
    if as_json:
        typer.echo(json.dumps(test.document(), indent=2))
    else:
        console.check_table(test)
    if plot is not None:
        from benchmarks.check.figure import draw

        write_files(test, plot=plot, draw=draw)
    if not test.passed:
        raise typer.Exit(1)


@app.command(
    "fit",
    epilog="Example: opu device fit digits-mlp --accuracy 0.95 --set trainer.epochs=10 --plot\n\n"
    "Example: opu device fit --accuracy 0.95 --space camera.model=imx174 --space laser.power_mw=1..50 --trials 20\n\n"
    "Searches camera, exposure, laser power, ADC bits and rows read; the bounds are shown, --space changes them. The "
    "card found is DIR/card.toml. All runs of a trial, four trials at a time, share the workers; results depend on "
    "--seed only. Exit status 1 if no card reaches the accuracy.",
)
def fit_card(
    accuracy: Annotated[float, typer.Option(metavar="X", help="Test accuracy that must be reached, as 0.95.")],
    experiment: Experiment = "digits-mlp",
    device: Annotated[
        str | None,
        typer.Option(
            help="Where to begin: shipped device or TOML file; the experiment's own without it.",
            show_default=False,
            autocompletion=completion.devices,
        ),
    ] = None,
    cost: Annotated[
        str, typer.Option(help="What to make small: joules, watts, device_s, joules_per_op, frames.")
    ] = "joules",
    trials: Annotated[int, typer.Option(help="Cards to try.")] = 40,
    seeds: Annotated[int, typer.Option(help="Seeds 0 .. N-1 of each trial.")] = 3,
    confirm: Annotated[int, typer.Option(help="Fresh seeds that the winner must stand.")] = 5,
    set_: Annotated[
        list[str] | None,
        changes(
            "Change the base, for example trainer.epochs=10; a key of the search is then fixed.",
            completion.experiment_keys,
        ),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="Search a key in [A, B, ...] or LOW..HIGH, for example camera.adc_bits=4..8. Repeatable.",
            autocompletion=completion.card_keys,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the proposals.")] = 0,
    workers: Workers = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory; runs/fit-<experiment> without it.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; nothing that is done is run again.")] = False,
    as_json: AsJson = False,
    plot: Annotated[bool, typer.Option("--plot", help="Also write fit.png: cost against accuracy.")] = False,
) -> None:
    """The cheapest card that reaches an accuracy on a task: camera, exposure, light, bits, rows; with the trials."""
    from benchmarks import console
    from benchmarks.fit.run import default_folder, fit
    from benchmarks.fit.space import parse_space
    from benchmarks.fit.task import make_task

    task = make_task(
        experiment,
        accuracy,
        device=device,
        cost=cost,
        trials=trials,
        seeds=seeds,
        confirm=confirm,
        seed=seed,
        settings=parsed(set_),
        space=parse_space(space or []),
    )
    folder = out or default_folder(task, resume=resume)
    console.note(f"{task.goal()}: at most {trials} trials of {seeds} seeds")
    for entry in task.space.dimensions:
        console.note(f"  {entry.key}: {entry.words()} ({entry.why})")
    with console.StopOnSignal() as stop, console.PointsBar() as bar:
        bar.start(0, task.points)
        fitted = fit(task, folder, workers=workers, resume=resume, on_point=bar.point, should_stop=stop.asked)
    raise typer.Exit(_show_fit(fitted, as_json=as_json, plot=plot))


def _card(device: str, assignments: Sequence[str] | None) -> DeviceCard:
    """Card with the changes of `--set`, which is what a message on one of them names."""
    from opu_sim.cards import load_card

    settings = parsed(assignments)
    return load_card(device, settings, dict.fromkeys(settings, "--set "))


def _show_fit(fitted: Any, *, as_json: bool, plot: bool) -> int:
    """Tables or the document, the figure, complaints; the exit status."""
    from benchmarks import console
    from benchmarks.fit import figure, tables

    document = fitted.document
    if plot:
        write_files(document, plot=fitted.folder / figure.FILE, draw=figure.draw)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.table(*tables.space_table(document), title="search space", fold=False)
        console.table(*tables.table(document), title="trials, best first", fold=False)
        for line in tables.verdict(document):
            typer.echo(line)
        typer.echo(f"{fitted.ran} runs now, all others were stored before; written to {fitted.folder}")
        console.note(document["conventions"])
    for line in [*tables.failures(document), *tables.warned(fitted.told)]:
        typer.echo(f"opu: {line}", err=True)
    if document["winner"] is None:
        typer.echo(f"opu: {tables.nothing_found(document)}", err=True)
    return 1 if document["winner"] is None or fitted.faults else 0
