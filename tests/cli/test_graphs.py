"""`opu train cora-gcn` and `opu reproduce` in processes of their own, on a small graph in place of the real one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

Opu = Callable[..., subprocess.CompletedProcess[str]]
NODES, FEATURES, CLASSES = 600, 50, 3
SMALL = ["--set", "trainer.epochs=8"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Folder with a small cora.npz and citeseer.npz: communities with words of their own."""
    rng = np.random.default_rng(0)
    y = np.arange(NODES) % CLASSES
    near, own = y[:, None] == y, np.arange(FEATURES) % CLASSES == y[:, None]
    edges = np.argwhere(np.triu(rng.random((NODES, NODES)) < np.where(near, 0.02, 0.005), 1)).T
    x = sparse.csr_array((rng.random((NODES, FEATURES)) < np.where(own, 0.25, 0.05)).astype(np.float32))
    train, validation, test = np.split(rng.permutation(NODES), [15, 515])
    csr = {"x_data": x.data, "x_indices": x.indices, "x_indptr": x.indptr, "x_shape": np.array(x.shape)}
    parts = {"train_idx": train, "val_idx": validation, "test_idx": test}
    folder = tmp_path / "data" / "planetoid"
    folder.mkdir(parents=True)
    for name in ("cora", "citeseer"):
        np.savez(folder / f"{name}.npz", y=y, edges=edges, num_classes=np.array(CLASSES), **csr, **parts)
    return str(folder.parent)


def result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_a_run_and_its_resumption(opu: Opu, data: str, tmp_path: Path) -> None:
    done = opu("train", "cora-gcn", *SMALL, "--out", "run", OPU_DATA_DIR=data)
    assert (done.returncode, done.stderr) == (0, "")
    assert "test accuracy" in done.stdout
    first = result(tmp_path / "run")
    assert set(first["metrics"]) == {"train", "validation", "test"}
    assert 1 <= first["selected_epoch"] <= 8
    assert first["device"]["projections"] == 8 * 15  # one error vector a labelled node and epoch
    assert first["device"]["joules"] > 0
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 9
    # A run of its own configuration, resumed where it ended and made again, ends alike.
    assert opu("train", "cora-gcn", *SMALL, "--out", "run", "--resume", OPU_DATA_DIR=data).returncode == 0
    assert opu("train", "run/config.toml", "--out", "again", OPU_DATA_DIR=data).returncode == 0
    for other in (result(tmp_path / "run"), result(tmp_path / "again")):
        for key in ("metrics", "selected_epoch", "device", "alignment"):
            assert other[key] == first[key]


def test_reproduce_trains_again_and_stores_what_it_shows(opu: Opu, data: str, tmp_path: Path) -> None:
    done = opu("reproduce", "graphs", "--quick", "--json", OPU_DATA_DIR=data)
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert document["quick"] is True
    for experiment in ("cora-gcn", "citeseer-gcn"):
        stored = json.loads((tmp_path / "runs" / "reproduce" / f"{experiment}-quick.json").read_text())
        assert stored["quick"] is True
        assert stored["experiment"]["trainer"]["epochs"] == 200
        rows = {row["method"]: row for row in stored["rows"]}
        assert rows["bp"]["trainer"]["weight_decay"] > rows["dfa"]["trainer"]["weight_decay"]
        assert rows["odfa"]["device"]["projections"] == 200 * 15
    (first, *_) = document["figures"]
    accuracies = json.loads((tmp_path / "runs" / "reproduce" / "cora-gcn-quick.json").read_text())["rows"][0][
        "accuracies"
    ]
    assert first["mean"] == pytest.approx(100 * np.mean(accuracies))
    assert first["seeds"] == len(accuracies) == 2


def test_reproduce_on_another_split(opu: Opu, data: str, tmp_path: Path) -> None:
    done = opu("train", "cora-gcn", "--set", "data.validation=30", "--out", "run", OPU_DATA_DIR=data)
    assert done.returncode == 2
    assert done.stderr == "opu: data.validation = 30: must be 500 for cora, whose split is fixed\n"
    assert not (tmp_path / "run").exists()


def test_reproduce_from_the_shipped_results(opu: Opu, tmp_path: Path) -> None:
    done = opu("reproduce", "graphs", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["quick"] is False
    assert document["pass"] is True
    assert [table["id"] for table in document["tables"]] == ["graphs"]
    every = json.loads(opu("reproduce", "--json").stdout)
    assert document["tables"][0] in every["tables"]
    shown = opu("reproduce", "mnist")
    assert shown.returncode == 0
    for words in ("95.8", "97.6", "secondary", "odfa at most 1.8 points below bp", "pass"):
        assert words in shown.stdout
    assert not list(tmp_path.iterdir())
