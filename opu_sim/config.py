"""TOML files to frozen, validated models: where shipped files live, overrides, and one-line errors."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from opu_sim.errors import ConfigError

Table = dict[str, Any]


class Section(BaseModel):
    """Base of every configuration table: frozen, no unknown keys, no silent conversion of types.

    A validator of a whole table begins its message with the key at fault, "roi_rows = 9: must be <= 8".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)

TAG = "kind:"
"""Begins the tag of each choice of a union of sections: no key looks like that, so that messages can leave it out."""


def refused(message: str) -> ConfigError:
    """ConfigError of one line: line breaks and other control characters of keys and paths are escaped."""
    return ConfigError("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def shown(value: Any) -> str:
    """`repr` of a value in a message, cut where it would not fit a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python does not print integers of thousands of digits
        return f"({type(value).__name__} too large to show)"
    return text if len(text) <= 200 else f"{text[:197]}..."


def shipped_folder(kind: str) -> Path:
    """Folder of the files shipped under `configs/<kind>`: inside the wheel, or beside it in a checkout."""
    package = Path(__file__).parent
    in_wheel = package / "configs" / kind
    return in_wheel if in_wheel.is_dir() else package.parent / "configs" / kind


def shipped_names(kind: str) -> list[str]:
    """Names that can stand for a shipped file of this kind (`devices`, `cameras`, `experiments`)."""
    return sorted(path.stem for path in shipped_folder(kind).glob("*.toml"))


def find_toml(kind: str, name: str | Path, beside: Path | None = None) -> Path:
    """Path of a shipped name or of a user's own TOML file.

    Parameters
    ----------
    beside : folder where a relative path is looked for before the working directory.

    Raises
    ------
    ConfigError
        Neither a shipped name nor an existing file; lists what there is.
    """
    text = str(name)
    if text in shipped_names(kind):
        return shipped_folder(kind) / f"{text}.toml"
    path = Path(text)
    if path.suffix == ".toml":
        try:
            for place in (path,) if beside is None else (beside / path, path):
                if place.is_file():
                    return place
        except OSError as error:  # a name too long, a folder closed to us
            raise refused(f"{path}: cannot be read: {error.strerror}") from None
        raise refused(f"{path}: no such file")
    raise refused(
        f"{text!r}: no such {kind.removesuffix('s')}; shipped are {', '.join(shipped_names(kind))}; "
        "or give the path of a .toml file"
    )


def read_toml(path: Path) -> Table:
    """Parse a TOML file; unreadable or malformed gives one ConfigError naming the file."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):
            raise ValueError("begins with a byte order mark; must be saved as UTF-8 without one")
        return tomllib.loads(text)
    except OSError as error:
        raise refused(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # malformed, not UTF-8, or an integer of thousands of digits
        raise refused(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise refused(f"{path}: nested too deeply") from None


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """Table `base` with `over` laid on top, table by table."""
    out: Table = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        out[key] = value
    return out


def nested(dotted: Mapping[str, Any]) -> Table:
    """{"camera.adc_bits": 6} -> {"camera": {"adc_bits": 6}}; the order of the keys plays no part.

    Raises
    ------
    ConfigError
        A key set twice, or set to a value and used as a table.
    """
    out: Table = {}
    for key, value in dotted.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        _join(out, value, "")
    return out


def _join(table: Table, other: Mapping[str, Any], prefix: str) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping):
            below = table.setdefault(key, {})
            if not isinstance(below, dict):
                raise refused(f"{prefix}{key}: set to a value and used as a table")
            _join(below, value, f"{prefix}{key}.")
        elif key in table:
            twice = "set to a value and used as a table" if isinstance(table[key], dict) else "set twice"
            raise refused(f"{prefix}{key}: {twice}")
        else:
            table[key] = value


def validated(
    model: type[SectionT], table: Mapping[str, Any], where: str, set_by: Mapping[str, str] | None = None
) -> SectionT:
    """Build the model from a table.

    Parameters
    ----------
    where : file of the table, for messages
    set_by : as for `at_fault`

    Raises
    ------
    ConfigError
        One line for the first problem: file, key path, value, what is allowed.
    """
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise at_fault(_one_line(model, error), where, set_by) from None


def at_fault(line: str, where: str, set_by: Mapping[str, str] | None = None) -> ConfigError:
    """ConfigError for a line that begins with a key: put down to what set the key, or else to the file `where`.

    set_by: keys that the file did not set, and how a line on each begins, such as {"camera.adc_bits": "--set "}.
    """
    key = re.split("[ :]", line, maxsplit=1)[0]
    for other, begin in (set_by or {}).items():
        if f"{key}.".startswith(f"{other}.") or other.startswith(f"{key}."):
            return refused(begin + line)
    return refused(f"{where}: {line}")


def _one_line(model: type[BaseModel], error: ValidationError) -> str:
    # A wrong kind is reported before the keys that are unknown because of it, and an unknown key before the "missing"
    # that a misspelling causes beside it.
    problems = sorted(error.errors(), key=lambda p: (p["loc"][-1:] != ("kind",), p["type"] != "extra_forbidden"))
    problem = problems[0]
    location = [part for part in problem["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in location if not str(part).startswith(TAG))
    if problem["type"] == "extra_forbidden":
        known = sorted(getattr(_type_at(model, location[:-1])[0], "model_fields", ()))
        # A strict cutoff: no hint is better than `name` for `camera`.
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    value = problem["input"]
    if problem["type"] == "missing":
        return f"{key}: missing; {_allowed(model, location) or 'it has no default'}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error" and isinstance(value, Mapping):
        return f"{key}.{message}" if key else message
    if problem["type"] != "value_error":
        message = _allowed(model, location) or message[:1].lower() + message[1:]
    if isinstance(value, float) and not math.isfinite(value):
        message = message.replace("a number", "a finite number")
    return f"{key} = {shown(value)}: {message}"


def _type_at(model: type[BaseModel], location: list[Any]) -> tuple[Any, list[Any]]:
    """Type at a place of the model, bare of `| None` and `Annotated`, and its rules; None if unknown."""
    kind: Any = model
    rules: list[Any] = []
    for part in location:
        if part in getattr(kind, "model_fields", ()):
            field = kind.model_fields[part]
            kind, rules = field.annotation, list(field.metadata)
        elif get_origin(kind) is list:
            kind, rules = get_args(kind)[0], []
        elif str(part).startswith(TAG) and get_origin(kind) in (Union, UnionType):
            kind = next(choice for choice in get_args(kind) if Tag(part) in get_args(choice))
        else:
            return None, []
        if get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
            kind = next(choice for choice in get_args(kind) if choice is not NoneType)
        if get_origin(kind) is Annotated:
            kind, *extras = get_args(kind)
            rules += [rule for extra in extras for rule in getattr(extra, "metadata", ())]
    return kind, rules


_NOUNS = {int: "an integer", float: "a number", str: "a text", bool: "true or false", list: "a list"}
_WORDS = {
    "ge": ">=",
    "gt": ">",
    "le": "<=",
    "lt": "<",
    "min_length": "of length >=",
    "max_length": "of length <=",
}


def _allowed(model: type[BaseModel], location: list[Any]) -> str:
    kind, rules = _type_at(model, location)
    if get_origin(kind) is Literal:
        return "must be one of " + ", ".join(repr(choice) for choice in get_args(kind))
    kind = get_origin(kind) or kind
    if kind is dict or hasattr(kind, "model_fields"):
        return "must be a table"
    bounds = [
        f"{word} {getattr(rule, name)}"
        for rule in rules
        for name, word in _WORDS.items()
        if getattr(rule, name, None) is not None
    ]
    wanted = " ".join(part for part in (_NOUNS.get(kind, ""), " and ".join(bounds)) if part)
    return f"must be {wanted}" if wanted else ""


def parse_assignment(text: str, option: str = "--set", example: str = "trainer.epochs=5") -> tuple[str, Any]:
    """`KEY=VALUE` of a command line; VALUE is TOML (1e-3, true, [64, 64]) or else a bare word.

    Raises
    ------
    ConfigError
        No `=`, an empty key or value, more than one line, a value beyond the TOML parser.
    """
    key, _, value = (part.strip() for part in text.partition("="))
    if not key or not value:
        raise refused(f"{option} {shown(text)}: must be KEY=VALUE, for example {example}")
    # Text after a line break would be parsed as further TOML, and be lost.
    if len(text.strip().splitlines()) > 1:
        raise refused(f"{option} {shown(text)}: must be one line")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
    except ValueError as error:
        raise refused(f"{option} {key}: {error}") from None
    except RecursionError:
        raise refused(f"{option} {key}: nested too deeply") from None
