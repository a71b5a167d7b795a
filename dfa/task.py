"""What is learned: batches to train on, parts to be measured on, and the model that suits the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dfa.config import Experiment
from dfa.data import SOURCES, Dataset, load_dataset
from dfa.graph import GCN
from dfa.losses import LOSSES
from dfa.model import Model
from dfa.network import MLP
from dfa.planetoid import Graph, load_graph
from opu_sim.errors import ConfigError
from opu_sim.rng import stream

Labels = npt.NDArray[np.int64]
Parts = Mapping[str, tuple[npt.NDArray[Any], Labels]]


class Task(Protocol):
    """Data in batches, and how good a model is at them."""

    @property
    def parts(self) -> Parts:
        """Inputs and labels of `train`, of `validation` where samples are held out, and of `test`."""

    @property
    def steps(self) -> int:
        """Batches an epoch."""

    @property
    def last_full_step(self) -> int:
        """The last batch of an epoch that is not cut short: the one whose alignment is reported."""

    def make_model(self) -> Model:
        """The experiment's model with its initial weights."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Labels]]:
        """Inputs and labels of an epoch's batches from number `start` on; the same whenever they are asked for."""

    def evaluate(self, model: Model, part: str) -> dict[str, float]:
        """Accuracy and mean loss of a model on a part."""


class Samples:
    """Labelled samples in shuffled mini-batches: rows of numbers for an MLP, nodes for a graph network.

    The samples of a graph are numbers of nodes: the network sees the whole graph at each step, and the batch says
    whose errors count. One batch that holds all labelled nodes is the usual full-batch training.
    """

    def __init__(self, experiment: Experiment, data: Dataset | Graph) -> None:
        self._experiment = experiment
        self._data = data
        self._loss = LOSSES[experiment.trainer.loss]
        self._batch_size = experiment.trainer.batch_size
        held = {"validation": (data.validation_x, data.validation_y)} if len(data.validation_x) else {}
        self.parts: Parts = {"train": (data.train_x, data.train_y), **held, "test": (data.test_x, data.test_y)}

    @property
    def steps(self) -> int:
        """Batches an epoch; the last may be short."""
        return -(-len(self._data.train_x) // self._batch_size)

    @property
    def last_full_step(self) -> int:
        """Number of the last full batch; 0 where not even the first is full."""
        return max(len(self._data.train_x) // self._batch_size, 1) - 1

    def make_model(self) -> Model:
        """The experiment's model; its initial weights depend on the seed."""
        data, model, seed = self._data, self._experiment.model, self._experiment.seed
        weights = stream(seed, "model.weights")
        if isinstance(data, Graph):
            return GCN(data, model.hidden, weights, dropout=self._experiment.trainer.dropout, seed=seed)
        sizes = [data.train_x.shape[1], *model.hidden, data.classes]
        return MLP(sizes, weights, model.activation, initial_weights=model.initial_weights)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Labels]]:
        """Inputs and labels, batch by batch, from number `start` on."""
        x, labels = self.parts["train"]
        # The order depends on the epoch's number alone, so a resumed epoch finds the same batches.
        order = stream(self._experiment.seed, "data.order", epoch).permutation(len(x))
        for step in range(start, self.steps):
            batch = order[step * self._batch_size : (step + 1) * self._batch_size]
            yield x[batch], labels[batch]

    def evaluate(self, model: Model, part: str) -> dict[str, float]:
        """Accuracy and mean loss of the present weights on a part."""
        x, labels = self.parts[part]
        with np.errstate(over="ignore", invalid="ignore"):  # who trains refuses a loss that is not finite
            logits = model.predict(x)
            loss, _ = self._loss(logits, labels)
        return {"accuracy": float(np.mean(logits.argmax(axis=1) == labels)), "loss": loss}


def load_data(experiment: Experiment) -> Dataset | Graph:
    """Data of an experiment: samples, or a graph with its labelled nodes.

    Raises
    ------
    ConfigError
        Unknown, missing or damaged data; a number of validation samples that cannot be.
    """
    name, validation, source = experiment.data.name, experiment.data.validation, experiment.data.validation_from
    if name in SOURCES and SOURCES[name].is_graph:
        if source != "train":
            raise ConfigError(f"data.validation_from = {source!r}: must be 'train' for {name}, whose split is fixed")
        return load_graph(name, validation=validation)
    return load_dataset(name, validation=validation, seed=experiment.seed, validation_from=source)


def make_task(experiment: Experiment, data: Dataset | Graph | None = None) -> Task:
    """The experiment's task, on data that are at hand already or are loaded.

    Raises
    ------
    ConfigError
        As `load_data`, or a model that does not suit the data.
    """
    kind = experiment.model.kind
    if data is None:
        data = load_data(experiment)
    if isinstance(data, Graph) != (kind == "gcn"):
        what, wanted = ("a graph", "gcn") if isinstance(data, Graph) else ("no graph", "mlp")
        raise ConfigError(f"model.kind = {kind!r}: {data.name} is {what}; must be {wanted!r}")
    return Samples(experiment, data)
