"""Add-drop ring: energy, linewidth, and the figures of an 8 um silicon ring."""

import numpy as np
import pytest
from scipy.optimize import brentq

from opu_sim.microring import AddDropRing

# Silicon ring of R = 8 um, n_g = 4.2, 3 dB/cm at 1550 nm: self-coupling, Q, linewidth [pm], bandwidth [GHz], drop peak;
# worked out from the formulas of Bogaerts et al. 2012 apart from this code.
TABLE = [
    (0.95, 4.1e3, 378, 47, 0.967),
    (0.97, 6.8e3, 227, 28, 0.945),
    (0.98, 10.2e3, 153, 19, 0.919),
    (0.985, 13.4e3, 116, 14.5, 0.894),
]


def ring(self_coupling: float, loss_db_per_m: float = 300.0, drop: float | None = None) -> AddDropRing:
    return AddDropRing(8e-6, 4.2, loss_db_per_m, self_coupling, drop)


@pytest.mark.parametrize(("r", "q", "linewidth_pm", "bandwidth_ghz", "peak"), TABLE)
def test_an_8_um_silicon_ring(r: float, q: float, linewidth_pm: float, bandwidth_ghz: float, peak: float) -> None:
    one = ring(r)
    assert one.free_spectral_range_m == pytest.approx(11.38e-9, abs=0.005e-9)
    # To the digits of the table.
    assert one.quality_factor == pytest.approx(q, abs=60)
    assert one.linewidth_m == pytest.approx(linewidth_pm * 1e-12, abs=0.6e-12)
    assert one.bandwidth_hz == pytest.approx(bandwidth_ghz * 1e9, abs=0.5e9)
    assert float(one.drop(0.0)) == pytest.approx(peak, abs=5e-4)
    assert one.finesse == pytest.approx(one.free_spectral_range_m / one.linewidth_m, rel=1e-12)
    # Control: ten times the loss is another ring.
    assert abs(float(ring(r, 3000.0).drop(0.0)) - peak) > 0.05


@pytest.mark.parametrize("r", [0.9, 0.95, 0.985, 0.995])
def test_quality_factor_is_that_of_the_spectrum(r: float) -> None:
    one = ring(r)
    half = float(one.drop(0.0)) / 2

    def above(wavelength_m: float) -> float:
        return float(one.drop(one.round_trip_phase(wavelength_m))) - half

    lower = brentq(above, one.resonance_m - one.linewidth_m, one.resonance_m, xtol=1e-18)
    upper = brentq(above, one.resonance_m, one.resonance_m + one.linewidth_m, xtol=1e-18)
    # The formula takes sin x = x for the half width, (pi / 2 finesse)^2 / 6 at most 0.2 % here.
    assert one.quality_factor == pytest.approx(one.resonance_m / (upper - lower), rel=0.005)
    # Control: Q of the coupling alone, r^2 for r^2 a, is off by the loss.
    assert abs(ring(r, 0.0).quality_factor / (one.resonance_m / (upper - lower)) - 1) > 0.005


def test_neighbouring_resonances_are_a_free_spectral_range_apart() -> None:
    one = ring(0.97)
    wavelengths = np.linspace(1540e-9, 1565e-9, 250_001)
    drop = one.drop(one.round_trip_phase(wavelengths))
    peaks = wavelengths[1:-1][(drop[1:-1] > drop[2:]) & (drop[1:-1] > drop[:-2])]
    assert len(peaks) == 2
    # FSR is wavelength^2 / (n_g L) at the resonance; a whole FSR away the wavelength is 0.7 % longer.
    assert peaks[1] - peaks[0] == pytest.approx(one.free_spectral_range_m, rel=0.01)


@pytest.mark.parametrize("first", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("drop", [None, 0.7, 0.98])
def test_no_light_is_made(first: float, drop: float | None) -> None:
    phases = np.linspace(-np.pi, np.pi, 20_001)
    lossless, lossy = ring(first, 0.0, drop), ring(first, 300.0, drop)
    np.testing.assert_allclose(lossless.through(phases) + lossless.drop(phases), 1.0, rtol=1e-12)
    total = lossy.through(phases) + lossy.drop(phases)
    assert total.max() < 1.0
    assert min(lossy.through(phases).min(), lossy.drop(phases).min()) >= 0.0
    # What is missing was lost in the ring: most of it on resonance.
    assert np.argmin(total) == 10_000


def test_weights_run_from_minus_one_to_one() -> None:
    lossless = ring(0.98, 0.0)
    assert float(lossless.weight(0.0)) == pytest.approx(1.0, abs=1e-12)
    # Lossless: 2 T_drop - 1 everywhere.
    phases = np.linspace(-np.pi, np.pi, 101)
    np.testing.assert_allclose(lossless.weight(phases), 2 * lossless.drop(phases) - 1, atol=1e-12)
    assert -1.0 < float(ring(0.98).weight(np.pi)) < -0.999
    # With loss the peak is lower: critical coupling of the input, r_1 = r_2 a, empties the through port instead.
    a = ring(0.97).round_trip
    critical = ring(0.97 * a, 300.0, 0.97)
    assert float(critical.through(0.0)) == pytest.approx(0.0, abs=1e-12)


def test_lorentzian_near_resonance() -> None:
    one = ring(0.985)
    offsets = np.linspace(-3, 3, 61) * one.linewidth_m
    drop = one.drop(one.round_trip_phase(one.resonance_m + offsets)) / float(one.drop(0.0))
    np.testing.assert_allclose(drop, 1 / (1 + (2 * offsets / one.linewidth_m) ** 2), atol=2e-3)
