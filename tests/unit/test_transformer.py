"""Transformer: against a naive twin, finite differences and PyTorch; causality; where feedback enters."""

from collections.abc import Callable

import numpy as np
import pytest

from dfa.losses import softmax_cross_entropy
from dfa.model import Model
from dfa.parallel import for_each
from dfa.transformer import Transformer

VOCABULARY, CONTEXT, WIDTH, HIDDEN, BLOCKS = 7, 5, 6, 8, 2
SEQUENCES, LENGTH = 3, 4
ROWS = SEQUENCES * LENGTH


def make_case(
    seed: int = 3, dtype: type = np.float64, **settings: object
) -> tuple[Transformer, np.ndarray, np.ndarray]:
    """A small network with no parameter at a special value, tokens and next tokens."""
    rng = np.random.default_rng(seed)
    sizes = {"width": WIDTH, "blocks": BLOCKS, "heads": 2, "hidden": HIDDEN} | settings
    net = Transformer(VOCABULARY, CONTEXT, rng, dtype=dtype, **sizes)
    for parameter in net.parameters:
        if parameter.ndim == 1:
            parameter += 0.1 * rng.standard_normal(parameter.shape)
    tokens = rng.integers(0, VOCABULARY, (SEQUENCES, LENGTH))
    return net, tokens, rng.integers(0, VOCABULARY, ROWS)


def snapshot(net: Transformer) -> list[np.ndarray]:
    return [gradient.copy() for gradient in net.gradients]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def naive_norm(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return gain * (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-5) + shift


def naive_activation(name: str, a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0) if name == "relu" else a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3))) / 2


def naive_logits(
    net: Transformer,
    tokens: np.ndarray,
    nudges: list[np.ndarray] | None = None,
    pre_activations: list[np.ndarray] | None = None,
) -> np.ndarray:
    """Token by token and head by head, from the list of parameters alone; nudges are added at the micro points."""
    parameters = iter(net.parameters)
    embedding, positions = next(parameters), next(parameters)
    length, w = tokens.shape[1], net.width // net.heads
    x = [embedding[token] + positions[row % length] for row, token in enumerate(tokens.ravel())]
    points = iter(nudges or [np.zeros((tokens.size, n)) for n in (net.width, net.hidden, net.width) * len(net.blocks)])
    for _ in net.blocks:
        gain, shift, w_qkv, b_qkv, w_o, b_o, gain_2, shift_2, w_1, b_1, w_2, b_2 = (next(parameters) for _ in range(12))
        qkv = [naive_norm(row, gain, shift) @ w_qkv + b_qkv for row in x]
        nudge, attended = next(points), []
        for t in range(len(x)):
            seen, heads = range(t - t % length, t + 1), []
            for h in range(net.heads):
                q = qkv[t][h * w : (h + 1) * w]
                k = [qkv[s][net.width + h * w : net.width + (h + 1) * w] for s in seen]
                v = [qkv[s][2 * net.width + h * w : 2 * net.width + (h + 1) * w] for s in seen]
                scores = np.exp([q @ one / np.sqrt(w) for one in k])
                heads.append(sum(p * one for p, one in zip(scores / scores.sum(), v, strict=True)))
            attended.append(x[t] + np.concatenate(heads) @ w_o + b_o + nudge[t])
        middle, nudge = next(points), next(points)
        x = []
        for t, row in enumerate(attended):
            a = naive_norm(row, gain_2, shift_2) @ w_1 + b_1
            if pre_activations is not None:
                pre_activations.append(a)
            h = naive_activation(net.activation, a)
            x.append(row + (h + middle[t]) @ w_2 + b_2 + nudge[t])
    gain, shift = next(parameters), next(parameters)
    head = embedding if net.tied else next(parameters)
    bias = next(parameters)
    assert next(parameters, None) is None
    return np.array([naive_norm(row, gain, shift) @ head.T + bias for row in x])


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


