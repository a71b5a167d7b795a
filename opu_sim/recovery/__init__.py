"""Linear recovery: what turns |field|^2 into a projection on real Gaussian rows."""

from opu_sim.recovery.anchor import AnchorRecovery
from opu_sim.recovery.anchors import AnchorsRecovery
from opu_sim.recovery.method import Recovery, patterns_at_once, vector_chunks
from opu_sim.recovery.modes import ModeRecovery
from opu_sim.recovery.off_axis import OffAxisRecovery
from opu_sim.recovery.phase_stepping import PhaseSteppingRecovery

__all__ = [
    "AnchorRecovery",
    "AnchorsRecovery",
    "ModeRecovery",
    "OffAxisRecovery",
    "PhaseSteppingRecovery",
    "Recovery",
    "patterns_at_once",
    "vector_chunks",
]
