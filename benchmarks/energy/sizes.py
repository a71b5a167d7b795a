"""Time and energy of D x D projections against D: where optical devices and electronic cards cross."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from benchmarks.energy import electronic
from benchmarks.energy.crossover import Curve, ahead_between, power_law
from benchmarks.energy.electronic import AcceleratorCard, MeasurementTable, Precision
from benchmarks.energy.workload import Case
from opu_sim.estimate import estimate, largest_square

_SMALLEST = 16
_SWEEP = tuple(int(size) for size in np.unique(np.rint(np.geomspace(100, 1_039_680, 49))))


class Square:
    """Seconds and joules of D x D projections of `vectors` vectors in one call, on one device, against D."""

    def __init__(self, case: Case, vectors: int) -> None:
        self.case, self.vectors = case, vectors
        self.largest = largest_square(case.card, operation=case.operation, limit=max(_SWEEP))
        self._table = cache(self._estimated)

    def _estimated(self, size: int) -> tuple[float, float]:
        table = estimate(self.case.card, size, size, self.vectors, operation=self.case.operation)
        return table["device_s"], table["joules"]

    def seconds(self, size: int) -> float:
        """Device time."""
        return self._table(size)[0]

    def joules(self, size: int) -> float:
        """Device energy."""
        return self._table(size)[1]


def _crossover(
    square: Square, against: str, basis: str, quantity: str, other: Curve, low: int, high: int
) -> dict[str, Any]:
    curve = square.seconds if quantity == "time" else square.joules
    start, end = ahead_between(curve, other, low, high) if high > low else (None, None)
    return {
        "device": square.case.card.name,
        "variant": square.case.variant,
        "operation": square.case.operation,
        "vectors": square.vectors,
        "against": against,
        "basis": basis,
        "quantity": quantity,
        "size": start,
        "until": end,
        "looked_at": [low, high],
    }


def measured_crossovers(compared: Sequence[Case], tables: Sequence[MeasurementTable]) -> list[dict[str, Any]]:
    """Against published tables, by straight lines between the points and by a power law through them."""
    out = []
    for table in tables:
        for case in compared:
            square = Square(case, table.vectors)
            for quantity in ("time", "energy"):
                for basis, curve in _measured_curves(table, quantity).items():
                    low, high = table.sizes[0], min(table.sizes[-1], square.largest)
                    entry = _crossover(square, table.accelerator, f"measured, {basis}", quantity, curve, low, high)
                    out.append(entry | {"fits": entry["size"] is not None, "memory_limit": None})
    return out


def _measured_curves(table: MeasurementTable, quantity: str) -> dict[str, Curve]:
    values = table.seconds if quantity == "time" else table.joules
    last = table.sizes[-1] if quantity == "time" else table.energies_to
    fitted = [(size, value) for size, value in zip(table.sizes, values, strict=True) if size <= last]
    factor, exponent = power_law([size for size, _ in fitted], [value for _, value in fitted])
    return {
        "interpolated": lambda size: float(np.interp(size, table.sizes, values)),
        "power law": lambda size: factor * float(size) ** exponent,
    }


def modelled_crossovers(
    squares: Sequence[Square], cards: Sequence[AcceleratorCard], precision: Precision
) -> list[dict[str, Any]]:
    """Against each card's roofline."""
    out = []
    for square in squares:
        for card in cards:
            limit = electronic.memory_limit(card, square.vectors, precision)
            for quantity in ("time", "energy"):
                other = _electronic_curve(card, square.vectors, precision, quantity)
                entry = _crossover(square, card.name, "roofline", quantity, other, _SMALLEST, square.largest)
                fits = None if entry["size"] is None else entry["size"] <= limit
                out.append(entry | {"fits": fits, "memory_limit": limit})
    return out


def _electronic_curve(card: AcceleratorCard, vectors: int, precision: Precision, quantity: str) -> Curve:
    def cost(size: int) -> float:
        found = electronic.product(card, size, size, vectors, precision=precision)
        return found.seconds if quantity == "time" else found.joules

    return cost


def sweep(
    squares: Sequence[Square], cards: Sequence[AcceleratorCard], vectors: int, precision: Precision
) -> dict[str, Any]:
    """Curves of the figure: seconds and joules a vector of D x D projections."""
    optical = []
    for square in squares:
        sizes = [size for size in _SWEEP if size <= square.largest]
        optical.append(
            {
                "device": square.case.card.name,
                "variant": square.case.variant,
                "operation": square.case.operation,
                "sizes": sizes,
                "seconds": [square.seconds(size) / vectors for size in sizes],
                "joules": [square.joules(size) / vectors for size in sizes],
            }
        )
    curves = []
    for card in cards:
        time, energy = (_electronic_curve(card, vectors, precision, quantity) for quantity in ("time", "energy"))
        curves.append(
            {
                "device": card.name,
                "memory_limit": electronic.memory_limit(card, vectors, precision),
                "sizes": list(_SWEEP),
                "seconds": [time(size) / vectors for size in _SWEEP],
                "joules": [energy(size) / vectors for size in _SWEEP],
            }
        )
    return {"vectors": vectors, "optical": optical, "electronic": curves}
