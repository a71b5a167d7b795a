"""Light that is not perfectly coherent: a camera adds the intensities of several speckles, and sees less contrast.

All are stated as an effective number of modes M; the contrast (standard deviation over mean) is 1 / sqrt M.

Path lengths l through the medium follow an exponential law p(l) = exp(-l / s) / s; a laser of Lorentzian line
(full width dnu) has the coherence |gamma(l)| = exp(-l / L_c) with L_c = c / (pi dnu).
"""

from __future__ import annotations

import math

from opu_sim.constants import SPEED_OF_LIGHT_M_S


def polarisation_modes(degree: float) -> float:
    """M = 2 / (1 + P^2) of speckle with degree of polarisation P: contrast sqrt((1 + P^2) / 2).

    Two independent speckles of powers (1 + P) / 2 and (1 - P) / 2; 1 if fully polarised, 2 if unpolarised.

    References
    ----------
    Goodman, Speckle Phenomena in Optics: partially polarized speckle.
    """
    return 2.0 / (1.0 + degree**2)


def coherence_length_m(linewidth_hz: float) -> float:
    """L_c = c / (pi dnu) [m], where the coherence of a Lorentzian line has fallen to 1/e; math.inf for no width."""
    return SPEED_OF_LIGHT_M_S / (math.pi * linewidth_hz) if linewidth_hz else math.inf


def spectral_modes(linewidth_hz: float, path_spread_m: float) -> float:
    """M = 1 + 2 s / L_c: the speckles of the laser's frequencies differ, and the camera adds them up.

    The square of the contrast is the mean of |gamma(l - l')|^2 over two independent paths. Their difference has a
    Laplace law of scale s, so that it is the integral of exp(-2 |d| / L_c) exp(-|d| / s) / (2 s) = 1 / (1 + 2 s / L_c).

    Parameters
    ----------
    linewidth_hz : float
        Full width at half maximum of a Lorentzian line.
    path_spread_m : float
        s, the mean and standard deviation of the path lengths.
    """
    return 1.0 + 2.0 * path_spread_m / coherence_length_m(linewidth_hz)


def coherent_share(linewidth_hz: float, path_spread_m: float) -> float:
    """Share of the field's power that interferes with a reference whose path is matched to the mean path.

    The integral of p(l) |gamma(l - s)|^2: with v = 2 s / L_c,
    e^-1 / (1 + v) + (e^-1 - e^-v) / (v - 1), the paths longer and shorter than the mean.
    """
    v = 2.0 * path_spread_m / coherence_length_m(linewidth_hz)
    longer = math.exp(-1.0) / (1.0 + v)
    # (e^-1 - e^-v) / (v - 1) = e^-1 (1 - e^-(v-1)) / (v - 1); its limit at v = 1 is e^-1.
    shorter = math.exp(-1.0) * (-math.expm1(1.0 - v) / (v - 1.0) if v != 1.0 else 1.0)
    return longer + shorter
