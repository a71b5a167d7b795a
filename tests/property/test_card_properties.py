"""Cards over their whole range: overrides, refusals, and the clock and power that follow from any card."""

import math
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opu_sim.cards import CameraCard, OpuCard, figures, load_camera_card, load_card
from opu_sim.config import merged, nested
from opu_sim.errors import ConfigError
from opu_sim.power import FrameClock, Ledger, PowerBudget, summary

NAMES = ["lighton-aurora", "light-in-the-loop"]


@cache
def shipped(name: str = "lighton-aurora") -> OpuCard:
    card = load_card(name)
    assert isinstance(card, OpuCard)
    return card


def changed(**tables: dict[str, Any]) -> OpuCard:
    """Card with figures changed, validated again."""
    return OpuCard.model_validate(merged(shipped().model_dump(), tables))


keys = st.sampled_from([(name, key) for name in NAMES for key, _, _ in figures(shipped(name))])
no_numbers = st.one_of(st.booleans(), st.text(max_size=8), st.lists(st.integers(), max_size=2))
positive = st.floats(1e-3, 1e6)


@settings(deadline=None, max_examples=60)
@given(keys, st.one_of(no_numbers, st.sampled_from([math.nan, math.inf, -math.inf])))
def test_no_figure_takes_what_is_not_a_finite_number(where: tuple[str, str], value: Any) -> None:
    name, key = where
    with pytest.raises(ConfigError) as caught:
        load_card(name, {key: value})
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert f"{name}.toml: {key} = {value!r}: " in text
    assert not text.endswith(": ")


@settings(deadline=None, max_examples=60)
@given(keys, st.floats(max_value=-1e-300, min_value=-1e300))
def test_no_figure_but_decibels_and_temperatures_is_negative(where: tuple[str, str], value: float) -> None:
    name, key = where
    if key in ("laser.rin_db_per_hz", "camera.dark_reference_c"):
        value -= 274.0
    with pytest.raises(ConfigError) as caught:
        load_card(name, {key: value})
    assert f"{name}.toml: {key} = {value!r}: " in str(caught.value)


@settings(deadline=None, max_examples=40)
@given(keys, st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12))
def test_a_key_with_a_typing_error_is_refused_and_never_ignored(where: tuple[str, str], typed: str) -> None:
    name, key = where
    table, _ = key.split(".")
    known = set(type(getattr(shipped(name), table)).model_fields)
    value = {"model": "cmv2000", "kind": "stored", "method": "anchor"}.get(typed, 1)
    if typed in known:
        return
    with pytest.raises(ConfigError) as caught:
        load_card(name, {f"{table}.{typed}": value})
    text = str(caught.value)
    assert f"{name}.toml: {table}.{typed}: unknown key; " in text
    # What is suggested or listed exists.
    offered = text.split("unknown key; ")[1]
    named = (
        [offered.removeprefix("did you mean '").removesuffix("'?")]
        if offered.startswith("did you mean")
        else offered.removeprefix("allowed: ").split(", ")
    )
    assert set(named) <= known


@settings(deadline=None, max_examples=40)
@given(keys)
def test_stating_a_figure_again_changes_nothing(where: tuple[str, str]) -> None:
    name, key = where
    value = {k: v for k, v, _ in figures(shipped(name))}[key]
    assert load_card(name, {key: value}) == shipped(name)


@settings(deadline=None)
@given(
    st.dictionaries(st.lists(st.sampled_from("abc"), min_size=3, max_size=3).map(".".join), st.integers(), max_size=8)
)
def test_nested_keeps_every_dotted_key(dotted: dict[str, int]) -> None:
    table = nested(dotted)
    leaves = {f"{a}.{b}.{c}": v for a, x in table.items() for b, y in x.items() for c, v in y.items()}
    assert leaves == dotted


tables = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(), inner), max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(tables, tables)
def test_merged_takes_each_key_from_the_upper_table_if_it_has_it(base: Any, over: Any) -> None:
    kept = repr((base, over))
    out = merged(base, over)
    assert set(out) == set(base) | set(over)
    for key in out:
        if isinstance(base.get(key), dict) and isinstance(over.get(key), dict):
            assert out[key] == merged(base[key], over[key])
        else:
            assert out[key] == over.get(key, base.get(key))
    assert merged(out, over) == out
    assert repr((base, over)) == kept


@settings(deadline=None)
@given(st.integers(1, 16), st.floats(0, 0.9), st.floats(1, 1e6))
def test_a_full_well_reaches_the_largest_code(bits: int, offset_share: float, full_well: float) -> None:
    offset = offset_share * (2**bits - 1)
    table = load_camera_card("cmv2000").model_dump()
    camera = CameraCard(**{**table, "adc_bits": bits, "offset_dn": offset, "full_well_e": full_well})
    assert camera.gain > 0
    assert camera.gain * full_well + offset == pytest.approx(2**bits - 1, rel=1e-9)


