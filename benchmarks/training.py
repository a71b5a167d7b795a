"""The five methods on one experiment: accuracy over seeds, and an optical epoch against a digital one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from dfa import provenance
from dfa.config import METHODS, load_experiment
from dfa.task import load_data
from dfa.trainer import Trainer

CONVENTIONS = (
    "accuracy: test set, of the weights that trainer.selection says (the last epoch's, or those of the first epoch "
    "with the best validation accuracy), mean and sample standard deviation over seeds. host_s_per_epoch: wall clock "
    "of this program on one epoch's training steps, median over all epochs of all seeds; the methods take turns, "
    "epoch by epoch, in one process. optical_over_digital_epoch: odfa over dfa, ratio of each pair of epochs, median "
    "[min, max]; the first pair, which loads kernels, is left out. device figures: simulated, of seed 0; one op is one "
    "multiplication or one addition, TeraOPS delivered = 2 n_in n_out a projection over device time."
)


def measure(
    experiment: str, seeds: int, settings: Mapping[str, Any], progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Train every method with seeds 0 .. seeds - 1 in this process; the JSON document of `opu bench training`."""
    resolved = load_experiment(experiment, settings=settings)
    origin = provenance.collect(config_sha256=resolved.sha256, started_at=provenance.now())
    trainers = {method: load_experiment(experiment, method=method, settings=settings).trainer for method in METHODS}
    runs = []
    for seed in range(seeds):
        if progress is not None:
            progress(f"{experiment}: seed {seed} of {seeds}")
        runs.append(_train_in_turns(experiment, seed, settings))
    pairs = [(o, d) for run in runs for o, d in zip(run["odfa"]["host_s"], run["dfa"]["host_s"], strict=False)]
    ratios = [optical / digital for optical, digital in pairs][1:] or [pairs[0][0] / pairs[0][1]]
    return {
        "experiment": resolved.table(),
        "seeds": seeds,
        "rows": [
            {**_row(method, [run[method] for run in runs]), "trainer": trainers[method].model_dump(mode="json")}
            for method in METHODS
        ],
        "optical_over_digital_epoch": {
            "median": float(np.median(ratios)),
            "min": min(ratios),
            "max": max(ratios),
            "pairs": len(ratios),
        },
        "conventions": CONVENTIONS,
        "provenance": origin,
    }


def _train_in_turns(experiment: str, seed: int, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resolved = {m: load_experiment(experiment, method=m, seed=seed, settings=settings) for m in METHODS}
    data = load_data(resolved["bp"])
    with ExitStack() as stack:
        trainers = {m: stack.enter_context(Trainer(e, data=data)) for m, e in resolved.items()}
        for epoch in range(max(trainer.experiment.trainer.epochs for trainer in trainers.values())):
            for trainer in trainers.values():
                if epoch < trainer.experiment.trainer.epochs:
                    trainer.fit_epoch()
        return {method: _outcome(trainer) for method, trainer in trainers.items()}


def _outcome(trainer: Trainer) -> dict[str, Any]:
    projector = trainer.feedback.projector
    history = trainer.progress.history
    return {
        "accuracy": trainer.metrics()["test"]["accuracy"],
        "alignment": trainer.progress.alignment,
        "host_s": np.diff([0.0, *(row["host_s"] for row in history)]).tolist(),
        "device": projector.report() if projector is not None and projector.ledger.device_s else None,
    }


def _row(method: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [run["accuracy"] for run in runs]
    return {
        "method": method,
        "accuracies": accuracies,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "alignment": np.mean([run["alignment"] for run in runs], axis=0).tolist(),
        "host_s_per_epoch": float(np.median([value for run in runs for value in run["host_s"]])),
        "device": runs[0]["device"],
    }


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text."""
    header = ["method", "test accuracy [%]", "alignment", "host s an epoch", "device s", "J", "W", "TeraOPS delivered"]
    header.append("utilisation")
    rows = []
    for row in document["rows"]:
        std = row["accuracy_std"]
        device = row["device"]
        spent = ["", "", "", "", ""]
        if device is not None:
            spent = [
                f"{device['device_s']:.0f}",
                f"{device['joules']:.0f}",
                f"{device['watts']:.1f}",
                f"{device['teraops_delivered']:.2g}",
                f"{device['utilisation']:.1g}",
            ]
        rows.append(
            [
                row["method"],
                f"{100 * row['accuracy_mean']:.2f}" + (f" ± {100 * std:.2f}" if std is not None else ""),
                ", ".join(f"{cosine:.2f}" for cosine in row["alignment"]),
                f"{row['host_s_per_epoch']:.2g}",
                *spent,
            ]
        )
    return header, rows
