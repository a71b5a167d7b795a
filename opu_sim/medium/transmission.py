"""Scattering medium: the complex transmission matrix T[output, input], E T = 0, E T^2 = 0, E|T|^2 = 1.

A thick, strongly scattering medium has a transmission matrix of independent circular Gaussian entries (Popoff et
al. 2010, arXiv 0910.5436, measured it). The device multiplies it by the field of a macropixel.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opu_sim.errors import DeviceError

Field = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Real and imaginary part, float32 [pattern, output]."""

Patterns = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.complex64]
"""[pattern, input]: binary as uint8, or amplitudes as float32 or complex64."""

BEYOND_INPUTS = 2**40
"""Column of `Medium.column(0)`: more than any DMD has mirrors."""


class Medium(Protocol):
    """What stored, streamed and wave-optics media have in common.

    Outputs are numbered from `first_output`; T depends on (seed, output, input) and, if it drifts, on the knot.
    An illumination, one complex factor an input, is part of T.
    """

    n_in: int
    first_output: int
    n_outputs: int
    step_s: float
    """Time between knots, at which T changes; between them it stands still. math.inf: it never changes."""

    def move_to(self, step: int) -> None:
        """Let T be that of knot `step` = floor(time / step_s) >= 0; it depends on the knot alone, not on the way."""
        ...

    def propagate(self, patterns: Patterns) -> Field:
        """T b for binary patterns, uint8, or amplitudes, float32 or complex64 [pattern, input]."""
        ...

    def column(self, index: int) -> Field:
        """Response [1, output] of one further source that is not an input (mirrors left over, for example)."""
        ...

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input], for tests and for small shapes."""
        ...


def is_binary(patterns: NDArray[Any]) -> bool:
    """Whether patterns are binary (uint8, bool), as opposed to amplitudes (float, complex).

    Raises
    ------
    ValueError
        Another dtype.
    """
    if patterns.dtype in (np.uint8, np.bool_):
        return True
    if not np.issubdtype(patterns.dtype, np.inexact):
        raise ValueError(f"patterns: dtype {patterns.dtype}; must be uint8, or float or complex for amplitudes")
    return False


def checked_illumination(illumination: NDArray[np.complex64] | None, n_in: int) -> NDArray[np.complex64] | None:
    """The factors as complex64 [n_in].

    Raises
    ------
    ValueError
        Wrong shape, or values that are not finite.
    """
    if illumination is None:
        return None
    factors = np.ascontiguousarray(illumination, dtype=np.complex64)
    if factors.shape != (n_in,) or not np.isfinite(factors).all():
        raise ValueError(f"illumination: shape {factors.shape}; must be [{n_in}] and finite")
    return factors


def no_drift(step: int) -> None:
    """What `move_to` does in a medium that never changes: check the knot's number."""
    if step < 0:
        raise ValueError(f"step = {step}: must be >= 0")


def refuse_what_does_not_fit(n_in: int, n_outputs: int, memory: int, copies: int = 1) -> None:
    """DeviceError where a stored matrix would take more than half of `memory` bytes."""
    needed = 8 * n_in * n_outputs * copies
    if needed > memory // 2:
        raise DeviceError(
            f"n_in x n_out = {n_in} x {n_outputs}: a stored transmission matrix takes {needed / 2**30:.1f} GiB; "
            f"allowed: {memory / 2**31:.1f} GiB, half of this computer's memory"
        )
