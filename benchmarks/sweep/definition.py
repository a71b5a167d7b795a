"""Sweep files: axes over keys of experiment and device, and the points that they stand for.

    name = "adc-bits"
    description = "one line"
    experiment = "digits-mlp"        # shipped name, or a TOML file beside this one
    seeds = 3                        # 0, 1, 2 at each configuration

    [settings]                       # changes of the base, at every point
    trainer.epochs = 10

    [[axes]]                         # explicit values
    key = "device.camera.adc_bits"
    values = [2, 4, 8]

    [[axes]]                         # evenly spaced; scale = "log" for even ratios
    key = "device.laser.power_mw"
    low = 1.0
    high = 1000.0
    points = 7
    scale = "log"

    [[axes]]                         # keys that vary together
    keys = ["device.camera.model", "device.camera.roi_rows"]
    values = [["cmv2000", 178], ["imx174", 200]]

Axes with values or points form a grid, the first one slowest. An axis with low and high but no points is drawn:

    [sampling]
    kind = "sobol"                   # or "random"
    points = 64
    seed = 0

and all such axes are drawn together, once for each point of the grid. Keys are those of `opu train --set` (model.,
data., trainer., device.), and `method` and `device.name`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from dfa.config import Experiment, flattened, load_experiment
from opu_sim.config import Section, find_toml, read_toml, refused, shown, validated
from opu_sim.errors import ConfigError
from opu_sim.rng import stream

ROOTS = ("model", "data", "trainer", "device")
MAX_POINTS = 100_000
_DIGITS = 6  # significant ones of a value that is computed: readable in tables, finer than any effect


class AxisConfig(Section):
    """One key, or several that vary together."""

    key: str | None = None
    keys: Annotated[list[str], Field(min_length=2)] | None = None
    values: Annotated[list[Any], Field(min_length=1)] | None = None
    low: float | None = None
    high: float | None = None
    points: Annotated[int, Field(ge=2, le=MAX_POINTS)] | None = None
    scale: Literal["linear", "log"] = "linear"
    integer: bool = False
    """Round what lies between low and high to whole numbers."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.key is None) == (self.keys is None):
            raise ValueError("key: an axis has either key or keys")
        for key in self.names:
            _check_key(key)
        if self.values is None:
            if self.keys is not None:
                raise ValueError("values: missing; keys that vary together need them")
            for end in ("low", "high"):
                if getattr(self, end) is None:
                    raise ValueError(f"{end}: missing; an axis has either values, or low and high")
            self._check_range()
            return self
        for name in ("low", "high", "points"):
            if (value := getattr(self, name)) is not None:
                raise ValueError(f"{name} = {value!r}: does not go with values")
        for index, value in enumerate(self.values):
            if self.keys is not None and not (isinstance(value, list) and len(value) == len(self.keys)):
                raise ValueError(
                    f"values.{index} = {shown(value)}: must be a list of {len(self.keys)}, one for each key"
                )
            if value in self.values[:index]:
                raise ValueError(f"values.{index} = {shown(value)}: there twice")
        return self

    def _check_range(self) -> None:
        low, high = self.range
        if not low < high:
            raise ValueError(f"high = {high!r}: must be > low = {low!r}")
        if self.scale == "log" and low <= 0.0:
            raise ValueError(f"low = {low!r}: must be > 0 with scale = 'log'")
        if self.integer:
            for name, value in (("low", low), ("high", high)):
                if value != round(value):
                    raise ValueError(f"{name} = {value!r}: must be a whole number with integer = true")

    @property
    def names(self) -> list[str]:
        """Its key, or its keys."""
        return self.keys if self.keys is not None else [self.key or ""]

    @property
    def range(self) -> tuple[float, float]:
        """(low, high)."""
        if self.low is None or self.high is None:
            raise ValueError("an axis of explicit values has no range")
        return self.low, self.high

    @property
    def sampled(self) -> bool:
        """Whether its values are drawn."""
        return self.values is None and self.points is None

    def grid(self) -> list[Any]:
        """Its values, where they are not drawn; a list for each value of several keys."""
        if self.values is not None:
            return self.values
        low, high = self.range
        spaced = np.geomspace if self.scale == "log" else np.linspace
        values = [low, *(float(x) for x in spaced(low, high, self.points or 2)[1:-1]), high]
        return list(dict.fromkeys(self._rounded(value) for value in values))

    def at(self, share: float) -> int | float:
        """The value at a share 0 <= share < 1 of the range."""
        low, high = self.range
        if self.integer and self.scale == "linear":
            return int(low + share * (high - low + 1.0))  # each whole number gets the same share
        value = low * (high / low) ** share if self.scale == "log" else low + share * (high - low)
        return self._rounded(value)

    def _rounded(self, value: float) -> int | float:
        return round(value) if self.integer else float(f"{value:.{_DIGITS}g}")


class SamplingConfig(Section):
    """How axes without points are drawn."""

    kind: Literal["random", "sobol"]
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _balanced(self) -> Self:
        # Sobol' points are balanced in blocks of 2^m only: Owen 2020, arXiv 2008.08051.
        if self.kind == "sobol" and self.points & (self.points - 1):
            below = 1 << (self.points.bit_length() - 1)
            raise ValueError(f"points = {self.points}: must be a power of two for 'sobol', {below} or {2 * below}")
        return self

    def shares(self, axes: int) -> list[list[float]]:
        """Points of the unit cube [points, axes]; the first ones stay the same when there are more."""
        draws = stream(self.seed, f"sweep.{self.kind}")
        if self.kind == "random":
            cube: list[list[float]] = draws.random((self.points, axes)).tolist()
            return cube
        from scipy.stats import qmc

        scrambling = int(draws.integers(2**63))  # scipy spawns streams of its own, which a counter-based one cannot
        sobol: list[list[float]] = qmc.Sobol(axes, scramble=True, seed=scrambling).random(self.points).tolist()
        return sobol


