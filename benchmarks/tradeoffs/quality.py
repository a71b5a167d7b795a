"""How much of a projection follows the matrix: signal-to-noise ratio and effective bits, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from opu_sim import Projector
from opu_sim.rng import stream

_VECTORS = 512


@dataclass(frozen=True)
class Quality:
    """Signal-to-noise ratios of projections (powers); None where nothing came back."""

    snr: float | None
    snr_noise: float | None


def projection_quality(device: Projector, seed: int = 0, vectors: int = _VECTORS) -> Quality:
    """Measure how much of a projection follows x @ matrix().T; the device is charged for the frames.

    Parameters
    ----------
    device : Projector, open, with `matrix()`
    seed : int
        Of the vectors: ternary, `inputs_on` entries at +1 and as many at -1.
    vectors : int

    Returns
    -------
    Quality
        `snr` = r^2 / (1 - r^2), r the cosine between projections and the digital product: noise and distortion are
        what is left after a fit of the amplitude, as for the effective bits of a converter. `snr_noise` is noise
        alone: <y, y'> / (|y - y'|^2 / 2) of two shots.

    References
    ----------
    IEEE Std 1057, effective bits of a digitiser from the residual of a fitted signal.
    """
    on = inputs_on(device.n_in)
    order = stream(seed, "tradeoffs.vectors").random((vectors, device.n_in)).argsort(axis=1).argsort(axis=1)
    x = (order < on).astype(np.float64) - ((order >= on) & (order < 2 * on))
    y, again = (device.project(x).astype(np.float64) for _ in range(2))
    product = x @ device.matrix().astype(np.float64).T  # type: ignore[attr-defined]
    power = float(np.vdot(y, y))
    if power == 0.0:
        return Quality(None, None)
    cosine2 = float(np.vdot(y, product)) ** 2 / (power * float(np.vdot(product, product)))
    noise = 0.5 * float(np.sum((y - again) ** 2))
    repeated = float(np.vdot(y, again)) / noise if noise else math.inf
    snr = cosine2 / (1.0 - cosine2) if cosine2 < 1.0 else math.inf
    return Quality(_finite(snr), _finite(repeated))


def inputs_on(n_in: int) -> int:
    """Inputs at +1, and as many at -1, of the vectors that quality is measured with: a third of all each."""
    return max(n_in // 3, 1)


def effective_bits(snr: float | None) -> float | None:
    """0.5 log2 of a signal-to-noise ratio of powers."""
    return 0.5 * math.log2(snr) if snr is not None and snr > 0.0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
