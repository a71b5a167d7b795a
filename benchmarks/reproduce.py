"""Published results beside ours: every figure of ours comes from result files, never from this program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.published import SYSTEMS, Criterion, Figure, System
from benchmarks.runs import Runs
from benchmarks.variants import Metric
from dfa.checkpoint import make_writable, write_atomic
from opu_sim.errors import ConfigError

RESULTS = Path(__file__).parent / "results"
QUICK_SEEDS = 2

CONVENTIONS = (
    "ours: {column}, mean and sample standard deviation s over n seeds. agrees: the published figure lies "
    "where one more run of ours would with 95 % probability, within t s sqrt(1 + 1/n) of the mean, t of Student's "
    "distribution with n - 1 degrees of freedom; otherwise the verdict says how far above or below it ours is. "
    "Differences between variants are taken seed by seed, with their standard error e; '{above}' asks for more than "
    "t e, and a claim that does not hold fails if it does not within t e either, and is undecided otherwise. "
    "tags: confirmed (read in the paper), secondary (quoted by others), recollected (from memory, found in no source), "
    "not found (reported, but no source that could be read has the figure)."
)


def system(name: str) -> System:
    """A published system by name.

    Raises
    ------
    ConfigError
        There is none of this name.
    """
    if name not in SYSTEMS:
        raise ConfigError(f"{name!r}: no such system; there are {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def make(
    name: str,
    folder: Path,
    *,
    seeds: int | None,
    quick: bool,
    variants: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> bool:
    """Train the variants of a system's experiments and write their result files; `--quick` ones say so by name.

    Finished runs are kept in the folder until an experiment's result file can be written, so that a killed command
    goes on where it was. `variants`: only these, all where it is empty. False where others are still to be made.

    Raises
    ------
    ConfigError
        Unknown system or variant, missing data, a folder that cannot be written.
    """
    chosen = system(name)
    names = [variant.name for variant in chosen.variants]
    if unknown := [variant for variant in variants if variant not in names]:
        raise ConfigError(f"--variant {unknown[0]!r}: must be one of {', '.join(names)}")
    make_writable(folder, "--out")
    settings = chosen.quick if quick else {}
    count = seeds or (min(QUICK_SEEDS, chosen.seeds) if quick else chosen.seeds)
    complete = True
    for experiment in chosen.experiments:
        origin = training.begin(experiment, settings)
        path = folder / _file(experiment, quick)
        runs = Runs(experiment, chosen.variants, count, settings, path.with_name(f"{path.stem}-runs"))
        if not runs.make(variants or names, progress):
            complete = False
            continue
        outcomes, commits = runs.outcomes()
        made = {**origin, "commits_of_runs": commits}
        result = training.assemble(experiment, chosen.variants, settings, outcomes, made, chosen.metric.name)
        write_atomic(path, (json.dumps({**result, "quick": quick}, indent=2) + "\n").encode())
        runs.clear()
    return complete


def document(name: str, folder: Path = RESULTS, *, quick: bool = False) -> dict[str, Any]:
    """Published figures, ours and the verdicts, from the result files of a folder.

    Raises
    ------
    ConfigError
        Unknown system, or a result file that is missing, damaged or of something else.
    """
    chosen = system(name)
    stored = {e: _stored(folder / _file(e, quick), e, name, chosen) for e in chosen.experiments}
    criteria = [_judged(criterion, chosen, stored[criterion.experiment]) for criterion in chosen.criteria]
    figures = [_compared(figure, chosen, stored[figure.experiment]) for figure in chosen.figures]
    better = chosen.metric.better == "higher"
    return {
        "system": name,
        "title": chosen.title,
        "quick": quick,
        "metric": {"name": chosen.metric.name, "unit": chosen.metric.unit, "better": chosen.metric.better},
        "tables": [_contract_table(name, chosen, figures)],
        "figures": figures,
        "criteria": criteria,
        "pass": all(criterion["pass"] for criterion in criteria),
        "results": {experiment: result["provenance"] for experiment, result in stored.items()},
        "conventions": CONVENTIONS.format(
            column=f"{chosen.metric.title} in {chosen.metric.unit}" if chosen.metric.unit else chosen.metric.title,
            above="above" if better else "below",
        ),
    }


def documents(folder: Path = RESULTS, *, quick: bool = False) -> dict[str, Any]:
    """All systems: their tables together, and the document of each.

    Raises
    ------
    ConfigError
        As `document`.
    """
    every = [document(name, folder, quick=quick) for name in SYSTEMS]
    return {
        "tables": [table for one in every for table in one["tables"]],
        "systems": every,
        "quick": quick,
        "pass": all(one["pass"] for one in every),
    }


def _contract_table(name: str, chosen: System, figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One table of the public contract of `opu reproduce --json`."""
    rows = [
        {
            "name": f"{figure['what']} ({figure['variant']})",
            "published": figure["published"],
            "tag": figure["tag"],
            "ours_mean": figure["mean"],
            "ours_std": figure["std"],
            "seeds": figure["seeds"],
            "verdict": figure["verdict"],
            "source": figure["source"],
        }
        for figure in figures
    ]
    metric = chosen.metric
    return {
        "id": name,
        "system": chosen.title,
        "source": chosen.source,
        "metric": metric.name,
        "unit": metric.unit,
        "rows": rows,
    }


