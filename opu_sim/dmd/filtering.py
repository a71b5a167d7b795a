"""What an aperture off the axis makes of a pattern (4f telescope, pinhole around one order), and how good it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ComplexField = NDArray[np.complex128]


def carrier(rows: int, columns: int, frequency: tuple[float, float]) -> ComplexField:
    """exp(-2 pi i f.r) on the mirrors [row, column], f in cycles a mirror (row, column)."""
    down = np.exp(-2j * np.pi * frequency[0] * np.arange(rows))
    along = np.exp(-2j * np.pi * frequency[1] * np.arange(columns))
    return np.asarray(down[:, None] * along[None, :], dtype=np.complex128)


def filtered(pattern: NDArray[Any], frequency: tuple[float, float], radius: float) -> ComplexField:
    """Field behind a 4f telescope whose circular pinhole sits on the axis of `frequency`, carrier taken off.

    Parameters
    ----------
    pattern : uint8 or complex [row, column]
        Field of the mirrors; the array is taken as periodic.
    frequency : float, float
        Place of the pinhole: cycles a mirror (row, column).
    radius : float
        Of the pinhole, in cycles a mirror.

    Returns
    -------
    complex128 [row, column]
        1 is the field of an array all ON in the ordinary order.
    """
    rows, columns = pattern.shape
    spectrum = np.fft.fft2(pattern * carrier(rows, columns, frequency))
    return np.asarray(np.fft.ifft2(spectrum * _disc(rows, columns, radius)), dtype=np.complex128)


def low_pass(field: NDArray[Any], radius: float) -> ComplexField:
    """Field [row, column] with no spatial frequency above `radius` cycles a mirror: what the pinhole could pass."""
    return filtered(field, (0.0, 0.0), radius)


def _disc(rows: int, columns: int, radius: float) -> NDArray[np.bool_]:
    squared = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.fftfreq(columns)[None, :] ** 2
    return np.asarray(squared <= radius**2, dtype=np.bool_)


def fidelity(target: NDArray[Any], field: NDArray[Any]) -> float:
    """|<t|f>|^2 / (<t|t> <f|f>): 1 for the target up to a complex factor; 1 - fidelity is the error's power share."""
    overlap = abs(np.vdot(target, field)) ** 2
    return float(overlap / (np.vdot(target, target).real * np.vdot(field, field).real))


def light_share(target: NDArray[Any], field: NDArray[Any]) -> float:
    """Share of the light on the array (all ON, ordinary order: 1) that arrives in the wanted field, |<t|f>|^2 / <t|t>.

    Parameters
    ----------
    target, field : complex [row, column]
        `field` as of `filtered`.
    """
    wanted = abs(np.vdot(target, field)) ** 2 / np.vdot(target, target).real
    return float(wanted / field.size)
