"""Reading what a report is made from: anything damaged is one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from opu_sim.config import Section, refused

MAX_PNG_BYTES = 8 * 2**20


class Stored(Section):
    """Base of a table in a result file: what is named must be there and of its type; keys of other versions may be."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)


def read_text(path: Path) -> str:
    """Text of a file.

    Raises
    ------
    ConfigError
        It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise refused(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise refused(f"{path}: damaged: not UTF-8 text") from None


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises
    ------
    ConfigError
        It cannot be read, or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except ValueError as error:
        raise refused(f"{path}: damaged: not valid JSON: {error}") from None
    except RecursionError:
        raise refused(f"{path}: damaged: nested too deeply") from None


def read_png(path: Path) -> bytes | None:
    """Content of a picture; None where there is none that a page could hold."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_PNG_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(b"\x89PNG\r\n\x1a\n") else None
