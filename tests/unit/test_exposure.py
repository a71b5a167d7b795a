"""Automatic exposure and reference level: independent of n_out, as bright as the sensor takes, and charged."""

import warnings
from typing import Any

import numpy as np
import pytest

from opu_sim import DeviceWarning, load_device
from opu_sim.cards import OpuCard, load_card
from opu_sim.exposure import SATURATED, best_reference, clipping_e2, exposure_s, longest_exposure_s, mean_for, settled
from opu_sim.opu import Opu

N_IN = 64


def device(name: str = "lighton-aurora", n_out: int = 500, **overrides: Any) -> Opu:
    opu = load_device(name, n_in=N_IN, n_out=n_out, seed=3, **overrides)
    assert isinstance(opu, Opu)
    return opu


def card(name: str = "lighton-aurora", **overrides: Any) -> OpuCard:
    loaded = load_card(name, overrides)
    assert isinstance(loaded, OpuCard)
    return loaded


def auto(**overrides: Any) -> dict[str, Any]:
    return {"timing.exposure_us": None} | overrides


def test_a_stated_exposure_stays() -> None:
    assert device().card.timing.exposure_us == 400.0
    assert device("light-in-the-loop").card.recovery.reference_fill == 0.3


def test_little_light_takes_all_the_time_that_there_is() -> None:
    """500 us between triggers, 50 us of them dead."""
    opu = device(**auto())
    assert opu.card.timing.exposure_us == 450.0
    assert opu.clock.period_s == pytest.approx(500e-6)


@pytest.mark.parametrize("factor", [3.0, 10.0, 1000.0])
def test_much_light_is_exposed_for_shorter(factor: float) -> None:
    """One in a thousand of exponential intensities is above the full well where the mean is full well / ln 1000."""
    opu = device(**auto(**{"laser.power_mw": 100.0 * factor}))
    level_e = opu.imager.mean_dn(N_IN) / opu.camera.card.gain
    # The level is measured at 256 outputs, 6 % each way, 4.5 times that; whole microseconds; clipping hides 1 %.
    microsecond = 1.0 / (opu.card.timing.exposure_us or 1.0)
    assert abs(level_e / mean_for(SATURATED, opu.camera.card.full_well_e) - 1) < 4.5 / 16 + 0.02 + microsecond
    assert (opu.card.timing.exposure_us or 0.0) % 1.0 == 0.0
    pattern = np.ones((50, N_IN), np.uint8)
    with opu:
        opu.intensity(pattern)
    assert 0 < opu.camera.saturated < 0.01 * opu.camera.exposed
    # Control: with the card's own exposure nearly all of it saturates.
    with pytest.warns(DeviceWarning, match="saturated"), device(**{"laser.power_mw": 100.0 * factor}) as fixed:
        fixed.intensity(pattern)
    assert fixed.camera.saturated > 2 * opu.camera.saturated


def test_the_same_for_any_number_of_outputs() -> None:
    keys = auto(**{"laser.power_mw": 2000.0})
    exposures = {device(n_out=n, **keys).card.timing.exposure_us for n in (1, 100, 3000)}
    assert len(exposures) == 1


def test_calibration_frames_are_charged() -> None:
    with device() as stated, device(**auto()) as automatic:
        assert automatic.ledger.frames == stated.ledger.frames + 1
    with device(**auto(**{"laser.power_mw": 1e4})) as halved:  # until it does not saturate
        assert halved.ledger.frames > automatic.ledger.frames + 3


def test_a_hologram_weighs_clipping_against_noise() -> None:
    """The level picked is the best of all, measured: no level half or twice as high does better."""
    camera = card("light-in-the-loop").camera
    for signal_e in (100.0, 500.0, 2000.0):
        fill, ratio = best_reference(signal_e, camera)
        floor = camera.read_noise_e**2 + 1 / 12 / camera.gain**2
        for other in (0.5 * fill, 0.8 * fill, 1.25 * fill, 2 * fill):
            level = other * camera.full_well_e
            clipped = clipping_e2(level, signal_e, camera.full_well_e)
            if other <= 0.5:
                assert level * signal_e / (level + signal_e + floor + clipped) < ratio * 1.001
    fills = [best_reference(signal, camera)[0] for signal in (10.0, 100.0, 1000.0, 3000.0)]
    assert fills == sorted(fills, reverse=True)  # more signal leaves less room


