"""The reference arm of off-axis holography: fine structure, envelope, visibility and phase, each by its closed form."""

from typing import Any

import numba
import numpy as np
import pytest
from scipy.special import j0

from opu_sim import ConfigError, load_device
from opu_sim.device import Opu
from opu_sim.recovery import OffAxisRecovery
from opu_sim.recovery.reference import ReferenceArm

N_IN = 48
# No noise but rounding and shot noise of a well of 1.35e12 e-, -80 dB and less, and no leakage of OFF mirrors. Light
# of the signal a hundredth of the reference's keeps the brightest fringes below the well.
QUIET: dict[str, Any] = {
    "camera.adc_bits": 16,
    "camera.full_well_e": 13_500e8,
    "camera.read_noise_e": 0.0,
    "camera.dsnu_e": 0.0,
    "camera.prnu": 0.0,
    "camera.dark_current_e_per_s": 0.0,
    "dmd.contrast": None,
    "laser.rin_db_per_hz": None,
    "laser.power_mw": 1e9,
    "medium.frame_decorrelation": 0.0,
    "recovery.calibration_frames": 4,
}
BARE = QUIET | {"recovery.reference_correction": "none"}


def device(n_out: int = 512, n_in: int = N_IN, seed: int = 4, **overrides: Any) -> Opu:
    opu = load_device("light-in-the-loop", n_in=n_in, n_out=n_out, seed=seed, **overrides)
    assert isinstance(opu, Opu)
    return opu


def holography(opu: Opu) -> OffAxisRecovery:
    assert isinstance(opu.recovery, OffAxisRecovery)
    return opu.recovery


