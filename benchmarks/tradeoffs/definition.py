"""Four trade-offs of an optical device, each swept around one base: laser power, exposure, ADC bits, rows read.

What the physics says of each move, and what `opu bench tradeoffs` checks:

    move                  accuracy   bits   frame rate   watts   joules
    raise laser power        up       up       flat        up      up
    shorten exposure        down     down       up        flat    down
    cut ADC bits            down     down      flat*      flat    flat*
    shrink rows read        flat     flat       up        flat    down

Light. Photons a pixel are proportional to power x exposure, so that both keys move one signal-to-noise ratio: as the
light squared where read noise or rounding limits it, as the light where shot noise does, not at all where the speckle
that is new in each frame does. Effective bits, 0.5 log2 SNR, thus gain 1, 0.5 and 0 bit for twice the light.

Accuracy. Noise in the feedback turns an update by arctan(SNR^-1/2) on average, and feedback alignment is at home with
angles of 60 degrees. Above 1 bit (27 degrees) there is nothing to gain: a sweep that stays there is expected flat.

Bits. The card's gain lets the full well fill the converter's range, whatever its bits, so that a bit less doubles the
step: light that is far from the full well is then rounded away.

Frame rate. The stages of a frame overlap, so its period is that of the slowest: max(trigger, exposure + dead time,
read-out (rows), pattern, link (rows x bytes a pixel)). A key moves it only where its own stage is the slowest at the
slow end of the sweep, else it is flat, and that is what is then expected (*: the link carries whole bytes, and on the
shipped cards it is never the slowest). The base has `timing.frame_time_us = 0`, as a fixed trigger would hide the rest.

Watts. Every part draws its power for as long as the device is on: only the laser's is a key here,
W = (power / wall-plug efficiency + rest) / supply efficiency.

Joules of the run. Watts x (frames / frame rate + passes x latency): up with watts, down with the frame rate.

Too much light saturates pixels, too few bits leave every count at 0 (no feedback: the hidden layers then stay as
drawn, which beats training on noise). Such points are shown, and left out of the check of accuracy and bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opu_sim.cards import OpuCard

QUANTITIES = {
    "accuracy": "accuracy_mean",
    "bits": "bits_mean",
    "frame_rate": "frame_rate_hz",
    "watts": "watts",
    "joules": "joules",
}

# Tolerances of `direction`, of what is not exact. Bits: a fifth of one, 30 % of a signal-to-noise ratio. Joules: an
# error vector that vanishes needs no frame, and how many do depends on how training went; frames are under a third of
# the device time of digits-mlp (the rest is latency), so that 3 % are a tenth of them. Accuracy: `_accuracy_tolerance`.
_BITS, _JOULES, _EXACT = 0.2, 0.03, 1e-9

_ENOUGH_BITS = 1.0


@dataclass(frozen=True)
class Sweep:
    """One key, moved one way.

    Attributes
    ----------
    key : dotted key of the device card
    move, name, unit : words for tables and figures
    quality : what becomes of accuracy and of bits
    stages : stages of a frame that the key shortens
    """

    key: str
    move: str
    name: str
    unit: str
    quality: str
    stages: tuple[str, ...]

    def words(self) -> dict[str, str]:
        """For the document."""
        return {"key": self.key, "move": f"{self.move} {self.name}", "name": self.name, "unit": self.unit}

    def values(self, card: OpuCard, rows_needed: int, quick: bool) -> list[Any]:
        """Along the move, the base among them; `quick`: the ends of what matters and the base."""
        camera = card.camera
        if self.key == "laser.power_mw":
            factors = (0.01, 0.1, 1.0) if quick else (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
            return [_rounded(factor * card.laser.power_mw) for factor in factors]
        if self.key == "timing.exposure_us":
            factors = (2.5, 1.0, 0.01) if quick else (6.0, 2.5, 1.0, 0.3, 0.1, 0.03, 0.01, 0.005)
            return [_rounded(factor * card.timing.exposure_us) for factor in factors]
        if self.key == "camera.adc_bits":
            steps = (2, 4) if quick else (1, 2, 3, 4, 5, 6, 8, 10)
            allowed = {bits for bits in steps if 2**bits - 1 > camera.offset_dn}
            return sorted(allowed | {camera.adc_bits}, reverse=True)
        base = camera.roi_rows or camera.rows
        halvings = (0.0, 3.0) if quick else (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
        rows = {max(round(camera.rows * 2.0**-power), rows_needed) for power in halvings}
        return sorted(rows | {max(base, rows_needed)}, reverse=True)


SWEEPS = (
    Sweep("laser.power_mw", "raise", "laser power", "mW", "up", ()),
    Sweep("timing.exposure_us", "shorten", "exposure", "µs", "down", ("exposure",)),
    Sweep("camera.adc_bits", "cut", "ADC bits", "bit", "down", ("link",)),
    Sweep("camera.roi_rows", "shrink", "rows read", "rows", "flat", ("read-out", "link")),
)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def expected(sweep: Sweep, points: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Direction of each quantity along the move, as derived at the head of this module.

    points: in the order of the move. Which stage the first one waits for, and whether any has less than
    `_ENOUGH_BITS`, says which effects are hidden.
    """
    bits = [p["bits_mean"] for p in points if not p["left_out"] and p["bits_mean"] is not None]
    faster = points[0]["slowest_stage"] in sweep.stages
    hotter = sweep.key == "laser.power_mw"
    return {
        "accuracy": sweep.quality if min(bits, default=-math.inf) < _ENOUGH_BITS else "flat",
        "bits": sweep.quality,
        "frame_rate": "up" if faster else "flat",
        "watts": "up" if hotter else "flat",
        "joules": "up" if hotter else "down" if faster else "flat",
    }


