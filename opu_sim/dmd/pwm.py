"""Grey levels by pulse width: what a DMD's 8-bit mode shows to coherent light, and why it is not a grey field.

A DMD's grey levels are bit planes shown one after the other, plane k for a time of 2^k. Within one exposure the camera
adds their intensities, not their fields: sum_k 2^k |T x_k|^2 / sum_k 2^k, where the grey field would give |T x|^2 with
x = sum_k 2^k x_k / sum_k 2^k. The two agree for binary images alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def exposure(fields: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    """Mean intensity [...] of an exposure over all bit planes.

    Parameters
    ----------
    fields : complex [plane, ...]
        Field T x_k of each plane, least bit first.
    """
    weights = 2.0 ** np.arange(len(fields))
    intensity = fields.real.astype(np.float64) ** 2 + fields.imag.astype(np.float64) ** 2
    return np.asarray(np.tensordot(weights / weights.sum(), intensity, axes=1), dtype=np.float64)


def planes(levels: NDArray[np.integer], bits: int = 8) -> NDArray[np.uint8]:
    """Bit planes [plane, ...] of grey levels 0 .. 2^bits - 1, least bit first."""
    shift = np.arange(bits).reshape(-1, *([1] * levels.ndim))
    return np.asarray((levels[None] >> shift) & 1, dtype=np.uint8)
