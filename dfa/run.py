"""Run directory: what a training run leaves behind, and how it goes on after a break."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dfa import checkpoint, provenance
from dfa.checkpoint import make_writable, remove_partial_files, write_atomic
from dfa.config import Experiment
from dfa.plots import camera_frame_figure, history_figure, save_png
from dfa.trainer import Trainer
from opu_sim import Opu
from opu_sim.errors import ConfigError
from opu_sim.power import Ledger, summary

SCHEMA = "opu-sim/result/1"
_OWN_FILES = ("result.json", "config.toml", "history.csv", checkpoint.FILE)


def default_folder(experiment: Experiment, *, resume: bool) -> Path:
    """`runs/<experiment>-<method>-seed<seed>`; a new run gets the next free number, a resumed one the last used."""
    base = Path("runs") / f"{experiment.name}-{experiment.method}-seed{experiment.seed}"
    candidates = [base] + [base.with_name(f"{base.name}-{number}") for number in range(2, 10_000)]
    used = [folder for folder in candidates if folder.exists()]
    if resume:
        return used[-1] if used else base
    return next(folder for folder in candidates if not folder.exists())


def check(folder: Path, *, resume: bool) -> None:
    """Make sure that a new run overwrites nothing and that a resumed one has a checkpoint; creates nothing.

    Raises
    ------
    ConfigError
        The folder holds another run, there is no run in it to resume, or it cannot be looked into.
    """
    try:
        held = [name for name in _OWN_FILES if (folder / name).exists()]
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be used: {error.strerror}") from None
    if resume and checkpoint.FILE not in held:
        raise ConfigError(f"{folder / checkpoint.FILE}: no checkpoint to resume from")
    if held and not resume:
        raise ConfigError(f"--out {folder}: already holds {held[0]}; use --resume, or choose another folder")


def train(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    on_step: Callable[[int, int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train, write the run directory, return the content of result.json.

    Raises
    ------
    ConfigError
        Bad data, device or folder; a checkpoint of another configuration.
    Interrupted
        `should_stop` said so; the checkpoint is written.
    """
    started_at = provenance.now()
    check(folder, resume=resume)
    # Data and device are checked before the folder is made: a refused run leaves nothing.
    trainer = Trainer(experiment, folder / checkpoint.FILE, on_step, should_stop)
    make_writable(folder, "--out")
    remove_partial_files(folder)
    with trainer:
        if resume:
            trainer.resume()
        else:
            trainer.save()  # so that a run killed in its first epoch can be resumed, too
        write_atomic(folder / "config.toml", experiment.to_toml().encode())
        trainer.fit()
        result = _result(trainer, started_at)
        _write(folder, trainer, result)
    return result


def _result(trainer: Trainer, started_at: str) -> dict[str, Any]:
    experiment, projector = trainer.experiment, trainer.feedback.projector
    return {
        "schema": SCHEMA,
        "experiment": experiment.table(),
        "seed": experiment.seed,
        "method": experiment.method,
        "metrics": trainer.metrics(),
        **({"selected_epoch": trainer.best.epoch} if trainer.best is not None else {}),
        "device": projector.report() if projector is not None else summary("none", Ledger(), 0.0),
        "host": {
            "host_s": trainer.progress.host_s,
            "projection_host_s": trainer.feedback.projection_host_s,
            "peak_rss_bytes": provenance.peak_rss_bytes(),
        },
        "alignment": trainer.progress.alignment,
        "provenance": provenance.collect(config_sha256=experiment.sha256, started_at=started_at),
    }


def _write(folder: Path, trainer: Trainer, result: dict[str, Any]) -> None:
    history = trainer.progress.history
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomic(folder / "history.csv", text.getvalue().encode())
    if alignments := trainer.progress.alignments:
        header = ",".join(["step", *(f"alignment_{segment}" for segment in range(1, len(alignments[0])))])
        lines = [header, *(",".join(map(str, row)) for row in alignments)]
        write_atomic(folder / "alignment.csv", ("\n".join(lines) + "\n").encode())
    write_atomic(folder / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    title = f"{trainer.experiment.name}, {trainer.experiment.method}, seed {trainer.experiment.seed}"
    save_png(history_figure(history, alignments, result, title), folder / "history.png")
    if isinstance(trainer.feedback.projector, Opu):
        opu = trainer.feedback.projector
        pattern = (np.arange(opu.n_in) % 2 == 0).astype(np.uint8)
        save_png(camera_frame_figure(opu, pattern), folder / "camera_frame.png")
