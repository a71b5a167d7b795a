"""Language as a task: what a batch is, what is measured, schedules and clipping, feedback's normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfa.config import Experiment, LayersConfig, TransformerConfig, load_experiment
from dfa.data import load_dataset
from dfa.feedback import NORMALISATIONS, Feedback
from dfa.interruption import Interrupted
from dfa.language import Text
from dfa.losses import PIECE, softmax_cross_entropy
from dfa.network import MLP
from dfa.optimizers import clip_by_norm
from dfa.schedule import Schedule
from dfa.task import make_task
from dfa.text import Corpus, characters
from dfa.trainer import Trainer
from dfa.transformer import Transformer
from dfa.transformer.buffers import Buffers
from opu_sim.errors import ConfigError

SMALL = {
    "model.width": 16,
    "model.blocks": 2,
    "model.heads": 2,
    "model.context": 8,
    "trainer.batch_size": 4,
    "trainer.epochs": 2,
    "trainer.alignment_every": 5,
    "data.validation": 60,
    "data.epoch_tokens": 10**6,
}
WORDS = "the cat sat on the mat and the dog sat on the log "


def text(length: int = 1500) -> str:
    rng = np.random.default_rng(3)
    return "".join(rng.choice(WORDS.split(), length // 3))[:length]


CORPUS = characters("small", text())


def experiment(method: str = "bp", **overrides: Any) -> Experiment:
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_experiment("shakespeare-gpt", method=method, seed=1, settings={**SMALL, **changes})


# --- batches and measures -------------------------------------------------------------------------------------


def test_batches_are_windows_that_depend_on_seed_and_epoch_alone() -> None:
    task = Text(experiment(), CORPUS)
    batches = list(task.batches(0))
    assert len(batches) == task.steps == math.ceil(((len(CORPUS.train) - 8) // 8) / 4)
    starts = set()
    for tokens, labels in batches:
        np.testing.assert_array_equal(tokens[:, 1:].ravel(), labels.reshape(-1, 8)[:, :-1].ravel())
        assert tokens.shape[0] <= 4
        starts |= {row.tobytes() for row in tokens}
    # From any batch on, the same; another epoch has another order and another offset.
    for (tokens, labels), (again, their) in zip(batches[3:], task.batches(0, 3), strict=True):
        np.testing.assert_array_equal(tokens, again)
        np.testing.assert_array_equal(labels, their)
    others = {row.tobytes() for tokens, _ in task.batches(1) for row in tokens}
    assert others != starts
    assert len(list(task.batches(1))) == task.steps


def test_an_epoch_may_show_less_than_the_whole_text() -> None:
    short = Text(experiment(data__epoch_tokens=90), CORPUS)  # 12 windows of 8
    whole = Text(experiment(), CORPUS)
    assert short.steps == 3
    first = next(iter(whole.batches(0)))[0]
    np.testing.assert_array_equal(next(iter(short.batches(0)))[0], first)
    assert Text(experiment(data__epoch_tokens=10**9), CORPUS).steps == whole.steps


def test_perplexity_is_that_of_all_tokens_at_once() -> None:
    task = Text(experiment(), CORPUS)
    model = task.make_model()
    found = task.evaluate(model, "test")
    count = (len(CORPUS.test) - 1) // 8
    tokens = np.stack([CORPUS.test[8 * n : 8 * n + 8] for n in range(count)])
    labels = np.concatenate([CORPUS.test[8 * n + 1 : 8 * n + 9] for n in range(count)])
    logits = model.predict(tokens).astype(np.float64)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(chance[np.arange(len(labels)), labels]))
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert found["accuracy"] == np.mean(logits.argmax(axis=1) == labels)
    # Of the parts that are cut to a size, the leading tokens.
    assert len(task.parts["validation"]) == 60
    assert len(task.parts["train"]) == len(CORPUS.test)
    assert set(Text(experiment(data__validation=0), CORPUS).parts) == {"train", "test"}
    assert task.score({"loss": 1.0}) > task.score({"loss": 2.0})


def test_what_does_not_fit_is_refused() -> None:
    wide = Corpus("wide", tuple(map(str, range(66))), CORPUS.train, CORPUS.validation, CORPUS.test)
    with pytest.raises(ConfigError, match=r"^model\.vocabulary = 65: wide has 66 distinct tokens; must be"):
        Text(experiment(), wide)
    with pytest.raises(ConfigError, match=r"^data\.validation = 8: the validation part has 8 tokens"):
        Text(experiment(data__validation=8), CORPUS)
    with pytest.raises(ConfigError, match=r"^model\.context = 75: the train part has 72 tokens"):
        Text(experiment(model__context=75), CORPUS)
    with pytest.raises(ConfigError, match=r"^model\.kind = 'mlp': small is a text; must be 'transformer'"):
        make_task(load_experiment("digits-mlp"), CORPUS)
    with pytest.raises(ConfigError, match=r"^model\.kind = 'transformer': digits is neither a graph nor a text"):
        make_task(experiment(), load_dataset("digits", validation=10, seed=0))
    with pytest.raises(ConfigError, match=r"^data\.epoch_tokens = 1000000: digits is no text; must be left out"):
        make_task(experiment(data__name="digits"))
    with pytest.raises(ConfigError, match=r"^data\.vocabulary = 100: digits is no text"):
        make_task(load_experiment("digits-mlp", settings={"data.vocabulary": 100}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.heads", 3, "model.heads = 3: must divide width = 16"),
        ("model.hidden", [3], "model.hidden: unknown key"),
        ("model.width", 0, "model.width = 0: must be an integer >= 1"),
        ("model.kind", "cnn", "model.kind = 'cnn': must be one of 'mlp', 'gcn', 'transformer'"),
        ("model.injection", "nano", "must be one of 'macro', 'micro'"),
        ("trainer.dropout", 0.5, "trainer.dropout = 0.5: must be 0 for a transformer"),
        ("trainer.loss", "mean_squared_error", "must be 'softmax_cross_entropy' for a transformer"),
        ("trainer.feedback_normalisation", "batch", "must be one of 'width', 'principled', 'widest', 'unit'"),
    ],
)
def test_settings_are_refused_in_one_line(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as info:
        experiment(**{key.replace(".", "__"): value})
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_plateau_needs_something_to_watch() -> None:
    with pytest.raises(ConfigError, match=r"data\.validation = 0: must be >= 1 where trainer\.schedule"):
        experiment(trainer__schedule="plateau", data__validation=0)


def test_kinds_of_models_keep_their_types() -> None:
    assert isinstance(experiment().model, TransformerConfig)
    assert isinstance(load_experiment("digits-mlp").model, LayersConfig)


def test_a_text_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text(text(), encoding="utf-8")
    own = experiment(data__name=str(path))
    np.testing.assert_array_equal(make_task(own).parts["test"], CORPUS.test)
    before = own.sha256
    path.write_text(text() + "!", encoding="utf-8")
    assert own.sha256 != before
    path.write_bytes(b"ab\xffcd")
    with pytest.raises(ConfigError, match=r"own\.txt: byte 2 is not UTF-8"):
        make_task(own)
    with pytest.raises(ConfigError, match=r"data\.name = 'no\.txt': no such file"):
        experiment(data__name="no.txt")


# --- training ---------------------------------------------------------------------------------------------------


def stopping_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1, 10_000))
    return lambda: next(asked) >= steps


@pytest.mark.parametrize("method", ["bp", "odfa"])
def test_a_break_changes_no_bit(method: str, tmp_path: Path) -> None:
    chosen = experiment(
        method, trainer__schedule="plateau", trainer__plateau_patience=0, trainer__warmup_steps=9, trainer__epochs=3
    )

    def record(trainer: Trainer) -> Any:
        progress = trainer.progress
        rows = [{key: value for key, value in row.items() if key != "host_s"} for row in progress.history]
        return [p.tobytes() for p in trainer.network.parameters], rows, progress.alignments, trainer.schedule.state()

    with Trainer(chosen, data=CORPUS) as trainer:
        trainer.fit()
        whole = record(trainer)
        steps = trainer.steps
    assert len(whole[2]) == math.ceil(3 * steps / 5)
    path = tmp_path / "checkpoint.npz"
    for stop in (7, steps + 2 - 7):  # in the first epoch, and in the second
        with Trainer(chosen, path, should_stop=stopping_after(stop), data=CORPUS) as trainer:
            if path.exists():
                trainer.resume()
            with pytest.raises(Interrupted):
                trainer.fit()
    with Trainer(chosen, path, data=CORPUS) as trainer:
        trainer.resume()
        trainer.fit()
        assert record(trainer) == whole


def test_feedback_beats_shallow_training_and_the_shares_of_the_characters() -> None:
    """A model of the characters' shares alone has the perplexity exp(entropy); shallow training has random features."""
    shares = np.bincount(CORPUS.train) / len(CORPUS.train)
    alone = float(np.exp(-np.sum(shares * np.log(shares))))
    found = {}
    for method in ("bp", "dfa", "odfa", "shallow"):
        chosen = experiment(method, model__width=32, trainer__epochs=15, trainer__learning_rate=1e-3)
        with Trainer(chosen, data=CORPUS) as trainer:
            trainer.fit()
            found[method] = trainer.metrics()["test"]["perplexity"]
    assert 1 < found["bp"] < min(found["dfa"], found["odfa"]), found
    assert max(found["dfa"], found["odfa"]) < 0.8 * found["shallow"], found
    assert found["shallow"] < alone, found


