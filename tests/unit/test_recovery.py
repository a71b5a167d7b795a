"""Anchor recovery: exact without noise, also with leaking OFF mirrors; chunks; law of the matrix."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from opu_sim import load_device
from opu_sim.device import Opu
from opu_sim.recovery import vector_chunks

# Light and full well up by 1e8 take the shot noise 1e4 times below the signal: only the 16-bit converter
# rounds.
EXACT: dict[str, Any] = {
    "camera.adc_bits": 16,
    "camera.full_well_e": 13_500e8,
    "laser.power_mw": 1e10,
    "laser.rin_db_per_hz": -200.0,
    "camera.read_noise_e": 0.0,
    "camera.dsnu_e": 0.0,
    "camera.prnu": 0.0,
    "camera.dark_current_e_per_s": 0.0,
    "medium.frame_decorrelation": 0.0,
    "recovery.calibration_frames": 1,
}


def device(name: str = "lighton-aurora", n_in: int = 100, n_out: int = 3000, **overrides: Any) -> Opu:
    opu = load_device(name, n_in=n_in, n_out=n_out, seed=2, **overrides)
    assert isinstance(opu, Opu)
    return opu


def ternary(vectors: int, n_in: int = 100) -> np.ndarray:
    return np.random.default_rng(0).integers(-1, 2, (vectors, n_in)).astype(np.float64)


def target(opu: Opu, x: np.ndarray) -> np.ndarray:
    return x @ opu.matrix().T.astype(np.float64)


@pytest.mark.parametrize("contrast", [10.0, 2000.0])
@pytest.mark.parametrize("grain", [1.0, 5.0])
@pytest.mark.parametrize("prnu", [0.0, 0.02])
def test_identity_without_noise(contrast: float, grain: float, prnu: float) -> None:
    """y = x R^T but for rounding: four frames a vector, 1 / 12 DN^2 each, through the pixel's own scale."""
    opu = device(**EXACT | {"dmd.contrast": contrast, "medium.speckle_grain_px": grain, "camera.prnu": prnu})
    x = ternary(6)
    with opu:
        error = opu.project(x) - target(opu, x)
    assert opu.camera.saturated == 0
    scale = opu.recovery._scale.astype(np.float64)
    in_steps = np.mean((error / scale) ** 2) / (4 / 12)
    # 18,000 squared errors whose kurtosis is below 3, and 4 % of the step left of the shot noise (see EXACT).
    assert abs(in_steps - 1) < 4.5 * (2 / error.size) ** 0.5 + 0.01
    assert np.abs(error / scale).max() <= 2 + 0.1  # four half steps
    # Control: a gain 0.3 % off would be seen.
    wrong = (error + 0.003 * target(opu, x)) / scale
    assert np.mean(wrong**2) / (4 / 12) > 1.5


def test_a_wrong_matrix_is_told_apart() -> None:
    """Control: the row of the neighbouring output, the plain real part of T, and a forgotten leakage all
    fail."""
    opu = device(**EXACT | {"dmd.contrast": 10.0})
    x = ternary(6)
    with opu:
        y = opu.project(x)
    R = opu.matrix().astype(np.float64)
    dark = device(**EXACT | {"dmd.contrast": 1e12}).matrix()
    plain = np.sqrt(2 / 100) * opu.arm.medium.matrix()[1:-1].real
    for matrix in (np.roll(R, 1, axis=0), dark, plain):
        relative = np.sqrt(np.mean((y - x @ matrix.T) ** 2)) / y.std()
        assert relative > 50 * np.sqrt(np.mean((y - x @ R.T) ** 2)) / y.std()


