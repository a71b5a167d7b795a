"""`opu device fit`: the cheapest card that reaches an accuracy on a task.

The space is that of `fit_space`, the search that of `fit_search`; here a configuration becomes training runs, on the
workers of `opu sweep` and in a directory that is a sweep's: each run is stored as it ends. The search itself keeps
nothing. As proposals depend on the seed and on results only, a search that was killed is resumed by going through it
again, with the stored results in place of the runs.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.fit_search import Found, Measured, Trial, feasible, front, light, ranked, search
from benchmarks.fit_space import BITS, EXPOSURE, MODEL, POWER, ROWS, TRIGGER, Space, cameras_of, make_space
from benchmarks.sweep.definition import Point
from benchmarks.sweep.quantities import quantities, table, write_csv, write_whole
from benchmarks.sweep.store import DONE, FILE, Row, Store
from dfa import provenance
from dfa.checkpoint import make_writable
from dfa.config import Experiment, flattened, load_experiment
from dfa.interruption import Interrupted
from opu_sim.cards import CameraCard, OpuCard, load_camera_card, load_card
from opu_sim.config import find_toml, read_toml, refused, shipped_names
from opu_sim.errors import ConfigError, DeviceError

SCHEMA = "opu-sim/fit/1"
DOCUMENT, CARD, FIGURE = "fit.json", "card.toml", "fit.png"
COSTS = {"joules": "J", "watts": "W", "device_s": "device s", "joules_per_op": "J/op", "frames": "frames"}
"""Quantities that can be the cost, and their units; of the device's simulated clock and ledger, all of training."""

CONVENTIONS = (
    "accuracy: mean of the test set's over the trial's seeds, and its standard error, the sample standard deviation "
    "over the root of their number. feasible: that mean is at least the accuracy asked for, nothing added or taken "
    "off. cost: mean over seeds, of the device's simulated clock and ledger over the whole training, calibration "
    "included, the host computer not; costs within 1e-6 are equal, and in order of light, laser power x exposure. "
    "winner: the cheapest feasible configuration whose mean over fresh seeds, which no trial had, is feasible as "
    "well. front: no other trial is as cheap and as accurate and better in one. Trials are proposed in batches of "
    "four by Optuna's tree-structured Parzen estimator with the seed, or are the whole space where it is small "
    "enough; the number of workers decides nothing."
)


@dataclass(frozen=True)
class Task:
    """What is fitted, checked: nothing has run yet.

    Attributes
    ----------
    settings : of the base, by dotted key, the trigger's among them
    base : the experiment with the card that the search begins with
    """

    experiment: str
    device: str | None
    settings: dict[str, Any]
    base: Experiment
    card: OpuCard
    space: Space
    accuracy: float
    cost: str
    trials: int
    seeds: int
    confirm: int
    seed: int

    def definition(self) -> dict[str, Any]:
        """What must be the same for a search to go on; the number of trials may grow."""
        return {
            "name": f"fit-{self.base.name}",
            "experiment": self.base.name,
            "seeds": self.seeds,
            "axes": [{"keys": [f"device.{entry.key}" for entry in self.space.dimensions]}],
            "space": self.space.document(),
            "accuracy": self.accuracy,
            "cost": self.cost,
            "confirm": self.confirm,
            "seed": self.seed,
            "base": self.base.table(),
            "description": f"opu device fit: {self.goal()}",
        }

    def goal(self) -> str:
        """In words."""
        return f"least {self.cost} at accuracy >= {self.accuracy:g} on {self.base.name}"

    @property
    def points(self) -> int:
        """Training runs that it takes where the first confirmation holds."""
        whole = self.space.whole(self.trials)
        return (self.trials if whole is None else len(whole)) * self.seeds + self.confirm

    def start(self) -> dict[str, Any]:
        """Where the search begins: the base card's values of the searched keys, and of what `light` needs."""
        values = flattened(self.card.model_dump(mode="json", exclude={"sources"}))
        values[ROWS] = values.get(ROWS) or self.card.camera.rows
        return {entry.key: values.get(entry.key) for entry in self.space.dimensions} | {
            key: values.get(key) for key in (POWER, EXPOSURE)
        }

    def resolved(self, parameters: Mapping[str, Any], seed: int) -> Experiment:
        """The experiment of a configuration.

        Raises
        ------
        ConfigError
            The card refuses it.
        """
        changes = {f"device.{key}": value for key, value in parameters.items()}
        settings = {**self.settings, **changes}
        try:
            return load_experiment(self.experiment, device=self.device, method="odfa", seed=seed, settings=settings)
        except ConfigError as error:
            raise ConfigError(str(error).removeprefix("--set ")) from None


