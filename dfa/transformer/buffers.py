"""Arrays that outlive a training step, so that no step pays for fresh memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


class Buffers:
    """Named arrays of one dtype that only ever grow: a smaller shape is a view of the first elements.

    The same name and shape give the same memory until a larger shape is asked for, so a backward pass finds by
    name what the forward pass wrote.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._flat: dict[str, Array] = {}

    def __call__(self, name: str, *shape: int) -> Array:
        """C-contiguous array of this shape; its content is what was last written under this name."""
        size = math.prod(shape)
        flat = self._flat.get(name)
        if flat is None or flat.size < size:
            flat = self._flat[name] = np.empty(size, self.dtype)
        return flat[:size].reshape(shape)
