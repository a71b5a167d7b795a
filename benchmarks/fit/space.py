"""Search space of `opu device fit`: keys of a device card, and the values or bounds that each is searched in.

What is searched unless the user says otherwise, and where the bounds come from:

- `camera.model`: the shipped cameras.
- `timing.exposure_us`, by ratios: from the shortest that any part can follow (the DMD's pattern period less the dead
  time: below it a frame is no faster and only darker) to the longest full read-out of the cameras (above it the
  exposure is the slowest stage, whatever is read), and as far as the card's own exposure in either case.
- `laser.power_mw`, by ratios: two decades below the card's to one above (assumed).
- `camera.adc_bits`: from the fewest whose codes hold the camera's offset twice over, at least 2, to the camera's own.
- `camera.roi_rows`, by ratios: from the rows that the outputs take to all of the smallest camera's.

The trigger is free-running (`timing.frame_time_us` = 0), as a fixed one would hide exposure and rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opu_sim.cards import CameraCard, OpuCard, load_camera_card
from opu_sim.config import parse_assignment, refused, shipped_names, shown

if TYPE_CHECKING:
    from optuna import Trial

MODEL = "camera.model"
EXPOSURE = "timing.exposure_us"
POWER = "laser.power_mw"
BITS = "camera.adc_bits"
ROWS = "camera.roi_rows"
RANGES = {EXPOSURE: (False, True), POWER: (False, True), BITS: (True, False), ROWS: (True, True)}
"""Keys that may have a range: (whole numbers, by ratios)."""

TRIGGER = "timing.frame_time_us"
_POWER_SPAN = (1e-2, 1e1)
_FEWEST_BITS = 2
_DIGITS = 4


def rounded(value: float) -> float:
    """To four significant digits: readable, and finer than any part is set."""
    return float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True)
class Choice:
    """A key with explicit values."""

    key: str
    values: tuple[Any, ...]
    why: str

    def suggest(self, trial: Trial, found: Mapping[str, Any]) -> Any:
        """A value of it."""
        return trial.suggest_categorical(self.key, self.values)

    def enqueued(self, value: Any, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """What makes `suggest` return this value; None where it is outside."""
        return {self.key: value} if value in self.values else None

    def finite(self, found: Mapping[str, Any]) -> Iterator[Any] | None:
        """All of its values; None for a continuum."""
        return iter(self.values)

    def words(self) -> str:
        """For people."""
        return ", ".join(str(value) for value in self.values)

    def document(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"key": self.key, "values": list(self.values), "why": self.why}


@dataclass(frozen=True)
class Range:
    """A key between bounds; `bounds`: by camera, or the one entry "" for all of them."""

    key: str
    bounds: Mapping[str, tuple[float, float]]
    why: str

    @property
    def integer(self) -> bool:
        """Whole numbers only."""
        return RANGES[self.key][0]

    @property
    def log(self) -> bool:
        """Searched by ratios."""
        return RANGES[self.key][1]

    def _at(self, found: Mapping[str, Any]) -> tuple[str, float, float]:
        """Name for Optuna, which wants one set of bounds a name, and the bounds."""
        if "" in self.bounds:
            return self.key, *self.bounds[""]
        camera = str(found[MODEL])
        return f"{self.key} of {camera}", *self.bounds[camera]

    def suggest(self, trial: Trial, found: Mapping[str, Any]) -> Any:
        """A value within the bounds of the camera that was found before."""
        name, low, high = self._at(found)
        if self.integer:
            return trial.suggest_int(name, int(low), int(high), log=self.log)
        return rounded(trial.suggest_float(name, low, high, log=self.log))

    def enqueued(self, value: Any, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `Choice.enqueued`."""
        name, low, high = self._at(found)
        return {name: value} if value is not None and low <= value <= high else None

    def finite(self, found: Mapping[str, Any]) -> Iterator[Any] | None:
        """As `Choice.finite`."""
        _, low, high = self._at(found)
        return iter(range(int(low), int(high) + 1)) if self.integer else None

    def words(self) -> str:
        """For people."""
        steps = "whole numbers" if self.integer else "continuous"
        bounds = [f"{low:g} .. {high:g}{f' ({camera})' if camera else ''}" for camera, (low, high) in self._sorted()]
        return f"{', '.join(bounds)}; {steps}{', by ratios' if self.log else ''}"

    def _sorted(self) -> list[tuple[str, tuple[float, float]]]:
        return sorted(self.bounds.items())

    def document(self) -> dict[str, Any]:
        """JSON-ready; `low` and `high` are tables by camera where each has its own."""
        if "" in self.bounds:
            low, high = self.bounds[""]
            return {"key": self.key, "low": low, "high": high, "log": self.log, "why": self.why}
        ends = [{camera: pair[end] for camera, pair in self._sorted()} for end in (0, 1)]
        return {"key": self.key, "low": ends[0], "high": ends[1], "log": self.log, "why": self.why}


