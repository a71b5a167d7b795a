"""Where curves cross: closed forms, and the published table beside the 2 kHz device."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.energy.crossover import ahead_between, interpolated, power_law, power_law_crossing
from benchmarks.energy.electronic import load_accelerator, load_measurements
from benchmarks.energy.sizes import Square, measured_crossovers, modelled_crossovers
from benchmarks.energy.workload import AS_PUBLISHED, Case
from benchmarks.readme import ROOT
from opu_sim.cards import load_card
from opu_sim.estimate import estimate


def test_straight_lines_cross_where_they_must() -> None:
    assert interpolated([10, 20, 30], [1.0, 3.0, 7.0], 5.0) == 25.0
    assert interpolated([10, 20, 30], [1.0, 3.0, 7.0], 3.0) == 20.0
    assert interpolated([10, 20, 30], [1.0, 3.0, 7.0], 8.0) is None
    assert interpolated([10, 20, 30], [1.0, 3.0, 7.0], 0.5) is None


def test_a_power_law_is_found_again() -> None:
    sizes = [3, 10, 50, 400]
    law = power_law(sizes, [0.25 * size**1.7 for size in sizes])
    assert law == pytest.approx((0.25, 1.7))
    assert power_law_crossing(law, 0.25 * 77.0**1.7) == pytest.approx(77.0)


@pytest.mark.parametrize("at", [17, 100, 4321, 999_983])
def test_a_crossing_is_exact(at: int) -> None:
    assert ahead_between(lambda size: at - 0.5, lambda size: size, 10, 10**6) == (at, None)


def test_an_interval_has_both_ends() -> None:
    between = ahead_between(lambda size: 0.0 if 300 <= size < 5000 else 2.0, lambda size: 1.0, 10, 10**6)
    assert between == (300, 5000)


def test_no_crossing_and_ahead_from_the_start() -> None:
    assert ahead_between(lambda size: 2.0, lambda size: 1.0, 10, 1000) == (None, None)
    assert ahead_between(lambda size: 1.0, lambda size: 2.0, 10, 1000) == (10, None)
    assert ahead_between(lambda size: 1.0, lambda size: 1.0, 10, 1000) == (None, None)


@pytest.fixture(scope="module")
def two_kilohertz() -> Case:
    return Case(load_card("lighton-aurora", AS_PUBLISHED), "intensity", "2 kHz at any size")


def test_the_device_of_the_published_comparison_has_2_khz_and_30_w_at_any_size(two_kilohertz: Case) -> None:
    for size in (100, 17_000, 47_000, 300_000):
        spent = estimate(two_kilohertz.card, size, size, 3000, operation="intensity")
        assert spent["device_s"] == pytest.approx(1.5, rel=1e-9)
        assert spent["joules"] == pytest.approx(45.0, rel=1e-3)
    # Control: as its own card has it, it waits for a pass, and for more rows.
    slow = estimate(load_card("lighton-aurora"), 47_000, 47_000, 3000, operation="intensity")
    assert slow["device_s"] > 3.0 * 1.5


def test_published_crossovers_against_the_measured_card(two_kilohertz: Case) -> None:
    """47.2 k in time and 17.2 k in energy, by both roads within 3 %."""
    found = {(c["basis"], c["quantity"]): c["size"] for c in measured_crossovers([two_kilohertz], load_measurements())}
    assert set(found) == {(f"measured, {b}", q) for b in ("interpolated", "power law") for q in ("time", "energy")}
    for (_, quantity), size in found.items():
        assert size == pytest.approx({"time": 47_200, "energy": 17_200}[quantity], rel=0.03)
    assert found["measured, interpolated", "time"] == pytest.approx(47_200, rel=0.003)
    assert found["measured, interpolated", "energy"] == pytest.approx(17_200, rel=0.003)


def test_the_derived_crossovers_are_the_measured_ones(two_kilohertz: Case) -> None:
    """D = sqrt(t r / (2 V)) with the card's own rate and power."""
    card = load_accelerator("p100")
    rate = card.efficiency.product * 1e12 * card.peak_tflops.fp32
    time = math.sqrt(1.5 * rate / (2.0 * 3000))
    energy = math.sqrt(45.0 / (card.load * card.watts) * rate / (2.0 * 3000))
    assert time == pytest.approx(47_200, rel=0.03)
    assert energy == pytest.approx(17_200, rel=0.03)
    modelled = modelled_crossovers([Square(two_kilohertz, 3000)], [card], "single")
    for entry in modelled:
        assert entry["size"] == pytest.approx({"time": time, "energy": energy}[entry["quantity"]], rel=0.001)
        assert entry["fits"] is True


def test_the_device_as_its_card_has_it_crosses_later_or_not_at_all() -> None:
    plain = Case(load_card("lighton-aurora"), "intensity")
    found = {(c["basis"], c["quantity"]): c["size"] for c in measured_crossovers([plain], load_measurements())}
    assert found["measured, interpolated", "time"] is None
    assert 20_000 < found["measured, interpolated", "energy"] < 23_000


def test_a_crossing_beyond_the_cards_memory_says_so(two_kilohertz: Case) -> None:
    entries = modelled_crossovers([Square(two_kilohertz, 3000)], [load_accelerator("h100")], "half")
    time, energy = entries
    assert time["size"] > time["memory_limit"]
    assert time["fits"] is False
    # 15 mJ a vector over 0.88 pJ an operation.
    assert energy["size"] == pytest.approx(math.sqrt(0.015 / 2.0 * 0.801 * 989.4e12 / 700.0), rel=0.001)
    assert energy["fits"] is True


def test_the_stored_result_says_what_the_readme_says() -> None:
    document = json.loads((ROOT / "benchmarks" / "results" / "energy.json").read_text(encoding="utf-8"))
    first = document["training"]["devices"][0]
    published = document["training"]["published"]["parameters"]
    assert (first["device"], published) == ("lighton-aurora", 2.7e9)
    assert all(card["token"]["time"] > published for card in first["cards"])
    sides = {card["sequence"]["time"] > published for card in first["cards"]}
    assert sides == {True, False}
