"""Screens of random phase, and how they change with time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from opu_sim.medium.drift import Drift
from opu_sim.rng import stream


class PhaseScreens:
    """K screens of cells, each with a uniform random phase.

    Their phases diffuse: in a step of the walk each cell's phase grows by a normal number of variance 2 t / (K tau),
    which leaves exp(-t / (K tau)) of the mean field a screen and exp(-t / tau) of that behind K independent ones. A
    share q of power mixed in (`Drift`) is one further phase of variance -ln(1 - q) / K a screen.

    Parameters
    ----------
    seed : int
    shapes : sequence of shapes
        Cells of each screen.
    drift_time_s, mixing
        As for `Drift`.
    """

    def __init__(
        self,
        seed: int,
        shapes: Sequence[tuple[int, ...]],
        drift_time_s: float | None = None,
        mixing: Callable[[float], float] | None = None,
    ) -> None:
        self._seed = seed
        self._shapes = list(shapes)
        self._drift = Drift(drift_time_s, mixing)
        self.step_s = self._drift.step_s
        """Time between knots, see `Drift`."""
        self._walked, self._share = 0, self._drift.at(0)[1]
        # Phases are kept only where they are needed again: they take as much memory as the screens.
        self._state = list(self._first_phases()) if self._drift.changes else None

    def _first_phases(self) -> Iterator[NDArray[np.float64]]:
        draws = stream(self._seed, "medium.phase_screen")
        return (draws.uniform(0.0, 2.0 * np.pi, shape) for shape in self._shapes)

    def phases(self) -> Iterator[NDArray[np.float64]]:
        """Phase of each cell at the current knot [rad], one screen after the other."""
        screens = self._first_phases() if self._state is None else iter(self._state)
        if not self._share:
            return screens
        # A further phase of variance s^2 leaves exp(-s^2 / 2) of the mean field a screen: sqrt(1 - q) in all.
        deviation = math.sqrt(-math.log1p(-self._share) / len(self._shapes))
        draws = stream(self._seed, "medium.warm_up")
        return (phase + deviation * draws.standard_normal(phase.shape) for phase in screens)

    def move_to(self, step: int) -> bool:
        """To the state at knot `step`, which depends on the knot alone; returns whether the phases are others now."""
        walked, share = self._drift.at(step)
        if (walked, share) == (self._walked, self._share):
            return False
        if self._state is None or walked < self._walked:
            self._state, self._walked = list(self._first_phases()), 0
        deviation = math.sqrt(2.0 * self._drift.elapsed / len(self._shapes))
        for made in range(self._walked, walked):
            draws = stream(self._seed, "medium.drift", made)
            for phase in self._state:
                phase += deviation * draws.standard_normal(phase.shape)
        self._walked, self._share = walked, share
        return True
