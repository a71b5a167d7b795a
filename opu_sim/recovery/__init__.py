"""Linear recovery: what turns |field|^2 into a projection on real Gaussian rows."""

from opu_sim.recovery.anchor import AnchorRecovery
from opu_sim.recovery.method import PATTERNS_AT_ONCE, Recovery, vector_chunks
from opu_sim.recovery.off_axis import OffAxisRecovery

__all__ = ["PATTERNS_AT_ONCE", "AnchorRecovery", "OffAxisRecovery", "Recovery", "vector_chunks"]
