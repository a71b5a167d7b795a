"""What `opu bench energy` compares: a workload (sizes, or a run), devices and what they do, electronic cards."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.energy import electronic
from benchmarks.energy.electronic import AcceleratorCard, Precision
from opu_sim.cards import DeviceCard, load_card
from opu_sim.config import shown
from opu_sim.errors import ConfigError
from opu_sim.estimate import OPERATIONS, Operation, operations

DEFAULT_WORKLOAD = "10000x10000x3000"
_BATCH = 3000
_SIZE = re.compile(r"(\d{1,12})x(\d{1,12})(?:x(\d{1,12}))?")

AS_PUBLISHED = {"timing.latency_s": 0.0, "medium.speckle_grain_px": 1.0}
"""Makes the appliance what published comparisons take it for, 2 kHz and 30 W at any size: no latency of a pass, and
every pixel an output, so that no size needs more sensor rows than 2 kHz allow."""


@dataclass(frozen=True)
class Case:
    """A device and what it is to do."""

    card: DeviceCard
    operation: Operation
    variant: str | None = None

    @property
    def label(self) -> str:
        """Device and variant."""
        return f"{self.card.name} ({self.variant})" if self.variant else self.card.name


@dataclass(frozen=True)
class Workload:
    """Projections to make; `run` is what a device already did for them, from its result.json."""

    n_in: int
    n_out: int
    vectors: int
    calls: int
    source: str
    run: Mapping[str, Any] | None = None

    @property
    def batch(self) -> int:
        """Vectors a call."""
        return math.ceil(self.vectors / self.calls)


def parse_workload(text: str) -> Workload:
    """`N_INxN_OUT`, `N_INxN_OUTxVECTORS`, or the path of a result.json or of its run directory.

    Raises
    ------
    ConfigError
        Neither a size nor such a file; a damaged file; a run without projections.
    """
    if found := _SIZE.fullmatch(text.strip().replace("×", "x")):
        n_in, n_out, vectors = (int(part or _BATCH) for part in found.groups())
        for name, value in (("N_IN", n_in), ("N_OUT", n_out), ("VECTORS", vectors)):
            if value < 1:
                raise ConfigError(f"WORKLOAD {text}: {name} = {value}: must be >= 1")
        return Workload(n_in, n_out, vectors, 1, text)
    path = Path(text)
    try:
        path = path / "result.json" if path.is_dir() else path
        if path.suffix != ".json" and not path.exists():
            raise ConfigError(
                f"WORKLOAD {shown(text)}: must be N_INxN_OUT or N_INxN_OUTxVECTORS, for example {DEFAULT_WORKLOAD}, "
                "or the path of a result.json"
            )
        return _run(json.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: not a result.json: {(str(error) or repr(error)).splitlines()[0]}") from None


def _run(document: Any, where: str) -> Workload:
    device = document.get("device") if isinstance(document, Mapping) else None
    if not isinstance(device, Mapping):
        raise ConfigError(f"{where}: device: missing; must be a result.json of `opu train`")
    keys = ("projections", "device_s", "joules", "watts", "teraops_peak", "teraops_optical", "teraops_delivered")
    for key in (*keys, "utilisation", "joules_per_op"):
        value = device.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise ConfigError(f"{where}: device.{key} = {shown(value)}: must be a number >= 0")
    for key in ("stage_s", "stage_joules"):
        if not isinstance(device.get(key), Mapping):
            raise ConfigError(f"{where}: device.{key} = {shown(device.get(key))}: must be a table")
    if not device["projections"]:
        raise ConfigError(
            f"{where}: device.projections = 0: this run ({document.get('method')}) projected nothing; must be a run by "
            "odfa, dfa or dfa-ternary"
        )
    n_in, n_out = _sizes(document, device, where)
    vectors = int(device["projections"])
    calls = device.get("passes", math.ceil(vectors / _batch_size(document)))
    if type(calls) is not int or calls < 1:
        raise ConfigError(f"{where}: device.passes = {shown(calls)}: must be an integer >= 1")
    run = device if device["device_s"] else None
    return Workload(n_in, n_out, vectors, calls, where, run)


def _sizes(document: Mapping[str, Any], device: Mapping[str, Any], where: str) -> tuple[int, int]:
    sizes = device.get("n_in"), device.get("n_out")
    if sizes == (None, None) and device["device_s"]:
        # Older results: the operations of a projection over the units of all hidden layers.
        hidden = _path(document, "experiment", "model", "hidden")
        ops = 1e12 * device["teraops_delivered"] * device["device_s"] / device["projections"]
        if isinstance(hidden, list) and hidden and all(type(width) is int and width > 0 for width in hidden):
            sizes = round(ops / (2 * sum(hidden))), sum(hidden)
    if not all(type(size) is int and size >= 1 for size in sizes):
        raise ConfigError(f"{where}: device.n_in = {sizes[0]!r}, device.n_out = {sizes[1]!r}: must be integers >= 1")
    return sizes[0], sizes[1]  # type: ignore[return-value]


def _batch_size(document: Mapping[str, Any]) -> int:
    size = _path(document, "experiment", "trainer", "batch_size")
    return size if type(size) is int and size >= 1 else _BATCH


def _path(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def parse_operations(names: Sequence[str]) -> list[Operation]:
    """Operations by name.

    Raises
    ------
    ConfigError
        An unknown one.
    """
    for name in names:
        if name not in OPERATIONS:
            raise ConfigError(f"--operation {shown(name)}: must be one of {', '.join(OPERATIONS)}")
    return [operation for operation in OPERATIONS if operation in names]


def parse_precision(name: str) -> Precision:
    """Precision by name.

    Raises
    ------
    ConfigError
        An unknown one.
    """
    for precision in electronic.PRECISIONS:
        if name == precision:
            return precision
    raise ConfigError(f"--precision {shown(name)}: must be one of {', '.join(electronic.PRECISIONS)}")


def parse_cards(names: Sequence[str], efficiencies: Sequence[str]) -> list[AcceleratorCard]:
    """The named electronic cards, or the shipped ones, with the efficiencies of `electronic.with_efficiencies`."""
    cards = [electronic.load_accelerator(name) for name in dict.fromkeys(names or electronic.accelerator_names())]
    return electronic.with_efficiencies(cards, efficiencies, "--efficiency")


def cases(devices: Sequence[str], settings: Mapping[str, Any], wanted: Sequence[Operation]) -> list[Case]:
    """What to compare: the named devices, or the shipped ones; each with the operations that it has.

    Raises
    ------
    ConfigError
        No such device, a setting it does not allow, a device without time or power, an operation it does not have.
    """
    if not devices:
        published = Case(load_card("lighton-aurora", {**AS_PUBLISHED, **settings}), "intensity", "2 kHz at any size")
        names = ("lighton-aurora", "lighton-full-frame", "light-in-the-loop", "filipovich-50x20")
        if settings:
            raise ConfigError("--set: must go with --device, as not every device has every key")
        return [published, *(case for name in names for case in _of(load_card(name), wanted, strict=False))]
    return [case for name in dict.fromkeys(devices) for case in _of(load_card(name, settings), wanted, strict=True)]


def _of(card: DeviceCard, wanted: Sequence[Operation], *, strict: bool) -> list[Case]:
    has = operations(card)
    if not has:
        raise ConfigError(f"{card.name}: a digital reference spends no simulated time or energy: nothing to compare")
    usual: tuple[Operation, ...] = ("intensity", "ternary")
    if strict and (lacking := [name for name in wanted if name not in has]):
        raise ConfigError(f"--operation {lacking[0]}: {card.name} has {', '.join(has)}")
    return [Case(card, name) for name in (wanted or usual) if name in has]