def test_feedback_on_the_normed_stream_keeps_the_stream_small() -> None:
    """Orthogonal to the stream, feedback turns it; straight on the stream (the control) it makes it longer."""
    spread = {}
    for point, error in (("normed", "head"), ("stream", "stream")):
        chosen = experiment("dfa", model__width=32, model__feedback_point=point, model__error_point=error)
        with Trainer(chosen, data=CORPUS) as trainer:
            trainer.fit()
            stream = np.empty((1, 8, 32), np.float32)
            model = trainer.network
            assert isinstance(model, Transformer)
            model.embedding.forward(CORPUS.test[None, :8], stream)
            rows = stream.reshape(8, 32)
            for attention, feed_forward in model.blocks:
                attention.forward(rows, (1, 8), Buffers(np.float32), Buffers(np.float32))
                feed_forward.forward(rows, Buffers(np.float32), Buffers(np.float32))
            spread[point] = float(rows.std(axis=1).mean())
    assert 0.1 < spread["normed"] < 3, (
        spread
    )  # at the start: about sqrt(2 / 32) = 0.25 from the embeddings, and branches
    assert spread["stream"] > 3 * spread["normed"], spread


# --- loss, schedule, clipping, feedback -------------------------------------------------------------------------


def test_loss_in_pieces_and_in_place_has_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((7, PIECE // 3)).astype(np.float32)  # three rows a piece, one in the last
    labels = rng.integers(0, logits.shape[1], 7)
    loss, error = softmax_cross_entropy(logits, labels)
    one_by_one = [softmax_cross_entropy(logits[n : n + 1], labels[n : n + 1]) for n in range(7)]
    np.testing.assert_array_equal(error, np.concatenate([e for _, e in one_by_one]) / np.float32(7))
    assert loss == pytest.approx(np.mean([value for value, _ in one_by_one]), rel=1e-6)
    again, same = softmax_cross_entropy(logits, labels, out=logits)
    assert same is logits
    assert again == loss
    np.testing.assert_array_equal(same, error)


def test_plateau_cuts_after_patience() -> None:
    chosen = experiment(trainer__schedule="plateau", trainer__plateau_patience=1, trainer__learning_rate=1.0)
    schedule = Schedule(chosen.trainer)
    rates = []
    for loss in (3.0, 2.0, 2.0, 1.9999, 1.0, 1.1, 1.2, 1.3, 1.4):
        schedule.close_epoch(loss)
        rates.append(schedule.rate(10))
    # 1.9999 is no fall by one in 10^4: second epoch without, which is one more than patience.
    assert rates == pytest.approx([1, 1, 1, 0.2, 0.2, 0.2, 0.04, 0.04, 0.008])
    again = Schedule(chosen.trainer)
    again.restore(schedule.state())
    assert again.rate(0) == schedule.rate(0)
    constant = Schedule(experiment(trainer__learning_rate=1.0).trainer)
    for loss in (1.0, 2.0, 3.0, 4.0):
        constant.close_epoch(loss)
    assert constant.rate(0) == 1.0


def test_warm_up_is_linear() -> None:
    schedule = Schedule(experiment(trainer__warmup_steps=4, trainer__learning_rate=2.0).trainer)
    assert [schedule.rate(step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_clipping_bounds_the_joint_norm() -> None:
    gradients = [np.array([[3.0, 0.0]]), np.array([4.0])]
    assert clip_by_norm(gradients, 10.0) == 5.0
    assert gradients[1][0] == 4.0  # within the limit: untouched
    assert clip_by_norm(gradients, 1.0) == 5.0
    np.testing.assert_allclose(gradients[0], [[0.6, 0.0]], rtol=1e-12)
    np.testing.assert_allclose(gradients[1], [0.8], rtol=1e-12)


@pytest.mark.parametrize("name", sorted(NORMALISATIONS))
def test_normalisations_have_their_spread(name: str) -> None:
    """The standard deviation of n normal entries scatters by 1 / sqrt(2 n) of itself."""
    hidden, classes = (300, 800), 10
    chosen = load_experiment(
        "digits-mlp",
        method="dfa",
        settings={"trainer.feedback_normalisation": name, "trainer.feedback_gain": 0.5, "model.hidden": list(hidden)},
    )
    network = MLP([64, *hidden, classes], np.random.default_rng(0))
    wanted = {
        "width": [300**-0.5, 800**-0.5],
        "principled": [(300 * 10) ** -0.5, (800 * 10) ** -0.5],
        "widest": [800**-0.5] * 2,
        "unit": [1.0, 1.0],
    }[name]
    feedback = Feedback(chosen, network)
    assert feedback.projector is not None
    with feedback.projector:
        matrices = feedback.project(np.eye(classes, dtype=np.float32))
    for matrix, spread in zip(matrices, wanted, strict=True):
        assert np.std(matrix) == pytest.approx(0.5 * spread, rel=5 / math.sqrt(2 * matrix.size))


def test_shared_outputs_are_one_matrix_sliced() -> None:
    settings = {"trainer.feedback_outputs": "shared", "model.hidden": [30, 50]}
    chosen = load_experiment("digits-mlp", method="dfa", settings=settings)
    network = MLP([64, 30, 50, 10], np.random.default_rng(0))
    feedback = Feedback(chosen, network)
    assert feedback.projector is not None
    assert feedback.projector.n_out == 50
    error = np.random.default_rng(1).standard_normal((4, 10)).astype(np.float32)
    with feedback.projector:
        narrow, wide = feedback.project(error)
    np.testing.assert_allclose(narrow * 30**0.5, wide[:, :30] * 50**0.5, rtol=1e-5)
    own = Feedback(load_experiment("digits-mlp", method="dfa", settings={"model.hidden": [30, 50]}), network)
    assert own.projector is not None
    assert own.projector.n_out == 80
