"""Free space between two parallel planes: each plane wave of the field turns its phase."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from opu_sim.errors import ConfigError


def hop_phases(pixels: int, pitch_m: float, wavelength_m: float, distance_m: float) -> NDArray[np.complex64]:
    """Factors exp(i (k_z - k) z) of the plane waves [row, column] of a square grid, zero frequency at [0, 0].

    k_z = sqrt(k^2 - k_x^2 - k_y^2), the angular spectrum of scalar waves (Goodman, Introduction to Fourier Optics),
    without the paraxial approximation. A discrete spectrum is that of a periodic field: what leaves the grid at one
    side comes in at the other, as in a guide; with no evanescent wave a hop is unitary.

    Parameters
    ----------
    pixels, pitch_m, wavelength_m, distance_m

    Raises
    ------
    ConfigError
        A pitch so fine that the grid's corner frequencies are evanescent.
    """
    if pitch_m * 2**0.5 <= wavelength_m:
        raise ConfigError(
            f"medium.grid_pitch_um = {pitch_m * 1e6:g}: must be > {wavelength_m * 1e6 / 2**0.5:.4g}, the wavelength "
            "over the root of 2, below which part of the light would be evanescent"
        )
    frequency = np.fft.fftfreq(pixels, pitch_m)
    transverse = frequency[:, None] ** 2 + frequency[None, :] ** 2
    along = np.sqrt(wavelength_m**-2 - transverse)
    # k_z - k without the loss of digits of a difference of large numbers.
    difference = -transverse / (along + 1.0 / wavelength_m)
    phases: NDArray[np.complex64] = np.exp(2j * np.pi * distance_m * difference).astype(np.complex64)
    return phases


def hop(field: NDArray[np.complex64], phases: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Field [row, column] one hop further; overwrites its argument.

    One thread: a batch is shared out field by field, so that its cut cannot reach the numbers.
    """
    spectrum = scipy.fft.fft2(field, overwrite_x=True)
    spectrum *= phases
    return scipy.fft.ifft2(spectrum, overwrite_x=True)  # type: ignore[no-any-return]