def test_clipping_against_draws() -> None:
    """E[max(|r + s|^2 - full well, 0)^2] by a million draws; its own sd about 1 %."""
    rng = np.random.default_rng(0)
    s = (rng.standard_normal((2, 1_000_000)) * (1500 / 2) ** 0.5).T
    light = (5000**0.5 + s[:, 0]) ** 2 + s[:, 1] ** 2
    over = np.maximum(light - 13_500, 0) ** 2
    assert abs(clipping_e2(5000, 1500, 13_500) / over.mean() - 1) < 4.5 * over.std() / over.mean() / 1000 + 0.02
    assert clipping_e2(1000.0, 10.0, 13_500.0) == 0.0


def test_automatic_levels_beat_the_worst_and_saturate_little() -> None:
    opu = device("light-in-the-loop", **auto(**{"recovery.reference_fill": None, "laser.power_mw": 500.0}))
    fill = opu.card.recovery.reference_fill
    assert fill is not None
    assert 0.05 < fill < 0.5
    x = np.random.default_rng(0).integers(-1, 2, (20, N_IN)).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opu:
            y = opu.project(x)
    expected = x @ opu.matrix().T
    good = np.mean((y - expected) ** 2)
    with device("light-in-the-loop", **{"recovery.reference_fill": 0.02, "timing.exposure_us": 50.0}) as other:
        bad = np.mean((other.project(x) - x @ other.matrix().T) ** 2)
    assert good < 0.2 * bad


def test_longest_exposure() -> None:
    assert longest_exposure_s(card()) == pytest.approx(450e-6)
    # Without a trigger: the DMD's 250 us, or the read-out.
    assert longest_exposure_s(card(**{"timing.frame_time_us": 0.0, "camera.roi_rows": 20})) == pytest.approx(200e-6)
    full = card(**{"timing.frame_time_us": 0.0, "camera.roi_rows": 1088})
    assert longest_exposure_s(full) == pytest.approx(full.camera.read_out_s(1088) - 50e-6)
    assert exposure_s(card(**auto())) == pytest.approx(450e-6)
    assert exposure_s(card()) == pytest.approx(400e-6)


def test_settled_keeps_what_the_card_states() -> None:
    fixed = card("light-in-the-loop", **{"recovery.reference_fill": None})
    done = settled(fixed, mean_e=1000.0)
    assert done.timing.exposure_us == 400.0
    assert done.recovery.reference_fill == best_reference(500.0, fixed.camera)[0]


def warnings_of(patterns: int, times: int, **overrides: Any) -> tuple[Opu, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with device(**overrides) as opu:
            for _ in range(times):
                opu.intensity(np.ones((patterns, N_IN), np.uint8))
    assert all(issubclass(warning.category, DeviceWarning) for warning in caught)
    return opu, [str(warning.message) for warning in caught]


def test_too_little_light_is_warned_of_once() -> None:
    opu, messages = warnings_of(3, 2, **{"laser.power_mw": 1.0})
    assert len(messages) == 1
    assert "the brightest frames give 0.2 DN on average (laser.power_mw = 1.0" in messages[0]
    assert opu.ledger.dark_pixels > 0.5 * 6 * 500


def test_saturation_is_counted_and_warned_of_once() -> None:
    opu, messages = warnings_of(3, 3, **{"laser.power_mw": 3000.0})
    assert len(messages) == 1
    assert "saturated (laser.power_mw = 3000.0" in messages[0]
    assert opu.report()["saturated_pixels"] == opu.ledger.saturated_pixels > 0.1 * 9 * 500


def test_good_light_is_not_warned_of() -> None:
    assert warnings_of(3, 3)[1] == []
