"""A configuration becomes training runs, on the workers of `opu sweep` and in a directory that is a sweep's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.fit.search import Measured
from benchmarks.fit.task import Task
from benchmarks.sweep.definition import Point
from benchmarks.sweep.quantities import quantities
from benchmarks.sweep.store import DONE, Row, Store
from dfa import provenance
from dfa.interruption import Interrupted
from opu_sim.errors import ConfigError


class Runs:
    """Trains configurations, each point once; a context manager that ends its workers.

    Parameters
    ----------
    store : Store, begun
    workers : processes on this machine; one a core, but no more than points at a time, without it
    """

    def __init__(
        self,
        task: Task,
        store: Store,
        workers: int | None,
        on_point: Callable[[str], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._task, self._store, self._workers = task, store, workers
        self._on_point, self._should_stop = on_point, should_stop
        self._rows = {row.sha256: row for row in store.rows() if row.status == DONE}
        self._stack = ExitStack()
        self._cluster: Any = None
        self.ran = 0
        self.faults: list[str] = []
        """Lines of points that failed by a fault of the program."""
        self.told: dict[str, list[str]] = {}
        """What devices warned of, by point."""

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, configurations: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Measured]:
        """Train what no earlier call or session has; what each configuration came to.

        Raises
        ------
        Interrupted
            `should_stop` said so; all that was done is stored.
        """
        points = [self._points(parameters, seeds) for parameters in configurations]
        wanted = {point.sha256: point for found in points if not isinstance(found, str) for point in found}
        self._run([point for sha256, point in wanted.items() if sha256 not in self._rows])
        return [Measured(error=found) if isinstance(found, str) else self._measured(found) for found in points]

    def _points(self, parameters: Mapping[str, Any], seeds: Sequence[int]) -> list[Point] | str:
        """A point a seed, or the line with which the card refuses."""
        try:
            experiments = [self._task.resolved(parameters, seed) for seed in seeds]
        except ConfigError as error:
            return str(error)
        shown_as = {f"device.{key}": value for key, value in parameters.items()}
        return [Point(entry.sha256, shown_as, entry.seed, entry) for entry in experiments]

    def _measured(self, points: Sequence[Point]) -> Measured:
        rows = [self._rows[point.sha256] for point in points]
        for row in rows:
            if row.status != DONE:
                return Measured(error=str((row.result or {}).get("error")))
            self.told[row.sha256] = (row.result or {}).get("warnings", [])
        return Measured(tuple(point.seed for point in points), tuple(quantities(row.result or {}) for row in rows))

    def _run(self, points: Sequence[Point]) -> None:
        if not points:
            return
        if self._should_stop is not None and self._should_stop():
            raise Interrupted
        self._store.add(points)
        if self._cluster is None:
            self._start(len(points))
        by_key = {point.sha256: point for point in points}
        for point, outcome in self._cluster.outcomes(points, self._should_stop):
            self._store.record(point.sha256, outcome.status, outcome.result, outcome.started_at, outcome.finished_at)
            del by_key[point.sha256]
            result = json.loads(outcome.result)
            self._rows[point.sha256] = Row(
                point.sha256, point.parameters, point.seed, outcome.status, result, outcome.started_at, None
            )
            self.ran += 1
            if outcome.fault:
                self.faults.append(str(result.get("error")))
            if self._on_point is not None:
                self._on_point(outcome.status)
        if by_key:
            raise Interrupted

    def _start(self, points: int) -> None:
        from benchmarks.sweep import cluster  # Dask takes a second to load

        self._cluster = self._stack.enter_context(cluster.local(self._workers, points))
        self._store.begin_session(
            provenance.now("milliseconds"), self._cluster.workers, self._cluster.threads, None, provenance.collect()
        )
        self._stack.callback(lambda: self._store.end_session(provenance.now("milliseconds")))