class SweepConfig(Section):
    """A sweep file."""

    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")]
    description: str = ""
    experiment: str
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Seeds 0 .. seeds - 1 of each configuration."""
    settings: dict[str, Any] = Field(default_factory=dict)
    sampling: SamplingConfig | None = None
    axes: Annotated[list[AxisConfig], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen = set()
        for index, axis in enumerate(self.axes):
            for key in axis.names:
                if key in seen:
                    raise ValueError(f"axes.{index}.key = {key!r}: on another axis, too")
                seen.add(key)
            if axis.sampled and self.sampling is None:
                raise ValueError(f"axes.{index}.points: missing; without [sampling] each range needs it")
        if self.sampling is not None and not any(axis.sampled for axis in self.axes):
            raise ValueError("sampling: nothing to draw; an axis is drawn that has low and high but no points")
        for key in flattened(self.settings):
            _check_key(key, "settings.")
            if key in seen:
                raise ValueError(f"settings.{key}: is an axis")
        return self


def _check_key(key: str, prefix: str = "") -> None:
    root, _, rest = key.partition(".")
    if key != "method" and (root not in ROOTS or not rest):
        roots = ", ".join(f"{root}." for root in ROOTS)
        what = f"{prefix}{key}" if prefix else f"key = {key!r}"
        raise ValueError(f"{what}: unknown key; must be method or begin with one of {roots}")


@dataclass(frozen=True)
class Point:
    """One training run. `parameters`: what the axes set, by key."""

    sha256: str
    parameters: dict[str, Any]
    seed: int
    experiment: Experiment


@dataclass(frozen=True)
class Sweep:
    """A sweep with all of its points resolved, configuration by configuration, seeds in a row."""

    config: SweepConfig
    path: Path
    base: Experiment
    points: tuple[Point, ...]

    @property
    def keys(self) -> list[str]:
        """All keys that vary."""
        return [key for axis in self.config.axes for key in axis.names]

    def document(self) -> dict[str, Any]:
        """What the sweep directory keeps of it, JSON-ready: the file's content and the base experiment."""
        return self.config.model_dump(mode="json", exclude_none=True) | {"base": self.base.table()}


def load_sweep(name: str | Path, *, seeds: int | None = None, settings: Mapping[str, Any] | None = None) -> Sweep:
    """Sweep of a shipped name or a TOML file; every point is resolved and checked, so that nothing starts in vain.

    Parameters
    ----------
    seeds : int, optional
        Instead of the file's.
    settings : mapping of dotted keys, optional
        Laid over the file's `[settings]`.

    Raises
    ------
    ConfigError
        Missing file, unknown key, empty axis, bad range, a point whose configuration is refused: one line.
    """
    path = find_toml("sweeps", name)
    table = read_toml(path)
    if seeds is not None:
        table["seeds"] = seeds
    over = flattened(table["settings"]) if isinstance(table.get("settings"), Mapping) else {}
    if over or settings:
        table["settings"] = over | dict(settings or {})
    config = validated(SweepConfig, table, str(path))
    fixed = flattened(config.settings)
    experiment = find_toml("experiments", config.experiment, beside=path.parent)
    base = _resolved(path, experiment, fixed, {}, None)
    points: dict[str, Point] = {}
    for parameters in _configurations(path, config):
        for seed in range(config.seeds):
            resolved = _resolved(path, experiment, fixed, parameters, seed)
            # Two points of one configuration (drawn whole numbers, say) are one run.
            points.setdefault(resolved.sha256, Point(resolved.sha256, parameters, seed, resolved))
    return Sweep(config, path, base, tuple(points.values()))


def _configurations(path: Path, config: SweepConfig) -> Iterator[dict[str, Any]]:
    grid = [axis for axis in config.axes if not axis.sampled]
    drawn = [axis for axis in config.axes if axis.sampled]
    columns = [axis.grid() for axis in grid]
    shares = config.sampling.shares(len(drawn)) if config.sampling is not None else [[]]
    count = config.seeds * len(shares)
    for column in columns:
        count *= len(column)
    if count > MAX_POINTS:
        raise refused(f"{path}: {count:,} points; must be at most {MAX_POINTS:,}")
    for values in itertools.product(*columns):
        for share in shares:
            found: dict[str, Any] = {}
            for axis, value in zip(grid, values, strict=True):
                found.update(zip(axis.names, value if axis.keys is not None else [value], strict=True))
            found.update({axis.names[0]: axis.at(u) for axis, u in zip(drawn, share, strict=True)})
            yield {key: found[key] for axis in config.axes for key in axis.names}


def _resolved(
    path: Path, experiment: Path, fixed: Mapping[str, Any], parameters: Mapping[str, Any], seed: int | None
) -> Experiment:
    settings = {**fixed, **parameters}
    chosen = {"method": settings.pop("method", None), "device": settings.pop("device.name", None)}
    for what, value in chosen.items():
        if value is not None and not isinstance(value, str):
            raise refused(f"{path}: {what} = {shown(value)}: must be a text")
    if chosen["device"] is not None and (beside := path.parent / chosen["device"]).is_file():
        chosen["device"] = str(beside.resolve())
    try:
        return load_experiment(experiment, seed=seed, settings=settings, **chosen)
    except ConfigError as error:
        where = ", ".join(f"{key} = {shown(value)}" for key, value in parameters.items())
        raise refused(f"{path}: {f'at {where}' if where else '[settings]'}: {error}") from None
