"""What `opu device fit` is asked: task, accuracy, cost and space, checked before anything runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.fit.space import BITS, EXPOSURE, MODEL, POWER, ROWS, TRIGGER, Space, cameras_of, make_space
from dfa.config import Experiment, flattened, load_experiment
from opu_sim.cards import CameraCard, OpuCard, load_camera_card, load_card
from opu_sim.config import find_toml, read_toml, refused
from opu_sim.errors import ConfigError, DeviceError

COSTS = {"joules": "J", "watts": "W", "device_s": "device s", "joules_per_op": "J/op", "frames": "frames"}
"""Quantities that can be the cost, and their units; of the device's simulated clock and ledger, all of training."""


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
    card = card_of(base)
    fixed = {key.removeprefix("device."): value for key, value in changes.items() if key.startswith("device.")}
    stated = read_toml(find_toml("devices", base.device_name)).get("camera", {})
    cameras, rows_needed = _cameras(base, card, cameras_of(given, fixed, card, stated))
    found = make_space(card, cameras, rows_needed, given, fixed)
    task = Task(experiment, device, changes, base, card, found, accuracy, cost, trials, seeds, confirm, seed)
    _check_values(task, list(cameras), given)
    return task


def card_of(experiment: Experiment) -> OpuCard:
    """The card that an experiment trains through, which is that of an optical device."""
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
