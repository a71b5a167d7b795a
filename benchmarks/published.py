"""Published training results: the figure, where it stands, and how well it is known.

Tags: `confirmed`, read in the paper itself; `secondary`, quoted by others and not checked against the paper;
`recollected`, from memory and found in no source, so that it serves as a check of consistency only; `not found`, the
paper reports it and no source that could be read has the figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.variants import METHOD_VARIANTS, METRICS, Metric, Variant

Tag = Literal["confirmed", "secondary", "recollected", "not found"]


@dataclass(frozen=True)
class Figure:
    """A published value of the system's metric, in its unit, and the variant of ours that stands beside it.

    None where it was not found.
    """

    experiment: str
    what: str
    variant: str
    value: float | None
    source: str
    tag: Tag


@dataclass(frozen=True)
class Criterion:
    """A claim on a variant of one experiment that must hold on the mean over seeds: `low` <= quantity <= `high`.

    The quantity is the metric itself where `other` is None. Otherwise it is the lead over `other`, seed by seed: how
    much better the variant is, in the metric's unit or, if `relative`, in % of the other's value. A `clear` lead
    exceeds `low` by more than its 95 % interval.
    """

    experiment: str
    variant: str
    other: str | None = None
    low: float | None = None
    high: float | None = None
    relative: bool = False
    clear: bool = False


def better(experiment: str, variant: str, other: str, *, by: float = 0.0, relative: bool = False) -> Criterion:
    """`variant` is clearly better than `other`: by more than `by` and the 95 % interval together."""
    return Criterion(experiment, variant, other, low=by, relative=relative, clear=True)


def near(experiment: str, variant: str, other: str, within: float, *, relative: bool = False) -> Criterion:
    """`variant` is at most so much worse than `other`."""
    return Criterion(experiment, variant, other, low=-within, relative=relative)


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
    variants: tuple[Variant, ...] = METHOD_VARIANTS
    """What each experiment is trained as."""
    metric: Metric = METRICS["accuracy"]

    @property
    def source(self) -> str:
        """Where the figures stand, each source once."""
        return "; ".join(dict.fromkeys(figure.source for figure in self.figures))


_KIPF = "Kipf and Welling 2017, arXiv 1609.02907, as Papers with Code quotes it"
_SCALES = "Launay et al. 2020, arXiv 2006.12878, Table 3"
_HARDWARE = "Launay et al. 2020, arXiv 2012.06373, through an OPU; its abstract names no graph"
_LOOP = "Launay et al. 2020, arXiv 2006.01475, from press coverage; the network and its training were not found"

_LANGUAGE = "Wang et al. 2024, arXiv 2409.12965, on language models through an OPU; whether on this text was not found"
_MICRORING = "Filipovich et al. 2022, Optica 9, 1323, arXiv 2111.06862; 50 epochs"


def _graph(experiment: str, name: str, accuracy: float) -> tuple[tuple[Figure, ...], tuple[Criterion, ...]]:
    figures = (
        Figure(experiment, f"{name}, backpropagation", "bp", accuracy, _KIPF, "secondary"),
        Figure(experiment, f"{name}, digital DFA", "dfa", None, _SCALES, "not found"),
        Figure(experiment, f"{name}, optical DFA", "odfa", None, _HARDWARE, "not found"),
    )
    level = tuple(near(experiment, method, "bp", 2.0) for method in ("dfa", "odfa"))
    above = tuple(better(experiment, method, "shallow") for method in ("bp", "dfa", "dfa-ternary", "odfa"))
    return figures, level + above


def _language(experiment: str, name: str) -> tuple[tuple[Figure, ...], tuple[Criterion, ...]]:
    figures = (
        Figure(experiment, f"{name}, backpropagation", "bp", None, _LANGUAGE, "not found"),
        Figure(experiment, f"{name}, digital DFA", "dfa", None, _LANGUAGE, "not found"),
        Figure(experiment, f"{name}, digital DFA, ternary error", "dfa-ternary", None, _LANGUAGE, "not found"),
        Figure(experiment, f"{name}, optical DFA", "odfa", None, _LANGUAGE, "not found"),
        Figure(experiment, f"{name}, shallow", "shallow", None, _LANGUAGE, "not found"),
    )
    criteria = (
        better(experiment, "bp", "odfa", by=5.0, relative=True),
        better(experiment, "odfa", "shallow", by=5.0, relative=True),
        near(experiment, "odfa", "dfa-ternary", 5.0, relative=True),
    )
    return figures, criteria


_CORA, _CITESEER = _graph("cora-gcn", "Cora", 81.5), _graph("citeseer-gcn", "CiteSeer", 70.3)
_SHAKESPEARE, _WIKITEXT = _language("shakespeare-gpt", "tinyshakespeare"), _language("wikitext2-gpt", "WikiText-2")

SYSTEMS = {
    "mnist": System(
        title="MNIST through an OPU",
        experiments=("mnist-mlp",),
        figures=(
            Figure("mnist-mlp", "MNIST, error projected by an OPU", "odfa", 95.8, _LOOP, "secondary"),
            Figure("mnist-mlp", "MNIST, digital (method not stated)", "bp", 97.6, _LOOP, "secondary"),
        ),
        # The published gap between the two.
        criteria=(near("mnist-mlp", "odfa", "bp", 1.8), better("mnist-mlp", "odfa", "shallow")),
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
    "language": System(
        title="Language models",
        experiments=("shakespeare-gpt", "wikitext2-gpt"),
        figures=_SHAKESPEARE[0] + _WIKITEXT[0],
        criteria=_SHAKESPEARE[1] + _WIKITEXT[1],
        seeds=3,
        quick={"trainer.epochs": 1},
        metric=METRICS["perplexity"],
    ),
    "microring": System(
        title="MNIST through a microring weight bank",
        experiments=("mnist-microring",),
        figures=(
            Figure("mnist-microring", "MNIST, no noise", "ideal", 98.10, _MICRORING, "recollected"),
            Figure(
                "mnist-microring", "MNIST, noise of the off-chip bank", "mac-0.618", 97.41, _MICRORING, "recollected"
            ),
            Figure(
                "mnist-microring", "MNIST, noise of the on-chip bank", "mac-1.278", 96.33, _MICRORING, "recollected"
            ),
            Figure("mnist-microring", "MNIST, rings and receivers simulated", "device", None, _MICRORING, "not found"),
        ),
        # Ranges around one run of a port of their published code, 20 of its 50 epochs. 0.618 is its own example;
        # 1.278 is a recollected deviation of 0.202 of a 1 x 4 inner product in -1 .. 1 for ten terms, 4 sqrt(2.5) times
        # as much. At 1.278 runs spread by 0.2 to 0.3: eight of their loop in PyTorch (2.13, seeds 1 to 8, batches
        # shuffled) have a mean of 96.05 +- 0.08, the lower end of the range around that one run's 96.44.
        criteria=(
            Criterion("mnist-microring", "ideal", low=97.8),
            Criterion("mnist-microring", "mac-0.618", low=97.0, high=97.8),
            Criterion("mnist-microring", "mac-1.278", low=96.0, high=96.8),
            better("mnist-microring", "mac-0.618", "mac-1.278"),
        ),
        seeds=12,
        quick={"trainer.epochs": 1},
        variants=(
            Variant("ideal", "odfa", {"device.fidelity": "ideal"}),
            Variant("mac-0.618", "odfa", {"device.fidelity": "mac", "device.mac.error_std": 0.618}),
            Variant("mac-1.278", "odfa", {"device.fidelity": "mac", "device.mac.error_std": 1.278}),
            # A full scale a vector, as the card has it: at one a batch the converters lose what is small in it.
            Variant("device", "odfa", {"device.fidelity": "device", "device.modulator.scaling": "vector"}),
        ),
    ),
}
