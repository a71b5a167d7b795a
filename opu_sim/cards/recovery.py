"""Recovery of a linear projection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opu_sim.cards.quantities import Fraction, Share
from opu_sim.config import Section


class RecoveryCard(Section):
    """How a linear projection is recovered from intensities."""

    method: Literal["anchor", "off-axis", "phase-stepping"]
    calibration_frames: Annotated[int, Field(ge=1, le=10_000)]
    """Frames averaged for each constant pattern when the device opens."""
    anchors: Annotated[int, Field(ge=1, le=16)] = 1
    """anchor: 1 shows each pattern and its complement; more show it beside this many groups of anchor mirrors."""
    anchor_floor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """anchor: pixels darker than this share of the anchor's mean brightness are divided by the floor."""
    reference_fill: Annotated[float, Field(gt=0, le=0.8)] | None = None
    """off-axis, phase-stepping: mean reference level as a share of the full well; left out, the device picks it."""
    steps: Annotated[int, Field(ge=3, le=16)] = 4
    """phase-stepping: frames a pattern, the reference 2 pi / steps further in each."""
    filter_edge: Annotated[float, Field(gt=0, le=1)] | None = None
    """off-axis: share of the side band's half-width over which the filter falls off; left out, it is sharp."""
    reference_edge_intensity: Fraction | None = None
    """off-axis: the reference beam's intensity at the sensor's corner over that at its centre; left out, it is even."""
    reference_roughness: Share | None = None
    """off-axis: relative rms of the reference's static fine structure (dust, coatings); left out, it is smooth."""
    reference_correction: Literal["frame", "none"] = "frame"
    """off-axis: frame removes the reference's bias and envelope with the help of reference-only frames."""
    reference_phase_noise_rad: Annotated[float, Field(gt=0, le=3)] | None = None
    """Rms phase of the reference arm within an exposure: it costs visibility, exp(-s^2 / 2)."""
    reference_phase_jitter_rad: Annotated[float, Field(gt=0, le=3)] | None = None
    """Rms phase of the reference arm from frame to frame."""

    @property
    def frames_a_pattern(self) -> int:
        """Camera frames that each pattern is shown for."""
        if self.method == "phase-stepping":
            return self.steps
        return 1 + self.anchors if self.method == "anchor" else 1
