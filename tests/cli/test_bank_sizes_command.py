"""`opu bench bank-sizes`: one document, a figure, one line for the user's mistakes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import COMMAND, environment

from benchmarks.bank_sizes import SIZES

Opu = Callable[..., subprocess.CompletedProcess[str]]


def test_document_and_figure(opu: Opu, tmp_path: Path) -> None:
    done = opu("bench", "bank-sizes", "--bits", "6", "--json", "--out", "b.json", "--plot", "b.png")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "b.json").read_text()) == document
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert document["device"] == "filipovich-50x20"
    for lock in ("heater", "trimmed"):
        rows = [row for row in document["rows"] if row["lock"] == lock]
        assert [(row["rows"], row["columns"]) for row in rows] == list(SIZES)
        for row in rows:
            assert row["bits"] == pytest.approx(6.0)
            assert sum(row["picojoules_by_part"].values()) == pytest.approx(row["picojoules_per_op"])
            assert row["watts"] == pytest.approx(row["picojoules_per_op"] * row["teraops_peak"])
            # 6 bits of the range -2 n w .. 2 n w, two passes: sd a reading 2 n w / 64; products of random entries,
            # uniform, have an rms of w sqrt(n / 3) / sqrt(3).
            expected = 2**0.5 * (2 / 64) * row["columns"] * 3 / row["columns"] ** 0.5
            assert row["relative_error"] < 1.1 * expected
            assert row["relative_error"] > 0.4 * expected  # light below full makes less noise


@pytest.mark.parametrize(("option", "blocks"), [("--out", 8), ("--plot", 20)])
def test_a_disk_that_does_not_take_it(option: str, blocks: int, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    old = tmp_path / "result"
    old.write_text("the old one")
    command = f"ulimit -f {blocks}; exec {' '.join(COMMAND)} bench bank-sizes {option} {old}"
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"opu: {old}: cannot be written: File too large\n"
    assert old.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--device", "lighton-aurora"], "kind = 'opu': must be a weight bank, 'microring'"),
        (["--device", "ideal"], "kind = 'ideal': must be a weight bank, 'microring'"),
        (["--bits", "12"], "12.0 bits: lasers, lock and converter leave "),
        (["--set", "bank.colums=3"], "bank.colums: unknown key; did you mean 'columns'?"),
        (["--set", "ring.loss_db_per_cm=20.0"], "bank.weight_range = 0.7: a ring has weights "),
        (["--plot", "/proc/none/b.png"], "--plot /proc/none: cannot be written: "),
    ],
    ids=" ".join,
)
def test_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here("bench", "bank-sizes", *arguments)
