"""The sweep directory: `results.sqlite`, written by one process at a time, a transaction a point.

Tables (`results.sqlite`, schema `opu-sim/sweep/1`):

- `points`: `config_sha256` (key), `position` (order of the sweep file, seeds in a row), `parameters` (JSON, what the
  axes set, by dotted key), `seed`, `status` (`waiting`, `done`, `failed`), `result` (JSON: of a point that is done,
  the content of a run's result.json, with `device.frame_rate_hz` and `warnings`; of one that failed, `error`: its
  line), `started_at`, `finished_at` (UTC, milliseconds), `session`.
- `sessions`: a row for each start of the command: `id`, `started_at`, `finished_at`, `workers`, `threads` (of each,
  null with a scheduler of the user's own), `scheduler`, `provenance` (JSON).
- `sweep`: `key`, `value` (JSON): `schema`, and `definition`: the sweep file's content with `base`, the experiment.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.failures import HostError
from benchmarks.sweep.definition import Point, Sweep
from opu_sim.config import refused, shown

SCHEMA = "opu-sim/sweep/1"
FILE = "results.sqlite"
LOCK = ".lock"
WAITING, DONE, FAILED = "waiting", "done", "failed"

_TABLES = """
DROP TABLE IF EXISTS sweep;
CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
DROP TABLE IF EXISTS sessions;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT, workers INTEGER, threads INTEGER,
    scheduler TEXT, provenance TEXT NOT NULL
) STRICT;
DROP TABLE IF EXISTS points;
CREATE TABLE points (
    config_sha256 TEXT PRIMARY KEY, position INTEGER NOT NULL, parameters TEXT NOT NULL, seed INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'done', 'failed')), result TEXT, started_at TEXT,
    finished_at TEXT, session INTEGER REFERENCES sessions (id)
) STRICT;
"""


@dataclass(frozen=True)
class Row:
    """A row of the table `points`, its JSON read."""

    sha256: str
    parameters: dict[str, Any]
    seed: int
    status: str
    result: dict[str, Any] | None
    started_at: str | None
    finished_at: str | None


class Store:
    """Results of a sweep; a context manager that holds the directory's lock.

    Parameters
    ----------
    folder : Path
        The sweep directory; it must exist.

    Raises
    ------
    ConfigError
        Another sweep is at work there, or `results.sqlite` is none of a sweep's.
    HostError
        The disk does not take what is to be stored; what is there stays as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._session: int | None = None
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._take_lock()
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self.used = self._has_sessions()
            """Whether a sweep has begun there: where none got as far as its workers, there is nothing to lose."""
        except BaseException:
            os.close(self._lock)
            raise

    def _take_lock(self) -> None:
        """Kept by the kernel for as long as this process lives, so that no crash leaves it behind.

        A file of its own: closing any handle of the database's file would drop SQLite's locks on it.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 200, 0).decode(errors="replace").strip() or "another process"
            raise refused(f"--out {self.folder}: another sweep is at work there ({owner})") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise HostError(f"{self.path}: cannot be written: {error}; what it holds stays as it is") from None
            raise

    def _has_sessions(self) -> bool:
        try:
            tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and not {"sweep", "sessions", "points"} <= tables:
                raise refused(f"{self.path}: not the results of a sweep")
            return bool(tables) and self._db.execute("SELECT 1 FROM sessions LIMIT 1").fetchone() is not None
        except sqlite3.DatabaseError as error:
            raise refused(f"{self.path}: not the results of a sweep: {error}") from None

    def prepare(self, sweep: Sweep) -> None:
        """Write down the sweep and those of its points that are not there yet.

        Raises
        ------
        ConfigError
            The directory holds points that this sweep has not.
        """
        known = {point.sha256 for point in sweep.points}
        if self.used:
            for sha256, parameters, seed in self._db.execute("SELECT config_sha256, parameters, seed FROM points"):
                if sha256 not in known:
                    raise refused(
                        f"{self.path}: holds points that {sweep.path} has not, such as {parameters} with seed {seed}; "
                        "resume with the sweep's own file and options, or choose another --out"
                    )
        with self._transaction() as db:
            self._define(db, sweep.document())
            db.executemany(
                "INSERT INTO points (config_sha256, position, parameters, seed, status) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (config_sha256) DO UPDATE SET position = excluded.position",
                [
                    (point.sha256, position, json.dumps(point.parameters), point.seed, WAITING)
                    for position, point in enumerate(sweep.points)
                ],
            )

    def _define(self, db: sqlite3.Connection, definition: Mapping[str, Any]) -> None:
        if not self.used:
            for statement in _TABLES.split(";")[:-1]:
                db.execute(statement)
        for key, value in (("schema", SCHEMA), ("definition", definition)):
            db.execute("INSERT OR REPLACE INTO sweep VALUES (?, ?)", (key, json.dumps(value)))

    def begin(self, definition: Mapping[str, Any]) -> None:
        """In place of `prepare`, for points that are not known beforehand: `add` takes them as they come.

        Raises
        ------
        ConfigError
            The directory holds points of another definition.
        """
        if self.used:
            (text,) = self._db.execute("SELECT value FROM sweep WHERE key = 'definition'").fetchone()
            stored, wanted = json.loads(text), json.loads(json.dumps(definition))
            for key in [*wanted, *stored]:
                if stored.get(key) != wanted.get(key):
                    raise refused(
                        f"{self.path}: was begun with {key} = {shown(stored.get(key))}, not {shown(wanted.get(key))}; "
                        "resume with the same options, or choose another --out"
                    )
        with self._transaction() as db:
            self._define(db, definition)

    def add(self, points: Sequence[Point]) -> None:
        """Put points after those that are there; known ones stay as they are."""
        with self._transaction() as db:
            (count,) = db.execute("SELECT count(*) FROM points").fetchone()
            db.executemany(
                "INSERT INTO points (config_sha256, position, parameters, seed, status) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (config_sha256) DO NOTHING",
                [
                    (point.sha256, count + index, json.dumps(point.parameters), point.seed, WAITING)
                    for index, point in enumerate(points)
                ],
            )

    def open_points(self, points: Sequence[Point]) -> list[Point]:
        """Those that are not done: never run, or failed."""
        done = {sha256 for (sha256,) in self._db.execute("SELECT config_sha256 FROM points WHERE status = 'done'")}
        return [point for point in points if point.sha256 not in done]

    def begin_session(
        self, started_at: str, workers: int, threads: int | None, scheduler: str | None, provenance: Mapping[str, Any]
    ) -> None:
        """A row of `sessions`, which the points recorded from now on name."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO sessions (started_at, workers, threads, scheduler, provenance) VALUES (?, ?, ?, ?, ?)",
                (started_at, workers, threads, scheduler, json.dumps(provenance)),
            )
            self._session = cursor.lastrowid

    def end_session(self, finished_at: str) -> None:
        """When it ended; stays empty where it was killed."""
        with self._transaction() as db:
            db.execute("UPDATE sessions SET finished_at = ? WHERE id = ?", (finished_at, self._session))

    def record(self, sha256: str, status: str, result: str, started_at: str | None, finished_at: str) -> None:
        """One point's outcome, one transaction; what is done is never written over."""
        with self._transaction() as db:
            db.execute(
                "UPDATE points SET status = ?, result = ?, started_at = ?, finished_at = ?, session = ? "
                "WHERE config_sha256 = ? AND status != 'done'",
                (status, result, started_at, finished_at, self._session, sha256),
            )

    def rows(self) -> list[Row]:
        """All points, in the order of the sweep file."""
        return read_points(self._db)