@pytest.mark.parametrize("planes", [1, 3, 6])
def test_bit_planes_without_noise(planes: int) -> None:
    """Real inputs: exact for the rounded input that the bit planes hold, and off by its rounding for the real
    one."""
    opu = device(**EXACT | {"dmd.bit_planes": planes})
    x = np.random.default_rng(1).standard_normal((4, 100))
    steps = 2**planes - 1
    peak = np.abs(x).max(axis=1, keepdims=True)
    rounded = np.rint(x / peak * steps) / steps * peak
    with opu:
        y = opu.project(x)
    scale = opu.recovery._scale.astype(np.float64)
    # Planes weigh 2^k / steps, two patterns (signs) and two frames a plane, 1 / 12 DN^2 a frame.
    sd = peak / steps * np.sqrt(np.sum(4.0 ** np.arange(planes)) * 4 / 12)
    ratio = np.mean(((y - target(opu, rounded)) / scale / sd) ** 2)
    assert abs(ratio - 1) < 4.5 * (2 / y.size) ** 0.5 + 0.02
    lost = np.mean((y - target(opu, x)) ** 2)
    # R has variance 1 / n: the input's own rounding error appears as its mean square.
    assert 0.8 < lost / np.mean((x - rounded) ** 2) < 1.25


def test_cosine_slope_and_repeats_with_the_card_s_noise() -> None:
    opu = device(n_in=1000, n_out=1000)
    x = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], (10, 1000), p=[0.15, 0.7, 0.15])
    repeats = 64
    with opu:
        y = opu.project(np.tile(x, (repeats, 1))).astype(np.float64).reshape(repeats, 10, 1000)
    t = target(opu, x)
    cosine = np.sum(y[0] * t, axis=1) / np.linalg.norm(y[0], axis=1) / np.linalg.norm(t, axis=1)
    assert np.all((cosine >= 0.985) & (cosine < 0.995))
    noise = y.std(axis=0, ddof=1)
    # Least squares slope of all repeats: sd = sqrt(mean noise^2 / (repeats sum t^2)).
    slope = np.sum(y * t) / (repeats * np.sum(t * t))
    assert abs(slope - 1) < 4.5 * (np.mean(noise**2) / (repeats * np.sum(t * t))) ** 0.5
    # Mean of r repeats: variance / r, plus the square of a bias that stays.
    square = {r: np.mean((y[:r].mean(axis=0) - t) ** 2) for r in (1, 4, 16, 64)}
    variance = np.mean(noise**2)
    for r in (1, 4, 16):
        # Mean over 10,000 outputs of unequal noise: their squares average to 4 %.
        assert abs(square[r] * r / variance - 1) < 0.06 + 0.002 * r
    bias = (square[64] - variance / 64) ** 0.5 / t.std()
    # An 8-bit converter with 0.25 DN of read noise rounds dim pixels to a fixed side (and clips them at
    # zero).
    assert 0.002 < bias < 0.008


def test_rounding_bias_goes_with_a_finer_converter() -> None:
    """Control: with an offset that nothing clips at and noise above the step the mean over repeats has no
    floor."""
    opu = device(n_in=1000, n_out=1000, **{"camera.adc_bits": 14, "camera.offset_dn": 200.0})
    x = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], (10, 1000), p=[0.15, 0.7, 0.15])
    with opu:
        y = opu.project(np.tile(x, (64, 1))).astype(np.float64).reshape(64, 10, 1000)
    t = target(opu, x)
    left = np.mean((y.mean(axis=0) - t) ** 2) - np.mean(y.var(axis=0, ddof=1)) / 64
    # Sampling error: 4 % of variance / 64 = (0.0175)^2, that is (0.0035)^2; the bias above was (0.005)^2.
    assert abs(left) / t.var() < 0.003**2


def test_frame_decorrelation_leaves_no_bias() -> None:
    """E[y] = x R^T also where the frames change a lot; the same bias is 0.2 % of the signal at the card's
    1.2e-3."""
    noisy = {"medium.frame_decorrelation": 0.3, "recovery.calibration_frames": 2000}
    opu = device(n_in=50, n_out=1000, **EXACT | noisy)
    x = np.zeros((1, 50))
    x[0, ::2] = 1
    with opu:
        y = opu.project(np.repeat(x, 200, axis=0)).astype(np.float64)
    error = y - target(opu, x)
    # Outputs have independent errors, of the 200 repeats and of the 2000 frames of the calibration.
    per_output = error.mean(axis=0)
    assert abs(per_output.mean()) < 5 * per_output.std() * 1000**-0.5


