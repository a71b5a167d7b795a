"""Next-token prediction: windows of a text as training sequences, and perplexity as the measure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dfa.config import Experiment, TransformerConfig
from dfa.losses import LOSSES
from dfa.model import Model
from dfa.text import Corpus, Tokens, windows
from dfa.transformer import Transformer
from opu_sim.errors import ConfigError
from opu_sim.medium.transmission import half_of_memory
from opu_sim.rng import stream

Labels = NDArray[np.int64]

# Sequences a piece of an evaluation: their logits are all that it holds.
_PIECE = 8


class Text:
    """A text in windows of `model.context` tokens; a batch is `trainer.batch_size` windows, a row is a token.

    Each epoch cuts the text at another offset, so that a token is seen in many positions of a sequence, and shuffles
    the windows; both depend on the seed and the epoch's number alone. An epoch shows as many windows as the least
    favourable offset leaves, or as hold `data.epoch_tokens` tokens, so that all epochs have the same number of steps.

    Measured are the leading tokens of each part: all of `test`, `data.validation` of `validation`, and of `train` as
    many as `test` has.

    Raises
    ------
    ConfigError
        A text with more tokens than `model.vocabulary`, or a part that is shorter than one window.
    """

    def __init__(self, experiment: Experiment, corpus: Corpus) -> None:
        config = experiment.model
        if not isinstance(config, TransformerConfig):
            raise ConfigError(f"model.kind = {config.kind!r}: {corpus.name} is a text; must be 'transformer'")
        if len(corpus.vocabulary) > config.vocabulary:
            raise ConfigError(
                f"model.vocabulary = {config.vocabulary}: {corpus.name} has {len(corpus.vocabulary)} distinct tokens; "
                "must be at least as many, or data.vocabulary keep fewer words"
            )
        self._experiment, self._config, self._train = experiment, config, corpus.train
        self._loss = LOSSES[experiment.trainer.loss]
        self._batch_size = experiment.trainer.batch_size
        measured = {
            "train": corpus.train[: len(corpus.test)],
            "validation": corpus.validation[: experiment.data.validation],
            "test": corpus.test,
        }
        if not experiment.data.validation:
            del measured["validation"]
        self.parts = measured
        for name, tokens in measured.items():
            if len(tokens) <= config.context:
                where = "data.validation" if name == "validation" else "model.context"
                value = experiment.data.validation if name == "validation" else config.context
                raise ConfigError(
                    f"{where} = {value}: the {name} part has {len(tokens)} tokens, a window of model.context = "
                    f"{config.context} needs {config.context + 1}"
                )

    @property
    def _windows(self) -> int:
        """Windows an epoch: at most those that the least favourable offset leaves."""
        context = self._config.context
        wanted = self._experiment.data.epoch_tokens
        whole = (len(self._train) - context) // context
        return whole if wanted is None else min(whole, -(-wanted // context))

    @property
    def steps(self) -> int:
        """Batches an epoch; the last may be short."""
        return -(-self._windows // self._batch_size)

    @property
    def last_full_step(self) -> int:
        """Number of the last full batch; 0 where not even the first is full."""
        return max(self._windows // self._batch_size, 1) - 1

    def make_model(self) -> Model:
        """The experiment's Transformer; its initial weights depend on the seed.

        Raises
        ------
        ConfigError
            It takes more memory than half of what there is.
        """
        config = self._config
        rows = self._batch_size * config.context
        needed, allowed = training_bytes(config, rows), half_of_memory()
        if needed > allowed:
            raise ConfigError(
                f"model.width = {config.width}: {config.blocks} blocks, {config.vocabulary} tokens and batches of "
                f"{rows} take {needed / 2**30:.1f} GiB; allowed: {allowed / 2**30:.1f} GiB, half of this computer's "
                "memory"
            )
        return Transformer(
            config.vocabulary,
            config.context,
            stream(self._experiment.seed, "model.weights"),
            width=config.width,
            blocks=config.blocks,
            heads=config.heads,
            activation=config.activation,
            tied=config.tied,
            injection=config.injection,
            error_point=config.error_point,
            feedback_point=config.feedback_point,
        )

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tokens, Labels]]:
        """Tokens [sequence, context] and what follows each of them [sequence * context], from batch `start` on."""
        rng = stream(self._experiment.seed, "data.order", epoch)
        cut = windows(self._train, self._config.context, int(rng.integers(self._config.context)))
        order = rng.permutation(len(cut))[: self._windows]
        for step in range(start, self.steps):
            yield _inputs_and_labels(cut[order[step * self._batch_size : (step + 1) * self._batch_size]])

    def evaluate(self, model: Model, part: str) -> dict[str, float]:
        """Share of next tokens that come out first, mean loss [nat a token], and perplexity = exp(loss)."""
        cut = windows(self.parts[part], self._config.context)
        loss, right, seen = 0.0, 0, 0
        for start in range(0, len(cut), _PIECE):
            tokens, labels = _inputs_and_labels(cut[start : start + _PIECE])
            with np.errstate(over="ignore", invalid="ignore"):  # who trains refuses a loss that is not finite
                logits = model.predict(tokens)
                right += int(np.count_nonzero(logits.argmax(axis=1) == labels))
                loss += self._loss(logits, labels, out=logits)[0] * len(labels)
            seen += len(labels)
        mean = loss / seen
        return {"accuracy": right / seen, "loss": mean, "perplexity": math.exp(mean) if mean < 700 else math.inf}

    def score(self, measured: Mapping[str, float]) -> float:
        """The loss, the less the better."""
        return -measured["loss"]


def training_bytes(config: TransformerConfig, rows: int) -> float:
    """Memory that training on batches of `rows` tokens takes at least [bytes]: its large float32 arrays."""
    width = config.width
    embeddings = (1 if config.tied else 2) * config.vocabulary * width + config.context * width
    parameters = embeddings + config.blocks * 12 * width**2
    # Of a block: normed inputs twice each, q, k, v, mixed values, attention weights, the hidden layer and its slope.
    kept = rows * (16 * width + config.heads * config.context)
    # With each parameter a gradient and Adam's two moments.
    return 4.0 * (4 * parameters + config.blocks * kept + rows * config.vocabulary)


def _inputs_and_labels(cut: Tokens) -> tuple[Tokens, Labels]:
    return cut[:, :-1], cut[:, 1:].astype(np.int64).reshape(-1)
