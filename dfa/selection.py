"""Which epoch's weights are reported: the last one's, or those that were best on the validation part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.model import Model


class BestWeights:
    """Weights of the first epoch that reached the highest validation score (`Task.score`)."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._weights = [parameter.copy() for parameter in model.parameters]
        self.epoch = 0
        """Number of that epoch, from 1; 0 before the first."""
        self.score = -math.inf

    def update(self, epoch: int, score: float) -> None:
        """Take the model's present weights if this epoch is better than all before."""
        if score > self.score:
            self.epoch, self.score = epoch, score
            for kept, parameter in zip(self._weights, self._model.parameters, strict=True):
                kept[...] = parameter

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with its best weights, for as long as the block lasts."""
        present = [parameter.copy() for parameter in self._model.parameters]
        self._load(self._weights)
        try:
            yield
        finally:
            self._load(present)

    def _load(self, weights: list[NDArray[Any]]) -> None:
        for parameter, value in zip(self._model.parameters, weights, strict=True):
            parameter[...] = value

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint, with `epoch` and `score` among them."""
        weights = {f"best_{i}": weight for i, weight in enumerate(self._weights)}
        return {**weights, "best_epoch": np.array(self.epoch), "best_score": np.array(self.score)}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` returned."""
        self.epoch, self.score = int(arrays["best_epoch"]), float(arrays["best_score"])
        for i, weight in enumerate(self._weights):
            weight[...] = arrays[f"best_{i}"]
