"""What is compared: ways of training one experiment, and the number that tells which is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dfa.config import METHODS, Experiment, load_experiment


@dataclass(frozen=True)
class Metric:
    """A number that the trainer measures on the test part, and how it is shown: `scale` times it, in `unit`."""

    name: str
    title: str
    unit: str = ""
    scale: float = 1.0
    better: Literal["higher", "lower"] = "lower"
    points: str = ""
    """What a difference of 1 is called."""

    @property
    def column(self) -> str:
        """Head of a column."""
        return self.title + self.bracketed

    @property
    def bracketed(self) -> str:
        """The unit behind a word, nothing where there is none."""
        return f" [{self.unit}]" if self.unit else ""


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "test accuracy", "%", 100.0, "higher", "points"),
        Metric("loss", "test loss", "nats", points="nats"),
        Metric("perplexity", "test perplexity"),
    )
}


@dataclass(frozen=True)
class Variant:
    """A way of training an experiment: a method, and what it changes of the experiment or its device.

    `name` is also part of file names. `settings` have dotted keys, as on the command line; `device` is a shipped name
    or a TOML file in place of the experiment's device.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None

    def resolved(self, experiment: str, settings: Mapping[str, Any], seed: int | None = None) -> Experiment:
        """The experiment as this variant trains it; `settings` lie on top of the variant's own.

        Raises
        ------
        ConfigError
            As `load_experiment`.
        """
        changes = {**self.settings, **settings}
        return load_experiment(experiment, device=self.device, method=self.method, seed=seed, settings=changes)


METHOD_VARIANTS = tuple(Variant(method, method) for method in METHODS)
"""The five methods, nothing else changed."""
