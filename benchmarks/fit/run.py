"""A search from beginning to end, in a directory that is a sweep's: each run is stored as it ends.

The search itself keeps nothing. As proposals depend on the seed and on results only, a search that was killed is
resumed by going through it again, with the stored results in place of the runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fit.document import card_toml, make_document
from benchmarks.fit.runs import Runs
from benchmarks.fit.search import search
from benchmarks.fit.task import Task
from benchmarks.sweep.quantities import table, write_csv, write_whole
from benchmarks.sweep.store import FILE, Store
from dfa import provenance
from dfa.checkpoint import make_writable
from opu_sim.config import refused
from opu_sim.errors import ConfigError

DOCUMENT, CARD = "fit.json", "card.toml"


@dataclass(frozen=True)
class Fitted:
    """A search that came to its end."""

    folder: Path
    document: dict[str, Any]
    ran: int
    faults: list[str]
    told: list[str]


def default_folder(task: Task, *, resume: bool) -> Path:
    """`runs/fit-<experiment>`; a new search gets the next free number, a resumed one the last used."""
    base = Path("runs") / f"fit-{task.base.name}"
    candidates = [base] + [base.with_name(f"{base.name}-{number}") for number in range(2, 10_000)]
    used = [folder for folder in candidates if folder.exists()]
    if resume:
        return used[-1] if used else base
    return next(folder for folder in candidates if not folder.exists())


def fit(
    task: Task,
    folder: Path,
    *,
    workers: int | None = None,
    resume: bool = False,
    on_point: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fitted:
    """Search, and write results.sqlite, results.csv, fit.json and, where there is a winner, card.toml.

    Raises
    ------
    ConfigError
        The folder holds another search or a running one; there is nothing to resume; not one trial could be run.
    Interrupted
        `should_stop` said so; all that was done is stored.
    HostError
        The disk is full.
    """
    started_at = provenance.now()
    if resume and not (folder / FILE).is_file():
        raise refused(f"{folder / FILE}: no search to resume")
    make_writable(folder, "--out")
    with Store(folder) as store:
        if store.used and not resume:
            raise refused(f"--out {folder}: already holds {FILE}; use --resume, or choose another folder")
        store.begin(task.definition())
        with Runs(task, store, workers, on_point, should_stop) as runs:
            found = search(
                task.space,
                runs,
                accuracy=task.accuracy,
                cost=task.cost,
                trials=task.trials,
                seeds=range(task.seeds),
                fresh=range(task.seeds, task.seeds + task.confirm),
                seed=task.seed,
                base=task.start(),
            )
        write_csv(table(store.rows()), folder / "results.csv")
    errors = [trial.measured.error for trial in found.trials]
    if None not in errors:
        raise ConfigError(f"not one of {len(errors)} trials could be run: {errors[0]}")
    origin = provenance.collect(config_sha256=task.base.sha256, started_at=started_at)
    document = make_document(task, found, origin)
    (folder / CARD).unlink(missing_ok=True)
    if found.winner is not None:
        write_whole(folder / CARD, card_toml(task, found.winner).encode())
    write_whole(folder / DOCUMENT, (json.dumps(document, indent=2) + "\n").encode())
    told = [text for texts in runs.told.values() for text in texts]
    return Fitted(folder, document, runs.ran, runs.faults, told)
