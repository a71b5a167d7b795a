"""The run directory: which folder, what is refused, and that a refused run leaves everything as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dfa import checkpoint
from dfa.checkpoint import make_writable
from dfa.config import load_experiment
from dfa.run import check, default_folder, train
from opu_sim.errors import ConfigError

DIGITS = load_experiment("digits-mlp", seed=7)
TINY = {"model.hidden": [4], "trainer.epochs": 1}


def prepare(folder: Path, *, resume: bool) -> None:
    """What `train` does with the folder, around loading data and device."""
    check(folder, resume=resume)
    make_writable(folder, "--out")


def refusal(folder: Path, *, resume: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        prepare(folder, resume=resume)
    text = str(caught.value)
    assert text.splitlines() == [text]
    return text


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root writes everywhere, so become nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_default_folders_are_numbered(here: Path) -> None:
    base = "runs/digits-mlp-odfa-seed7"
    for number in ("", "-2", "-3"):
        folder = default_folder(DIGITS, resume=False)
        assert str(folder) == base + number
        folder.mkdir(parents=True)
        (folder / checkpoint.FILE).touch()
        assert default_folder(DIGITS, resume=True) == folder
    other = load_experiment("digits-mlp", seed=8, method="bp")
    assert str(default_folder(other, resume=False)) == "runs/digits-mlp-bp-seed8"


def test_nothing_to_resume(here: Path) -> None:
    folder = default_folder(DIGITS, resume=True)
    assert refusal(folder, resume=True) == f"{folder}/{checkpoint.FILE}: no checkpoint to resume from"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("held", ["result.json", "config.toml", "history.csv", checkpoint.FILE])
def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path, held: str) -> None:
    (tmp_path / held).write_text("mine")
    assert refusal(tmp_path).startswith(f"--out {tmp_path}: already holds {held}; ")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [(held, "mine")]


def test_a_folder_with_other_files_is_used_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    prepare(tmp_path, resume=False)
    prepare(tmp_path / "new" / "below", resume=False)
    assert sorted(str(entry.relative_to(tmp_path)) for entry in tmp_path.rglob("*")) == [
        "new",
        "new/below",
        "notes.txt",
    ]


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert refusal(tmp_path / "file") == f"--out {tmp_path}/file: cannot be written: File exists"
    assert refusal(tmp_path / "file" / "below") == f"--out {tmp_path}/file/below: cannot be written: Not a directory"
    assert (tmp_path / "file").read_text() == "mine"


def test_folder_closed_to_writing() -> None:
    # Not tmp_path: the folders above it are closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with without_privileges():
            assert refusal(folder / "new") == f"--out {folder}/new: cannot be written: Permission denied"
            assert refusal(folder) == f"--out {folder}: cannot be written: Permission denied"
        prepare(folder / "new", resume=False)  # control: with privileges


def test_folder_closed_to_searching(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with without_privileges():
        assert "Permission denied" in refusal(tmp_path / "new")


def test_name_too_long(tmp_path: Path) -> None:
    assert "File name too long" in refusal(tmp_path / ("x" * 300))


def test_a_run_that_is_refused_leaves_no_folder(here: Path) -> None:
    chosen = load_experiment("digits-mlp", settings={**TINY, "data.name": "nosuch"})
    with pytest.raises(ConfigError, match="no such data set"):
        train(chosen, here / "new")
    assert list(here.iterdir()) == []


def test_resume_finds_the_run_below_a_refused_one(here: Path) -> None:
    good = load_experiment("digits-mlp", method="bp", settings=TINY)
    folder = default_folder(good, resume=False)
    train(good, folder)
    bad = load_experiment("digits-mlp", method="bp", settings={**TINY, "data.name": "nosuch"})
    with pytest.raises(ConfigError, match="no such data set"):
        train(bad, default_folder(bad, resume=False))
    assert default_folder(good, resume=True) == folder


def test_killed_in_its_first_step_a_run_can_be_resumed(tmp_path: Path) -> None:
    def killed(epoch: int, step: int, steps: int) -> None:
        raise SystemExit

    chosen = load_experiment("digits-mlp", method="bp", settings=TINY)
    with pytest.raises(SystemExit):
        train(chosen, tmp_path / "run", on_step=killed)
    assert refusal(tmp_path / "run").endswith("use --resume, or choose another folder")
    resumed = train(chosen, tmp_path / "run", resume=True)
    assert resumed["metrics"] == train(chosen, tmp_path / "straight")["metrics"]


def test_a_run_of_another_configuration_is_not_resumed(tmp_path: Path) -> None:
    first = load_experiment("digits-mlp", method="bp", settings=TINY)
    train(first, tmp_path / "run")
    before = {entry.name: entry.read_bytes() for entry in (tmp_path / "run").iterdir()}
    second = load_experiment("digits-mlp", method="bp", settings={**TINY, "trainer.epochs": 2})
    with pytest.raises(ConfigError, match="checkpoint of another configuration"):
        train(second, tmp_path / "run", resume=True)
    assert {entry.name: entry.read_bytes() for entry in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("method", ["bp", "odfa"])
def test_a_run_that_diverges_is_one_clear_error(tmp_path: Path, method: str) -> None:
    wild = load_experiment("digits-mlp", method=method, settings={**TINY, "trainer.learning_rate": 1e30})
    with pytest.raises(ConfigError, match="learning_rate"):
        train(wild, tmp_path / "run")
