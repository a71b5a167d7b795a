"""Physical constants, SI."""

PLANCK_J_S = 6.62607015e-34  # exact, SI Brochure 9th ed. (2019)
SPEED_OF_LIGHT_M_S = 299792458.0  # exact, SI Brochure 9th ed. (2019)
BOLTZMANN_J_K = 1.380649e-23  # exact, SI Brochure 9th ed. (2019)
ELEMENTARY_CHARGE_C = 1.602176634e-19  # exact, SI Brochure 9th ed. (2019)


def photon_energy_j(wavelength_nm: float) -> float:
    """Energy of one photon [J]: h c / wavelength."""
    return PLANCK_J_S * SPEED_OF_LIGHT_M_S / (wavelength_nm * 1e-9)
