"""Polarisation and linewidth: closed forms against fields summed path by path and frequency by frequency."""

import numpy as np
import pytest
from scipy.integrate import quad

from opu_sim.medium import coherent_share, polarisation_modes, spectral_modes
from opu_sim.medium.coherence import coherence_length_m

SIGMAS = 4.5
C = 299792458.0
SPREAD_M = 0.01


@pytest.mark.parametrize("degree", [0.0, 0.3, 0.8, 1.0])
def test_polarisation(degree: float) -> None:
    """Contrast of two independent speckles of powers (1 +- P) / 2 over N = 400,000 points.

    var(C^2) of the sum of exponentials is below 8 / N.
    """
    n = 400_000
    rng = np.random.default_rng(1)
    intensity = (1 + degree) / 2 * rng.exponential(size=n) + (1 - degree) / 2 * rng.exponential(size=n)
    squared = intensity.var() / intensity.mean() ** 2
    assert abs(squared - 1 / polarisation_modes(degree)) < SIGMAS * (8 / n) ** 0.5
    assert polarisation_modes(degree) ** -0.5 == pytest.approx(((1 + degree**2) / 2) ** 0.5, rel=1e-12)


def fields_of_a_spectrum(linewidth_hz: float, frequencies: int, speckles: int) -> np.ndarray:
    """Fields [frequency, speckle] at the quantiles of a Lorentzian line, through paths of exponential length.

    3000 paths a speckle, all of one power at the quantiles of their law, each with a random phase: their sum is
    circular Gaussian to 1 / 3000.
    """
    rng = np.random.default_rng(2)
    paths = 3000
    quantile = (np.arange(paths) + 0.5) / paths
    length = -SPREAD_M * np.log1p(-quantile)
    share = (np.arange(frequencies) + 0.5) / frequencies
    detuning = 0.5 * linewidth_hz * np.tan(np.pi * (share - 0.5))
    turn = np.exp(-2j * np.pi * np.outer(detuning, length) / C)
    start = np.exp(2j * np.pi * rng.uniform(size=(paths, speckles)))
    fields: np.ndarray = (turn @ start) / paths**0.5
    return fields


# 2 s / L_c = 0.1, 1, 4.
@pytest.mark.parametrize("ratio", [0.1, 1.0, 4.0])
def test_contrast_of_a_lorentzian_line(ratio: float) -> None:
    """Contrast^2 = 1 / (1 + 2 s / L_c), as a camera sees it: intensities averaged over the spectrum.

    1500 speckles: sd of contrast^2 below sqrt(8 / 1500) C^2 = 7 %. 101 frequencies in place of all leave the diagonal
    terms of the double sum: (1 - C^2) / 101 on top, taken off exactly by the unbiased pair sum.
    """
    linewidth_hz = ratio / 2 / SPREAD_M * C / np.pi
    frequencies, speckles = 101, 1500
    intensity = np.abs(fields_of_a_spectrum(linewidth_hz, frequencies, speckles)) ** 2
    mean = intensity.mean()
    covariance = np.cov(intensity)
    off_diagonal = (covariance.sum() - np.trace(covariance)) / (frequencies * (frequencies - 1))
    expected = 1 / (1 + ratio)
    assert 1 / spectral_modes(linewidth_hz, SPREAD_M) == pytest.approx(expected, rel=1e-12)
    # Contrast^2 is a mean of squared deviations from the mean over speckles: relative sd sqrt(8 / n) at most; leaving
    # out the diagonal of quantiles shifts it by less than C^2 / 101 again.
    assert abs(off_diagonal / mean**2 - expected) < SIGMAS * (8 / speckles) ** 0.5 * expected + 0.01
    # Control: with one frequency the speckle has full contrast.
    alone = intensity[frequencies // 2]
    assert abs(alone.var() / alone.mean() ** 2 - 1) < SIGMAS * (8 / speckles) ** 0.5


def test_contrast_by_quadrature() -> None:
    """The same average to 1e-6: Lorentzian autocorrelation of half-width dnu against 1 / (1 + (2 pi s nu / c)^2)."""
    for ratio in (0.03, 1.0, 30.0):
        linewidth_hz = ratio / 2 / SPREAD_M * C / np.pi
        value, _ = quad(lambda x, r=ratio: 1 / np.pi / (1 + x * x) / (1 + (r * x) ** 2), -np.inf, np.inf)
        assert 1 / spectral_modes(linewidth_hz, SPREAD_M) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.999999, 1.0, 1.000001, 4.0, 3000.0])
def test_coherent_share_by_quadrature(ratio: float) -> None:
    """Integral of p(l) |gamma(l - s)|^2, in units of s, split at the mean path."""
    linewidth_hz = ratio / 2 / SPREAD_M * C / np.pi

    def integrand(x: float) -> float:
        return float(np.exp(-x - ratio * abs(x - 1)))

    width = min(1.0, 40 / max(ratio, 1e-9))
    expected = sum(
        quad(integrand, *limits, epsabs=1e-13)[0]
        for limits in ((0, 1 - width), (1 - width, 1), (1, 1 + width), (1 + width, 60))
    )
    assert coherent_share(linewidth_hz, SPREAD_M) == pytest.approx(expected, rel=1e-8)


def test_coherent_share_is_what_interferes() -> None:
    """Mean over the spectrum of E(nu) R*(nu), R a reference of the mean path: its power over the light's.

    1500 speckles, exponential law: sd 1 / sqrt(1500) = 2.6 %; 401 quantiles of the line miss its tails by < 1 %.
    """
    ratio = 1.0
    linewidth_hz = ratio / 2 / SPREAD_M * C / np.pi
    fields = fields_of_a_spectrum(linewidth_hz, 401, 1500)
    share = (np.arange(401) + 0.5) / 401
    detuning = 0.5 * linewidth_hz * np.tan(np.pi * (share - 0.5))
    reference = np.exp(-2j * np.pi * detuning * SPREAD_M / C)
    cross = np.mean(fields * reference.conj()[:, None], axis=0)
    measured = np.mean(np.abs(cross) ** 2) / np.mean(np.abs(fields) ** 2)
    expected = coherent_share(linewidth_hz, SPREAD_M)
    assert expected == pytest.approx(1.5 * np.exp(-1), rel=1e-6)  # at v = 1: e^-1 / 2 + e^-1
    assert abs(measured / expected - 1) < SIGMAS * 1500**-0.5 + 0.01
    # Control: a reference of no path at all sees less of it, 1 / (1 + v) by the same integral.
    unmatched = np.mean(np.abs(fields.mean(axis=0)) ** 2)
    assert abs(unmatched / 0.5 - 1) < SIGMAS * 1500**-0.5 + 0.01


def test_limits() -> None:
    assert coherence_length_m(1e6) == pytest.approx(95.4, abs=0.05)  # c / (pi 1 MHz)
    assert coherence_length_m(0.0) == np.inf
    assert spectral_modes(0.0, SPREAD_M) == coherent_share(0.0, SPREAD_M) == 1.0
    assert spectral_modes(1e9, 0.0) == 1.0
    assert coherent_share(1e9, 0.0) == pytest.approx(1.0, rel=1e-12)
