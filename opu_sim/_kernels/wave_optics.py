"""What happens to the lines of a plane between their Fourier transforms; called from several threads at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_BLOCK = 8  # points of a line written at once: a cache line


@njit(cache=True, nogil=True)
def light_lines(sources, screen, first_line, out):  # type: ignore[no-untyped-def]
    """Lines first_line .. of the first plane: all sources side by side behind the first screen, once for each copy.

    sources: uint8 or float32 [source], those left out are dark; screen: complex64 [copy, source];
    out: complex64 [line, point], overwritten; dark beyond the last copy.
    """
    lines, points = out.shape
    flat = out.reshape(lines * points)
    start = first_line * points
    copies, places = screen.shape
    flat[:] = 0.0
    for copy in range(start // places, min((start + flat.size - 1) // places + 1, copies)):
        shift = copy * places - start  # where the copy's first source lies
        first, last = max(-shift, 0), min(flat.size - shift, sources.size)
        if first < last:
            # Slices of the same beginning, and real factors, let the compiler vectorise: 5 times faster.
            light, line, values = flat[shift + first : shift + last], screen[copy, first:last], sources[first:last]
            for k in range(last - first):
                value = np.float32(values[k])
                light[k] = complex(value * line[k].real, value * line[k].imag)


@njit(cache=True, nogil=True)
def turn_lines(plane, filled, first, out):  # type: ignore[no-untyped-def]
    """out[line, point] = plane[point, first + line]: lines of the next transform are the points of the last.

    Both as uint64, the bits of complex64, which move in one piece. Lines of `plane` from number `filled` on are dark;
    what is in their memory is not read.
    """
    lines = out.shape[0]
    whole = filled // _BLOCK * _BLOCK
    for begin in range(0, whole, _BLOCK):
        for line in range(lines):
            for k in range(_BLOCK):
                out[line, begin + k] = plane[begin + k, first + line]
    for line in range(lines):
        for point in range(whole, filled):
            out[line, point] = plane[point, first + line]
        out[line, filled:] = np.uint64(0)


@njit(cache=True, nogil=True)
def pass_screen(lines, screen):  # type: ignore[no-untyped-def]
    """lines *= screen, complex64 [line, point]."""
    for line in range(lines.shape[0]):
        for point in range(lines.shape[1]):
            lines[line, point] *= screen[line, point]


@njit(cache=True, nogil=True)
def read_outputs(lines, first_line, first_output, re, im):  # type: ignore[no-untyped-def]
    """Lines first_line .. of the last plane to float32 [output]; output k is point first_output + k of the plane."""
    flat: Any = lines.reshape(lines.size)
    start = first_line * lines.shape[1]
    for k in range(max(start, first_output), min(start + flat.size, first_output + re.size)):
        re[k - first_output] = flat[k - start].real
        im[k - first_output] = flat[k - start].imag


@njit(cache=True, nogil=True)
def phasors(phases, amplitude, out):  # type: ignore[no-untyped-def]
    """out = amplitude exp(i phases), flat arrays: float64 -> complex64."""
    for k in range(phases.size):
        out[k] = np.complex64(complex(amplitude * np.cos(phases[k]), amplitude * np.sin(phases[k])))