def projected(opu: Opu, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By the device, and by its matrix."""
    with opu:
        return opu.project(x).astype(np.float64), x @ opu.matrix().T.astype(np.float64)


def binary(patterns: int, n_in: int = N_IN) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (patterns, n_in)).astype(np.float64)


# Fine structure


@pytest.mark.parametrize("roughness", [0.03, 0.1, 0.3])
def test_fine_structure_biases_the_field(roughness: float) -> None:
    """|1 + g|^2 has the variance 2 s^2 + s^4 for circular Gaussian g of rms s, white over the pixels; the mean light
    is kept, so over (1 + s^2)^2; of it the side band's share, over the mean transfer function, is the bias."""
    opu = device(4096, **BARE | {"recovery.reference_roughness": roughness})
    recovery = holography(opu)
    alone = recovery.reference_frames(2, 0)
    bias = recovery.demodulate(alone.astype(np.float32)).mean(axis=0)
    lines = np.arange(-8, 8)
    mtf = np.sinc(lines / 64)[:, None] * np.sinc((lines + 24) / 64)
    share = np.mean(1 / mtf**2) / 16
    electrons = 0.3 * 13_500e8 * share * (2 * roughness**2 + roughness**4) / (1 + roughness**2) ** 2
    expected = electrons / (0.6 * opu.arm.photons_per_intensity)
    # 4096 fields of exponential power: sd 1.6 %; deblurring makes neighbours alike, 1.4 times that at most.
    assert abs(np.mean(np.abs(bias) ** 2) / expected - 1) < 4.5 * 1.4 / 64
    # The light is that of the level, however rough: 65,536 pixels.
    level = alone.mean() / opu.card.camera.gain / recovery.reference_e
    assert abs(level - 1) < 4.5 * (2 * roughness**2) ** 0.5 / 1024


def test_a_smooth_reference_has_no_bias() -> None:
    recovery = holography(device(**BARE))
    bias = recovery.demodulate(recovery.reference_frames(2, 0).astype(np.float32))
    assert np.abs(bias).max() < 1e-3


def test_reference_frames_remove_the_bias() -> None:
    rough = {"recovery.reference_roughness": 0.1}
    x = binary(30)
    y, t = projected(device(**BARE | rough), x)
    corrected, matrix = projected(device(**QUIET | rough), x)
    # One bias for all patterns, about 0.02 / 16 of N_r, a tenth of N_s.
    assert np.mean((y - t) ** 2) > 1e-3 * np.mean(t**2)
    assert np.mean((y - t).std(axis=0) ** 2) < 1e-6 * np.mean(t**2)
    assert np.mean((corrected - matrix) ** 2) < 1e-6 * np.mean(matrix**2)
    # And from the fields of `demodulate`, once calibrated.
    opu = device(**QUIET | rough)
    recovery = holography(opu)
    alone = recovery.reference_frames(2, 500).astype(np.float32)
    before = np.mean(np.abs(recovery.demodulate(alone)) ** 2)
    recovery.calibrate()
    assert np.mean(np.abs(recovery.demodulate(alone)) ** 2) < 1e-6 * before


@pytest.mark.parametrize("grain", [2.0, 4.0])
def test_matrix_knows_the_fine_structure(grain: float) -> None:
    """Other modes' fringes and their twins are thrown into an output: exact in the matrix, of variance 1 / n_in."""
    overrides = QUIET | {"medium.speckle_grain_px": grain, "recovery.reference_fill": 0.1, "laser.power_mw": 1e8}
    opu = device(2048, **overrides | {"recovery.reference_roughness": 0.3})
    x = np.random.default_rng(0).integers(-1, 2, (6, N_IN)).astype(np.float64)
    y, t = projected(opu, x)
    smooth = x @ device(2048, **overrides).matrix().T.astype(np.float64)
    # Only |s|^2 is left where the orders overlap: N_s is 0.004 of N_r.
    limit = 3e-3 if grain < 4 else 1e-5
    assert np.mean((y - t) ** 2) < limit * np.mean(t**2)
    assert np.mean((smooth - t) ** 2) > 5 * limit * np.mean(t**2)
    # 98,304 entries, of which neighbours share a little: sd (2 / 98,304)^(1/2).
    assert abs(N_IN * opu.matrix().var(dtype=np.float64) - 1) < 4.5 * 1.2 * (2 / 98_304) ** 0.5


# Envelope

WIDE = 32 * 256  # outputs of one row of tiles, all columns of the sensor


def envelope_of_tiles() -> np.ndarray:
    """0.5 at the corner over 1 in the centre of 1088 x 2048 pixels, in the middle of each tile of the first row."""
    x, y = 64 * np.arange(32) + 31.5 - 1023.5, 31.5 - 543.5
    return 0.5 ** ((x**2 + y**2) / (1023.5**2 + 543.5**2))


def test_reference_falls_off_like_a_gaussian_beam() -> None:
    recovery = holography(device(WIDE, **QUIET | {"recovery.reference_edge_intensity": 0.5}))
    light = recovery.reference_frames(1, 0)[0].mean(axis=(1, 2)) / (recovery.camera.card.gain * recovery.reference_e)
    rows, columns = np.meshgrid(np.arange(1088) - 543.5, np.arange(2048) - 1023.5, indexing="ij")
    whole = np.mean(0.5 ** ((rows**2 + columns**2) / (1023.5**2 + 543.5**2)))
    # The mean over a tile is not the light in its middle: a second derivative, 1e-3 of it.
    assert np.abs(light / (envelope_of_tiles() / whole) - 1).max() < 3e-3
    assert light.max() / light.min() > 1.5


@pytest.mark.parametrize("correction", ["none", "frame"])
def test_gains_follow_the_envelope_unless_corrected(correction: str) -> None:
    envelope = {"recovery.reference_edge_intensity": 0.5, "recovery.reference_correction": correction}
    opu = device(WIDE, n_in=32, **QUIET | envelope)
    y, t = projected(opu, binary(2, 32))
    error = y - t
    if correction == "none":  # the fall-off from tile to tile is a bias, as any structure of the reference is
        assert np.mean(error**2) > 1e-5 * np.mean(t**2)
        error -= error.mean(axis=0)
    assert np.mean(error**2) < 1e-6 * np.mean(t**2)
    gains = 32 * opu.matrix().reshape(32, 256 * 32).astype(np.float64).var(axis=1)
    expected = np.ones(32)
    if correction == "none":
        intensity = holography(opu).reference.intensity(np.arange(1088)[:, None], np.arange(2048)[None, :])
        assert abs(intensity.mean() - 1) < 1e-12
        expected = envelope_of_tiles() * intensity[543, 1023]
    # 8192 Gaussian entries a tile: sd 1.6 %, 32 of them.
    assert np.abs(gains / expected - 1).max() < 4.5 * (2 / 8192) ** 0.5
    assert (gains.max() / gains.min() > 1.4) == (correction == "none")
    assert (abs(gains.mean() - 1) < 4.5 * (2 / 8192 / 32) ** 0.5) == (correction == "frame")


@pytest.mark.parametrize("correction", ["none", "frame"])
def test_variance_under_an_envelope(correction: str) -> None:
    envelope = {"recovery.reference_edge_intensity": 0.02, "recovery.reference_correction": correction}
    opu = device(WIDE, **{"recovery.reference_fill": 0.1, "dmd.contrast": None} | envelope)
    x = np.repeat(binary(1), 8, axis=0)
    with opu:
        y = opu.project(x).astype(np.float64)
    recovery = holography(opu)
    static = ("responsivity", "overlap")  # the same in all frames
    expected = recovery.noise.variance(x[:1].sum(axis=1).astype(int), without=static)[0]
    # 7 x 8192 squares: sd 0.6 %; the field's own brightness, which is a third of the light, 1.1 %.
    assert abs(y.var(axis=0, ddof=1).mean() / expected - 1) < 0.03
    # Control: the noise of an even reference is another one.
    even = holography(device(**{"recovery.reference_fill": 0.1, "dmd.contrast": None}))
    assert abs(even.noise.variance(x[:1].sum(axis=1).astype(int))[0] / expected - 1) > 0.1


# Phase


def slope(opu: Opu, frames: int = 40) -> float:
    """Of raw fields on the true ones, real part, over frames of the same pattern."""
    recovery, b = holography(opu), binary(1).astype(np.uint8)
    field = recovery.demodulate(recovery.holograms(np.repeat(b, frames, axis=0), 100).astype(np.float32))
    true = (b @ opu.arm.medium.matrix()[1:-1].T)[0]
    return float(np.mean((field * np.conj(true)).real) / np.mean(np.abs(true) ** 2))


@pytest.mark.parametrize("rad", [None, 0.3, 0.8, 1.5])
def test_phase_noise_costs_visibility(rad: float | None) -> None:
    """exp(-s^2 / 2) of the fringes; the projection is scaled back, and its camera noise grows."""
    opu = device(**QUIET | {"recovery.reference_phase_noise_rad": rad})
    assert slope(opu, 2) == pytest.approx(np.exp(-((rad or 0.0) ** 2) / 2), rel=2e-4)
    y, t = projected(opu, binary(6))
    assert np.mean((y - t) ** 2) < 1e-6 * np.mean(t**2)
    noisy = device(**{"recovery.reference_phase_noise_rad": rad, "medium.frame_decorrelation": 0.0})
    x = np.repeat(binary(1), 60, axis=0)
    with noisy:
        variance = noisy.project(x).astype(np.float64).var(axis=0, ddof=1).mean()
    on = x[:1].sum(axis=1).astype(int)
    # 59 x 512 squares: sd 0.8 %, and the brightness of 512 fields, a tenth of the light, 0.4 %.
    expected = holography(noisy).noise.variance(on, without=("responsivity",))[0]
    assert abs(variance / expected - 1) < 4.5 * 0.009
    steady = holography(device(**{"medium.frame_decorrelation": 0.0})).noise.variance(on, without=("responsivity",))[0]
    assert expected / steady == pytest.approx(np.exp((rad or 0.0) ** 2), rel=1e-6)


@pytest.mark.parametrize("rad", [0.1, 0.5, 1.0])
def test_phase_jitter_turns_each_frame(rad: float) -> None:
    """Mean exp(-s^2 / 2), and an error of 1 - exp(-s^2) of the power: exp(s^2) - 1 after scaling back."""
    frames = 4000
    overrides = {"recovery.reference_phase_jitter_rad": rad, "recovery.calibration_frames": 1}
    opu = device(256, **QUIET | overrides)
    got = slope(opu, frames)
    # Cosines of a Gaussian phase: variance (1 - exp(-s^2))^2 / 2.
    sd = (1 - np.exp(-(rad**2))) / (2 * frames) ** 0.5
    assert abs(got - np.exp(-(rad**2) / 2)) < 4.5 * sd
    x = np.repeat(binary(1), frames, axis=0)
    y, t = projected(opu, x)
    error = np.mean((y - t) ** 2) / np.mean(t**2)
    # The error's square |c - <c>|^2 is near rad^2 chi^2_1 for small s: sd (2 / 4000)^(1/2) = 2.2 %, up to 2.6 % here;
    # the outputs' imaginary parts, which turn into the real ones, vary by (2 / 256)^(1/2) against them.
    assert abs(error / np.expm1(rad**2) - 1) < 4.5 * (0.026**2 + 2 * 2 / 256) ** 0.5
    predicted = holography(opu).noise.terms(np.array([int(x[0].sum())]))["phase"][0]
    assert predicted == pytest.approx(np.expm1(rad**2), rel=1e-9)
    # Control: a steady arm makes no such error.
    y, t = projected(device(256, **QUIET), x[:10])
    assert np.mean((y - t) ** 2) < 1e-6 * np.mean(t**2)


def reference(**overrides: Any) -> ReferenceArm:
    return ReferenceArm(device(1, 1, **overrides).card, 4, 4050.0)


@pytest.mark.parametrize("hertz", [3.0, 170.0, 1700.0, 2900.0, 40_000.0])
def test_vibration_is_averaged_over_each_exposure(hertz: float) -> None:
    """Against the mean of exp(i v sin(2 pi f t + start)) over 400 us every 500 us, the start being found."""
    rad, frames = 1.2, 30
    got = reference(**{"faults.vibration_rad": rad, "faults.vibration_hz": hertz}).interference(0, frames)
    seconds = (np.arange(500) + 0.5) / 500 * 400e-6 + 500e-6 * np.arange(frames)[:, None]

    def naive(start: float, some: int) -> np.ndarray:
        return np.exp(1j * rad * np.sin(2 * np.pi * (hertz * seconds[:some] + start))).mean(axis=1)

    starts = np.linspace(0, 1, 2001)
    errors = [np.abs(naive(start, 3) - got[:3]).max() for start in starts]
    error = np.abs(naive(float(starts[int(np.argmin(errors))]), frames) - got).max()
    assert error < 1.2 * 2 * np.pi / 4000 + 1e-4  # half a step of the search; 500 points an exposure
    if hertz > 10_000:  # sixteen whole periods an exposure
        assert np.abs(got - j0(rad)).max() < 1e-9
    if hertz < 10:  # 0.1 % of a period: the frame's own phase
        assert np.abs(np.abs(got) - 1).max() < 1e-4
    # Control: the phase in the middle of the exposure alone is not the mean.
    middle = np.exp(1j * rad * np.sin(2 * np.pi * (hertz * seconds.mean(axis=1) + starts[int(np.argmin(errors))])))
    assert (np.abs(got - middle).max() > 0.01) == (hertz > 100)


@pytest.mark.parametrize("hertz", [None, 137.03, 1733.1])
def test_vibration_leaves_bessel_s_share_of_the_fringes(hertz: float | None) -> None:
    """J_0(v) on the mean over frames; each frame's own loss by the share of a cycle it averages."""
    rad, frames = 1.0, 100_000
    arm = reference(**{"faults.vibration_rad": rad, "faults.vibration_hz": hertz})
    factor = arm.interference(0, frames)
    # |c|^2 - <c>^2 is 0.41 and less; cycles apart from one another for a known frequency: better than random frames.
    assert abs(factor.mean() - j0(rad)) < 4.5 * (0.41 / frames) ** 0.5
    assert arm.visibility == pytest.approx(j0(rad), rel=1e-12)
    assert abs(np.mean(np.abs(factor) ** 2) - arm.mean_square_visibility) < 4.5 * 0.1 / frames**0.5
    assert (arm.mean_square_visibility > 0.9999) == (hertz is None)
    # Frames carry their own numbers.
    assert np.array_equal(arm.interference(70, 20), factor[70:90])


def test_projection_under_vibration_is_unbiased() -> None:
    opu = device(256, **QUIET | {"faults.vibration_rad": 0.5, "recovery.calibration_frames": 1})
    x = np.repeat(binary(1), 3000, axis=0)
    y, t = projected(opu, x)
    share = np.sum(y * t) / np.sum(t * t)
    # cos(v sin u) / J_0(v) has the variance (1 + J_0(2v)) / 2 J_0(v)^2 - 1 = 0.0043; the imaginary part comes in too,
    # with 0.13 of its power over 256 outputs.
    assert abs(share - 1) < 4.5 * ((0.0043 + 0.13 / 256) / 3000) ** 0.5
    assert abs(np.mean((y - t) ** 2) / np.mean(t * t) / (1 / j0(0.5) ** 2 - 1) - 1) < 0.5
    # Control: without the scaling the mean would be J_0(0.5) = 0.938.
    assert abs(share - j0(0.5)) > 0.03


def test_no_fringes_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"faults.vibration_rad = 2.405: leave -?[0-9.e-]+ of the fringes on average"):
        device(**{"faults.vibration_rad": 2.405})
    with pytest.raises(ConfigError, match=r"reference_phase_jitter_rad = 2.5"):
        device(**{"recovery.reference_phase_noise_rad": 2.5, "recovery.reference_phase_jitter_rad": 2.5})


