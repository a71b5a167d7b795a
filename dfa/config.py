"""Experiments: what is trained, on which data, by which method, through which device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field

from opu_sim.cards import load_card
from opu_sim.config import Section, find_toml, merged, nested, read_toml, refused, shipped_names, validated

METHODS = ("bp", "dfa", "dfa-ternary", "odfa", "shallow")
Method = Literal["bp", "dfa", "dfa-ternary", "odfa", "shallow"]


class ModelConfig(Section):
    """Multilayer perceptron."""

    hidden: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    activation: Literal["relu", "tanh"] = "relu"


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
    experiment = validated(Experiment, merged(table, changes), str(path))
    if not isinstance(experiment.device.get("name"), str):
        raise refused(f"{path}: device.name: missing; it names the device card")
    # A user's card may lie beside the experiment; its full path then lets config.toml run again from anywhere.
    card = find_toml("devices", experiment.device_name, beside=path.parent)
    if experiment.device_name not in shipped_names("devices"):
        experiment = experiment.model_copy(update={"device": experiment.device | {"name": str(card.resolve())}})
    load_card(experiment.device_name, flattened(experiment.device_overrides))
    return experiment


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"camera": {"adc_bits": 6}} -> {"camera.adc_bits": 6}."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            out.update(flattened(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out
