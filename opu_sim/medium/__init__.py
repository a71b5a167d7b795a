"""Scattering medium: how the field of the inputs becomes the field at the outputs."""

from opu_sim.medium.stored import StoredMedium
from opu_sim.medium.transmission import Field, Medium

__all__ = ["Field", "Medium", "StoredMedium"]
