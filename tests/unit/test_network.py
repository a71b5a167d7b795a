"""MLP and losses: exact gradients, feedback alignment's gradients, buffers, numerical stability."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dfa.losses import LOSSES, mean_squared_error, softmax_cross_entropy
from dfa.network import MLP

BATCH, CLASSES = 7, 4


def make_case(sizes: list[int], activation: str = "tanh", dtype: type = np.float64, batch: int = BATCH):
    rng = np.random.default_rng(3)
    net = MLP(sizes, rng, activation, dtype)
    for bias in net.b:
        bias[:] = 0.1 * rng.standard_normal(bias.shape)
    return net, rng.standard_normal((batch, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], batch)


def snapshot(net: MLP) -> list[np.ndarray]:
    return [gradient.copy() for gradient in net.gradients]


def relative_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def numerical_gradient(loss: Callable[[], float], parameter: np.ndarray, step: float = 1e-5) -> np.ndarray:
    gradient = np.empty_like(parameter)
    for index in np.ndindex(*parameter.shape):
        kept = parameter[index]
        parameter[index] = kept + step
        above = loss()
        parameter[index] = kept - step
        below = loss()
        parameter[index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("loss_name", sorted(LOSSES))
def test_back_propagation_matches_finite_differences(activation: str, loss_name: str) -> None:
    net, x, labels = make_case([5, 6, 5, CLASSES], activation)
    loss = LOSSES[loss_name]
    _, error = loss(net.forward(x), labels)
    if activation == "relu":
        # The difference quotient is only valid if no unit crosses its kink within the step.
        h = x
        for weights, bias in zip(net.W[:-1], net.b[:-1], strict=True):
            a = h @ weights + bias
            assert np.abs(a).min() > 1e-3
            h = np.maximum(a, 0)
    net.backward_bp(error)
    for parameter, gradient in zip(net.parameters, net.gradients, strict=True):
        expected = numerical_gradient(lambda: loss(net.predict(x), labels)[0], parameter)
        assert relative_distance(gradient, expected) < 1e-6


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_transposed_output_weights_as_feedback_are_back_propagation(activation: str) -> None:
    net, x, labels = make_case([5, 6, CLASSES], activation)
    _, error = softmax_cross_entropy(net.forward(x), labels)
    net.backward_bp(error)
    exact = snapshot(net)
    net.backward_feedback(error, [error @ net.W[-1].T])
    for ours, theirs in zip(net.gradients, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    # Control: with another matrix the hidden gradient differs, and the output layer's does not.
    matrix = np.random.default_rng(8).standard_normal((CLASSES, 6))
    net.backward_feedback(error, [error @ matrix])
    assert relative_distance(net.gradients[0], exact[0]) > 0.1
    np.testing.assert_array_equal(net.gradients[2], exact[2])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_feedback_reaches_every_layer_through_its_own_slope(activation: str) -> None:
    net, x, labels = make_case([5, 6, 8, CLASSES], activation)
    _, error = softmax_cross_entropy(net.forward(x), labels)
    rng = np.random.default_rng(8)
    feedback = [rng.standard_normal((BATCH, size)) for size in net.hidden_sizes]
    kept = [signal.copy() for signal in feedback]
    net.backward_feedback(error, feedback)
    h = x
    for layer, signal in enumerate(kept):
        a = h @ net.W[layer] + net.b[layer]
        delta = signal * ((a > 0) if activation == "relu" else 1 / np.cosh(a) ** 2)
        np.testing.assert_allclose(net.gradients[2 * layer], h.T @ delta, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(net.gradients[2 * layer + 1], delta.sum(axis=0), rtol=1e-12, atol=1e-12)
        h = np.maximum(a, 0) if activation == "relu" else np.tanh(a)
        np.testing.assert_array_equal(signal, feedback[layer])


def test_shallow_trains_the_output_layer_only() -> None:
    net, x, labels = make_case([5, 6, 5, CLASSES])
    _, error = softmax_cross_entropy(net.forward(x), labels)
    net.backward_bp(error)
    exact = snapshot(net)
    assert all(np.any(gradient) for gradient in exact)
    for _ in range(2):
        net.backward_feedback(error, None)
        assert not any(np.any(gradient) for gradient in net.gradients[:-2])
        np.testing.assert_array_equal(net.gradients[-2], exact[-2])
        np.testing.assert_array_equal(net.gradients[-1], exact[-1])
    assert net.output_layer_only == [False] * 4 + [True] * 2
    net.backward_bp(error)
    np.testing.assert_array_equal(net.gradients[0], exact[0])


@pytest.mark.parametrize("method", ["bp", "feedback"])
def test_buffers_survive_changes_of_batch_size(method: str) -> None:
    net, x, labels = make_case([5, 6, CLASSES], batch=20)
    rng = np.random.default_rng(4)
    for rows in (8, 3, 8, 20, 1):
        used, fresh = net, make_case([5, 6, CLASSES])[0]
        signal = [rng.standard_normal((rows, 6))]
        for model in (used, fresh):
            _, error = softmax_cross_entropy(model.forward(x[:rows]), labels[:rows])
            if method == "bp":
                model.backward_bp(error)
            else:
                model.backward_feedback(error, signal)
        assert [h.shape for h in used.hidden_activations()] == [(rows, 6)]
        for ours, theirs in zip(used.gradients, fresh.gradients, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_predict_in_chunks_leaves_the_training_pass_alone() -> None:
    net, x, labels = make_case([5, 6, CLASSES])
    _, error = softmax_cross_entropy(net.forward(x), labels)
    net.backward_bp(error)
    exact = snapshot(net)
    logits = net.forward(x)
    kept = logits.copy()
    others = np.random.default_rng(5).standard_normal((11, 5))
    whole, pieces = net.predict(others), net.predict(others, chunk=4)
    np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(logits, kept)
    net.backward_bp(error)
    for ours, theirs in zip(net.gradients, exact, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert net.predict(others[:0]).shape == (0, CLASSES)


@pytest.mark.parametrize(("activation", "hidden_gain"), [("relu", 2.0), ("tanh", 1.0)])
def test_initial_weights_follow_the_stated_law(activation: str, hidden_gain: float) -> None:
    net = MLP([400, 300, 200], np.random.default_rng(0), activation)
    for weights, gain in zip(net.W, (hidden_gain, 1.0), strict=True):
        # The sample deviation of n normals has relative error 1 / sqrt(2 n): five of those.
        assert weights.std() == pytest.approx(np.sqrt(gain / len(weights)), rel=5 / np.sqrt(2 * weights.size))
        assert weights.dtype == np.float32
        assert weights.flags.c_contiguous
    again = MLP([400, 300, 200], np.random.default_rng(0), activation)
    np.testing.assert_array_equal(net.W[1], again.W[1])


def test_initial_weights_of_pytorch() -> None:
    net = MLP([400, 300, 200], np.random.default_rng(0), initial_weights="pytorch")
    for weights, biases in zip(net.W, net.b, strict=True):
        for array in (weights, biases):
            scaled = array * np.sqrt(len(weights))
            # Uniform in -1 .. 1: x^2 has mean 1 / 3 and variance 4 / 45.
            assert np.mean(scaled**2) == pytest.approx(1 / 3, abs=5 * np.sqrt(4 / 45 / array.size))
            assert 0.9 < np.abs(scaled).max() < 1 + 1e-6
            assert array.dtype == np.float32


def test_float32_throughout() -> None:
    net, x, labels = make_case([5, 6, CLASSES], dtype=np.float32)
    logits = net.forward(x.astype(np.float64))
    for loss in LOSSES.values():
        _, error = loss(logits, labels)
        assert error.dtype == np.float32
    net.backward_bp(error)
    assert {array.dtype for array in (logits, *net.parameters, *net.gradients)} == {np.dtype(np.float32)}
    assert [g.shape for g in net.gradients] == [p.shape for p in net.parameters]


def test_no_hidden_layer() -> None:
    net, x, labels = make_case([5, CLASSES])
    _, error = softmax_cross_entropy(net.forward(x), labels)
    net.backward_bp(error)
    exact = snapshot(net)
    net.backward_feedback(error, [])
    np.testing.assert_array_equal(net.gradients[0], exact[0])
    assert net.hidden_sizes == ()


def test_wrong_arguments_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="must be one of relu, tanh"):
        MLP([3, 2], rng, "sigmoid")
    with pytest.raises(ValueError, match="two widths"):
        MLP([3], rng)
    with pytest.raises(ValueError, match="float32 or float64"):
        MLP([3, 2], rng, dtype=np.int32)
    net, x, labels = make_case([5, 6, CLASSES])
    with pytest.raises(ValueError, match="inputs of shape"):
        net.forward(x[:, :-1])
    _, error = softmax_cross_entropy(net.forward(x), labels)
    with pytest.raises(ValueError, match="error of shape"):
        net.backward_bp(error[:-1])
    with pytest.raises(ValueError, match="feedback shapes"):
        net.backward_feedback(error, [np.zeros((BATCH, 5))])
    for wrong in (labels[:-1], labels - CLASSES, labels + CLASSES):
        with pytest.raises(ValueError, match="labels"):
            softmax_cross_entropy(error, wrong)


def test_losses_have_their_stated_values() -> None:
    logits = np.array([[1.0, 0.0], [0.5, 2.0]])
    labels = np.array([0, 0])
    loss, error = mean_squared_error(logits, labels)
    assert loss == pytest.approx(0.5 * (0.0 + 0.25 + 4.0) / 2)
    np.testing.assert_allclose(error, [[0.0, 0.0], [-0.25, 1.0]])
    loss, error = softmax_cross_entropy(np.zeros((3, 4)), np.array([0, 1, 2]))
    assert loss == pytest.approx(np.log(4))
    np.testing.assert_allclose(error[0], [-0.25, 1 / 12, 1 / 12, 1 / 12])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_is_stable_at_huge_logits(dtype: type) -> None:
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, error = softmax_cross_entropy(logits, np.array([1, 0]))
    assert loss == pytest.approx((2e4 + np.log(3)) / 2)
    np.testing.assert_allclose(error, np.array([[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3]]) / 2, rtol=1e-6)


@given(
    logits=hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 12)), elements=st.floats(-1e4, 1e4)),
    seed=st.integers(0, 2**32 - 1),
)
def test_softmax_error_rows_sum_to_zero(logits: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, logits.shape[1], len(logits))
    before = logits.copy()
    loss, error = softmax_cross_entropy(logits, labels)
    assert loss >= 0
    np.testing.assert_allclose(error.sum(axis=1), 0, atol=1e-14)
    np.testing.assert_array_equal(logits, before)
