"""Electronic accelerators: cards with a source for each figure, and a roofline for a dense matrix product.

    time = max(2 n_in n_out vectors / (efficiency x peak), bytes / bandwidth) + launches

with the matrix read once a call and each vector once in and once out (Williams, Waterman & Patterson, "Roofline: an
insightful visual performance model for multicore architectures", CACM 52 (4), 65, 2009). Energy is the card's power
times that time: the host computer is not in it, as it is not in an optical device's. The matrix is stored: a card that
makes its entries anew has no such limit, and does other work, which is not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from opu_sim.cards.quantities import Fraction, NotNegative, Positive, Sources
from opu_sim.config import Section, find_toml, read_toml, shipped_folder, shipped_names, shown, validated
from opu_sim.errors import ConfigError

Precision = Literal["half", "single"]
PRECISIONS: tuple[Precision, ...] = ("half", "single")
BYTES: Mapping[str, int] = {"half": 2, "single": 4}
GB = 1e9


class PeakCard(Section):
    """Dense peak by number format [1e12 ops/s], without sparsity."""

    fp32: Positive
    tf32: Positive | None = None
    fp16: Positive
    """16-bit floating point, whichever of FP16 and BF16."""


class EfficiencyCard(Section):
    """Share of the peak that is reached."""

    product: Fraction
    """By one large matrix product,"""
    training: Fraction
    """by the training of a Transformer (model FLOPs utilisation)."""


class AcceleratorCard(Section):
    """An electronic card."""

    name: str
    description: str
    memory_gb: Positive
    bandwidth_gb_per_s: Positive
    watts: Positive
    """Rated power."""
    load: Fraction
    """Power while it multiplies over rated power."""
    host_link_gb_per_s: Positive
    """To the host's memory, one direction."""
    peer_link_gb_per_s: Positive | None = None
    """To another card's memory, one direction; none where there is no such link."""
    launch_us: NotNegative
    """Cost of each call."""
    peak_tflops: PeakCard
    efficiency: EfficiencyCard
    sources: Sources = Field(default_factory=dict)

    def peak(self, precision: Precision) -> tuple[str, float]:
        """Number format and dense peak [ops/s]; single is TF32 where the card has it: float32 in and out."""
        peaks = self.peak_tflops
        if precision == "half":
            return "fp16", 1e12 * peaks.fp16
        return ("fp32", 1e12 * peaks.fp32) if peaks.tf32 is None else ("tf32", 1e12 * peaks.tf32)


class MeasurementTable(Section):
    """Published times and energies of D x D projections on a card."""

    name: str
    accelerator: str
    vectors: Annotated[int, Field(ge=1)]
    dtype: str
    source: str
    note: str
    energies_to: Annotated[int, Field(ge=1)]
    sizes: list[Annotated[int, Field(ge=1)]]
    seconds: list[Positive]
    joules: list[Positive]


def accelerator_names() -> list[str]:
    """Shipped cards, by their rated peak."""
    return sorted(shipped_names("accelerators"), key=lambda name: load_accelerator(name).peak_tflops.fp16)


def load_accelerator(name: str) -> AcceleratorCard:
    """Card of a shipped name or of a TOML file.

    Raises
    ------
    ConfigError
        No such card, or a figure out of range.
    """
    path = find_toml("accelerators", name)
    return validated(AcceleratorCard, read_toml(path), str(path))


def load_measurements() -> list[MeasurementTable]:
    """All shipped tables of measurements."""
    paths = sorted(shipped_folder("measurements").glob("*.toml"))
    return [validated(MeasurementTable, read_toml(path), str(path)) for path in paths]


def figures(card: AcceleratorCard) -> Iterator[tuple[str, float, str]]:
    """Every number on the card as (dotted key, value, source)."""
    table = card.model_dump(exclude={"sources", "name", "description"}, exclude_none=True)
    for key, value in table.items():
        source = card.sources.get(key, "")
        if isinstance(value, Mapping):
            for inner, number in value.items():
                yield f"{key}.{inner}", number, str(source.get(inner, "")) if isinstance(source, Mapping) else ""
        else:
            yield key, value, str(source)


