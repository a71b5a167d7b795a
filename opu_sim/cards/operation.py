"""Clock and power: how a device is run."""

from __future__ import annotations

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive
from opu_sim.config import Section


class TimingCard(Section):
    """Exposure and the frame's clock."""

    exposure_us: Positive
    frame_time_us: NotNegative
    """Period that the trigger is set to; the parts may force a longer one."""
    dead_time_us: NotNegative
    link_bytes_per_s: Positive
    latency_s: NotNegative
    """Cost of each pass, whatever its length."""
    pass_patterns: Count


class PowerCard(Section):
    """What the laser, the DMD and the camera do not account for."""

    electronics_w: NotNegative
    cooling_w: NotNegative
    supply_efficiency: Fraction