# Level, frames, order of work


def test_level_can_be_given() -> None:
    opu = device(**QUIET)
    given = OffAxisRecovery(opu.arm, opu.camera, opu.n_out, 4, reference_e=1e11)
    light = given.reference_frames(1, 0).mean() / opu.card.camera.gain
    assert abs(light / 1e11 - 1) < 1e-3
    assert given.reference_e == 1e11
    assert holography(device(**QUIET)).reference_e == 0.3 * 13_500e8
    automatic = device(**QUIET | {"recovery.reference_fill": None})
    assert holography(automatic).reference_e == (automatic.card.recovery.reference_fill or 0) * 13_500e8 > 0


def test_calibration_frames_are_those_it_shows() -> None:
    for correction, frames in (("frame", 2 * 7), ("none", 0)):
        opu = device(**{"recovery.calibration_frames": 7, "recovery.reference_correction": correction})
        with opu:
            assert opu.ledger.frames == frames == holography(opu).calibration_frames
        assert opu.camera.exposed == frames * 2 * 64 * 64
    assert holography(device()).pixels_per_mode == 16.0


EVERYTHING: dict[str, Any] = {
    "recovery.reference_roughness": 0.1,
    "recovery.reference_edge_intensity": 0.5,
    "recovery.reference_phase_noise_rad": 0.2,
    "recovery.reference_phase_jitter_rad": 0.3,
    "recovery.filter_edge": 0.4,
    "recovery.calibration_frames": 5,
    "faults.vibration_rad": 0.3,
    "faults.vibration_hz": 120.0,
    "camera.hot_pixels": 0.001,
    "camera.hot_pixel_current_e_per_s": 1e5,
}


