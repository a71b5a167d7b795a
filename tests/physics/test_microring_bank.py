"""Rows of rings: cross-talk of light and heat, calibration, fabrication spread, temperature."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from opu_sim.cards import MicroringCard, load_card
from opu_sim.errors import DeviceError
from opu_sim.microring.bank import WeightBank


def bank(seed: int = 0, **changes: Any) -> WeightBank:
    card = load_card("filipovich-50x20", changes)
    assert isinstance(card, MicroringCard)
    if "tuning.accuracy_bits" not in changes:
        card = card.model_copy(update={"tuning": card.tuning.model_copy(update={"accuracy_bits": None})})
    return WeightBank(card, seed)


def matrix(rows: int, columns: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, columns))


def row(rings: WeightBank, phases: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Difference and sum of a row's photodiodes for each channel, ring by ring, from `AddDropRing` alone."""
    through, drop = np.ones(len(phases)), np.zeros(len(phases))
    for channel, phase in zip(rings.channels_m, phases, strict=True):
        ring = rings.card.ring_at(float(channel))
        at = ring.round_trip_phase(rings.channels_m) + phase
        drop += through * ring.drop(at)
        through *= ring.through(at)
    assert np.all(through + drop <= 1.0 + 1e-12)
    return drop - through, drop + through


def test_weights_are_those_of_the_rings_in_turn() -> None:
    rings = bank(**{"bank.calibration": "separate"})
    wanted = matrix(3, 20)
    found = rings.calibrated(wanted)
    for i, weights in enumerate(wanted):
        phases = rings.ring.detuning_rad(rings.card.bank.weight_range * weights)
        expected, total = row(rings, phases)
        np.testing.assert_allclose(found.weights[:, i], expected, atol=2e-7)
        np.testing.assert_allclose(found.totals[:, i], total, atol=2e-7)


def test_cross_talk_of_neighbours_is_the_tail_of_the_line() -> None:
    # Ring 1 on its channel, ring 2 at weight w: ring 1 drops the tail 1 / (1 + (2 d / linewidth)^2) of its peak of
    # channel 2 and loses some in itself, a fixed share of what it drops; ring 2 sees the rest.
    rings = bank(**{"bank.columns": 2})
    ring, spacing_m = rings.ring, 1e-9 * rings.card.bank.channel_spacing_nm
    w = -0.5
    phases = np.array([0.0, float(ring.detuning_rad(w))])
    peak = float(ring.drop(0.0))
    lost = (1 - float(ring.through(0.0)) - peak) / peak
    tail = peak / (1 + (2 * spacing_m / ring.linewidth_m) ** 2)
    weights, totals = row(rings, phases)
    # The line's tail is Lorentzian to (pi d / FSR)^2 / 3 = 0.6 %.
    assert weights[1] - w == pytest.approx(tail * (1 - w - lost * w), rel=0.01)
    own = 1 - float(ring.drop(phases[1]) + ring.through(phases[1]))
    assert 1 - totals[1] == pytest.approx(own + lost * tail * (1 - own) - tail * own, abs=2e-5)
    # Control: channels twice as far apart have a quarter of it.
    far = bank(**{"bank.columns": 2, "bank.channel_spacing_nm": 1.6})
    assert row(far, phases)[0][1] - w == pytest.approx((weights[1] - w) / 4, rel=0.05)


def test_joint_calibration_takes_cross_talk_off() -> None:
    wanted = matrix(200, 20)
    share = 0.7
    joint = bank(**{"bank.calibration": "joint"}).calibrated(wanted)
    np.testing.assert_allclose(joint.weights.T, share * wanted, atol=1e-6)
    # Control: each ring by itself leaves the neighbours' tails, some per cent of the weights.
    separate = bank(**{"bank.calibration": "separate"}).calibrated(wanted)
    error = separate.weights.T - share * wanted
    assert 0.01 < error.std() < 0.05
    # They add to the drop port: all weights are too high.
    assert error.mean() > 0.5 * error.std()


def test_unused_rings_are_parked_and_still_count() -> None:
    wanted = matrix(4, 7)
    few = bank(**{"bank.calibration": "separate"}).calibrated(wanted)
    padded = np.zeros((4, 20))
    padded[:, :7] = wanted
    full = bank(**{"bank.calibration": "separate"}).calibrated(padded)
    assert np.array_equal(few.weights, full.weights[:7])
    # Tiles of more inputs than columns are set one by one.
    wide = np.hstack([padded, wanted])
    tiled = bank(**{"bank.calibration": "separate"}).calibrated(wide)
    assert np.array_equal(tiled.weights, np.vstack([full.weights, few.weights]))