def direction(values: Sequence[float], tolerance: float) -> str:
    """'up', 'down', 'flat' or 'mixed': which way values go, see `CONVENTIONS`."""
    y = np.asarray(values, dtype=np.float64)
    if np.ptp(y) <= tolerance:
        return "flat"
    change = float(y[-1] - y[0])
    allowed = max(tolerance, abs(change) / 4.0)
    fall = float(np.max(np.maximum.accumulate(y) - y))
    rise = float(np.max(y - np.minimum.accumulate(y)))
    if change > tolerance and fall <= allowed:
        return "up"
    if change < -tolerance and rise <= allowed:
        return "down"
    return "mixed"


def check(sweep: Sweep, points: Sequence[Mapping[str, Any]], samples: int) -> dict[str, dict[str, Any]]:
    """Expected and measured direction of each quantity; samples: size of the test set."""
    out: dict[str, dict[str, Any]] = {}
    for quantity, wanted in expected(sweep, points).items():
        light = quantity in ("accuracy", "bits")
        kept = [p for p in points if not (light and p["left_out"]) and p[QUANTITIES[quantity]] is not None]
        values = [float(p[QUANTITIES[quantity]]) for p in kept]
        if not values:
            out[quantity] = {"expected": wanted, "measured": None, "pass": False}
            continue
        level = max(map(abs, values))
        tolerance = {"bits": _BITS, "joules": _JOULES * level}.get(quantity, _EXACT * level)
        if quantity == "accuracy":
            tolerance = _accuracy_tolerance(kept, samples)
        found = direction(values, tolerance)
        out[quantity] = {
            "expected": wanted,
            "measured": found,
            "first": values[0],
            "last": values[-1],
            "tolerance": tolerance,
            "pass": found == wanted,
        }
    return out


def _accuracy_tolerance(points: Sequence[Mapping[str, Any]], samples: int) -> float:
    """Three standard errors of the difference of two means over seeds.

    The spread of one run is that over seeds, or that of a finite test set at the best accuracy where this is larger.
    """
    best = max(p["accuracy_mean"] for p in points)
    spreads = [p["accuracy_std"] for p in points if p["accuracy_std"] is not None]
    spread = max(float(np.median(spreads)) if spreads else 0.0, math.sqrt(best * (1.0 - best) / samples))
    return 3.0 * spread * math.sqrt(2.0 / len(points[0]["accuracies"]))