def read_points(db: sqlite3.Connection) -> list[Row]:
    """All points of an open database, in the order of the sweep file."""
    found = db.execute(
        "SELECT config_sha256, parameters, seed, status, result, started_at, finished_at FROM points ORDER BY position"
    )
    return [
        Row(sha256, _table(parameters), seed, status, _table(result) if result else None, started, finished)
        for sha256, parameters, seed, status, result, started, finished in found
    ]


def _table(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{shown(found)} in place of a table")
    return found


@dataclass(frozen=True)
class Stored:
    """What a sweep directory holds."""

    definition: dict[str, Any]
    rows: list[Row]
    sessions: list[dict[str, Any]]


def read(folder: Path) -> Stored:
    """Content of a sweep directory, a sweep at work included; for reports and figures.

    Nothing is written, but that what a killed sweep left half done is rolled back.

    Raises
    ------
    ConfigError
        There is no sweep, or its file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise refused(f"{path}: no such file")
    try:
        try:
            return _content(path, "ro")
        except sqlite3.OperationalError:
            # A sweep that was killed within a transaction leaves a journal, which only a writer may roll back.
            return _content(path, "rw")
    except (sqlite3.Error, OverflowError) as error:
        raise refused(f"{path}: damaged, or not the results of a sweep: {error}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise refused(f"{path}: damaged: {type(error).__name__}: {error}") from None


def _content(path: Path, mode: str) -> Stored:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)) as db:
        row = db.execute("SELECT value FROM sweep WHERE key = 'definition'").fetchone()
        if row is None:
            raise ValueError("no definition of a sweep")
        cursor = db.execute("SELECT * FROM sessions ORDER BY id")
        names = [column[0] for column in cursor.description]
        sessions = [dict(zip(names, session, strict=True)) for session in cursor]
        for session in sessions:
            session["provenance"] = _table(session["provenance"])
        return Stored(_table(row[0]), read_points(db), sessions)
