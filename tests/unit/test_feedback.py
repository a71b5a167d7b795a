"""The way of the error: what is sent to the projector, what comes back to each layer, and the angle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfa.config import load_experiment
from dfa.feedback import Feedback, alignment, cosine, ternarised
from dfa.losses import softmax_cross_entropy
from dfa.network import MLP

CLASSES = 10
THRESHOLDS = [0.0, 0.2, 0.99]

matrices = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(2, 10)),
    elements=st.floats(-1, 1, width=32).filter(lambda value: value == 0 or abs(value) > 1e-6),
)
thresholds = st.sampled_from(THRESHOLDS) | st.floats(0, 0.99)


def softmax_errors(batch: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((batch, CLASSES)).astype(np.float32)
    return softmax_cross_entropy(2 * logits, rng.integers(0, CLASSES, batch))[1]


def feedback_of(method: str, hidden: tuple[int, ...] = (30, 50), **overrides: Any) -> tuple[Feedback, MLP]:
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    experiment = load_experiment(
        "digits-mlp", method=method, seed=3, settings={"model.hidden": list(hidden), **changes}
    )
    network = MLP([64, *hidden, CLASSES], np.random.default_rng(5))
    return Feedback(experiment, network), network


# --- ternarised -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(matrices, thresholds)
def test_two_keeps_the_sum_of_each_sign(error: np.ndarray, threshold: float) -> None:
    sent = ternarised(error, threshold, "two")
    for part in (1, -1):
        wanted = np.maximum(part * error.astype(np.float64), 0).sum(axis=1)
        assert np.maximum(part * sent.astype(np.float64), 0).sum(axis=1) == pytest.approx(wanted, rel=1e-5)
    assert sent.dtype == np.float32
    assert sent.shape == error.shape


@settings(deadline=None)
@given(matrices, thresholds)
def test_two_keeps_the_zero_sum_of_a_zero_sum_error(error: np.ndarray, threshold: float) -> None:
    error = (error - error.mean(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    sent = ternarised(error, threshold, "two")
    # float32 rounding of at most ten entries of size <= 2
    assert np.abs(sent.sum(axis=1, dtype=np.float64)).max() <= 20 * np.finfo(np.float32).eps * 2


@settings(deadline=None)
@given(matrices, thresholds, st.sampled_from(["one", "two"]))
def test_at_most_one_magnitude_a_sign_and_no_sign_turned(error: np.ndarray, threshold: float, magnitudes: Any) -> None:
    sent = ternarised(error, threshold, magnitudes)
    for row, original in zip(sent, error, strict=True):
        assert len(set(row[row > 0])) <= 1
        assert len(set(row[row < 0])) <= 1
        assert np.all((row == 0) | (np.sign(row) == np.sign(original)))
        assert (row != 0).any() == (original != 0).any()
        if magnitudes == "one":
            assert len(set(np.abs(row[row != 0]))) <= 1


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_two_keeps_what_exceeds_the_share_of_its_sign(threshold: float) -> None:
    error = softmax_errors(200)
    sent = ternarised(error, threshold, "two")
    positive, negative = np.maximum(error, 0), np.maximum(-error, 0)
    kept_positive = (positive > threshold * positive.max(axis=1, keepdims=True)) & (positive > 0)
    kept_negative = (negative > threshold * negative.max(axis=1, keepdims=True)) & (negative > 0)
    assert np.array_equal(sent > 0, kept_positive)
    assert np.array_equal(sent < 0, kept_negative)


def test_two_by_hand() -> None:
    error = np.array([[0.5, 0.3, 0.05, -0.8, -0.05]], np.float32)
    assert ternarised(error, 0.2, "two")[0] == pytest.approx([0.425, 0.425, 0, -0.85, 0])
    assert ternarised(error, 0.0, "two")[0] == pytest.approx([0.85 / 3] * 3 + [-0.425] * 2)
    assert ternarised(error, 0.99, "two")[0] == pytest.approx([0.85, 0, 0, -0.85, 0])


def test_one_by_hand() -> None:
    error = np.array([[0.5, 0.3, 0.05, -0.8, -0.05]], np.float32)
    alpha = (0.5 + 0.3 + 0.8) / 3
    assert ternarised(error, 0.2, "one")[0] == pytest.approx([alpha, alpha, 0, -alpha, 0])
    assert ternarised(error, 0.99, "one")[0] == pytest.approx([0, 0, 0, -0.8, 0])


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_one_has_the_least_squares_magnitude(threshold: float) -> None:
    error = softmax_errors(50).astype(np.float64)
    sent = ternarised(error.astype(np.float32), threshold, "one").astype(np.float64)
    t = np.sign(sent)
    alpha = np.abs(sent).max(axis=1, keepdims=True)
    best = np.square(error - alpha * t).sum(axis=1)
    for factor in (*np.linspace(0, 0.99, 34), *np.linspace(1.01, 3, 50)):
        assert np.all(np.square(error - factor * alpha * t).sum(axis=1) > best)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_one_keeps_what_exceeds_the_share_of_the_largest(threshold: float) -> None:
    error = softmax_errors(200)
    largest = np.abs(error).max(axis=1, keepdims=True)
    kept = np.abs(error) > np.float32(threshold) * largest
    assert np.array_equal(ternarised(error, threshold, "one"), ternarised(error * kept, 0.0, "one"))
    assert np.array_equal(ternarised(error, threshold, "one") != 0, kept)


def test_one_loses_the_zero_sum() -> None:
    """Control of "two": on the same softmax errors."""
    error = softmax_errors(200)
    size = np.abs(error).sum(axis=1)
    assert np.abs(error.sum(axis=1)).max() < 1e-6 * size.max()
    assert np.abs(ternarised(error, 0.2, "two").sum(axis=1)).max() < 1e-6 * size.max()
    assert np.median(np.abs(ternarised(error, 0.2, "one").sum(axis=1)) / size) > 0.05


@pytest.mark.parametrize("magnitudes", ["one", "two"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_rows_of_zeros_and_of_one_class(magnitudes: Any, threshold: float) -> None:
    error = np.zeros((4, 3), np.float32)
    error[1, 2], error[2, 0] = 0.7, -0.4
    error[3] = 0.3, 0.3, 0.3
    assert ternarised(error, threshold, magnitudes) == pytest.approx(error, abs=1e-7)


# --- Feedback -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "encoding", "frames"),
    [
        ("lighton-aurora", "ternary", 4),  # two patterns, each with its complement
        ("lighton-aurora", "bit-planes", 24),  # six planes a sign, each with its complement
        ("light-in-the-loop", "ternary", 2),  # one hologram a pattern
        ("light-in-the-loop", "bit-planes", 12),
    ],
)
def test_one_projection_a_batch(device: str, encoding: str, frames: int) -> None:
    feedback, _ = feedback_of("odfa", device__name=device, trainer__error_encoding=encoding)
    error = softmax_errors(7)
    assert feedback.projector is not None
    with feedback.projector as opu:
        before = opu.ledger.state()
        parts = feedback.project(error)
        after = opu.ledger.state()
    assert after["projections"] - before["projections"] == 7
    assert after["frames"] - before["frames"] == 7 * frames
    assert after["passes"] - before["passes"] == 1
    assert [part.shape for part in parts] == [(7, 30), (7, 50)]
    assert feedback.projection_host_s > 0


@pytest.mark.parametrize("method", ["dfa", "odfa"])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_layers_get_disjoint_slices_of_spread_gain_over_root_width(method: str, gain: float) -> None:
    widths = (400, 900)
    feedback, _ = feedback_of(method, widths, trainer__feedback_gain=gain)
    assert feedback.projector is not None
    matrix = feedback.projector.matrix()  # type: ignore[attr-defined]
    error = np.eye(CLASSES, dtype=np.float32)
    with feedback.projector:
        parts = feedback.project(error)
    expected = np.split(matrix, [400])
    for part, rows, width in zip(parts, expected, widths, strict=True):
        scaled = rows.T * gain * (CLASSES / width) ** 0.5
        # The device is noisy, but shows each slice's own rows, at the slice's scale.
        assert np.corrcoef(part.ravel(), scaled.ravel())[0, 1] > (0.999999 if method == "dfa" else 0.9)
        # A standard deviation of n normal numbers is known to 1 / sqrt(2 n): five of these. The device's entries
        # are heavier-tailed and noisy: its limit is 15 %.
        n = CLASSES * width
        tolerance = 5 / (2 * n) ** 0.5 if method == "dfa" else 0.15
        assert part.std() * width**0.5 / gain == pytest.approx(1, rel=tolerance)


def test_dfa_sends_the_exact_error() -> None:
    feedback, _ = feedback_of("dfa", (400, 300))
    assert feedback.projector is not None
    error = softmax_errors(40)
    with feedback.projector:
        sent = recovered(feedback, error)
    assert sent == pytest.approx(error, abs=1e-6)
    assert np.abs(sent - ternarised(error, 0.2)).max() > 1e-3  # control


def recovered(feedback: Feedback, error: np.ndarray) -> np.ndarray:
    """What was sent, solved from what came back: a digital projection to more outputs than inputs loses nothing."""
    parts = feedback.project(error)
    whole = np.hstack([part * (part.shape[1] / CLASSES) ** 0.5 for part in parts]).astype(np.float64)
    matrix = feedback.projector.matrix().astype(np.float64)  # type: ignore[union-attr]
    return np.linalg.lstsq(matrix, whole.T, rcond=None)[0].T


@pytest.mark.parametrize("magnitudes", ["one", "two"])
def test_odfa_sends_what_dfa_ternary_sends(magnitudes: str) -> None:
    error = softmax_errors(40)
    digital, _ = feedback_of("dfa-ternary", (400, 300), trainer__ternary_magnitudes=magnitudes)
    optical, _ = feedback_of("odfa", (400, 300), trainer__ternary_magnitudes=magnitudes, device__name="ideal")
    assert digital.projector is not None
    assert optical.projector is not None
    with digital.projector, optical.projector:
        sent = recovered(digital, error)
        for a, b in zip(digital.project(error), optical.project(error), strict=True):
            assert np.array_equal(a, b)
    assert sent == pytest.approx(ternarised(error, 0.2, magnitudes), abs=1e-6)  # type: ignore[arg-type]


def test_odfa_with_bit_planes_sends_the_exact_error() -> None:
    error = softmax_errors(40)
    optical, _ = feedback_of("odfa", device__name="ideal", trainer__error_encoding="bit-planes")
    digital, _ = feedback_of("dfa")
    assert digital.projector is not None
    assert optical.projector is not None
    with digital.projector, optical.projector:
        for a, b in zip(digital.project(error), optical.project(error), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("method", ["bp", "shallow"])
def test_methods_without_a_projector(method: str) -> None:
    feedback, network = feedback_of(method)
    assert feedback.projector is None
    with pytest.raises(RuntimeError, match=f"method {method} has no projector"):
        feedback.project(softmax_errors(2))
    error = forward(network)
    feedback.backward(network, error)
    assert any(np.any(gradient) for gradient in network.gradients[:-2]) == (method == "bp")
    assert np.any(network.gradients[-2])


# --- alignment ------------------------------------------------------------------------------------------------


def forward(network: MLP) -> np.ndarray:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((25, 64)).astype(np.float32)
    return softmax_cross_entropy(network.forward(x), rng.integers(0, CLASSES, 25))[1]


def test_alignment_of_backpropagation_is_one() -> None:
    feedback, network = feedback_of("bp")
    error = forward(network)
    feedback.backward(network, error)
    assert alignment(network, error) == pytest.approx([1.0, 1.0], abs=1e-6)


def test_alignment_leaves_the_gradients_alone() -> None:
    feedback, network = feedback_of("dfa")
    error = forward(network)
    assert feedback.projector is not None
    with feedback.projector as device:
        feedback.backward(network, error)
        before = [gradient.copy() for gradient in network.gradients]
        cosines = alignment(network, error)
        assert device.ledger.projections == 25
    for gradient, old in zip(network.gradients, before, strict=True):
        assert np.array_equal(gradient, old)
    assert all(abs(value) < 0.5 for value in cosines)  # random feedback at the start: control of the 1 above


@pytest.mark.parametrize("sign", [1, -1])
def test_feedback_through_the_output_weights_is_backpropagation(sign: int) -> None:
    network = MLP([64, 20, CLASSES], np.random.default_rng(5))
    error = forward(network)
    network.backward_feedback(error, [sign * error @ network.W[1].T])
    assert alignment(network, error) == pytest.approx([sign], abs=1e-6)


def test_alignment_of_a_segment_of_several_weights_is_that_of_all_of_them() -> None:
    class OneSegment(MLP):
        @property
        def segments(self) -> list[list[int]]:
            return [[0, 2]]

    network = OneSegment([64, 30, 50, CLASSES], np.random.default_rng(5))
    error = forward(network)
    network.backward_bp(error)
    exact = np.concatenate([network.gradients[i].ravel() for i in (0, 2)])
    filled = [error @ np.random.default_rng(width).standard_normal((CLASSES, width)) for width in (30, 50)]
    network.backward_feedback(error, filled)
    given = np.concatenate([network.gradients[i].ravel() for i in (0, 2)])
    assert alignment(network, error) == [cosine(given, exact)]


def test_cosine() -> None:
    a = np.array([[3.0, 0.0], [0.0, 4.0]])
    assert cosine(a, 2 * a) == pytest.approx(1)
    assert cosine(a, -a) == pytest.approx(-1)
    assert cosine(a, np.array([[4.0, 9.0], [9.0, 0.0]])) == pytest.approx(12 / (5 * 178**0.5))
    assert cosine(a, np.array([[0.0, 1.0], [1.0, 0.0]])) == 0
    assert cosine(a, np.zeros((2, 2))) == 0
    assert cosine(np.zeros(3), np.zeros(3)) == 0