def _file(experiment: str, quick: bool) -> str:
    return f"{experiment}-quick.json" if quick else f"{experiment}.json"


def _stored(path: Path, experiment: str, name: str, chosen: System) -> dict[str, Any]:
    remedy = f"`opu reproduce {name} --seeds N --out FOLDER` makes it"
    wanted = [variant.name for variant in chosen.variants]
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = result["experiment"]["name"], [training.variant_of(row) for row in result["rows"]]
        counts = {len(training.metrics_of(row)[chosen.metric.name]) for row in result["rows"]}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; {remedy}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a result of `opu reproduce {name}`: {error!r}; {remedy}") from None
    if found != (experiment, wanted) or len(counts) != 1:
        holds = f"holds {found[0]} with {', '.join(found[1]) or 'nothing'}"
        raise ConfigError(f"{path}: {holds}; must be {experiment} with {', '.join(wanted)}, as many seeds each")
    return result


def _values(result: Mapping[str, Any], variant: str, metric: Metric) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The metric [seed] of a variant in its unit."""
    rows = {training.variant_of(row): training.metrics_of(row)[metric.name] for row in result["rows"]}
    return metric.scale * np.array(rows[variant], np.float64)


def _method(chosen: System, variant: str) -> str:
    return next(one.method for one in chosen.variants if one.name == variant)


def _compared(figure: Figure, chosen: System, result: Mapping[str, Any]) -> dict[str, Any]:
    ours = _values(result, figure.variant, chosen.metric)
    mean = float(np.mean(ours))
    std = float(np.std(ours, ddof=1)) if len(ours) > 1 else None
    return {
        "what": figure.what,
        "variant": figure.variant,
        "method": _method(chosen, figure.variant),
        "published": figure.value,
        "source": figure.source,
        "tag": figure.tag,
        "mean": mean,
        "std": std,
        "seeds": len(ours),
        "verdict": verdict(figure.value, mean, std, len(ours)),
    }


def verdict(published: float | None, mean: float, std: float | None, seeds: int) -> str:
    """Whether the published figure could be one more run of ours; see `CONVENTIONS`."""
    if published is None:
        return "nothing to compare with"
    if std is None:
        return "one seed: no spread to judge by"
    difference = mean - published
    if abs(difference) <= _student_t(seeds) * std * (1 + 1 / seeds) ** 0.5:
        return "agrees"
    return f"ours {'higher' if difference > 0 else 'lower'} by {abs(difference):.1f}"


def _student_t(seeds: int) -> float:
    """Half the width of the 95 % interval in standard errors; 0 for one seed, which has none."""
    from scipy.special import stdtrit  # here and not above: other commands start without it

    return float(stdtrit(seeds - 1, 0.975)) if seeds > 1 else 0.0


def _judged(criterion: Criterion, chosen: System, result: Mapping[str, Any]) -> dict[str, Any]:
    metric = chosen.metric
    quantity = _quantity(criterion, metric, result)
    mean, count = float(np.mean(quantity)), len(quantity)
    error = float(np.std(quantity, ddof=1)) / count**0.5 if count > 1 else None
    interval = _student_t(count) * (error or 0.0)
    low = -np.inf if criterion.low is None else criterion.low
    high = np.inf if criterion.high is None else criterion.high
    if criterion.clear:
        passed, contradicted = mean > low + interval, mean <= low
    else:
        passed, contradicted = low <= mean <= high, mean + interval < low or mean - interval > high
    sign = 1.0 if metric.better == "higher" or criterion.other is None else -1.0
    return {
        "experiment": criterion.experiment,
        "variant": criterion.variant,
        "method": _method(chosen, criterion.variant),
        "wanted": wanted(criterion, metric),
        "unit": "%" if criterion.relative else metric.points if criterion.other else metric.unit,
        # Of two variants: how far above the other one, which for a loss is the worse the higher.
        "value" if criterion.other is None else "difference": sign * mean,
        "standard_error": error,
        "seeds": count,
        "pass": bool(passed),
        "verdict": "pass" if passed else "FAIL" if contradicted else "undecided: more seeds",
    }


def _quantity(criterion: Criterion, metric: Metric, result: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the claim is about, [seed]."""
    own = _values(result, criterion.variant, metric)
    if criterion.other is None:
        return own
    other = _values(result, criterion.other, metric)
    lead = own - other if metric.better == "higher" else other - own
    return 100.0 * lead / other if criterion.relative else lead


