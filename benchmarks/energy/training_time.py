"""How long a training step of a Transformer takes: backpropagation on one card, and optical direct feedback alignment.

A model, not a measurement. N parameters in L blocks of width d with vocabulary V, T tokens a step, on a card that
computes at R = efficiency x peak, holds M bytes and is linked to the host's memory at B bytes/s each way:

    N = 12 L d^2 + V d                              F = 2 N T + 4 L s d T     operations of a forward pass
    backpropagation   3 F: forward, gradients of inputs, gradients of weights
    optical DFA       (2 + k) F and the device's time: gradients of inputs only inside blocks, k of them

Where 16 N bytes of weights, gradients and optimiser and 34 T d L bytes of activations do not fit M, memory is
off-loaded, in this order: the optimiser (gradients go down, weights come up, the host updates), then the weights, which
stream through the card, and the activations that still do not fit, down in the forward pass and up again. Streaming,
backpropagation reads every weight twice a step, on the way forth and on the way back. Feedback alignment has no way
back: a block can be updated when it is next visited, so that it is read once (`fused`), with updates a step old.

Where nothing is off-loaded the two methods meet at (1 - k) F = R t_opt, t_opt the device's time for a step's error
vectors: the vectors are as many as the tokens, so T cancels, and

    N = t R / (2 (1 - k))       t: the device's time an error vector

(attention left out). What the host does to encode errors, and to scale what comes back, is not in it.

References
----------
Korthikanti et al. 2022, arXiv 2205.05198: operations of a block, 24 s d^2 + 4 s^2 d a sequence, and its activations
(eq. 1). Rajbhandari et al. 2020, arXiv 1910.02054: 16 bytes a parameter. Ren et al. 2021, arXiv 2101.06840: off-loading
the optimiser. All three through secondary sources. Wang et al. 2024, arXiv 2409.12965: optical training of
Transformers; its own model of the time could not be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq

from benchmarks.energy.assumptions import Assumptions
from benchmarks.energy.electronic import GB, AcceleratorCard
from opu_sim.errors import ConfigError

PUBLISHED_CROSSING = 2.7e9
PUBLISHED_SOURCE = (
    "secondary: a note on Wang et al., arXiv 2409.12965 (paidge.com); where the figure comes from was not found"
)
_GRID = np.geomspace(1e6, 1e14, 241)

Method = Literal["bp", "odfa"]


@dataclass(frozen=True)
class Shape:
    """A Transformer of `depth` blocks, `width` units wide; both may be fractions, to follow a family without steps."""

    depth: float
    width: float
    vocabulary: int

    @property
    def parameters(self) -> float:
        """12 L d^2 + V d."""
        return 12.0 * self.depth * self.width**2 + self.vocabulary * self.width

    def forward_ops(self, tokens: int, sequence: int) -> float:
        """2 N T + 4 L s d T."""
        return (2.0 * self.parameters + 4.0 * self.depth * sequence * self.width) * tokens


Family = Callable[[float], Shape | None]


def family(given: Assumptions, *, depth: float | None = None, width: float | None = None) -> Family:
    """Shapes by their number of parameters: at this depth, at this width, or else at width = aspect x depth.

    None stands for fewer parameters than the vocabulary of that width takes.
    """
    vocabulary, aspect = given.vocabulary, given.aspect

    @cache
    def shape(parameters: float) -> Shape | None:
        if width is not None:
            rest = parameters - vocabulary * width
            return Shape(rest / (12.0 * width**2), width, vocabulary) if rest > 0 else None
        if depth is not None:
            root = math.sqrt(vocabulary**2 + 48.0 * depth * parameters)
            return Shape(depth, 2.0 * parameters / (vocabulary + root), vocabulary)
        wide = float(brentq(lambda d: 12.0 * d**3 / aspect + vocabulary * d - parameters, 0.0, parameters / vocabulary))
        return Shape(wide / aspect, wide, vocabulary)

    return shape


@dataclass(frozen=True)
class Optics:
    """What the device takes for a step's error vectors."""

    seconds: float
    watts: float


