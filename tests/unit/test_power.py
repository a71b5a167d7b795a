"""Clock, watts and ledger: published figures, and that each follows from the parts of the card."""

import copy
import json
from typing import Any

import numpy as np
import pytest

from opu_sim import Opu, load_device
from opu_sim.cards import OpuCard, load_card
from opu_sim.errors import ConfigError, DeviceError
from opu_sim.power import FrameClock, Ledger, PowerBudget, summary, teraops_peak

AURORA = "lighton-aurora"
ROWS = 178  # default region of interest
MIRRORS, PIXELS = 912 * 1140, 1088 * 2048


def card(name: str = AURORA, **overrides: Any) -> OpuCard:
    loaded = load_card(name, {key.replace("__", "."): value for key, value in overrides.items()})
    assert isinstance(loaded, OpuCard)
    return loaded


def clock(rows: int = ROWS, **overrides: Any) -> FrameClock:
    return FrameClock(card(**overrides), rows)


def watts(**overrides: Any) -> float:
    changed = card(**overrides)
    return PowerBudget(changed, FrameClock(changed, ROWS)).watts


def device(name: str = AURORA, n_in: int = 5, n_out: int = 7, **overrides: Any) -> Opu:
    made = load_device(name, n_in=n_in, n_out=n_out, seed=1, **overrides)
    assert isinstance(made, Opu)
    made.open()
    return made


# Published figures


def test_published_figures_of_the_appliance_are_derived_from_its_card() -> None:
    shipped = card()
    default, full = FrameClock(shipped, ROWS), FrameClock(shipped, 1088)
    power = PowerBudget(shipped, default).watts
    peak = teraops_peak(shipped)
    assert default.rate_hz == pytest.approx(2000.0, rel=1e-12)
    assert full.rate_hz == pytest.approx(340.0, abs=0.5)
    assert power == pytest.approx(30.0, abs=0.005)
    assert peak == pytest.approx(1575.0, abs=0.5)
    assert peak / power == pytest.approx(52.5, abs=0.05)
    assert peak == pytest.approx(2 * MIRRORS * PIXELS * full.rate_hz * 1e-12, rel=1e-12)


@pytest.mark.parametrize("name", [AURORA, "light-in-the-loop"])
def test_the_default_region_of_interest_is_the_largest_that_keeps_two_kilohertz(name: str) -> None:
    assert load_device(name, n_in=2, n_out=2).clock.rows == ROWS
    shipped = card(name)
    assert FrameClock(shipped, ROWS).rate_hz == pytest.approx(2000.0, rel=1e-12)
    assert FrameClock(shipped, ROWS + 2).rate_hz < 1999.0


@pytest.mark.parametrize(
    ("key", "value", "factor"),
    [
        ("dmd__rows", 570, 0.5),
        ("dmd__columns", 456, 0.5),
        # twice the columns are read in the same time: lines are read in parallel
        ("camera__columns", 4096, 2.0),
        ("camera__line_time_us", 2 * 2.6875, (17.2 + 2924.0) / (17.2 + 5848.0)),
        ("camera__frame_overhead_us", 1017.2, (17.2 + 2924.0) / (1017.2 + 2924.0)),
        ("timing__frame_time_us", 10_000.0, 2941.2 / 10_000.0),
        # none of these is the slowest stage at full frame
        ("timing__exposure_us", 800.0, 1.0),
        ("timing__link_bytes_per_s", 4e9, 1.0),
        ("laser__power_mw", 200.0, 1.0),
    ],
)
def test_the_peak_follows_the_card(key: str, value: float, factor: float) -> None:
    assert teraops_peak(card(**{key: value})) == pytest.approx(factor * teraops_peak(card()), rel=1e-9)


