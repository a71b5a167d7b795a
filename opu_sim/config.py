"""TOML files to frozen, validated models: where shipped files live, overrides, and one-line errors."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from opu_sim.errors import ConfigError

Table = dict[str, Any]


class Section(BaseModel):
    """Base of every configuration table: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


def shipped_folder(kind: str) -> Path:
    """Folder of the files shipped under `configs/<kind>`: inside the wheel, or beside it in a checkout."""
    package = Path(__file__).parent
    in_wheel = package / "configs" / kind
    return in_wheel if in_wheel.is_dir() else package.parent / "configs" / kind


def shipped_names(kind: str) -> list[str]:
    """Names that can stand for a shipped file of this kind (`devices`, `cameras`, `experiments`)."""
    return sorted(path.stem for path in shipped_folder(kind).glob("*.toml"))


def find_toml(kind: str, name: str | Path) -> Path:
    """Path of a shipped name or of a user's own TOML file.

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
        if path.is_file():
            return path
        raise ConfigError(f"{path}: no such file")
    raise ConfigError(
        f"{text!r}: no such {kind.removesuffix('s')}; shipped are {', '.join(shipped_names(kind))}; "
        "or give the path of a .toml file"
    )


def read_toml(path: Path) -> Table:
    """Parse a TOML file; unreadable or malformed gives one ConfigError naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """`base` with `over` laid on top, table by table."""
    out: Table = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def nested(dotted: Mapping[str, Any]) -> Table:
    """{"camera.adc_bits": 6} -> {"camera": {"adc_bits": 6}}."""
    out: Table = {}
    for key, value in dotted.items():
        *parents, last = key.split(".")
        table = out
        for parent in parents:
            inner = table.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{key}: {parent} is set to a value and used as a table")
            table = inner
        table[last] = value
    return out


def validated(model: type[SectionT], table: Mapping[str, Any], where: str) -> SectionT:
    """Build the model from a table.

    Raises
    ------
    ConfigError
        One line for the first problem: file, key path, value, what is allowed.
    """
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_one_line(model, error)}") from None


def _one_line(model: type[BaseModel], error: ValidationError) -> str:
    # An unknown key is reported before the "missing" that a misspelling causes beside it.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    location = [part for part in problem["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = sorted(_keys_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: missing; {_allowed(model, location) or 'it has no default'}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    allowed = _allowed(model, location) or message[:1].lower() + message[1:]
    return f"{key} = {problem['input']!r}: {allowed}"


def _field_at(model: type[BaseModel], location: list[Any]) -> FieldInfo | None:
    current: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in location:
        if current is None or str(part) not in current.model_fields:
            return None
        field = current.model_fields[str(part)]
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        current = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return field


def _keys_at(model: type[BaseModel], location: list[Any]) -> list[str]:
    if not location:
        return list(model.model_fields)
    field = _field_at(model, location)
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ())) if field else ()
    inner = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return list(inner.model_fields) if inner else []


_WORDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}


def _allowed(model: type[BaseModel], location: list[Any]) -> str:
    field = _field_at(model, location)
    if field is None:
        return ""
    kind = field.annotation
    if getattr(kind, "__origin__", None) is not None and str(kind).startswith("typing.Literal"):
        return "must be one of " + ", ".join(repr(choice) for choice in kind.__args__)  # type: ignore[union-attr]
    bounds = [
        f"{word} {getattr(rule, name)}"
        for rule in field.metadata
        for name, word in _WORDS.items()
        if getattr(rule, name, None) is not None
    ]
    noun = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}.get(kind, "")  # type: ignore[call-overload]
    wanted = " ".join(part for part in (noun, " and ".join(bounds)) if part)
    return f"must be {wanted}" if wanted else ""


def parse_assignment(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` of a command line; VALUE is TOML (1e-3, true, [64, 64]) or else a bare word.

    Raises
    ------
    ConfigError
        No `=`, or an empty key.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {text!r}: must be KEY=VALUE, for example trainer.epochs=5")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()
