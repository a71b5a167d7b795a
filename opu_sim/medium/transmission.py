"""Scattering medium: the complex transmission matrix T[output, input], E T = 0, E T^2 = 0, E|T|^2 = 1.

A thick, strongly scattering medium has a transmission matrix of independent circular Gaussian entries (Popoff et
al. 2010, arXiv 0910.5436, measured it). The device multiplies it by the field of a macropixel.
"""

from __future__ import annotations

import os
from pathlib import Path
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

FEW_INPUTS = 32
"""Up to here adding columns beats a matrix product (measured at 2048 outputs: 1.7 times at 10 inputs, even at 32)."""

PATTERNS_OF_A_PRODUCT = 512
"""Many, because each product reads the whole matrix (41 instead of 512 patterns were measured 3 times slower)."""

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # Linux control groups, version 2

_ENTRIES_AT_ONCE = 2**22  # of `block_by_columns`: bounds the memory for the fields


class Medium(Protocol):
    """What stored, streamed and wave-optics media have in common.

    Outputs are numbered from `first_output`; T depends on (seed, output, input) and, if it drifts, on the knot.
    An illumination, one complex factor an input, is part of T.
    """

    kind: str
    """As on the card: "stored", "streamed", ..."""
    n_in: int
    first_output: int
    n_outputs: int
    batch: int
    """Patterns of a call beyond which a larger call is not faster."""
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

    def block(self, outputs: NDArray[np.integer], inputs: NDArray[np.integer]) -> NDArray[np.complex64]:
        """T [output, input] at chosen outputs and inputs, in their order, without the rest of the matrix.

        Parameters
        ----------
        outputs : integer [output], first_output .. first_output + n_outputs - 1
        inputs : integer [input], 0 .. n_in - 1

        Raises
        ------
        ValueError
            Outputs or inputs that the medium does not have.
        """
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


def half_of_memory() -> float:
    """What a medium may take [bytes]: half of this computer's memory, or of what its container allows it."""
    memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        limit = _CONTAINER_LIMIT.read_text(encoding="ascii").strip()
    except OSError:  # no such limit on this system
        limit = "max"
    return 0.5 * (memory if limit == "max" else min(memory, float(limit)))


def stored_bytes(n_in: int, n_outputs: int, copies: int = 1) -> float:
    """Of a stored matrix: complex64 entries."""
    return 8.0 * n_in * n_outputs * copies


def refuse_what_does_not_fit(n_in: int, n_outputs: int, what: str, needed: float, instead: str) -> None:
    """DeviceError where `what` takes more than half of the memory; it ends with what to do `instead`."""
    allowed = half_of_memory()
    if needed > allowed:
        raise DeviceError(
            f"n_in x n_out = {n_in} x {n_outputs}: {what} takes {needed / 2**30:.1f} GiB; allowed: "
            f"{allowed / 2**30:.1f} GiB, half of this computer's memory; {instead}"
        )


def checked_part(
    medium: Medium, outputs: NDArray[np.integer], inputs: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows (output - first_output) and columns of a part of the matrix.

    Raises
    ------
    ValueError
        Not one axis of integers, or numbers that the medium does not have.
    """
    first = medium.first_output
    bounds = {"outputs": (outputs, first, first + medium.n_outputs), "inputs": (inputs, 0, medium.n_in)}
    for name, (numbers, low, high) in bounds.items():
        numbers = np.asarray(numbers)
        if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise ValueError(f"{name}: shape {numbers.shape}, dtype {numbers.dtype}; must be one axis of integers")
        if numbers.size and not (low <= numbers.min() and numbers.max() < high):
            raise ValueError(f"{name}: {numbers.min()} .. {numbers.max()}; must be {low} .. {high - 1}")
    return np.asarray(outputs, dtype=np.intp) - first, np.asarray(inputs, dtype=np.intp)


def block_by_columns(
    medium: Medium, outputs: NDArray[np.integer], inputs: NDArray[np.integer]
) -> NDArray[np.complex64]:
    """`Medium.block` of a medium that holds no entries: one input ON at a time, a pattern's time for each."""
    rows, columns = checked_part(medium, outputs, inputs)
    needed = stored_bytes(len(columns), len(rows))
    refuse_what_does_not_fit(
        len(columns), len(rows), "this part of the matrix", needed, "Medium.block takes less of it"
    )
    T = np.empty((len(rows), len(columns)), dtype=np.complex64)
    at_once = max(_ENTRIES_AT_ONCE // max(medium.n_outputs, medium.n_in), 2)
    for start in range(0, len(columns), at_once):
        part = columns[start : start + at_once]
        one = np.zeros((len(part), medium.n_in), dtype=np.uint8)
        one[np.arange(len(part)), part] = 1
        re, im = medium.propagate(one)
        T[:, start : start + len(part)] = (re[:, rows] + 1j * im[:, rows]).T
    return T


def whole_matrix(medium: Medium) -> NDArray[np.complex64]:
    """`Medium.block` of everything."""
    # Here as well: the numbers of the outputs and inputs alone can be more than the memory.
    needed = stored_bytes(medium.n_in, medium.n_outputs)
    refuse_what_does_not_fit(medium.n_in, medium.n_outputs, "the matrix", needed, "Medium.block takes a part of it")
    return medium.block(np.arange(medium.first_output, medium.first_output + medium.n_outputs), np.arange(medium.n_in))