@pytest.mark.parametrize(
    ("key", "value", "change"),
    [
        ("laser__power_mw", 200.0, 5.0),
        ("laser__power_mw", 50.0, -2.5),
        ("laser__wall_plug_efficiency", 0.04, -2.5),
        ("dmd__watts", 12.0, 2.0),
        ("camera__watts", 1.0, -2.0),
        ("power__electronics_w", 7.5, 1.5),
        ("power__cooling_w", 0.0, -3.0),
        ("dmd__rows", 100, 0.0),
    ],
)
def test_the_watts_follow_the_card(key: str, value: float, change: float) -> None:
    # Each watt of a part costs 1 / 0.9 W at the plug.
    assert watts(**{key: value}) - watts() == pytest.approx(change / 0.9, abs=1e-9)


def test_a_worse_supply_loses_more() -> None:
    assert watts(power__supply_efficiency=1.0) == pytest.approx(27.0, abs=1e-9)
    assert watts(power__supply_efficiency=0.45) == pytest.approx(60.0, abs=1e-9)


# Period of a frame: the slowest stage


def test_at_the_default_the_trigger_sets_the_period() -> None:
    assert clock().period_s == pytest.approx(500e-6, rel=1e-12)
    assert clock(timing__frame_time_us=700.0).period_s == pytest.approx(700e-6, rel=1e-12)
    # Without a trigger the parts set it: read-out, 17.2 + 178 x 2.6875 us, is next.
    assert clock(timing__frame_time_us=0.0).period_s == pytest.approx(495.575e-6, rel=1e-12)


@pytest.mark.parametrize(
    ("slow", "period_us", "quick"),
    [
        ({"timing__exposure_us": 600.0}, 650.0, {"timing__exposure_us": 450.0}),
        ({"timing__dead_time_us": 300.0}, 700.0, {"timing__dead_time_us": 100.0}),
        ({"camera__line_time_us": 5.0}, 17.2 + 178 * 5.0, {"camera__line_time_us": 2.7}),
        ({"camera__frame_overhead_us": 100.0}, 100.0 + 178 * 2.6875, {"camera__frame_overhead_us": 21.0}),
        ({"dmd__pattern_rate_hz": 1000.0}, 1000.0, {"dmd__pattern_rate_hz": 2001.0}),
        ({"dmd__load_time_us": 800.0}, 800.0, {"dmd__load_time_us": 499.0}),
        ({"timing__link_bytes_per_s": 1e8}, 178 * 2048 / 100.0, {"timing__link_bytes_per_s": 0.75e9}),
    ],
    ids=[
        "exposure",
        "dead time",
        "read-out lines",
        "read-out overhead",
        "pattern rate",
        "pattern load",
        "link",
    ],
)
def test_each_stage_can_be_the_bottleneck(slow: dict[str, float], period_us: float, quick: dict[str, float]) -> None:
    assert clock(**slow).period_s == pytest.approx(period_us * 1e-6, rel=1e-9)
    assert clock(**slow).rate_hz == pytest.approx(1e6 / period_us, rel=1e-9)
    # A value that just stays below the trigger's 500 us changes nothing.
    assert clock(**quick).period_s == pytest.approx(500e-6, rel=1e-12)


def test_the_link_carries_whole_bytes_a_pixel_and_patterns_the_other_way() -> None:
    slow = {"timing__link_bytes_per_s": 1e8}
    assert clock(**slow, camera__adc_bits=1).link_s == pytest.approx(178 * 2048e-8)
    assert clock(**slow, camera__adc_bits=9).link_s == pytest.approx(2 * 178 * 2048e-8)
    # With a single row read the patterns are larger than the frames: one bit a mirror.
    assert clock(1, **slow).link_s == pytest.approx(MIRRORS / 8 * 1e-8)
    assert clock(1, **slow).period_s == pytest.approx(MIRRORS / 8 * 1e-8)


def test_more_rows_than_the_sensor_are_refused() -> None:
    assert FrameClock(card(), 1088).pixels == PIXELS
    with pytest.raises(DeviceError) as caught:
        FrameClock(card(), 1089)
    assert str(caught.value) == "1089 sensor rows: the camera has 1088"


