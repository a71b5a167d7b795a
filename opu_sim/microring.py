"""Add-drop microring: a ring waveguide between two straight ones, a filter that weights one wavelength.

References
----------
Bogaerts et al., "Silicon microring resonators", Laser Photonics Rev. 6, 47 (2012), doi:10.1002/lpor.201100017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opu_sim.constants import SPEED_OF_LIGHT_M_S


@dataclass(frozen=True)
class AddDropRing:
    """Add-drop ring with lossless couplers.

    With the round trip's amplitude a and phase phi, self-couplings r_1 (input side) and r_2 (drop side), and
    D = 1 - 2 r_1 r_2 a cos phi + (r_1 r_2 a)^2,

        T_through = (r_2^2 a^2 - 2 r_1 r_2 a cos phi + r_1^2) / D,   T_drop = (1 - r_1^2) (1 - r_2^2) a / D.

    Parameters
    ----------
    radius_m : float [m]
    group_index : float
    loss_db_per_m : float
        Of power in the ring's waveguide.
    self_coupling, self_coupling_drop : float
        r_1 and r_2, amplitudes that stay in their waveguide, in (0, 1); r_2 left out is r_1.
    resonance_m : float [m]
        Wavelength of the resonance that detunings count from.
    """

    radius_m: float
    group_index: float
    loss_db_per_m: float
    self_coupling: float
    self_coupling_drop: float | None = None
    resonance_m: float = 1550e-9

    @property
    def length_m(self) -> float:
        """Circumference [m]."""
        return 2.0 * math.pi * self.radius_m

    @property
    def round_trip(self) -> float:
        """Amplitude a that a round trip leaves."""
        return float(10.0 ** (-self.loss_db_per_m * self.length_m / 20.0))

    @property
    def _couplings(self) -> tuple[float, float]:
        drop = self.self_coupling if self.self_coupling_drop is None else self.self_coupling_drop
        return self.self_coupling, drop

    @property
    def _kept(self) -> float:
        """Amplitude r_1 r_2 a that is left of the ring's field after a round trip, couplers included."""
        first, second = self._couplings
        return first * second * self.round_trip

    def round_trip_phase(self, wavelength_m: ArrayLike) -> NDArray[np.float64]:
        """Phase [rad] of a round trip, less a multiple of 2 pi: the optical path L n_g over the change of frequency.

        The index is taken as linear in frequency, as the group index states.
        """
        wavelength = np.asarray(wavelength_m, dtype=np.float64)
        path = 2.0 * math.pi * self.group_index * self.length_m
        phase: NDArray[np.float64] = path * (1.0 / wavelength - 1.0 / self.resonance_m)
        return phase

    def through(self, phase_rad: ArrayLike) -> NDArray[np.float64]:
        """Power at the through port over the input's, for a round trip's phase."""
        first, second = self._couplings
        cosine = np.cos(np.asarray(phase_rad, dtype=np.float64))
        a = self.round_trip
        out: NDArray[np.float64] = (second**2 * a**2 - 2.0 * self._kept * cosine + first**2) / self._divisor(cosine)
        return out

    def drop(self, phase_rad: ArrayLike) -> NDArray[np.float64]:
        """Power at the drop port over the input's, for a round trip's phase."""
        first, second = self._couplings
        cosine = np.cos(np.asarray(phase_rad, dtype=np.float64))
        out: NDArray[np.float64] = (1.0 - first**2) * (1.0 - second**2) * self.round_trip / self._divisor(cosine)
        return out

    def _divisor(self, cosine: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 - 2.0 * self._kept * cosine + self._kept**2

    def weight(self, phase_rad: ArrayLike) -> NDArray[np.float64]:
        """T_drop - T_through, what a balanced pair of photodiodes reads of one channel: -1 far off to about 1 on it."""
        return np.asarray(self.drop(phase_rad) - self.through(phase_rad), dtype=np.float64)

    @property
    def free_spectral_range_m(self) -> float:
        """Distance of neighbouring resonances [m]: wavelength^2 / (n_g L)."""
        return self.resonance_m**2 / (self.group_index * self.length_m)

    @property
    def linewidth_m(self) -> float:
        """Full width at half maximum of a resonance [m]: (1 - r_1 r_2 a) FSR / (pi sqrt(r_1 r_2 a)).

        For a narrow resonance; the exact half width in phase is 2 asin((1 - k) / (2 sqrt(k))), k = r_1 r_2 a.
        """
        return (1.0 - self._kept) * self.free_spectral_range_m / (math.pi * math.sqrt(self._kept))

    @property
    def quality_factor(self) -> float:
        """Loaded Q: resonance over linewidth."""
        return self.resonance_m / self.linewidth_m

    @property
    def finesse(self) -> float:
        """Free spectral range over linewidth."""
        return self.free_spectral_range_m / self.linewidth_m

    @property
    def bandwidth_hz(self) -> float:
        """Linewidth in frequency [Hz]: the fastest modulation that the ring follows is half of it."""
        return SPEED_OF_LIGHT_M_S / (self.resonance_m * self.quality_factor)
