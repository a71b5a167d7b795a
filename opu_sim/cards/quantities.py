"""Kinds of figures on a card, and where a figure comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from opu_sim.config import shown

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


def _texts(source: Any) -> Any:
    if isinstance(source, Mapping):
        for key, text in source.items():
            if not isinstance(text, str):
                raise ValueError(f"{key} = {shown(text)}: must be a text")
    elif not isinstance(source, str):
        raise ValueError("must be a text or a table of texts")
    return source


Sources = dict[str, Annotated[Any, AfterValidator(_texts)]]
