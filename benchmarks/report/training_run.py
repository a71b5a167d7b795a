"""Report of a run directory of `opu train`: finished, or as far as its checkpoint goes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from pydantic import Field

from benchmarks.report import figures, training_figures
from benchmarks.report.files import Stored, read_json, read_png, read_text
from benchmarks.report.page import Cell, Figure, Listing, Page, Section, Table, cell, number, pairs, provenance
from dfa import checkpoint
from dfa.config import load_experiment
from opu_sim.config import refused, validated

_SCHEMA = "opu-sim/result/"
_SHOWN_ROWS = 12  # of a table by epoch; a longer one is folded away
_PARTS = ("train", "validation", "test")

CONVENTIONS = (
    "One op is one multiplication or one addition; a projection of one vector is 2 · n_in · n_out ops. TeraOPS peak: "
    "2 · mirrors · pixels · full-frame rate (a microring bank: 2 · rows · columns · symbol rate). "
    "TeraOPS optical: 2 · mirrors used · pixels read, of the frames really shown, over device time. TeraOPS delivered: "
    "2 · n_in · n_out for each projection that training received, over device time. Utilisation: delivered over peak.",
    "Device time is the simulated clock of the optical device (exposure, read-out, pattern load, link, latency); host "
    "time is the wall clock of the simulating program. They never mix. Watts: joules over device seconds; the host "
    "computer is not in it.",
    "Alignment: cosine between a hidden layer's update and the one of backpropagation; 1 is backpropagation itself, "
    "0 chance.",
)


class _Device(Stored):
    name: str
    medium: str | None = None
    projections: int
    frames: int
    repeated_frames: int | None = None
    device_s: float
    joules: float
    watts: float
    teraops_peak: float
    teraops_optical: float
    teraops_delivered: float
    utilisation: float
    joules_per_op: float
    stage_s: dict[str, float] = Field(default_factory=dict)
    stage_joules: dict[str, float] = Field(default_factory=dict)


class _Host(Stored):
    host_s: float
    projection_host_s: float | None = None
    peak_rss_bytes: int | None = None


class Result(Stored):
    """`result.json`."""

    experiment: dict[str, Any]
    seed: int
    method: str
    metrics: dict[str, dict[str, float]]
    selected_epoch: int | None = None
    device: _Device
    host: _Host
    alignment: list[float] = Field(default_factory=list)
    provenance: dict[str, Any]


def is_run(folder: Path) -> bool:
    """Whether the folder holds a run of `opu train`, finished or not."""
    return (folder / "result.json").is_file() or (folder / checkpoint.FILE).is_file()


def page(folder: Path) -> Page:
    """The report of a run.

    Raises
    ------
    ConfigError
        A file of the run is damaged.
    """
    if not (folder / "result.json").is_file():
        return _unfinished(folder)
    path = folder / "result.json"
    document = read_json(path)
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith(_SCHEMA):
        raise refused(f"{path}: not a result of `opu train`: schema must begin with {_SCHEMA}")
    result = validated(Result, document, str(path))
    history, notices = _history(folder / "history.csv"), []
    if not history:
        notices.append("history.csv is missing: no learning curves.")
    if not (folder / "config.toml").is_file():
        notices.append("config.toml is missing: the configuration below is the one in result.json.")
    report = Page(
        title=f"{result.experiment.get('name', folder.resolve().name)}, {result.method}, seed {result.seed}",
        kind="Training run",
        lead=_sentence(result.experiment),
        tiles=_tiles(result),
        notices=notices,
    )
    report.sections = [
        _learning(history, _metrics_table(result), _test_line(result)),
        *_device(result.device, folder),
        _host(result.host),
        _setting(result.experiment, folder),
        Section("Conventions", text=CONVENTIONS),
        Section("Provenance", tables=[provenance(result.provenance)]),
    ]
    return report


def _sentence(experiment: Mapping[str, Any]) -> str:
    return f"{experiment['description']}." if experiment.get("description") else "A training run."


def _tiles(result: Result) -> list[tuple[str, str]]:
    tiles = []
    shown = next((part for part in reversed(_PARTS) if result.metrics.get(part)), None)
    if shown is not None:
        metrics = result.metrics[shown]
        key = next((name for name in ("perplexity", "accuracy") if name in metrics), next(iter(metrics)))
        tiles.append((_metric(key, metrics[key]).text, f"{shown} {_metric_name(key)}"))
    device = result.device
    if device.device_s:
        tiles += [
            (f"{number(device.device_s)} s", "device time, simulated"),
            (f"{number(device.joules)} J", "device energy"),
            (f"{number(device.watts, 3)} W", "device power"),
            (number(device.teraops_delivered, 3), "TeraOPS delivered"),
            (number(device.utilisation, 3), "utilisation, delivered / peak"),
        ]
    else:
        tiles.append(("none", "simulated device: all digital"))
    return tiles


def _metric_name(key: str) -> str:
    return "accuracy" if key == "accuracy" else key.replace("_", " ")


def _metric(key: str, value: float | None) -> Cell:
    if value is None:
        return Cell("–")
    return Cell(f"{100 * value:.2f} %", value) if key.endswith("accuracy") else cell(value)


def _metrics_table(result: Result) -> Table:
    parts = [part for part in result.metrics if result.metrics[part]]
    keys = list(dict.fromkeys(key for part in parts for key in result.metrics[part]))
    rows = [[Cell(part), *(_metric(key, result.metrics[part].get(key)) for key in keys)] for part in parts]
    epoch = "after the last epoch"
    if result.selected_epoch is not None:
        epoch = f"with the weights of epoch {result.selected_epoch}, the best on the validation set"
    return Table(f"Metrics, {epoch}", ("samples", *map(_metric_name, keys)), rows)


def _test_line(result: Result) -> float | None:
    return result.metrics.get("test", {}).get("accuracy")


def _history(path: Path) -> list[dict[str, float]]:
    """Rows of history.csv; an empty list where there is none.

    Raises
    ------
    ConfigError
        It is damaged.
    """
    if not path.is_file():
        return []
    rows = []
    try:
        for row in csv.DictReader(io.StringIO(read_text(path)), strict=True):
            if None in row or None in row.values():
                raise ValueError("a row of another length than the head")
            if not row.get("epoch"):
                raise ValueError("no epoch")
            rows.append({key: float(value) for key, value in row.items() if value != ""})
    except (ValueError, csv.Error) as error:
        raise refused(f"{path}: damaged: line {len(rows) + 2}: {error}") from None
    return rows


def _learning(history: Sequence[Mapping[str, float]], metrics: Table | None, test: float | None) -> Section:
    """Curves and tables of what was learned; of times there is nothing here."""
    drawn, tables = [], [metrics] if metrics is not None else []
    if history:
        if any(f"{part}_loss" in history[0] for part, _, _ in training_figures.CURVES):
            drawn.append(
                Figure("Loss against epochs.", figures.drawn(lambda axes: training_figures.loss(axes, history)))
            )
        if any(f"{part}_accuracy" in history[0] for part, _, _ in training_figures.CURVES):
            caption = "Accuracy against epochs" + (" (dashed: test set, final)." if test is not None else ".")
            drawn.append(Figure(caption, figures.drawn(lambda axes: training_figures.accuracy(axes, history, test))))
        layers = [key for key in history[0] if key.startswith("alignment_")]
        if layers:
            caption = "Cosine of each layer's or block's update to backpropagation's, on an epoch's last full batch."
            drawn.append(Figure(caption, figures.drawn(lambda axes: training_figures.alignment(axes, history, layers))))
        keys = [key for key in history[0] if not key.endswith("_s")]
        body = [[_metric(key, row.get(key)) if key != "epoch" else cell(int(row[key])) for key in keys]
                for row in history]  # fmt: skip
        tables.append(
            Table("Epoch by epoch", [key.replace("_", " ") for key in keys], body, folded=len(body) > _SHOWN_ROWS)
        )
    return Section("Learning", figures=drawn, tables=tables)


def _device(device: _Device, folder: Path) -> list[Section]:
    """Simulated figures: what the device did and spent, and what its camera saw."""
    if not device.device_s:
        return [Section("Device (simulated)", text=["All digital: no simulated device took part."])]
    spent = pairs(
        "What the device did and spent (simulated)",
        [
            ("device", device.name),
            *([("medium", device.medium)] if device.medium else []),
            ("projections", device.projections),
            ("frames", device.frames),
            *([("frames shown again", device.repeated_frames)] if device.repeated_frames else []),
            ("device time [s]", device.device_s),
            ("energy [J]", device.joules),
            ("power [W]", device.watts),
            ("TeraOPS peak", device.teraops_peak),
            ("TeraOPS optical", device.teraops_optical),
            ("TeraOPS delivered", device.teraops_delivered),
            ("utilisation, delivered / peak", device.utilisation),
            ("joules an op delivered", device.joules_per_op),
        ],
    )
    drawn, tables = [], [spent]
    if device.stage_joules:
        names, values = list(device.stage_joules), list(device.stage_joules.values())
        caption = "Energy by part; every part draws its power for as long as the device is on."
        drawn.append(Figure(caption, figures.drawn(lambda axes: _bars(axes, names, values, "energy [J]"))))
        rows = [[Cell(name), cell(value), _share(value, sum(values))] for name, value in device.stage_joules.items()]
        tables.append(Table("Energy by part", ("part", "energy [J]", "share"), rows))
    if device.stage_s:
        rows = [
            [Cell(name.replace("_", " ")), cell(value), _share(value, device.device_s)]
            for name, value in device.stage_s.items()
        ]
        caption = "Busy time by stage (stages overlap: no sum)"
        tables.append(Table(caption, ("stage", "device time [s]", "share of device time"), rows))
        stages, busy = [name.replace("_", " ") for name in device.stage_s], list(device.stage_s.values())
        caption = "Device time in which each stage was busy; stages overlap, so that shares do not add up to 100 %."
        painted = figures.drawn(lambda axes: _bars(axes, stages, busy, "device time [s]", of=device.device_s))
        drawn.append(Figure(caption, painted))
    sections = [Section("Device (simulated)", figures=drawn, tables=tables)]
    frame = read_png(folder / "camera_frame.png")
    if frame is not None:
        caption = (
            "A frame as the camera of this device counts it, every other input on; and how often each count occurs."
        )
        sections.append(Section("Camera frame", sheets=[Figure(caption, png=frame)]))
    return sections


def _bars(axes: Axes, names: list[str], values: list[float], label: str, of: float | None = None) -> None:
    figures.bars(axes, names, values, label, of=of)
    axes.set_title("Energy by part" if of is None else "Busy time by stage")


def _share(value: float, total: float) -> Cell:
    return Cell(f"{value / total:.1%}", value / total) if total else Cell("–")


def _host(host: _Host) -> Section:
    rows: list[tuple[str, Any]] = [("wall clock of this program [s]", host.host_s)]
    if host.projection_host_s is not None:
        rows.append(("of it simulating the device [s]", host.projection_host_s))
    if host.peak_rss_bytes is not None:
        rows.append(("peak memory [MB]", host.peak_rss_bytes / 1e6))
    return Section("Host (this computer)", tables=[pairs("What the simulation itself took", rows)])


def _setting(experiment: Mapping[str, Any], folder: Path) -> Section:
    path = folder / "config.toml"
    if path.is_file():
        text, listing = read_text(path), "config.toml"
        said = ["`opu train config.toml` runs again to the same numbers."]
    else:
        import tomli_w

        text, listing, said = tomli_w.dumps(dict(experiment)), "experiment of result.json", []
    return Section("Configuration", text=said, listings=[Listing(listing, text)])


def _unfinished(folder: Path) -> Page:
    """What config.toml and the checkpoint of an unfinished run tell."""
    path = folder / "config.toml"
    if not path.is_file():
        raise refused(f"{folder}: holds {checkpoint.FILE} and neither result.json nor config.toml: nothing to report")
    experiment = load_experiment(path)
    _, state = checkpoint.load(folder / checkpoint.FILE, experiment.sha256)
    try:
        history = [{str(key): float(value) for key, value in row.items()} for row in state["progress"]["history"]]
        done, host_s = int(state["progress"]["epoch"]), float(state["progress"]["host_s"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refused(f"{folder / checkpoint.FILE}: damaged checkpoint: {error!r}") from None
    wanted = experiment.trainer.epochs
    report = Page(
        title=f"{experiment.name}, {experiment.method}, seed {experiment.seed}",
        kind="Training run, unfinished",
        lead=_sentence(experiment.table()),
        tiles=[(f"{done} of {wanted}", "epochs done")],
        notices=[
            f"This run is not finished: {done} of {wanted} epochs are done and result.json is not written. "
            f"`opu train {path} --resume --out {folder}` goes on with it."
        ],
    )
    if not history:
        report.notices = [*report.notices, "No epoch is complete yet: no learning curves."]
    else:
        report.sections.append(_learning(history, None, None))
    report.sections += [
        Section("Host (this computer)", tables=[pairs("So far", [("wall clock of this program [s]", host_s)])]),
        _setting(experiment.table(), folder),
        Section("Conventions", text=CONVENTIONS),
    ]
    return report