def test_accuracy_in_bits() -> None:
    wanted = matrix(500, 20)
    exact, rough = bank().calibrated(wanted), bank(**{"tuning.accuracy_bits": 6.0}).calibrated(wanted)
    error = rough.weights - exact.weights
    # 10,000 draws: the standard deviation is known to 0.7 %; log2(2 / sd) = 6.
    assert error.std() == pytest.approx(2 * 2**-6, rel=0.03)
    assert abs(error.mean()) < 4 * 2 * 2**-6 / 100
    other = bank(1, **{"tuning.accuracy_bits": 6.0}).calibrated(wanted)
    assert abs(np.corrcoef(error.ravel(), (other.weights - exact.weights).ravel())[0, 1]) < 0.04


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_heat_of_neighbours(share: float) -> None:
    by_heat = {"tuning.weights": "heater", "bank.thermal_crosstalk": share}
    rings = bank(**by_heat, **{"bank.calibration": "separate"})
    wanted = matrix(5, 20)
    found = rings.calibrated(wanted)
    coupling = share ** np.abs(np.subtract.outer(np.arange(20), np.arange(20)))
    parked = float(rings.ring.detuning_rad(0.0))
    for i, weights in enumerate(wanted):
        drives = rings.ring.detuning_rad(0.7 * weights) - parked
        np.testing.assert_allclose(found.weights[:, i], row(rings, parked + coupling @ drives)[0], atol=1e-6)
    # Joint calibration takes it off; carriers do not spread.
    np.testing.assert_allclose(bank(**by_heat).calibrated(wanted).weights.T, 0.7 * wanted, atol=1e-6)
    carriers = bank(**{"bank.calibration": "separate", "bank.thermal_crosstalk": share}).calibrated(wanted)
    assert np.array_equal(carriers.weights, bank(**{"bank.calibration": "separate"}).calibrated(wanted).weights)
    assert np.abs(found.weights - carriers.weights).max() > share / 10


def test_rings_drift_with_temperature() -> None:
    warm = bank(**{"tuning.ambient_change_k": 0.5, "bank.calibration": "separate"})
    wanted = matrix(3, 20)
    found = warm.calibrated(wanted)
    # 80 pm/K: 40 pm further red.
    shift = 2 * np.pi * 40e-12 / warm.ring.free_spectral_range_m
    for i, weights in enumerate(wanted):
        phases = warm.ring.detuning_rad(0.7 * weights) + shift
        np.testing.assert_allclose(found.weights[:, i], row(warm, phases)[0], atol=1e-6)
    still = bank(**{"tuning.ambient_change_k": 0.0, "bank.calibration": "separate"}).calibrated(wanted)
    assert np.array_equal(still.weights, bank(**{"bank.calibration": "separate"}).calibrated(wanted).weights)
    # A ring red of its channel drops less.
    assert np.mean(found.weights - still.weights) < -0.02


def test_lock_powers() -> None:
    without = bank(**{"bank.thermal_crosstalk": 0.0, "bank.rows": 500})
    powers = without.lock_powers_mw()
    assert powers.shape == (500, 20)
    assert 0.0 <= powers.min() < powers.max() <= 28.0
    # A drive is spread over an order by the wrapped normal law 1 + 2 sum_n c^(n^2) cos n phi, c = exp(-s^2 / 2): mean
    # pi by symmetry, variance pi^2 / 3 + 4 sum_n c^(n^2) / n^2. 10,000 rings: mean known to 0.09 mW, sd to 0.5 %.
    s = 2 * np.pi * 5e-9 / without.ring.free_spectral_range_m
    variance = np.pi**2 / 3 + 4 * sum(np.exp(-0.5 * (n * s) ** 2) / n**2 for n in (1, 2, 3))
    assert powers.mean() == pytest.approx(14.0, abs=0.4)
    assert powers.std() == pytest.approx(28.0 * np.sqrt(variance) / (2 * np.pi), rel=0.02)
    # Control: rings that lie evenly in an order are less spread.
    assert powers.std() > 1.1 * 28.0 / 12**0.5
    # With heat from beside: a row of drives gives the same phases, up to whole orders, and never cools.
    with_heat = bank(**{"bank.thermal_crosstalk": 0.05, "bank.rows": 500})
    drives = with_heat.lock_powers_mw()
    assert drives.min() >= 0.0
    orders = (drives @ with_heat.heater_coupling - powers) / 28.0
    np.testing.assert_allclose(orders, np.rint(orders), atol=1e-9)
    assert not np.allclose(drives, powers, atol=0.1)
    assert not bank(**{"tuning.lock": "trimmed"}).lock_powers_mw().any()


def test_weights_that_rings_do_not_reach_are_refused() -> None:
    wanted = np.zeros((5, 20))
    wanted[3, 4] = 1.4
    with pytest.raises(DeviceError, match=r"^output 3: weights up to 0\.98; a ring has -0\.9054 \.\. 0\.9307$"):
        bank().calibrated(wanted)
    crowded = bank(**{"bank.weight_range": 0.88})
    with pytest.raises(DeviceError, match=r"beside their neighbours; lower bank\.weight_range = 0\.88$"):
        crowded.calibrated(np.full((1, 20), -1.0))
    # A ring without neighbours is asked for the same and reaches it.
    alone = bank(**{"bank.weight_range": 0.88, "bank.columns": 1})
    np.testing.assert_allclose(alone.calibrated(-np.ones((1, 1))).weights, -0.88, atol=1e-6)
