"""The command `opu`. Nothing heavy is imported before a command needs it, so that `opu --help` answers at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import BLAS_WAIT, completion

if TYPE_CHECKING:
    from opu_sim.cards import DeviceCard

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
device_app = typer.Typer(
    help="Device cards: list them, show the budget derived from one, test one.",
    epilog="Example: opu device show lighton-aurora",
    no_args_is_help=True,
)
data_app = typer.Typer(
    help="Data sets: list them, download with SHA-256 check.",
    epilog="Example: opu data fetch mnist",
    no_args_is_help=True,
)
bench_app = typer.Typer(
    help="Benchmarks: JSON first, tables and plots from it.",
    epilog="Example: opu bench throughput --quick",
    no_args_is_help=True,
)
app.add_typer(device_app, name="device")
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")


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
    device: Annotated[
        str | None,
        typer.Option(
            help="Shipped device or TOML file; the experiment's own without it.",
            show_default=False,
            autocompletion=completion.devices,
        ),
    ] = None,
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
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override, for example device.camera.adc_bits=6; a key's unit is the end of its name. Repeatable.",
            autocompletion=completion.experiment_keys,
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
    from opu_sim.config import parse_assignment

    settings = dict(parse_assignment(text) for text in set_ or [])
    resolved = load_experiment(experiment, device=device, method=method, seed=seed, settings=settings)
    folder = out or default_folder(resolved, resume=resume)
    console.note(f"{resolved.name}: {resolved.description}; method {resolved.method}, seed {resolved.seed}")
    with console.StopOnSignal() as stop, console.TrainingBar(resolved.trainer.epochs) as bar:
        result = train_run(resolved, folder, resume=resume, on_step=bar.step, should_stop=stop.asked)
    console.training_table(result, folder)


@device_app.command("list", epilog="Example: opu device list")
def device_list() -> None:
    """Names of the shipped devices, with a line on each."""
    from opu_sim.cards import device_names, load_card

    for name in device_names():
        typer.echo(f"{name:20} {load_card(name).description}")


@device_app.command("show", epilog="Example: opu device show lighton-aurora --set camera.roi_rows=64")
def device_show(
    device: Annotated[str, typer.Argument(help="Shipped device or TOML file.", autocompletion=completion.devices)],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override, for example camera.adc_bits=6; a key's unit is the end of its name. Repeatable.",
            autocompletion=completion.card_keys,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """The budget derived from a card: TeraOPS, watts, frame rates, stage by stage, each figure with its source."""
    from benchmarks import console
    from opu_sim.budget import budget

    document = budget(_card(device, set_))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.device_tables(document)


@device_app.command(
    "check",
    epilog="Example: opu device check lighton-aurora --plot aurora.png\n\n"
    "Exit status 1 if a check fails. Checks that this device cannot make are listed, and count neither way.",
)
def device_check(
    device: Annotated[str, typer.Argument(help="Shipped device or TOML file.", autocompletion=completion.devices)],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override, for example camera.adc_bits=10; a key's unit is the end of its name. Repeatable.",
            autocompletion=completion.card_keys,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the device and of the patterns.")] = 0,
    n_in: Annotated[int | None, typer.Option(help="Inputs; 256 without it.", show_default=False)] = None,
    n_out: Annotated[int | None, typer.Option(help="Outputs; 2048 without it.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also write a figure sheet (PNG).", show_default=False)] = None,
) -> None:
    """Acceptance test of a device: speckle, matrix, linearity, noise, drift and frames against what its card says."""
    from benchmarks import console
    from dfa.checkpoint import make_file_writable
    from opu_sim.self_test import device_to_test, self_test

    if plot is not None:
        make_file_writable(plot, "--plot")
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
        from benchmarks.plots_check import draw

        draw(test, plot)
    if not test.passed:
        raise typer.Exit(1)


@device_app.command(
    "fit",
    epilog="Example: opu device fit digits-mlp --accuracy 0.95 --set trainer.epochs=10 --plot\n\n"
    "Example: opu device fit --accuracy 0.95 --space camera.model=imx174 --space laser.power_mw=1..50 --trials 20\n\n"
    "Searches camera, exposure, laser power, ADC bits and rows read; the bounds are shown, --space changes them. The "
    "card found is DIR/card.toml. All runs of a trial, four trials at a time, share the workers; results depend on "
    "--seed only. Exit status 1 if no card reaches the accuracy.",
)
def device_fit(
    accuracy: Annotated[float, typer.Option(metavar="X", help="Test accuracy that must be reached, as 0.95.")],
    experiment: Annotated[
        str, typer.Argument(help="Shipped name or TOML file.", autocompletion=completion.experiments)
    ] = "digits-mlp",
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
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the base, for example trainer.epochs=10; a key of the search is then fixed. Repeatable.",
            autocompletion=completion.experiment_keys,
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
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; one a core without it.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory; runs/fit-<experiment> without it.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; nothing that is done is run again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Also write fit.png: cost against accuracy.")] = False,
) -> None:
    """The cheapest card that reaches an accuracy on a task: camera, exposure, light, bits, rows; with the trials."""
    from benchmarks import console, fit, fit_space
    from opu_sim.config import parse_assignment

    task = fit.make_task(
        experiment,
        accuracy,
        device=device,
        cost=cost,
        trials=trials,
        seeds=seeds,
        confirm=confirm,
        seed=seed,
        settings=dict(parse_assignment(text) for text in set_ or []),
        space=fit_space.parse_space(space or []),
    )
    folder = out or fit.default_folder(task, resume=resume)
    console.note(f"{task.goal()}: at most {trials} trials of {seeds} seeds")
    for entry in task.space.dimensions:
        console.note(f"  {entry.key}: {entry.words()} ({entry.why})")
    with console.StopOnSignal() as stop, console.PointsBar() as bar:
        bar.start(0, task.points)
        fitted = fit.fit(task, folder, workers=workers, resume=resume, on_point=bar.point, should_stop=stop.asked)
    raise typer.Exit(_show_fit(fitted, as_json=as_json, plot=plot))


@data_app.command("list", epilog="Example: OPU_DATA_DIR=~/data opu data list")
def data_list() -> None:
    """Data sets, their licence, and where they are found now."""
    from dfa.sources import catalogue

    for source, where in catalogue():
        typer.echo(f"{source.name:15} {source.description}; {source.licence}; {where}")


@data_app.command("fetch", epilog="Example: opu data fetch mnist")
def data_fetch(
    name: Annotated[str, typer.Argument(help="Name as in `opu data list`.", autocompletion=completion.data_sets)],
) -> None:
    """Download a data set into the cache; the SHA-256 of every file is checked."""
    from dfa.sources import fetch

    typer.echo(fetch(name, progress=True))


@bench_app.command("throughput", epilog="Example: opu bench throughput --quick --json > throughput.json")
def bench_throughput(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Four small rows, under a minute.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also write a log-log plot (PNG).", show_default=False)] = None,
) -> None:
    """Simulator speed (host) and device speed over sizes, beside the bare products or FFTs and plain NumPy."""
    from benchmarks import console
    from benchmarks.plots_throughput import plot as draw
    from benchmarks.plots_throughput import summary, table
    from benchmarks.throughput import measure
    from dfa.checkpoint import make_file_writable

    if plot is not None:
        make_file_writable(plot, "--plot")
    document = measure(quick=quick, progress=console.note)
    if plot is not None:
        draw(document, plot)
    _report(document, as_json, *table(document))
    if not as_json:
        for line in summary(document):
            typer.echo(line)


@bench_app.command("training", epilog="Example: opu bench training mnist-mlp --seeds 3 --out mnist-mlp.json")
def bench_training(
    experiment: Annotated[
        str, typer.Argument(help="Shipped name or TOML file.", autocompletion=completion.experiments)
    ] = "digits-mlp",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 .. N-1 of each method.")] = 3,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override, for example trainer.epochs=3. Repeatable.",
            autocompletion=completion.experiment_keys,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """All five methods on one experiment: accuracy over seeds, host seconds an epoch, device TeraOPS and watts."""
    from benchmarks import console
    from benchmarks.training import measure, table
    from dfa.checkpoint import make_file_writable, write_atomic
    from opu_sim.config import parse_assignment

    if out is not None:
        make_file_writable(out, "--out")
    settings = dict(parse_assignment(text) for text in set_ or [])
    document = measure(experiment, seeds, settings, progress=console.note)
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    _report(document, as_json, *table(document))


@bench_app.command(
    "bank-sizes", epilog="Example: opu bench bank-sizes --bits 6 --out bank-sizes.json --plot bank-sizes.png"
)
def bench_bank_sizes(
    device: Annotated[str, typer.Option(help="Shipped weight bank or TOML file.")] = "filipovich-50x20",
    bits: Annotated[float, typer.Option(min=1.0, help="Bits of a reading that the lasers are to give.")] = 8.0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, for example clock.symbol_rate_ghz=5."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option(help="Also write the figure (PNG).", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Microring weight banks of 10 x 10 to 1000 x 100: TeraOPS, watts, pJ an operation by part, rings that it takes."""
    from benchmarks.bank_sizes import measure, table
    from benchmarks.bank_sizes import plot as draw
    from dfa.checkpoint import make_file_writable, write_atomic
    from opu_sim.config import parse_assignment

    for path, option in ((out, "--out"), (plot, "--plot")):
        if path is not None:
            make_file_writable(path, option)
    document = measure(device, bits, dict(parse_assignment(text) for text in set_ or []))
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    if plot is not None:
        draw(document, plot)
    _report(document, as_json, *table(document))


