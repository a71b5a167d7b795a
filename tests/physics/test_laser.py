"""Relative intensity noise of the laser: its formula, and what it does to whole frames."""

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.cards import LaserCard
from opu_sim.device import Opu
from opu_sim.laser import Laser

EXPOSURE_S = 400e-6


def laser(rin: float | None, power_mw: float = 100.0) -> Laser:
    return Laser(LaserCard(wavelength_nm=532.0, power_mw=power_mw, rin_db_per_hz=rin, wall_plug_efficiency=0.02))


def device(rin: float, **overrides: float) -> Opu:
    still = {"medium.frame_decorrelation": 0.0, "laser.rin_db_per_hz": rin}
    opu = load_device("lighton-aurora", n_in=10, n_out=2000, seed=7, **still | overrides)
    assert isinstance(opu, Opu)
    return opu


@pytest.mark.parametrize(("rin", "exposure_s"), [(-130.0, 400e-6), (-100.0, 1e-3), (-90.0, 50e-6)])
def test_formula(rin: float, exposure_s: float) -> None:
    """White noise of one-sided density S over an exposure t: variance S / (2 t)."""
    assert abs(laser(rin).intensity_noise(exposure_s) ** 2 / (10 ** (rin / 10) / 2 / exposure_s) - 1) < 1e-12
    assert laser(None).intensity_noise(exposure_s) == 0.0


def test_formula_against_averaged_white_noise() -> None:
    """Samples every d of a white noise of one-sided density S have the variance S / (2 d); an exposure
    averages t / d."""
    density, d, n = 1e-9, 1e-6, 400
    samples = np.random.default_rng(0).standard_normal((20_000, n)) * (density / (2 * d)) ** 0.5
    # 20,000 exposures: sd of their sd 0.5 %.
    measured = samples.mean(axis=1).std()
    assert abs(measured / laser(-90.0).intensity_noise(n * d) - 1) < 4.5 * (2 * 20_000) ** -0.5


def test_photons_and_watts() -> None:
    # 100 mW at 532 nm: 0.1 J/s over 3.7339e-19 J.
    assert abs(laser(None).photon_rate_hz / 2.67816e17 - 1) < 1e-5
    assert abs(laser(None, 50.0).photon_rate_hz / 1.33908e17 - 1) < 1e-5
    assert laser(None).electrical_w == pytest.approx(5.0)


@pytest.mark.parametrize("rin", [-80.0, -100.0])
def test_energy_of_the_frames(rin: float) -> None:
    frames = 4000
    energy = device(rin).arm.laser_energy(0, frames).astype(np.float64)
    expected = laser(rin).intensity_noise(EXPOSURE_S)
    assert abs(energy.std(ddof=1) / expected - 1) < 4.5 * (2 * frames) ** -0.5
    assert abs(energy.mean() - 1) < 4.5 * expected * frames**-0.5
    # White: no memory from one frame to the next.
    assert abs(np.corrcoef(energy[1:], energy[:-1])[0, 1]) < 4.5 * frames**-0.5
    assert np.array_equal(device(rin).arm.laser_energy(1000, 50), device(rin).arm.laser_energy(0, frames)[1000:1050])


def frame_means(opu: Opu, frames: int) -> np.ndarray:
    pattern = np.ones((frames, 10), np.uint8)
    return opu.imager.photons(opu.arm.fields(pattern), pattern.sum(axis=1), 0).astype(np.float64).mean(axis=1)


def test_whole_frames_change_together() -> None:
    frames = 1000
    means = frame_means(device(-80.0), frames)
    expected = laser(-80.0).intensity_noise(EXPOSURE_S)
    assert abs(means.std(ddof=1) / means.mean() / expected - 1) < 4.5 * (2 * frames) ** -0.5
    # Control: a quiet laser gives the same light in every frame.
    quiet = frame_means(device(-200.0), 50)
    assert quiet.std() / quiet.mean() < 1e-6


def test_mean_counts_of_frames_carry_the_noise() -> None:
    """Through the camera: 2000 outputs of 1060 e- on average leave 0.07 % of shot noise in a frame's mean."""
    frames = 400
    patterns = np.ones((frames, 10), np.uint8)
    relative = {}
    for rin in (-80.0, -200.0):
        with device(rin) as opu:
            means = opu.intensity(patterns).astype(np.float64).mean(axis=1)
        relative[rin] = means.std(ddof=1) / means.mean()
    expected = laser(-80.0).intensity_noise(EXPOSURE_S)
    # Some of the brightest pixels saturate and do not follow: exp(-12.7) of them, nothing.
    noise = (expected**2 + relative[-200.0] ** 2) ** 0.5
    assert abs(relative[-80.0] / noise - 1) < 4.5 * (2 * frames) ** -0.5
    assert relative[-200.0] < 0.5 * expected
