"""What each encoding costs and gives, measured on a simulated array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opu_sim.dmd.encodings import FieldEncoding, Lee, PiPair, Superpixel
from opu_sim.dmd.filtering import ComplexField, fidelity, filtered, light_share, low_pass
from opu_sim.rng import stream

SPOT_MIRRORS = 8
"""Mirrors along a diffraction-limited spot of the test target."""
TARGET_RMS = 0.55
"""Root mean square of the target over full scale; magnitudes above 1 are clipped."""


@dataclass(frozen=True)
class EncodingFigures:
    """One line of the table.

    Attributes
    ----------
    name : str
    mirrors_per_value : int
    frames_per_vector : str
        Patterns of a ternary vector and, if they are others, of a vector of real numbers.
    light : float
        Share of a macropixel's light that arrives when it shows 1.
    real_error : float
        Root mean square error of real numbers, uniform in [-1, 1], on one cell each (bit planes: on all planes).
    fidelity : float or None
        |<t|f>|^2 of a random speckle target with spots of 8 x 8 mirrors; None where a pattern shows no such field.
    target_light : float or None
        Share of the light on the array that arrives in that target.
    """

    name: str
    mirrors_per_value: int
    frames_per_vector: str
    light: float
    real_error: float
    fidelity: float | None
    target_light: float | None


def speckle_target(seed: int, side: int) -> ComplexField:
    """Fully developed speckle complex128 [row, column] with spots of 8 mirrors, root mean square `TARGET_RMS`."""
    generator = stream(seed, "dmd.speckle_target")
    white = generator.standard_normal((2, side, side))
    field = low_pass(white[0] + 1j * white[1], 0.5 / SPOT_MIRRORS)
    return np.asarray(field * (TARGET_RMS / np.sqrt(np.mean(np.abs(field) ** 2))), dtype=np.complex128)


def shown(encoding: FieldEncoding, target: ComplexField) -> ComplexField:
    """Field that an encoding makes of a target, behind the pinhole that just passes the target."""
    clipped = target / np.maximum(np.abs(target), 1.0)
    return filtered(encoding.pattern(clipped), encoding.frequency, 0.5 / SPOT_MIRRORS)


def encoding_table(bit_planes: int = 6, seed: int = 0, side: int = 512) -> list[EncodingFigures]:
    """Measure all encodings: a line each.

    Parameters
    ----------
    bit_planes : int
        Planes a sign of the encodings that show real numbers plane by plane.
    seed : int
        Of the target.
    side : int
        Mirrors along the simulated array.
    """
    values = np.linspace(-1.0, 1.0, 4001)
    target = speckle_target(seed, side)
    planes_error = _rms(np.rint(values * (2**bit_planes - 1)) / (2**bit_planes - 1) - values)
    table = [EncodingFigures("amplitude", 1, f"2, real {2 * bit_planes}", 1.0, planes_error, None, None)]
    for encoding in (PiPair(), Lee(4), Lee(6), Lee(8), Superpixel(4)):
        ternary = isinstance(encoding, PiPair)
        error = _rms(encoding.real(values) / abs(encoding.full_scale) - values)
        field = None if ternary else shown(encoding, target)
        table.append(
            EncodingFigures(
                encoding.name if ternary else f"{encoding.name} {encoding.cell[1]}",
                encoding.cell[0] * encoding.cell[1],
                f"1, real {bit_planes}" if ternary else "1",
                encoding.light,
                planes_error if ternary else error,
                None if field is None else fidelity(target, field),
                None if field is None else light_share(target, field),
            )
        )
    return table


def _rms(error: NDArray[np.inexact]) -> float:
    return float(np.sqrt(np.mean(np.abs(error) ** 2)))
