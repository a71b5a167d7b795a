"""`opu bench pytorch`: both sides compute the same; what it reports."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.pytorch.case import BATCH, CASES, SIZES, images
from benchmarks.pytorch.measure import table
from dfa.losses import softmax_cross_entropy
from dfa.network import MLP

TORCH = importlib.util.find_spec("torch") is not None


@pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")
def test_both_sides_have_the_same_gradients() -> None:
    import torch

    from benchmarks.pytorch.models import DfaMlp

    theirs = DfaMlp("adam")
    ours = MLP(SIZES, np.random.default_rng(0))
    for layer, weights, bias in zip(theirs.layers, ours.W, ours.b, strict=True):
        weights[...] = layer.weight.detach().numpy().T
        bias[...] = layer.bias.detach().numpy()
    x, y = images(BATCH)
    logits = ours.forward(x)
    correct = int(np.count_nonzero(logits.argmax(axis=1) == y))
    loss, error = softmax_cross_entropy(logits, y)
    ours.backward_feedback(error, np.split(error @ theirs.feedback.numpy(), np.cumsum(theirs.widths)[:-1], axis=1))
    their_loss, their_correct = theirs.fill_gradients(torch.from_numpy(x), torch.from_numpy(y))
    assert their_loss == pytest.approx(loss, rel=1e-5)
    assert their_correct == correct
    for layer, weights, bias in zip(theirs.layers, ours.gradients[::2], ours.gradients[1::2], strict=True):
        assert np.linalg.norm(layer.weight.grad.numpy().T - weights) < 1e-5 * np.linalg.norm(weights)
        assert np.linalg.norm(layer.bias.grad.numpy() - bias) < 1e-5 * np.linalg.norm(bias)


@pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")
def test_training_lowers_the_loss() -> None:
    """Of labels that the images do decide."""
    import torch

    from benchmarks.pytorch.models import DfaMlp

    x = torch.from_numpy(images(20 * BATCH)[0])
    y = x[:, : SIZES[-1]].argmax(1)
    network = DfaMlp("adam")
    first, last = (network.fit_epoch(x, y)[0] for _ in range(2))
    assert last < 0.9 * first


@pytest.mark.skipif(TORCH, reason="PyTorch is installed")
def test_without_pytorch_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pytorch"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "opu: PyTorch: not installed here; `pip install torch` puts it beside this program\n"


def test_table() -> None:
    row = {"ours_s": 2.0, "pytorch_s": 1.6, "ratio": 1.25, "ratio_quartiles": [1.2, 1.31], "pairs": 7}
    rows = [
        {"case": name, "unit": case.unit, **row, "allowed": case.allowed, "pass": row["ratio"] <= case.allowed}
        for name, case in CASES.items()
    ]
    header, lines = table({"rows": rows})
    assert header[3:] == ["ratio", "quartiles", "allowed", "verdict"]
    assert lines[0] == ["mlp, dfa, adam, epoch", "2000", "1600", "1.25", "1.20 to 1.31", "1", "FAIL"]
    assert lines[2][-2:] == ["1.3", "pass"]
