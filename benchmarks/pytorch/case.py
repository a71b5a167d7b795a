"""What `opu bench pytorch` times: networks, sizes and data, the same for both sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZES = (784, 1024, 1024, 10)
BATCH = 128
LEARNING_RATE = {"adam": 1e-3, "sgd": 1e-2}
MOMENTUM = 0.9
VOCABULARY, CONTEXT, WIDTH, BLOCKS, HEADS, SEQUENCES = 65, 128, 128, 4, 4, 16
STEPS = 10


class Case(NamedTuple):
    """What is timed, how many of them make a turn, and how slow ours may be."""

    unit: str
    a_turn: int
    allowed: float


CASES = {
    "mlp, dfa, adam": Case("epoch", 1, 1.0),
    "mlp, dfa, sgd": Case("epoch", 1, 1.0),
    "transformer, bp, adam": Case("step", STEPS, 1.3),
}


def images(samples: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Samples of MNIST's shape, which are all that a time depends on: standardised noise, and labels by chance."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((samples, SIZES[0]), np.float32), rng.integers(0, SIZES[-1], samples)


def tokens() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequences [SEQUENCES, CONTEXT] and the token after each of theirs, one after the other."""
    rng = np.random.default_rng(0)
    return rng.integers(0, VOCABULARY, (SEQUENCES, CONTEXT)), rng.integers(0, VOCABULARY, SEQUENCES * CONTEXT)
