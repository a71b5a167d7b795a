"""The training-time model: its closed forms, what is off-loaded when, and what each assumption does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise

import pytest

from benchmarks.energy.assumptions import Assumptions, assumptions
from benchmarks.energy.electronic import AcceleratorCard, load_accelerator
from benchmarks.energy.training import optical_cost
from benchmarks.energy.training_time import (
    Optics,
    Shape,
    crossings,
    family,
    needed_s_per_vector,
    off_loading_from,
    step,
    variations,
)
from opu_sim.cards import load_card
from opu_sim.errors import ConfigError

GIVEN = Assumptions()
FAMILY = family(GIVEN)


def constant(seconds_a_vector: float, watts: float = 30.0) -> Callable[[int, int, int], Optics]:
    return lambda n_in, n_out, vectors: Optics(seconds_a_vector * vectors, watts)


def roomy(name: str = "a100") -> AcceleratorCard:
    """A card whose memory no model fills."""
    return load_accelerator(name).model_copy(update={"memory_gb": 1e12})


def shape_of(parameters: float) -> Shape:
    shape = FAMILY(parameters)
    assert shape is not None
    return shape


def rate(card: AcceleratorCard) -> float:
    return card.efficiency.training * 1e12 * card.peak_tflops.fp16


def test_parameters_of_a_known_transformer() -> None:
    assert Shape(32, 2560, 50257).parameters == pytest.approx(2.65e9, rel=0.01)


@pytest.mark.parametrize("parameters", [2e6, 1e8, 2.7e9, 1e13])
def test_a_family_has_a_member_of_each_size(parameters: float) -> None:
    for held in ({}, {"depth": 32.0}):
        shape = family(GIVEN, **held)(parameters)
        assert shape is not None
        assert shape.parameters == pytest.approx(parameters, rel=1e-9)
    assert shape_of(parameters).width / shape_of(parameters).depth == pytest.approx(80.0)
    deep = family(GIVEN, width=2560.0)(parameters)
    assert (deep is None) == (parameters < 50257 * 2560)
    assert deep is None or deep.parameters == pytest.approx(parameters)


def test_backpropagation_is_three_forward_passes() -> None:
    shape, card = shape_of(1e9), roomy()
    found = step("bp", shape, card, constant(1.0), GIVEN)
    forward = (2 * shape.parameters + 4 * shape.depth * 2048 * shape.width) * 2048 / rate(card)
    assert found.compute_s == pytest.approx(3 * forward)
    assert found.update_s == pytest.approx(28 * shape.parameters / 2039e9)
    assert found.seconds == pytest.approx(found.compute_s + found.update_s)
    assert found.joules == pytest.approx(400 * found.seconds)
    assert (found.off_loaded, found.link_s, found.optical_s) == ("nothing", 0.0, 0.0)


def test_feedback_alignment_saves_gradients_of_inputs_and_pays_for_light() -> None:
    shape, card = shape_of(1e9), roomy()
    bp = step("bp", shape, card, constant(1e-4), GIVEN)
    odfa = step("odfa", shape, card, constant(1e-4), GIVEN)
    assert odfa.compute_s == pytest.approx(bp.compute_s * 2.75 / 3)
    assert odfa.optical_s == pytest.approx(2048e-4)
    assert odfa.seconds == pytest.approx(odfa.compute_s + odfa.update_s + odfa.optical_s)
    # The card idles at a fifth of its power while the device works; the device is on all the time.
    busy = odfa.seconds - odfa.optical_s
    assert odfa.joules == pytest.approx(400 * (busy + 0.2 * odfa.optical_s) + 30 * odfa.seconds)


@pytest.mark.parametrize("tokens", [128, 2048, 65536])
@pytest.mark.parametrize("share", [0.0, 0.75])
def test_without_off_loading_the_crossing_is_the_closed_form_whatever_the_tokens(tokens: int, share: float) -> None:
    """(1 - k) (2 N + 4 L s d) = R t an error vector."""
    given, card = replace(GIVEN, tokens=tokens, local_share=share), roomy()
    found = crossings(FAMILY, card, constant(1e-3), given)["time"]
    assert found is not None
    shape = shape_of(found)
    operations = 2 * shape.parameters + 4 * shape.depth * 2048 * shape.width
    assert (1 - share) * operations == pytest.approx(rate(card) * 1e-3, rel=1e-6)


def test_with_all_gradients_inside_blocks_there_is_nothing_to_gain() -> None:
    assert crossings(FAMILY, roomy(), constant(1e-6), replace(GIVEN, local_share=1.0)) == {"time": None, "energy": None}


def test_off_loading_begins_where_the_bytes_no_longer_fit() -> None:
    card = load_accelerator("a100")
    for what, bytes_a_parameter in (("optimiser", 16), ("weights", 2)):
        at = off_loading_from(FAMILY, card, GIVEN, what)
        assert at is not None
        shape = shape_of(at)
        held = bytes_a_parameter * shape.parameters + 34 * 2048 * shape.width * shape.depth
        assert held == pytest.approx(80e9, rel=1e-6)
    assert off_loading_from(FAMILY, roomy(), GIVEN, "optimiser") is None


def test_an_off_loaded_optimiser_costs_both_methods_the_same() -> None:
    shape, card = shape_of(1e10), load_accelerator("a100")
    given = replace(GIVEN, tokens=4096)  # enough to compute for gradients to go down meanwhile
    bp, odfa = (step(method, shape, card, constant(0.0), given) for method in ("bp", "odfa"))
    assert bp.off_loaded == odfa.off_loaded == "optimiser"
    assert bp.link_s == odfa.link_s == pytest.approx(4e10 / 31.5e9)
    assert bp.update_s == pytest.approx(28e10 / 204.8e9)
    assert bp.seconds - odfa.seconds == pytest.approx(bp.compute_s / 12)  # 0.25 of 3 forward passes
    few = [step(method, shape, card, constant(0.0), GIVEN).seconds for method in ("bp", "odfa")]
    assert 0 < few[0] - few[1] < bp.compute_s / 24  # with less to compute, what is saved is spent waiting for the link


def test_streamed_weights_are_read_twice_backwards_and_once_with_feedback_alignment() -> None:
    shape, card = shape_of(1e11), load_accelerator("a100")
    given = replace(GIVEN, tokens=16)  # little to compute: the link takes the time
    bp = step("bp", shape, card, constant(0.0), given)
    fused = step("odfa", shape, card, constant(0.0), given)
    twice = step("odfa", shape, card, constant(0.0), replace(given, fused=False))
    weights_s = 2e11 / 31.5e9
    assert bp.off_loaded == "weights"
    assert bp.seconds - bp.update_s == pytest.approx(2 * weights_s)
    assert fused.seconds - fused.update_s == pytest.approx(weights_s)
    assert twice.seconds == pytest.approx(bp.seconds)
    apart = step("bp", shape, card, constant(0.0), replace(given, overlap=False))
    assert apart.seconds == pytest.approx(bp.seconds + bp.compute_s)


def test_activations_that_do_not_fit_go_down_and_up_again() -> None:
    shape, card = shape_of(1e9), load_accelerator("p100")
    given = replace(GIVEN, tokens=65536)
    activations = 34 * 65536 * shape.width * shape.depth
    assert activations > 16e9
    found = step("bp", shape, card, constant(0.0), given)
    assert found.off_loaded == "weights"
    assert found.link_s == pytest.approx(((activations - 16e9) * 2 + 2e9) / 15.75e9)


def test_another_cards_memory_is_nearer_than_the_hosts() -> None:
    shape = shape_of(1e11)
    given = replace(GIVEN, tokens=16)
    host, peer = (
        step("bp", shape, load_accelerator("h100"), constant(0.0), replace(given, link=link))
        for link in ("host", "peer")
    )
    assert host.link_s / peer.link_s == pytest.approx(450 / 63)
    with pytest.raises(ConfigError, match="v100 has no link to another card"):
        step("bp", shape, load_accelerator("v100"), constant(0.0), replace(given, link="peer"))


def test_the_needed_time_is_that_of_equal_steps() -> None:
    shape, card = shape_of(2.7e9), load_accelerator("p100")
    needed = needed_s_per_vector(shape, card, constant(1e-3), GIVEN)
    bp, odfa = (step(method, shape, card, constant(needed), GIVEN) for method in ("bp", "odfa"))
    assert odfa.seconds == pytest.approx(bp.seconds)
    assert needed_s_per_vector(shape, card, constant(5.0), GIVEN) == pytest.approx(needed)
    # A crossing at the published size needs just that device.
    assert crossings(FAMILY, card, constant(needed), GIVEN)["time"] == pytest.approx(2.7e9, rel=1e-6)


def test_the_devices_time_is_its_own_ledgers() -> None:
    aurora = optical_cost(load_card("lighton-aurora"))
    one = aurora(50257, 2560, 1)
    assert one.seconds == pytest.approx(4 * 0.5e-3 + 0.155)  # two patterns of two frames, one pass
    assert one.watts == pytest.approx(30.0, rel=1e-3)
    many = aurora(50257, 2560, 3000)
    assert many.seconds == pytest.approx(3000 * 4 * 0.5e-3 + 2 * 0.155)
    # More outputs than the sensor has are taken in turn.
    capacity = (2048 // 5) * (1088 // 5)
    assert aurora(50257, 2 * capacity, 10).seconds == pytest.approx(2 * aurora(50257, capacity, 10).seconds)


def test_a_matrix_of_its_own_for_each_block_asks_for_all_outputs() -> None:
    asked = []

    def optics(n_in: int, n_out: int, vectors: int) -> Optics:
        asked.append((n_in, n_out, vectors))
        return Optics(0.0, 0.0)

    shape = Shape(32, 2560, 50257)
    for given in (GIVEN, replace(GIVEN, feedback="own"), replace(GIVEN, errors_per_token=1 / 2048)):
        step("odfa", shape, load_accelerator("a100"), optics, given)
    assert asked == [(50257, 2560, 2048), (50257, 81920, 2048), (50257, 2560, 1)]


def test_each_assumption_has_a_source_and_can_be_set() -> None:
    assert all(len(entry["source"]) > 10 for entry in GIVEN.listed())
    assert {entry["key"] for entry in GIVEN.listed()} == {entry.name for entry in fields(Assumptions)}
    changed = assumptions(["tokens=64", "aspect=100", "feedback=own", "fused=false", "idle_share=1"])
    assert changed == replace(GIVEN, tokens=64, aspect=100.0, feedback="own", fused=False, idle_share=1.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("token=64", "--assume token: unknown key; must be one of tokens"),
        ("tokens=0", "--assume tokens = 0: must be > 0"),
        ("tokens=1.5", "--assume tokens = 1.5: must be an integer"),
        ("local_share=1.2", "--assume local_share = 1.2: must be in [0, 1]"),
        ("host_gb_per_s=inf", "--assume host_gb_per_s = inf: must be > 0, and finite"),
        ("host_gb_per_s=nan", "--assume host_gb_per_s = nan: must be > 0, and finite"),
        ("feedback=none", "--assume feedback = 'none': must be shared or own"),
        ("fused=1", "--assume fused = 1: must be true or false"),
        ("link=usb", "--assume link = 'usb': must be host or peer"),
        ("tokens", "--assume 'tokens': must be KEY=VALUE, for example tokens=512"),
    ],
)
def test_a_bad_assumption_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        assumptions([text])
    assert str(refused.value).startswith(complaint)


def test_variations_change_one_thing_each() -> None:
    for name, change in variations(GIVEN, has_peer=True):
        changed = replace(GIVEN, **change)
        differing = [f.name for f in fields(GIVEN) if getattr(changed, f.name) != getattr(GIVEN, f.name)]
        assert len(differing) == 1, name
    assert len(variations(GIVEN, has_peer=True)) == len(variations(GIVEN, has_peer=False)) + 1


def test_faster_devices_cross_earlier_and_none_at_all_is_said() -> None:
    card = load_accelerator("v100")
    found = [crossings(FAMILY, card, constant(seconds), GIVEN)["time"] for seconds in (1e-2, 1e-3, 1e-5)]
    assert all(slower is None or slower > faster for slower, faster in pairwise(found))
    assert crossings(FAMILY, card, constant(1e6), GIVEN)["time"] is None
    assert found[-1] is not None
