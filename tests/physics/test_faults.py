"""What goes wrong in a lab: each fault against its own law, and absent where the card leaves it out."""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.grabber import FrameGrabber
from opu_sim.opu import Opu

N_IN, N_OUT = 64, 1000
QUIET: dict[str, Any] = {"medium.frame_decorrelation": 0.0, "laser.rin_db_per_hz": None}


def device(n_out: int = N_OUT, n_in: int = N_IN, **overrides: Any) -> Opu:
    opu = load_device("lighton-aurora", n_in=n_in, n_out=n_out, seed=9, **QUIET | overrides)
    assert isinstance(opu, Opu)
    return opu


def test_gain_jumps_are_common_to_a_pass() -> None:
    """Passes of 15 patterns, 30 frames, differ by 8 %, the frames of a pass by nothing but shot noise."""
    passes, length, jump = 300, 30, 0.08
    opu = device(**{"faults.gain_jump": jump, "timing.pass_patterns": length // 2})
    energy = opu.arm.laser_energy(0, passes * length).reshape(passes, length)
    assert np.array_equal(energy, np.repeat(energy[:, :1], length, axis=1))
    assert abs(energy[:, 0].std(ddof=1) / jump - 1) < 4.5 * (2 * passes) ** -0.5
    # A frame's number decides, not where a batch begins.
    assert np.array_equal(opu.arm.laser_energy(45, 40), energy.ravel()[45:85])
    # Pearson correlation of two shots of the same input stays; their ratio does not.
    pattern = np.ones((length, N_IN), np.uint8)
    with opu:
        first, second = (opu.intensity(pattern).astype(np.float64).mean(axis=0) for _ in range(2))
    with device(**{"timing.pass_patterns": length}) as still:
        a, b = (still.intensity(pattern).astype(np.float64).mean(axis=0) for _ in range(2))
    assert abs(np.corrcoef(first, second)[0, 1] - np.corrcoef(a, b)[0, 1]) < 1e-3
    assert abs(b.mean() / a.mean() - 1) < 3e-3


def test_dropped_frames_cost_time_and_nothing_else() -> None:
    """A frame lost with probability p is shown 1 / (1 - p) times on average."""
    p, vectors = 0.2, 2000
    x = np.random.default_rng(0).integers(-1, 2, (vectors, N_IN)).astype(np.float64)
    with device(n_out=50, **{"faults.dropped_frames": p}) as lossy, device(n_out=50) as whole:
        assert np.array_equal(lossy.project(x), whole.project(x))
        frames = whole.ledger.frames
        assert lossy.ledger.frames == frames
        expected = frames * p / (1 - p)
        # Repeats of a frame are geometric: variance p / (1 - p)^2.
        assert abs(lossy.ledger.repeated_frames - expected) < 4.5 * (frames * p) ** 0.5 / (1 - p)
        extra = lossy.ledger.repeated_frames * lossy.clock.period_s
        assert lossy.ledger.device_s - whole.ledger.device_s == pytest.approx(extra)
        assert lossy.ledger.joules - whole.ledger.joules == pytest.approx(extra * lossy.budget.watts)
    assert whole.ledger.repeated_frames == 0


def test_duplicated_frames_are_those_before_them() -> None:
    p, frames = 0.1, 3000
    rng = np.random.default_rng(1)
    patterns = rng.integers(0, 2, (frames, N_IN)).astype(np.uint8)
    with device(n_out=40, **{"faults.duplicated_frames": p}) as twice, device(n_out=40) as once:
        got, real = twice.intensity(patterns), once.intensity(patterns)
    same = np.all(got == real, axis=1)
    stale = ~same
    assert abs(stale.sum() - p * frames) < 4.5 * (frames * p) ** 0.5
    rows = np.flatnonzero(stale[1:]) + 1  # the first may be the last frame of the calibration
    assert np.array_equal(got[rows], got[rows - 1])
    # Wherever a batch is cut, the frame before is still in the grabber's memory.
    with device(n_out=40, **{"faults.duplicated_frames": p}) as cut:
        parts = np.concatenate([cut.intensity(patterns[a : a + 7]) for a in range(0, 700, 7)])
    assert np.array_equal(parts, got[:700])
    assert isinstance(cut.camera, FrameGrabber)


def test_duplicated_frames_spoil_projections() -> None:
    """Of a projection's two frames, a stale one carries the pattern before: an error of the signal's size."""
    x = np.random.default_rng(0).integers(0, 2, (500, N_IN)).astype(np.float64)
    errors = {}
    for p in (None, 0.02):
        with device(**{"faults.duplicated_frames": p}) as opu:
            errors[p] = np.mean((opu.project(x) - x @ opu.matrix().T) ** 2)
    assert errors[0.02] > 3 * errors[None]


def test_mirrors_stuck_off_take_light_and_leave_the_scale() -> None:
    """A share q of mirrors stuck OFF: columns keep the power 1 - q, and entries of the matrix the variance 1 / n_in."""
    q = 0.2
    stuck, whole = device(**{"faults.stuck_off_mirrors": q}), device()
    T, T0 = stuck.arm.medium.matrix(), whole.arm.medium.matrix()
    factor = np.linalg.norm(T, axis=0) / np.linalg.norm(T0, axis=0)
    # Binomial over 16,245 mirrors an input: sd of the power 0.3 %; entries lie on a grid of 2^-11.
    replication = stuck.arm.dmd.replication
    assert np.all(np.abs(factor**2 - (1 - q)) < 4.5 * (q * (1 - q) / replication) ** 0.5 + 1e-4)
    assert stuck.arm.mean_illumination == pytest.approx(np.mean(factor**2), rel=1e-3)
    assert abs(stuck.matrix().var() / whole.matrix().var() - 1) < 0.02
    pattern = np.ones((20, N_IN), np.uint8)
    with stuck, whole:
        light = stuck.intensity(pattern).mean() / whole.intensity(pattern).mean()
    assert abs(light / (1 - q) - 1) < 0.02
    # Gauss' law of the columns is a property of many mirrors; the factor of one mirror an input is 0 or 1.
    few = device(n_in=1_039_680 // 8, n_out=4, **{"faults.stuck_off_mirrors": 0.5})
    power = np.abs(few.arm.mirrors.illumination.astype(np.complex128)) ** 2
    assert abs(power.mean() - 0.5) < 4.5 * (0.25 / 1_039_680) ** 0.5
    assert abs(power.var() / (0.25 / 8) - 1) < 0.05


def test_mirrors_stuck_on_shine_always_and_cancel() -> None:
    """Their light is a speckle of its own, in the dark frame too; the projection takes it off."""
    q = 0.05
    stuck, whole = device(**{"faults.stuck_on_mirrors": q}), device()
    dark = np.zeros((50, N_IN), np.uint8)
    with stuck, whole:
        shine, none = (opu.intensity(dark).astype(np.float64).mean() for opu in (stuck, whole))
    per_input = stuck.imager.mean_dn(1) - stuck.imager.mean_dn(0)
    # q of all mirrors used, as a speckle of 1000 outputs: 3 %; rounding of the dark pixels moves the rest.
    assert abs((shine - none) / (q * N_IN * per_input / (1 - q)) - 1) < 4.5 * 1000**-0.5 + 0.05
    x = np.random.default_rng(0).integers(-1, 2, (100, N_IN)).astype(np.float64)
    for opu in (stuck, whole):
        with opu:
            y, expected = opu.project(x), x @ opu.matrix().T
        assert abs(np.sum(y * expected) / np.sum(expected**2) - 1) < 5e-3
        assert np.corrcoef(y.ravel(), expected.ravel())[0, 1] > 0.985


def test_vibration_needs_a_reference_to_be_seen() -> None:
    """Without a reference arm a phase common to the field is invisible; with one it costs what the prediction says."""
    x = np.repeat(np.random.default_rng(0).integers(0, 2, (1, N_IN)), 100, axis=0).astype(np.float64)
    shaken = {"faults.vibration_rad": 0.4}
    with device(**shaken) as a, device() as b:
        assert np.array_equal(a.project(x), b.project(x))
    stepping = {"recovery.method": "phase-stepping", "recovery.reference_fill": 0.12}
    noise, snr = [], []
    for extra in ({}, shaken):
        with device(**stepping | extra) as opu:
            noise.append(opu.project(x).var(axis=0, ddof=1).mean())
            snr.append(opu.snr(int(x[0].sum())))
    assert noise[1] > 3 * noise[0]
    assert abs(noise[1] / noise[0] / (snr[0] / snr[1]) - 1) < 0.2


def test_gain_jumps_reach_the_mode_rung() -> None:
    """Passes differ by the same factors in the cheap model as pixel by pixel; the ideal one has none."""
    x = np.repeat(np.random.default_rng(0).integers(-1, 2, (1, N_IN)), 100, axis=0).astype(np.float64)
    scale = {}
    for fidelity in ("pixel", "mode", "ideal"):
        keys = {"faults.gain_jump": 0.2, "timing.pass_patterns": 20, "fidelity": fidelity}
        with device(**keys) as opu:
            y, expected = opu.project(x), x @ opu.matrix().T
        scale[fidelity] = (y * expected).sum(axis=1) / (expected**2).sum(axis=1)
    # Noise of 1000 outputs leaves 0.5 % in each vector's scale; the two patterns' magnitudes may lie in two passes.
    assert np.abs(scale["pixel"] - scale["mode"]).max() < 0.04
    assert scale["pixel"].std() > 0.05
    assert np.abs(scale["ideal"] - 1).max() < 1e-5
