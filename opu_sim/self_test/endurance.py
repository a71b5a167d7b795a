"""Checks over time: drift of the speckle, frames that the ledger was charged with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from opu_sim.self_test.estimators import Array, blocks, correlation_error, jackknife
from opu_sim.self_test.optics import HALF_FRAMES
from opu_sim.self_test.prediction import Prediction
from opu_sim.self_test.probe import Probe
from opu_sim.self_test.report import SelfTest

DRIFT_S = 3600.0
_LOOKS = (0.0, 1.0 / 6.0, 1.0 / 3.0, 2.0 / 3.0, 1.0)  # of the drift's duration
_SIGMAS = 4.0
_CORRELATION = 1e-3  # stated: what counts as no drift
_RATE = 1e-6  # stated, relative: the ledger is exact


def check_drift(test: SelfTest, probe: Probe, prediction: Prediction | None, drift_s: float) -> None:
    """Correlation of the speckle with itself after an hour, the noise of the shots taken off.

    A device without `wait` cannot let time pass: the check is then not made.
    """
    name = f"drift over {drift_s:g} s"
    wait = getattr(probe.device, "wait", None)
    if wait is None:
        test.add(name, None, note="not done: the device has no wait(seconds)")
        return
    before = _looks(probe)
    started = begun = _device_s(probe.device)
    waited = 0.0
    times, correlations, errors = [], [], []
    for share in _LOOKS:
        pause = share * drift_s - waited
        if pause > 0:
            wait(pause)
            waited += pause
        correlation, error = _correlation(before, _looks(probe))
        now = _device_s(probe.device)
        times.append(waited if now is None or started is None else now - started)
        correlations.append(correlation)
        errors.append(error)
    expected, why = 1.0, "no card: a device that does not drift"
    law: list[float] = [1.0 for _ in times]
    if prediction is not None:
        offset = begun or 0.0
        predicted = [prediction.correlation(offset, offset + t) for t in times]
        law, why = [value for value, _ in predicted], predicted[-1][1]
        expected = law[-1]
    # Expected scatter: of the shots' noise, as in the first look, and of a finite number of speckles that change.
    error = max(errors[0], correlation_error(expected, before[0].size))
    tolerance = _CORRELATION + _SIGMAS * error
    test.add(name, correlations[-1], expected, tolerance, note=f"correlation of intensities; {why}")
    test.series["drift"] = {"time_s": times, "correlation": correlations, "law": law}


def _looks(probe: Probe) -> tuple[Array, Array]:
    """Frames [pattern, frame, output] of both half patterns, as two independent sets."""
    frames = np.stack([probe.frames(pattern, HALF_FRAMES)[0] for pattern in probe.halves()])
    return frames[:, 0::2].mean(axis=1), frames[:, 1::2].mean(axis=1)


def _correlation(before: tuple[Array, Array], after: tuple[Array, Array]) -> tuple[float, float]:
    """Correlation of two static patterns from two noisy looks at either, and its standard error."""
    (a, b), (c, d) = (tuple(x - x.mean(axis=1, keepdims=True) for x in look) for look in (before, after))
    products = np.stack([0.25 * (a + b) * (c + d), a * b, c * d]).mean(axis=1)

    def correlation(sums: Array) -> float:
        return float(sums[0] / (sums[1] * sums[2]) ** 0.5) if sums[1] > 0 and sums[2] > 0 else math.nan

    return jackknife(blocks(products), correlation)


def _device_s(device: Any) -> float | None:
    seconds = getattr(getattr(device, "ledger", None), "device_s", None)
    return None if seconds is None else float(seconds)


@dataclass(frozen=True)
class _Charge:
    frames: int
    passes: int
    device_s: float


def _charged(device: Any) -> _Charge | None:
    ledger = getattr(device, "ledger", None)
    if ledger is None or not hasattr(ledger, "frames") or not hasattr(ledger, "device_s"):
        return None
    return _Charge(int(ledger.frames), int(getattr(ledger, "passes", 0)), float(ledger.device_s))


def check_frame_budget(test: SelfTest, probe: Probe, prediction: Prediction | None, *, optical: bool) -> None:
    """Frames shown for a known number of patterns, and their rate from the device's own time."""
    names = ("frames a pattern, intensity", "frames a pattern, projection", "frame rate")
    patterns = 32
    start = _charged(probe.device)
    if optical:
        probe.frames(probe.on(probe.n_in // 2), patterns - 2)
    middle = _charged(probe.device)
    binary = np.tile((np.arange(probe.groups) % 2).astype(np.float64), (patterns, 1))
    probe.project(binary)
    end = _charged(probe.device)
    if start is None or middle is None or end is None:
        for name in names:
            test.add(name, None, note="not done: the device keeps no ledger of frames and seconds")
        return
    if end.frames == start.frames:
        for name in names:
            test.add(name, None, note="no frames: the device is digital")
        return
    if optical:
        test.add(names[0], (middle.frames - start.frames) / patterns, 1.0, 0.0, note="from the ledger")
    shown = (end.frames - middle.frames) / patterns
    if prediction is None:
        test.add(names[1], shown, note="no card to compare with")
    else:
        test.add(names[1], shown, float(prediction.frames_per_pattern), 0.0, note="from the ledger")
    clock: Any = prediction.clock if prediction is not None else getattr(probe.device, "clock", None)
    latency = prediction.card.timing.latency_s if prediction is not None else 0.0
    seconds = end.device_s - start.device_s - latency * (end.passes - start.passes)
    rate = (end.frames - start.frames) / seconds if seconds > 0 else math.inf
    expected = float(clock.rate_hz) if clock is not None else None
    tolerance = _RATE * expected if expected is not None else None
    test.add(names[2], rate, expected, tolerance, "Hz", "frames over device time, latency of the passes taken off")
    stages = {
        label: 1e6 * float(getattr(clock, key))
        for key, label in _STAGES.items()
        if clock is not None and hasattr(clock, key)
    }
    if stages:
        test.series["budget"] = {"stages_us": stages, "measured_us": 1e6 / rate}


_STAGES = {
    "exposure_s": "exposure",
    "dead_s": "dead time",
    "read_out_s": "read-out",
    "pattern_load_s": "pattern load",
    "link_s": "link",
    "period_s": "period",
}
