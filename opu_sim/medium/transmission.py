"""Scattering medium: the complex transmission matrix T[output, input], E T = 0, E T^2 = 0, E|T|^2 = 1.

A thick, strongly scattering medium has a transmission matrix of independent circular Gaussian entries (Popoff et
al. 2010, arXiv 0910.5436, measured it). The device multiplies it by the field of a macropixel.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Field = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Real and imaginary part, float32 [pattern, output]."""


class Medium(Protocol):
    """What stored, streamed and wave-optics media have in common.

    Outputs are numbered from `first_output`; T depends on (seed, output, input) alone.
    """

    n_in: int
    first_output: int
    n_outputs: int

    def propagate(self, patterns: NDArray[np.uint8]) -> Field:
        """T b for binary patterns [pattern, input]."""
        ...

    def column(self, index: int) -> Field:
        """Response [1, output] of one further source that is not an input (mirrors left over, for example)."""
        ...

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input], for tests and for small shapes."""
        ...