@pytest.mark.parametrize("grain", [3.0, 4.0])
def test_numbers_do_not_depend_on_the_order_of_work(grain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs, threads, cut of the batch and of the frames, with every effect on, to the last bit."""
    overrides = EVERYTHING | {"medium.speckle_grain_px": grain}
    x = np.random.default_rng(2).integers(-1, 2, (9, N_IN)).astype(np.float64)
    with device(600, **overrides) as opu:
        y, R = opu.project(x), opu.matrix()
    with device(300, **overrides) as opu:
        assert np.array_equal(opu.project(x), y[:, :300])
        assert np.array_equal(opu.matrix(), R[:300])
    with device(600, **overrides) as opu:
        assert np.array_equal(np.concatenate([opu.project(x[:2]), opu.project(x[2:])]), y)
    before = numba.get_num_threads()
    monkeypatch.setattr("opu_sim.recovery.off_axis._CHUNK_BYTES", 1)
    numba.set_num_threads(1)
    with device(600, **overrides) as opu:
        assert np.array_equal(opu.project(x), y)
    numba.set_num_threads(before)


def test_everything_together_is_what_the_closed_forms_say() -> None:
    """All effects at once: the projection on the matrix, and its variance, within 5 %."""
    overrides = EVERYTHING | {"faults.vibration_hz": None, "recovery.calibration_frames": 64, "laser.power_mw": 50.0}
    opu = device(1024, **overrides)
    x = np.zeros((1500, N_IN))
    for k, row in enumerate(x):
        row[np.random.default_rng(k).choice(N_IN, 8, replace=False)] = 1
    y, t = projected(opu, x)
    assert abs(np.sum(y * t) / np.sum(t * t) - 1) < 0.01
    both = holography(opu).noise.variance(np.array([8, 0]))
    # 1500 frames' phases, whose errors are three quarters of all: sd 2.6 % of that.
    assert abs(np.mean((y - t) ** 2) / (both[0] + both[1] / 64) - 1) < 0.08
