"""Published training results: the figure, where it stands, and how well it is known.

Tags: `confirmed`, read in the paper itself; `secondary`, quoted by others and not checked against the paper; `not
found`, the paper reports it and no source that could be read has the figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Tag = Literal["confirmed", "secondary", "not found"]


@dataclass(frozen=True)
class Figure:
    """A published test accuracy [%] and the method of ours that stands beside it; None where it was not found."""

    experiment: str
    what: str
    method: str
    accuracy: float | None
    source: str
    tag: Tag


@dataclass(frozen=True)
class Criterion:
    """A claim on two methods of one experiment: `method` at most `points` below `other`, or above it."""

    experiment: str
    method: str
    other: str
    points: float | None
    """At most so far below; None: above beyond the 95 % interval of the mean difference."""


@dataclass(frozen=True)
class System:
    """A published system: its figures, the claims that must hold here, and how the numbers of ours are made."""

    title: str
    experiments: tuple[str, ...]
    figures: tuple[Figure, ...]
    criteria: tuple[Criterion, ...]
    seeds: int
    quick: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the short version, beside its having two seeds."""


_KIPF = "Kipf and Welling 2017, arXiv 1609.02907, as Papers with Code quotes it"
_SCALES = "Launay et al. 2020, arXiv 2006.12878, Table 3"
_HARDWARE = "Launay et al. 2020, arXiv 2012.06373, through an OPU; its abstract names no graph"
_LOOP = "Launay et al. 2020, arXiv 2006.01475, from press coverage; the network and its training were not found"


def _graph(experiment: str, name: str, accuracy: float) -> tuple[tuple[Figure, ...], tuple[Criterion, ...]]:
    figures = (
        Figure(experiment, f"{name}, backpropagation", "bp", accuracy, _KIPF, "secondary"),
        Figure(experiment, f"{name}, digital DFA", "dfa", None, _SCALES, "not found"),
        Figure(experiment, f"{name}, optical DFA", "odfa", None, _HARDWARE, "not found"),
    )
    near = tuple(Criterion(experiment, method, "bp", 2.0) for method in ("dfa", "odfa"))
    above = tuple(Criterion(experiment, method, "shallow", None) for method in ("bp", "dfa", "dfa-ternary", "odfa"))
    return figures, near + above


_CORA, _CITESEER = _graph("cora-gcn", "Cora", 81.5), _graph("citeseer-gcn", "CiteSeer", 70.3)

SYSTEMS = {
    "mnist": System(
        title="MNIST through an OPU",
        experiments=("mnist-mlp",),
        figures=(
            Figure("mnist-mlp", "MNIST, error projected by an OPU", "odfa", 95.8, _LOOP, "secondary"),
            Figure("mnist-mlp", "MNIST, digital (method not stated)", "bp", 97.6, _LOOP, "secondary"),
        ),
        # The published gap between the two.
        criteria=(Criterion("mnist-mlp", "odfa", "bp", 1.8), Criterion("mnist-mlp", "odfa", "shallow", None)),
        seeds=3,
        quick={"trainer.epochs": 1},
    ),
    "graphs": System(
        title="Graph convolution networks, Planetoid split",
        experiments=("cora-gcn", "citeseer-gcn"),
        figures=_CORA[0] + _CITESEER[0],
        criteria=_CORA[1] + _CITESEER[1],
        seeds=10,
    ),
}
