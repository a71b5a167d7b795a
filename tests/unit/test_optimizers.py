"""Optimizers against a plain implementation, masks, exact checkpoints, refusals."""

import numpy as np
import pytest

from dfa import optimizers
from dfa.optimizers import SGD, Adam, Optimizer, make_optimizer

SHAPES = [(5, 3), (3,), (3, 2)]
STEPS = 5
SETTINGS = [
    ("sgd", {"learning_rate": 0.1}),
    ("sgd", {"learning_rate": 0.1, "momentum": 0.9}),
    ("sgd", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("adam", {"learning_rate": 0.01}),
    ("adam", {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.05}),
    ("adam", {"learning_rate": 0.01, "beta1": 0.0, "beta2": 0.0}),
]


def arrays(seed: int, dtype: type = np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def plain_sgd(p, gradients, learning_rate=0.01, momentum=0.0, weight_decay=0.0):
    velocity = np.zeros_like(p)
    for gradient in gradients:
        velocity = momentum * velocity + gradient + weight_decay * p
        p = p - learning_rate * velocity
    return p


def plain_adam(p, gradients, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    """Algorithm 1 of Kingma & Ba (2015), line by line."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, gradient in enumerate(gradients, start=1):
        g = gradient + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        p = p - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return p


@pytest.mark.parametrize("chunk", [4, 65536])
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_matches_the_plain_implementation(name, settings, chunk, monkeypatch) -> None:
    # A chunk that divides no array's size: pieces must still cover every element once.
    monkeypatch.setattr(optimizers, "CHUNK", chunk)
    parameters, start = arrays(0), arrays(0)
    history = [arrays(seed) for seed in range(1, STEPS + 1)]
    kept = [[g.copy() for g in gradients] for gradients in history]
    optimizer = make_optimizer(name, parameters, **settings)
    for gradients in history:
        optimizer.step(gradients)
    plain = plain_sgd if name == "sgd" else plain_adam
    for index, (ours, first) in enumerate(zip(parameters, start, strict=True)):
        expected = plain(first, [gradients[index] for gradients in kept], **settings)
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)
        assert not np.allclose(ours, first)
        for gradients, before in zip(history, kept, strict=True):
            np.testing.assert_array_equal(gradients[index], before[index])


def test_first_adam_step_is_the_learning_rate() -> None:
    parameter = np.array([1.0, 1.0, 1.0])
    Adam([parameter], learning_rate=0.1).step([np.array([1e-3, -5.0, 0.0])])
    np.testing.assert_allclose(parameter, [0.9, 1.1, 1.0], rtol=1e-5)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_untrained_parameters_are_left_alone(name, settings) -> None:
    parameters, start = arrays(0), arrays(0)
    optimizer = make_optimizer(name, parameters, **settings)
    for seed in range(1, 4):
        optimizer.step(arrays(seed), trainable=[False, True, True])
    np.testing.assert_array_equal(parameters[0], start[0])
    assert not np.allclose(parameters[1], start[1])
    # Trained from now on, it moves as it would have from a fresh optimizer: its age is its own.
    fresh = arrays(0)
    optimizer.step(arrays(9))
    make_optimizer(name, fresh, **settings).step(arrays(9))
    np.testing.assert_array_equal(parameters[0], fresh[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_restored_state_continues_bit_for_bit(name, settings, dtype) -> None:
    parameters = arrays(0, dtype)
    optimizer = make_optimizer(name, parameters, **settings)
    for seed in (1, 2):
        optimizer.step(arrays(seed, dtype))
    state = optimizer.state()
    copies = [parameter.copy() for parameter in parameters]
    resumed = make_optimizer(name, copies, **settings)
    for seed in (3, 4, 5):
        optimizer.step(arrays(seed, dtype))
    # The state is a copy: the steps since then must not have reached it.
    resumed.restore(state)
    for seed in (3, 4, 5):
        resumed.step(arrays(seed, dtype))
    for ours, theirs in zip(copies, parameters, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, theirs)


def test_state_matters_for_the_continuation() -> None:
    """Control of the test above: a forgotten state does not continue the same way."""
    parameters = arrays(0)
    optimizer = Adam(parameters)
    optimizer.step(arrays(1))
    copies = [parameter.copy() for parameter in parameters]
    optimizer.step(arrays(2))
    Adam(copies).step(arrays(2))
    assert not np.allclose(copies[0], parameters[0], rtol=1e-12)


def test_learning_rate_can_be_scheduled() -> None:
    parameter = np.zeros(2)
    optimizer: Optimizer = SGD([parameter], learning_rate=1.0)
    optimizer.step([np.ones(2)])
    optimizer.learning_rate = 0.5
    optimizer.step([np.ones(2)])
    np.testing.assert_array_equal(parameter, [-1.5, -1.5])


def test_wrong_arguments_are_refused() -> None:
    parameters = arrays(0)
    with pytest.raises(ValueError, match="must be one of sgd, adam"):
        make_optimizer("rmsprop", parameters)
    for name, settings in (
        ("sgd", {"learning_rate": 0.0}),
        ("sgd", {"momentum": 1.0}),
        ("sgd", {"weight_decay": -1.0}),
        ("adam", {"learning_rate": float("nan")}),
        ("adam", {"beta1": 1.0}),
        ("adam", {"beta2": -0.1}),
        ("adam", {"epsilon": 0.0}),
    ):
        with pytest.raises(ValueError, match=f"{next(iter(settings))} = .*must be"):
            make_optimizer(name, parameters, **settings)
    with pytest.raises(ValueError, match="C-contiguous"):
        SGD([np.zeros((3, 2)).T])
    with pytest.raises(ValueError, match="gradient 0 has shape"):
        SGD(parameters).step([parameters[0].T, *parameters[1:]])


def test_foreign_state_is_refused_and_changes_nothing() -> None:
    optimizer = Adam(arrays(0))
    optimizer.step(arrays(1))
    before = optimizer.state()
    with pytest.raises(ValueError, match="optimizer state has"):
        optimizer.restore(SGD(arrays(0)).state())
    wrong = Adam(arrays(0, np.float32)).state()
    with pytest.raises(ValueError, match="must be float64"):
        optimizer.restore(wrong)
    for name, array in optimizer.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_decay_where_it_is_asked_for(name: str) -> None:
    """A parameter is decayed, or goes as it goes without any decay."""
    gradients = arrays(1)

    def moved(weight_decay: float, decayed: list[bool] | None) -> list[np.ndarray]:
        parameters = arrays(0)
        optimizer = make_optimizer(name, parameters, decayed, learning_rate=0.1, weight_decay=weight_decay)
        for _ in range(STEPS):
            optimizer.step(gradients)
        return parameters

    without, everywhere, first = moved(0.0, None), moved(0.05, None), moved(0.05, [True, False, False])
    assert np.array_equal(first[0], everywhere[0])
    assert not np.array_equal(first[0], without[0])
    for one, other in zip(first[1:], without[1:], strict=True):
        assert np.array_equal(one, other)


def test_a_flag_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="decayed has 2 flags: must have 3"):
        SGD(arrays(0), decayed=[True, False])


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_all_cores_give_the_numbers_of_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces shared between threads against the same pieces one after the other."""
    shapes = [(3, optimizers.CHUNK), (5,), (2 * optimizers.CHUNK + 7,)]

    def trained() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        parameters = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        optimizer = make_optimizer(name, parameters, learning_rate=0.01, weight_decay=0.1)
        for _ in range(3):
            optimizer.step([rng.standard_normal(shape).astype(np.float32) for shape in shapes])
        return [*parameters, *optimizer.state().values()]

    shared = trained()
    assert sum(parameter.size for parameter in shared[:3]) >= optimizers.SHARED
    monkeypatch.setattr(optimizers, "SHARED", 10**9)
    assert all(np.array_equal(a, b) for a, b in zip(shared, trained(), strict=True))
