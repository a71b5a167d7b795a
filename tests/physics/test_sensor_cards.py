"""Every shipped camera, put through the EMVA 1288 measurement as a lab would, gives back its own card.

256 x 300 pixels of each sensor: one point of the temporal variance has a relative sd of sqrt(2 / N) = 0.5 %.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy import stats

from opu_sim import Camera
from opu_sim.camera import DarkCurrent, NonUniformity, PhotonTransfer, dark_current, nonuniformity, photon_transfer
from opu_sim.cards import CameraCard, load_camera_card
from opu_sim.config import shipped_names

CAMERAS = shipped_names("cameras")
ROWS, COLUMNS = 256, 300
EXPOSURE_S = 4e-4
STEP = 0.025
STEPS = np.arange(0.0, 1.2501, STEP)  # of the full well


def under_test(name: str) -> CameraCard:
    """The card with the gain and offset that the standard asks for.

    It wants dark noise of 0.5 DN at least and an offset that leaves next to no pixel at code 0; a camera set
    otherwise (the OPU's 8 bits without pedestal) is measured at 12 bits and an offset.
    """
    card = load_camera_card(name)
    if card.gain * card.read_noise_e < 0.5:
        card = card.model_copy(update={"adc_bits": 12, "offset_dn": 100.0})
    assert card.gain * card.read_noise_e >= 0.5
    assert card.offset_dn > 5 * card.gain * np.hypot(card.read_noise_e, card.dsnu_e)
    return card


def frames(camera: Camera, mean: float, count: int, first: int, exposure_s: float = EXPOSURE_S) -> np.ndarray:
    return camera.expose(np.full((count, ROWS, COLUMNS), mean, np.float32), exposure_s, first)


@dataclass(frozen=True)
class Measured:
    card: CameraCard
    transfer: PhotonTransfer
    dark: DarkCurrent
    pattern: NonUniformity


@cache
def measured(name: str) -> Measured:
    card = under_test(name)
    camera = Camera(card, seed=8)
    full = card.full_well_e / card.quantum_efficiency
    photons = STEPS * full
    transfer = photon_transfer(photons, (frames(camera, mu, 2, 2 * i) for i, mu in enumerate(photons)))
    gain = transfer.gain_dn_per_e
    times = np.linspace(0.0, 0.4 * card.full_well_e / card.dark_current_e_per_s, 21)
    dark = dark_current(times, (frames(camera, 0.0, 2, 1000 + 2 * i, t) for i, t in enumerate(times)), gain)
    pattern = nonuniformity(frames(camera, 0.0, 32, 2000), frames(camera, 0.5 * full, 32, 3000), gain)
    return Measured(card, transfer, dark, pattern)


@pytest.mark.parametrize("name", CAMERAS)
def test_gain_and_quantum_efficiency(name: str) -> None:
    # 28 variances of 0.5 % each, weighted by the square of the signal: 0.13 % on the slope.
    m = measured(name)
    assert abs(m.transfer.gain_dn_per_e / m.card.gain - 1) < 0.01
    assert abs(m.transfer.quantum_efficiency / m.card.quantum_efficiency - 1) < 0.01


@pytest.mark.parametrize("name", CAMERAS)
def test_dark_noise(name: str) -> None:
    # Half of 0.5 % of the variance in the dark, and the gain's 0.13 %.
    m = measured(name)
    assert not m.transfer.quantisation_limited
    assert abs(m.transfer.dark_noise_e / m.card.read_noise_e - 1) < 0.01


def gauss(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a mean over a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    return nodes, weights / weights.sum()


def clipped_variance(card: CameraCard, electrons: float) -> float:
    """Temporal variance [DN^2] of a camera that clips charge at the full well and counts at the last code.

    Shot noise taken as normal, clipped at c: moments of min(q, c) in closed form; means over the read noise and
    over the pixels (PRNU, DSNU) by quadrature.
    """
    top = (card.max_dn - card.offset_dn) / card.gain
    (read, read_weight), (prnu, prnu_weight), (dsnu, dsnu_weight) = gauss(31), gauss(15), gauss(9)
    noise = card.read_noise_e * read[:, None, None]
    fixed = card.dsnu_e * dsnu
    mean = np.maximum(electrons * (1 + card.prnu * prnu[:, None]), 1e-9)
    clip = np.minimum(card.full_well_e, top - noise - fixed)
    sd = np.sqrt(mean)
    z = (clip - mean) / sd
    below, density = stats.norm.cdf(z), stats.norm.pdf(z)
    first = mean * below - sd * density + clip * (1 - below)
    second = (mean**2 + sd**2) * below - sd * (mean + clip) * density + clip**2 * (1 - below)
    count = np.tensordot(read_weight, first + noise, 1)
    square = np.tensordot(read_weight, second + 2 * noise * first + noise**2, 1)
    return float(card.gain**2 * (prnu_weight @ (square - count**2) @ dsnu_weight))


@pytest.mark.parametrize("name", CAMERAS)
def test_variance_through_saturation(name: str) -> None:
    """The whole curve, rising as K^2 (sigma_d^2 + mu_e), falling as pixel after pixel is full.

    Rounding adds 1/12 DN^2 as long as the noise is above half a count: not beyond saturation.
    """
    m = measured(name)
    expected = np.array([clipped_variance(m.card, step * m.card.full_well_e) for step in STEPS])
    used = STEPS <= 0.951
    # Beyond 95 % few pixels carry the noise that is left, and at the top of the converter rounding is not even.
    ratio = m.transfer.variance[used] / (expected[used] + 1 / 12)
    assert np.abs(ratio - 1).max() < 4.5 * (2 / (ROWS * COLUMNS)) ** 0.5
    near = (STEPS > 0.951) & (STEPS < 1.01)
    assert np.abs(m.transfer.variance[near] / (expected[near] + 1 / 12) - 1).max() < 0.03


@pytest.mark.parametrize("name", CAMERAS)
def test_saturation_and_ranges(name: str) -> None:
    """The largest variance lies where the first pixels fill, some standard deviations of shot noise and PRNU below
    the full well: where the closed form has it, to one step and 1 %."""
    m, card = measured(name), measured(name).card
    fine = np.linspace(0.8, 1.1, 301)
    curve = [clipped_variance(card, share * card.full_well_e) for share in fine]
    saturation = float(fine[np.argmax(curve)]) * card.full_well_e
    spread = (card.full_well_e + (card.prnu * card.full_well_e) ** 2) ** 0.5
    assert card.full_well_e - 4 * spread < saturation < card.full_well_e - spread
    assert abs(m.transfer.saturation_e / saturation - 1) <= STEP + 0.01
    threshold = (card.read_noise_e**2 + 1 / 12 / card.gain**2) ** 0.5 + 0.5
    assert abs(m.transfer.dynamic_range / (saturation / threshold) - 1) < STEP + 0.02
    assert abs(m.transfer.snr_max / saturation**0.5 - 1) < 0.5 * (STEP + 0.01)


@pytest.mark.parametrize("name", CAMERAS)
def test_linearity(name: str) -> None:
    # Means of 2 N draws, 0.01 % at 5 % of saturation; none of the cards is bent.
    low, high = measured(name).transfer.linearity_error_percent
    assert -0.1 < low < 0 < high < 0.1


@pytest.mark.parametrize("name", CAMERAS)
def test_non_uniformities(name: str) -> None:
    # sd of a standard deviation over N pixels: 0.26 %, more by the residue of the temporal noise in 32 frames.
    m = measured(name)
    assert abs(m.pattern.dsnu_e / m.card.dsnu_e - 1) < 0.02
    assert abs(m.pattern.prnu / m.card.prnu - 1) < 0.02


@pytest.mark.parametrize("name", CAMERAS)
def test_dark_current(name: str) -> None:
    """From the mean, and from the variance, of dark frames up to 0.4 of the full well."""
    m = measured(name)
    rate = m.card.dark_current_e_per_s
    # Both carry the gain's 0.13 %, the variance twice, and its own slope to 0.25 % of 21 points.
    assert abs(m.dark.from_mean_e_per_s / rate - 1) < 0.01
    assert abs(m.dark.from_variance_e_per_s / rate - 1) < 0.01


@pytest.mark.parametrize("name", [name for name in CAMERAS if name != "cmv2000"])
def test_a_card_is_told_from_the_others(name: str) -> None:
    """Control: the figures measured on one camera are not those of another."""
    m, other = measured(name), under_test("cmv2000" if name != "cmv4000" else "imx250")
    assert abs(m.transfer.quantum_efficiency / other.quantum_efficiency - 1) > 0.03 or name == "cmv4000"
    assert abs(m.transfer.gain_dn_per_e / other.gain - 1) > 0.03
    assert abs(m.transfer.dark_noise_e / other.read_noise_e - 1) > 0.03
    assert abs(m.transfer.saturation_e / other.full_well_e - 1) > 0.05


def test_eight_bits_without_a_pedestal_do_not_meet_the_standard() -> None:
    """The cmv2000 card as the OPU is set: a dark noise of 0.245 DN, half of it cut off, cannot be measured."""
    camera = Camera("cmv2000", seed=8)
    assert under_test("cmv2000") != camera.card
    photons = STEPS * camera.card.full_well_e / camera.card.quantum_efficiency
    transfer = photon_transfer(photons, (frames(camera, mu, 2, 2 * i) for i, mu in enumerate(photons)))
    assert transfer.quantisation_limited
    assert transfer.dark_noise_e > 1.5 * camera.card.read_noise_e
    # The dark variance, cut off, is too small for a line through it, and K too large by that much over the signal.
    signal = transfer.signal[transfer.signal < 0.7 * transfer.signal[transfer.saturation_step]]
    missing = camera.card.gain**2 * 169 + 1 / 12 - transfer.variance[0]
    shift = missing * signal.sum() / (signal**2).sum()
    assert shift > 0.04 * camera.card.gain
    assert abs(transfer.gain_dn_per_e - shift - camera.card.gain) < 0.01 * camera.card.gain
    # Bright frames alone give it: 0.4 % on the slope of a line with its own foot.
    assert abs(transfer.gain_of_bright_frames_dn_per_e / camera.card.gain - 1) < 0.015


def test_cards_at_hand() -> None:
    assert set(CAMERAS) >= {"cmv2000", "cmv4000", "imx174", "imx250", "zyla-4.2"}


def test_published_ratios_in_decibels() -> None:
    """SNRmax and DNR of the vendor's EMVA 1288 measurement (Matrix Vision mvBlueFOX3-2051) out of the card's figures,
    and those measured on its frames to half a step of saturation, 0.15 dB."""
    m = measured("imx250")
    card = m.card
    threshold = (card.read_noise_e**2 + 1 / 12 / card.gain**2) ** 0.5 + 0.5
    assert 10 * np.log10(card.full_well_e) == pytest.approx(40.3, abs=0.01)
    assert 20 * np.log10(card.full_well_e / threshold) == pytest.approx(71.2, abs=0.02)
    assert 20 * np.log10(m.transfer.snr_max) == pytest.approx(40.3, abs=0.15)
    assert 20 * np.log10(m.transfer.dynamic_range) == pytest.approx(71.2, abs=0.3)
