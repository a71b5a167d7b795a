"""`opu train` on a text, in processes of their own: perplexity, the cost of a token, resumption, refusals."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Opu = Callable[..., subprocess.CompletedProcess[str]]
SMALL = {
    "data.name": "own.txt",
    "data.epoch_tokens": 400,
    "data.validation": 60,
    "model.width": 16,
    "model.heads": 2,
    "model.context": 8,
    "trainer.epochs": 3,
    "trainer.batch_size": 5,
    "trainer.alignment_every": 4,
}
SET = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat", "and", "dog"], 600)
    path = tmp_path / "own.txt"
    path.write_text(" ".join(words), encoding="utf-8")
    return path


def result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_a_run_its_resumption_and_its_own_configuration(opu: Opu, own: Path, tmp_path: Path) -> None:
    done = opu("train", "shakespeare-gpt", *SET, "--out", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "test perplexity" in done.stdout
    assert "a projection (one sample, node or token)" in done.stdout
    first = result(tmp_path / "run")
    for part in ("train", "validation", "test"):
        measured = first["metrics"][part]
        assert measured["perplexity"] == pytest.approx(np.exp(measured["loss"]), rel=1e-12)
    # 400 tokens an epoch in windows of 8, five a batch: 10 steps; one projection a token.
    assert first["device"]["projections"] == 3 * 400
    rows = (tmp_path / "run" / "alignment.csv").read_text().splitlines()
    assert rows[0] == "step,alignment_1,alignment_2,alignment_3"
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(1, 31, 4))
    assert (tmp_path / "run" / "history.png").read_bytes()[:4] == b"\x89PNG"
    assert opu("train", "shakespeare-gpt", *SET, "--out", "run", "--resume").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = opu("train", str(tmp_path / "run" / "config.toml"), "--out", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    for other in (result(tmp_path / "run"), result(tmp_path / "again")):
        for key in ("metrics", "device", "alignment"):
            assert other[key] == first[key]
    # Another text under the same name is another configuration.
    own.write_text(own.read_text() + " it")
    changed = opu("train", "shakespeare-gpt", *SET, "--out", "run", "--resume")
    assert changed.returncode == 2
    assert "checkpoint of another configuration" in changed.stderr


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (["--set", "model.vocabulary=5"], ["model.vocabulary = 5", "distinct tokens"]),
        (["--set", "data.name=nosuch.txt"], ["data.name = 'nosuch.txt'", "no such file"]),
        (["--set", "data.name=nosuch"], ["'nosuch': no such data set", "tinyshakespeare"]),
        (["--set", "data.validation=7"], ["data.validation = 7", "7 tokens"]),
        (["--set", "model.heads=3"], ["model.heads = 3", "must divide width = 16"]),
        (["--set", "model.width=40000"], ["model.width = 40000", "GiB", "half of this computer's memory"]),
        (
            [
                w
                for key, value in (("rows", 10), ("roi_rows", 10), ("columns", 64))
                for w in ("--set", f"device.camera.{key}={value}")
            ],
            ["n_out = 48", "allowed: 1 .. 24"],
        ),
    ],
)
def test_what_cannot_be_is_one_line(opu: Opu, own: Path, tmp_path: Path, changes: list[str], parts: list[str]) -> None:
    refused = opu("train", "shakespeare-gpt", *SET, *changes, "--out", "run")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.count("\n") == 1
    for part in parts:
        assert part in refused.stderr
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_model(opu: Opu, own: Path) -> None:
    assert opu("train", "shakespeare-gpt", *SET, "--set", "trainer.epochs=1", "--out", "run").returncode == 0
    other = opu("train", "shakespeare-gpt", *SET, "--set", "model.blocks=1", "--out", "run", "--resume")
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "checkpoint of another configuration" in other.stderr


@pytest.mark.skipif(
    not (Path(os.environ.get("OPU_DATA_DIR") or "no such folder") / "tinyshakespeare").is_dir(),
    reason="OPU_DATA_DIR has no tinyshakespeare",
)
def test_the_shipped_text_trains(opu: Opu, tmp_path: Path) -> None:
    settings = [w for k, v in SMALL.items() if k != "data.name" for w in ("--set", f"{k}={v}")]
    done = opu("train", "shakespeare-gpt", *settings, "--out", "run", OPU_DATA_DIR=os.environ["OPU_DATA_DIR"])
    assert (done.returncode, done.stderr) == (0, "")
    # Normal logits of variance 1, as an untrained head gives, have the perplexity 65 sqrt(e).
    assert 1 < result(tmp_path / "run")["metrics"]["validation"]["perplexity"] < 65 * np.sqrt(np.e)
