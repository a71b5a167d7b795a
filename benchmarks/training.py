"""The five methods on one experiment: accuracy over seeds, and an optical epoch against a digital one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dfa import provenance
from dfa.config import METHODS, load_experiment
from dfa.trainer import Trainer

CONVENTIONS = (
    "accuracy: test set after the last epoch, mean and sample standard deviation over seeds. host_s_per_epoch: wall "
    "clock of this program on one epoch's training steps, median over all epochs of all seeds; methods take turns, "
    "seed by seed, in one process. device figures: simulated; one op is one multiplication or one addition, "
    "TeraOPS delivered = 2 n_in n_out a projection over device time."
)


def measure(
    experiment: str, seeds: int, settings: Mapping[str, Any], progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Train every method with seeds 0 .. seeds - 1 in this process; the JSON document of `opu bench training`."""
    started_at = provenance.now()
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        for method in METHODS:
            if progress is not None:
                progress(f"{experiment}: {method}, seed {seed}")
            runs[method].append(_run(experiment, method, seed, settings))
    rows = [_row(method, some) for method, some in runs.items()]
    host = {row["method"]: row["host_s_per_epoch"] for row in rows}
    resolved = load_experiment(experiment, settings=settings)
    return {
        "experiment": resolved.table(),
        "seeds": seeds,
        "rows": rows,
        "optical_over_digital_epoch": host["odfa"] / host["dfa"],
        "conventions": CONVENTIONS,
        "provenance": provenance.collect(config_sha256=resolved.sha256, started_at=started_at),
    }


def _run(experiment: str, method: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    resolved = load_experiment(experiment, method=method, seed=seed, settings=settings)
    with Trainer(resolved) as trainer:
        history = trainer.fit()
        projector = trainer.feedback.projector
        return {
            "accuracy": trainer.evaluate(trainer.data.test_x, trainer.data.test_y)["accuracy"],
            "alignment": trainer.progress.alignment,
            "host_s": np.diff([0.0, *(row["host_s"] for row in history)]).tolist(),
            "device": projector.report() if projector is not None and method == "odfa" else None,
        }


def _row(method: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [run["accuracy"] for run in runs]
    return {
        "method": method,
        "accuracies": accuracies,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "alignment": np.mean([run["alignment"] for run in runs], axis=0).tolist(),
        # The first epoch of a process loads kernels; the median does not see it.
        "host_s_per_epoch": float(np.median([value for run in runs for value in run["host_s"]])),
        "device": runs[0]["device"],
    }


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text."""
    header = [
        "method",
        "test accuracy [%]",
        "seeds",
        "alignment",
        "host s an epoch",
        "device s",
        "J",
        "W",
        "TeraOPS",
    ]
    rows = []
    for row in document["rows"]:
        std = row["accuracy_std"]
        device = row["device"]
        spent = ["", "", "", ""]
        if device is not None:
            spent = [
                f"{device['device_s']:.0f}",
                f"{device['joules']:.0f}",
                f"{device['watts']:.1f}",
                f"{device['teraops_delivered']:.2g}",
            ]
        rows.append(
            [
                row["method"],
                f"{100 * row['accuracy_mean']:.2f}" + (f" ± {100 * std:.2f}" if std is not None else ""),
                str(len(row["accuracies"])),
                ", ".join(f"{cosine:.2f}" for cosine in row["alignment"]),
                f"{row['host_s_per_epoch']:.3g}",
                *spent,
            ]
        )
    return header, rows
