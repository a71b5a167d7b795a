"""`opu train`, `opu reproduce` and `opu report`: a run, published runs beside ours, and a page of either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import completion
from benchmarks.cli.options import AsJson, OwnDevice, changes, parsed

app = typer.Typer()


@app.command(
    epilog="Example: opu train mnist-mlp --method dfa --set trainer.epochs=3 --out runs/try\n\n"
    "Method: bp, dfa (digital), dfa-ternary (digital), odfa (through the device, the default), shallow."
)
def train(
    experiment: Annotated[
        str,
        typer.Argument(
            help="Shipped name (digits-mlp, mnist-mlp, ...) or TOML file.", autocompletion=completion.experiments
        ),
    ] = "digits-mlp",
    device: OwnDevice = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="bp, dfa, dfa-ternary, odfa or shallow; the experiment's own without it.",
            show_default=False,
            autocompletion=completion.methods,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        changes(
            "Override, for example device.camera.adc_bits=6; a key's unit is the end of its name.",
            completion.experiment_keys,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of all random streams; the experiment's own without it.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; runs/<experiment>-... without it.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, bit for bit.")] = False,
) -> None:
    """Train a network and report accuracy, delivered TeraOPS, watts, joules, utilisation."""
    from benchmarks import console
    from dfa.config import load_experiment
    from dfa.run import default_folder
    from dfa.run import train as train_run

    settings = parsed(set_)
    resolved = load_experiment(experiment, device=device, method=method, seed=seed, settings=settings)
    folder = out or default_folder(resolved, resume=resume)
    console.note(f"{resolved.name}: {resolved.description}; method {resolved.method}, seed {resolved.seed}")
    with console.StopOnSignal() as stop, console.TrainingBar(resolved.trainer.epochs) as bar:
        result = train_run(resolved, folder, resume=resume, on_step=bar.step, should_stop=stop.asked)
    console.training_table(result, folder)


@app.command(
    epilog="Example: opu reproduce graphs --quick\n\n"
    "Without --seeds or --quick the tables are made from the stored results. Training again can be broken off: each "
    "finished run (a variant with a seed) is kept in --out, and the same command goes on from there, so that at most "
    "one run is lost; with --variant, several commands can share the work. Exit status 1 if a claim does not hold, "
    "except with --quick, whose two seeds decide little."
)
def reproduce(
    system: Annotated[
        str | None,
        typer.Argument(
            help="Published system: mnist, graphs, ...; all without it.",
            show_default=False,
            autocompletion=completion.published,
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Train again with seeds 0 .. N-1 of each variant.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train again, a short version: two seeds, few epochs.")
    ] = False,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="With --seeds or --quick: train only this one, and keep its runs.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where results are written and read; runs/reproduce for new ones.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Published training results beside ours: figure, source and tag, mean and spread over seeds, verdict."""
    from benchmarks import console
    from benchmarks import reproduce as reproduction

    again = quick or seeds is not None
    if variant and (system is None or not again):
        raise typer.BadParameter("needs a system, and --seeds or --quick", param_hint="'--variant'")
    folder = out or (Path("runs") / "reproduce" if again else reproduction.RESULTS)
    for name in (system,) if system else reproduction.SYSTEMS if again else ():
        if again and not reproduction.make(
            name, folder, seeds=seeds, quick=quick, variants=variant or (), progress=console.note
        ):
            console.err.print(f"{folder}: kept; {name} still lacks runs of other variants", highlight=False)
            return
    if system:
        document = reproduction.document(system, folder, quick=quick)
    else:
        document = reproduction.documents(folder, quick=quick)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.reproduction_tables(document["systems"] if system is None else [document])
    if not document["pass"] and not quick:
        raise typer.Exit(1)


@app.command(
    epilog="Example: opu report runs/digits-mlp-odfa-seed0\n\n"
    "An older report.html is replaced, whole or not at all. The same results give the same file."
)
def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Directory of `opu train` or `opu sweep`, or one that holds the JSON of `opu bench`.",
            show_default=False,
        ),
    ],
) -> None:
    """One HTML file, DIR/report.html, of a run, a benchmark or a sweep: opens anywhere, without a network."""
    from benchmarks import report as reports

    typer.echo(reports.write(folder))
