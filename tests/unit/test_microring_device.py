"""The weight bank behind `project`: matrix, signs, tiles, what results depend on and what not, refusals."""

import json
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from opu_sim import DeviceError, DeviceWarning, load_device
from opu_sim.cards import MicroringCard, load_card
from opu_sim.device import MicroringBank

NAME = "filipovich-50x20"
LEVELS = ["device", "mac", "ideal"]


def made(n_in: int = 10, n_out: int = 120, seed: int = 0, **changes: Any) -> MicroringBank:
    device = load_device(NAME, n_in=n_in, n_out=n_out, seed=seed, **changes)
    assert isinstance(device, MicroringBank)
    return device


def opened(*args: Any, **kwargs: Any) -> MicroringBank:
    device = made(*args, **kwargs)
    device.open()
    return device


def vectors(batch: int = 6, n_in: int = 10) -> NDArray[np.float32]:
    return np.random.default_rng(2).standard_normal((batch, n_in)).astype(np.float32)


@pytest.mark.parametrize("fidelity", LEVELS)
@pytest.mark.parametrize("n_in", [10, 45])
def test_entries_are_uniform_with_variance_one_over_n_in(fidelity: str, n_in: int) -> None:
    device = made(n_in, 2000, fidelity=fidelity)
    entries = device.wanted_matrix() * np.sqrt(n_in / 3)
    assert -1.0 <= entries.min() < -0.999
    assert 0.999 < entries.max() < 1.0
    # 20,000 entries of variance 1/3 and fourth moment 1/5: variance known to sqrt(4/45 / 20,000) = 0.6 % of itself.
    assert device.matrix().var() * n_in == pytest.approx(1.0, rel=0.025)
    assert abs(entries.mean()) < 4 / np.sqrt(3 * entries.size)
    assert_array_equal(np.histogram(entries, 10)[0] > 0.08 * entries.size, True)
    assert device.matrix().dtype == np.float32
    assert not np.array_equal(device.matrix(), made(n_in, 2000, seed=1, fidelity=fidelity).matrix())


