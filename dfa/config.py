"""Experiments: what is trained, on which data, by which method, through which device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Discriminator, Field, Tag, model_validator

from opu_sim.cards import load_card
from opu_sim.config import (
    TAG,
    Section,
    at_fault,
    find_toml,
    merged,
    nested,
    read_toml,
    refused,
    shipped_names,
    validated,
)

METHODS = ("bp", "dfa", "dfa-ternary", "odfa", "shallow")
Method = Literal["bp", "dfa", "dfa-ternary", "odfa", "shallow"]


class ModelConfig(Section):
    """What every model has: its kind, which says what else stands in the table."""

    kind: Literal["mlp", "gcn", "transformer"] = "mlp"


class LayersConfig(ModelConfig):
    """Multilayer perceptron, or graph convolution network (GCN) with as many layers."""

    hidden: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    activation: Literal["relu", "tanh"] = "relu"
    initial_weights: Literal["scaled", "pytorch"] = "scaled"
    """Of an mlp: normal, scaled to the activation (He, LeCun), or uniform as PyTorch's linear layers are by default."""

    @model_validator(mode="after")
    def _activation_of_the_kind(self) -> Self:
        if self.kind == "gcn" and self.activation != "relu":
            raise ValueError(f"activation = {self.activation!r}: must be 'relu' for a gcn")
        if self.kind == "gcn" and self.initial_weights != "scaled":
            raise ValueError(f"initial_weights = {self.initial_weights!r}: must be 'scaled' for a gcn")
        return self


class TransformerConfig(ModelConfig):
    """Decoder-only causal Transformer; see `dfa.transformer.Transformer`."""

    width: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=1)]
    heads: Annotated[int, Field(ge=1)]
    context: Annotated[int, Field(ge=1)]
    """Tokens a training sequence."""
    vocabulary: Annotated[int, Field(ge=2)]
    """Tokens that the model knows; the data may have fewer, not more."""
    activation: Literal["gelu", "relu"] = "gelu"
    tied: bool = False
    """The vocabulary projection is the transposed token embedding."""
    injection: Literal["macro", "micro"] = "macro"
    """Feedback at each block's output, or at three points a block."""
    error_point: Literal["head", "stream"] = "head"
    """What is projected: the error above the last LayerNorm, or below it."""
    feedback_point: Literal["normed", "stream"] = "normed"
    """What the feedback stands for: the gradient of the normalised residual stream, or of the stream itself."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads = {self.heads}: must divide width = {self.width}")
        return self


def _kind(table: Any) -> str:
    kind = table.get("kind") if isinstance(table, Mapping) else getattr(table, "kind", None)
    return f"{TAG}transformer" if kind == "transformer" else f"{TAG}layers"


class DataConfig(Section):
    """Data set, and what validates."""

    name: str
    """A shipped name, or the path of a text that ends in .txt."""
    validation: Annotated[int, Field(ge=0)]
    """Samples held out. Texts have a validation part: 0 leaves it out, and other numbers say how
    many of its tokens are measured after each epoch."""
    validation_from: Literal["train", "test"] = "train"
    """The part that gives up the samples: taken from `test`, all training samples train and fewer are tested on."""
    vocabulary: Annotated[int, Field(ge=2)] | None = None
    """Words of a text that are kept, the most frequent; the others become <unk>. All where it is left out."""
    epoch_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens of a text that an epoch shows; all where it is left out."""


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
    """L2 coefficient: of all parameters of an mlp, of a gcn's first weights, of a transformer's matrices."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate grows linearly to its full size."""
    schedule: Literal["constant", "plateau"] = "constant"
    """What the learning rate does then; see `dfa.schedule`."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.2
    plateau_patience: Annotated[int, Field(ge=0)] = 1
    """Epochs without progress that are put up with. Factor 0.2 and patience 1 are those of Launay et al. 2020."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of all gradients together; 0 does not clip."""
    alignment_every: Annotated[int, Field(ge=0)] = 0
    """Steps between measurements of the alignment over the run; 0 measures once an epoch."""
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
    """Times the standard deviation of the feedback's entries that the normalisation gives."""
    feedback_normalisation: Literal["width", "principled", "widest", "unit"] = "width"
    """Standard deviation of a layer's feedback entries; see `feedback.NORMALISATIONS`."""
    feedback_outputs: Literal["own", "shared"] = "own"
    """Each layer has outputs of the device of its own, or all take the first ones of one matrix."""


class Experiment(Section):
    """A resolved experiment. `device` holds the card's name and overrides below it, such as camera.adc_bits."""

    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")]
    description: str = ""
    method: Method
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    model: Annotated[
        Annotated[LayersConfig, Tag(f"{TAG}layers")] | Annotated[TransformerConfig, Tag(f"{TAG}transformer")],
        Discriminator(_kind),
    ]
    data: DataConfig
    trainer: TrainerConfig
    device: dict[str, Any]

    @model_validator(mode="after")
    def _settings_that_the_model_has(self) -> Self:
        trainer, kind = self.trainer, self.model.kind
        if kind != "gcn" and trainer.dropout:
            a_kind = "an mlp" if kind == "mlp" else f"a {kind}"
            raise ValueError(f"trainer.dropout = {trainer.dropout:g}: must be 0 for {a_kind}, which has none")
        if trainer.selection == "best-validation" and not self.data.validation:
            raise ValueError("data.validation = 0: must be >= 1 where trainer.selection is 'best-validation'")
        if trainer.schedule == "plateau" and not self.data.validation:
            raise ValueError("data.validation = 0: must be >= 1 where trainer.schedule is 'plateau'")
        if kind == "transformer" and trainer.loss != "softmax_cross_entropy":
            raise ValueError(f"trainer.loss = {trainer.loss!r}: must be 'softmax_cross_entropy' for a transformer")
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
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """As a file that `load_experiment` reads back to the same experiment."""
        return tomli_w.dumps(self.table())

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the numbers of the run."""
        content = {key: value for key, value in self.table().items() if key != "description"}
        card = load_card(self.device_name, flattened(self.device_overrides))
        content["device"] = card.model_dump(mode="json", exclude={"description", "sources"})
        if self.data.name.endswith(".txt"):
            content["data"] |= {"name": hashlib.sha256(Path(self.data.name).read_bytes()).hexdigest()}
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
    below = {key.removeprefix("device."): f"{begin}device." for key, begin in set_by.items()}
    in_file = {key: f"{path}: device." for key in overrides if key not in below}
    load_card(experiment.device_name, overrides, below | in_file)
    if experiment.data.name.endswith(".txt"):
        text = _text_file(experiment.data.name, path, set_by)
        experiment = experiment.model_copy(update={"data": experiment.data.model_copy(update={"name": str(text)})})
    return experiment


def _text_file(name: str, experiment: Path, set_by: Mapping[str, str]) -> Path:
    """A text beside the experiment's file, or else below the working directory."""
    for place in (experiment.parent / name, Path(name)):
        if place.is_file():
            return place.resolve()
    raise at_fault(f"data.name = {name!r}: no such file", str(experiment), set_by)


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
