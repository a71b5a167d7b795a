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
from opu_sim.errors import DeviceError


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
    def couplings(self) -> tuple[float, float]:
        """r_1 and r_2."""
        drop = self.self_coupling if self.self_coupling_drop is None else self.self_coupling_drop
        return self.self_coupling, drop

    @property
    def kept(self) -> float:
        """Amplitude k = r_1 r_2 a that is left of the ring's field after a round trip, couplers included."""
        first, second = self.couplings
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
        first, second = self.couplings
        cosine = np.cos(np.asarray(phase_rad, dtype=np.float64))
        a = self.round_trip
        out: NDArray[np.float64] = (second**2 * a**2 - 2.0 * self.kept * cosine + first**2) / self._divisor(cosine)
        return out

    def drop(self, phase_rad: ArrayLike) -> NDArray[np.float64]:
        """Power at the drop port over the input's, for a round trip's phase."""
        cosine = np.cos(np.asarray(phase_rad, dtype=np.float64))
        out: NDArray[np.float64] = self.drop_strength / self._divisor(cosine)
        return out

    @property
    def drop_strength(self) -> float:
        """Numerator (1 - r_1^2) (1 - r_2^2) a of T_drop."""
        first, second = self.couplings
        return (1.0 - first**2) * (1.0 - second**2) * self.round_trip

    def _divisor(self, cosine: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 - 2.0 * self.kept * cosine + self.kept**2

    def weight(self, phase_rad: ArrayLike) -> NDArray[np.float64]:
        """T_drop - T_through, what a balanced pair of photodiodes reads of one channel: -1 far off to about 1 on it."""
        return np.asarray(self.drop(phase_rad) - self.through(phase_rad), dtype=np.float64)

    @property
    def weight_range(self) -> tuple[float, float]:
        """Smallest and largest weight, half a free spectral range off resonance and on it; loss keeps both from 1."""
        return float(self.weight(math.pi)), float(self.weight(0.0))

    def detuning_rad(self, weight: ArrayLike) -> NDArray[np.float64]:
        """Phase in [0, pi] at which the ring has this weight: the inverse of `weight`.

        With k = r_1 r_2 a and A = (1 - r_1^2) (1 - r_2^2) a - r_2^2 a^2 - r_1^2, the weight w = (A + 2 k cos phi) /
        (1 + k^2 - 2 k cos phi) gives cos phi = (w (1 + k^2) - A) / (2 k (1 + w)).

        Raises
        ------
        DeviceError
            A weight beyond the ring's range.
        """
        w = np.asarray(weight, dtype=np.float64)
        low, high = self.weight_range
        beyond = ~((w >= low) & (w <= high))
        if np.any(beyond):
            raise DeviceError(f"weight {float(w[beyond].flat[0]):.4g}: the ring has {low:.4f} .. {high:.4f}")
        first, second = self.couplings
        k = self.kept
        constant = self.drop_strength - (second * self.round_trip) ** 2 - first**2
        cosine = (w * (1.0 + k**2) - constant) / (2.0 * k * (1.0 + w))
        phase: NDArray[np.float64] = np.arccos(np.clip(cosine, -1.0, 1.0))  # beyond 1 by rounding, at the range's ends
        return phase

    @property
    def free_spectral_range_m(self) -> float:
        """Distance of neighbouring resonances [m]: wavelength^2 / (n_g L)."""
        return self.resonance_m**2 / (self.group_index * self.length_m)

    @property
    def linewidth_rad(self) -> float:
        """Full width at half maximum in phase [rad], exact: 4 asin((1 - k) / (2 sqrt k)), k = r_1 r_2 a."""
        return 4.0 * math.asin((1.0 - self.kept) / (2.0 * math.sqrt(self.kept)))

    @property
    def linewidth_m(self) -> float:
        """Full width at half maximum of a resonance [m]: (1 - r_1 r_2 a) FSR / (pi sqrt(r_1 r_2 a)).

        For a narrow resonance; `linewidth_rad` is exact.
        """
        return (1.0 - self.kept) * self.free_spectral_range_m / (math.pi * math.sqrt(self.kept))

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

    @property
    def photon_lifetime_s(self) -> float:
        """Mean time of a photon in the ring [s]: 1 / (2 pi linewidth in Hz)."""
        return 1.0 / (2.0 * math.pi * self.bandwidth_hz)
