"""What the terminal shows: progress on stderr (silent when it is no terminal), tables on stdout."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from opu_sim.self_test import SelfTest

out = Console()
err = Console(stderr=True)
_WIDE = 1000


def note(text: str) -> None:
    """A line on stderr, on a terminal only."""
    if err.is_terminal:
        err.print(text, style="dim", highlight=False)


class StopOnSignal:
    """Turns the first Ctrl-C (or SIGTERM) into a question that the training loop asks; a second one interrupts."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether to stop after this batch."""
        return self._asked

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


class TrainingBar:
    """Progress over the batches of all epochs."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("training", epoch=1, epochs=epochs)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, epoch: int, step: int, steps: int) -> None:
        """After each batch."""
        done = epoch * steps + step
        self._progress.update(self._task, completed=done, total=self._epochs * steps, epoch=epoch + 1)


def table(header: list[str], rows: list[list[str]], title: str | None = None, *, fold: bool = True) -> None:
    """A plain table; the first column is left-aligned, the others right-aligned.

    fold: outside a terminal, too, which has no width, fold cells into some 80 characters.
    """
    shown = Table(title=title, title_justify="left", header_style="bold")
    for index, name in enumerate(header):
        shown.add_column(name, justify="right" if index else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    (out if fold or out.is_terminal else Console(width=_WIDE)).print(shown)


def training_table(result: dict[str, Any], folder: Path) -> None:
    """The closing table of a run: accuracy, then simulated device figures, then host figures, kept apart."""
    metrics, device, host = result["metrics"], result["device"], result["host"]
    rows = [
        [f"{part} accuracy", f"{100 * metrics[part]['accuracy']:.2f} %"]
        for part in ("train", "validation", "test")
        if metrics[part]
    ]
    rows += [
        [f"{part} perplexity", f"{metrics[part]['perplexity']:.2f}"]
        for part in ("train", "validation", "test")
        if "perplexity" in metrics[part]
    ]
    if "selected_epoch" in result:
        rows.append(["  with the weights of epoch (best validation)", str(result["selected_epoch"])])
    rows.append(["alignment to backpropagation", ", ".join(f"{cosine:.2f}" for cosine in result["alignment"])])
    if device["device_s"]:
        rows += [
            ["device", device["name"]],
            *([["  medium simulated", device["medium"]]] if "medium" in device else []),
            ["  projections, frames", f"{device['projections']:,}, {device['frames']:,}"],
            ["  device time (simulated)", _seconds(device["device_s"])],
            ["  a projection (one sample, node or token)", _a_projection(device)],
            ["  power, energy", f"{device['watts']:.1f} W, {device['joules']:.4g} J"],
            ["  TeraOPS peak (all of the device, at full rate)", f"{device['teraops_peak']:.0f}"],
            ["  TeraOPS optical (what light did in the frames)", f"{device['teraops_optical']:.3g}"],
            ["  TeraOPS delivered (2 x n_in x n_out)", f"{device['teraops_delivered']:.3g}"],
            ["  utilisation (delivered / peak)", f"{device['utilisation']:.3g}"],
            ["  joules an op delivered", f"{device['joules_per_op']:.3g} J"],
        ]
    else:
        rows.append(["device", "none: all digital"])
    rows += [
        [
            "host time (this program)",
            f"{host['host_s']:.1f} s, of it {host['projection_host_s']:.1f} s simulating",
        ],
        ["written to", str(folder)],
    ]
    table([f"{result['experiment']['name']}, {result['method']}", "seed " + str(result["seed"])], rows)


def device_tables(document: dict[str, Any]) -> None:
    """`opu device show`: headline, stages, and every figure of the card with its source."""
    rate, bank = document["frame_rate_hz"], document.get("bank")
    parts = "2 x rows x columns x symbol rate" if bank else "2 x mirrors x pixels x full-frame rate"
    head = [
        [f"TeraOPS peak ({parts})", f"{document['teraops_peak']:.0f}"],
        ["watts", f"{document['watts']:.1f}"],
        ["TeraOPS a watt", f"{document['teraops_per_watt']:.1f}"],
    ]
    if bank:
        head.append(["symbol rate", f"{1e-9 * rate['default']:g} GHz"])
        head += [[key.replace("_", " "), f"{value:.4g}"] for key, value in bank.items()]
    else:
        head += [
            ["frame rate, default region of interest", f"{rate['default']:.0f} Hz"],
            ["frame rate, full frame", f"{rate['full']:.0f} Hz"],
        ]
    optics = document["optics"]
    if optics:
        head += [
            ["independent outputs (one a speckle grain)", f"{optics['independent_outputs']}"],
            ["speckle contrast", f"{optics['speckle_contrast']:.3f}"],
            [
                "DMD efficiency, of it diffraction",
                f"{optics['dmd_efficiency']:.2f}, {optics['diffraction_efficiency']:.2f}",
            ],
            ["frames a pattern", f"{optics['frames_a_pattern']}"],
        ]
        if optics["memory_range_rad"] is not None:
            head.append(["memory effect, range", f"{1e3 * optics['memory_range_rad']:.3g} mrad"])
    table([document["name"], "derived from the parts"], head)
    stages = document["stages"]
    if stages:
        rows = [[s["name"], f"{s['watts']:.2f}", f"{1e6 * s['seconds']:.4g}", s["source"]] for s in stages]
        table(["stage", "W", "us a frame (stages overlap)", "source"], rows)
    figures = [[f["key"], f"{f['value']:g}", f["source"] or "not stated"] for f in document["figures"]]
    if figures:
        table(["figure on the card", "value", "source"], figures)


def reproduction_tables(documents: list[dict[str, Any]]) -> None:
    """`opu reproduce`: published figures beside ours, and the claims that must hold."""
    from benchmarks import reproduce

    for document in documents:
        short = ", a short version" if document["quick"] else ""
        table(*reproduce.table(document), title=f"{document['title']}{short}", fold=False)
        table(*reproduce.criteria_table(document), fold=False)
        note(document["conventions"])


def check_table(test: SelfTest) -> None:
    """`opu device check`: a line a check; why some were not compared; the verdict."""
    words = {True: "[green]pass[/]", False: "[bold red]FAIL[/]", None: "–"}
    rows, open_ = [], dict[str, list[str]]()
    for check in test.checks:
        name = f"{check.name} ({check.unit})" if check.unit else check.name
        tolerance = "–" if check.tolerance is None else f"± {_figure(check.tolerance)}"
        rows.append([name, _figure(check.measured), _figure(check.expected), tolerance, words[check.passed]])
        if check.passed is None:
            open_.setdefault(check.note, []).append(check.name)
    title = f"{test.n_in} inputs, {test.n_out} outputs, seed {test.seed}"
    table([test.device, "measured", "expected", "tolerance", "verdict"], rows, title)
    for line in [*test.notes, *(f"not compared ({why}): {'; '.join(names)}" for why, names in open_.items())]:
        out.print(line, highlight=False, markup=False)
    out.print(test.summary(), highlight=False, markup=False, style="bold green" if test.passed else "bold red")


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"


def _a_projection(device: dict[str, Any]) -> str:
    count = device["projections"]
    frames, seconds, joules = (device[key] / count for key in ("frames", "device_s", "joules"))
    return f"{frames:.3g} frames, {1e3 * seconds:.3g} ms, {1e3 * joules:.3g} mJ"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1.0 else f"{seconds:.3g} s"
