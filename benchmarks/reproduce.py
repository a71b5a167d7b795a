"""Published results beside ours: every figure of ours comes from result files of `opu bench training`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.published import SYSTEMS, Criterion, Figure, System
from dfa.checkpoint import make_writable, write_atomic
from dfa.config import METHODS
from opu_sim.errors import ConfigError

RESULTS = Path(__file__).parent / "results"
QUICK_SEEDS = 2

CONVENTIONS = (
    "ours: test accuracy in %, mean and sample standard deviation s over n seeds. agrees: the published figure lies "
    "where one more run of ours would with 95 % probability, within t s sqrt(1 + 1/n) of the mean, t of Student's "
    "distribution with n - 1 degrees of freedom; otherwise the verdict says how far above or below it ours is. "
    "Differences between methods are taken seed by seed, with their standard error e; 'above' asks for more than t e, "
    "and a claim that does not hold fails if it does not within t e either, and is undecided otherwise. "
    "tags: confirmed (read in the paper), secondary (quoted by others), not found (reported, but no source that could "
    "be read has the figure)."
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
    name: str, folder: Path, *, seeds: int | None, quick: bool, progress: Callable[[str], None] | None = None
) -> None:
    """Train all methods of a system's experiments and write their result files; `--quick` ones say so by name.

    Raises
    ------
    ConfigError
        Unknown system, missing data, a folder that cannot be written.
    """
    chosen = system(name)
    make_writable(folder, "--out")
    count = seeds or (QUICK_SEEDS if quick else chosen.seeds)
    for experiment in chosen.experiments:
        result = training.measure(experiment, count, chosen.quick if quick else {}, progress=progress)
        text = json.dumps({**result, "quick": quick}, indent=2) + "\n"
        write_atomic(folder / _file(experiment, quick), text.encode())


def document(name: str, folder: Path = RESULTS, *, quick: bool = False) -> dict[str, Any]:
    """Published figures, ours and the verdicts, from the result files of a folder.

    Raises
    ------
    ConfigError
        Unknown system, or a result file that is missing, damaged or of something else.
    """
    chosen = system(name)
    stored = {experiment: _stored(folder / _file(experiment, quick), experiment) for experiment in chosen.experiments}
    criteria = [_judged(criterion, stored[criterion.experiment]) for criterion in chosen.criteria]
    return {
        "system": name,
        "title": chosen.title,
        "quick": quick,
        "figures": [_compared(figure, stored[figure.experiment]) for figure in chosen.figures],
        "criteria": criteria,
        "pass": all(criterion["pass"] for criterion in criteria),
        "results": {experiment: result["provenance"] for experiment, result in stored.items()},
        "conventions": CONVENTIONS,
    }


def _file(experiment: str, quick: bool) -> str:
    return f"{experiment}-quick.json" if quick else f"{experiment}.json"


def _stored(path: Path, experiment: str) -> dict[str, Any]:
    remedy = "`opu reproduce NAME --seeds N --out FOLDER` makes it"
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = result["experiment"]["name"], tuple(row["method"] for row in result["rows"])
        counts = {len(row["accuracies"]) for row in result["rows"]}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; {remedy}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a result of `opu bench training`: {error!r}; {remedy}") from None
    if found != (experiment, METHODS) or len(counts) != 1:
        raise ConfigError(f"{path}: holds {found[0]} with {', '.join(found[1])}; must be {experiment} with all methods")
    return result


def _percent(result: Mapping[str, Any], method: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Accuracies [seed] of a method in %."""
    rows = {row["method"]: row["accuracies"] for row in result["rows"]}
    return 100 * np.array(rows[method], np.float64)


def _compared(figure: Figure, result: Mapping[str, Any]) -> dict[str, Any]:
    ours = _percent(result, figure.method)
    mean = float(np.mean(ours))
    std = float(np.std(ours, ddof=1)) if len(ours) > 1 else None
    return {
        "what": figure.what,
        "method": figure.method,
        "published": figure.accuracy,
        "source": figure.source,
        "tag": figure.tag,
        "mean": mean,
        "std": std,
        "seeds": len(ours),
        "verdict": verdict(figure.accuracy, mean, std, len(ours)),
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


def _judged(criterion: Criterion, result: Mapping[str, Any]) -> dict[str, Any]:
    difference = _percent(result, criterion.method) - _percent(result, criterion.other)
    mean, count = float(np.mean(difference)), len(difference)
    error = float(np.std(difference, ddof=1)) / count**0.5 if count > 1 else None
    interval = _student_t(count) * (error or 0.0)
    if criterion.points is None:
        passed, contradicted, wanted = mean > interval, mean <= 0, f"above {criterion.other}"
    else:
        wanted = f"at most {criterion.points:g} points below {criterion.other}"
        passed, contradicted = mean >= -criterion.points, mean + interval < -criterion.points
    return {
        "experiment": criterion.experiment,
        "method": criterion.method,
        "wanted": wanted,
        "difference": mean,
        "standard_error": error,
        "seeds": count,
        "pass": passed,
        "verdict": "pass" if passed else "FAIL" if contradicted else "undecided: more seeds",
    }


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the published figures beside ours."""
    header = ["result", "published [%]", "tag", "ours [%]", "seeds", "verdict", "source"]
    rows = []
    for figure in document["figures"]:
        published = "" if figure["published"] is None else f"{figure['published']:.1f}"
        ours = _spread(figure["mean"], figure["std"])
        what = f"{figure['what']} ({figure['method']})"
        seeds = str(figure["seeds"])
        rows.append([what, published, figure["tag"], ours, seeds, figure["verdict"], figure["source"]])
    return header, rows


def criteria_table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the claims that must hold; differences in points with their standard error."""
    rows = [
        [
            f"{c['experiment']}: {c['method']} {c['wanted']}",
            ("+" if c["difference"] > 0 else "") + _spread(c["difference"], c["standard_error"]),
            c["verdict"],
        ]
        for c in document["criteria"]
    ]
    return ["claim", "difference [points]", "verdict"], rows


def _spread(mean: float, spread: float | None) -> str:
    return f"{mean:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