OpticalCost = Callable[[int, int, int], Optics]
"""(n_in, n_out, error vectors) -> time and power of the device."""


@dataclass(frozen=True)
class Step:
    """A training step: where the time goes. Parts that overlap do not add up to `seconds`."""

    method: str
    seconds: float
    joules: float
    compute_s: float
    link_s: float
    update_s: float
    optical_s: float
    off_loaded: str
    """nothing, optimiser or weights (then the optimiser, too)."""
    bytes_needed: float


def step(
    method: Method,
    shape: Shape,
    card: AcceleratorCard,
    optics: OpticalCost,
    given: Assumptions,
) -> Step:
    """Time and energy of one training step, by the model at the head of this module.

    Raises
    ------
    ConfigError
        `link = "peer"` and the card has no such link.
    """
    if given.link == "peer" and card.peer_link_gb_per_s is None:
        raise ConfigError(f"--assume link = 'peer': {card.name} has no link to another card")
    link = GB * (card.host_link_gb_per_s if given.link == "host" else card.peer_link_gb_per_s or 0.0)
    rate = card.efficiency.training * 1e12 * card.peak_tflops.fp16
    n, memory = shape.parameters, GB * card.memory_gb
    activations = given.activation_bytes * given.tokens * shape.width * shape.depth
    states = (given.weight_bytes + given.gradient_bytes + given.optimiser_bytes) * n
    off_loaded = "nothing"
    if states + activations > memory:
        off_loaded = "optimiser" if given.weight_bytes * n + activations <= memory else "weights"
    forward = shape.forward_ops(given.tokens, given.sequence) / rate
    share = 1.0 if method == "bp" else given.local_share
    backward = (1.0 + share) * forward
    weights_s, gradients_s = given.weight_bytes * n / link, given.gradient_bytes * n / link
    excess_s = max(activations - memory, 0.0) / link
    # The update reads and writes its states and the gradients, and writes the weights, once.
    moved = (2.0 * given.optimiser_bytes + given.gradient_bytes + given.weight_bytes) * n
    update_s = moved / (GB * (card.bandwidth_gb_per_s if off_loaded == "nothing" else given.host_gb_per_s))

    def phase(compute: float, *links: float) -> float:
        # A link works both ways at once.
        return max(compute, *links) if given.overlap else compute + max(links)

    link_s = 0.0
    if off_loaded == "nothing":
        electronic = forward + backward + update_s
    elif off_loaded == "optimiser":
        electronic = forward + phase(backward, gradients_s) + phase(update_s, weights_s)
        link_s = gradients_s + weights_s
    elif method == "odfa" and given.fused:
        electronic = phase(forward + backward, weights_s + excess_s, gradients_s + excess_s) + update_s
        link_s = max(weights_s, gradients_s) + excess_s
    else:
        electronic = phase(forward, weights_s, excess_s) + phase(backward, weights_s + excess_s, gradients_s) + update_s
        link_s = max(weights_s, excess_s) + max(weights_s + excess_s, gradients_s)
    light = _light(method, shape, optics, given)
    seconds = max(electronic, light.seconds) if given.optics_overlap else electronic + light.seconds
    power = card.load * card.watts
    joules = power * (electronic + given.idle_share * (seconds - electronic)) + light.watts * seconds
    return Step(
        method,
        seconds,
        joules,
        forward + backward,
        link_s,
        update_s,
        light.seconds,
        off_loaded,
        states + activations,
    )


def _light(method: Method, shape: Shape, optics: OpticalCost, given: Assumptions) -> Optics:
    if method == "bp":
        return Optics(0.0, 0.0)
    outputs = shape.width * (shape.depth if given.feedback == "own" else 1.0)
    vectors = max(math.ceil(given.tokens * given.errors_per_token), 1)
    return optics(given.vocabulary, max(math.ceil(outputs), 1), vectors)


