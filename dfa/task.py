"""What is learned: batches to train on, parts to be measured on, and the model that suits the data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dfa.config import Experiment, LayersConfig
from dfa.data import Dataset, load_dataset
from dfa.graph import GCN
from dfa.language import Text
from dfa.losses import LOSSES
from dfa.model import Model
from dfa.network import MLP
from dfa.planetoid import Graph, load_graph
from dfa.sources import source_named
from dfa.text import Corpus, load_text
from opu_sim.errors import ConfigError
from opu_sim.rng import stream

Labels = npt.NDArray[np.int64]
Data = Dataset | Graph | Corpus
Parts = Mapping[str, tuple[npt.NDArray[Any], Labels]]


class Task(Protocol):
    """Data in batches, and how good a model is at them."""

    @property
    def parts(self) -> Collection[str]:
        """Names of what can be measured: `train`, `validation` where there is such a part, and `test`."""

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
        """Accuracy, mean loss and what else suits the data, of a model on a part."""

    def score(self, measured: Mapping[str, float]) -> float:
        """What the weights with the best validation have most of."""


class Samples:
    """Labelled samples in shuffled mini-batches: rows of numbers for an MLP, nodes for a graph network.

    The samples of a graph are numbers of nodes: the network sees the whole graph at each step, and the batch says
    whose errors count. One batch that holds all labelled nodes is the usual full-batch training.
    """

    def __init__(self, experiment: Experiment, data: Dataset | Graph) -> None:
        config, kind = experiment.model, "gcn" if isinstance(data, Graph) else "mlp"
        if not isinstance(config, LayersConfig) or config.kind != kind:
            what = "a graph" if isinstance(data, Graph) else "neither a graph nor a text"
            raise ConfigError(f"model.kind = {config.kind!r}: {data.name} is {what}; must be {kind!r}")
        self._experiment = experiment
        self._config = config
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
        data, model, seed = self._data, self._config, self._experiment.seed
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
            yield np.take(x, batch, axis=0), labels[batch]

    def evaluate(self, model: Model, part: str) -> dict[str, float]:
        """Accuracy and mean loss of the present weights on a part."""
        x, labels = self.parts[part]
        with np.errstate(over="ignore", invalid="ignore"):  # who trains refuses a loss that is not finite
            logits = model.predict(x)
            loss, _ = self._loss(logits, labels)
        return {"accuracy": float(np.mean(logits.argmax(axis=1) == labels)), "loss": loss}

    def score(self, measured: Mapping[str, float]) -> float:
        """The accuracy."""
        return measured["accuracy"]


def load_data(experiment: Experiment) -> Data:
    """Data of an experiment: samples, a graph with its labelled nodes, or a text.

    Raises
    ------
    ConfigError
        Unknown, missing or damaged data; a number of validation samples or of words that cannot be.
    """
    name, validation, source = experiment.data.name, experiment.data.validation, experiment.data.validation_from
    kind = "text" if name.endswith(".txt") else source_named(name).kind
    if kind != "samples" and source != "train":
        raise ConfigError(f"data.validation_from = {source!r}: must be 'train' for {name}, whose parts are fixed")
    if kind == "text":
        return load_text(name, vocabulary=experiment.data.vocabulary)
    for key in ("vocabulary", "epoch_tokens"):
        if (value := getattr(experiment.data, key)) is not None:
            raise ConfigError(f"data.{key} = {value}: {name} is no text; must be left out")
    if kind == "graph":
        return load_graph(name, validation=validation)
    return load_dataset(name, validation=validation, seed=experiment.seed, validation_from=source)


def make_task(experiment: Experiment, data: Data | None = None) -> Task:
    """The experiment's task, on data that are at hand already or are loaded.

    Raises
    ------
    ConfigError
        As `load_data`, or a model that does not suit the data.
    """
    if data is None:
        data = load_data(experiment)
    return Text(experiment, data) if isinstance(data, Corpus) else Samples(experiment, data)
