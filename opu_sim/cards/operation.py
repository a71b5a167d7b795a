"""Clock and power: how a device is run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive
from opu_sim.config import Section


class TimingCard(Section):
    """Exposure and the frame's clock."""

    exposure_us: Positive | None = None
    """Left out, the device picks it from a calibration frame, no longer than the frame's period allows."""
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


class FaultsCard(Section):
    """What goes wrong in a lab; a fault that is left out does not occur."""

    gain_jump: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Relative standard deviation of the light from pass to pass, common to all pixels."""
    dropped_frames: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Share of frames that the camera loses; the loss is noticed, and the pattern shown again."""
    duplicated_frames: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Share of frames in whose place the camera delivers the one before; nobody notices."""
    stuck_on_mirrors: Annotated[float, Field(gt=0, le=0.5)] | None = None
    stuck_off_mirrors: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Shares of the mirrors that no longer move."""
    vibration_rad: Annotated[float, Field(gt=0, le=3)] | None = None
    """Amplitude of a sinusoidal phase between the signal's and the reference's path."""
    vibration_hz: Positive | None = None
    """Left out, a frequency at which every frame meets another phase."""
