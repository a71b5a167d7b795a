"""What a search came to, as `fit.json` and as a device card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w

from benchmarks.fit.search import Found, Measured, Trial, feasible, front, light, ranked
from benchmarks.fit.space import TRIGGER
from benchmarks.fit.task import COSTS, Task, card_of
from opu_sim.config import shipped_names

SCHEMA = "opu-sim/fit/1"
CONVENTIONS = (
    "accuracy: mean of the test set's over the trial's seeds, and its standard error, the sample standard deviation "
    "over the root of their number. feasible: that mean is at least the accuracy asked for, nothing added or taken "
    "off. cost: mean over seeds, of the device's simulated clock and ledger over the whole training, calibration "
    "included, the host computer not; costs within 1e-6 are equal, and in order of light, laser power x exposure. "
    "winner: the cheapest feasible configuration whose mean over fresh seeds, which no trial had, is feasible as "
    "well. front: no other trial is as cheap and as accurate and better in one. Trials are proposed in batches of "
    "four by Optuna's tree-structured Parzen estimator with the seed, or are the whole space where it is small "
    "enough; the number of workers decides nothing."
)


def card_toml(task: Task, winner: Trial) -> str:
    """The winning card as a device file: every figure stated, those that were searched with the search as source."""
    card = card_of(task.resolved(winner.parameters, 0))
    table = card.model_dump(mode="json", exclude_none=True)
    table["name"] = f"{card.name}-fit"
    table["description"] = f"{card.name}, {task.goal()}, by opu device fit"
    if card.camera.model is not None and card.camera.model not in shipped_names("cameras"):
        del table["camera"]["model"]  # a path from elsewhere; all of the camera's figures are here
    for key in [*winner.parameters, TRIGGER]:
        part, _, name = key.rpartition(".")
        if name != "model":
            table["sources"].setdefault(part, {})[name] = f"opu device fit: {task.goal()}"
    return tomli_w.dumps(table)


def make_document(task: Task, found: Found, origin: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON document of a search that came to its end; origin: its provenance."""
    base = task.start()
    entries = {trial.number: _entry(trial, task, base) for trial in found.trials}
    best = ranked(found.trials, task.accuracy, task.cost, base)
    return {
        "schema": SCHEMA,
        "experiment": task.base.table(),
        "device": task.card.name,
        "accuracy": task.accuracy,
        "cost": task.cost,
        "seeds": list(range(task.seeds)),
        "fresh_seeds": list(range(task.seeds, task.seeds + task.confirm)),
        "search": {"seed": task.seed, "kind": "whole space" if found.whole else "tree-structured Parzen estimator"},
        "space": task.space.document(),
        "fixed": [
            {"key": key, "value": value, "why": "free-running trigger" if key == f"device.{TRIGGER}" else "--set"}
            for key, value in task.settings.items()
        ],
        "trials": [entries[trial.number] for trial in found.trials],
        "ranking": [trial.number for trial in best],
        "front": [trial.number for trial in front(found.trials, task.cost)],
        "base": next((trial.number for trial in found.trials if trial.base), None),
        "winner": None if found.winner is None else found.winner.number,
        "conventions": CONVENTIONS,
        "provenance": dict(origin),
    }


def _entry(trial: Trial, task: Task, base: Mapping[str, Any]) -> dict[str, Any]:
    measured = trial.measured
    out: dict[str, Any] = {"number": trial.number, "parameters": trial.parameters}
    if measured.error is not None:
        return out | {"status": "failed", "error": measured.error, "feasible": False}
    return out | {
        "status": "done",
        "feasible": feasible(measured, task.accuracy),
        "light_nj": light(trial.parameters, base),
        **_summary(measured),
        "confirmation": None if trial.confirmation is None else _confirmation(trial.confirmation, task),
    }


def _confirmation(measured: Measured, task: Task) -> dict[str, Any]:
    if measured.error is not None:
        return {"status": "failed", "error": measured.error, "feasible": False}
    return {"status": "done", "feasible": feasible(measured, task.accuracy), **_summary(measured)}


def _summary(measured: Measured) -> dict[str, Any]:
    return {
        "accuracies": measured.values("accuracy"),
        "accuracy_mean": measured.mean("accuracy"),
        "accuracy_se": measured.standard_error("accuracy"),
        **{name: measured.mean(name) for name in (*COSTS, "frame_rate_hz")},
    }
