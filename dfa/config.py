"""Experiments: what is trained, on which data, by which method, through which device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, model_validator

from opu_sim.cards import load_card
from opu_sim.config import Section, find_toml, merged, nested, read_toml, refused, shipped_names, validated

METHODS = ("bp", "dfa", "dfa-ternary", "odfa", "shallow")
Method = Literal["bp", "dfa", "dfa-ternary", "odfa", "shallow"]


class ModelConfig(Section):
    """Multilayer perceptron, or graph convolution network (GCN) with as many layers."""

    kind: Literal["mlp", "gcn"] = "mlp"
    hidden: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    activation: Literal["relu", "tanh"] = "relu"

    @model_validator(mode="after")
    def _activation_of_the_kind(self) -> Self:
        if self.kind == "gcn" and self.activation != "relu":
            raise ValueError(f"activation = {self.activation!r}: must be 'relu' for a gcn")
        return self


class DataConfig(Section):
    """Data set and the samples held out of its training part."""

    name: str
    validation: Annotated[int, Field(ge=0)]


class TrainerConfig(Section):
    """Optimisation and the way of the error."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    optimizer: Literal["sgd", "adam"]
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 coefficient: of all parameters of an mlp, of a gcn's first weights."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of each layer of a gcn that is set to 0 in training."""
    selection: Literal["last", "best-validation"] = "last"
    """Whose weights are reported: the last epoch's, or the first's of those with the best validation accuracy."""
    loss: Literal["softmax_cross_entropy", "mean_squared_error"] = "softmax_cross_entropy"
    error_encoding: Literal["ternary", "bit-planes"] = "ternary"
    """What odfa sends to the device."""
    ternary_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the vector's own largest entry below which an error becomes 0."""
    ternary_magnitudes: Literal["one", "two"] = "two"
    """One magnitude for both signs or one for each; see `feedback.ternarised`."""
    feedback_gain: Annotated[float, Field(gt=0)] = 1.0
    """Feedback entries of a layer of width w have the standard deviation gain / sqrt(w)."""


class Experiment(Section):
    """A resolved experiment. `device` holds the card's name and overrides below it, such as camera.adc_bits."""

    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")]
    description: str = ""
    method: Method
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    model: ModelConfig
    data: DataConfig
    trainer: TrainerConfig
    device: dict[str, Any]

    @model_validator(mode="after")
    def _settings_that_the_model_has(self) -> Self:
        if self.model.kind == "mlp" and self.trainer.dropout:
            raise ValueError(f"trainer.dropout = {self.trainer.dropout:g}: must be 0 for an mlp, which has none")
        if self.trainer.selection == "best-validation" and not self.data.validation:
            raise ValueError("data.validation = 0: must be >= 1 where trainer.selection is 'best-validation'")
        return self

    @property
    def device_name(self) -> str:
        """Shipped name or path of the device card."""
        return str(self.device["name"])

    @property
    def device_overrides(self) -> dict[str, Any]:
        """Overrides of the card, nested."""
        return {key: value for key, value in self.device.items() if key != "name"}

    def table(self) -> dict[str, Any]:
        """As a TOML-ready table."""
        return self.model_dump(mode="json")

    def to_toml(self) -> str:
        """As a file that `load_experiment` reads back to the same experiment."""
        return tomli_w.dumps(self.table())

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the numbers of the run."""
        content = {key: value for key, value in self.table().items() if key != "description"}
        card = load_card(self.device_name, flattened(self.device_overrides))
        content["device"] = card.model_dump(mode="json", exclude={"description", "sources"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


_ROOTS = ("model", "data", "trainer", "device")


def load_experiment(
    name: str | Path,
    *,
    device: str | None = None,
    method: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Experiment:
    """Experiment of a shipped name or a TOML file, with the command line's changes on top.

    A file's tables `[methods.bp]`, `[methods.dfa]`, ... hold settings of `[trainer]` that a method wants otherwise;
    those of the chosen method are laid over it, below the command line's, and the experiment keeps no trace of them.

    Parameters
    ----------
    settings : mapping of dotted keys below model., data., trainer. or device.

    Raises
    ------
    ConfigError
        Missing file, unknown key, wrong type or value, unknown device or device key: one line.
    """
    path = find_toml("experiments", name)
    table = read_toml(path)
    for key in settings or {}:
        root = key.split(".")[0]
        if root not in _ROOTS or "." not in key:
            roots = ", ".join(f"{name}." for name in _ROOTS)
            raise refused(f"--set {key}: unknown key; must begin with one of {roots}")
    changes: dict[str, Any] = nested(settings or {})
    named = table.get("device")
    if device is not None and not (isinstance(named, dict) and named.get("name") == device):
        # The file's overrides belong to the device that it names, not to another one.
        table["device"] = {"name": device}
    changes.update({key: value for key, value in (("method", method), ("seed", seed)) if value is not None})
    if method is not None and method not in METHODS:
        raise refused(f"--method {method!r}: must be one of {', '.join(METHODS)}")
    own = table.pop("methods", {})
    set_by = dict.fromkeys(settings or {}, "--set ") | ({} if seed is None else {"seed": "--seed: "})
    experiment = validated(Experiment, merged(table, changes), str(path), set_by)
    trainers = _trainers_by_method(own, table["trainer"], path)
    if experiment.method in trainers:
        table["trainer"] = trainers[experiment.method]
        experiment = validated(Experiment, merged(table, changes), str(path), set_by)
    if not isinstance(experiment.device.get("name"), str):
        raise refused(f"{path}: device.name: missing; it names the device card")
    # A user's card may lie beside the experiment; its full path then lets config.toml run again from anywhere.
    card = find_toml("devices", experiment.device_name, beside=path.parent)
    if experiment.device_name not in shipped_names("devices"):
        experiment = experiment.model_copy(update={"device": experiment.device | {"name": str(card.resolve())}})
    overrides = flattened(experiment.device_overrides)
    set_by = {key.removeprefix("device."): f"{begin}device." for key, begin in set_by.items()}
    in_file = {key: f"{path}: device." for key in overrides if key not in set_by}
    load_card(experiment.device_name, overrides, set_by | in_file)
    return experiment


def _trainers_by_method(own: Any, trainer: Mapping[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """`[trainer]` with the settings of each method that has a table of its own, all of them checked."""
    if not isinstance(own, Mapping):
        raise refused(f"{path}: methods = {own!r}: must be a table")
    trainers = {}
    for method, settings in own.items():
        where = f"methods.{method}"
        if method not in METHODS:
            raise refused(f"{path}: {where}: unknown key; must be one of {', '.join(METHODS)}")
        if not isinstance(settings, Mapping):
            raise refused(f"{path}: {where} = {settings!r}: must be a table of trainer's settings")
        trainers[method] = merged(trainer, settings)
        validated(TrainerConfig, trainers[method], f"{path}: {where}")
    return trainers


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"camera": {"adc_bits": 6}} -> {"camera.adc_bits": 6}."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            out.update(flattened(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out
