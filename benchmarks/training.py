"""Variants of one experiment over seeds: test metrics, device figures, an optical epoch against a digital one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.variants import METHOD_VARIANTS, METRICS, Variant
from dfa import provenance
from dfa.config import Experiment, load_experiment
from dfa.task import load_data
from dfa.trainer import Trainer

CONVENTIONS = (
    "accuracy and other metrics: test set, of the weights that trainer.selection says (the last epoch's, or those of "
    "the first epoch with the best validation accuracy), mean and sample standard deviation over seeds. "
    "host_s_per_epoch: wall clock of this program on one epoch's training steps, median over all epochs of all seeds. "
    "device figures: simulated, of seed 0; one op is one multiplication or one addition, TeraOPS delivered = "
    "2 n_in n_out a projection over device time."
)
CONVENTIONS_OF_TURNS = (
    " The methods take turns, epoch by epoch, in one process. optical_over_digital_epoch: odfa over dfa, ratio of each "
    "pair of epochs, median [min, max]; the first pair, which loads kernels, is left out."
)


def measure(
    experiment: str, seeds: int, settings: Mapping[str, Any], progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Train every method with seeds 0 .. seeds - 1 in this process; the JSON document of `opu bench training`."""
    origin = begin(experiment, settings)
    runs = []
    for seed in range(seeds):
        if progress is not None:
            progress(f"{experiment}: seed {seed} of {seeds}")
        runs.append(_train_in_turns(experiment, seed, settings))
    pairs = [(o, d) for run in runs for o, d in zip(run["odfa"]["host_s"], run["dfa"]["host_s"], strict=False)]
    ratios = [optical / digital for optical, digital in pairs][1:] or [pairs[0][0] / pairs[0][1]]
    document = assemble(experiment, METHOD_VARIANTS, settings, runs, origin)
    document["optical_over_digital_epoch"] = {
        "median": float(np.median(ratios)),
        "min": min(ratios),
        "max": max(ratios),
        "pairs": len(ratios),
    }
    document["conventions"] += CONVENTIONS_OF_TURNS
    return document


def begin(experiment: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance of results that are made from now on.

    Raises
    ------
    ConfigError
        As `load_experiment`.
    """
    resolved = load_experiment(experiment, settings=settings)
    return provenance.collect(config_sha256=resolved.sha256, started_at=provenance.now())


def assemble(
    experiment: str,
    variants: Sequence[Variant],
    settings: Mapping[str, Any],
    runs: Sequence[Mapping[str, Mapping[str, Any]]],
    origin: Mapping[str, Any],
    metric: str = "accuracy",
) -> dict[str, Any]:
    """The result document from the outcome of every seed and variant; `metric` is the one that `table` shows."""
    return {
        "experiment": load_experiment(experiment, settings=settings).table(),
        "seeds": len(runs),
        "metric": metric,
        "rows": [_row(v, v.resolved(experiment, settings), [run[v.name] for run in runs]) for v in variants],
        "conventions": CONVENTIONS,
        "provenance": dict(origin),
    }


def train(experiment: Experiment) -> dict[str, Any]:
    """Train to the last epoch, without a run directory; what a run leaves for `assemble`, JSON-ready."""
    with Trainer(experiment) as trainer:
        while trainer.progress.epoch < experiment.trainer.epochs:
            trainer.fit_epoch()
        return _outcome(trainer)


def _train_in_turns(experiment: str, seed: int, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resolved = {variant.name: variant.resolved(experiment, settings, seed) for variant in METHOD_VARIANTS}
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
        "metrics": trainer.metrics()["test"],
        "selected_epoch": trainer.best.epoch if trainer.best is not None else None,
        "alignment": trainer.progress.alignment,
        "alignments": trainer.progress.alignments,
        "host_s": np.diff([0.0, *(row["host_s"] for row in history)]).tolist(),
        "device": projector.report() if projector is not None and projector.ledger.device_s else None,
    }


def _row(variant: Variant, resolved: Experiment, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    metrics = {name: [run["metrics"][name] for run in runs] for name in runs[0]["metrics"]}
    accuracies = metrics["accuracy"]
    return {
        "variant": variant.name,
        "method": variant.method,
        "metrics": metrics,
        "accuracies": accuracies,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "alignment": np.mean([run["alignment"] for run in runs], axis=0).tolist(),
        **_over_steps([run["alignments"] for run in runs]),
        "selected_epochs": [run["selected_epoch"] for run in runs],
        "host_s_per_epoch": float(np.median([value for run in runs for value in run["host_s"]])),
        "device": runs[0]["device"],
        "settings": dict(variant.settings),
        "device_card": resolved.device if variant.method == "odfa" else None,
        "trainer": resolved.trainer.model_dump(mode="json"),
    }


def _over_steps(runs: Sequence[Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Cosines [step, segment] over the run, mean over seeds, where they were measured; see `alignment_every`."""
    if not runs[0]:
        return {}
    rows = np.array(runs).mean(axis=0)
    return {"alignment_steps": rows[:, 0].astype(int).tolist(), "alignment_over_steps": rows[:, 1:].tolist()}


def variant_of(row: Mapping[str, Any]) -> str:
    """Name of a row's variant; in files from before there were variants, its method."""
    return str(row.get("variant", row["method"]))


def metrics_of(row: Mapping[str, Any]) -> dict[str, list[float]]:
    """Metrics of a row, a value a seed; in files from before there were several, accuracy."""
    found: dict[str, list[float]] = row.get("metrics") or {"accuracy": row["accuracies"]}
    return found


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text, with the metric that the document names."""
    metric = METRICS[document.get("metric", "accuracy")]
    head = "method" if all(variant_of(row) == row["method"] for row in document["rows"]) else "variant"
    header = [head, metric.column, "alignment", "host s an epoch", "device s", "J", "W", "TeraOPS delivered"]
    header.append("utilisation")
    rows = []
    for row in document["rows"]:
        values = metric.scale * np.array(metrics_of(row)[metric.name])
        device = row["device"]
        spent = ["", "", "", "", ""]
        if device is not None:
            spent = [
                f"{device['device_s']:.0f}" if device["device_s"] >= 10 else f"{device['device_s']:.2g}",
                f"{device['joules']:.0f}" if device["joules"] >= 10 else f"{device['joules']:.2g}",
                f"{device['watts']:.1f}",
                f"{device['teraops_delivered']:.2g}",
                f"{device['utilisation']:.1g}",
            ]
        rows.append(
            [
                variant_of(row),
                mean_and_spread(values),
                ", ".join(f"{cosine:.2f}" for cosine in row["alignment"]),
                f"{row['host_s_per_epoch']:.2g}",
                *spent,
            ]
        )
    return header, rows


def mean_and_spread(values: Sequence[float] | np.ndarray[Any, Any]) -> str:
    """Mean over seeds, with the sample standard deviation where there are two or more."""
    spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{spread}"
