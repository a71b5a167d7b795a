"""The shipped mnist-microring: what its noise adds to a feedback, how it begins and validates, as published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfa.config import load_experiment
from dfa.feedback import Feedback
from dfa.losses import softmax_cross_entropy
from dfa.task import make_task
from dfa.trainer import Trainer
from opu_sim import load_device
from opu_sim.errors import ConfigError

WIDTH, BATCH = 800, 64


def feedback(**changes: Any) -> Feedback:
    """The experiment's way of the error, on the embedded digits in place of MNIST."""
    settings = {"data.name": "digits", "data.validation": 100, **{f"device.{k}": v for k, v in changes.items()}}
    experiment = load_experiment("mnist-microring", settings=settings)
    return Feedback(experiment, make_task(experiment).make_model())


def errors() -> np.ndarray:
    """A batch of a network that gets most of it right: few large errors, many small ones."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, BATCH)
    logits = 2 * rng.standard_normal((BATCH, 10)) + 6 * np.eye(10)[labels]
    return softmax_cross_entropy(logits.astype(np.float32), labels)[1]


def projected(way: Feedback, error: np.ndarray) -> np.ndarray:
    assert way.projector is not None
    with way.projector:
        return np.concatenate(way.project(error), axis=1).astype(np.float64)


def test_feedback_is_uniform_over_the_root_of_the_width() -> None:
    """B uniform in -1 .. 1, each layer's own, and B e / sqrt(width)."""
    way = feedback(fidelity="ideal")
    assert way.widths == (WIDTH, WIDTH)
    matrix = projected(way, np.eye(10, dtype=np.float32)) * WIDTH**0.5
    # Of 16,000 entries the largest is within 1/1000 of the end, but for one time in e^16.
    assert 0.999 < np.abs(matrix).max() <= 1.0001
    assert matrix.std() == pytest.approx(3**-0.5, rel=0.01)  # a relative deviation of 0.35 %
    assert not np.allclose(matrix[:, :WIDTH], matrix[:, WIDTH:])
    error = errors()
    np.testing.assert_allclose(projected(way, error), error @ matrix / WIDTH**0.5, atol=1e-6)


@pytest.mark.parametrize("std", [0.618, 1.278])
def test_noise_is_that_of_the_published_code(std: float) -> None:
    """u = e B + max|e| N(0.03, std), max over the whole batch, u / sqrt(width)."""
    error = errors()
    exact = projected(feedback(fidelity="ideal"), error)
    way = feedback(fidelity="mac", **{"mac.error_std": std})
    noise = (projected(way, error) - exact) * WIDTH**0.5 / np.abs(error).max()
    count = noise.size
    assert noise.mean() == pytest.approx(0.03, abs=5 * std / count**0.5)
    assert noise.std() == pytest.approx(std, rel=5 / (2 * count) ** 0.5)
    # Every vector has the noise of the batch's largest error, and every symbol its own.
    assert noise.std(axis=1) == pytest.approx(std, rel=6 / (2 * 2 * WIDTH) ** 0.5)
    again = (projected(way, error) - exact) * WIDTH**0.5 / np.abs(error).max()
    assert abs(np.corrcoef(noise.ravel(), again.ravel())[0, 1]) < 5 / count**0.5


def test_a_full_scale_a_vector_has_less_noise() -> None:
    """The control: noise that follows each vector's own largest error is no longer that of the published code."""
    error = errors()
    exact = projected(feedback(fidelity="ideal"), error)
    noise = projected(feedback(fidelity="mac", **{"modulator.scaling": "vector"}), error) - exact
    largest = np.abs(error).max(axis=1)
    share = np.sqrt(np.mean((largest / largest.max()) ** 2))
    assert share < 0.6
    assert np.sqrt(np.mean(noise**2)) * WIDTH**0.5 / largest.max() == pytest.approx(
        share * np.hypot(0.618, 0.03), rel=0.03
    )


def test_converters_lose_small_errors_at_one_full_scale_a_batch() -> None:
    """Why the variant `device` has one a vector: errors under a step of the batch's scale hardly come back."""
    error, slopes = errors(), {}
    largest = np.abs(error).max(axis=1)
    small = largest < 0.01 * largest.max()
    assert small.sum() >= 5
    for scaling in ("batch", "vector"):
        with load_device("filipovich-50x20", n_in=10, n_out=200, **{"modulator.scaling": scaling}) as bank:
            exact = (error @ bank.matrix().T)[small].astype(np.float64)
            mean = np.mean([bank.project(error)[small] for _ in range(20)], axis=0)
        slopes[scaling] = float(np.sum(mean * exact) / np.sum(exact**2))
    assert slopes["vector"] == pytest.approx(1.0, abs=0.02)
    assert slopes["batch"] < 0.7


def test_protocol() -> None:
    experiment = load_experiment("mnist-microring")
    assert experiment.model.hidden == [800, 800]  # type: ignore[union-attr]
    trainer = experiment.trainer
    assert (trainer.optimizer, trainer.learning_rate, trainer.momentum, trainer.batch_size) == ("sgd", 0.01, 0.9, 64)
    assert (trainer.epochs, trainer.selection, trainer.schedule) == (20, "best-validation", "constant")
    assert (experiment.data.validation, experiment.data.validation_from) == (5000, "test")


def test_a_short_run_learns_and_reports_its_best_epoch() -> None:
    settings = {"data.name": "digits", "data.validation": 180, "trainer.epochs": 4, "model.hidden": [100, 100]}
    with Trainer(load_experiment("mnist-microring", settings=settings)) as trainer:
        history = trainer.fit()
        tested = trainer.metrics()["test"]["accuracy"]
        assert trainer.best is not None
        best = max(row["validation_accuracy"] for row in history)
        assert best == history[trainer.best.epoch - 1]["validation_accuracy"]
        with trainer.best.applied():
            assert tested == trainer.evaluate("test")["accuracy"]
    assert best > 0.35  # three and a half times chance, after 92 steps
    assert trainer.steps == -(-1437 // 64)  # all training samples train


def test_validation_from_the_test_part_is_for_samples() -> None:
    experiment = load_experiment("cora-gcn", settings={"data.validation_from": "test"})
    with pytest.raises(ConfigError, match=r"data\.validation_from = 'test': must be 'train' for cora"):
        make_task(experiment)
    with pytest.raises(ConfigError, match=r"initial_weights = 'pytorch': must be 'scaled' for a gcn"):
        load_experiment("cora-gcn", settings={"model.initial_weights": "pytorch"})
