"""One side of `opu bench pytorch`: a process that trains on request and answers with seconds.

`python -m benchmarks.pytorch.side ours|pytorch THREADS SAMPLES` reads names of `CASES` from stdin, a line each, and
writes the seconds of one turn a line. Neither side imports the other's libraries, so that no two thread pools share a
process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.pytorch.case import (
    BATCH,
    BLOCKS,
    CONTEXT,
    HEADS,
    LEARNING_RATE,
    MOMENTUM,
    SIZES,
    STEPS,
    VOCABULARY,
    WIDTH,
    images,
    tokens,
)

Turn = Callable[[], Any]


def ours(name: str, samples: int) -> Turn:
    """A turn by this package's trainer: an epoch as `opu train --method dfa` makes it, without validation."""
    model, _, optimizer = name.split(", ")
    if model == "transformer":
        return _our_transformer()
    from dfa.config import load_experiment
    from dfa.data import Dataset
    from dfa.trainer import Trainer

    x, y = images(samples)
    none = (x[:0], y[:0])
    data = Dataset("noise", SIZES[-1], x, y, *none, *none)
    settings = {
        "model.hidden": list(SIZES[1:-1]),
        "data.validation": 0,
        "trainer.batch_size": BATCH,
        "trainer.optimizer": optimizer,
        "trainer.learning_rate": LEARNING_RATE[optimizer],
        "trainer.momentum": MOMENTUM,
    }
    trainer = Trainer(load_experiment("mnist-mlp", method="dfa", settings=settings), data=data)
    trainer.__enter__()
    return trainer.fit_epoch


def _our_transformer() -> Turn:
    from dfa.losses import softmax_cross_entropy
    from dfa.optimizers import make_optimizer
    from dfa.transformer import Transformer

    sequences, following = tokens()
    network = Transformer(
        VOCABULARY, CONTEXT, np.random.default_rng(1), width=WIDTH, blocks=BLOCKS, heads=HEADS, activation="gelu"
    )
    optimizer = make_optimizer("adam", network.parameters, learning_rate=LEARNING_RATE["adam"])

    def steps() -> None:
        for _ in range(STEPS):
            _, error = softmax_cross_entropy(network.forward(sequences), following)
            network.backward_bp(error)
            optimizer.step(network.gradients)

    return steps


def main(side: str, threads: int, samples: int) -> None:
    """Answer requests until stdin ends; the first turn of a case is a warm-up, and not counted."""

    @cache
    def warm(name: str) -> Turn:
        if side == "ours":
            turn = ours(name, samples)
        else:
            from benchmarks.pytorch.models import make_turn

            turn = make_turn(name, samples, threads)
        turn()
        return turn

    for line in sys.stdin:
        turn = warm(line.strip())
        start = time.perf_counter()
        turn()
        sys.stdout.write(f"{time.perf_counter() - start!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