def make_task(
    experiment: str,
    accuracy: float,
    *,
    device: str | None = None,
    cost: str = "joules",
    trials: int = 40,
    seeds: int = 3,
    confirm: int = 5,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    space: Mapping[str, Any] | None = None,
) -> Task:
    """Check everything that can be checked before training.

    Raises
    ------
    ConfigError
        Bad option, experiment, device, data or space; a device without light; a task without accuracy.
    """
    if not 0.0 < accuracy <= 1.0:
        raise refused(f"--accuracy {accuracy:g}: must be > 0 and <= 1")
    if cost not in COSTS:
        raise refused(f"--cost {cost}: unknown cost; must be one of {', '.join(COSTS)}")
    for option, count in (("--trials", trials), ("--seeds", seeds), ("--confirm", confirm)):
        if count < 1:
            raise refused(f"{option} {count}: must be >= 1")
    given = dict(space or {})
    trigger = {} if TRIGGER in given else {f"device.{TRIGGER}": 0.0}
    changes = trigger | dict(settings or {})
    unchanged = load_experiment(experiment, device=device, method="odfa", settings=dict(settings or {}))
    if not isinstance(load_card(unchanged.device_name, flattened(unchanged.device_overrides)), OpuCard):
        raise refused(f"{unchanged.device_name}: nothing to fit: must be a device with a laser and a camera")
    base = load_experiment(experiment, device=device, method="odfa", settings=changes)
    if base.model.kind == "transformer":
        raise refused(f"{base.name}: has no accuracy; must be an experiment with classes")
    card = _card(base)
    fixed = {key.removeprefix("device."): value for key, value in changes.items() if key.startswith("device.")}
    stated = read_toml(find_toml("devices", base.device_name)).get("camera", {})
    cameras, rows_needed = _cameras(base, card, cameras_of(given, fixed, card, stated))
    found = make_space(card, cameras, rows_needed, given, fixed)
    task = Task(experiment, device, changes, base, card, found, accuracy, cost, trials, seeds, confirm, seed)
    _check_values(task, list(cameras), given)
    return task


def _card(experiment: Experiment) -> OpuCard:
    card = load_card(experiment.device_name, flattened(experiment.device_overrides))
    if not isinstance(card, OpuCard):
        raise TypeError("the device was one with a laser and a camera")
    return card


def _cameras(experiment: Experiment, card: OpuCard, names: Sequence[str]) -> tuple[dict[str, CameraCard], int]:
    """Cards of the cameras, and the fewest rows that the outputs take on any of them."""
    from dfa.trainer import Trainer
    from opu_sim import Opu, load_device

    cameras: dict[str, CameraCard] = {}
    rows, problem = [], None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of little light, say: the trials tell
        projector = Trainer(experiment).feedback.projector
        if not isinstance(projector, Opu):
            raise TypeError("odfa trains through an optical device")
        for name in names or [""]:
            cameras[name] = load_camera_card(name) if name else card.camera
            overrides = flattened(experiment.device_overrides) | {ROWS: 1} | ({MODEL: name} if name else {})
            try:
                device = load_device(
                    experiment.device_name, n_in=projector.n_in, n_out=projector.n_out, seed=0, **overrides
                )
                rows.append(device.clock.rows)  # type: ignore[attr-defined]
            except (DeviceError, ConfigError) as error:
                problem = error
    if not rows and problem is not None:
        raise problem
    return cameras, min(rows)