def true_point_gradients(net: Transformer, tokens: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """dL/d of what passes each micro point, by nudging the naive twin there."""
    nudges = [np.zeros((tokens.size, n)) for n in (net.width, net.hidden, net.width) * len(net.blocks)]

    def loss() -> float:
        return softmax_cross_entropy(naive_logits(net, tokens, nudges), labels)[0]

    return [numerical_gradient(loss, nudge) for nudge in nudges]


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("tied", [False, True])
def test_forward_is_that_of_the_naive_twin(activation: str, tied: bool) -> None:
    net, tokens, _ = make_case(activation=activation, tied=tied)
    expected = naive_logits(net, tokens)
    np.testing.assert_allclose(net.forward(tokens), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(net.predict(tokens), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("tied", [False, True])
def test_back_propagation_matches_finite_differences(activation: str, tied: bool) -> None:
    net, tokens, labels = make_case(activation=activation, tied=tied)
    pre_activations: list[np.ndarray] = []
    naive_logits(net, tokens, pre_activations=pre_activations)
    # The difference quotient of a relu is only valid if no unit crosses its kink within the step.
    assert activation == "gelu" or np.abs(pre_activations).min() > 2e-4
    net.backward_bp(softmax_cross_entropy(net.forward(tokens), labels)[1])
    exact = snapshot(net)
    for parameter, gradient in zip(net.parameters, exact, strict=True):
        expected = numerical_gradient(lambda: softmax_cross_entropy(net.predict(tokens), labels)[0], parameter)
        # Keys' biases shift all scores of a row alike, so their gradient is exactly zero: hence the absolute part.
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("injection", ["macro", "micro"])
def test_true_errors_at_the_feedback_points_give_back_propagation(injection: str, tied: bool) -> None:
    net, tokens, labels = make_case(injection=injection, tied=tied, feedback_point="stream")
    tokens, labels = tokens[:2, :3], labels[:6]
    points = true_point_gradients(net, tokens, labels)
    feedback = points if injection == "micro" else points[2::3]
    assert [signal.shape for signal in feedback] == [(6, width) for width in net.feedback_widths]
    _, error = softmax_cross_entropy(net.forward(tokens), labels)
    net.backward_bp(error)
    exact = snapshot(net)
    kept = [signal.copy() for signal in feedback]
    net.backward_feedback(error, feedback)
    for ours, theirs in zip(net.gradients, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    for signal, before in zip(feedback, kept, strict=True):
        np.testing.assert_array_equal(signal, before)
    # Control: another error at one point changes that segment's weights, and those of no other segment.
    for point, segment in enumerate(net.segments):
        net.backward_feedback(error, [2 * s if n == point else s for n, s in enumerate(feedback)])
        changed = {at for at, gradient in enumerate(net.gradients) if distance(gradient, exact[at]) > 1e-3}
        first_block = {0, 1} if point == 0 else set()
        assert set(segment) | first_block <= changed
        assert not changed & {at for other in net.segments if other != segment for at in other}
        # Linear within the segment: twice the error is twice the gradient.
        for at in segment:
            np.testing.assert_allclose(net.gradients[at], 2 * exact[at], rtol=1e-5, atol=1e-9)


def normed_jacobian(x: np.ndarray) -> np.ndarray:
    """d x_hat / d x of one token, by differences."""

    def normed(x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)

    steps = 1e-6 * np.eye(len(x))
    return np.array([(normed(x + step) - normed(x - step)) / 2e-6 for step in steps]).T


@pytest.mark.parametrize("injection", ["macro", "micro"])
def test_feedback_on_the_normed_stream_goes_through_its_derivative(injection: str) -> None:
    normed, tokens, labels = make_case(injection=injection)
    straight, _, _ = make_case(injection=injection, feedback_point="stream")
    rng = np.random.default_rng(11)
    _, error = softmax_cross_entropy(normed.forward(tokens), labels)
    straight.forward(tokens)
    feedback = [rng.standard_normal((ROWS, width)) for width in normed.feedback_widths]
    carried = []
    for point, signal in enumerate(feedback):
        block, place = divmod(point, 3) if injection == "micro" else (point, 2)
        if place == 1:  # inside the feed-forward part, where there is no stream
            carried.append(signal)
            continue
        layer = 2 * block + (1 if place == 0 else 2)
        unit, inverse_std = (
            normed._kept[layer](name, ROWS, width) for name, width in (("unit", WIDTH), ("inverse_std", 1))
        )
        # The derivative does not depend on the mean, so that unit / inverse_std stands for x.
        tokens_and_feedback = zip(unit / inverse_std, signal, strict=True)
        carried.append(np.array([normed_jacobian(x).T @ f for x, f in tokens_and_feedback]))
    normed.backward_feedback(error, feedback)
    straight.backward_feedback(error, carried)
    for ours, theirs in zip(normed.gradients, straight.gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-8)
    # Control: without the derivative the gradients are others.
    straight.backward_feedback(error, feedback)
    assert distance(normed.gradients[normed.segments[-1][0]], straight.gradients[normed.segments[-1][0]]) > 0.1


def test_segments_are_all_the_weight_matrices_of_the_blocks() -> None:
    for injection, per_block in (("macro", 1), ("micro", 3)):
        net, _, _ = make_case(injection=injection)
        assert len(net.segments) == len(net.feedback_widths) == per_block * BLOCKS
        found = sorted(at for segment in net.segments for at in segment)
        between = [not above for above in net.output_layer_only]
        between[:2] = [False, False]  # embeddings
        assert found == [at for at, p in enumerate(net.parameters) if between[at] and p.ndim == 2]
    assert make_case(injection="micro")[0].feedback_widths == (WIDTH, HIDDEN, WIDTH) * BLOCKS


@pytest.mark.parametrize("tied", [False, True])
def test_the_head_trains_exactly_whatever_the_feedback(tied: bool) -> None:
    net, tokens, labels = make_case(tied=tied)
    _, error = softmax_cross_entropy(net.forward(tokens), labels)
    net.backward_bp(error)
    exact = snapshot(net)
    rng = np.random.default_rng(8)
    above = np.flatnonzero(net.output_layer_only)
    feedback = [rng.standard_normal((ROWS, width)) for width in net.feedback_widths]
    net.backward_feedback(error, feedback)
    for at in above[1:] if tied else above:  # a tied embedding has the first block's gradient too
        np.testing.assert_array_equal(net.gradients[at], exact[at])
    assert all(distance(net.gradients[at], exact[at]) > 0.1 for segment in net.segments for at in segment)
    for _ in range(2):
        net.backward_feedback(error, None)
        for at, (gradient, is_above) in enumerate(zip(net.gradients, net.output_layer_only, strict=True)):
            assert np.any(gradient) == is_above
            if is_above and not (tied and at == 0):
                np.testing.assert_array_equal(gradient, exact[at])
    net.backward_bp(error)
    for ours, theirs in zip(net.gradients, exact, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_tied_gradient_is_the_sum_of_both_uses() -> None:
    tied, tokens, labels = make_case(tied=True)
    untied, _, _ = make_case(tied=False)
    at = len(untied.parameters) - 2
    shared = [p for n, p in enumerate(untied.parameters) if n != at]
    for parameter, own in zip(shared, tied.parameters, strict=True):
        parameter[...] = own
    untied.parameters[at][...] = tied.embedding.rows
    for net in (tied, untied):
        net.backward_bp(softmax_cross_entropy(net.forward(tokens), labels)[1])
    np.testing.assert_allclose(tied.gradients[0], untied.gradients[0] + untied.gradients[at], rtol=1e-12, atol=1e-14)


def test_the_error_is_taken_below_the_vocabulary_projection() -> None:
    net, tokens, labels = make_case(error_point="head")
    _, error = softmax_cross_entropy(net.forward(tokens), labels)
    taken = net.feedback_error(error)
    assert taken.shape == (ROWS, net.error_width)
    np.testing.assert_allclose(taken, error @ net.head, rtol=1e-12, atol=1e-14)
    # Another error of the same batch is not mistaken for the first.
    np.testing.assert_allclose(net.feedback_error(2 * error), 2 * error @ net.head, rtol=1e-12, atol=1e-14)
    # Nor is what was found for an earlier head, where a loop writes its errors into one array.
    net.feedback_error(error)
    net.head *= 3
    net.forward(tokens)
    np.testing.assert_allclose(net.feedback_error(error), error @ net.head, rtol=1e-12, atol=1e-14)


def test_the_error_of_the_stream_is_what_the_last_block_would_get() -> None:
    net, tokens, labels = make_case(error_point="stream", feedback_point="stream")
    tokens, labels = tokens[:2, :3], labels[:6]
    last = true_point_gradients(net, tokens, labels)[-1]
    _, error = softmax_cross_entropy(net.forward(tokens), labels)
    for _ in range(2):
        np.testing.assert_allclose(net.feedback_error(error), last, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(net.feedback_error(error).sum(axis=1), 0, atol=1e-15)
    # As feedback of the last point it gives the last block its exact gradients, and only that block.
    net.backward_bp(error)
    exact = snapshot(net)
    net.backward_feedback(error, [net.feedback_error(error)] * BLOCKS)
    for at in net.segments[-1]:
        np.testing.assert_allclose(net.gradients[at], exact[at], rtol=1e-10, atol=1e-14)
    assert min(distance(net.gradients[at], exact[at]) for at in net.segments[0]) > 1e-2


def test_a_later_token_cannot_change_an_earlier_logit() -> None:
    net, tokens, _ = make_case()
    before = net.predict(tokens).reshape(SEQUENCES, LENGTH, -1)
    for at in range(LENGTH):
        changed = tokens.copy()
        changed[:, at] = (changed[:, at] + 1) % VOCABULARY
        after = net.predict(changed).reshape(SEQUENCES, LENGTH, -1)
        np.testing.assert_array_equal(after[:, :at], before[:, :at])
        # Control: the token itself and all later ones do change.
        assert np.abs(after[:, at:] - before[:, at:]).max(axis=-1).min() > 1e-6


def test_sequences_of_a_batch_do_not_meet() -> None:
    net, tokens, _ = make_case()
    together = net.predict(tokens).reshape(SEQUENCES, LENGTH, -1)
    np.testing.assert_allclose(net.predict(tokens, chunk=1), together.reshape(ROWS, -1), rtol=1e-12, atol=1e-12)
    changed = tokens.copy()
    changed[1] = (changed[1] + 1) % VOCABULARY
    np.testing.assert_allclose(net.predict(changed).reshape(together.shape)[[0, 2]], together[[0, 2]], rtol=1e-12)
    # A shorter sequence is the start of a longer one.
    short = net.predict(tokens[:, :2]).reshape(SEQUENCES, 2, -1)
    np.testing.assert_allclose(short, together[:, :2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["bp", "macro", "micro"])
def test_buffers_survive_changes_of_batch_and_length(method: str) -> None:
    settings = {} if method == "bp" else {"injection": method}
    used, tokens, labels = make_case(**settings)
    rng = np.random.default_rng(4)
    for sequences, length in ((2, 3), (3, 4), (1, 4), (3, 1), (3, 4)):
        rows = sequences * length
        signal = [rng.standard_normal((rows, width)) for width in used.feedback_widths]
        fresh = make_case(**settings)[0]
        for net in (used, fresh):
            _, error = softmax_cross_entropy(net.forward(tokens[:sequences, :length]), labels[:rows])
            net.predict(tokens)  # leaves the training pass alone
            if method == "bp":
                net.backward_bp(error)
            else:
                net.feedback_error(error)
                net.backward_feedback(error, signal)
        for ours, theirs in zip(used.gradients, fresh.gradients, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("injection", ["macro", "micro"])
def test_feedback_may_be_slices_of_one_projection(injection: str) -> None:
    net, tokens, labels = make_case(injection=injection)
    _, error = softmax_cross_entropy(net.forward(tokens), labels)
    projected = np.random.default_rng(2).standard_normal((ROWS, sum(net.feedback_widths)))
    ends = np.cumsum(net.feedback_widths)[:-1]
    net.backward_feedback(error, np.split(projected, ends, axis=1))
    sliced = snapshot(net)
    net.backward_feedback(error, [np.ascontiguousarray(part) for part in np.split(projected, ends, axis=1)])
    for ours, theirs in zip(sliced, net.gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_initial_weights_follow_the_stated_law() -> None:
    net = Transformer(300, 100, np.random.default_rng(0), width=128, blocks=2, heads=4)
    deviations = [128**-0.5, 128**-0.5]
    deviations += [128**-0.5, 0.5 * 128**-0.5, (2 / 128) ** 0.5, 0.5 * 512**-0.5] * 2 + [128**-0.5]
    matrices = [p for p in net.parameters if p.ndim == 2]
    for matrix, deviation in zip(matrices, deviations, strict=True):
        # The sample deviation of n normals has relative error 1 / sqrt(2 n): five of those.
        assert matrix.std() == pytest.approx(deviation, rel=5 / np.sqrt(2 * matrix.size))
        assert matrix.dtype == np.float32
    assert net.decayed == [p.ndim == 2 for p in net.parameters]
    again = Transformer(300, 100, np.random.default_rng(0), width=128, blocks=2, heads=4)
    for one, other in zip(net.parameters, again.parameters, strict=True):
        np.testing.assert_array_equal(one, other)


def test_float32_throughout_and_a_model() -> None:
    net, tokens, labels = make_case(dtype=np.float32)
    model: Model = net
    logits = model.forward(tokens)
    _, error = softmax_cross_entropy(logits, labels)
    model.backward_bp(error)
    arrays = (logits, model.predict(tokens), model.feedback_error(error), *model.parameters, *model.gradients)
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert [g.shape for g in model.gradients] == [p.shape for p in model.parameters]
    assert all(p.flags.c_contiguous for p in (*model.parameters, *model.gradients))
    wide = make_case()[0]
    for parameter, own in zip(wide.parameters, net.parameters, strict=True):
        parameter[...] = own
    wide.forward(tokens)
    wide.backward_bp(error.astype(np.float64))
    norm = np.sqrt(sum(float(np.sum(g**2)) for g in wide.gradients))
    for ours, theirs in zip(net.gradients, wide.gradients, strict=True):
        assert np.linalg.norm(ours - theirs) < 1e-5 * norm


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("tied", [False, True])
def test_back_propagation_is_that_of_pytorch(activation: str, tied: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the gradient is not compared with its")
    functional = torch.nn.functional
    rng = np.random.default_rng(0)
    net = Transformer(65, 32, rng, width=64, blocks=3, heads=4, activation=activation, tied=tied)
    tokens, labels = rng.integers(0, 65, (4, 32)), rng.integers(0, 65, 128)
    loss, error = softmax_cross_entropy(net.forward(tokens), labels)
    net.backward_bp(error)
    leaves = [torch.tensor(p, requires_grad=True) for p in net.parameters]
    parameters = iter(leaves)
    embedding, positions = next(parameters), next(parameters)
    x = embedding[torch.tensor(tokens)] + positions
    for _ in net.blocks:
        gain, shift, w_qkv, b_qkv, w_o, b_o, gain_2, shift_2, w_1, b_1, w_2, b_2 = (next(parameters) for _ in range(12))
        qkv = functional.layer_norm(x, (64,), gain, shift) @ w_qkv + b_qkv
        q, k, v = (part.reshape(4, 32, 4, 16).transpose(1, 2) for part in qkv.split(64, dim=-1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(1, 2).reshape(4, 32, 64) @ w_o + b_o
        a = functional.layer_norm(x, (64,), gain_2, shift_2) @ w_1 + b_1
        h = functional.relu(a) if activation == "relu" else functional.gelu(a, approximate="tanh")
        x = x + h @ w_2 + b_2
    x = functional.layer_norm(x, (64,), next(parameters), next(parameters))
    logits = x @ (embedding if tied else next(parameters)).T + next(parameters)
    theirs = functional.cross_entropy(logits.reshape(128, 65), torch.tensor(labels))
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-6)
    for at, (gradient, leaf) in enumerate(zip(net.gradients, leaves, strict=True)):
        expected = leaf.grad.numpy()
        if at % 12 == 5 and 2 <= at < 2 + 12 * len(net.blocks):
            # Keys' biases shift all scores of a row alike: their gradient is zero but for rounding.
            expected[64:128] = gradient[64:128] = 0
        assert distance(gradient, expected) < 1e-5


def test_every_piece_is_done_once_and_a_failure_is_heard() -> None:
    for count in (0, 1, 2, 7):
        done = np.zeros(count, int)

        def work(n: int, done: np.ndarray = done) -> None:
            done[n] += 1

        for_each(count, work)
        np.testing.assert_array_equal(done, 1)
    with pytest.raises(ZeroDivisionError):
        for_each(7, lambda n: 1 // (n - 3))


def test_what_overflows_is_the_callers_to_judge() -> None:
    net, tokens, _ = make_case(dtype=np.float32)
    net.parameters[2] *= np.float32(1e30)
    with np.errstate(all="ignore"):
        assert not np.isfinite(net.forward(tokens)).all()
    # Control: where nobody says so, it is a warning, an error here.
    with pytest.raises(RuntimeWarning):
        net.forward(tokens)


def test_wrong_arguments_are_refused() -> None:
    rng = np.random.default_rng(0)
    for settings, message in (
        ({"heads": 4}, "heads = 4: must divide width = 6"),
        ({"heads": 0}, "heads = 0: must divide"),
        ({"blocks": 0}, "blocks = 0: must be >= 1"),
        ({"hidden": 0}, "hidden = 0: must be >= 1"),
        ({"activation": "tanh"}, "activation = 'tanh': must be one of"),
        ({"injection": "nano"}, "injection = 'nano': must be one of macro, micro"),
        ({"error_point": "top"}, "error_point = 'top': must be one of head, stream"),
        ({"dtype": np.int32}, "float32 or float64"),
    ):
        with pytest.raises(ValueError, match=message):
            Transformer(5, 4, rng, **({"width": 6, "heads": 2} | settings))
    net, tokens, labels = make_case()
    for wrong in (tokens.astype(float), tokens[0], np.zeros((1, CONTEXT + 1), int), np.zeros((2, 0), int)):
        with pytest.raises(ValueError, match=f"must be integers .sequences, length. of 1 to {CONTEXT}"):
            net.forward(wrong)
    for wrong in (tokens - VOCABULARY, tokens + VOCABULARY):
        with pytest.raises(ValueError, match=f"must be within 0..{VOCABULARY - 1}"):
            net.forward(wrong)
    _, error = softmax_cross_entropy(net.forward(tokens), labels)
    with pytest.raises(ValueError, match="error of shape"):
        net.backward_bp(error[:-1])
    with pytest.raises(ValueError, match="feedback shapes"):
        net.backward_feedback(error, [np.zeros((ROWS, WIDTH))])
