"""Capacitive analog memory: what a weight has lost by the time that light meets it, and what rewriting costs.

A ring's detuning is in proportion to the voltage on its capacitor, with its channel at zero volts, and a junction that
leaks takes the voltage down: detuning(t) = detuning(0) exp(-t / RC). Rows are rewritten one after the other, evenly
over the refresh period T, so that the age of a row is uniform in 0 .. T whenever light comes.

References
----------
Lam et al., "Neuromorphic photonic computing with an electro-optic analog memory", Nat. Commun. 2026,
doi:10.1038/s41467-026-69084-x, arXiv 2401.16515 (abstract): a capacitor at each ring of a weight bank; a retention a
hundred times the network's latency keeps > 90 % of accuracy on MNIST. The laws here are derived, not theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.random import uniforms
from opu_sim.cards import MicroringCard
from opu_sim.rng import stream_key


class AnalogMemory:
    """Memory of a card that states `memory.refresh_us`.

    Parameters
    ----------
    card : MicroringCard
    seed : int
        Of the times at which vectors come.
    """

    def __init__(self, card: MicroringCard, seed: int = 0) -> None:
        memory = card.memory
        if memory.refresh_us is None or memory.retention_us is None or memory.write_ns is None:
            raise ValueError("the card states no memory.refresh_us")
        self.card = card
        self.refresh_s = 1e-6 * memory.refresh_us
        self.retention_s = 1e-6 * memory.retention_us
        self.write_s = 1e-9 * memory.write_ns * card.bank.rows
        """Time to write all rows once."""
        self._key = stream_key(seed, "microring.memory")

    @property
    def duty(self) -> float:
        """Share of the time that is spent on rewriting."""
        return self.write_s / self.refresh_s

    def kept(self, age_s: float) -> float:
        """Share exp(-t / RC) of a detuning that is left at an age [s]."""
        return math.exp(-age_s / self.retention_s)

    def lost(self, first_vector: int, vectors: int) -> NDArray[np.float32]:
        """Share of their detunings that the rows have lost, float32 [vector, row].

        A vector meets the first row at an age of its own, uniform in the refresh period and a function of its number
        alone, and the others evenly spread behind it.
        """
        start = np.empty(vectors, dtype=np.float32)
        uniforms(*self._key, first_vector, start)
        rows = self.card.bank.rows
        age = np.mod(start[:, None] + np.arange(rows, dtype=np.float32) / np.float32(rows), np.float32(1.0))
        share: NDArray[np.float32] = -np.expm1(-age * np.float32(self.refresh_s / self.retention_s))
        return share

    def droop(self, fresh: NDArray[np.float32], held: Callable[[float], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Coefficients d_1, d_2 [2, input, output] of the change d_1 x + d_2 x^2 of weights with the lost share x.

        The parabola through the weights as written, at the largest x and at half of it; `held(kept)` are the weights
        [input, output] with a share of the detunings left.
        """
        largest = 1.0 - self.kept(self.refresh_s)
        half, full = (held(1.0 - part * largest) - fresh for part in (0.5, 1.0))
        slope, curve = (4.0 * half - full) / largest, (full - 2.0 * half) * 2.0 / largest**2
        return np.stack([slope, curve]).astype(np.float32)

    def moments(self) -> NDArray[np.float64]:
        """Mean of x^n, n = 0 .. 4, of the lost share x = 1 - exp(-t / RC), t uniform in 0 .. T.

        The mean of exp(-n t / RC) is (1 - exp(-n T / RC)) / (n T / RC), and those of x^n follow by the binomial
        theorem; but for T << RC they cancel, so that the integral is taken by Gauss and Legendre's rule instead.
        """
        nodes, weights = np.polynomial.legendre.leggauss(16)
        lost = -np.expm1(-0.5 * (nodes + 1.0) * self.refresh_s / self.retention_s)
        return np.array([float(0.5 * weights @ lost**power) for power in range(5)])

    def covariance(self) -> NDArray[np.float64]:
        """Covariance [2, 2] of x and x^2."""
        mean = self.moments()
        power = np.array([1, 2])
        both: NDArray[np.float64] = mean[power[:, None] + power] - np.outer(mean[power], mean[power])
        return both
