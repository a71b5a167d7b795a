"""Checks of a weight bank beside those of any projector: spectrum of its rings, calibration, inner products, cycles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from opu_sim.device import MicroringBank
from opu_sim.errors import DeviceError
from opu_sim.microring.bank import WeightBank, weight_sd
from opu_sim.microring.ring import AddDropRing
from opu_sim.rng import stream
from opu_sim.self_test.estimators import Array
from opu_sim.self_test.report import SelfTest

_SIGMAS = 4.0
_LINEWIDTH = 0.005  # stated: the usual formula is that of a narrow line
_ROUNDING = 1e-12
_PREDICTION = 0.03  # stated: noise that is not quite normal, as it is read in steps
_POINTS_A_LINE = 40  # of the spectrum
_ROWS = 25  # set for the drive curve
_OUTPUTS, _VECTORS = 2000, 60  # of inner products


def check_bank(test: SelfTest, device: MicroringBank) -> None:
    """Rings, calibration and inner products of a simulated bank."""
    _check_spectrum(test, device)
    _check_weights(test, device)
    _check_drives(test, device)
    _check_products(test, device)
    ledger = device.ledger
    cycles = ledger.frames / ledger.projections if ledger.projections else None
    test.add("cycles a projection", cycles, float(device.schedule.cycles), 0.0, note="tiles, twice in two passes")


def _check_spectrum(test: SelfTest, device: MicroringBank) -> None:
    """Linewidth read off a ring's spectrum, and light of a row that is set to the matrix."""
    bank = device.bank
    test.add(
        "linewidth of a ring",
        1e12 * _half_width_m(bank.ring),
        1e12 * bank.ring.linewidth_m,
        1e12 * _LINEWIDTH * bank.ring.linewidth_m,
        "pm",
        "full width at half maximum of the simulated drop port",
    )
    columns, spacing_m = device.card.bank.columns, 1e-9 * device.card.bank.channel_spacing_nm
    target = np.zeros((1, columns))
    first = device.card.bank.weight_range * device.wanted_matrix()[:1, :columns] * math.sqrt(device.n_in / 3.0)
    target[:, : first.shape[1]] = first
    rows = bank.rows(target)
    margin = max(spacing_m, 2.0 * bank.ring.linewidth_m)
    ends = bank.channels_m[0] - margin, bank.channels_m[-1] + margin
    points = math.ceil(_POINTS_A_LINE * (ends[1] - ends[0]) / bank.ring.linewidth_m)
    wavelengths = np.linspace(*ends, points).astype(np.float64)
    through, drop = bank.spectrum(rows.detunings_rad[0], wavelengths)
    made = max(float(np.max(through + drop)) - 1.0, 0.0)
    test.add("through + drop of a row, above 1", made, 0.0, _ROUNDING, note="largest over all wavelengths")
    at_channels = bank.spectrum(rows.detunings_rad[0], bank.channels_m)
    test.series["spectrum"] = {
        "wavelengths_m": wavelengths,
        "through": through,
        "drop": drop,
        "channels_m": bank.channels_m,
        "at_channels": at_channels,
        "linewidth_m": bank.ring.linewidth_m,
        "quality_factor": bank.ring.quality_factor,
        "free_spectral_range_m": bank.ring.free_spectral_range_m,
    }


def _half_width_m(ring: AddDropRing) -> float:
    """Full width at half maximum by walking down the simulated line on either side."""
    offsets = np.linspace(0.0, 2.0 * ring.linewidth_m, 20_001)
    sides = []
    for sign in (-1.0, 1.0):
        drop = ring.drop(ring.round_trip_phase(ring.resonance_m + sign * offsets))
        sides.append(float(np.interp(-0.5 * drop[0], -drop, offsets)))
    return sum(sides)


def _check_weights(test: SelfTest, device: MicroringBank) -> None:
    """Error of the weights that the bank was set to."""
    card = device.card
    name = "weights, rms error of an entry"
    if card.fidelity != "device":
        test.add(name, None, note=f'fidelity = "{card.fidelity}" sets no rings')
        return
    error = (device.matrix() - device.wanted_matrix()).astype(np.float64) * math.sqrt(device.n_in / 3.0)
    rms = float(np.sqrt(np.mean(error**2)))
    plain = card.bank.calibration == "joint" and not card.tuning.ambient_change_k and card.memory.refresh_us is None
    if not plain:
        test.add(name, rms, note="no closed form: rings set by themselves, drifting or leaking")
        return
    bits = card.tuning.accuracy_bits
    expected = 0.0 if bits is None else weight_sd(bits) / card.bank.weight_range
    tolerance = 1e-6 + _SIGMAS * expected / math.sqrt(2.0 * error.size)
    test.add(name, rms, expected, tolerance, note="entries up to 1; expected: tuning.accuracy_bits")