@pytest.mark.parametrize("n_in", [4, 50])
@pytest.mark.parametrize("overrides", [{}, {"medium.speckle_grain_px": 1.0}, {"recovery.anchor_floor": 0.5}])
def test_matrix_has_variance_one_over_n_and_no_mean(n_in: int, overrides: dict[str, Any]) -> None:
    opu = device(n_in=n_in, n_out=4000, **overrides)
    R = opu.matrix().astype(np.float64)
    # Entries of a row share its anchor: the sampling error comes from 4000 rows, estimated from the rows.
    # Neighbouring rows share modes at a grain of one pixel: twice the variance.
    rows = n_in * np.mean(R**2, axis=1)
    tolerance = 4.5 * 2**0.5 * rows.std() * 4000**-0.5
    assert abs(rows.mean() - 1) < tolerance
    means = n_in * R.mean(axis=1)  # sqrt n times the projection on the anchor's unit vector
    assert abs(means.mean()) < 4.5 * 2**0.5 * means.std() * 4000**-0.5
    # The anchor's own direction carries the variance of any other: the projection on it, of unit length.
    anchor = means**2
    assert abs(anchor.mean() - 1) < 4.5 * 2**0.5 * anchor.std() * 4000**-0.5
    # Control: without the signs the rows have a common mean of 1.3 / n_in, some hundred tolerances away.
    assert np.abs(means).mean() > 10 * means.std() * 4000**-0.5


def test_an_input_that_does_not_add_up_to_zero_moves_outputs_both_ways() -> None:
    """Control of the signs: all inputs ON give as many negative outputs as positive ones."""
    opu = device(n_in=20, n_out=4000)
    with opu:
        y = opu.project(np.ones((1, 20)))
    # Binomial with p = 1/2: sd 32 of 4000.
    assert abs(np.count_nonzero(y > 0) - 2000) < 4.5 * 32


def test_rows_are_independent() -> None:
    """Off-diagonal correlations of rows, their common mean removed: mean square 1 / n but for what neighbours
    share."""
    opu = device(n_in=400, n_out=150)
    R = opu.matrix().astype(np.float64) * 400**0.5
    R -= R.mean()
    r = (R @ R.T / 400)[np.triu_indices(150, 2)]
    assert abs(np.mean(r**2) * 400 - 1) < 4.5 * (2 / r.size) ** 0.5 + 0.03


@pytest.mark.parametrize("sizes", [[], [1], [2, 2, 2], [5, 1, 1], [1, 12, 1], [3, 3, 4, 12, 12, 1]])
@pytest.mark.parametrize("limit", [0, 1, 4, 100])
def test_chunks_cover_all_vectors_once(sizes: list[int], limit: int) -> None:
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    chunks = vector_chunks(first, limit)
    assert [v for start, end in chunks for v in range(start, end)] == list(range(len(sizes)))
    for start, end in chunks:
        assert end == start + 1 or first[end] - first[start] <= limit


@pytest.mark.parametrize("name", ["lighton-aurora", "light-in-the-loop"])
def test_zero_and_empty_inputs(name: str) -> None:
    opu = device(name, 20, 30, **EXACT)
    with opu:
        assert opu.project(np.zeros((0, 20))).shape == (0, 30)
        nothing = opu.project(np.zeros((3, 20)))
        assert not nothing.any()
        big, small = opu.project(np.full((1, 20), 1e20)), opu.project(np.full((1, 20), 1.0))
    assert_allclose(big / 1e20, small, atol=5e-3)


@pytest.mark.parametrize("name", ["lighton-aurora", "light-in-the-loop"])
def test_asking_for_the_matrix_first_changes_nothing(name: str) -> None:
    x = ternary(3, 50)
    asked, plain = device(name, 50, 40), device(name, 50, 40)
    asked.matrix()
    with asked, plain:
        assert np.array_equal(asked.project(x), plain.project(x))
    assert asked.ledger.state() == plain.ledger.state()
