"""Field encodings through the whole device: one pattern a vector, the device's own matrix, the light that they cost."""

from typing import Any

import numpy as np
import pytest

from opu_sim import ConfigError, load_device
from opu_sim.opu import Opu

N_IN, N_OUT = 64, 1000
ENCODINGS: dict[str, dict[str, Any]] = {
    "pi-pair": {"dmd.encoding": "pi-pair"},
    "lee": {"dmd.encoding": "lee", "dmd.cell_mirrors": 8},
    "superpixel": {"dmd.encoding": "superpixel", "dmd.cell_mirrors": 4},
}
RECOVERIES: dict[str, dict[str, Any]] = {
    "phase-stepping": {"recovery.method": "phase-stepping", "recovery.reference_fill": 0.12},
    "off-axis": {"recovery.method": "off-axis", "recovery.reference_fill": 0.15, "medium.speckle_grain_px": 4.0},
    "anchors": {"recovery.anchors": 4},
}


def device(encoding: str, recovery: str, **overrides: Any) -> Opu:
    keys = RECOVERIES[recovery] | ENCODINGS.get(encoding, {}) | {"laser.power_mw": 200.0} | overrides
    opu = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=1, **keys)
    assert isinstance(opu, Opu)
    return opu


def ternary(vectors: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(-1, 2, (vectors, N_IN)).astype(np.float64)


@pytest.mark.parametrize("recovery", RECOVERIES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ternary_vectors_in_one_pattern(encoding: str, recovery: str) -> None:
    """Slope 1 on the device's own matrix, half the frames of two binary patterns."""
    x = ternary()
    with device(encoding, recovery) as opu:
        before = opu.ledger.frames
        y = opu.project(x)
        frames = opu.ledger.frames - before
        expected = x @ opu.matrix().T.astype(np.float64)
    assert frames == len(x) * opu.recovery.frames_per_pattern
    # 60,000 errors at 15 dB or better: 0.1 %; calibration and rounding of encoded fields another 0.2 %.
    assert abs(np.sum(y * expected) / np.sum(expected**2) - 1) < 4e-3
    # A cosine of 0.975 is 13 dB: the weakest of them, four anchors with a fortieth of the light.
    assert np.corrcoef(y.ravel(), expected.ravel())[0, 1] > 0.975
    # Control: another device's matrix.
    other = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=2, **RECOVERIES[recovery])
    assert abs(np.corrcoef(y.ravel(), (x @ other.matrix().T).ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("encoding", ["lee", "superpixel"])
def test_any_real_vector_in_one_pattern(encoding: str) -> None:
    """12 bit planes a vector of plain amplitudes; one pattern here."""
    x = np.random.default_rng(3).standard_normal((60, N_IN))
    with device(encoding, "phase-stepping") as opu:
        before = opu.ledger.frames
        y, expected = opu.project(x), x @ opu.matrix().T.astype(np.float64)
        assert opu.ledger.frames - before == 4 * len(x)
    assert abs(np.sum(y * expected) / np.sum(expected**2) - 1) < 4e-3
    assert np.corrcoef(y.ravel(), expected.ravel())[0, 1] > 0.99


def test_they_cost_light() -> None:
    """Amplitude 1/2 of a pi pair, 1/pi or so of Lee's first order: less light on the camera, by the square."""
    x = np.ones((40, N_IN))
    light = {}
    for encoding in ("amplitude", *ENCODINGS):
        opu = device(encoding, "phase-stepping")
        part = opu.arm.dmd.encode(x)
        photons = opu.imager.photons(opu.arm.fields(part.patterns), part.brightness, 0)
        assert (
            abs(photons.mean() / (opu.arm.photons_per_intensity * opu.arm.brightness(part.brightness).mean()) - 1)
            < 0.15
        )
        light[encoding] = opu.arm.photons_per_intensity * float(part.brightness.mean())
    for encoding in ENCODINGS:
        opu = device(encoding, "phase-stepping")
        assert light[encoding] / light["amplitude"] == pytest.approx(opu.arm.dmd.full_scale**2, rel=0.02)
    assert light["pi-pair"] / light["amplitude"] == pytest.approx(0.25, rel=0.01)
    assert light["superpixel"] < light["lee"] < light["pi-pair"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_cut_of_a_batch_changes_nothing(encoding: str) -> None:
    x = np.random.default_rng(3).standard_normal((9, N_IN))
    with device(encoding, "anchors") as opu:
        whole = opu.project(x)
    with device(encoding, "anchors") as opu:
        parts = np.concatenate([opu.project(x[:2]), opu.project(x[2:])])
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_anchor_needs_complements(encoding: str) -> None:
    with pytest.raises(ConfigError, match=r"dmd\.encoding = .*: a pattern that is no amplitude has no complement"):
        load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, **ENCODINGS[encoding])


@pytest.mark.parametrize("encoding", ["lee", "superpixel"])
def test_complex_fields_take_pixels(encoding: str) -> None:
    with pytest.raises(ConfigError, match=r"fidelity = 'mode': must be 'pixel' with dmd\.encoding"):
        device(encoding, "anchors", fidelity="mode")
