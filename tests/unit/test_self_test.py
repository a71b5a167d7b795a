"""Estimators and laws of the self-test against closed forms, and its verdicts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError, load_device
from opu_sim.cards import load_card
from opu_sim.self_test import Check, SelfTest, device_to_test, self_test
from opu_sim.self_test.estimators import (
    SpeckleLaw,
    code_moments,
    jackknife,
    ks_on_grid,
    paired_variance,
    ratio,
)
from opu_sim.self_test.photon_transfer import Converter, fit_photon_transfer
from opu_sim.self_test.probe import Probe
from opu_sim.speckle import PixelModes

# Verdicts.


@pytest.mark.parametrize(
    ("measured", "expected", "tolerance", "passed"),
    [
        (1.0, 1.1, 0.11, True),
        (1.0, 1.1, 0.09, False),
        (1.2, 1.1, 0.09, False),  # two-sided
        (math.nan, 1.0, 9.0, False),
        (1.0, math.nan, 9.0, False),
        (math.inf, 1.0, 9.0, False),
        (None, 1.0, 1.0, None),
        (1.0, None, None, None),
        (1.0, 1.0, 0.0, True),
    ],
)
def test_verdict(measured: float | None, expected: float | None, tolerance: float | None, passed: bool | None) -> None:
    check = Check("x", measured, expected, tolerance)
    assert check.passed is passed
    json.dumps(check.row(), allow_nan=False)


def test_a_self_test_without_comparisons_has_not_passed() -> None:
    test = SelfTest("x", 8, 64, 0)
    assert not test.passed
    test.add("not made", None)
    assert not test.passed
    test.add("good", 1.0, 1.0, 0.1)
    assert test.passed
    assert test.summary() == "x: 1 of 1 checks passed, 1 not compared"
    test.add("bad", 2.0, 1.0, 0.1)
    assert not test.passed
    assert test.failures == ["bad"]
    assert test.document()["pass"] is False
    assert test.summary() == "x: 1 of 2 checks passed, 1 not compared; failed: bad"


# Estimators.


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    value, error = jackknife(np.stack([x, np.ones(400)], axis=1), ratio)
    assert value == pytest.approx(x.mean())
    assert error == pytest.approx(x.std(ddof=1) / 20.0)


def test_paired_variance_is_blind_to_drift_and_to_frames_delivered_twice() -> None:
    rng = np.random.default_rng(1)
    still = rng.normal(0.0, 2.0, (400, 500))
    # 200 pairs of 500 outputs: sd of the mean sqrt(2 / 1e5), 0.45 %.
    assert paired_variance(still).mean() == pytest.approx(4.0, rel=0.02)
    drifting = still + 0.1 * np.arange(400)[:, None]
    assert drifting.var(axis=0).mean() > 30  # control: the plain variance is not
    assert paired_variance(drifting).mean() == pytest.approx(4.0, rel=0.02)
    doubled = still.copy()
    doubled[1::4] = doubled[0::4]  # every other pair
    assert paired_variance(doubled).mean() == pytest.approx(4.0, rel=0.03)
    assert paired_variance(np.ones((4, 3))).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0, 7.49, 254.6])
@pytest.mark.parametrize("sd", [0.05, 0.25, 1.5])
def test_moments_of_rounded_and_clipped_values(mean: float, sd: float) -> None:
    values = np.clip(np.rint(np.random.default_rng(2).normal(mean, sd, 400_000)), 0, 255)
    first, second = code_moments(np.array([mean]), np.array([sd]), 255)
    # sd of a mean sd / 632; that of a variance below 1 % for these laws, or a handful of rare counts.
    assert abs(first[0] - values.mean()) < 5 * (sd + 0.5) / 632
    assert abs(second[0] - values.var()) < 0.015 * values.var() + 2e-5


def test_well_dithered_rounding_adds_a_twelfth() -> None:
    _, variance = code_moments(np.linspace(50, 51, 11), np.full(11, 1.0), 255)
    np.testing.assert_allclose(variance, 1.0 + 1.0 / 12.0, atol=1e-6)
    # Control: with little noise it does not.
    _, variance = code_moments(np.linspace(50, 51, 11), np.full(11, 0.1), 255)
    assert np.ptp(variance) > 0.1


@pytest.mark.parametrize("grain", [1.0, 2.0, 5.0])
def test_law_of_two_modes(grain: float) -> None:
    modes = PixelModes.of_grain(grain)
    law = SpeckleLaw(modes.modes, modes.weight)
    rng = np.random.default_rng(3)
    n = 200_000
    x = modes.weight * rng.exponential(size=n) + (1 - modes.weight) * rng.exponential(size=n)
    grid = np.linspace(0.0, 10.0, 400)
    assert ks_on_grid(x, grid, law.cdf(grid)) < 1.95 * n**-0.5  # 0.1 % point
    assert law.contrast == pytest.approx(modes.contrast)
    quantiles = law.quantiles(200_000)
    assert quantiles.mean() == pytest.approx(1.0, rel=2e-3)
    assert quantiles.std() == pytest.approx(law.contrast, rel=5e-3)
    # Control: the exponential law is another one where a pixel sums more than one mode.
    if grain < 5:
        assert ks_on_grid(x, grid, SpeckleLaw(1.0).cdf(grid)) > 20 * n**-0.5


def test_law_with_dead_pixels() -> None:
    rng = np.random.default_rng(4)
    x = rng.exponential(size=100_000) * (rng.random(100_000) > 0.2)
    x /= 0.8
    law = SpeckleLaw(1.0, 1.0, dead=0.2)
    grid = np.linspace(0.0, 10.0, 200)
    assert ks_on_grid(x, grid, law.cdf(grid)) < 1.95e5**-0.5 * 2
    assert law.contrast == pytest.approx(x.std(), rel=0.02)
    assert law.quantiles().mean() == pytest.approx(1.0, rel=5e-3)


def test_standard_error_of_a_contrast() -> None:
    """Of n exponential values it is 1 / sqrt(n)."""
    assert SpeckleLaw(1.0).contrast_error(400) == pytest.approx(1 / 20, rel=0.02)
    x = np.random.default_rng(5).gamma(2.0, 0.5, (4000, 1000))
    scatter = (x.std(axis=1) / x.mean(axis=1)).std()
    assert SpeckleLaw(2.0).contrast_error(1000) == pytest.approx(scatter, rel=0.06)  # 4000 trials: 1.1 % sd


# Photon transfer.

GAIN, READ_E, NEW, OFFSET = 0.019, 13.0, 2e-3, 0.5


def photon_transfer(new: float = NEW, read_e: float = READ_E, gain: float = GAIN) -> dict[str, np.ndarray]:
    """Means and variances of simulated counts; the field of either quadrature, electrons and codes one by one."""
    rng = np.random.default_rng(6)
    mean, again, variance, level = [], [], [], []
    for light_e in (150.0, 300.0, 600.0, 1200.0):
        static = rng.normal(size=(2, 1500)) * np.sqrt(0.5 * light_e)
        fresh = rng.normal(size=(2, 128, 1500)) * np.sqrt(0.5 * light_e * new)
        intensity = ((np.sqrt(1 - new) * static[:, None] + fresh) ** 2).sum(axis=0)
        electrons = rng.poisson(intensity) + rng.normal(0.0, read_e, intensity.shape)
        counts = np.clip(np.rint(gain * electrons + OFFSET), 0, 255) - OFFSET
        mean.append(counts[:32].mean(axis=0))
        again.append(counts[32:64].mean(axis=0))
        variance.append(counts[64:].var(axis=0, ddof=1))
        level.append(np.full(1500, gain * light_e))
    points = {"mean": mean, "again": again, "variance": variance, "level": level}
    return {key: np.concatenate(value) for key, value in points.items()}


def test_photon_transfer_recovers_gain_read_noise_and_new_light() -> None:
    fit = fit_photon_transfer(**photon_transfer(), frames=63, converter=Converter(OFFSET, 255, True))
    assert fit is not None
    for value, true, error in (
        (fit.gain, GAIN, fit.errors[1]),
        (fit.new_light, NEW, fit.errors[2]),
        (fit.read_noise_e, READ_E, fit.read_noise_error_e),
    ):
        assert abs(value - true) < 4 * error + 0.01 * true
        assert error < 0.06 * true  # the tolerance means something


def test_photon_transfer_needs_its_new_light_term() -> None:
    """Control: the same light without fresh speckle has another fit, far outside the errors."""
    with_it = fit_photon_transfer(**photon_transfer(), frames=63, converter=Converter(OFFSET, 255, True))
    without = fit_photon_transfer(**photon_transfer(new=0.0), frames=63, converter=Converter(OFFSET, 255, True))
    assert with_it is not None
    assert without is not None
    assert abs(without.new_light) < 4 * without.errors[2]
    assert with_it.new_light > 20 * without.errors[2]


def test_photon_transfer_of_a_converter_too_coarse() -> None:
    """0.02 DN of noise: repeated counts round alike, and nothing can be said."""
    assert (
        fit_photon_transfer(**photon_transfer(new=0.0, gain=0.0015), frames=63, converter=Converter(OFFSET, 255, True))
        is None
    )


# Shapes and duck typing.


def test_fewest_inputs_and_outputs() -> None:
    with pytest.raises(ConfigError, match="n_in = 7: a self-test needs at least 8"):
        Probe(load_device("ideal", n_in=7, n_out=64), 0)
    with pytest.raises(ConfigError, match="n_out = 63: a self-test needs at least 64"):
        Probe(load_device("ideal", n_in=8, n_out=63), 0)


@pytest.mark.parametrize("n_in", [8, 100, 256, 1000])
def test_probe_s_patterns(n_in: int) -> None:
    probe = Probe(load_device("ideal", n_in=n_in, n_out=64), 0)
    first, second = probe.halves()
    assert (first + second == 1).all()
    assert first.sum() == n_in // 2
    assert (probe.on(n_in // 2) <= probe.on(n_in // 2 + 1)).all()
    assert probe.groups == min(n_in, 256)
    assert np.ptp(probe.group_sizes) <= 1
    x = probe.orthogonal()
    np.testing.assert_array_equal(x.T @ x, len(x) * np.eye(probe.groups))
    signs = probe.ternary(5, share=0.5)
    assert set(np.unique(signs)) == {-1.0, 0.0, 1.0}
    assert (np.abs(signs).sum(axis=1) == round(0.5 * probe.groups)).all()


def test_a_device_as_large_as_its_card_has_room_for() -> None:
    small = {"camera.rows": 64, "camera.columns": 64, "camera.roi_rows": 64, "dmd.columns": 16, "dmd.rows": 8}
    device, notes = device_to_test(load_card("lighton-aurora", small))
    # 12 x 12 outputs five pixels apart; halved from 2048 until they fit.
    assert (device.n_in, device.n_out) == (128, 128)
    assert [note.split(":")[0] for note in notes] == ["n_in = 128", "n_out = 128"]
    with pytest.raises(DeviceError, match="n_out = 200"):
        device_to_test(load_card("lighton-aurora", small), n_out=200)
    with pytest.raises(DeviceError, match="n_in = 129"):
        device_to_test(load_card("lighton-aurora", small), n_in=129)
    device, notes = device_to_test(load_card("lighton-aurora"))
    assert (device.n_in, device.n_out, notes) == (256, 2048, [])


def test_no_camera_is_not_a_pass() -> None:
    with load_device("ideal", n_in=64, n_out=256) as device:
        test = self_test(device)
    assert test.passed
    left_out = test.checks[0]
    assert left_out.passed is None
    assert "no camera" in left_out.note
    assert not any(check.name.startswith(("camera", "drift")) for check in test.checks)


def test_same_seed_same_document() -> None:
    documents = []
    for _ in range(2):
        with load_device("lighton-aurora", n_in=16, n_out=128, seed=3) as device:
            documents.append(self_test(device, seed=3).document())
    assert documents[0] == documents[1]
    with load_device("lighton-aurora", n_in=16, n_out=128, seed=3) as device:
        assert self_test(device, seed=4).document()["checks"] != documents[0]["checks"]


def test_closed_device() -> None:
    with pytest.raises(DeviceError, match="not open"):
        self_test(load_device("ideal", n_in=64, n_out=256))
