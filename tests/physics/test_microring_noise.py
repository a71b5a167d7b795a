"""Noise of a weight bank: each source against its closed form, bits against laser power, and the measured level."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from opu_sim import DeviceError, load_device
from opu_sim.device import MicroringBank

# All sources off, or as good as: 16 bits, an amplifier without heat.
QUIET: dict[str, Any] = {
    "receiver.feedback_ohm": 1e15,
    "receiver.adc_bits": 16,
    "modulator.dac_bits": 16,
    "lasers.power_mw": 1e9,
}
OPTIONAL = {
    "tuning": ("accuracy_bits", "precision_bits"),
    "lasers": ("rin_db_per_hz",),
    "receiver": ("dark_current_na",),
    "modulator": ("extinction_db",),
}
N_IN, N_OUT, VECTORS = 10, 200, 200


def bank(n_in: int = N_IN, n_out: int = N_OUT, **changes: Any) -> MicroringBank:
    """A quiet bank with `changes`; keys of imperfections that they leave out are left out of the card."""
    full = load_device("filipovich-50x20", n_in=n_in, n_out=n_out, **{**QUIET, **changes})
    assert isinstance(full, MicroringBank)
    update = {}
    for part, keys in OPTIONAL.items():
        off = {key: None for key in keys if f"{part}.{key}" not in changes}
        update[part] = getattr(full.card, part).model_copy(update=off)
    return MicroringBank(full.card.model_copy(update=update), n_in, n_out, 0)


def errors(device: MicroringBank, x: NDArray[np.float64], vectors: int = VECTORS) -> NDArray[np.float64]:
    """Noise [vector, output] of one vector projected again and again, its mean taken off."""
    with device:
        y = device.project(np.repeat(x[None], vectors, axis=0)).astype(np.float64)
    return y - y.mean(axis=0)


def measured(device: MicroringBank, x: NDArray[np.float64]) -> float:
    """Mean variance over the outputs."""
    return float((errors(device, x) ** 2).sum(axis=0).mean() / (VECTORS - 1))


def vector(n_in: int = N_IN) -> NDArray[np.float64]:
    """Entries of both signs, the largest 1."""
    x = np.random.default_rng(5).uniform(-1, 1, n_in)
    return x / np.abs(x).max()


# 40,000 draws: a variance is known to sqrt(2 / 40,000) = 0.7 %, four of them.
FOUR_SIGMA = 4 * math.sqrt(2 / (N_OUT * VECTORS))
UNIT = 3 / N_IN / 0.7**2
"""Variance of y for a variance of 1 in channels: entries of variance 1 / n_in, weights up to 0.7."""
BANDWIDTH_HZ = 5e9


def test_a_quiet_bank_is_quiet() -> None:
    # What is left is the converter: 16 bits of +-7 channels' light.
    step = 0.7 * N_IN / (2**15 - 1)
    assert measured(bank(), vector()) < UNIT * 2 * step**2 / 12


def test_weights_that_are_new_in_every_symbol() -> None:
    x = vector()
    for bits in (5.0, 8.0):
        expected = UNIT * (2 * 2**-bits) ** 2 * (x**2).sum()
        assert measured(bank(**{"tuning.precision_bits": bits}), x) == pytest.approx(expected, rel=FOUR_SIGMA)


def test_johnson_noise() -> None:
    device = bank(**{"receiver.feedback_ohm": 500.0, "lasers.power_mw": 0.3})
    channel_a = 3e-4 * 0.1 / 50
    # Either pass has it.
    expected = UNIT * 2 * 4 * 1.380649e-23 * 300 * BANDWIDTH_HZ / 500 / channel_a**2
    shot = UNIT * 2 * 1.602176634e-19 * BANDWIDTH_HZ / channel_a * np.abs(vector()).sum()
    assert measured(device, vector()) == pytest.approx(expected + shot, rel=FOUR_SIGMA + 0.01)
    assert shot < 0.05 * expected


def test_shot_noise_of_all_light_on_the_photodiodes() -> None:
    x = vector()
    device = bank(**{"lasers.power_mw": 0.1})
    channel_a = 1e-4 * 0.1 / 50
    totals = np.abs(x) @ device.weights.totals.astype(np.float64)
    expected = UNIT * 2 * 1.602176634e-19 * BANDWIDTH_HZ / channel_a * totals.mean()
    assert measured(device, x) == pytest.approx(expected, rel=FOUR_SIGMA)
    # Rings lose some of the light: less than for a bank that keeps all.
    assert 0.9 < totals.mean() / np.abs(x).sum() < 1.0


def test_shot_noise_of_the_dark_current() -> None:
    x = np.zeros(N_IN)
    x[0] = 1.0
    dark = {"lasers.power_mw": 0.01, "receiver.dark_current_na": 100.0}
    channel_a = 1e-5 * 0.1 / 50
    # Two passes, two photodiodes.
    expected = UNIT * 2 * 2 * 2 * 1.602176634e-19 * 100e-9 * BANDWIDTH_HZ / channel_a**2
    found = measured(bank(**dark), x) - measured(bank(**{"lasers.power_mw": 0.01}), x)
    assert found == pytest.approx(expected, rel=2 * FOUR_SIGMA)


def test_lasers_noise_is_one_in_all_rows_of_a_tile() -> None:
    x = vector()
    device = bank(**{"lasers.rin_db_per_hz": -120.0})
    noise = errors(device, x)
    weights = device.weights.weights.astype(np.float64)
    variance = 1e-12 * BANDWIDTH_HZ
    expected = UNIT * variance * (x**2 @ weights**2)
    # Ten lasers' light in 200 vectors and 4 tiles: 8000 draws, and some weights count more than others.
    assert (noise**2).mean() == pytest.approx(expected.mean(), rel=4 * math.sqrt(2 / 4000))
    # Rows 0 and 1 share a tile: covariance sum x^2 w_0 w_1. Rows of the next are read at another time.
    together = UNIT * variance * ((x**2 * weights[:, 0]) @ weights[:, :50])
    covariance = (noise[:, :1] * noise).mean(axis=0)
    scatter = 4 * expected.max() / math.sqrt(VECTORS)
    np.testing.assert_allclose(covariance[:50], together, atol=scatter)
    np.testing.assert_allclose(covariance[50:], 0.0, atol=scatter)
    assert np.abs(together[1:]).max() > 1.5 * scatter


@pytest.mark.parametrize("n_in", [10, 45])
def test_predicted_noise_of_the_card(n_in: int) -> None:
    device = load_device("filipovich-50x20", n_in=n_in, n_out=N_OUT, **{"modulator.dac_bits": 12})
    assert isinstance(device, MicroringBank)
    # Different vectors: the noise is a fifth of the converter's step, whose rounding is the same again for the same.
    x = np.random.default_rng(9).uniform(-1, 1, (VECTORS, n_in))
    with device:
        error = device.project(x) - x @ device.matrix().T
    assert (error**2).mean() == pytest.approx(float(device.mean_square_error(x).mean()), rel=FOUR_SIGMA + 0.01)
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(error.size)
    # Of one vector again and again: less, and predicted at each reading's place between two codes.
    again = measured(device, x[0])
    assert again == pytest.approx(float(device.noise_variance(x[:1]).mean()), rel=FOUR_SIGMA + 0.01)
    assert again < 0.98 * float(device.mean_square_error(x[:1]).mean())
    ones = np.zeros((1, n_in))
    ones[0, np.arange(5) * n_in // 5] = 1.0
    assert device.snr(5) == pytest.approx(5 / n_in / device.noise_variance(ones).mean(), rel=1e-12)
    assert measured(device, ones[0]) == pytest.approx(5 / n_in / device.snr(5), rel=FOUR_SIGMA + 0.02)


def test_bits_and_laser_power() -> None:
    device = load_device("filipovich-50x20", n_in=20, n_out=50)
    assert isinstance(device, MicroringBank)
    receiver = device.receiver
    # At the card's own bits it asks for the card's own power.
    assert receiver.laser_mw(receiver.bits()) == pytest.approx(10.0, rel=1e-9)
    with pytest.raises(DeviceError, match=r"^12\.0 bits: lasers, lock and converter leave 9\.\d\d at any laser power$"):
        receiver.laser_mw(12.0)
    # Amplifier alone: sd is in proportion to 1 / power, a bit doubles it. Shot noise alone: a bit takes four times.
    johnson = bank(20, 50, **{"receiver.feedback_ohm": 10.0, "lasers.power_mw": 1.0}).receiver
    assert johnson.laser_mw(5.0) / johnson.laser_mw(4.0) == pytest.approx(2.0, rel=0.02)
    shot = bank(20, 50).receiver
    needed = shot.laser_mw(6.0)
    assert shot.laser_mw(7.0) / needed == pytest.approx(4.0, rel=0.02)
    # range / sd = 2 n s / sqrt(2 q B n / I): I = 2^(2 bits) 2 q B / (4 n s^2), and a laser lights 50 rows at a tenth.
    channel_a = 2**12 * 2 * 1.602176634e-19 * BANDWIDTH_HZ / (4 * 20 * 0.7**2)
    assert needed == pytest.approx(1e3 * channel_a * 50 / 0.1, rel=0.01)


@pytest.mark.parametrize(("n_in", "terms"), [(10, 10), (40, 10)])
def test_measured_error_is_that_of_the_authors(n_in: int, terms: int) -> None:
    device = load_device("filipovich-50x20", n_in=n_in, n_out=2000, fidelity="mac")
    assert isinstance(device, MicroringBank)
    x = np.random.default_rng(1).uniform(-1, 1, (20, n_in))
    with device:
        y = device.project(x)
    # u = e B + max|e| N(mean, sd) with B in -1 .. 1; here u times sqrt(3 / n).
    error = (y - x @ device.matrix().T) / np.sqrt(3 / n_in) / np.abs(x).max(axis=1, keepdims=True)
    assert error.mean() == pytest.approx(0.03 * n_in / terms, abs=4 * 0.618 * (n_in / terms) ** 0.5 / 200)
    assert error.std() == pytest.approx(0.618 * (n_in / terms) ** 0.5, rel=4 / math.sqrt(2 * 40_000))


def test_the_device_predicts_the_measured_error() -> None:
    # A lock of 3.87 bits: 0.137 of a weight, 0.195 of an entry where 1 is a weight of 0.7, 0.618 for ten full ones.
    rough = {"tuning.precision_bits": math.log2(2 / (0.618 / math.sqrt(10) * 0.7))}
    device = load_device("filipovich-50x20", n_in=10, n_out=1000, **rough)
    assert isinstance(device, MicroringBank)
    full = np.ones((1, 10))
    # Full entries: the lock's noise is the authors', light in zeros and conversion add under 2 %.
    assert 0.618 < device.mac_error(full) < 0.618 * 1.02
    rng = np.random.default_rng(3)
    even, softmax = rng.uniform(-1, 1, (100, 10)), rng.dirichlet(np.full(10, 0.3), 100)
    softmax[np.arange(100), rng.integers(0, 10, 100)] -= 1
    for x in (even, softmax):
        error = {"mac.error_std": device.mac_error(x), "mac.error_mean": 0.0}
        told = load_device("filipovich-50x20", n_in=10, n_out=1000, fidelity="mac", **error)
        assert isinstance(told, MicroringBank)
        with device, told:
            found = (device.project(x) - x @ device.matrix().T).std()
            level = (told.project(x) - x @ told.matrix().T).std()
        # 100,000 draws each, of sds that differ from vector to vector by a few times at most.
        assert level == pytest.approx(found, rel=0.03)
        # The measured law counts full entries whatever they are; noise of the weights follows their squares.
        share = math.sqrt(np.mean((x**2).sum(axis=1) / (x**2).max(axis=1)) / 10)
        assert share < 0.7
        assert device.mac_error(x) == pytest.approx(0.618 * share, rel=0.06)
