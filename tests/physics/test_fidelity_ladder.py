"""The ladder of fidelity: what `mode` draws in closed form has the variance and the bias that `pixel` simulates.

Range: laser.power_mw 20 .. 200 mW on lighton-aurora (with phase stepping, as long as less than 1e-4 of the pixels
reach the full well), 8 and 12 bits, 10 to 90 % of the inputs ON.
"""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.opu import Opu

N_IN, N_OUT, LEVELS, REPEATS = 100, 1000, 12, 25
METHODS: dict[str, dict[str, Any]] = {
    "anchor": {},
    "three anchors": {"recovery.anchors": 3},
    "phase-stepping": {"recovery.method": "phase-stepping", "recovery.reference_fill": 0.1},
    "off-axis": {"recovery.method": "off-axis", "medium.speckle_grain_px": 4.0, "recovery.reference_fill": 0.15},
}


def device(fidelity: str, method: str, **overrides: Any) -> Opu:
    keys = METHODS[method] | overrides | {"fidelity": fidelity}
    opu = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=1, **keys)
    assert isinstance(opu, Opu)
    return opu


def errors(opu: Opu) -> np.ndarray:
    """Errors [level, repeat, output] of patterns with 10 .. 90 % of the inputs ON."""
    rng = np.random.default_rng(0)
    share = np.linspace(0.1, 0.9, LEVELS)[:, None]
    b = np.repeat((rng.random((LEVELS, N_IN)) < share).astype(np.float64), REPEATS, axis=0)
    with opu:
        y = opu.project(b)
    return (y - b @ opu.matrix().T.astype(np.float64)).reshape(LEVELS, REPEATS, N_OUT)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"laser.power_mw": 30.0},
        {"laser.power_mw": 60.0, "camera.adc_bits": 12},
        {"medium.frame_decorrelation": 0.0},
        {"medium.frame_decorrelation": 0.01},
    ],
)
def test_mode_has_the_variance_of_pixel(method: str, overrides: dict[str, Any]) -> None:
    """Within 5 %; 288,000 degrees of freedom leave 0.3 % of sampling (outputs differ: up to 0.5 %)."""
    if method == "phase-stepping" and "laser.power_mw" not in overrides:
        overrides = overrides | {"laser.power_mw": 60.0}  # below the full well, see above
    pixel, mode = (errors(device(f, method, **overrides)) for f in ("pixel", "mode"))
    ratio = mode.var(axis=1, ddof=1).mean() / pixel.var(axis=1, ddof=1).mean()
    assert abs(ratio - 1) < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_mode_has_the_bias_of_pixel(method: str) -> None:
    """Bias: what the calibration's own noise leaves, the same in both to 5 % of the noise's standard deviation."""
    overrides = {"laser.power_mw": 60.0, "recovery.calibration_frames": 8}
    pixel, mode = (errors(device(f, method, **overrides)).mean(axis=(0, 1)) for f in ("pixel", "mode"))
    noise = errors(device("mode", method, **overrides)).var(axis=1, ddof=1).mean() ** 0.5
    # Means over 300 frames: 6 % of the noise each.
    assert np.std(pixel - mode) < (0.05**2 + 2 / (LEVELS * REPEATS)) ** 0.5 * noise
    # Control: 8 frames leave about 1 / sqrt(8) of the noise in the constants, and both show it.
    assert pixel.std() > 0.1 * noise
    # The two share the constants; their own means over 300 frames of 12 patterns do not correlate, nor does what
    # unequal pixels make of each pattern's light (off-axis, the lowest: 0.88).
    assert np.corrcoef(pixel, mode)[0, 1] > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_ideal_is_the_matrix(method: str) -> None:
    """No noise, no bias; but the frames, the time and the energy of the rung below."""
    ideal, pixel = (device(f, method) for f in ("ideal", "pixel"))
    assert np.abs(errors(ideal)).max() < 1e-5
    errors(pixel)
    for figure in ("frames", "device_s", "joules", "projections"):
        assert getattr(ideal.ledger, figure) == getattr(pixel.ledger, figure)


def test_full_wells_are_beyond_mode() -> None:
    """Control, and the limit of the range: more light saturates holograms, and the rungs part."""
    overrides = {"laser.power_mw": 250.0}
    pixel, mode = (errors(device(f, "phase-stepping", **overrides)) for f in ("pixel", "mode"))
    assert pixel.mean(axis=1).std() > 2 * mode.mean(axis=1).std()


@pytest.mark.parametrize("method", ["anchor", "phase-stepping"])
def test_mode_does_not_depend_on_cuts_or_on_more_outputs(method: str) -> None:
    x = np.random.default_rng(3).integers(-1, 2, (30, N_IN)).astype(np.float64)
    with device("mode", method) as opu:
        whole = opu.project(x)
    with device("mode", method) as opu:
        parts = np.concatenate([opu.project(x[:7]), opu.project(x[7:])])
    assert np.array_equal(whole, parts)
    keys = METHODS[method] | {"fidelity": "mode"}
    with load_device("lighton-aurora", n_in=N_IN, n_out=400, seed=1, **keys) as smaller:
        assert np.array_equal(smaller.project(x), whole[:, :400])