times = st.fixed_dictionaries(
    {
        "timing": st.fixed_dictionaries(
            {
                "frame_time_us": st.floats(0, 5e3),
                "exposure_us": st.floats(1, 5e3),
                "dead_time_us": st.floats(0, 5e3),
                "link_bytes_per_s": st.floats(1e7, 1e10),
            }
        ),
        "camera": st.fixed_dictionaries(
            {
                "line_time_us": st.floats(0, 50),
                "frame_overhead_us": st.floats(0, 5e3),
                "adc_bits": st.integers(1, 16),
            }
        ),
        "dmd": st.fixed_dictionaries({"pattern_rate_hz": st.floats(100, 1e5), "load_time_us": st.floats(0, 5e3)}),
    }
)


@settings(deadline=None)
@given(times, st.integers(1, 1088))
def test_the_period_is_that_of_the_slowest_stage(parts: dict[str, dict[str, Any]], rows: int) -> None:
    clock = FrameClock(changed(**parts), rows)
    timing, camera, dmd = parts["timing"], parts["camera"], parts["dmd"]
    frame_bytes = rows * 2048 * (1 if camera["adc_bits"] <= 8 else 2)
    stages = [
        timing["frame_time_us"] * 1e-6,
        (timing["exposure_us"] + timing["dead_time_us"]) * 1e-6,
        (camera["frame_overhead_us"] + rows * camera["line_time_us"]) * 1e-6,
        1 / dmd["pattern_rate_hz"],
        dmd["load_time_us"] * 1e-6,
        frame_bytes / timing["link_bytes_per_s"],
        129_960 / timing["link_bytes_per_s"],
    ]
    assert clock.period_s == pytest.approx(max(stages), rel=1e-12)
    assert clock.rate_hz * clock.period_s == pytest.approx(1.0)


@settings(deadline=None)
@given(times, st.integers(1, 1087))
def test_reading_one_row_more_is_never_faster(parts: dict[str, dict[str, Any]], rows: int) -> None:
    card = changed(**parts)
    assert FrameClock(card, rows + 1).period_s >= FrameClock(card, rows).period_s


powers = st.fixed_dictionaries(
    {
        "laser": st.fixed_dictionaries({"power_mw": positive, "wall_plug_efficiency": st.floats(1e-3, 1)}),
        "dmd": st.fixed_dictionaries({"watts": st.floats(0, 1e3)}),
        "camera": st.fixed_dictionaries({"watts": st.floats(0, 1e3)}),
        "power": st.fixed_dictionaries(
            {
                "electronics_w": st.floats(0, 1e3),
                "cooling_w": st.floats(0, 1e3),
                "supply_efficiency": st.floats(0.1, 1),
            }
        ),
    }
)


@settings(deadline=None)
@given(powers, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 9)), max_size=5))
def test_joules_are_watts_times_seconds_and_the_sum_of_their_stages(
    parts: dict[str, dict[str, float]], charges: list[tuple[int, int]]
) -> None:
    card = changed(**parts)
    clock = FrameClock(card, 178)
    budget = PowerBudget(card, clock)
    load = (
        parts["laser"]["power_mw"] * 1e-3 / parts["laser"]["wall_plug_efficiency"]
        + parts["dmd"]["watts"]
        + parts["camera"]["watts"]
        + parts["power"]["electronics_w"]
        + parts["power"]["cooling_w"]
    )
    assert budget.watts == pytest.approx(load / parts["power"]["supply_efficiency"], rel=1e-9)
    assert all(stage.watts >= 0 for stage in budget.stages)

    ledger = Ledger()
    for frames, passes in charges:
        ledger.add_frames(frames, passes, 2.0 * frames, clock, budget, 0.155)
    frames, passes = (sum(charge[i] for charge in charges) for i in (0, 1))
    seconds = frames * clock.period_s + passes * 0.155
    assert (ledger.frames, ledger.passes, ledger.ops_optical) == (frames, passes, 2.0 * frames)
    assert ledger.device_s == pytest.approx(seconds, rel=1e-9)
    assert ledger.joules == pytest.approx(budget.watts * seconds, rel=1e-9)
    assert sum(ledger.stage_joules.values()) == pytest.approx(ledger.joules, rel=1e-9)
    if seconds > 0:
        assert summary("x", ledger, 1.0)["watts"] == pytest.approx(budget.watts, rel=1e-9)
