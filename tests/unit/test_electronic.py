"""Electronic cards: every figure sourced, the roofline's closed forms, memory, efficiencies that users set."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.energy.electronic import (
    accelerator_names,
    figures,
    load_accelerator,
    load_measurements,
    memory_limit,
    product,
    row,
    with_efficiencies,
)
from opu_sim.config import shipped_folder
from opu_sim.errors import ConfigError


@pytest.mark.parametrize("name", accelerator_names())
def test_every_figure_of_a_card_has_a_source(name: str) -> None:
    card = load_accelerator(name)
    stated = list(figures(card))
    assert len(stated) >= 9
    for key, value, source in stated:
        assert value > 0
        assert len(source) > 10, key


def test_the_shipped_cards_are_those_of_five_generations() -> None:
    assert accelerator_names() == ["p100", "v100", "a100", "h100", "b200"]


@pytest.mark.parametrize("name", accelerator_names())
def test_dense_peaks_are_told_from_sparse_ones(name: str) -> None:
    """Half precision is twice TF32 where there is one, and no card is twice as good as its own bytes allow."""
    peaks = load_accelerator(name).peak_tflops
    if peaks.tf32 is not None:
        assert peaks.fp16 / peaks.tf32 == pytest.approx(2.0, rel=0.03)
    assert peaks.fp16 > peaks.fp32


def test_a_large_product_takes_its_operations_over_the_reached_peak() -> None:
    card = load_accelerator("h100")
    cost = product(card, 50_000, 40_000, 3000)
    expected = 2.0 * 50_000 * 40_000 * 3000 / (0.801 * 989.4e12) + 10e-6
    assert cost.bound == "compute"
    assert cost.seconds == pytest.approx(expected, rel=1e-12)
    assert cost.joules == pytest.approx(700.0 * expected, rel=1e-12)


def test_a_single_vector_takes_the_matrix_over_the_bandwidth() -> None:
    card = load_accelerator("a100")
    cost = product(card, 50_000, 50_000, 1)
    assert cost.bound == "bandwidth"
    assert cost.seconds == pytest.approx((2 * 50_000**2 + 2 * 100_000) / 2039e9 + 10e-6, rel=1e-12)


def test_small_calls_take_their_launches() -> None:
    card = load_accelerator("b200")
    assert product(card, 10, 10, 1000).bound == "launch"
    apart, together = product(card, 10, 10, 1000, calls=1000), product(card, 10, 10, 1000)
    assert apart.seconds - together.seconds == pytest.approx(999 * 10e-6, rel=1e-3)


def test_a_matrix_that_does_not_fit_has_no_time() -> None:
    card = load_accelerator("v100")
    size = memory_limit(card, 3000)
    assert 2 * (size**2 + 2 * 3000 * size) <= 16e9 < 2 * ((size + 1) ** 2 + 2 * 3000 * (size + 1))
    assert product(card, size, size, 3000).fits
    assert memory_limit(card, 10**10) == 0
    assert memory_limit(card, 10**8) == 39  # 8e9 elements, two vectors of 39 for each of 1e8
    beyond = product(card, size + 1, size + 1, 3000)
    assert not beyond.fits
    line = row(card, beyond, size + 1, size + 1, 3000)
    assert (line["seconds"], line["joules"], line["bound"]) == (None, None, "memory")
    assert line["reason"].endswith("the card has 16 GB")


def test_the_memory_of_the_measured_card_ends_where_the_measurements_do() -> None:
    """Published: 56,000 fits, 58,000 does not; the script holds a second batch of inputs, and the squares."""
    (table,) = load_measurements()
    assert table.sizes[-1] == 56_000
    assert 56_000 <= memory_limit(load_accelerator("p100"), 2 * table.vectors, "single") < 58_000


def test_the_roofline_gives_the_measured_times() -> None:
    """One float32 product: within 3 % from D = 10,000 on; two, as of a complex matrix, would beat the card's peak."""
    (table,) = load_measurements()
    card = load_accelerator(table.accelerator)
    for size, seconds in zip(table.sizes, table.seconds, strict=True):
        if size >= 10_000:
            modelled = product(card, size, size, table.vectors, precision="single")
            assert modelled.seconds == pytest.approx(seconds, rel=0.03)
            assert modelled.format == "fp32"
            assert 2 * 2.0 * size**2 * table.vectors / seconds > 1e12 * card.peak_tflops.fp32


def test_the_stated_efficiency_and_load_are_those_of_the_measurement() -> None:
    (table,) = load_measurements()
    card = load_accelerator(table.accelerator)
    at = table.sizes.index(40_000)
    reached = 2.0 * 3000 * 40_000**2 / table.seconds[at]
    assert card.efficiency.product == pytest.approx(reached / (1e12 * card.peak_tflops.fp32), abs=0.0005)
    assert card.load == pytest.approx(table.joules[at] / table.seconds[at] / card.watts, abs=0.005)


def test_efficiencies_are_set_for_all_cards_or_for_one() -> None:
    cards = [load_accelerator(name) for name in ("a100", "h100")]
    a100, h100 = with_efficiencies(cards, ["0.5", "h100=0.25", "a100.training=1"], "--efficiency")
    assert (a100.efficiency.product, h100.efficiency.product) == (0.5, 0.25)
    assert (a100.efficiency.training, h100.efficiency.training) == (1.0, 0.44)
    slow, fast = (product(card, 30_000, 30_000, 3000).seconds for card in (h100, cards[1]))
    assert (slow - 1e-5) / (fast - 1e-5) == pytest.approx(0.801 / 0.25)
    sources = {key: source for key, _, source in figures(h100)}
    assert sources["efficiency.product"] == "given: --efficiency"
    assert sources["efficiency.training"] == "assumed: as a100"


@pytest.mark.parametrize("text", ["0", "1.0001", "-0.5", "nan", "inf", "much", "", "h100=", "a100=2"])
def test_an_efficiency_out_of_range_is_refused(text: str) -> None:
    cards = [load_accelerator(name) for name in ("a100", "h100")]
    with pytest.raises(ConfigError, match=r"must be a number in \(0, 1\]"):
        with_efficiencies(cards, [text], "--efficiency")


@pytest.mark.parametrize(
    ("text", "complaint"), [("tpu=0.5", "no card 'tpu'"), ("a100.memory=0.5", "must be CARD, CARD.product or")]
)
def test_an_efficiency_of_nothing_known_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        with_efficiencies([load_accelerator("a100")], [text], "--efficiency")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("watts = 0.0", "watts = 0.0: must be a number > 0"),
        ("load = 1.5", "load = 1.5: must be a number > 0 and <= 1"),
        ("wats = 5.0", "wats: unknown key; did you mean 'watts'"),
    ],
)
def test_a_bad_card_of_ones_own_is_one_line(tmp_path: Path, line: str, complaint: str) -> None:
    key = line.partition(" ")[0]
    lines = (shipped_folder("accelerators") / "a100.toml").read_text().splitlines()
    first = [line if old.startswith(f"{key} = ") else old for old in lines[: lines.index("[peak_tflops]")]]
    own = tmp_path / "own.toml"
    own.write_text("\n".join([*([] if line in first else [line]), *first, *lines[lines.index("[peak_tflops]") :]]))
    with pytest.raises(ConfigError) as refused:
        load_accelerator(str(own))
    assert str(refused.value).startswith(f"{own}: {complaint}")
    assert "\n" not in str(refused.value)