@pytest.mark.parametrize(
    ("name", "outputs_a_row", "rows_a_row", "within"),
    # anchor: one output every 5 pixels; off-axis: tiles of 256 outputs on 64 x 64 pixels
    [(AURORA, 2048 // 5, 5, 178 // 5), ("light-in-the-loop", 2048 // 64 * 256, 64, 178 // 64)],
)
def test_rows_read_grow_with_the_outputs(name: str, outputs_a_row: int, rows_a_row: int, within: int) -> None:
    def rows(n_out: int) -> int:
        return load_device(name, n_in=1, n_out=n_out).clock.rows

    assert rows(1) == rows(outputs_a_row * within) == ROWS
    more = within + 1
    assert rows(outputs_a_row * within + 1) == rows(outputs_a_row * more) == rows_a_row * more > ROWS
    assert rows(outputs_a_row * more + 1) == rows_a_row * (more + 1)


def test_reading_more_rows_takes_longer() -> None:
    few, many = (load_device(AURORA, n_in=1, n_out=n).clock for n in (1, 60_000))
    assert few.period_s == pytest.approx(500e-6)
    assert many.rows == 5 * -(-60_000 // 409)
    assert many.period_s == pytest.approx((17.2 + 2.6875 * many.rows) * 1e-6)


# Power budget


def test_stages_state_their_power_time_and_source() -> None:
    shipped = card()
    stages = {stage.name: stage for stage in PowerBudget(shipped, clock()).stages}
    assert list(stages) == ["laser", "dmd", "camera", "link", "cooling", "supply"]
    expected = {"laser": 5.0, "dmd": 10.0, "camera": 3.0, "link": 6.0, "cooling": 3.0, "supply": 3.0}
    assert {name: stage.watts for name, stage in stages.items()} == pytest.approx(expected)
    seconds = [400e-6, 245e-6, 495.575e-6, 178 * 2048 / 2e9, 500e-6, 500e-6]
    assert [stage.seconds for stage in stages.values()] == pytest.approx(seconds)
    assert shipped.sources["dmd"]["watts"] in stages["dmd"].source
    assert shipped.sources["laser"]["power_mw"] in stages["laser"].source
    assert all(stage.source and "not stated" not in stage.source for stage in stages.values())
    unstated = PowerBudget(shipped.model_copy(update={"sources": {}}), clock()).stages
    assert all("not stated" in stage.source for stage in unstated)


# Ledger

BINARY = np.array([[1, 0, 1, 1, 0]], dtype=np.float32)
TERNARY = np.array([[1, 0, -1, 1, 0]], dtype=np.float32)
GREY = np.array([[0.5, 0, -1, 2, 0]], dtype=np.float32)


@pytest.mark.parametrize(("name", "a_pattern", "calibration"), [(AURORA, 2, 2 * 64), ("light-in-the-loop", 1, 2 * 64)])
def test_frames_of_a_projection(name: str, a_pattern: int, calibration: int) -> None:
    opu = device(name)
    assert opu.ledger.frames == calibration
    batches = {
        "binary": (BINARY, 1),
        "ternary": (TERNARY, 2),
        "grey": (GREY, 12),
        "positive grey": (np.abs(GREY), 12),
        "batch": (np.repeat(BINARY, 9, axis=0), 9),
        "mixture": (np.concatenate([BINARY, GREY, TERNARY, BINARY]), 16),
        "nothing": (BINARY[:0], 0),
    }
    projections = 0
    for kind, (x, patterns) in batches.items():
        before = opu.ledger.frames
        opu.project(x)
        projections += len(x)
        assert opu.ledger.frames - before == a_pattern * patterns, kind
        assert opu.ledger.projections == projections
    before = opu.ledger.frames
    opu.intensity(np.ones((3, 5), dtype=bool))
    assert opu.ledger.frames - before == 3
    assert opu.ledger.projections == projections + 3


def test_frames_follow_the_number_of_bit_planes() -> None:
    for planes in (1, 4):
        opu = device(**{"dmd.bit_planes": planes, "recovery.calibration_frames": 3})
        assert opu.ledger.frames == 6
        opu.project(GREY)
        assert opu.ledger.frames == 6 + 2 * 2 * planes


@pytest.mark.parametrize("name", [AURORA, "light-in-the-loop"])
def test_seconds_joules_and_ops_add_up(name: str) -> None:
    opu = device(name, n_in=1000, n_out=40)
    rng = np.random.default_rng(0)
    opu.project(rng.integers(-1, 2, (7, 1000)).astype(np.float32))
    opu.project(rng.standard_normal((2, 1000)))
    opu.intensity(rng.integers(0, 2, (3, 1000)))
    ledger = opu.ledger
    assert ledger.passes == 4  # calibration and three calls
    assert ledger.device_s == pytest.approx(ledger.frames * 500e-6 + 4 * 0.155, rel=1e-12)
    assert opu.budget.watts == pytest.approx(30.0)
    assert ledger.joules == pytest.approx(30.0 * ledger.device_s, rel=1e-12)
    assert sum(ledger.stage_joules.values()) == pytest.approx(ledger.joules, rel=1e-12)
    assert ledger.stage_joules["dmd"] == pytest.approx(10.0 * ledger.device_s, rel=1e-12)
    assert ledger.ops == 2 * 1000 * 40 * 12
    # 1000 inputs have 1039 mirrors each; 680 mirrors are left over and do not count.
    assert ledger.ops_optical == pytest.approx(2 * 1_039_000 * 178 * 2048 * ledger.frames, rel=1e-12)
    expected = {
        "exposure": ledger.frames * 400e-6,
        "read_out": ledger.frames * 495.575e-6,
        "pattern_load": ledger.frames * 245e-6,
        "dead": ledger.frames * 100e-6,
        "link": ledger.frames * 178 * 2048 / 2e9,
        "latency": 4 * 0.155,
    }
    assert ledger.stage_s == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "vectors", "passes"),
    [
        # one, two and twelve patterns a vector, 30 a pass
        (BINARY, 30, 1),
        (BINARY, 31, 2),
        (TERNARY, 15, 1),
        (TERNARY, 16, 2),
        (GREY, 5, 2),
        (GREY, 2, 1),
        (BINARY, 61, 3),
        (BINARY, 1, 1),
        (BINARY, 0, 0),
    ],
)
@pytest.mark.parametrize("name", [AURORA, "light-in-the-loop"])
def test_latency_is_paid_once_a_pass_of_patterns(name: str, x: np.ndarray, vectors: int, passes: int) -> None:
    opu = device(name, n_out=2, **{"timing.pass_patterns": 30})
    opu.ledger.passes = 0
    before, frames = opu.ledger.device_s, opu.ledger.frames
    opu.project(np.repeat(x, vectors, axis=0))
    assert opu.ledger.passes == passes
    shown = opu.ledger.frames - frames
    assert opu.ledger.device_s - before == pytest.approx(shown * 500e-6 + passes * 0.155, rel=1e-9)


def test_a_pass_of_the_shipped_card_has_3000_patterns() -> None:
    opu = device(n_out=2)
    assert opu.ledger.passes == 1  # calibration
    for patterns, passes in ((3000, 1), (3001, 2)):
        before = opu.ledger.passes
        opu.project(np.repeat(BINARY, patterns, axis=0))
        assert opu.ledger.passes - before == passes


def test_a_published_pass_takes_its_published_time() -> None:
    # lightonml example: 3000 vectors in 1.655 s.
    opu = device()
    before = opu.ledger.device_s
    opu.intensity(np.ones((3000, 5), dtype=np.uint8))
    assert opu.ledger.device_s - before == pytest.approx(1.655, rel=1e-9)


def test_the_ledger_goes_through_json_and_back() -> None:
    opu = device()
    opu.project(GREY)
    state = opu.ledger.state()
    copied = json.loads(json.dumps(state))
    assert copied == state
    other = Ledger()
    assert other != opu.ledger
    other.restore(copied)
    assert other == opu.ledger
    # Nothing is shared with the running ledger.
    opu.project(GREY)
    assert state == copied
    assert opu.ledger != other


def test_the_summary_divides_by_device_seconds() -> None:
    ledger = Ledger(
        projections=3,
        frames=8,
        repeated_frames=1,
        saturated_pixels=2,
        dark_pixels=5,
        device_s=4.0,
        joules=100.0,
        ops=2e12,
        ops_optical=6e13,
        stage_s={"exposure": 1.0},
        stage_joules={"laser": 100.0},
    )
    assert summary("box", ledger, 50.0) == {
        "name": "box",
        "projections": 3,
        "frames": 8,
        "repeated_frames": 1,
        "saturated_pixels": 2,
        "dark_pixels": 5,
        "device_s": 4.0,
        "joules": 100.0,
        "watts": 25.0,
        "teraops_peak": 50.0,
        "teraops_optical": pytest.approx(15.0),
        "teraops_delivered": pytest.approx(0.5),
        "utilisation": pytest.approx(0.01),
        "joules_per_op": pytest.approx(5e-11),
        "stage_s": {"exposure": 1.0},
        "stage_joules": {"laser": 100.0},
    }


def test_the_summary_of_an_unused_device_is_zero_and_not_a_division_error() -> None:
    table = summary("box", Ledger(), 0.0)
    assert all(value == 0 for key, value in table.items() if key not in ("name", "stage_s", "stage_joules"))


def test_delivered_optical_and_peak_of_a_running_device() -> None:
    opu = device(n_in=1000, n_out=2048)
    opu.project(np.ones((4000, 1000), dtype=np.float32)[:500])
    report = opu.report()
    seconds = (128 + 1000) * 500e-6 + 2 * 0.155
    assert report["device_s"] == pytest.approx(seconds)
    assert report["watts"] == pytest.approx(30.0)
    assert report["teraops_peak"] == pytest.approx(1575.0, abs=0.5)
    assert report["teraops_delivered"] == pytest.approx(2 * 1000 * 2048 * 500 / seconds * 1e-12)
    assert report["teraops_optical"] == pytest.approx(2 * 1_039_000 * 178 * 2048 * 1128 / seconds * 1e-12)
    assert report["utilisation"] == pytest.approx(report["teraops_delivered"] / report["teraops_peak"])
    assert report["teraops_delivered"] < report["teraops_optical"] < report["teraops_peak"]


@pytest.mark.parametrize(
    "name",
    [
        AURORA,
        "light-in-the-loop",
    ],
)
def test_intensity_pays_latency_once_a_pass_of_patterns(name: str) -> None:
    opu = device(name, n_out=2, **{"timing.pass_patterns": 30})
    for patterns, passes in ((30, 1), (31, 2), (60, 2)):
        before = opu.ledger.passes
        opu.intensity(np.ones((patterns, 5), dtype=np.uint8))
        assert opu.ledger.passes - before == passes, patterns


def test_restore_does_not_tie_the_ledger_to_the_state() -> None:
    opu = device()
    state = opu.ledger.state()
    kept = copy.deepcopy(state)
    opu.ledger.restore(state)
    opu.project(BINARY)
    assert state == kept


def test_restore_of_an_incomplete_state_names_what_is_missing_and_changes_nothing() -> None:
    ledger = Ledger(frames=3, stage_s={"exposure": 1.0})
    before = ledger.state()
    state = {key: value for key, value in Ledger().state().items() if key not in ("joules", "stage_s")}
    with pytest.raises(ConfigError, match=r"^ledger: joules, stage_s missing; "):
        ledger.restore(state)
    assert ledger.state() == before


def test_a_part_may_state_one_source_or_none() -> None:
    shipped = card(sources__dmd="a catalogue", sources__laser="a catalogue")
    stages = {stage.name: stage.source for stage in PowerBudget(shipped, clock()).stages}
    assert stages["dmd"] == "not stated"
    assert stages["laser"].endswith("; not stated")
    assert stages["camera"] == shipped.sources["camera"]["watts"]