def _check_values(task: Task, cameras: Sequence[str], given: Mapping[str, Any]) -> None:
    """Refuse, before anything runs, values of `--space` that no camera's card takes."""
    for key, value in given.items():
        for entry in value if isinstance(value, list | tuple) else [value]:
            entry = int(entry) if isinstance(value, tuple) and key in (BITS, ROWS) else entry
            problems = []
            for camera in cameras:
                try:
                    task.resolved(({MODEL: camera} if camera else {}) | {key: entry}, 0)
                    break
                except ConfigError as error:
                    problems.append(error)
            else:
                raise refused(f"--space {problems[0]}")


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
    document = _document(task, found, origin)
    (folder / CARD).unlink(missing_ok=True)
    if found.winner is not None:
        write_whole(folder / CARD, card_toml(task, found.winner).encode())
    write_whole(folder / DOCUMENT, (json.dumps(document, indent=2) + "\n").encode())
    told = [text for texts in runs.told.values() for text in texts]
    return Fitted(folder, document, runs.ran, runs.faults, told)


def card_toml(task: Task, winner: Trial) -> str:
    """The winning card as a device file: every figure stated, those that were searched with the search as source."""
    card = _card(task.resolved(winner.parameters, 0))
    table = card.model_dump(mode="json", exclude_none=True)
    table["name"] = f"{card.name}-fit"
    table["description"] = f"{card.name}, {task.goal()}, by opu device fit"
    if card.camera.model is not None and card.camera.model not in shipped_names("cameras"):
        del table["camera"]["model"]  # a path from elsewhere; all of the camera's figures are here
    for key in [*winner.parameters, TRIGGER]:
        part, _, name = key.rpartition(".")
        if name != "model":
            table["sources"].setdefault(part, {})[name] = f"opu device fit: {task.goal()}"
    return tomli_w.dumps(table)


def _document(task: Task, found: Found, origin: Mapping[str, Any]) -> dict[str, Any]:
    base = task.start()
    entries = {trial.number: _entry(trial, task, base) for trial in found.trials}
    best = ranked(found.trials, task.accuracy, task.cost, base)
    return {
        "schema": SCHEMA,
        "experiment": task.base.table(),
        "device": task.card.name,
        "accuracy": task.accuracy,
        "cost": task.cost,
        "seeds": list(range(task.seeds)),
        "fresh_seeds": list(range(task.seeds, task.seeds + task.confirm)),
        "search": {"seed": task.seed, "kind": "whole space" if found.whole else "tree-structured Parzen estimator"},
        "space": task.space.document(),
        "fixed": [
            {"key": key, "value": value, "why": "free-running trigger" if key == f"device.{TRIGGER}" else "--set"}
            for key, value in task.settings.items()
        ],
        "trials": [entries[trial.number] for trial in found.trials],
        "ranking": [trial.number for trial in best],
        "front": [trial.number for trial in front(found.trials, task.cost)],
        "base": next((trial.number for trial in found.trials if trial.base), None),
        "winner": None if found.winner is None else found.winner.number,
        "conventions": CONVENTIONS,
        "provenance": dict(origin),
    }


def _entry(trial: Trial, task: Task, base: Mapping[str, Any]) -> dict[str, Any]:
    measured = trial.measured
    out: dict[str, Any] = {"number": trial.number, "parameters": trial.parameters}
    if measured.error is not None:
        return out | {"status": "failed", "error": measured.error, "feasible": False}
    return out | {
        "status": "done",
        "feasible": feasible(measured, task.accuracy),
        "light_nj": light(trial.parameters, base),
        **_summary(measured),
        "confirmation": None if trial.confirmation is None else _confirmation(trial.confirmation, task),
    }


def _confirmation(measured: Measured, task: Task) -> dict[str, Any]:
    if measured.error is not None:
        return {"status": "failed", "error": measured.error, "feasible": False}
    return {"status": "done", "feasible": feasible(measured, task.accuracy), **_summary(measured)}


def _summary(measured: Measured) -> dict[str, Any]:
    return {
        "accuracies": measured.values("accuracy"),
        "accuracy_mean": measured.mean("accuracy"),
        "accuracy_se": measured.standard_error("accuracy"),
        **{name: measured.mean(name) for name in (*COSTS, "frame_rate_hz")},
    }
