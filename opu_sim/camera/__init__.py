"""Image sensor: mean photons a pixel to counts (`sensor`), and counts back to its characteristics (`emva1288`)."""

from opu_sim.camera.emva1288 import (
    DarkCurrent,
    NonUniformity,
    PhotonTransfer,
    dark_current,
    nonuniformity,
    photon_transfer,
)
from opu_sim.camera.sensor import Camera, Counts

__all__ = [
    "Camera",
    "Counts",
    "DarkCurrent",
    "NonUniformity",
    "PhotonTransfer",
    "dark_current",
    "nonuniformity",
    "photon_transfer",
]
