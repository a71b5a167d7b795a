"""Card of the weight bank: what it refuses, in one line, and that imperfections left out are off."""

from typing import Any

import numpy as np
import pytest

from opu_sim import ConfigError, load_device
from opu_sim.cards import MicroringCard, figures, load_card
from opu_sim.device import MicroringBank

NAME = "filipovich-50x20"


def card(**changes: Any) -> MicroringCard:
    loaded = load_card(NAME, changes)
    assert isinstance(loaded, MicroringCard)
    return loaded


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"bank.columns": 23},
            "bank.columns = 23: channels 0.8 nm apart in a free spectral range of 18.21 nm; must be <= 22",
        ),
        (
            {"bank.weight_range": 0.95},
            "bank.weight_range = 0.95: a ring has weights -0.9054 .. 0.9307 within 400 pm; must be <= 0.9054",
        ),
        (
            {"tuning.range_pm": 100.0},
            "bank.weight_range = 0.7: a ring has weights -0.1281 .. 0.9307 within 100 pm; must be <= 0.1281",
        ),
        (
            {"ring.loss_db_per_cm": 300.0},
            "bank.weight_range = 0.7: a ring has weights -0.7805 .. -0.5639 within 400 pm; must be <= 0.0000",
        ),
        (
            {"clock.symbol_rate_ghz": 25.0},
            "clock.symbol_rate_ghz = 25.0: the rings' linewidth is 22.65 GHz; must be <= that",
        ),
        ({"modulator.encoding": "signed"}, "modulator.encoding = 'signed': must be one of 'two-pass', 'single-pass'"),
        ({"tuning.precision_bits": 0.0}, "tuning.precision_bits = 0.0: must be a number > 0 and <= 16"),
        ({"receiver.adc_bits": 1}, "receiver.adc_bits = 1: must be an integer >= 2 and <= 16"),
        ({"bank.row": 3}, "bank.row: unknown key; did you mean 'rows'?"),
    ],
)
def test_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        card(**changes)
    assert str(caught.value).endswith(f"{NAME}.toml: {message}")
    assert "\n" not in str(caught.value)


def test_channels_that_just_fit() -> None:
    assert card(**{"bank.columns": 22}).bank.columns == 22


def test_every_figure_has_a_source() -> None:
    found = list(figures(card()))
    assert len(found) > 35
    assert [key for key, _, source in found if not source.strip()] == []


@pytest.mark.parametrize(
    "key",
    [
        "bank.thermal_crosstalk",
        "bank.resonance_spread_nm",
        "tuning.accuracy_bits",
        "tuning.precision_bits",
        "tuning.ambient_change_k",
        "lasers.rin_db_per_hz",
        "modulator.extinction_db",
        "receiver.dark_current_na",
    ],
)
def test_an_imperfection_that_is_left_out_is_off(key: str) -> None:
    part, name = key.split(".")
    with_it = card(**{"tuning.ambient_change_k": 0.5, "bank.calibration": "separate", "tuning.weights": "heater"})
    section = getattr(with_it, part)
    without = with_it.model_copy(update={part: section.model_copy(update={name: None})})
    devices = [MicroringBank(one, 10, 60, 0) for one in (with_it, without)]
    x = np.random.default_rng(0).standard_normal((20, 10))
    results = []
    for device in devices:
        with device:
            results.append(device.project(x))
    of_the_lock = name == "resonance_spread_nm"
    assert np.array_equal(*results) == of_the_lock
    fixed = name in ("thermal_crosstalk", "accuracy_bits", "ambient_change_k")
    assert np.array_equal(devices[0].matrix(), devices[1].matrix()) != fixed
    heats = [device.bank.lock_powers_mw() for device in devices]
    assert np.array_equal(*heats) == (name not in ("resonance_spread_nm", "thermal_crosstalk"))


def test_levels_of_fidelity_cost_the_same_device_time() -> None:
    ledgers = []
    for fidelity in ("device", "mac", "ideal"):
        with load_device(NAME, n_in=10, n_out=60, fidelity=fidelity) as device:
            device.project(np.ones((3, 10)))
        ledgers.append(device.ledger.state())
    assert ledgers[0] == ledgers[1] == ledgers[2]
