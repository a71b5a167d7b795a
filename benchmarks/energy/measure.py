"""`opu bench energy`: time, energy and TeraOPS of a workload on optical devices, beside electronic cards.

Optical figures are the device's own ledger (`opu_sim.estimate`, or the run that is given); electronic ones follow from
a card's figures (`electronic`) or from published measurements. Then, against size: where the curves cross
(`crossover`); against the number of parameters: where training does (`training`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from benchmarks.energy import electronic
from benchmarks.energy.assumptions import Assumptions
from benchmarks.energy.electronic import AcceleratorCard, Precision
from benchmarks.energy.sizes import Square, measured_crossovers, modelled_crossovers, sweep
from benchmarks.energy.training import study
from benchmarks.energy.training_time import PUBLISHED_CROSSING, PUBLISHED_SOURCE
from benchmarks.energy.workload import Case, Workload, cases
from dfa import provenance
from opu_sim.cards import DeviceCard
from opu_sim.errors import DeviceError
from opu_sim.estimate import Operation, estimate

CONVENTIONS = (
    "One op is one multiplication or one addition; a projection counts 2 n_in n_out, whichever device makes it and "
    "whatever it does for it. teraops_peak: what the card promises; optical: 2 mirrors used x pixels read a frame "
    "shown, over device time; delivered: projections received, over device time; utilisation = delivered / peak. "
    "Optical seconds and joules are those of the simulated device's ledger, without calibration and without the host "
    "computer; electronic ones follow from the card's figures by a roofline, with the matrix stored in the card's "
    "memory. operation: intensity is |T b|^2 of binary vectors, ternary and float are linear projections. Crossovers "
    "are of D x D projections: the device needs less from `size` on (and up to `until`, where that is not null), "
    "memory left out of account; fits says whether the electronic card holds the matrix at that size. An electronic "
    "card is charged one real product; an intensity of a complex matrix would take it two."
)


def measure(
    workload: Workload,
    *,
    devices: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    wanted: Sequence[Operation] = (),
    cards: Sequence[AcceleratorCard],
    precision: Precision = "half",
    assumptions: Assumptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """The JSON document of `opu bench energy`.

    Raises
    ------
    ConfigError
        As `cases` and `energy_training.study`.
    DeviceError
        The workload does not fit a device that was asked for.
    """
    say = progress or (lambda _: None)
    origin = provenance.collect(started_at=provenance.now())
    given = assumptions or Assumptions()
    compared = cases(devices, settings or {}, wanted)
    optical = [_row(case, workload, strict=bool(devices)) for case in compared]
    say("crossovers against size")
    squares = [Square(case, workload.batch) for case in compared]
    names = [card.name for card in cards]
    measured = [table for table in electronic.load_measurements() if table.accelerator in names]
    return {
        "workload": {
            "source": workload.source,
            "n_in": workload.n_in,
            "n_out": workload.n_out,
            "vectors": workload.vectors,
            "calls": workload.calls,
        },
        "precision": precision,
        "rows": [*_run_row(workload), *optical, *_electronic_rows(cards, workload, precision)],
        "crossovers": [*measured_crossovers(compared, measured), *modelled_crossovers(squares, cards, precision)],
        "sweep": sweep(squares, cards, workload.batch, precision),
        "measurements": [table.model_dump() for table in measured],
        "accelerators": [_described(card) for card in cards],
        "training": {
            "assumptions": given.listed(),
            "published": {"parameters": PUBLISHED_CROSSING, "tag": "secondary", "source": PUBLISHED_SOURCE},
            "devices": [_training(card, cards, given, say) for card in _different(compared)],
        },
        "conventions": CONVENTIONS,
        "provenance": origin,
    }


def _different(compared: Sequence[Case]) -> list[DeviceCard]:
    """Each device once, as its card has it."""
    return list({case.card.name: case.card for case in compared if case.variant is None}.values())


def _training(
    card: DeviceCard, cards: Sequence[AcceleratorCard], given: Assumptions, say: Callable[[str], None]
) -> dict[str, Any]:
    say(f"training time, {card.name}")
    return study(card, cards, given)


def _run_row(workload: Workload) -> list[dict[str, Any]]:
    run = workload.run
    return [] if run is None else [_table_row(run, workload, "run", "as trained", str(run.get("name")))]


def _row(case: Case, workload: Workload, *, strict: bool) -> dict[str, Any]:
    try:
        table = estimate(
            case.card,
            workload.n_in,
            workload.n_out,
            workload.vectors,
            operation=case.operation,
            batch=workload.batch,
        )
    except DeviceError as error:
        if strict:
            raise
        nothing = dict.fromkeys(("device_s", "joules", "watts", "teraops_optical", "teraops_delivered"))
        table = nothing | {"teraops_peak": None, "utilisation": None, "joules_per_op": None, "reason": str(error)}
    return _table_row(table, workload, "optical", case.operation, case.card.name) | {"variant": case.variant}


def _table_row(
    table: Mapping[str, Any], workload: Workload, kind: Literal["run", "optical"], operation: str, device: str
) -> dict[str, Any]:
    delivered, watts = table["teraops_delivered"], table["watts"]
    return {
        "device": device,
        "kind": kind,
        "operation": operation,
        "n_in": workload.n_in,
        "n_out": workload.n_out,
        "vectors": workload.vectors,
        "seconds": table["device_s"],
        "joules": table["joules"],
        "watts": watts,
        **{key: table[key] for key in ("teraops_peak", "teraops_optical", "teraops_delivered", "utilisation")},
        "teraops_per_watt": delivered / watts if watts else None,
        "joules_per_op": table["joules_per_op"],
        "frames": table.get("frames"),
        "stage_s": table.get("stage_s"),
        "stage_joules": table.get("stage_joules"),
        "reason": table.get("reason"),
    }


def _electronic_rows(
    cards: Sequence[AcceleratorCard], workload: Workload, precision: Precision
) -> list[dict[str, Any]]:
    size = workload.n_in, workload.n_out, workload.vectors
    return [
        electronic.row(card, electronic.product(card, *size, precision=precision, calls=workload.calls), *size)
        for card in cards
    ]


def _described(card: AcceleratorCard) -> dict[str, Any]:
    figures = [{"key": key, "value": value, "source": source} for key, value, source in electronic.figures(card)]
    return {"name": card.name, "description": card.description, "figures": figures}
