"""A whole device: one card a kind."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from opu_sim.cards.camera import CameraCard
from opu_sim.cards.dmd import DmdCard
from opu_sim.cards.laser import LaserCard
from opu_sim.cards.medium import MediumCard
from opu_sim.cards.microring import MicroringCard
from opu_sim.cards.operation import FaultsCard, PowerCard, TimingCard
from opu_sim.cards.quantities import Sources
from opu_sim.cards.recovery import RecoveryCard
from opu_sim.config import Section

MAX_INTENSITY_NOISE = 0.1
"""Largest relative standard deviation of the light of one exposure: far from negative energies."""


class OpuCard(Section):
    """A free-space optical processing unit."""

    kind: Literal["opu"]
    name: str
    description: str
    laser: LaserCard
    dmd: DmdCard
    medium: MediumCard
    camera: CameraCard
    recovery: RecoveryCard
    timing: TimingCard
    power: PowerCard
    faults: FaultsCard = Field(default_factory=FaultsCard)
    fidelity: Literal["pixel", "mode", "ideal"] = "pixel"
    """pixel: every camera pixel read; mode: a sample an output noise in closed form; ideal: no noise."""
    sources: Sources = Field(default_factory=dict)

    @model_validator(mode="after")
    def _light_stays_positive(self) -> OpuCard:
        rin, exposure_us = self.laser.rin_db_per_hz, self.timing.exposure_us
        # Relative variance RIN / (2 t), as in `Laser.intensity_noise`; no division, as t may round to 0.
        if rin is None or exposure_us is None:
            return self
        if 10.0 ** (rin / 10.0) >= MAX_INTENSITY_NOISE**2 * 2.0 * exposure_us * 1e-6:
            raise ValueError(
                f"laser.rin_db_per_hz = {rin!r} with timing.exposure_us = {exposure_us!r}: "
                f"relative intensity noise of one exposure must be < {MAX_INTENSITY_NOISE}"
            )
        return self

    @model_validator(mode="after")
    def _recovery_suits_the_encoding(self) -> OpuCard:
        encoding, recovery = self.dmd.encoding, self.recovery
        if encoding != "amplitude" and recovery.method == "anchor" and recovery.anchors == 1:
            raise ValueError(
                f"dmd.encoding = {encoding!r}: a pattern that is no amplitude has no complement to show; must be "
                "'amplitude' with recovery.method = 'anchor' and recovery.anchors = 1"
            )
        if encoding in ("lee", "superpixel") and self.fidelity != "pixel":
            raise ValueError(
                f"fidelity = {self.fidelity!r}: must be 'pixel' with dmd.encoding = {encoding!r}, whose fields are "
                "complex"
            )
        return self


class IdealCard(Section):
    """A digital reference: the same interface, no physics, no time, no power."""

    kind: Literal["ideal"]
    name: str
    description: str
    sources: Sources = Field(default_factory=dict)


DeviceCard = OpuCard | MicroringCard | IdealCard
