"""The search of `opu device fit`: trials, one constraint, and a winner that fresh seeds confirm.

A trial is a configuration with K seeds. It is feasible where the mean accuracy over its seeds is at least the one that
is asked for: no margin is taken off or added, and the standard error of the mean is shown beside it. Of many noisy
means that exceed a limit some do so by luck, the cheapest ones first. So the winner is judged by seeds that no trial
has had: the cheapest feasible configuration whose fresh seeds reach the accuracy as well; the ones before it, which do
not, are listed.

Proposals come from Optuna's tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter
optimization", NeurIPS 24), which takes the constraint into account, or are all of the space where it has no more
points than there are trials. They are asked for in batches of a fixed size, and depend on the seed and on the results
before, never on the number of workers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import Trial as Asked
from optuna.trial import TrialState

from benchmarks.fit.space import EXPOSURE, POWER, Space

BATCH = 4
"""Trials asked for at a time: enough to keep several workers busy."""
_STARTUP = 10
_SAME = 1e-6
"""Relative difference below which costs are a tie."""


@dataclass(frozen=True)
class Measured:
    """What came of a configuration: quantities by seed, or the line that says why there are none."""

    seeds: tuple[int, ...] = ()
    quantities: tuple[Mapping[str, float], ...] = ()
    error: str | None = None

    def values(self, name: str) -> list[float]:
        """Of a quantity, by seed."""
        return [entry[name] for entry in self.quantities]

    def mean(self, name: str) -> float:
        """Over seeds."""
        return statistics.fmean(self.values(name))

    def standard_error(self, name: str) -> float | None:
        """Of the mean over seeds; None for one seed."""
        values = self.values(name)
        return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


@dataclass
class Trial:
    """A configuration that was tried."""

    number: int
    parameters: dict[str, Any]
    measured: Measured
    base: bool = False
    """It is the card that the search began with."""
    confirmation: Measured | None = None
    """Of fresh seeds; None where there was no need."""


@dataclass
class Found:
    """All trials in their order, and the winner, if any."""

    trials: list[Trial] = field(default_factory=list)
    whole: bool = False
    """Every configuration of the space was tried."""
    winner: Trial | None = None


Evaluate = Callable[[Sequence[Mapping[str, Any]], Sequence[int]], list[Measured]]
"""(configurations, seeds) -> what came of each."""


def feasible(measured: Measured | None, accuracy: float) -> bool:
    """Whether the mean over seeds reaches the accuracy."""
    return measured is not None and measured.error is None and measured.mean("accuracy") >= accuracy


def light(parameters: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    """Laser power times exposure [nJ]: photons a frame are proportional to it. An automatic exposure counts as 1 us."""
    power, exposure = (parameters.get(key, base.get(key)) for key in (POWER, EXPOSURE))
    return float(power or 0.0) * float(1.0 if exposure is None else exposure)


def ranked(trials: Sequence[Trial], accuracy: float, cost: str, base: Mapping[str, Any]) -> list[Trial]:
    """Best first: feasible ones by cost, ties by light; then the others by accuracy; then those without a result.

    Of trials of one configuration only the first is kept.
    """
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(repr(sorted(trial.parameters.items())), trial)

    def place(trial: Trial) -> tuple[float, ...]:
        if trial.measured.error is not None:
            return (2.0, trial.number)
        if not feasible(trial.measured, accuracy):
            return (1.0, -trial.measured.mean("accuracy"), trial.number)
        digits = -round(math.log10(_SAME))
        return (0.0, float(f"{trial.measured.mean(cost):.{digits}g}"), light(trial.parameters, base), trial.number)

    return sorted(first.values(), key=place)


def search(
    space: Space,
    evaluate: Evaluate,
    *,
    accuracy: float,
    cost: str,
    trials: int,
    seeds: Sequence[int],
    fresh: Sequence[int],
    seed: int,
    base: Mapping[str, Any],
) -> Found:
    """Look for the cheapest configuration that reaches the accuracy.

    Parameters
    ----------
    evaluate : trains; raises what ends the search
    cost : name of the quantity that is to be small
    trials : configurations at most
    seeds, fresh : of a trial, and of the confirmation
    seed : of the proposals
    base : the card to begin with, by key; the first trial where it lies in the space
    """
    whole = space.whole(trials)
    found = Found(whole=whole is not None)
    if whole is not None:
        for parameters, measured in zip(whole, evaluate(whole, seeds), strict=True):
            found.trials.append(Trial(len(found.trials), parameters, measured, _is_base(parameters, base)))
    else:
        _propose(space, evaluate, found, accuracy, cost, trials, seeds, seed, base)
    for trial in ranked(found.trials, accuracy, cost, base):
        if not feasible(trial.measured, accuracy):
            break
        trial.confirmation = evaluate([trial.parameters], fresh)[0]
        if feasible(trial.confirmation, accuracy):
            found.winner = trial
            break
    return found


def _is_base(parameters: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    return all(base.get(key) == value for key, value in parameters.items())


def _propose(
    space: Space,
    evaluate: Evaluate,
    found: Found,
    accuracy: float,
    cost: str,
    trials: int,
    seeds: Sequence[int],
    seed: int,
    base: Mapping[str, Any],
) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)
    study = optuna.create_study(sampler=sampler)
    if (first := space.enqueued(base)) is not None:
        study.enqueue_trial(first)
    while len(found.trials) < trials:
        asked = [study.ask() for _ in range(min(BATCH, trials - len(found.trials)))]
        suggested = [space.suggest(entry) for entry in asked]
        for entry, parameters, measured in zip(asked, suggested, evaluate(suggested, seeds), strict=True):
            _tell(study, entry, measured, accuracy, cost)
            found.trials.append(Trial(len(found.trials), parameters, measured, _is_base(parameters, base)))


def _tell(study: optuna.Study, asked: Asked, measured: Measured, accuracy: float, cost: str) -> None:
    if measured.error is not None:
        study.tell(asked, state=TrialState.FAIL)
        return
    asked.set_constraint("accuracy", accuracy - measured.mean("accuracy"))
    study.tell(asked, measured.mean(cost))


def front(trials: Sequence[Trial], cost: str) -> list[Trial]:
    """Those that no other one beats in both cost and accuracy, the cheapest first."""
    kept: list[Trial] = []
    known = [trial for trial in trials if trial.measured.error is None]
    for trial in sorted(known, key=lambda t: (t.measured.mean(cost), -t.measured.mean("accuracy"), t.number)):
        if not kept or trial.measured.mean("accuracy") > kept[-1].measured.mean("accuracy"):
            kept.append(trial)
    return kept
