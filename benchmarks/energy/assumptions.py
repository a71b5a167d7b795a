"""What the model of a Transformer's training step takes for granted, each with its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from opu_sim.config import parse_assignment, shown
from opu_sim.errors import ConfigError

_SHARES = ("local_share", "idle_share")


def _assumed(value: Any, source: str) -> Any:
    return field(default=value, metadata={"source": source})


@dataclass(frozen=True)
class Assumptions:
    """What the model takes for granted; every field can be set by `--assume KEY=VALUE`."""

    tokens: int = _assumed(2048, "assumed: one sequence a step")
    sequence: int = _assumed(2048, "context of GPT-3 (Brown et al. 2020, arXiv 2005.14165)")
    vocabulary: int = _assumed(50257, "byte-pair vocabulary of GPT-2 and GPT-3")
    aspect: float = _assumed(80.0, "assumed: width over depth of a Transformer of 2.7 B parameters, 2560 / 32")
    errors_per_token: float = _assumed(1.0, "a language model has an error vector a token; a classifier one a sequence")
    feedback: str = _assumed("shared", "shared: d outputs for all blocks (arXiv 2006.12878); own: L d outputs")
    local_share: float = _assumed(
        0.75, "k: feedback at blocks' outputs; of a block's 12 d^2 weights 9 d^2 still pass the error back"
    )
    fused: bool = _assumed(True, "assumed: streamed blocks are updated at their next visit, a step late")
    overlap: bool = _assumed(True, "assumed: links work while the card computes")
    optics_overlap: bool = _assumed(False, "assumed: the card waits for the device")
    weight_bytes: float = _assumed(2.0, "mixed precision (arXiv 1910.02054)")
    gradient_bytes: float = _assumed(2.0, "mixed precision (arXiv 1910.02054)")
    optimiser_bytes: float = _assumed(12.0, "Adam: float32 weights and two moments (arXiv 1910.02054)")
    activation_bytes: float = _assumed(34.0, "a token, block and unit, attention recomputed (arXiv 2205.05198, eq. 1)")
    host_gb_per_s: float = _assumed(204.8, "assumed: eight channels of DDR4-3200 in the host")
    link: str = _assumed("host", "host: PCI Express to the host's memory; peer: NVLink to another card's")
    idle_share: float = _assumed(0.2, "assumed: power of a waiting card over its power at work")

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, float | int) and not isinstance(value, bool):
                low = 0.0 if entry.name in (*_SHARES, "activation_bytes", "optimiser_bytes") else 1e-9
                high = 1.0 if entry.name in _SHARES else math.inf
                if not low <= value <= high or not math.isfinite(value):
                    allowed = "in [0, 1]" if high == 1.0 else ">= 0" if low == 0.0 else "> 0"
                    raise ConfigError(f"--assume {entry.name} = {value!r}: must be {allowed}, and finite")
        for name, choices in (("feedback", ("shared", "own")), ("link", ("host", "peer"))):
            if getattr(self, name) not in choices:
                raise ConfigError(f"--assume {name} = {getattr(self, name)!r}: must be {' or '.join(choices)}")

    def listed(self) -> list[dict[str, Any]]:
        """Each with its value and source."""
        return [
            {"key": entry.name, "value": getattr(self, entry.name), "source": entry.metadata["source"]}
            for entry in fields(self)
        ]


def assumptions(texts: Sequence[str]) -> Assumptions:
    """Assumptions with `KEY=VALUE` changes.

    Raises
    ------
    ConfigError
        An unknown key, or a value out of range.
    """
    known = {entry.name: type(entry.default) for entry in fields(Assumptions)}
    changes: dict[str, Any] = {}
    for text in texts:
        key, value = parse_assignment(text, "--assume", "tokens=512")
        if key not in known:
            raise ConfigError(f"--assume {key}: unknown key; must be one of {', '.join(known)}")
        kind = known[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            word = {int: "an integer", float: "a number", bool: "true or false", str: "a word"}[kind]
            raise ConfigError(f"--assume {key} = {shown(value)}: must be {word}")
        changes[key] = value
    return replace(Assumptions(), **changes)
