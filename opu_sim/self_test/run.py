"""The self-test from beginning to end."""

from __future__ import annotations

from typing import Any

from opu_sim.cards import OpuCard
from opu_sim.device import MicroringBank, Opu
from opu_sim.errors import DeviceError
from opu_sim.self_test.bank import check_bank
from opu_sim.self_test.endurance import DRIFT_S, check_drift, check_frame_budget
from opu_sim.self_test.linear import MeasuredMatrix, check_linearity, check_matrix, check_noise, check_product
from opu_sim.self_test.optics import (
    HalfPatterns,
    check_photon_transfer,
    check_repeatability,
    check_speckle,
)
from opu_sim.self_test.prediction import Prediction
from opu_sim.self_test.probe import Device, Probe
from opu_sim.self_test.report import SelfTest


def self_test(device: Device, *, card: OpuCard | None = None, seed: int = 0, drift_s: float = DRIFT_S) -> SelfTest:
    """Acceptance test of a device: speckle, matrix, linearity, noise, drift, frames; rings of a weight bank.

    Only `n_in`, `n_out`, `project` and `intensity` are asked of the device, so that a lab's own can be tested. What
    else it has is used: `wait(seconds)` for drift, `snr(inputs_on)` for its prediction, `ledger` and `clock` for the
    frame budget, `card` for everything that is expected. Intensity checks are left out where the device has no
    camera, comparisons where there is nothing to compare with; neither counts as passed.

    About 900 vectors are projected and 3,000 binary patterns read. The tolerances are four standard errors of the
    sample, plus what the checks state.

    Parameters
    ----------
    device : Device
        Open. `project(x)`: float [batch, n_in] -> [batch, n_out]; `intensity(b)`: uint8 [batch, n_in], 0 or 1, ->
        counts [batch, n_out].
    card : OpuCard, optional
        What to expect; without it, the device's own `card`, if it has one.
    seed : int
        Of the patterns.
    drift_s : float
        Time to wait between two looks at the same patterns [s].

    Returns
    -------
    SelfTest

    Raises
    ------
    ConfigError
        Fewer than 8 inputs or 64 outputs: too little for statistics.
    DeviceError
        The device is not open, or takes no signs; the card's device cannot have this shape.
    """
    probe = Probe(device, seed)
    test = SelfTest(str(getattr(device, "name", type(device).__name__)), probe.n_in, int(device.n_out), seed)
    given: Any = card if card is not None else getattr(device, "card", None)
    if isinstance(device, MicroringBank):
        device.require_signs()
    prediction = None
    if isinstance(given, OpuCard):
        own = device if isinstance(device, Opu) and device.card is given else None
        prediction = Prediction(given, probe.n_in, int(device.n_out), own)
    optical = _optics(test, probe, prediction)
    matrix = MeasuredMatrix(probe)
    check_matrix(test, probe, matrix, prediction)
    check_linearity(test, probe, getattr(getattr(given, "dmd", None), "bit_planes", None))
    check_noise(test, probe, matrix, prediction)
    check_product(test, probe, matrix)
    check_frame_budget(test, probe, prediction, optical=optical)
    if isinstance(device, MicroringBank):
        check_bank(test, device)
    if optical:
        check_drift(test, probe, prediction, drift_s)
    return test


def _optics(test: SelfTest, probe: Probe, prediction: Prediction | None) -> bool:
    """Checks on intensities; False, and one line, for a device without a camera."""
    try:
        if not hasattr(probe.device, "intensity"):
            raise DeviceError("the device has no intensity(patterns)")
        half = HalfPatterns(probe, prediction)
    except DeviceError as error:
        test.add("speckle, noise, photon transfer, drift", None, note=str(error))
        return False
    check_speckle(test, half, prediction, probe.n_in // 2)
    check_repeatability(test, half, prediction)
    check_photon_transfer(test, probe, half, prediction)
    return True
