"""Statistics of the light on the pixels: exponential law, integration over a pixel, frame-to-frame change."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from opu_sim import load_device
from opu_sim.device import Opu
from opu_sim.speckle import PixelModes

N_IN, N_OUT = 64, 4000
STILL = {"medium.frame_decorrelation": 0.0, "laser.rin_db_per_hz": -200.0, "camera.prnu": 0.0}


def device(**overrides: Any) -> Opu:
    opu = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=4, **STILL | overrides)
    assert isinstance(opu, Opu)
    return opu


def intensities(opu: Opu) -> np.ndarray:
    """Mean photons with one input ON at a time: 256,000 outputs, of which no two patterns share an entry of
    T."""
    patterns = np.eye(N_IN, dtype=np.uint8)
    return opu.imager.photons(opu.arm.fields(patterns), patterns.sum(axis=1), 0).astype(np.float64)


def contrast(intensity: np.ndarray) -> float:
    return float(intensity.std() / intensity.mean())


def test_intensity_is_exponential() -> None:
    """One coherence mode: <I^k> = k! <I>^k; sd of the second moment over N draws sqrt(20 / N), 0.9 %, of the
    third sqrt(684 / N). Goodman, Speckle Phenomena in Optics.
    """
    opu = device(**{"medium.speckle_grain_px": 1000.0, "dmd.contrast": 1e12, "camera.columns": 6_000_000})
    # The grid of outputs is a grain apart: a wide sensor makes room; the light is spread over it and scales
    # out.
    intensity = intensities(opu).ravel()
    intensity /= intensity.mean()
    n = intensity.size
    # Division by the sample mean shrinks the sd's: 4 for the second moment, sqrt(684 - 324) for the third.
    assert abs(np.mean(intensity**2) - 2) < 4.5 * 2 * n**-0.5
    assert abs(np.mean(intensity**3) - 6) < 4.5 * 360**0.5 * n**-0.5
    assert stats.kstest(intensity, "expon").statistic * n**0.5 < 2.0


@pytest.mark.parametrize("grain", [1.0, 2.0, 5.0])
def test_contrast_is_one_over_root_m(grain: float) -> None:
    opu = device(**{"medium.speckle_grain_px": grain, "dmd.contrast": 1e12})
    expected = opu.imager.modes.contrast
    # 256,000 values: sd of a contrast about 1 / sqrt N, 0.2 %.
    tolerance = 4.5 * (N_IN * N_OUT) ** -0.5
    assert abs(contrast(intensities(opu)) - expected) < tolerance
    # Control: without the second mode the pixel is a point, and the contrast 1.
    opu.imager.modes = PixelModes(weight=1.0, modes=1.0)
    of_a_point = contrast(intensities(opu))
    assert abs(of_a_point - 1) < tolerance
    if grain < 5:
        assert of_a_point - expected > 5 * tolerance


def test_law_of_a_pixel_one_grain_wide() -> None:
    """Two modes of weights w, 1 - w: third moment 6 (w^3 + w^2 v + w v^2 + v^3) = 6 sum of the complete
    homogeneous polynomial of degree 3.
    """
    opu = device(**{"medium.speckle_grain_px": 1.0, "dmd.contrast": 1e12})
    intensity = intensities(opu).ravel()
    intensity /= intensity.mean()
    w = opu.imager.modes.weight
    v = 1 - w
    expected = 6 * (w**3 + w**2 * v + w * v**2 + v**3)
    spread = np.std(intensity**3) * intensity.size**-0.5
    # Neighbours share fields (correlation 2 w v = 0.49 at one pixel, 0.1 at two): the sample counts for half.
    assert abs(np.mean(intensity**3) - expected) < 4.5 * 2**0.5 * spread


def test_light_is_that_of_the_card() -> None:
    """Mean photons a pixel: laser photons x DMD efficiency x share of mirrors ON x medium x analyser /
    pixels."""
    opu = device()
    card = opu.card
    photon_j = 6.62607015e-34 * 299792458.0 / 532e-9
    emitted = 0.1 * 400e-6 / photon_j
    dmd = 0.96**2 * 0.88 * 0.92 * 0.86
    mirrors = (912 * 1140 // N_IN) / (912 * 1140)
    expected = emitted * dmd * mirrors * 1.155e-4 * 0.5 / (1088 * 2048)
    assert card.medium.transmission == 1.155e-4
    # Mean of 256,000 exponentials; the OFF mirrors add their N_IN / 2000.
    off = 1 - 1 / 2000 + N_IN / 2000
    # All ON and OFF columns of an output share their leakage: sd of its mean over 4000 outputs,
    # 64/2000/sqrt(4000).
    sd = ((N_IN * N_OUT) ** -1.0 + 0.07**2 / N_OUT) ** 0.5
    assert abs(intensities(opu).mean() / (expected * off) - 1) < 4.5 * sd


@pytest.mark.parametrize("decorrelation", [0.2, 0.01, 0.0])
@pytest.mark.parametrize("grain", [1.0, 5.0])
def test_change_between_frames(decorrelation: float, grain: float) -> None:
    """With a share e of the field new in each frame, the mean intensity stays, and two frames of one pattern
    differ by a variance 2 (2 (1 - e) I e + e^2) a pixel on average: with <I> = 1, 2 (2 e - e^2). e is the
    card's share over M.
    """
    overrides = {"medium.frame_decorrelation": decorrelation, "medium.speckle_grain_px": grain}
    opu = device(**overrides)
    frames = 32
    pattern = np.zeros((1, N_IN), np.uint8)
    pattern[:, ::2] = 1
    patterns = np.repeat(pattern, frames, axis=0)
    light = opu.imager.photons(opu.arm.fields(patterns), patterns.sum(axis=1), 0).astype(np.float64)
    still = device(**{"medium.speckle_grain_px": grain})
    reference = still.imager.photons(still.arm.fields(pattern), pattern.sum(axis=1), 0)[0].astype(np.float64)
    mean = float(opu.arm.brightness(np.array([N_IN // 2]))[0]) * opu.arm.photons_per_intensity
    e = decorrelation / opu.imager.modes.modes
    temporal = light.var(axis=0, ddof=1) / mean**2
    # Rice: variance of |F + g|^2 with |F|^2 = (1 - e) I and power e new: e^2 + 2 e (1 - e) I.
    expected = e**2 + 2 * e * (1 - e) * reference / mean
    if decorrelation == 0:
        assert temporal.max() < 1e-12
        return
    # Each pixel's variance has 31 degrees of freedom (sd sqrt(2 / 31) and more for non-Gaussian tails), 4000
    # pixels.
    ratio = temporal / expected
    assert abs(ratio.mean() - 1) < 4.5 * ratio.std() * N_OUT**-0.5
    assert ratio.std() < 0.5
    # The mean over frames is (1 - e) I + e in every pixel.
    deviation = (light.mean(axis=0) / mean - (1 - e) * reference / mean - e) / np.sqrt(expected / frames)
    assert abs(deviation.mean()) < 4.5 * N_OUT**-0.5
    assert abs(deviation.std() - 1) < 4.5 * (2 * N_OUT) ** -0.5
    # Control: without the factor 1 - e on the static field the light would grow.
    wrong = (light.mean(axis=0) / mean - reference / mean - e) / np.sqrt(expected / frames)
    assert abs(wrong.mean()) > 4.5 * N_OUT**-0.5


def test_frames_change_independently() -> None:
    opu = device(**{"medium.frame_decorrelation": 0.05})
    patterns = np.ones((2, N_IN), np.uint8)
    fields = opu.arm.fields(patterns)
    first = opu.imager.photons(fields, patterns.sum(axis=1), 0)
    later = opu.imager.photons(fields, patterns.sum(axis=1), 1)
    assert np.array_equal(first[1], later[0])
    still = device()
    reference = still.imager.photons(fields, patterns.sum(axis=1), 0)[0]
    a, b = (first[k] / np.maximum(reference, 1) - 1 for k in range(2))
    bright = reference > reference.mean()
    assert abs(np.corrcoef(a[bright], b[bright])[0, 1]) < 4.5 * bright.sum() ** -0.5
    assert a[bright].std() > 0.05
