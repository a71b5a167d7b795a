"""Flatness of the DMD: a static, smooth phase over the array, and what it does to the inputs' fields.

References
----------
Noll, "Zernike polynomials and atmospheric turbulence", J. Opt. Soc. Am. 66, 207 (1976): index and normalisation.
Popoff et al., arXiv 2311.17496: a DMD's phase is smooth; about ten Zernike terms beyond tip and tilt bring the Strehl
ratio over 0.99. Mahajan, "Strehl ratio for primary aberrations", J. Opt. Soc. Am. 72, 1258 (1982), and Ruze before
him: Strehl ratio exp(-variance) for small phases.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from opu_sim.rng import stream

TERMS = range(4, 16)
"""Noll indices of the static phase: radial orders 2 to 4, without piston, tip and tilt."""


def noll_index(j: int) -> tuple[int, int]:
    """Radial order n and azimuthal order m of Noll's index j >= 1; m > 0 is a cosine, m < 0 a sine."""
    n = (math.isqrt(8 * j - 7) - 1) // 2
    within = j - n * (n + 1) // 2 - 1
    m = 2 * ((within + 1 - n % 2) // 2) + n % 2
    return n, m if j % 2 == 0 or m == 0 else -m


def zernike(j: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zernike polynomial with Noll's index j at points of the unit disc: mean square 1, orthogonal on the disc."""
    n, m = noll_index(j)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    order = abs(m)
    radial = np.zeros_like(radius)
    for k in range((n - order) // 2 + 1):
        term = math.factorial(n - k) // math.factorial(k)
        term //= math.factorial((n + order) // 2 - k) * math.factorial((n - order) // 2 - k)
        radial += (-1) ** k * term * radius ** (n - 2 * k)
    if m == 0:
        return np.asarray((n + 1) ** 0.5 * radial, dtype=np.float64)
    wave = np.cos(order * angle) if m > 0 else np.sin(order * angle)
    return np.asarray((2.0 * (n + 1)) ** 0.5 * radial * wave, dtype=np.float64)


def phase(seed: int, rows: int, columns: int, flatness_waves: float) -> NDArray[np.float32]:
    """Static phase [rad] of the mirrors, float32 [row, column].

    Zernike terms on the disc around the array, with normal coefficients whose standard deviation falls as
    1 / (radial order - 1) (assumed: defocus and astigmatism lead); less the best plane over the array, which is a
    matter of alignment; scaled to the root mean square `flatness_waves`.

    Parameters
    ----------
    seed : int
    rows, columns : int
    flatness_waves : float
        Of the reflected wave, twice the height of the surface.
    """
    half = math.hypot(rows, columns) / 2.0
    y = (np.arange(rows) - (rows - 1) / 2.0)[:, None] / half
    x = (np.arange(columns) - (columns - 1) / 2.0)[None, :] / half
    grid_x, grid_y = np.broadcast_arrays(x, y)
    total = np.zeros((rows, columns))
    for j, draw in zip(TERMS, stream(seed, "dmd.flatness").standard_normal(len(TERMS)), strict=True):
        total += draw / (noll_index(j)[0] - 1) * zernike(j, grid_x, grid_y)
    total -= total.mean()
    for axis in (x, y):  # x, y and the constant are orthogonal over a centred rectangle
        norm = float((np.broadcast_to(axis, total.shape) ** 2).sum())
        if norm > 0.0:
            total -= axis * float((total * axis).sum() / norm)
    rms = float(np.sqrt((total**2).mean()))
    scale = 2.0 * math.pi * flatness_waves / rms if rms > 1e-12 else 0.0  # one or two mirrors are a plane
    return np.asarray(scale * total, dtype=np.float32)


def strehl(phases: NDArray[np.floating]) -> float:
    """Strehl ratio |mean exp(i phase)|^2, about exp(-variance) for small phases."""
    return float(abs(np.exp(1j * phases.astype(np.float64)).mean()) ** 2)


def input_phase(phases: NDArray[np.floating], owners: NDArray[np.integer], n_in: int) -> NDArray[np.complex64]:
    """Mean field of each input's mirrors, complex64 [input]: the mean of exp(i phase) over its macropixel.

    Its phase turns the input's column of the transmission matrix; its square is the macropixel's own Strehl ratio,
    which takes light where the macropixel acts as one mode.

    Parameters
    ----------
    phases : float [row, column]
    owners : int [row, column]
        Input that each mirror belongs to, -1 for none: `Dmd.owners`.
    n_in : int
    """
    used = owners >= 0
    index = owners[used]
    field = np.exp(1j * phases[used].astype(np.float64))
    counts = np.bincount(index, minlength=n_in)
    sums = np.bincount(index, field.real, n_in) + 1j * np.bincount(index, field.imag, n_in)
    return (sums / counts).astype(np.complex64)
