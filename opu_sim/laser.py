"""Laser: photons and joules in, intensity noise out."""

from __future__ import annotations

from opu_sim.cards import LaserCard
from opu_sim.constants import photon_energy_j


class Laser:
    """Continuous-wave laser of a card."""

    def __init__(self, card: LaserCard) -> None:
        self.card = card

    @property
    def photon_rate_hz(self) -> float:
        """Photons emitted a second."""
        return self.card.power_mw * 1e-3 / photon_energy_j(self.card.wavelength_nm)

    @property
    def electrical_w(self) -> float:
        """Power drawn [W], optical power over wall-plug efficiency."""
        return self.card.power_mw * 1e-3 / self.card.wall_plug_efficiency

    def intensity_noise(self, exposure_s: float) -> float:
        """Relative standard deviation of the energy in one exposure.

        An exposure of length t averages white noise over the equivalent bandwidth 1 / (2 t), so the relative
        variance is RIN / (2 t) (RIN as a one-sided density, the usual way to state it).
        """
        if self.card.rin_db_per_hz is None:
            return 0.0
        return float((10.0 ** (self.card.rin_db_per_hz / 10.0) / (2.0 * exposure_s)) ** 0.5)
