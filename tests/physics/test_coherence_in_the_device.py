"""A wide laser line and a second polarisation in the whole device: weaker fringes, the same light, scale made good."""

from typing import Any

import numpy as np
import pytest

from opu_sim import load_device
from opu_sim.medium import coherent_share
from opu_sim.opu import Opu

N_IN, N_OUT, ON = 64, 2000, 16
METHODS: dict[str, dict[str, Any]] = {
    "phase-stepping": {"recovery.method": "phase-stepping"},
    "off-axis": {"recovery.method": "off-axis", "medium.speckle_grain_px": 4.0},
}
CAUSES: dict[str, tuple[dict[str, Any], float]] = {
    # Keys, and the share of the light that can interfere.
    "polarisation": ({"medium.polarisation_degree": 0.4}, 0.7),
    "line": ({"laser.linewidth_mhz": 4000.0, "medium.path_spread_mm": 5.0}, coherent_share(4e9, 5e-3)),
}


def device(method: str, **overrides: Any) -> Opu:
    quiet = {"medium.frame_decorrelation": 0.0, "laser.rin_db_per_hz": None, "camera.prnu": 0.0}
    keys = METHODS[method] | quiet | {"recovery.reference_fill": 0.12} | overrides
    opu = load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=3, **keys)
    assert isinstance(opu, Opu)
    return opu


def measured_db(opu: Opu) -> float:
    """Signal over noise of 6 patterns, shown 20 times each: 240,000 errors, sd 0.02 dB."""
    rng = np.random.default_rng(0)
    x = np.repeat([rng.permutation(N_IN) < ON for _ in range(6)], 20, axis=0).astype(np.float64)
    with opu:
        y = opu.project(x)
    noise = y.reshape(6, 20, -1).var(axis=1, ddof=1).mean()
    return float(10 * np.log10(np.mean((x @ opu.matrix().T.astype(np.float64)) ** 2) / noise))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cause", CAUSES)
def test_the_signal_to_noise_falls_by_what_cannot_interfere(method: str, cause: str) -> None:
    """Fringes lower by the root of the share, noise as before: 10 log10 of the share, measured and predicted."""
    keys, share = CAUSES[cause]
    whole, part = device(method), device(method, **keys)
    loss = measured_db(whole) - measured_db(part)
    assert 0.5 < -10 * np.log10(share) < 4
    # The same speckle in both, so that its sampling cancels.
    assert abs(loss + 10 * np.log10(share)) < 0.1
    assert abs(10 * np.log10(whole.snr(ON) / part.snr(ON)) + 10 * np.log10(share)) < 0.01
    # The recovery makes the scale good.
    assert abs(np.linalg.norm(part.matrix()) / np.linalg.norm(whole.matrix()) - 1) < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_together_they_multiply(method: str) -> None:
    keys = CAUSES["polarisation"][0] | CAUSES["line"][0] | {"medium.polarisation_degree": 0.9}
    share = 0.95 * CAUSES["line"][1]
    assert device(method, **keys).snr(ON) / device(method).snr(ON) == pytest.approx(share, rel=1e-3)
