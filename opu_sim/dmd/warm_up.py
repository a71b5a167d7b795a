"""Warm-up of the DMD: the chip heats when patterns run, its surface bends, and the speckle slowly becomes another.

The temperature settles as 1 - exp(-t / time); the phase it adds is proportional to it, and the power that leaves the
old field goes as the phase squared. With decorrelation a, time T, slow rate r and the share s of the temperature
change that a controller leaves, the fields at 0 and t have

    |correlation|^2 = exp(-s^2 D(t)),   D(t) = a (1 - exp(-t / T))^2 + r t,

which is also the correlation of the intensities of fully developed speckle (Siegert's relation). The published curve
(cold start; multimode fibre) is met within 2.2e-4 by a = 0.0098, T = 774 s, r = 8.4e-7 / s, after a step of 6e-4 at
its first point, which is noise between two frames and not warming. A law without the square, as for a change that is
proportional to temperature, misses the curve's flat start, and passes through 1.0009 at t = 0.

References
----------
Popoff et al., "A practical guide to Digital Micro-mirror Devices (DMDs) for wavefront shaping", arXiv 2311.17496:
figure of the speckle's correlation after a cold start and 4.2 h later, read off the vector graphics.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from opu_sim.cards import DmdCard


def intensity_correlation(card: DmdCard, time_s: float) -> float:
    """Correlation of the speckle's intensity with that of time 0, by warm-up alone; 1 without one."""
    share = mixing(card)
    return 1.0 if share is None else 1.0 - share(time_s)


def mixing(card: DmdCard) -> Callable[[float], float] | None:
    """Share q(t) of the field's power that is new `t` seconds after a cold start, |correlation|^2 = 1 - q.

    The field at t is sqrt(1 - q) old + sqrt(q) new, with a new field of the same power, independent of the old one.
    None where the card states no warm-up.
    """
    if card.warm_up_decorrelation is None or card.warm_up_time_s is None:
        return None
    decorrelation, time_constant = card.warm_up_decorrelation, card.warm_up_time_s
    rate = card.warm_up_rate_per_s or 0.0
    left = 1.0 if card.temperature_control is None else card.temperature_control

    def share(time_s: float) -> float:
        warmth = -math.expm1(-time_s / time_constant)
        return -math.expm1(-(left**2) * (decorrelation * warmth**2 + rate * time_s))

    return share
