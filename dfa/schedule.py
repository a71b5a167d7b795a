"""Step size over a run: a linear warm-up, then constant, or cut whenever the validation loss stops falling."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from dfa.config import TrainerConfig

# Smaller relative falls of the loss are none: the default of PyTorch's ReduceLROnPlateau, whose rule this is.
_THRESHOLD = 1e-4


@dataclass
class _Plateau:
    best: float = math.inf
    epochs_without: int = 0
    cuts: int = 0


class Schedule:
    """Learning rate of each step.

    "constant": `learning_rate`. "plateau": times `plateau_factor` for each time that the validation loss did not fall
    for more than `plateau_patience` epochs in a row. Either grows linearly over the first `warmup_steps`.
    """

    def __init__(self, trainer: TrainerConfig) -> None:
        self._trainer = trainer
        self._plateau = _Plateau()

    def rate(self, step: int) -> float:
        """Learning rate of training step `step`, counted from 0 over the whole run."""
        trainer = self._trainer
        warm = min(1.0, (step + 1) / trainer.warmup_steps) if trainer.warmup_steps else 1.0
        return float(trainer.learning_rate * warm * trainer.plateau_factor**self._plateau.cuts)

    def close_epoch(self, validation_loss: float) -> None:
        """Take note of an epoch's validation loss."""
        plateau = self._plateau
        if self._trainer.schedule == "constant":
            return
        if validation_loss < plateau.best * (1 - _THRESHOLD):
            plateau.best, plateau.epochs_without = validation_loss, 0
            return
        plateau.epochs_without += 1
        if plateau.epochs_without > self._trainer.plateau_patience:
            plateau.cuts, plateau.epochs_without = plateau.cuts + 1, 0

    def state(self) -> dict[str, Any]:
        """JSON-ready, for a checkpoint."""
        return asdict(self._plateau)

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._plateau = _Plateau(**state)
