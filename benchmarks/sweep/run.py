"""A sweep from file to table: check, lock, run what is open, store each outcome, export."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sweep.definition import Sweep
from benchmarks.sweep.quantities import require_parquet, table, write_csv, write_parquet
from benchmarks.sweep.store import DONE, FAILED, FILE, WAITING, Row, Store
from dfa import provenance
from dfa.checkpoint import make_writable
from dfa.interruption import Interrupted
from opu_sim.config import refused
from opu_sim.errors import ConfigError


@dataclass
class Report:
    """How a sweep ended; `rows`: all of its points."""

    folder: Path
    rows: list[Row]
    ran: int = 0
    """Points run by this call."""
    faults: int = 0
    """Points of this call that failed by a fault of the program."""

    @property
    def failed(self) -> list[Row]:
        """Points without a result."""
        return [row for row in self.rows if row.status == FAILED]


def default_folder(sweep: Sweep, *, resume: bool) -> Path:
    """`runs/sweep-<name>`; a new sweep gets the next free number, a resumed one the last used."""
    base = Path("runs") / f"sweep-{sweep.config.name}"
    candidates = [base] + [base.with_name(f"{base.name}-{number}") for number in range(2, 10_000)]
    used = [folder for folder in candidates if folder.exists()]
    if resume:
        return used[-1] if used else base
    return next(folder for folder in candidates if not folder.exists())


def run(
    sweep: Sweep,
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    parquet: bool = False,
    on_start: Callable[[int, int], None] | None = None,
    on_point: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Report:
    """Run all points that are not done, store each, write results.csv.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine; one a core without it.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers then run the points.
    resume : bool
        Go on with what `folder` holds; points that failed are tried again.
    on_start : called with the number of points done before, and of all
    on_point : called with the status of each point that ends

    Raises
    ------
    ConfigError
        The folder holds another sweep or a running one; there is nothing to resume; the scheduler does not answer;
        not one point could be run.
    Interrupted
        `should_stop` said so; all that was done is stored.
    HostError
        The disk is full; all that was done before is stored.
    """
    if parquet:
        require_parquet()
    if resume and not (folder / FILE).is_file():
        raise refused(f"{folder / FILE}: no sweep to resume")
    if scheduler is not None:
        from benchmarks.sweep import cluster

        cluster.check(scheduler)
    make_writable(folder, "--out")
    with Store(folder) as store:
        if store.used and not resume:
            raise refused(f"--out {folder}: already holds {FILE}; use --resume, or choose another folder")
        store.prepare(sweep)
        report = Report(folder, [])
        _run_open(sweep, store, report, workers, scheduler, on_start, on_point, should_stop)
        report.rows = store.rows()
        rows = table(report.rows)
        write_csv(rows, folder / "results.csv")
        if parquet:
            write_parquet(rows, folder / "results.parquet")
    if any(row.status == WAITING for row in report.rows):
        raise Interrupted
    if not any(row.status == DONE for row in report.rows):
        first = report.failed[0].result or {}
        raise ConfigError(f"{sweep.path}: not one point could be run: {first.get('error')}")
    return report


def _run_open(
    sweep: Sweep,
    store: Store,
    report: Report,
    workers: int | None,
    scheduler: str | None,
    on_start: Callable[[int, int], None] | None,
    on_point: Callable[[str], None] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    # Seed by seed, so that half a sweep shows all of the axes.
    open_points = sorted(store.open_points(sweep.points), key=lambda point: point.seed)
    if on_start is not None:
        on_start(len(sweep.points) - len(open_points), len(sweep.points))
    if not open_points:
        return
    from benchmarks.sweep import cluster  # Dask takes a second to load

    where: AbstractContextManager[cluster.Cluster]
    where = cluster.local(workers, len(open_points)) if scheduler is None else cluster.remote(scheduler)
    with where as found:
        origin = provenance.collect()
        store.begin_session(provenance.now("milliseconds"), found.workers, found.threads, scheduler, origin)
        for point, outcome in found.outcomes(open_points, should_stop):
            store.record(point.sha256, outcome.status, outcome.result, outcome.started_at, outcome.finished_at)
            report.ran += 1
            report.faults += outcome.fault
            if on_point is not None:
                on_point(outcome.status)
        store.end_session(provenance.now("milliseconds"))