Dimension = Choice | Range


@dataclass(frozen=True)
class Space:
    """Dimensions in the order that they are drawn, the camera first."""

    dimensions: tuple[Dimension, ...]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """A configuration, by key of the card."""
        found: dict[str, Any] = {}
        for dimension in self.dimensions:
            found[dimension.key] = dimension.suggest(trial, found)
        return found

    def enqueued(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Parameters of Optuna for a configuration; None where it is outside the space."""
        out: dict[str, Any] = {}
        for dimension in self.dimensions:
            part = dimension.enqueued(values.get(dimension.key), values)
            if part is None:
                return None
            out |= part
        return out

    def whole(self, most: int) -> list[dict[str, Any]] | None:
        """All configurations where they are at most so many, else None."""
        found = list(itertools.islice(self._walk({}, 0), most + 1))
        return None if len(found) > most or None in found else [entry for entry in found if entry is not None]

    def _walk(self, found: dict[str, Any], index: int) -> Iterator[dict[str, Any] | None]:
        if index == len(self.dimensions):
            yield dict(found)
            return
        values = self.dimensions[index].finite(found)
        if values is None:
            yield None
            return
        for value in values:
            yield from self._walk({**found, self.dimensions[index].key: value}, index + 1)

    def document(self) -> list[dict[str, Any]]:
        """JSON-ready."""
        return [dimension.document() for dimension in self.dimensions]


def cameras_of(given: Mapping[str, Any], fixed: Mapping[str, Any], card: OpuCard, stated: Collection[str]) -> list[str]:
    """Cameras that are searched; none where the card's own stays.

    stated: keys of the camera that the device's file states itself, which would be laid over every other camera's.

    Raises
    ------
    ConfigError
        One of them is no camera, or the device's file does not let it be exchanged.
    """
    own = sorted(set(stated) - {"model", "adc_bits", "roi_rows"})
    if MODEL in given:
        models = list(given[MODEL]) if isinstance(given[MODEL], list) else [given[MODEL]]
        if own:
            raise refused(f"--space {MODEL}: the file of {card.name} states camera.{own[0]} itself; its camera stays")
        for model in models:
            if not isinstance(model, str):
                raise refused(f"--space {MODEL} = {shown(model)}: must be a text")
            load_camera_card(model)
        return models
    return [] if own or MODEL in fixed else list(shipped_names("cameras"))


def make_space(
    card: OpuCard,
    cameras: Mapping[str, CameraCard],
    rows_needed: int,
    given: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> Space:
    """The space with the user's changes.

    Parameters
    ----------
    cameras : those that are searched, by name; "" is the card's own, which stays
    rows_needed : sensor rows that the outputs take at least
    given : of `--space`, by key: a list of values, (low, high), or one value
    fixed : of `--set`, by key of the card; such keys are not searched

    Raises
    ------
    ConfigError
        A key in both, a range that is empty or of a key that has none.
    """
    for key in given:
        if key in fixed:
            raise refused(f"--space {key}: set by --set device.{key}, too")
    defaults: list[Dimension] = [] if "" in cameras else [Choice(MODEL, tuple(cameras), "shipped cameras")]
    defaults += [_exposure(card, cameras), _power(card), _bits(cameras), _rows(cameras, rows_needed)]
    found = {entry.key: entry for entry in defaults if entry.key not in fixed}
    for key, value in given.items():
        found[key] = _given(key, value)
    if not found:
        raise refused("--set: every key of the search is set; nothing is left to search")
    return Space(tuple(found.values()))


def _exposure(card: OpuCard, cameras: Mapping[str, CameraCard]) -> Range:
    dead = card.timing.dead_time_us
    low = max(1e6 / card.dmd.pattern_rate_hz - dead, 1.0)
    high = max(max(1e6 * camera.read_out_s(camera.rows) for camera in cameras.values()) - dead, low)
    if (own := card.timing.exposure_us) is not None:
        low, high = min(low, own), max(high, own)
    why = "the DMD's fastest frame to the cameras' longest full read-out, the card's own exposure within"
    return Range(EXPOSURE, {"": (rounded(low), rounded(high))}, why)


def _power(card: OpuCard) -> Range:
    low, high = (rounded(factor * card.laser.power_mw) for factor in _POWER_SPAN)
    return Range(POWER, {"": (low, high)}, "assumed: a hundredth to ten times the card's")


def _bits(cameras: Mapping[str, CameraCard]) -> Range:
    def fewest(camera: CameraCard) -> int:
        return min(max(_FEWEST_BITS, math.ceil(math.log2(2.0 * camera.offset_dn + 1.0))), camera.adc_bits)

    bounds = {name: (float(fewest(camera)), float(camera.adc_bits)) for name, camera in cameras.items()}
    same = set(bounds.values())
    why = "codes for twice the camera's offset, at least 2 bits, to the camera's own bits"
    return Range(BITS, {"": same.pop()} if len(same) == 1 else bounds, why)


def _rows(cameras: Mapping[str, CameraCard], rows_needed: int) -> Range:
    high = max(min(camera.rows for camera in cameras.values()), rows_needed)
    return Range(ROWS, {"": (float(rows_needed), float(high))}, "rows that the outputs take to the smallest camera's")


def _given(key: str, value: Any) -> Dimension:
    if isinstance(value, tuple):
        return Range(key, {"": value}, "--space")
    return Choice(key, tuple(value) if isinstance(value, list) else (value,), "--space")


def parse_space(texts: Sequence[str]) -> dict[str, Any]:
    """`--space KEY=[A, B]`, `KEY=LOW..HIGH` or `KEY=VALUE`, by key of the card.

    Raises
    ------
    ConfigError
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, value = parse_assignment(text, "--space", "laser.power_mw=1..100")
        key = key.removeprefix("device.")
        if key in found:
            raise refused(f"--space {key}: there twice")
        if isinstance(value, str) and ".." in value:
            value = _ends(key, value)
        elif isinstance(value, list) and (not value or any(entry in value[:i] for i, entry in enumerate(value))):
            raise refused(f"--space {key} = {shown(value)}: must be a list of one or more different values")
        if any(isinstance(entry, list | dict) for entry in (value if isinstance(value, list) else [value])):
            raise refused(f"--space {key} = {shown(value)}: must be numbers, texts, true or false")
        found[key] = value
    return found


def _ends(key: str, text: str) -> tuple[float, float]:
    if key not in RANGES:
        raise refused(f"--space {key} = {text!r}: a range is for {', '.join(RANGES)}; other keys take a list of values")
    try:
        low, high = (float(end) for end in text.split(".."))
    except ValueError:
        raise refused(f"--space {key} = {text!r}: must be LOW..HIGH, for example 1..100") from None
    if not 0.0 < low < high < math.inf:
        raise refused(f"--space {key} = {text!r}: must be 0 < LOW < HIGH")
    if RANGES[key][0] and (low != round(low) or high != round(high)):
        raise refused(f"--space {key} = {text!r}: must be whole numbers")
    return low, high
