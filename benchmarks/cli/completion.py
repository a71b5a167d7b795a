"""What the shell offers at the press of a key: names of devices, experiments, sweeps, keys of `--set`.

Nothing is imported before a name is asked for; `opu --install-completion` sets the shell up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Offers = list[tuple[str, str]]


def devices(incomplete: str) -> Offers:
    """Shipped devices, with a line on each."""
    return _shipped("devices", incomplete)


def experiments(incomplete: str) -> Offers:
    """Shipped experiments, with a line on each."""
    return _shipped("experiments", incomplete)


def sweeps(incomplete: str) -> Offers:
    """Shipped sweeps, with a line on each."""
    return _shipped("sweeps", incomplete)


def methods(incomplete: str) -> Offers:
    """Training methods."""
    from dfa.config import METHODS

    return [(name, "") for name in METHODS if name.startswith(incomplete)]


def data_sets(incomplete: str) -> Offers:
    """Data sets, with a line on each."""
    from dfa.sources import catalogue

    return [(source.name, source.description) for source, _ in catalogue() if source.name.startswith(incomplete)]


def published(incomplete: str) -> Offers:
    """Published systems that `opu reproduce` knows."""
    from benchmarks.published import SYSTEMS

    return [(name, system.title) for name, system in SYSTEMS.items() if name.startswith(incomplete)]


def card_keys(incomplete: str) -> Offers:
    """Keys of an optical device's card, as `opu device show --set` takes them."""
    from opu_sim.cards import OpuCard

    return [(f"{key}=", "") for key in _keys(OpuCard) if "." in key and key.startswith(incomplete)]


def experiment_keys(incomplete: str) -> Offers:
    """Keys of an experiment, those of its device among them, as `opu train --set` takes them."""
    from dfa.config import Experiment

    own = [key for key in _keys(Experiment) if "." in key]
    device = [f"device.{key}" for key, _ in card_keys("")]
    return [(key, "") for key in [*(f"{key}=" for key in own), *device] if key.startswith(incomplete)]


def _shipped(kind: str, incomplete: str) -> Offers:
    from opu_sim.config import read_toml, shipped_folder, shipped_names

    names = [name for name in shipped_names(kind) if name.startswith(incomplete)]
    return [(name, str(read_toml(shipped_folder(kind) / f"{name}.toml").get("description", ""))) for name in names]


def _keys(model: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a table of the configuration, and of the tables below it."""
    from typing import get_args

    for name, field in model.model_fields.items():
        tables = [kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")]
        if tables:
            yield from _keys(tables[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
