"""Slow drift through the whole device: a function of device time, whatever the frames and the waits are cut into."""

from typing import Any

import numpy as np
import pytest

from opu_sim import DeviceError, load_device
from opu_sim.opu import Opu

N_IN, N_OUT, TAU_S = 32, 500, 3600.0


def device(name: str = "light-in-the-loop", **overrides: Any) -> Opu:
    keys = {"medium.drift_time_s": TAU_S, "recovery.calibration_frames": 8} | overrides
    opu = load_device(name, n_in=N_IN, n_out=N_OUT, seed=2, **keys)
    assert isinstance(opu, Opu)
    return opu


def ternary(vectors: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-1, 2, (vectors, N_IN)).astype(np.float64)


def slope(y: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sum(y * expected) / np.sum(expected**2))


@pytest.mark.parametrize("wait_s", [600.0, 1800.0])
def test_projections_lose_what_the_field_loses(wait_s: float) -> None:
    """On the matrix of the beginning the slope is exp(-t / tau); on today's it is 1.

    16,000 entries each of an independent change: 4.5 sd of the correlation are 3 %.
    """
    x = ternary(60)
    with device() as opu:
        before = opu.matrix()
        opu.wait(wait_s)
        y = opu.project(x)
        after = opu.matrix()
    kept = np.exp(-wait_s / TAU_S)
    assert abs(slope(y, x @ before.T) - kept) < 4.5 * ((1 - kept**2) / before.size) ** 0.5 + 0.02
    # Today's reference-only frames are still good, but for the few mirrors' light that the OFF field was.
    assert abs(slope(y, x @ after.T) - 1) < 5e-3
    # Control: no drift, no change.
    with device(**{"medium.drift_time_s": None}) as still:
        first = still.matrix()
        still.wait(wait_s)
        assert np.array_equal(still.matrix(), first)


def test_anchors_go_stale_and_are_measured_anew() -> None:
    """The anchor's constants belong to the medium of their day; `recalibrate` brings today's."""
    x = ternary(100)
    with device("lighton-aurora") as opu:
        opu.wait(1800.0)
        stale = opu.project(x)
        on_stale = x @ opu.matrix().T
        frames = opu.ledger.frames
        opu.recalibrate()
        assert opu.ledger.frames - frames == opu.recovery.calibration_frames
        fresh, expected = opu.project(x), x @ opu.matrix().T
    # Differences of frames stay linear, but are divided by yesterday's anchor: where that was dim and today's is not,
    # the output is far too large. A day's own constants keep the variance of 1 / n_in.
    assert abs(slope(fresh, expected) - 1) < 0.01
    assert abs(expected.std() / (2 / 3) ** 0.5 - 1) < 0.1
    assert on_stale.std() > 1.2 * expected.std()
    assert stale.std() > 1.2 * fresh.std()
    with pytest.raises(DeviceError, match="is not open"):
        opu.recalibrate()


@pytest.mark.parametrize("name", ["lighton-aurora", "light-in-the-loop"])
def test_the_cut_of_batches_and_waits_changes_nothing(name: str) -> None:
    """tau = 0.5 s: a step of the drift every two frames, in the middle of every batch."""
    x = ternary(12)
    fast = {"medium.drift_time_s": 0.5}
    with device(name, **fast) as opu:
        opu.wait(0.3)
        whole = opu.project(x)
    with device(name, **fast) as opu:
        opu.wait(0.1)
        opu.wait(0.2)
        parts = np.concatenate([opu.project(x[:5]), opu.project(x[5:6]), opu.project(x[6:])])
    assert np.array_equal(whole, parts)
    # Control: with another wait it is another medium.
    with device(name, **fast) as opu:
        opu.wait(0.4)
        assert not np.allclose(opu.project(x), whole, atol=0.05)


@pytest.mark.parametrize("name", ["lighton-aurora", "light-in-the-loop"])
def test_a_session_goes_on_where_it_stopped(name: str) -> None:
    x = ternary(6)
    with device(name) as opu:
        opu.wait(900.0)
        opu.recalibrate()
        opu.wait(900.0)
        state = opu.state()
        expected = opu.project(x)
    later = device(name)
    later.restore(state)
    with later:
        assert np.array_equal(later.project(x), expected)


def test_waiting_costs_time_and_energy_and_shows_nothing() -> None:
    with device() as opu:
        frames, seconds, joules = opu.ledger.frames, opu.ledger.device_s, opu.ledger.joules
        opu.wait(100.0)
        assert opu.ledger.frames == frames
        assert opu.ledger.device_s - seconds == pytest.approx(100.0)
        assert opu.ledger.joules - joules == pytest.approx(100.0 * opu.budget.watts)
        assert opu.ledger.idle_s == 100.0
        for wrong in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="must be a finite number >= 0"):
                opu.wait(wrong)


def test_the_mode_rung_drifts_as_well() -> None:
    x = ternary(40)
    with device(fidelity="mode") as opu:
        before = opu.matrix()
        opu.wait(1800.0)
        y, after = opu.project(x), opu.matrix()
    assert slope(y, x @ after.T) == pytest.approx(1, abs=0.01)
    assert slope(y, x @ before.T) == pytest.approx(np.exp(-0.5), abs=0.05)
