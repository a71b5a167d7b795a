"""How many channels a row holds, the ring that they need, and energy an operation against the size of the bank."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError, load_device
from opu_sim.cards import MicroringCard, load_card
from opu_sim.config import read_toml, shipped_folder
from opu_sim.device import MicroringBank
from opu_sim.microring.bank import WeightBank
from opu_sim.microring.sizing import energy_of_sizes, least_spacing_linewidths, self_coupling, sized

SIZES = [(10, 10), (20, 20), (50, 20), (100, 50), (200, 100), (1000, 100)]


def card(**changes: Any) -> MicroringCard:
    loaded = load_card("filipovich-50x20", changes)
    assert isinstance(loaded, MicroringCard)
    return loaded


@pytest.mark.parametrize("weight", [0.3, 0.7, 0.95])
def test_least_spacing_is_where_the_tails_of_all_rings_leave_just_enough(weight: float) -> None:
    s = least_spacing_linewidths(weight)
    # 2000 Lorentzian lines to either side, half way between channels: those beyond take 2 / (4 s^2 * 2000) more.
    distance = s * (np.arange(-2000, 2000) + 0.5)
    through = np.prod(distance**2 / (distance**2 + 0.25))
    assert 1 - 2 * through == pytest.approx(-weight, abs=1e-3)
    # Nowhere between two channels is more light let through.
    for place in (0.3, 0.4, 0.6):
        shifted = s * (np.arange(-2000, 2000) + place)
        assert np.prod(shifted**2 / (shifted**2 + 0.25)) < through
    # One ring alone would do with sqrt((1 + w) / (1 - w)).
    assert s > math.sqrt((1 + weight) / (1 - weight))


@pytest.mark.parametrize("weight", [0.5, 0.8])
def test_banks_reach_their_weights_from_there_on(weight: float) -> None:
    # Nearly lossless rings of high finesse, as the law supposes.
    ring = {"ring.loss_db_per_cm": 0.01, "ring.self_coupling": 0.998, "clock.symbol_rate_ghz": 1.0}
    linewidth_nm = 1e9 * card(**ring).ring_at(1550e-9).linewidth_m
    for share, reached in ((1.02, True), (0.97, False)):
        spacing = share * least_spacing_linewidths(weight) * linewidth_nm
        size = {"bank.columns": 60, "bank.channel_spacing_nm": spacing, "bank.weight_range": weight}
        bank = WeightBank(card(**ring, **size), 0)
        lowest = np.full((1, 60), -weight)
        if reached:
            np.testing.assert_allclose(bank.rows(lowest).weights, lowest, atol=1e-6)
        else:
            with pytest.raises(DeviceError, match="beside their neighbours"):
                bank.rows(lowest)


@pytest.mark.parametrize("finesse", [20.0, 100.0, 400.0])
def test_coupling_for_a_finesse(finesse: float) -> None:
    ring = card().ring_at(1550e-9)
    coupled = replace(ring, self_coupling=self_coupling(finesse, ring.round_trip))
    assert coupled.finesse == pytest.approx(finesse, rel=1e-9)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_sizes_from_100_to_100_000_rings_run(rows: int, columns: int) -> None:
    found = sized(card(), rows, columns)
    ring = found.ring_at(1550e-9)
    assert (found.bank.rows, found.bank.columns) == (rows, columns)
    assert columns * found.bank.channel_spacing_nm <= 1e9 * ring.free_spectral_range_m
    assert ring.bandwidth_hz >= 10e9
    bank = WeightBank(found, 0)
    for end in (-0.7, 0.7):
        target = np.full((1, columns), end)
        np.testing.assert_allclose(bank.rows(target).weights, target, atol=1e-6)
    device = load_device(found, n_in=columns, n_out=rows, seed=1)
    assert isinstance(device, MicroringBank)
    x = np.random.default_rng(0).uniform(-1, 1, (20, columns))
    with device:
        error = device.project(x) - x @ device.matrix().T
    assert device.schedule.tiles == 1
    assert (error**2).mean() == pytest.approx(float(device.mean_square_error(x).mean()), rel=0.2)


def test_rings_stay_where_they_do() -> None:
    assert sized(card(), 1000, 22) == card(**{"bank.rows": 1000, "bank.columns": 22})
    # 40 channels: weaker couplers do; 100 need a smaller ring, as their lines would be narrower than the symbols.
    forty, hundred = sized(card(), 50, 40), sized(card(), 50, 100)
    assert forty.ring.radius_um == 5.0
    assert forty.ring.self_coupling > 0.985
    assert hundred.ring.radius_um < 3.0
    assert hundred.ring_at(1550e-9).bandwidth_hz == pytest.approx(10e9, rel=1e-3)
    slower = sized(card(**{"clock.symbol_rate_ghz": 5.0}), 50, 100)
    assert slower.ring.radius_um == 5.0
    with pytest.raises(
        ConfigError, match=r"columns = 100: channels 0\.8 nm apart in a free spectral range of 18\.21 nm"
    ):
        card(**{"bank.columns": 100})
    # With the rings of the card, channels that fit lie a linewidth apart: no weights.
    with pytest.raises(
        ConfigError, match=r"bank\.weight_range = 0\.7: a ring has weights .* within 91 pm; must be <= "
    ):
        card(**{"bank.columns": 100, "bank.channel_spacing_nm": 0.182})
    with pytest.raises(ConfigError, match=r"bank\.weight_range = 0\.7: a ring has weights"):
        sized(card(**{"ring.loss_db_per_cm": 20.0}), 50, 100)
    with pytest.raises(DeviceError, match=r"^12\.0 bits: "):
        sized(card(), 50, 100, 12.0)


@pytest.mark.parametrize("lock", ["heater", "trimmed"])
def test_energy_by_part(lock: str) -> None:
    rows = energy_of_sizes(card(**{"tuning.lock": lock}), SIZES)
    for row in rows:
        m, n = row["rows"], row["columns"]
        # Watts over 2 M N f, f = 10 GHz.
        expected = {
            "laser": 50.0 / (20 * m),
            "heater": (m + 1) / m * 14.0 / 20 if lock == "heater" else 0.0,
            "weight": (m + 1) / m * 0.12 / 20,
            "dac": 180.0 / (20 * m),
            "tia": 24.0 / (20 * n),
            "adc": 13.0 / (20 * n),
        }
        assert row["picojoules_by_part"] == pytest.approx(expected, rel=1e-9)
        assert row["picojoules_per_op"] == pytest.approx(sum(expected.values()), rel=1e-9)
        assert row["watts"] == pytest.approx(row["picojoules_per_op"] * row["teraops_peak"], rel=1e-9)
        assert row["teraops_peak"] == pytest.approx(2e-2 * m * n, rel=1e-9)
    energies = [row["picojoules_per_op"] for row in rows]
    assert np.all(np.diff(energies) < 0)
    # Converters are shared; rings are not: heaters leave 0.7 pJ at any size, trimmed rings a twentieth of that.
    assert energies[-1] > 0.7 if lock == "heater" else energies[-1] < 0.04


def test_lasers_for_bits() -> None:
    for row in energy_of_sizes(card(), SIZES, 8.0):
        assert row["bits"] == pytest.approx(8.0, rel=1e-9)
    low, high = (energy_of_sizes(card(), [(1000, 100)], bits)[0]["laser_mw"] for bits in (6.0, 8.0))
    assert high > 4 * low


def test_the_shipped_sweep_has_the_rings_that_its_largest_bank_needs() -> None:
    table = read_toml(shipped_folder("sweeps") / "bank-size.toml")
    device = table["settings"]["device"]
    found = card(
        **{f"ring.{key}": value for key, value in device["ring"].items()},
        **{f"bank.{key}": value for key, value in device["bank"].items()},
        **{"bank.rows": 1000, "bank.columns": 100},
    )
    derived = sized(card(), 1000, 100)
    assert found.ring.radius_um == pytest.approx(derived.ring.radius_um, rel=0.01)
    assert found.bank.channel_spacing_nm == pytest.approx(derived.bank.channel_spacing_nm, rel=0.01)
    assert 1 - found.ring.self_coupling == pytest.approx(1 - derived.ring.self_coupling, rel=0.05)
    lowest = np.full((1, 100), -0.7)
    np.testing.assert_allclose(WeightBank(found, 0).rows(lowest).weights, lowest, atol=1e-6)
    assert table["axes"][0]["values"][0] == [10, 10]
    assert table["axes"][0]["values"][-1] == [1000, 100]