def wanted(criterion: Criterion, metric: Metric) -> str:
    """The claim in words."""
    low, high, other = criterion.low, criterion.high, criterion.other
    if other is None:
        unit = f" {metric.unit}" if metric.unit else ""
        if low is not None and high is not None:
            return f"{low:g} to {high:g}{unit}"
        return f"at least {low:g}{unit}" if high is None else f"at most {high:g}{unit}"
    good, bad = ("above", "below") if metric.better == "higher" else ("below", "above")
    unit = " %" if criterion.relative else f" {metric.points}" if metric.points else ""
    if criterion.clear:
        return f"{good} {other}" + (f" by more than {low:g}{unit}" if low else "")
    return f"at most {-(low or 0.0):g}{unit} {bad} {other}"


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the published figures beside ours."""
    unit = f" [{document['metric']['unit']}]" if document["metric"]["unit"] else ""
    header = ["result", f"published{unit}", "tag", f"ours{unit}", "seeds", "verdict", "source"]
    rows = []
    for figure in document["figures"]:
        published = "" if figure["published"] is None else f"{figure['published']:g}"
        ours = _spread(figure["mean"], figure["std"])
        what = f"{figure['what']} ({figure['variant']})"
        seeds = str(figure["seeds"])
        rows.append([what, published, figure["tag"], ours, seeds, figure["verdict"], figure["source"]])
    return header, rows


def criteria_table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the claims that must hold: values, or differences, with their standard error."""
    rows = []
    for c in document["criteria"]:
        value = c["value"] if "value" in c else c["difference"]
        sign = "+" if "difference" in c and value > 0 else ""
        shown = sign + _spread(value, c["standard_error"]) + (f" {c['unit']}" if c["unit"] else "")
        rows.append([f"{c['experiment']}: {c['variant']} {c['wanted']}", shown, c["verdict"]])
    return ["claim", "ours, or difference", "verdict"], rows


def _spread(mean: float, spread: float | None) -> str:
    return f"{mean:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
