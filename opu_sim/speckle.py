"""Speckle on pixels: what a pixel of finite size integrates, and pictures of speckle between the modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.integrate import dblquad
from scipy.special import j1

from opu_sim.cards import OpuCard
from opu_sim.errors import ConfigError
from opu_sim.medium.coherence import polarisation_modes, spectral_modes


@lru_cache
def coherence_modes(pixel_over_grain: float) -> float:
    """Effective number M of coherence modes in a square pixel; the contrast of its counts is 1 / sqrt M.

    1/M = int over [-1,1]^2 of (1-|x|)(1-|y|) |mu(p x, p y)|^2, with |mu| = 2 J1(pi r / d) / (pi r / d) for a
    round pupil of grain d = lambda z / D.

    References
    ----------
    Goodman, Speckle Phenomena in Optics: integrated speckle.
    """

    def integrand(y: float, x: float) -> float:
        argument = np.pi * pixel_over_grain * np.hypot(x, y)
        mu = 1.0 if argument < 1e-9 else 2.0 * j1(argument) / argument
        return float((1.0 - x) * (1.0 - y) * mu * mu)

    quadrant, _ = dblquad(integrand, 0.0, 1.0, 0.0, 1.0, epsabs=1e-8)
    return float(1.0 / (4.0 * quadrant))


@dataclass(frozen=True)
class PixelModes:
    """A pixel's intensity as weight |F_i|^2 + (1 - weight) |F_{i+1} - F_{i-1}|^2 / 2.

    The first coherence mode of a pixel smaller than the grain is the field at its centre; the second is the
    field's slope, which by the sampling theorem is made of the fields one grain away. The weights are chosen
    so that the contrast is Goodman's: weight^2 + (1 - weight)^2 = 1/M.
    """

    weight: float
    modes: float

    @property
    def contrast(self) -> float:
        """Standard deviation over mean of the intensity."""
        return float(self.modes**-0.5)

    @classmethod
    def of_grain(cls, grain_px: float) -> PixelModes:
        """Of a grain of `grain_px` >= 1 pixels (M <= 2, so that two modes are enough)."""
        return cls.of_number(coherence_modes(1.0 / grain_px))

    @classmethod
    def of_number(cls, modes: float) -> PixelModes:
        """Of 1 <= M <= 2 modes."""
        return cls(weight=0.5 * (1.0 + max(2.0 / modes - 1.0, 0.0) ** 0.5), modes=modes)

    @classmethod
    def of_card(cls, card: OpuCard) -> PixelModes:
        """Of a device: independent causes of lost contrast multiply their numbers of modes.

        The pixel's size, light of both polarisations, and a laser line wide against the spread of the paths.

        Raises
        ------
        ConfigError
            More than two modes: a contrast below 0.707 takes further fields, which are not simulated.
        """
        medium, line = card.medium, card.laser.linewidth_mhz
        modes = coherence_modes(1.0 / medium.speckle_grain_px)
        if medium.polarisation_degree is not None:
            modes *= polarisation_modes(medium.polarisation_degree)
        if line is not None and medium.path_spread_mm is not None:
            modes *= spectral_modes(line * 1e6, medium.path_spread_mm * 1e-3)
        if modes > 2.0 + 1e-9:
            raise ConfigError(
                f"medium.speckle_grain_px = {medium.speckle_grain_px}, medium.polarisation_degree = "
                f"{medium.polarisation_degree}, laser.linewidth_mhz = {line} with medium.path_spread_mm = "
                f"{medium.path_spread_mm}: {modes:.3g} modes a pixel, a contrast of {modes**-0.5:.2f}; "
                "must be <= 2 modes (contrast >= 0.71)"
            )
        return cls.of_number(min(modes, 2.0))


def interpolated(modes: NDArray[np.complex64], factor: int) -> NDArray[np.complex64]:
    """Band-limited field between the modes: complex [..., row, column] -> [..., factor row, factor column].

    The modes are samples of a field whose spectrum fills a square pupil; zero padding of the spectrum gives
    the field in between. The tile is periodic.
    """
    return scipy.fft.ifft2(padded_spectrum(modes, factor), workers=-1, overwrite_x=True)  # type: ignore[no-any-return]


def padded_spectrum(modes: NDArray[np.complex64], factor: int) -> NDArray[np.complex64]:
    """Spectrum of `interpolated`, zero frequency at [0, 0]."""
    rows, columns = modes.shape[-2:]
    spectrum = np.zeros((*modes.shape[:-2], rows * factor, columns * factor), dtype=np.complex64)
    small = scipy.fft.fft2(modes, workers=-1) * np.float32(factor * factor)
    row = np.fft.fftfreq(rows, 1.0 / rows).astype(int)
    column = np.fft.fftfreq(columns, 1.0 / columns).astype(int)
    spectrum[..., row[:, None], column[None, :]] = small
    return spectrum
