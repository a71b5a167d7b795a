"""How T changes with time: on a lattice of knots, an Ornstein-Uhlenbeck walk and a deterministic change beside it.

The field's correlation over a time t is exp(-t / tau); for circular Gaussian fields that of the intensity is its
square, exp(-2 t / tau) (the Siegert relation; Goodman, Speckle Phenomena in Optics).
"""

from __future__ import annotations

import math
from collections.abc import Callable

STEPS_PER_DRIFT_TIME = 500
"""Knots in one drift time. A field frozen since the last knot is off by 2 (1 - exp(-1/500)) = 0.4 % of its power
just before the next, 0.2 % on average (-27 dB); at the knots the law is exact."""

MIXING_STEP_S = 10.0
"""Time between two values of a deterministic change; warm-up takes hours."""

_LARGEST_SHARE = 1.0 - 2.0**-24  # a law that tends to 1 gets there in double precision


class Drift:
    """Lattice of knots of a medium's changes.

    Parameters
    ----------
    drift_time_s : float, optional
        tau of the field's correlation exp(-t / tau); left out, no random drift.
    mixing : callable, optional
        q(time [s]) in [0, 1]: share of the power in a second matrix, T = sqrt(1 - q) D + sqrt(q) W; q = 0 is D alone.

    Attributes
    ----------
    step_s : float
        Time between knots, the finer of what the two changes need; math.inf if there is none.
    keep, fresh : float
        a and sqrt(1 - a^2) of one step of the walk, T <- a T + sqrt(1 - a^2) G.
    """

    def __init__(self, drift_time_s: float | None = None, mixing: Callable[[float], float] | None = None) -> None:
        walk_s = math.inf if drift_time_s is None else drift_time_s / STEPS_PER_DRIFT_TIME
        mixing_s = math.inf if mixing is None else MIXING_STEP_S
        self.step_s = min(walk_s, mixing_s)
        self.walks = drift_time_s is not None
        self._mixing = mixing
        # The slower of the two keeps close to its own lattice: many tiny steps of the walk would add up the rounding
        # of the entries to their grid, 2^-22 / 12 a step, over 1 / (1 - a^2) steps (250: 5e-6, -50 dB of the power).
        self._knots_a_walk = max(1, math.floor(walk_s / self.step_s)) if self.walks else 1
        self._knots_a_mixing = max(1, math.floor(mixing_s / self.step_s)) if mixing is not None else 1
        elapsed = 0.0 if drift_time_s is None else self._knots_a_walk * self.step_s / drift_time_s
        self.keep = math.exp(-elapsed)
        self.fresh = math.sqrt(-math.expm1(-2.0 * elapsed))
        self.elapsed = elapsed
        """One step of the walk in drift times."""

    @property
    def changes(self) -> bool:
        """Whether T ever changes."""
        return math.isfinite(self.step_s)

    def at(self, step: int) -> tuple[int, float]:
        """(steps of the walk made, share q of the second matrix) at a knot.

        Raises
        ------
        ValueError
            A knot before 0, or q outside [0, 1].
        """
        if step < 0:
            raise ValueError(f"step = {step}: must be >= 0")
        walked = step // self._knots_a_walk if self.walks else 0
        if self._mixing is None:
            return walked, 0.0
        share = self._mixing(step // self._knots_a_mixing * self._knots_a_mixing * self.step_s)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"mixing share = {share!r}: must be in [0, 1]")
        return walked, min(share, _LARGEST_SHARE)
