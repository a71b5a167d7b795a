"""The training loop: batches in, one projection a batch, an epoch's line of history out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dfa import checkpoint
from dfa.config import Experiment
from dfa.feedback import Feedback, alignment
from dfa.interruption import Interrupted
from dfa.losses import LOSSES
from dfa.optimizers import Optimizer, clip_by_norm, make_optimizer
from dfa.schedule import Schedule
from dfa.selection import BestWeights
from dfa.task import Data, make_task
from opu_sim.errors import ConfigError


@dataclass
class Progress:
    """Where a run stands; all that a resumed run needs beside weights, moments and the device's state."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    host_s: float = 0.0
    projection_host_s: float = 0.0
    alignment: list[float] = field(default_factory=list)
    alignments: list[list[float]] = field(default_factory=list)
    """Step, counted from 1 over the run, and the cosine of each segment; see `trainer.alignment_every`."""
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains the network of an experiment; use it as a context manager, which opens the device.

    Parameters
    ----------
    experiment : Experiment
    checkpoint_path : Path or None
        Written after each epoch and on interruption.
    on_step : called after each batch with (epoch, step, steps)
    should_stop : asked after each batch; True saves and raises `Interrupted`
    data : Dataset, Graph, Corpus or None
        The experiment's data, where it is at hand already.
    """

    def __init__(
        self,
        experiment: Experiment,
        checkpoint_path: Path | None = None,
        on_step: Callable[[int, int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        data: Data | None = None,
    ) -> None:
        self.experiment = experiment
        self.task = make_task(experiment, data)
        self.network = self.task.make_model()
        self.feedback = Feedback(experiment, self.network)
        self.optimizer = self._make_optimizer()
        self.schedule = Schedule(experiment.trainer)
        self.loss = LOSSES[experiment.trainer.loss]
        self.progress = Progress()
        self.best = BestWeights(self.network) if experiment.trainer.selection == "best-validation" else None
        self.checkpoint_path = checkpoint_path
        self._on_step = on_step
        self._should_stop = should_stop
        self._stack = ExitStack()

    def _make_optimizer(self) -> Optimizer:
        trainer = self.experiment.trainer
        settings = {"learning_rate": trainer.learning_rate, "weight_decay": trainer.weight_decay}
        if trainer.optimizer == "sgd":
            settings["momentum"] = trainer.momentum
        else:
            settings |= {"beta1": trainer.beta1, "beta2": trainer.beta2}
        return make_optimizer(trainer.optimizer, self.network.parameters, self.network.decayed, **settings)

    def __enter__(self) -> Self:
        if self.feedback.projector is not None:
            self._stack.enter_context(self.feedback.projector)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return self.task.steps

    def fit(self) -> list[dict[str, float]]:
        """Train to the last epoch and return the history, a row an epoch.

        Raises
        ------
        Interrupted
            `should_stop` said so; a later run that loads the checkpoint goes on bit for bit.
        """
        while self.progress.epoch < self.experiment.trainer.epochs:
            self.fit_epoch()
            self.save()
        return self.progress.history

    def fit_epoch(self) -> None:
        """Train to the end of the present epoch and add its row to the history."""
        progress = self.progress
        batches = self.task.batches(progress.epoch, progress.step)
        while progress.step < self.steps:
            start = time.perf_counter()
            self._step(*next(batches))
            progress.step += 1
            progress.host_s += time.perf_counter() - start
            if self._on_step is not None:
                self._on_step(progress.epoch, progress.step, self.steps)
            if self._should_stop is not None and self._should_stop():
                self.save()
                raise Interrupted
        self._close_epoch()

    def _step(self, inputs: Any, labels: NDArray[np.int64]) -> None:
        progress, network = self.progress, self.network
        network.step = progress.epoch * self.steps + progress.step
        with np.errstate(over="ignore", invalid="ignore"):  # a loss that overflows is refused below, in one line
            logits = network.forward(inputs)
            progress.correct += int(np.count_nonzero(logits.argmax(axis=1) == labels))
            # The error takes the place of the logits, which for a language model are the largest array of all.
            loss, error = self.loss(logits, labels, out=logits)
        self._refuse_divergence(loss)
        self.feedback.backward(network, error)
        self._align(error)
        if self.experiment.trainer.clip_norm:
            clip_by_norm(network.gradients, self.experiment.trainer.clip_norm)
        trainable = network.output_layer_only if self.feedback.method == "shallow" else None
        self.optimizer.learning_rate = self.schedule.rate(network.step)
        self.optimizer.step(network.gradients, trainable)
        progress.loss_sum += loss * len(labels)
        progress.seen += len(labels)

    def _align(self, error: NDArray[Any]) -> None:
        """The angle of the very update that is about to be applied, where it is due."""
        progress, every = self.progress, self.experiment.trainer.alignment_every
        due = bool(every) and self.network.step % every == 0
        if due or progress.step == self.task.last_full_step:
            cosines = alignment(self.network, error)
            if due:
                progress.alignments.append([self.network.step + 1, *cosines])
            if progress.step == self.task.last_full_step:
                progress.alignment = cosines

    def _close_epoch(self) -> None:
        progress = self.progress
        row: dict[str, float] = {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss_sum / progress.seen,
            "train_accuracy": progress.correct / progress.seen,
        }
        if "validation" in self.task.parts:
            measured = self.evaluate("validation")
            row |= {f"validation_{name}": value for name, value in measured.items()}
            self.schedule.close_epoch(measured["loss"])
            if self.best is not None:
                self.best.update(progress.epoch + 1, self.task.score(measured))
        row |= {f"alignment_{layer + 1}": value for layer, value in enumerate(progress.alignment)}
        row |= {"host_s": progress.host_s, "device_s": self._device_s()}
        progress.history.append(row)
        progress.epoch += 1
        progress.step, progress.loss_sum, progress.correct, progress.seen = 0, 0.0, 0, 0

    def _device_s(self) -> float:
        projector = self.feedback.projector
        return projector.ledger.device_s if projector is not None else 0.0

    def evaluate(self, part: str) -> dict[str, float]:
        """Accuracy and mean loss of the present weights on a part of the data: train, validation or test."""
        measured = self.task.evaluate(self.network, part)
        self._refuse_divergence(measured["loss"])
        return measured

    def metrics(self) -> dict[str, dict[str, float]]:
        """Part by part, of the weights that `trainer.selection` says; empty where a part has no samples."""
        with self.best.applied() if self.best is not None else nullcontext():
            parts = ("train", "validation", "test")
            return {part: self.evaluate(part) if part in self.task.parts else {} for part in parts}

    def _refuse_divergence(self, loss: float) -> None:
        if not math.isfinite(loss):
            rate = self.experiment.trainer.learning_rate
            raise ConfigError(
                f"trainer.learning_rate = {rate:g}: training diverged in epoch {self.progress.epoch + 1} (the loss is "
                f"{loss}); must be smaller"
            )

    def save(self) -> None:
        """Write the checkpoint, if the run has one."""
        if self.checkpoint_path is None:
            return
        arrays = {f"parameter_{i}": value for i, value in enumerate(self.network.parameters)}
        arrays |= {f"optimizer_{name}": value for name, value in self.optimizer.state().items()}
        if self.best is not None:
            arrays |= self.best.arrays()
        self.progress.projection_host_s = self.feedback.projection_host_s
        state: dict[str, Any] = {"progress": vars(self.progress), "schedule": self.schedule.state()}
        if self.feedback.projector is not None:
            state["device"] = self.feedback.projector.state()
        checkpoint.save(self.checkpoint_path, self.experiment.sha256, arrays, state)

    def resume(self) -> None:
        """Load the checkpoint; call it with the device open.

        Raises
        ------
        ConfigError
            As `checkpoint.load`.
        """
        if self.checkpoint_path is None:
            raise ValueError("checkpoint_path: this trainer was built without one")
        arrays, state = checkpoint.load(self.checkpoint_path, self.experiment.sha256)
        wanted = {f"parameter_{i}" for i in range(len(self.network.parameters))}
        wanted |= {f"optimizer_{name}" for name in self.optimizer.state()}
        if self.best is not None:
            wanted |= set(self.best.arrays())
        if missing := sorted(wanted - set(arrays)):
            raise ConfigError(f"{self.checkpoint_path}: damaged checkpoint: {missing[0]} is missing")
        for i, parameter in enumerate(self.network.parameters):
            parameter[...] = arrays[f"parameter_{i}"]
        prefix = "optimizer_"
        self.optimizer.restore({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)})
        if self.best is not None:
            self.best.restore(arrays)
        self.progress = Progress(**state["progress"])
        self.schedule.restore(state["schedule"])
        self.feedback.projection_host_s = self.progress.projection_host_s
        if self.feedback.projector is not None:
            self.feedback.projector.restore(state["device"])
