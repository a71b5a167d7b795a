"""Anchor recovery against its own prediction of the noise; one anchor, and several."""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.opu import Opu

N_IN, N_OUT, ON = 100, 3000, 50


def device(**overrides: Any) -> Opu:
    opu = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=1, **overrides)
    assert isinstance(opu, Opu)
    return opu


def binary(vectors: int, on: int = ON) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([rng.permutation(N_IN) < on for _ in range(vectors)], dtype=np.float64)


def measured_db(opu: Opu, vectors: int = 60, on: int = ON) -> float:
    x = binary(vectors, on)
    with opu:
        y = opu.project(x)
    expected = x @ opu.matrix().T.astype(np.float64)
    return float(10 * np.log10(np.mean(expected**2) / np.mean((y - expected) ** 2)))


@pytest.mark.parametrize("anchors", [1, 2, 4])
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("power_mw", [30.0, 60.0, 140.0])
def test_signal_to_noise_as_predicted(anchors: int, bits: int, power_mw: float) -> None:
    """Within 0.5 dB. 180,000 errors: sampling below 0.05 dB; the matrix's signal 0.1 dB (60 patterns, 3000 rows).

    Half of the allowance is calibration: 64 frames leave 1 / 64 of a frame's noise in each constant, 0.07 dB.
    """
    overrides = {"recovery.anchors": anchors, "camera.adc_bits": bits, "laser.power_mw": power_mw}
    opu = device(**overrides)
    assert abs(measured_db(opu) - 10 * np.log10(opu.snr(ON))) < 0.5


@pytest.mark.parametrize("anchors", [1, 3])
@pytest.mark.parametrize("on", [10, 25, 75, 90])
def test_signal_to_noise_of_any_load(anchors: int, on: int) -> None:
    """As predicted also where few inputs, or nearly all, are ON."""
    opu = device(**{"recovery.anchors": anchors})
    assert abs(measured_db(opu, on=on) - 10 * np.log10(opu.snr(on))) < 0.5


@pytest.mark.parametrize(
    ("key", "value"), [("camera.read_noise_e", 30.0), ("camera.adc_bits", 7), ("medium.frame_decorrelation", 0.02)]
)
@pytest.mark.parametrize("anchors", [1, 3])
def test_every_noise_counts(key: str, value: float, anchors: int) -> None:
    """Control: what is noisier measures worse by what the prediction says."""
    usual, other = (device(**{"recovery.anchors": anchors} | extra) for extra in ({}, {key: value}))
    predicted = 10 * np.log10(usual.snr(ON) / other.snr(ON))
    assert predicted > 0.8
    assert abs(measured_db(usual) - measured_db(other) - predicted) < 0.5


def cosine(y: np.ndarray, expected: np.ndarray) -> float:
    products = np.sum(y * expected, axis=1)
    return float(np.mean(products / np.linalg.norm(y, axis=1) / np.linalg.norm(expected, axis=1)))


@pytest.mark.parametrize("n_in", [10, 100, 1000])
def test_cosine_of_ternary_input(n_in: int) -> None:
    """At the card's own light the projection of ternary input keeps a cosine of 0.985 to the ideal one."""
    opu = load_device("lighton-aurora", n_in=n_in, n_out=N_OUT, seed=3)
    x = np.random.default_rng(2).integers(-1, 2, (100, n_in)).astype(np.float64)
    with opu:
        y = opu.project(x)
    expected = x @ opu.matrix().T.astype(np.float64)
    assert cosine(y, expected) >= 0.985
    # Control: a tenth of the light does not do.
    with load_device("lighton-aurora", n_in=n_in, n_out=N_OUT, seed=3, **{"laser.power_mw": 10.0}) as dark:
        assert cosine(dark.project(x), expected) < 0.985


@pytest.mark.parametrize("anchors", [2, 3, 4, 8])
def test_several_anchors_realise_their_matrix(anchors: int) -> None:
    """Slope 1 and entries of variance 1 / n_in, whatever the number of anchors."""
    opu = device(**{"recovery.anchors": anchors})
    x = np.random.default_rng(2).integers(-1, 2, (100, N_IN)).astype(np.float64)
    with opu:
        y = opu.project(x)
    R = opu.matrix().astype(np.float64)
    expected = x @ R.T
    assert abs(np.sum(y * expected) / np.sum(expected**2) - 1) < 3e-3
    # 300,000 entries: 0.26 %; outputs below the floor and noise in the weights: up to 2 %.
    assert abs(R.var() * N_IN - 1) < 4.5 * (2 / R.size) ** 0.5 + 0.02
    rows = R @ R.T * N_IN / N_IN
    off_diagonal = rows[~np.eye(N_OUT, dtype=bool)]
    # Rows of neighbouring outputs share the pixel's second mode; all others are independent, 1 / sqrt(n_in).
    assert abs(off_diagonal.std() * N_IN**0.5 - 1) < 0.03


def test_more_anchors_leave_fewer_dim_outputs() -> None:
    """One anchor: brightness exponential, the share of outputs noisier than ten times the median is one of dim anchors.

    With K anchors the brightest direction is the larger eigenvalue of K exponentials' plane: dim outputs go.
    """
    spread = {}
    for anchors in (1, 2, 4, 8):
        opu = device(**{"recovery.anchors": anchors, "recovery.anchor_floor": 1e-3})
        with opu:
            on = np.array([ON])
            noise = opu.recovery.noise_variance(np.zeros((1, N_OUT), dtype=np.float32), on)[0]
        spread[anchors] = float(np.mean(noise > 10 * np.median(noise)))
    assert spread[1] > 0.01
    assert spread[1] > spread[2] > spread[4]
    assert spread[4] < 0.002
    assert spread[8] == 0.0


@pytest.mark.parametrize("anchors", [1, 3])
def test_dim_outputs_are_those_with_the_noise(anchors: int) -> None:
    """The predicted noise, output by output, is the measured one.

    200 repeats leave 10 % in each variance, and the pattern's own brightness at an output is known only in part: on
    logarithms that spread by 0.5, a correlation of 0.9 or so.
    """
    opu = device(**{"recovery.anchors": anchors})
    x = np.repeat(binary(1), 200, axis=0)
    with opu:
        y = opu.project(x)
        predicted = opu.recovery.noise_variance(y.mean(axis=0, keepdims=True), np.array([ON]))[0]
    measured = y.var(axis=0, ddof=1)
    assert np.corrcoef(np.log(measured), np.log(predicted))[0, 1] > 0.85
    # 3000 outputs: 0.2 % of sampling, and 1 % for the one pattern's own brightness.
    assert abs(measured.mean() / predicted.mean() - 1) < 0.05
    # Control: other outputs' predictions say nothing.
    assert abs(np.corrcoef(np.log(measured), np.log(np.roll(predicted, 1)))[0, 1]) < 0.2
