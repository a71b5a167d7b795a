"""Exposure and reference level: stated on the card, or picked from calibration frames as a real unit does."""

from __future__ import annotations

import math

import numpy as np

from opu_sim.cards import CameraCard, OpuCard

# Share of the pixels under all inputs ON that may reach the full well without a reference.
SATURATED = 1e-3

# Share of the inputs that are ON in the patterns that a hologram's levels are made for.
TYPICAL_LOAD = 0.5

# Half of the full well: the reference alone keeps its shot noise clear of it.
LARGEST_FILL = 0.5

# Outputs that the exposure is measured on: the same ones for any n_out, so that n_out does not move the exposure.
PROBED = 256


def longest_exposure_s(card: OpuCard) -> float:
    """Exposure [s] that leaves the frame's period at what the trigger, the DMD and the read-out need anyway."""
    timing = card.timing
    rows = card.camera.roi_rows or card.camera.rows
    others = max(timing.frame_time_us * 1e-6, card.camera.read_out_s(rows), 1.0 / card.dmd.pattern_rate_hz)
    return max(others - timing.dead_time_us * 1e-6, 1e-6)


def exposure_s(card: OpuCard) -> float:
    """Exposure [s] of the card, or the longest that costs no frame rate where the device is to pick it."""
    stated = card.timing.exposure_us
    return longest_exposure_s(card) if stated is None else stated * 1e-6


def is_automatic(card: OpuCard) -> bool:
    """Whether the device picks its exposure or its reference level."""
    holographic = card.recovery.method != "anchor"
    return card.timing.exposure_us is None or (holographic and card.recovery.reference_fill is None)


def settled(card: OpuCard, mean_e: float) -> OpuCard:
    """Card with exposure and reference level, from the mean charge [e-] of all inputs ON in `exposure_s(card)`.

    The exposure is a whole number of microseconds, as a trigger counts them.
    """
    full_well = card.camera.full_well_e
    holographic = card.recovery.method != "anchor"
    exposure_us = card.timing.exposure_us
    if exposure_us is None:
        wanted = best_signal_e(card.camera) / TYPICAL_LOAD if holographic else mean_for(SATURATED, full_well)
        longest_us = longest_exposure_s(card) * 1e6
        exposure_us = float(max(math.floor(longest_us * min(wanted / max(mean_e, 1e-9), 1.0)), 1))
        mean_e *= exposure_us / longest_us
    fill = card.recovery.reference_fill
    if holographic and fill is None:
        fill = best_reference(TYPICAL_LOAD * mean_e, card.camera)[0]
    return card.model_copy(
        update={
            "timing": card.timing.model_copy(update={"exposure_us": exposure_us}),
            "recovery": card.recovery.model_copy(update={"reference_fill": fill}),
        }
    )


def mean_for(saturated: float, full_well_e: float) -> float:
    """Mean of exponential speckle [e-] of which this share exceeds the full well."""
    return full_well_e / math.log(1.0 / saturated)


def clipping_e2(reference_e: float, signal_e: float, full_well_e: float) -> float:
    """Mean square charge [e2] that the full well cuts off where speckle interferes with a plane reference.

    E[max(|sqrt(N_r) + s|^2 - full well, 0)^2] with circular Gaussian s, E|s|^2 = N_s: a Rice law, by quadrature.
    """
    excess = (reference_e**0.5 + signal_e**0.5 * _SPECKLE.real) ** 2 + signal_e * _SPECKLE.imag**2 - full_well_e
    return float(np.mean(np.maximum(excess, 0.0) ** 2))


def best_reference(signal_e: float, camera: CameraCard) -> tuple[float, float]:
    """Reference level [share of the full well] of the best field signal-to-noise beside a signal, and that ratio.

    N_r N_s / (N_r + N_s + sigma_d^2 + 1 / (12 K^2) + clipping): a brighter reference lifts the fringes above the
    read noise and the rounding, until their peaks leave the full well.
    """
    fill = np.geomspace(0.005, LARGEST_FILL, 120)
    floor = camera.read_noise_e**2 + 1.0 / (12.0 * camera.gain**2)
    light = fill * camera.full_well_e
    clipped = np.array([clipping_e2(reference, signal_e, camera.full_well_e) for reference in light])
    ratio = light * signal_e / (light + signal_e + floor + clipped)
    best = int(np.argmax(ratio))
    return float(fill[best]), float(ratio[best])


def best_signal_e(camera: CameraCard) -> float:
    """Signal level [e-] of the best field signal-to-noise, each with its own best reference."""
    levels = camera.full_well_e * np.geomspace(1e-3, 0.3, 40)
    return float(max(levels, key=lambda level: best_reference(float(level), camera)[1]))


_QUANTILES = (np.arange(400) + 0.5) / 400
_TURNS = (np.arange(32) + 0.5) / 32
_SPECKLE = np.sqrt(-np.log1p(-_QUANTILES))[:, None] * np.exp(2j * np.pi * _TURNS)
