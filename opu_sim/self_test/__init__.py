"""Acceptance test of a device, simulated or real: what it does against what its card says.

- `run`: `self_test`, from beginning to end
- `probe`: the patterns shown, the least a device must have
- `optics`, `photon_transfer`: speckle, noise of a shot, gain and read noise, from camera counts
- `linear`: matrix, superposition, signal-to-noise, from projections
- `bank`: rings, calibration and inner products of a weight bank
- `endurance`: drift, frame budget
- `shape`: a shape that a card's device has room for
- `prediction`, `estimators`, `report`: what the card says, estimators without bias, the outcome
"""

from opu_sim.self_test.probe import Device
from opu_sim.self_test.report import Check, SelfTest
from opu_sim.self_test.run import self_test
from opu_sim.self_test.shape import device_to_test

__all__ = ["Check", "Device", "SelfTest", "device_to_test", "self_test"]