@bench_app.command(
    "pytorch",
    epilog="Example: opu bench pytorch --out pytorch.json\n\nNeeds PyTorch (`pip install torch`) beside this program; "
    "exit status 1 where the trainer is slower than it may be, except with --quick.",
)
def bench_pytorch(
    quick: Annotated[bool, typer.Option("--quick", help="Short epochs, few turns: to see that it works.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """The digital trainer beside PyTorch on the same cores, in turns: a DFA epoch, a Transformer's step."""
    from benchmarks import console
    from benchmarks.pytorch import measure, table
    from dfa.checkpoint import make_file_writable, write_atomic

    if out is not None:
        make_file_writable(out, "--out")
    document = measure(quick, progress=console.note)
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    _report(document, as_json, *table(document))
    if not document["pass"] and not quick:
        raise typer.Exit(1)


@bench_app.command(
    "tradeoffs",
    epilog="Example: opu bench tradeoffs digits-mlp --seeds 3 --out tradeoffs.json --plot tradeoffs.png\n\n"
    "Exit status 1 if a quantity does not go the way that the physics says.",
)
def bench_tradeoffs(
    experiment: Annotated[
        str, typer.Argument(help="Shipped name or TOML file.", autocompletion=completion.experiments)
    ] = "digits-mlp",
    device: Annotated[
        str | None,
        typer.Option(
            help="Shipped device or TOML file; the experiment's own without it.",
            show_default=False,
            autocompletion=completion.devices,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 .. N-1 of each point.")] = 3,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the base, for example device.timing.latency_s=0 (seconds). Repeatable.",
            autocompletion=completion.experiment_keys,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three points a sweep, one seed: seconds.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option(help="Also write the figure (PNG).", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Laser power, exposure, ADC bits and rows read against accuracy, bits, frame rate, watts and joules."""
    from benchmarks import console
    from benchmarks.plots_tradeoffs import plot as draw
    from benchmarks.plots_tradeoffs import table, verdict
    from benchmarks.tradeoffs import measure
    from dfa.checkpoint import make_file_writable, write_atomic
    from opu_sim.config import parse_assignment

    for path, option in ((out, "--out"), (plot, "--plot")):
        if path is not None:
            make_file_writable(path, option)
    settings = dict(parse_assignment(text) for text in set_ or [])
    document = measure(experiment, seeds, device=device, settings=settings, quick=quick, progress=console.note)
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    if plot is not None:
        draw(document, plot)
    _report(document, as_json, *table(document))
    if not as_json:
        typer.echo(verdict(document))
    if not document["pass"]:
        raise typer.Exit(1)


@bench_app.command(
    "devices",
    epilog="Example: opu bench devices digits-mlp --device lighton-aurora --device filipovich-50x20 --plot devices.png",
)
def bench_devices(
    experiment: Annotated[str, typer.Argument(help="Shipped name or TOML file.")] = "digits-mlp",
    device: Annotated[
        list[str] | None,
        typer.Option(help="Shipped device or TOML file; lighton-aurora and filipovich-50x20.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 .. N-1 for each device.")] = 3,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override for all, for example trainer.epochs=3."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option(help="Also write the figure (PNG).", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """The same network trained through several devices: accuracy, device seconds, joules, pJ an op, utilisation."""
    from benchmarks import console
    from benchmarks.devices import measure, table
    from benchmarks.plots_devices import plot as draw
    from dfa.checkpoint import make_writable, write_atomic
    from opu_sim.config import parse_assignment

    for path, option in ((out, "--out"), (plot, "--plot")):
        if path is not None:
            make_writable(path.parent, option)
    settings = dict(parse_assignment(text) for text in set_ or [])
    devices = device or ["lighton-aurora", "filipovich-50x20"]
    document = measure(experiment, devices, seeds, settings, progress=console.note)
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    if plot is not None:
        draw(document, plot)
    _report(document, as_json, *table(document))


@bench_app.command(
    "energy",
    epilog="Example: opu bench energy 20000x20000x3000 --device lighton-aurora --against h100 --efficiency 0.6\n\n"
    "Example: opu bench energy runs/digits-mlp-odfa-seed0/result.json --json",
)
def bench_energy(
    workload: Annotated[
        str, typer.Argument(metavar="[WORKLOAD]", help="N_INxN_OUT[xVECTORS], or a run's result.json.")
    ] = "10000x10000x3000",
    device: Annotated[
        list[str] | None,
        typer.Option(help="Shipped device or TOML file, repeatable; all shipped without it.", show_default=False),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Electronic card or TOML file, repeatable; all shipped without it.", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of --device, as camera.roi_rows=64."),
    ] = None,
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
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option(help="Also write the figure (PNG).", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Seconds, joules, TeraOPS of a workload beside electronic cards; from which size, and model, optics is ahead."""
    from benchmarks import console, energy, energy_tables
    from benchmarks import energy_workload as given
    from benchmarks.training_time import assumptions
    from dfa.checkpoint import make_writable, write_atomic
    from opu_sim.config import parse_assignment

    for path, option in ((out, "--out"), (plot, "--plot")):
        if path is not None:
            make_writable(path.parent, option)
    document = energy.measure(
        given.parse_workload(workload),
        devices=device or (),
        settings=dict(parse_assignment(text) for text in set_ or []),
        wanted=given.parse_operations(operation or ()),
        cards=given.parse_cards(against or (), efficiency or ()),
        precision=given.parse_precision(precision),
        assumptions=assumptions(assume or ()),
        progress=console.note,
    )
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    if plot is not None:
        from benchmarks.plots_energy import plot as draw

        draw(document, plot)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for title, table in energy_tables.shown(document):
        console.table(*table, title=title, fold=False)
    for line in energy_tables.notes(document):
        console.out.print(line, highlight=False, markup=False)


@bench_app.command(
    "sweep",
    epilog="Example: opu bench sweep adc-bits --out sweep-speed.json\n\n"
    "Wants an idle machine. Exit status 1 if results differ.",
)
def bench_sweep(
    sweep: Annotated[str, typer.Argument(help="Shipped name or TOML file.")] = "adc-bits",
    workers: Annotated[
        list[int] | None,
        typer.Option("--workers", min=1, help="Repeat for each number; 1 and 2 without it.", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each is run, in turns.")] = 3,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the base, for example trainer.epochs=30."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Points a minute of a sweep by number of workers, and whether results are the same to the bit."""
    from benchmarks import console
    from benchmarks.sweep_speed import measure, table
    from dfa.checkpoint import make_writable, write_atomic

    if out is not None:
        make_writable(out.parent, "--out")
    document = measure(sweep, workers or [1, 2], rounds, set_ or [], progress=console.note)
    if out is not None:
        write_atomic(out, (json.dumps(document, indent=2) + "\n").encode())
    _report(document, as_json, *table(document))
    if not document["same_results"]:
        raise typer.Exit(1)


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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
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


def _card(device: str, assignments: Sequence[str] | None) -> DeviceCard:
    """Card with the changes of `--set`, which is what a message on one of them names."""
    from opu_sim.cards import load_card
    from opu_sim.config import parse_assignment

    settings = dict(parse_assignment(text) for text in assignments or [])
    return load_card(device, settings, dict.fromkeys(settings, "--set "))


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
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; one a core without it.", show_default=False)
    ] = None,
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
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the base, for example trainer.epochs=3.",
            autocompletion=completion.experiment_keys,
        ),
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
    from opu_sim.config import parse_assignment

    settings = dict(parse_assignment(text) for text in set_ or [])
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


def _show_fit(fitted: Any, *, as_json: bool, plot: bool) -> int:
    """Tables or the document, the figure, complaints; the exit status."""
    from benchmarks import console, fit, plots_fit

    document = fitted.document
    if plot:
        plots_fit.draw(document, fitted.folder / fit.FIGURE)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.table(*plots_fit.space_table(document), title="search space", fold=False)
        console.table(*plots_fit.table(document), title="trials, best first", fold=False)
        for line in plots_fit.verdict(document):
            typer.echo(line)
        typer.echo(f"{fitted.ran} runs now, all others were stored before; written to {fitted.folder}")
        console.note(document["conventions"])
    for line in [*plots_fit.failures(document), *plots_fit.warned(fitted.told)]:
        typer.echo(f"opu: {line}", err=True)
    if document["winner"] is None:
        typer.echo(f"opu: {plots_fit.nothing_found(document)}", err=True)
    return 1 if document["winner"] is None or fitted.faults else 0


def _report(document: dict[str, Any], as_json: bool, header: list[str], rows: list[list[str]]) -> None:
    from benchmarks import console

    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        console.table(header, rows, fold=False)
        console.note(document["conventions"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1, 2 (the user's input) or 130 (interrupted)."""
    # Idle BLAS threads spin for 25 ms by default and slow down the kernels' own threads; see also `opu_sim`.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", BLAS_WAIT)
    from benchmarks.failures import exit_status

    return exit_status(lambda: app(args=arguments, standalone_mode=False, prog_name="opu"))


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())


if __name__ == "__main__":
    run()
