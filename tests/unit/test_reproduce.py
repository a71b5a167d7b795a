"""Published figures beside ours: verdicts are computed from the stored accuracies, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import reproduce
from benchmarks.published import SYSTEMS
from dfa.config import METHODS, load_experiment
from opu_sim.errors import ConfigError

# Accuracies of three seeds: mean 82.0, deviation 1.0 for bp.
BP = [0.81, 0.82, 0.83]


def write(folder: Path, experiment: str, **changes: list[float]) -> Path:
    accuracies = dict.fromkeys(METHODS, BP) | {"shallow": [0.4, 0.41, 0.42]}
    accuracies |= {method.replace("_", "-"): values for method, values in changes.items()}
    rows = [{"method": method, "accuracies": values} for method, values in accuracies.items()]
    document = {"experiment": {"name": experiment}, "rows": rows, "provenance": {"commit": "c" * 40}}
    path = folder / f"{experiment}.json"
    path.write_text(json.dumps(document))
    return path


def graphs(folder: Path, **changes: list[float]) -> dict[str, Any]:
    write(folder, "cora-gcn", **changes)
    write(folder, "citeseer-gcn")
    return reproduce.document("graphs", folder)


def test_figures_come_from_the_stored_accuracies(tmp_path: Path) -> None:
    first = graphs(tmp_path)["figures"][0]
    assert (first["method"], first["published"], first["tag"], first["seeds"]) == ("bp", 81.5, "secondary", 3)
    assert first["mean"] == pytest.approx(82)
    assert first["std"] == pytest.approx(1)
    moved = graphs(tmp_path, bp=[0.5, 0.6, 0.7])["figures"][0]
    assert moved["mean"] == pytest.approx(60)
    assert moved["std"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("published", "mean", "std", "seeds", "verdict"),
    [
        # Student's t for three degrees of freedom: 3.182 * 1 * sqrt(1 + 1/4) = 3.558
        (80.0, 83.5, 1.0, 4, "agrees"),
        (80.0, 83.6, 1.0, 4, "ours higher by 3.6"),
        (80.0, 76.5, 1.0, 4, "agrees"),
        (80.0, 76.4, 1.0, 4, "ours lower by 3.6"),
        (None, 77.7, 1.0, 4, "nothing to compare with"),
        (80.0, 80.0, None, 1, "one seed: no spread to judge by"),
    ],
)
def test_verdicts(published: float | None, mean: float, std: float | None, seeds: int, verdict: str) -> None:
    assert reproduce.verdict(published, mean, std, seeds) == verdict


@pytest.mark.parametrize("n", [2, 3, 10])
def test_agreeing_runs_of_one_distribution(n: int) -> None:
    """Of figures that are one more run of the same kind, the rule says of 95 % that they agree."""
    trials = 4000
    runs = np.random.default_rng(n).normal(80, 1, (trials, n + 1))
    agree = [
        reproduce.verdict(float(one), float(r.mean()), float(r.std(ddof=1)), n) == "agrees"
        for one, r in zip(runs[:, 0], runs[:, 1:], strict=True)
    ]
    # five deviations of a share of 4000
    assert np.mean(agree) == pytest.approx(0.95, abs=5 * (0.95 * 0.05 / trials) ** 0.5)


def claims(document: dict[str, Any]) -> dict[tuple[str, str], bool]:
    return {(c["method"], c["wanted"]): c["pass"] for c in document["criteria"] if c["experiment"] == "cora-gcn"}


def test_claims_hold_and_fail(tmp_path: Path) -> None:
    good = graphs(tmp_path, dfa=[0.791, 0.801, 0.811])
    assert good["pass"] is True
    assert all(claims(good).values())
    bad = graphs(tmp_path, dfa=[0.78, 0.79, 0.80])  # three points below, seed by seed
    assert bad["pass"] is False
    assert [claim for claim, held in claims(bad).items() if not held] == [("dfa", "at most 2 points below bp")]
    (claim,) = [c for c in bad["criteria"] if not c["pass"]]
    assert claim["verdict"] == "FAIL"
    # 2.3 points below on the mean, with a standard error of 0.9: more seeds could bring it within 2.
    (claim,) = [c for c in graphs(tmp_path, dfa=[0.77, 0.80, 0.82])["criteria"] if not c["pass"]]
    assert claim["verdict"] == "undecided: more seeds"
    equal = graphs(tmp_path, odfa=[0.40, 0.41, 0.42])  # no better than shallow
    assert claims(equal)["odfa", "above shallow"] is False
    # Above on the mean, by less than its 95 % interval: 10 +- 4.3 * 13.
    assert claims(graphs(tmp_path, odfa=[0.35, 0.41, 0.77]))["odfa", "above shallow"] is False


def test_differences_are_taken_seed_by_seed(tmp_path: Path) -> None:
    document = graphs(tmp_path, dfa=[0.80, 0.81, 0.82])
    (difference,) = [c for c in document["criteria"] if c["method"] == "dfa" and c["experiment"] == "cora-gcn"][:1]
    assert difference["difference"] == pytest.approx(-1)
    assert difference["standard_error"] == pytest.approx(0, abs=1e-12)


def test_tables(tmp_path: Path) -> None:
    document = graphs(tmp_path)
    header, rows = reproduce.table(document)
    assert all(len(row) == len(header) for row in rows)
    assert rows[0][:6] == ["Cora, backpropagation (bp)", "81.5", "secondary", "82.00 ± 1.00", "3", "agrees"]
    assert rows[1][1:3] == ["", "not found"]
    header, rows = reproduce.criteria_table(document)
    assert rows[0] == ["cora-gcn: dfa at most 2 points below bp", "0.00 ± 0.00", "pass"]
    assert len(rows) == len(document["criteria"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not a result of `opu bench training`"),
        ("[]", "not a result of `opu bench training`"),
        ('{"experiment": {"name": "cora-gcn"}}', "not a result of `opu bench training`"),
        ('{"experiment": {"name": "digits-mlp"}, "rows": []}', "must be cora-gcn with all methods"),
    ],
)
def test_stored_files_that_are_something_else(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "cora-gcn.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        reproduce.document("graphs", tmp_path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_unknown_systems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mnist-mlp\.json: cannot be read: No such file"):
        reproduce.document("mnist", tmp_path)
    with pytest.raises(ConfigError, match="'nosuch': no such system; there are mnist, graphs"):
        reproduce.document("nosuch", tmp_path)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_shipped_results_hold(name: str) -> None:
    document = reproduce.document(name)
    assert document["pass"], [c for c in document["criteria"] if not c["pass"]]
    assert {figure["seeds"] for figure in document["figures"]} == {SYSTEMS[name].seeds}
    for figure in document["figures"]:
        assert (figure["published"] is None) == (figure["tag"] == "not found")
        assert "arXiv" in figure["source"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_figures_and_claims_name_what_there_is(name: str) -> None:
    system = SYSTEMS[name]
    for entry in (*system.figures, *system.criteria):
        assert entry.experiment in system.experiments
        assert entry.method in METHODS
    for experiment in system.experiments:
        assert load_experiment(experiment, settings=system.quick).name == experiment
