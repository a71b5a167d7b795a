"""Published figures beside ours: verdicts are computed from the stored accuracies, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import reproduce
from benchmarks.published import SYSTEMS, Criterion, Figure, System, better, near
from benchmarks.variants import METRICS, Variant
from dfa.config import METHODS
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
    assert rows[0] == ["cora-gcn: dfa at most 2 points below bp", "0.00 ± 0.00 points", "pass"]
    assert len(rows) == len(document["criteria"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not a result of `opu reproduce graphs`"),
        ("[]", "not a result of `opu reproduce graphs`"),
        ('{"experiment": {"name": "cora-gcn"}}', "not a result of `opu reproduce graphs`"),
        (
            '{"experiment": {"name": "digits-mlp"}, "rows": []}',
            "digits-mlp with nothing; must be cora-gcn with bp, dfa",
        ),
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
    with pytest.raises(ConfigError, match=r"'nosuch': no such system; there are mnist, graphs"):
        reproduce.document("nosuch", tmp_path)


# 95.95 +- 0.08 % where 96 to 96.8 was expected, a range around one run of the published code, whose noise is matched
# exactly (test_microring_protocol).
UNDECIDED = {"microring": ("mac-1.278",)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_shipped_results_hold(name: str) -> None:
    document = reproduce.document(name)
    open_ = {(c["variant"], c["verdict"]) for c in document["criteria"] if not c["pass"]}
    assert open_ == {(variant, "undecided: more seeds") for variant in UNDECIDED.get(name, ())}
    assert {figure["seeds"] for figure in document["figures"]} == {SYSTEMS[name].seeds}
    for figure in document["figures"]:
        assert (figure["published"] is None) == (figure["tag"] == "not found")
        assert "arXiv" in figure["source"]
    (table,) = document["tables"]
    assert set(table) >= {"id", "system", "source", "rows"}
    for row, figure in zip(table["rows"], document["figures"], strict=True):
        assert set(row) >= {"name", "published", "tag", "ours_mean", "ours_std", "seeds", "verdict"}
        assert (row["published"], row["ours_mean"]) == (figure["published"], figure["mean"])


def test_all_tables_together() -> None:
    every = reproduce.documents()
    assert [table["id"] for table in every["tables"]] == list(SYSTEMS)
    assert every["pass"] is not bool(UNDECIDED)


@pytest.mark.parametrize("name", SYSTEMS)
def test_figures_and_claims_name_what_there_is(name: str) -> None:
    system = SYSTEMS[name]
    names = [variant.name for variant in system.variants]
    assert len(set(names)) == len(names)
    for entry in (*system.figures, *system.criteria):
        assert entry.experiment in system.experiments
        assert entry.variant in names
    for criterion in system.criteria:
        assert criterion.other in (None, *names)
        assert (criterion.low, criterion.high) != (None, None)
    for experiment in system.experiments:
        for variant in system.variants:
            assert variant.resolved(experiment, system.quick).name == experiment


# A system whose numbers are better the lower they are, on seeds of one experiment and variants that are no methods.
NATS = METRICS["loss"]
BASE = {"bp": [2.0, 2.2], "coarse": [2.1, 2.3], "fine": [2.04, 2.26]}


def judged(criterion: Criterion, monkeypatch: pytest.MonkeyPatch, folder: Path, **losses: list[float]) -> Any:
    stored = BASE | losses
    variants = tuple(Variant(name, "bp" if name == "bp" else "odfa") for name in stored)
    figure = Figure("digits-mlp", "x", "fine", 2.2, "arXiv", "secondary")
    system = System("losses", ("digits-mlp",), (figure,), (criterion,), seeds=2, variants=variants, metric=NATS)
    monkeypatch.setitem(SYSTEMS, "losses", system)
    rows = [{"variant": n, "method": "odfa", "metrics": {"loss": v, "accuracy": [0, 0]}} for n, v in stored.items()]
    document = {"experiment": {"name": "digits-mlp"}, "rows": rows, "provenance": {}}
    (folder / "digits-mlp.json").write_text(json.dumps(document))
    shown = reproduce.document("losses", folder)
    assert shown["pass"] is shown["criteria"][0]["pass"]
    assert shown["figures"][0]["mean"] == pytest.approx(np.mean(stored["fine"]))
    return shown["criteria"][0]


@pytest.mark.parametrize(
    ("criterion", "words", "difference", "passed"),
    [
        (better("digits-mlp", "bp", "coarse"), "below coarse", -0.1, True),
        (better("digits-mlp", "coarse", "bp"), "below bp", 0.1, False),
        # 0.04 and 0.06 below: t of one degree of freedom is 12.7, and 0.05 no more than 12.7 * 0.01
        (better("digits-mlp", "bp", "fine"), "below fine", -0.05, False),
        (better("digits-mlp", "bp", "coarse", by=0.2), "below coarse by more than 0.2 nats", -0.1, False),
        (near("digits-mlp", "fine", "bp", 0.06), "at most 0.06 nats above bp", 0.05, True),
        (near("digits-mlp", "fine", "bp", 0.04), "at most 0.04 nats above bp", 0.05, False),
        # 0.04 / 2.0 and 0.06 / 2.2
        (near("digits-mlp", "fine", "bp", 5, relative=True), "at most 5 % above bp", 50 * (0.02 + 0.06 / 2.2), True),
        (near("digits-mlp", "fine", "bp", 2, relative=True), "at most 2 % above bp", 50 * (0.02 + 0.06 / 2.2), False),
    ],
)
def test_claims_where_lower_is_better(
    criterion: Criterion, words: str, difference: float, passed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = judged(criterion, monkeypatch, tmp_path)
    assert (found["wanted"], found["pass"]) == (words, passed)
    assert found["difference"] == pytest.approx(difference)


def test_claims_on_the_value_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at_least = judged(Criterion("digits-mlp", "fine", low=2.1), monkeypatch, tmp_path)
    assert (at_least["wanted"], at_least["value"], at_least["pass"]) == ("at least 2.1 nats", pytest.approx(2.15), True)
    between = judged(Criterion("digits-mlp", "fine", low=2.0, high=2.1), monkeypatch, tmp_path, fine=[2.15, 2.1501])
    assert (between["wanted"], between["verdict"]) == ("2 to 2.1 nats", "FAIL")
    wide = judged(Criterion("digits-mlp", "fine", low=2.0, high=2.1), monkeypatch, tmp_path, fine=[2.1, 2.2])
    assert wide["verdict"] == "undecided: more seeds"


def test_a_single_seed_decides_by_its_difference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = {name: values[:1] for name, values in BASE.items()}
    found = judged(better("digits-mlp", "bp", "fine", by=0.03), monkeypatch, tmp_path, **one)
    assert (found["pass"], found["standard_error"], found["seeds"]) == (True, None, 1)
    assert judged(better("digits-mlp", "bp", "fine", by=0.05), monkeypatch, tmp_path, **one)["pass"] is False


SMALL = System(
    "small",
    ("digits-mlp",),
    (Figure("digits-mlp", "digits", "mac", None, "nowhere", "not found"),),
    (),
    seeds=2,
    quick={"trainer.epochs": 1},
    variants=(
        Variant("ideal", "odfa", {"device.fidelity": "ideal"}, device="filipovich-50x20"),
        Variant("mac", "odfa", {"device.fidelity": "mac", "device.mac.error_std": 5.0}, device="filipovich-50x20"),
    ),
)


def test_a_broken_off_command_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SYSTEMS, "small", SMALL)
    folder, said = tmp_path / "runs", list[str]()

    def say(line: str) -> None:
        if len(said) == 3:
            raise KeyboardInterrupt
        said.append(line)

    with pytest.raises(KeyboardInterrupt):
        reproduce.make("small", folder, seeds=None, quick=True, progress=say)
    kept = sorted(path.name for path in (folder / "digits-mlp-quick-runs").iterdir())
    assert kept == ["ideal-seed0.json", "ideal-seed1.json", "mac-seed0.json"]
    assert not list(folder.glob("*.json"))
    (folder / "digits-mlp-quick-runs" / "ideal-seed1.json").write_text("{")  # a run that is damaged is made again
    said = ["ideal, seed 0 is kept"]
    assert reproduce.make("small", folder, seeds=None, quick=True, progress=say)
    assert [line.split(": ")[1] for line in said[1:]] == ["ideal, seed 1 of 2", "mac, seed 1 of 2"]
    # Nothing but the result is left, and it is that of an unbroken command, run for run.
    assert [path.name for path in folder.iterdir()] == ["digits-mlp-quick.json"]
    assert reproduce.make("small", tmp_path / "whole", seeds=None, quick=True)
    first, second = (json.loads((f / "digits-mlp-quick.json").read_text()) for f in (folder, tmp_path / "whole"))
    for one, other in zip(first["rows"], second["rows"], strict=True):
        assert (one["variant"], one["metrics"], one["device"]) == (other["variant"], other["metrics"], other["device"])
    ideal, mac = first["rows"]
    assert np.mean(ideal["accuracies"]) > np.mean(mac["accuracies"])
    assert ideal["device_card"]["fidelity"] == "ideal"
    assert first["provenance"]["commits_of_runs"]


def test_variants_made_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SYSTEMS, "small", SMALL)
    assert not reproduce.make("small", tmp_path, seeds=1, quick=True, variants=["mac"])
    assert [path.name for path in tmp_path.rglob("*.json")] == ["mac-seed0.json"]
    # A run of other settings does not stand in for it.
    monkeypatch.setitem(SYSTEMS, "small", replace(SMALL, quick={"trainer.epochs": 2}))
    assert not reproduce.make("small", tmp_path, seeds=1, quick=True, variants=["ideal"])
    monkeypatch.setitem(SYSTEMS, "small", SMALL)
    assert reproduce.make("small", tmp_path, seeds=1, quick=True, variants=["ideal"])
    document = reproduce.document("small", tmp_path, quick=True)
    assert document["figures"][0]["variant"] == "mac"
    with pytest.raises(ConfigError, match="--variant 'odfa': must be one of ideal, mac"):
        reproduce.make("small", tmp_path, seeds=1, quick=True, variants=["odfa"])
