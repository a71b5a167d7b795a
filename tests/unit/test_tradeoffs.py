"""Trade-offs: how quality and directions are measured, and the figures of a point against closed forms."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest

from benchmarks.tradeoffs.definition import QUANTITIES, SWEEPS, check, direction, expected
from benchmarks.tradeoffs.figure import plot
from benchmarks.tradeoffs.measure import measure
from benchmarks.tradeoffs.quality import effective_bits, inputs_on, projection_quality
from benchmarks.tradeoffs.tables import table, verdict
from opu_sim import ConfigError, load_device
from opu_sim.cards import load_card
from opu_sim.device import Ideal

N_IN, N_OUT = 12, 400


class Noisy(Ideal):
    """The digital reference with a gain and Gaussian noise: its signal-to-noise ratio is known."""

    def __init__(self, snr: float, gain: float = 1.0) -> None:
        super().__init__(load_card("ideal"), N_IN, N_OUT)
        self.snr_set, self.gain, self.rng = snr, gain, np.random.default_rng(7)

    def project(self, x):
        y = super().project(x)
        # Entries of the matrix have variance 1 / n_in, so that an output has the power of an input.
        noise = (np.mean(x**2) / self.snr_set) ** 0.5 * self.rng.standard_normal(y.shape)
        return (self.gain * (y + noise)).astype(np.float32)


@pytest.mark.parametrize("snr", [0.05, 3.0, 400.0])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_quality_finds_the_ratio_that_was_set_whatever_the_gain(snr: float, gain: float) -> None:
    with Noisy(snr, gain) as device:
        quality = projection_quality(device, seed=3)
    # The signal's power is that of this draw of a 400 x 12 matrix: sqrt(2 / 4800) = 2 %, four of them. The noise adds
    # sqrt(2 / 204800) = 0.3 %, and 1 / (snr sqrt 204800) = 4.4 % of the ratio where that is 0.05.
    tolerance = 4.0 * math.hypot(0.02, 0.003, 2.0 / (snr * math.sqrt(512 * N_OUT)))
    assert quality.snr == pytest.approx(snr, rel=tolerance)
    assert quality.snr_noise == pytest.approx(snr, rel=tolerance)
    assert effective_bits(quality.snr) == pytest.approx(0.5 * math.log2(snr), abs=tolerance)


def test_distortion_counts_against_bits_but_is_no_noise() -> None:
    class Limiter(Noisy):
        def project(self, x):
            return np.sign(super().project(x))

    with Limiter(1e6) as device:
        quality = projection_quality(device)
    # A hard limiter of a Gaussian keeps 2 / pi of its power in line with the input (Bussgang): 2 / (pi - 2) = 1.752.
    # Outputs share one matrix; 400 rows leave about 3 % of sampling.
    assert quality.snr == pytest.approx(2.0 / (math.pi - 2.0), rel=0.12)
    assert quality.snr_noise is not None
    assert quality.snr_noise > 50 * quality.snr


def test_without_any_output_there_are_no_bits() -> None:
    with Noisy(1.0, gain=0.0) as device:
        quality = projection_quality(device)
    assert (quality.snr, quality.snr_noise, effective_bits(quality.snr)) == (None, None, None)


QUIET = {
    "laser.rin_db_per_hz": -200.0,
    "medium.frame_decorrelation": 0.0,
    "camera.prnu": 0.0,
    "camera.dsnu_e": 0.0,
    "camera.dark_current_e_per_s": 0.0,
    "camera.adc_bits": 16,
    "camera.full_well_e": 1e5,
}


# Read noise: a cosine of 0.33 in 204,800 outputs is known to 0.7 %, its square to 1.3 %, 0.01 bit, four of which are
# allowed; 107 to 214 e- of shot noise beside 10,000 take 0.01 bit more. Shot noise: 1 / sqrt 204800 is 0.2 %.
@pytest.mark.parametrize(
    ("changes", "low_mw", "bits", "tolerance"),
    [
        ({"camera.read_noise_e": 100.0, "camera.offset_dn": 2000.0}, 10.0, 2.0, 0.05),
        ({"camera.read_noise_e": 0.0}, 50.0, 1.0, 0.02),
    ],
    ids=["read noise", "shot noise"],
)
def test_four_times_the_light_gives_two_bits_or_one(
    changes: dict[str, float], low_mw: float, bits: float, tolerance: float
) -> None:
    found = []
    for power in (low_mw, 4.0 * low_mw):
        overrides: dict[str, Any] = {**QUIET, **changes, "laser.power_mw": power}
        # Averaging the calibration longer than usual leaves the projections' own noise.
        overrides["recovery.calibration_frames"] = 4096
        with load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=1, **overrides) as device:
            bits_found = effective_bits(projection_quality(device).snr)
        assert bits_found is not None
        found.append(bits_found)
    assert found[1] - found[0] == pytest.approx(bits, abs=tolerance)


@pytest.mark.parametrize(
    ("values", "way"),
    [
        ([1.0, 2.0, 3.0], "up"),
        ([3.0, 2.0, 1.0], "down"),
        ([1.0, 1.05, 0.98], "flat"),
        ([1.0, 5.0, 4.2, 6.0], "up"),  # a reversal below a quarter of the change
        ([6.0, 4.2, 5.0, 1.0], "down"),
        ([1.0, 5.0, 3.0, 6.0], "mixed"),
        ([1.0, 3.0, 1.05], "mixed"),
        ([2.0], "flat"),
    ],
)
def test_direction(values: list[float], way: str) -> None:
    assert direction(values, tolerance=0.1) == way


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    settings = {"trainer.epochs": 1, "model.hidden": [24, 24]}
    return measure("digits-mlp", 2, settings=settings, quick=True)


def points(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    (sweep,) = (s for s in document["sweeps"] if s["key"] == key)
    found: list[dict[str, Any]] = sweep["points"]
    return found


def test_document_is_json_and_quick_is_one_seed(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["seeds"] == 1
    assert document["device"] == "lighton-aurora"
    assert [sweep["key"] for sweep in document["sweeps"]] == [sweep.key for sweep in SWEEPS]
    for sweep in document["sweeps"]:
        assert set(sweep["directions"]) == set(QUANTITIES)
        assert [point["value"] for point in sweep["points"] if point["base"]] == [sweep["base"]]
        for point in sweep["points"]:
            assert len(point["accuracies"]) == 1
            assert all(said.startswith("DeviceWarning") for said in point["warnings"])


def test_frame_rate_watts_and_joules_follow_from_the_card(document: dict[str, Any]) -> None:
    """Data-sheet arithmetic for lighton-aurora, written out: see its card and that of the CMV2000."""
    base = {sweep["key"]: sweep["base"] for sweep in document["sweeps"]}
    seen = 0
    for sweep in document["sweeps"]:
        for point in sweep["points"]:
            at = {**base, sweep["key"]: point["value"]}
            read_out = 17.2 + 2.6875 * at["camera.roi_rows"]
            link = at["camera.roi_rows"] * 2048 * math.ceil(at["camera.adc_bits"] / 8) / 2.0e9 * 1e6
            period = max(at["timing.exposure_us"] + 50.0, read_out, link, 1e6 / 4000.0)
            assert point["frame_rate_hz"] == pytest.approx(1e6 / period)
            watts = (at["laser.power_mw"] / 1e3 / 0.02 + 10.0 + 3.0 + 6.0 + 3.0) / 0.90
            assert point["watts"] == pytest.approx(watts)
            seconds = point["frames"][0] * period * 1e-6 + point["passes"][0] * 0.155
            assert point["device_s"] == pytest.approx(seconds)
            assert point["joules"] == pytest.approx(watts * seconds)
            seen += 1
    assert seen == 12


def test_light_on_a_pixel_is_power_times_exposure(document: dict[str, Any]) -> None:
    # The card's assumption: 10 LSB of 255 over 13,500 e- at half of all mirrors and 400 us.
    (base,) = (point for point in points(document, "laser.power_mw") if point["base"])
    assert base["electrons_per_pixel"] == pytest.approx(10.0 * 13500 / 255, rel=0.02)
    for key in ("laser.power_mw", "timing.exposure_us"):
        for point in points(document, key):
            share = point["value"] / (100.0 if key == "laser.power_mw" else 400.0)
            assert point["photons_per_pixel"] == pytest.approx(share * base["photons_per_pixel"])
            assert point["electrons_per_pixel"] == pytest.approx(0.60 * point["photons_per_pixel"])


def test_same_light_by_power_or_by_exposure_gives_the_same_bits(document: dict[str, Any]) -> None:
    power, exposure = points(document, "laser.power_mw")[0], points(document, "timing.exposure_us")[-1]
    assert power["photons_per_pixel"] == pytest.approx(exposure["photons_per_pixel"])
    # Read noise and rounding alone matter at 5 e- (the dark charge differs by 0.05 e-), and one seed draws one noise.
    # With two outcomes of each of 512 x 48 roundings a ratio of 0.04 is known to 2 / (0.2 sqrt 24576) = 6 %, 0.05 bit.
    assert power["bits_mean"] == pytest.approx(exposure["bits_mean"], abs=0.2)
    assert points(document, "laser.power_mw")[-1]["bits_mean"] > power["bits_mean"] + 3.0


def test_fewer_rows_change_no_number_of_the_training(document: dict[str, Any]) -> None:
    same = ("accuracies", "bits_mean", "alignment", "frames")
    first, *others = points(document, "camera.roi_rows")
    assert all(other[key] == first[key] for other in others for key in same)
    assert [point["slowest_stage"] for point in points(document, "camera.roi_rows")] == [
        "read-out",
        "read-out",
        "exposure",
    ]


def test_a_key_whose_stage_is_hidden_is_expected_to_leave_the_rate_alone(document: dict[str, Any]) -> None:
    """Control: the very same sweeps with a slow trigger, behind which exposure and read-out vanish."""
    settings = {"trainer.epochs": 1, "model.hidden": [24], "device.timing.frame_time_us": 4000.0}
    hidden = measure("digits-mlp", 1, settings=settings, quick=True)
    for key in ("timing.exposure_us", "camera.roi_rows"):
        (open_sweep,), (shut_sweep,) = ([s for s in d["sweeps"] if s["key"] == key] for d in (document, hidden))
        assert (
            open_sweep["directions"]["frame_rate"] | {"expected": "up", "pass": True}
            == (open_sweep["directions"]["frame_rate"])
        )
        assert shut_sweep["directions"]["frame_rate"]["expected"] == "flat"
        assert shut_sweep["directions"]["frame_rate"]["pass"]
        assert {point["frame_rate_hz"] for point in shut_sweep["points"]} == {250.0}
        assert {point["slowest_stage"] for point in shut_sweep["points"]} == {"trigger"}


def test_what_is_hidden_is_expected_to_be_flat() -> None:
    adc = next(sweep for sweep in SWEEPS if sweep.key == "camera.adc_bits")

    def wanted(stage: str, bits: float, left_out: str | None = None) -> dict[str, str]:
        fine = {"slowest_stage": stage, "bits_mean": 3.0, "left_out": None}
        return expected(adc, [fine, {"slowest_stage": "pattern", "bits_mean": bits, "left_out": left_out}])

    # Whole bytes a pixel: fewer bits are faster where the link is the slowest.
    slow_link = wanted("link", -1.0)
    assert (slow_link["frame_rate"], slow_link["joules"], slow_link["watts"]) == ("up", "down", "flat")
    assert wanted("read-out", -1.0)["frame_rate"] == "flat"
    # Noise below the signal does not reach the accuracy.
    assert [wanted("link", bits)["accuracy"] for bits in (-1.0, 0.9, 1.1)] == ["down", "down", "flat"]
    assert wanted("link", -1.0, left_out="no counts")["accuracy"] == "flat"
    assert wanted("link", 1.1)["bits"] == "down"


def test_the_check_fails_when_a_sweep_runs_backwards(document: dict[str, Any]) -> None:
    """Control: the points of a sweep in reverse order go the other way, whatever they show, unless they are flat."""
    for sweep, shown in zip(SWEEPS, document["sweeps"], strict=True):
        right = check(sweep, shown["points"], 360)
        wrong = check(sweep, shown["points"][::-1], 360)
        for quantity in ("bits", "watts"):
            assert right[quantity]["pass"]
            assert wrong[quantity]["pass"] == (right[quantity]["expected"] == "flat")


def test_points_without_usable_counts_are_left_out_of_quality_but_not_of_the_rest() -> None:
    laser = SWEEPS[0]

    def point(value: float, accuracy: float, left_out: str | None) -> dict[str, Any]:
        return {
            "accuracy_mean": accuracy,
            "accuracies": [accuracy] * 3,
            "accuracy_std": 0.005,
            "bits_mean": math.log2(value) if left_out is None else -5.0,
            "frame_rate_hz": 2000.0,
            "watts": 24.0 + value,
            "joules": 1000.0 * (24.0 + value),
            "slowest_stage": "read-out",
            "left_out": left_out,
        }

    good = [point(1.0, 0.5, None), point(10.0, 0.9, None), point(100.0, 0.97, None)]
    found = check(laser, [*good, point(1000.0, 0.3, "saturated")], 360)
    assert all(entry["pass"] for entry in found.values())
    assert (found["accuracy"]["last"], found["watts"]["last"]) == (0.97, 1024.0)
    found = check(laser, [*good, point(1000.0, 0.3, None) | {"bits_mean": -5.0}], 360)
    assert [quantity for quantity, entry in found.items() if not entry["pass"]] == ["accuracy", "bits"]
    found = check(laser, [point(1.0, 0.5, "no counts")], 360)
    assert (found["accuracy"]["measured"], found["accuracy"]["pass"]) == (None, False)


def test_saturation_and_darkness_are_noticed() -> None:
    settings = {"trainer.epochs": 1, "model.hidden": [24], "device.laser.power_mw": 3000.0}
    bright = points(measure("digits-mlp", 1, settings=settings, quick=True), "laser.power_mw")
    assert [point["left_out"] for point in bright] == [None, None, "saturated"]
    # An exponential law of mean 5.3 ke- x 3 beyond the 13.5 ke- of the converter: a good third of the pixels; a
    # pattern of a few inputs is darker than half of them, its complement brighter.
    assert 0.2 < bright[-1]["saturated"] < 0.5
    settings["device.laser.power_mw"], settings["device.camera.adc_bits"] = 100.0, 1
    (point,) = (
        p for p in points(measure("digits-mlp", 1, settings=settings, quick=True), "camera.adc_bits") if p["base"]
    )
    assert point["left_out"] == "no counts"
    assert point["dark"] > 0.999


def test_values_go_along_the_move_and_hold_the_base() -> None:
    card = load_card("lighton-aurora")
    for sweep in SWEEPS:
        full, quick = (sweep.values(card, 5, quick) for quick in (False, True))
        assert 7 <= len(full) <= 9
        assert set(quick) <= set(full) or sweep.key == "camera.roi_rows"
        assert full == sorted(full, reverse=sweep.move != "raise")
    assert SWEEPS[3].values(card, 200, quick=False)[-1] == 200  # never fewer rows than the outputs take
    offset = card.model_copy(update={"camera": card.camera.model_copy(update={"offset_dn": 5.0})})
    assert min(SWEEPS[2].values(offset, 5, quick=False)) == 3  # 2 bits have no code above an offset of 5


def test_a_third_of_the_inputs_each() -> None:
    assert [inputs_on(n) for n in (1, 2, 10, 12)] == [1, 1, 3, 4]


def test_a_device_without_light_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"^ideal: nothing to sweep: must be a device with a laser and a camera$"):
        measure("digits-mlp", 1, device="ideal")


def test_table_verdict_and_figure_tell_what_failed(document: dict[str, Any], tmp_path: Any) -> None:
    failed = copy.deepcopy(document)
    for sweep in failed["sweeps"]:
        for entry in sweep["directions"].values():
            entry["pass"] = True
    assert verdict(failed) == "20 of 20 directions as derived"
    failed["sweeps"][1]["directions"]["bits"] |= {"measured": "mixed", "pass": False}
    failed["sweeps"][2]["directions"]["accuracy"] = {"expected": "down", "measured": None, "pass": False}
    said = verdict(failed)
    assert said.startswith("18 of 20 directions as derived; not: ")
    assert "shorten exposure: bits mixed, derived down" in said
    header, rows = table(failed)
    assert [len(row) for row in rows] == [len(header)] * 4
    assert "(derived: down)" in rows[1][header.index("bits")]
    assert rows[2][1] == "no value, not down"
    plot(failed, tmp_path / "tradeoffs.png")
    assert (tmp_path / "tradeoffs.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "tradeoffs.png").stat().st_size > 50_000
