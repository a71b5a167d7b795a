"""Image sensor: mean photons a pixel to counts."""

from opu_sim.camera.sensor import Camera, Counts

__all__ = ["Camera", "Counts"]
