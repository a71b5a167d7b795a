"""Weight of a ring and its inverse, exact linewidth, photon lifetime."""

import math
import re

import numpy as np
import pytest
from scipy.optimize import brentq

from opu_sim.constants import SPEED_OF_LIGHT_M_S
from opu_sim.errors import DeviceError
from opu_sim.microring import AddDropRing


def ring(self_coupling: float, loss_db_per_m: float = 300.0, drop: float | None = None) -> AddDropRing:
    return AddDropRing(5e-6, 4.2, loss_db_per_m, self_coupling, drop)


@pytest.mark.parametrize("r", [0.8, 0.95, 0.985])
@pytest.mark.parametrize("drop", [None, 0.9])
@pytest.mark.parametrize("loss", [0.0, 300.0, 3000.0])
def test_detuning_is_the_inverse_of_weight(r: float, drop: float | None, loss: float) -> None:
    one = ring(r, loss, drop)
    low, high = one.weight_range
    weights = np.linspace(low, high, 1001)
    phases = one.detuning_rad(weights)
    # cos phi is flat at either end: an error e of the weight there is one of sqrt(e) in the phase, and e again here.
    np.testing.assert_allclose(one.weight(phases), weights, atol=1e-12)
    assert np.all(np.diff(phases) < 0)
    assert phases[0] == pytest.approx(math.pi, abs=1e-6)
    assert phases[-1] == pytest.approx(0.0, abs=1e-6)


def test_loss_keeps_weights_from_one() -> None:
    lossless, lossy = ring(0.985, 0.0), ring(0.985, 3000.0)
    assert lossless.weight_range[1] == pytest.approx(1.0, abs=1e-12)
    low, high = lossy.weight_range
    # On resonance, r_1 = r_2 = r: T_drop - T_through = ((1 - r^2)^2 a - r^2 (1 - a)^2) / (1 - r^2 a)^2.
    a, r2 = lossy.round_trip, 0.985**2
    assert high == pytest.approx(((1 - r2) ** 2 * a - r2 * (1 - a) ** 2) / (1 - r2 * a) ** 2, rel=1e-12)
    assert high < 0.5
    for beyond in (1.0, np.nextafter(high, 2.0), np.nextafter(low, -2.0), np.nan):
        message = f"weight {beyond:.4g}: the ring has {low:.4f} .. {high:.4f}"
        with pytest.raises(DeviceError, match=f"^{re.escape(message)}$"):
            lossy.detuning_rad([0.0, float(beyond)])


@pytest.mark.parametrize("r", [0.7, 0.9, 0.985])
def test_exact_linewidth(r: float) -> None:
    one = ring(r)
    half = float(one.drop(0.0)) / 2
    numeric = 2 * brentq(lambda phase: float(one.drop(phase)) - half, 0.0, math.pi, xtol=1e-14)
    assert one.linewidth_rad == pytest.approx(numeric, rel=1e-9)
    # The usual formula is that of a narrow line: x for sin x.
    narrow = one.linewidth_m / one.free_spectral_range_m * 2 * math.pi
    assert one.linewidth_rad == pytest.approx(narrow, rel=narrow**2 / 90)
    assert one.linewidth_rad > narrow


@pytest.mark.parametrize("r", [0.95, 0.985])
def test_photon_lifetime_is_that_of_the_round_trips(r: float) -> None:
    one = ring(r)
    around_s = one.group_index * one.length_m / SPEED_OF_LIGHT_M_S
    # Power k^2 a round trip: exp(-t / tau). -ln k against (1 - k) / sqrt k differs by (1 - k)^2 / 24.
    assert one.photon_lifetime_s == pytest.approx(-around_s / (2 * math.log(one.kept)), rel=(1 - one.kept) ** 2 / 12)
    # Control: without the couplers light stays longer.
    assert one.photon_lifetime_s < -around_s / (2 * math.log(one.round_trip)) / 2