def with_efficiencies(cards: Sequence[AcceleratorCard], texts: Sequence[str], option: str) -> list[AcceleratorCard]:
    """Cards with the efficiencies of `X` (all cards) or `CARD=X`, `CARD.training=X`; the last one wins.

    Raises
    ------
    ConfigError
        Not a number in (0, 1], or a card that is not among `cards`.
    """
    changes: dict[tuple[str, str], float] = {}
    for text in texts:
        target, _, number = text.rpartition("=")
        name, _, kind = target.strip().partition(".")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not 0.0 < value <= 1.0:
            raise ConfigError(f"{option} {shown(text)}: must be a number in (0, 1], or CARD=NUMBER")
        if kind not in ("", "product", "training"):
            raise ConfigError(f"{option} {shown(text)}: must be CARD, CARD.product or CARD.training")
        names = [card.name for card in cards]
        if name and name not in names:
            raise ConfigError(f"{option} {shown(text)}: no card {name!r}; must be one of {', '.join(names)}")
        changes |= {(one, kind or "product"): value for one in ([name] if name else names)}
    out = []
    for card in cards:
        own = {kind: value for (name, kind), value in changes.items() if name == card.name}
        efficiency = card.efficiency.model_copy(update=own)
        given = dict.fromkeys(own, f"given: {option}")
        stated = card.sources.get("efficiency")
        sources = card.sources | {"efficiency": {**(stated if isinstance(stated, Mapping) else {}), **given}}
        out.append(card.model_copy(update={"efficiency": efficiency, "sources": sources} if own else {}))
    return out


@dataclass(frozen=True)
class Product:
    """What a workload costs a card."""

    seconds: float
    joules: float
    bound: str
    """What takes the time: compute, bandwidth or launch."""
    bytes_held: float
    fits: bool
    """Whether matrix, inputs and outputs of a call fit the card's memory."""
    teraops_peak: float
    format: str


def product(
    card: AcceleratorCard,
    n_in: int,
    n_out: int,
    vectors: int,
    *,
    precision: Precision = "half",
    calls: int = 1,
) -> Product:
    """Time and energy of projecting `vectors` vectors in `calls` equal calls, by the roofline above.

    One real product n_in -> n_out a vector, whatever an optical device does for it.
    """
    number_format, peak = card.peak(precision)
    width = BYTES[precision]
    matrix, vector = width * n_in * n_out, width * (n_in + n_out)
    compute_s = 2.0 * n_in * n_out * vectors / (card.efficiency.product * peak)
    traffic_s = (calls * matrix + vectors * vector) / (GB * card.bandwidth_gb_per_s)
    launch_s = 1e-6 * card.launch_us * calls
    seconds = max(compute_s, traffic_s) + launch_s
    bounds = {"compute": compute_s, "bandwidth": traffic_s, "launch": launch_s}
    held = float(matrix + math.ceil(vectors / calls) * vector)
    return Product(
        seconds,
        card.load * card.watts * seconds,
        max(bounds, key=lambda name: bounds[name]),
        held,
        held <= GB * card.memory_gb,
        1e-12 * peak,
        number_format,
    )


def memory_limit(card: AcceleratorCard, vectors: int, precision: Precision = "half") -> int:
    """Largest D whose D x D matrix fits with `vectors` inputs and outputs: width (D^2 + 2 vectors D) <= memory."""
    elements = GB * card.memory_gb / BYTES[precision]
    # Not sqrt(elements + vectors^2) - vectors, a difference of nearly equal numbers for many vectors.
    return math.floor(elements / (math.sqrt(elements + float(vectors) ** 2) + vectors))


def row(card: AcceleratorCard, cost: Product, n_in: int, n_out: int, vectors: int) -> dict[str, Any]:
    """Row of the document; no time or energy where the matrix does not fit."""
    ops = 2.0 * n_in * n_out * vectors
    seconds, joules = (cost.seconds, cost.joules) if cost.fits else (None, None)
    delivered = 1e-12 * ops / cost.seconds if cost.fits else None
    return {
        "device": card.name,
        "kind": "electronic",
        "operation": f"product, {cost.format}",
        "n_in": n_in,
        "n_out": n_out,
        "vectors": vectors,
        "seconds": seconds,
        "joules": joules,
        "watts": card.load * card.watts,
        "teraops_peak": cost.teraops_peak,
        "teraops_optical": None,
        "teraops_delivered": delivered,
        "teraops_per_watt": None if delivered is None else delivered / (card.load * card.watts),
        "utilisation": None if delivered is None else delivered / cost.teraops_peak,
        "joules_per_op": None if joules is None else joules / ops,
        "bound": cost.bound if cost.fits else "memory",
        "reason": None if cost.fits else f"{cost.bytes_held / GB:.3g} GB; the card has {card.memory_gb:g} GB",
    }
