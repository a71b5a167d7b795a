"""The networks of `opu bench pytorch` as one would write them in PyTorch, eager mode, float32."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.pytorch.case import (
    BATCH,
    BLOCKS,
    CONTEXT,
    HEADS,
    LEARNING_RATE,
    MOMENTUM,
    SIZES,
    STEPS,
    VOCABULARY,
    WIDTH,
    images,
    tokens,
)


class DfaMlp:
    """Direct feedback alignment by hand: no graph is recorded, gradients go where `torch.optim` looks for them."""

    def __init__(self, optimizer: str) -> None:
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(SIZES))
        hidden = SIZES[1:-1]
        self.feedback = torch.randn(SIZES[-1], sum(hidden)) / torch.cat([torch.full((w,), w**0.5) for w in hidden])
        self.widths = list(hidden)
        for parameter in self.layers.parameters():
            parameter.grad = torch.zeros_like(parameter)
        rate = LEARNING_RATE[optimizer]
        # The fused kernels are the fastest of the three that torch.optim has for a processor.
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(self.layers.parameters(), lr=rate, fused=True)
            if optimizer == "adam"
            else torch.optim.SGD(self.layers.parameters(), lr=rate, momentum=MOMENTUM, fused=True)
        )

    @torch.no_grad()
    def fill_gradients(self, x: Tensor, y: Tensor) -> tuple[float, int]:
        """Loss and number of right answers of a batch; the gradients of all layers are left in `.grad`."""
        *hidden, last = self.layers
        outputs = [x]
        for layer in hidden:
            outputs.append(functional.linear(outputs[-1], layer.weight, layer.bias).relu_())
        logits = last(outputs[-1])
        loss, correct = functional.cross_entropy(logits, y).item(), int((logits.argmax(1) == y).sum())
        error = logits.softmax(1)
        error[torch.arange(len(y)), y] -= 1
        error /= len(y)
        projected = (error @ self.feedback).split(self.widths, 1)
        # What PyTorch's own autograd calls for the slope of a relu: one pass.
        deltas = [torch.ops.aten.threshold_backward(p, h, 0) for p, h in zip(projected, outputs[1:], strict=True)]
        for layer, below, delta in zip(self.layers, outputs, [*deltas, error], strict=True):
            torch.mm(delta.t(), below, out=layer.weight.grad)
            torch.sum(delta, 0, out=layer.bias.grad)
        return loss, correct

    def fit_epoch(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        """Mean loss and accuracy of an epoch of shuffled batches."""
        loss, correct = 0.0, 0
        for batch in torch.randperm(len(x)).split(BATCH):
            batch_loss, batch_correct = self.fill_gradients(x[batch], y[batch])
            self.optimizer.step()
            loss += batch_loss * len(batch)
            correct += batch_correct
        return loss / len(x), correct / len(x)


class Block(nn.Module):
    """Pre-norm block with the fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """[sequence, token, width] to the same."""
        shape = (*x.shape[:2], HEADS, WIDTH // HEADS)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(WIDTH, -1))
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + self.out(attended)
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class LanguageModel(nn.Module):
    """Decoder-only Transformer with learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.positions = (
            nn.Embedding(VOCABULARY, WIDTH),
            nn.Parameter(0.1 * torch.randn(CONTEXT, WIDTH)),
        )
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, sequences: Tensor) -> Tensor:
        """Logits [token, vocabulary]."""
        h = self.blocks(self.embedding(sequences) + self.positions)
        return self.head(self.norm(h)).view(-1, VOCABULARY)


def make_turn(name: str, samples: int, threads: int) -> Callable[[], Any]:
    """A turn of a case, as `pytorch_side.ours`."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, _, optimizer = name.split(", ")
    if model == "mlp":
        network = DfaMlp(optimizer)
        x, y = map(torch.from_numpy, images(samples))
        return lambda: network.fit_epoch(x, y)
    language_model = LanguageModel()
    adam = torch.optim.Adam(language_model.parameters(), lr=LEARNING_RATE["adam"], fused=True)
    sequences, following = map(torch.from_numpy, tokens())

    def steps() -> None:
        for _ in range(STEPS):
            adam.zero_grad()
            functional.cross_entropy(language_model(sequences), following).backward()
            adam.step()

    return steps