def crossings(
    shapes: Family, card: AcceleratorCard, optics: OpticalCost, given: Assumptions
) -> dict[str, float | None]:
    """Parameters from which on optical training needs less `time`, and less `energy`; None where not below 1e14.

    Where it is ahead throughout, the smallest member of the family from 1e6 on.

    The last change of sides counts: a small window in which the order is the other way round, say just where one of
    the methods begins to off-load, is no crossing.
    """

    @cache
    def ahead(n: float) -> dict[str, bool] | None:
        shape = shapes(n)
        if shape is None:
            return None
        odfa, bp = (step(method, shape, card, optics, given) for method in ("odfa", "bp"))
        return {"time": odfa.seconds < bp.seconds, "energy": odfa.joules < bp.joules}

    def last_change(quantity: str) -> float | None:
        known = [(float(n), sides[quantity]) for n in _GRID if (sides := ahead(float(n))) is not None]
        if not known or not known[-1][1]:
            return None
        behind = [n for n, side in known if not side]
        if not behind:
            return known[0][0]
        low = behind[-1]
        high = next(n for n, _ in known if n > low)
        while high / low > 1.0 + 1e-9:
            middle = math.sqrt(low * high)
            sides = ahead(middle)
            low, high = (low, middle) if sides is not None and sides[quantity] else (middle, high)
        return high

    return {quantity: last_change(quantity) for quantity in ("time", "energy")}


def needed_s_per_vector(shape: Shape, card: AcceleratorCard, optics: OpticalCost, given: Assumptions) -> float:
    """Device's time an error vector at which the two methods take equally long; negative: at no time.

    What backpropagation takes longer than feedback alignment without its optics, over the number of error vectors.
    """
    bp, odfa = (step(method, shape, card, optics, given) for method in ("bp", "odfa"))
    without = replace(given, optics_overlap=False)
    spare = bp.seconds - (step("odfa", shape, card, optics, without).seconds - odfa.optical_s)
    return spare / max(math.ceil(given.tokens * given.errors_per_token), 1)


def off_loading_from(shapes: Family, card: AcceleratorCard, given: Assumptions, what: str) -> float | None:
    """Parameters from which on the optimiser (`what` = "optimiser") or the weights ("weights") are off-loaded."""
    stages = ("nothing", "optimiser", "weights")

    def reached(n: float) -> bool:
        shape = shapes(n)
        none = Optics(0.0, 0.0)
        return shape is not None and stages.index(
            step("bp", shape, card, lambda *_: none, given).off_loaded
        ) >= stages.index(what)

    above = next((float(n) for n in _GRID if reached(float(n))), None)
    if above is None:
        return None
    low, high = above / float(_GRID[1] / _GRID[0]), above
    while high / low > 1.0 + 1e-9:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def variations(given: Assumptions, has_peer: bool) -> list[tuple[str, Mapping[str, Any]]]:
    """What is changed, one at a time, to see how much of a crossing is in the assumptions."""
    out: list[tuple[str, Mapping[str, Any]]] = [
        ("tokens / 16", {"tokens": max(given.tokens // 16, 1)}),
        ("tokens x 16", {"tokens": 16 * given.tokens}),
        ("one error vector a sequence", {"errors_per_token": 1.0 / given.sequence}),
        ("no gradient inside blocks (k = 0)", {"local_share": 0.0}),
        ("streamed blocks read twice", {"fused": False}),
        ("links do not overlap", {"overlap": False}),
        ("the device works beside the card", {"optics_overlap": True}),
        ("a feedback matrix of its own for each block", {"feedback": "own"}),
        ("plain gradient descent, no optimiser states", {"optimiser_bytes": 0.0}),
    ]
    if has_peer:
        out.append(("off-loading over NVLink", {"link": "peer"}))
    return out