def _check_drives(test: SelfTest, device: MicroringBank) -> None:
    """Drives of rows calibrated jointly and ring by ring, and the weights that they bring."""
    card = device.card
    rng = stream(test.seed, "self_test.drives")
    target = card.bank.weight_range * rng.uniform(-1.0, 1.0, (_ROWS, card.bank.columns))
    ring = device.bank.ring
    picometres = 1e12 * ring.free_spectral_range_m / (2.0 * math.pi)
    phases = np.linspace(0.0, 1.15 * 2e12 * math.pi * card.detuning_range_m / (1e12 * ring.free_spectral_range_m), 400)
    series: dict[str, Any] = {
        "target": target,
        "curve": (phases * picometres, ring.weight(phases)),
        "weight_range": card.bank.weight_range,
    }
    for calibration in ("joint", "separate"):
        section = card.bank.model_copy(update={"calibration": calibration})
        try:
            rows = WeightBank(card.model_copy(update={"bank": section}), device.seed).rows(target)
        except DeviceError:  # not to be reached beside their neighbours; a card that asks for it does not open
            continue
        series[calibration] = (rows.detunings_rad * picometres, rows.weights)
    if "joint" in series and not card.tuning.ambient_change_k:
        error = np.abs(series["joint"][1] - target).max()
        name = "joint calibration, largest error of a weight"
        test.add(name, float(error), 0.0, 1e-6, note="cross-talk taken off; tuning.accuracy_bits left out")
    test.series["drive"] = series


def _check_products(test: SelfTest, device: MicroringBank) -> None:
    """Errors of inner products, in units of products of entries up to 1: of the rings, and of the measured law."""
    card, terms = device.card, device.card.mac.error_terms
    rng = stream(test.seed, "self_test.inner_products")
    x = rng.uniform(-1.0, 1.0, (_VECTORS, terms))
    x /= np.abs(x).max(axis=1, keepdims=True)  # full light in each, so that the unit is one for all
    rings = _twin(device, "device", terms)
    found = _errors(rings, x)
    predicted = rings.mac_error(x)
    spread = _SIGMAS / math.sqrt(2.0 * found.size)
    name = f"inner products of {terms}, device: "
    rms = float(np.sqrt(np.mean(found**2)))
    test.add(f"{name}rms error", rms, predicted, (_PREDICTION + spread) * predicted, note="expected: closed form")
    measured = _errors(_twin(device, "mac", terms), x)
    name = f"inner products of {terms}, mac: "
    mean, sd = card.mac.error_mean, card.mac.error_std
    test.add(f"{name}mean error", float(measured.mean()), mean, _SIGMAS * sd / math.sqrt(measured.size) + 1e-6)
    test.add(f"{name}sd of error", float(measured.std()), sd, spread * sd + 1e-6, note="the card's measured law")
    told = _errors(_twin(device, "mac", terms, error_mean=0.0, error_std=predicted), x)
    name = f"inner products of {terms}, mac told by device: "
    test.add(f"{name}sd of error", float(told.std()), rms, (_PREDICTION + 2.0 * spread) * rms, note="expected: device")
    test.series["products"] = {
        "device": found.ravel(),
        "predicted": predicted,
        "told": told.ravel(),
        "mac": measured.ravel(),
        "law": (mean, sd),
        "terms": terms,
    }


def _twin(device: MicroringBank, fidelity: str, n_in: int, **mac: float) -> MicroringBank:
    """A bank of the same card with this fidelity, for inner products of `n_in` terms."""
    measured = device.card.mac.model_copy(update=mac)
    card = device.card.model_copy(update={"fidelity": fidelity, "mac": measured})
    return MicroringBank(card, n_in, _OUTPUTS, device.seed)


def _errors(bank: MicroringBank, x: Array) -> Array:
    """Error [vector, output] of inner products with the matrix that the bank has."""
    with bank:
        y = bank.project(x)
    error: Array = (y - x @ bank.matrix().T.astype(np.float64)) / math.sqrt(3.0 / bank.n_in)
    return error