@pytest.mark.parametrize("n_in", [1, 10, 20, 21, 45])
def test_projection_is_the_matrix_product_on_average(n_in: int) -> None:
    device = opened(n_in, 130, **{"modulator.dac_bits": 12})
    x = vectors(1, n_in)
    repeats = 400
    mean = device.project(np.repeat(x, repeats, axis=0)).mean(axis=0)
    expected = (x @ device.matrix().T)[0]
    # Each output within the converter's rounding, which the noise does not wash out; on average they are right.
    step = device.receiver.step / device.card.bank.weight_range * np.sqrt(3 / n_in) * np.abs(x).max()
    assert np.abs(mean - expected).max() < 1.1 * step * -(-n_in // 20)
    assert np.corrcoef(mean, expected)[0, 1] > 0.995


def test_ideal_is_exact_and_mac_is_offset_by_its_mean() -> None:
    x = vectors(300)
    ideal = opened(fidelity="ideal")
    assert_allclose(ideal.project(x), x @ ideal.matrix().T, atol=1e-5)
    assert_array_equal(ideal.matrix(), opened(fidelity="mac").matrix())
    error = opened(fidelity="mac").project(x) - x @ ideal.matrix().T
    unit = np.sqrt(3 / 10) * np.abs(x).max(axis=1)
    assert (error / unit[:, None]).mean() == pytest.approx(0.03, abs=4 * 0.618 / 36_000**0.5)


@pytest.mark.parametrize("fidelity", LEVELS)
def test_results_do_not_depend_on_cut_outputs_or_threads(fidelity: str) -> None:
    x = vectors(7, 45)
    whole = opened(45, 130, fidelity=fidelity).project(x)
    device = opened(45, 130, fidelity=fidelity)
    assert_array_equal(np.concatenate([device.project(part) for part in (x[:1], x[1:5], x[5:5], x[5:])]), whole)
    assert_array_equal(opened(45, 77, fidelity=fidelity).project(x), whole[:, :77])
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert_array_equal(opened(45, 130, fidelity=fidelity).project(x), whole)
    finally:
        numba.set_num_threads(threads)
    again = opened(45, 130, fidelity=fidelity)
    again.project(x[:3])
    if fidelity != "ideal":
        assert not np.array_equal(again.project(x[:3]), whole[:3])
    assert not np.array_equal(opened(45, 130, seed=1, fidelity=fidelity).project(x), whole)


def test_one_scale_for_the_batch_is_that_of_its_largest_entry() -> None:
    x = vectors(4)
    # On one scale rounding to 4 bits costs small vectors more than on their own.
    small = np.concatenate([0.01 * x, x])
    exact = small @ opened(fidelity="ideal").matrix().T
    own = opened(**{"modulator.dac_bits": 4}).project(small) - exact
    shared = opened(**{"modulator.dac_bits": 4, "modulator.scaling": "batch"}).project(small) - exact
    assert shared[:4].std() > 10 * own[:4].std()
    # The noise of `mac` is in proportion to it, as in the authors' code.
    noise = opened(fidelity="mac", **{"modulator.scaling": "batch"}).project(small) - exact
    alone = opened(fidelity="mac").project(small) - exact
    assert_allclose(noise[4:].std() / noise[:4].std(), 1.0, rtol=0.2)
    assert alone[:4].std() < 0.02 * alone[4:].std()


def test_single_pass_takes_no_signs() -> None:
    device = opened(**{"modulator.encoding": "single-pass"})
    x = np.abs(vectors())
    half = device.project(x)
    assert device.ledger.frames == 6 * 3
    # The light that zeros leak is taken off: without it outputs would be off by a hundredth of the row's weights.
    full = opened().project(x)
    assert_allclose(half, full, atol=0.2)
    assert abs((half - x @ device.matrix().T).mean()) < 0.01
    x[3, 2] = -0.5
    with pytest.raises(ValueError, match=r"^x\[3, 2\] = -0\.5: must be >= 0 with modulator\.encoding = 'single-pass'$"):
        device.project(x)
    assert device.ledger.frames == 6 * 3
    with pytest.raises(
        DeviceError, match=r"^modulator\.encoding = 'single-pass': light has no sign; must be 'two-pass'"
    ):
        device.require_signs()
    opened().require_signs()


def test_gains_multiply_before_conversion() -> None:
    x = vectors(50)
    gains = (np.random.default_rng(4).random((50, 120)) < 0.5).astype(np.float32)
    gated = opened().project(x, gains)
    assert_array_equal(gated[gains == 0], 0.0)
    # A gain of 1 is no gain at all, bit for bit.
    assert_array_equal(gated[gains == 1], opened().project(x)[gains == 1])
    half = opened().project(x, np.full((50, 120), 0.5))
    error = half - 0.5 * x @ opened().matrix().T
    assert error.std() < 0.2
    for fidelity in ("mac", "ideal"):
        exact = opened(fidelity=fidelity).project(x)
        assert_array_equal(opened(fidelity=fidelity).project(x, gains), exact * gains)
    leaky = {"modulator.encoding": "single-pass", "modulator.extinction_db": 10.0}
    single = opened(**leaky).project(np.abs(x), gains)
    assert_array_equal(single[gains == 0], 0.0)
    with pytest.raises(ValueError, match=r"^gains: shape \(50, 119\); must be an array \[50, 120\]$"):
        opened().project(x, gains[:, 1:])
    with pytest.raises(ValueError, match=r"^gains: values in -1\.0 \.\. 1\.0; must be 0 \.\. 1$"):
        opened().project(x, gains - (gains == 0).astype(np.float32))


def test_zeros_and_no_vectors() -> None:
    for fidelity in LEVELS:
        device = opened(fidelity=fidelity)
        assert_array_equal(device.project(np.zeros((2, 10))), np.zeros((2, 120), np.float32))
        frames = device.ledger.state()
        assert device.project(np.zeros((0, 10))).shape == (0, 120)
        assert device.ledger.state() == frames


def test_state_goes_on_where_it_was() -> None:
    x = vectors()
    device = opened()
    device.project(x)
    state = json.loads(json.dumps(device.state()))
    later = device.project(x)
    other = opened()
    other.restore(state)
    assert_array_equal(other.project(x), later)
    assert other.ledger.state() == device.ledger.state()


def test_what_it_cannot_do() -> None:
    device = made()
    with pytest.raises(DeviceError, match=r"^filipovich-50x20 is not open"):
        device.project(vectors())
    with device, pytest.raises(DeviceError, match=r"^filipovich-50x20 has no camera"):
        device.intensity(np.ones((1, 10), np.uint8))
    with device, pytest.raises(ValueError, match=r"^x\[1, 2\] = nan: must be finite"):
        device.project(np.where(np.arange(20).reshape(2, 10) == 12, np.nan, 1.0))
    with pytest.raises(ValueError, match=r"^x: no vectors, or one of zeros"):
        device.mac_error(np.zeros((1, 10)))
    with pytest.raises(DeviceError, match="half of this computer's memory"):
        made(10**6, 10**6)
    assert not hasattr(device, "wait")  # nothing about it changes with time


def test_a_range_that_is_too_small_saturates_and_says_so() -> None:
    device = opened(**{"receiver.full_scale": 0.05})
    with pytest.warns(
        DeviceWarning, match=r"of the readings of one call are saturated \(receiver\.full_scale = 0\.05\)"
    ):
        y = device.project(vectors(50))
    assert device.ledger.saturated_pixels > 600
    largest = 2 * 0.05 * 10 * np.sqrt(3 / 10) / 0.99 * np.abs(vectors(50)).max(axis=1)
    assert np.all(np.abs(y) <= largest[:, None] * (1 + 1e-6))
    whole = opened()
    whole.project(vectors(50))
    assert whole.ledger.saturated_pixels == 0


def test_a_card_makes_the_same_device() -> None:
    card = load_card(NAME)
    assert isinstance(card, MicroringCard)
    device = load_device(card, n_in=10, n_out=120)
    with device:
        assert_array_equal(device.project(vectors()), opened().project(vectors()))
    assert device.report()["fidelity"] == "device"
