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
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfa import provenance
from dfa.config import Experiment, flattened, load_experiment
from dfa.data import Dataset, load_dataset
from dfa.trainer import Trainer
from opu_sim import Opu, Projector, load_device
from opu_sim.cards import OpuCard, load_card
from opu_sim.errors import ConfigError
from opu_sim.power import FrameClock
from opu_sim.rng import stream

CONVENTIONS = (
    "Each point: the experiment trained by odfa with seeds 0 .. N-1, means and sample standard deviations over them. "
    "accuracy: test set after the last epoch. snr: power of the part of a projection that follows x @ matrix().T, one "
    "common gain fitted, over the power of all else (noise and distortion), for random ternary vectors with a third of "
    "the inputs at +1 and a third at -1; bits = 0.5 log2 snr. snr_noise: of noise alone, from two shots of each "
    "vector. bits_predicted: of the device's own snr() with that many inputs ON, where it has one. frame rate, watts, "
    "joules, device_s: the device's simulated clock and ledger, of the whole training. photons and electrons: mean of "
    "a pixel in one exposure with half of the inputs ON. saturated, dark: share of all pixels exposed at the largest "
    "code and at 0. left_out: points that the check of accuracy and bits leaves out. direction: along the move, 'up' "
    "or 'down' where the last point differs from the first by more than the tolerance and no reversal on the way is "
    "more than a quarter of that or the tolerance, 'flat' where all lie within it, else 'mixed'. base: as the card, "
    "but timing.frame_time_us = 0."
)

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
_SATURATED = 0.01
_DARK = 0.999
_QUICK_EPOCHS = 10
_VECTORS = 512


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


def measure(
    experiment: str,
    seeds: int,
    *,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    quick: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train every point of the four sweeps in this process; the JSON document of `opu bench tradeoffs`.

    Parameters
    ----------
    experiment : str
        Shipped name or TOML file.
    seeds : int
        Seeds 0 .. seeds - 1 of each point.
    device : str, optional
        Shipped name or TOML file; the experiment's own without it.
    settings : mapping of dotted keys, optional
        Changes of the base.
    quick : bool
        Three points a sweep, one seed, ten epochs.

    Raises
    ------
    ConfigError
        Bad experiment, device, data or settings; a device without light.
    """
    _optical(load_experiment(experiment, device=device, method="odfa"))
    changes = {"device.timing.frame_time_us": 0.0, **(settings or {})}
    base = load_experiment(experiment, device=device, method="odfa", settings=changes)
    if quick:
        seeds, changes = 1, changes | {"trainer.epochs": min(_QUICK_EPOCHS, base.trainer.epochs)}
        base = load_experiment(experiment, device=device, method="odfa", settings=changes)
    origin = provenance.collect(config_sha256=base.sha256, started_at=provenance.now())
    card = _optical(base)
    data = [load_dataset(base.data.name, validation=base.data.validation, seed=seed) for seed in range(seeds)]
    rows_needed = _rows_needed(base, data[0].classes)

    def point(setting: Mapping[str, Any]) -> dict[str, Any]:
        if progress is not None:
            progress(f"{base.name}: {', '.join(f'{key} = {value:g}' for key, value in setting.items()) or 'base'}")
        runs = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for seed, part in enumerate(data):
                all_changes = {**changes, **setting}
                resolved = load_experiment(experiment, device=device, method="odfa", seed=seed, settings=all_changes)
                runs.append(_train(resolved, part))
        return _point(runs, sorted({f"{entry.category.__name__}: {entry.message}" for entry in caught}))

    centre = point({})
    sweeps: list[dict[str, Any]] = []
    for sweep in SWEEPS:
        at = _base_value(card, sweep.key, rows_needed)
        points = [
            {"value": value, "base": value == at} | (centre if value == at else point({f"device.{sweep.key}": value}))
            for value in sweep.values(card, rows_needed, quick)
        ]
        directions = check(sweep, points, len(data[0].test_y))
        sweeps.append({**sweep.words(), "base": at, "points": points, "directions": directions})
    return {
        "experiment": base.table(),
        "device": card.name,
        "seeds": seeds,
        "quick": quick,
        "sweeps": sweeps,
        "pass": all(entry["pass"] for sweep in sweeps for entry in sweep["directions"].values()),
        "conventions": CONVENTIONS,
        "provenance": origin,
    }


def _optical(experiment: Experiment) -> OpuCard:
    card = load_card(experiment.device_name, flattened(experiment.device_overrides))
    if not isinstance(card, OpuCard):
        raise ConfigError(f"{experiment.device_name}: nothing to sweep: must be a device with a laser and a camera")
    return card


def _rows_needed(experiment: Experiment, classes: int) -> int:
    """Sensor rows that the feedback's outputs take at least."""
    overrides = flattened(experiment.device_overrides) | {"camera.roi_rows": 1}
    device = load_device(experiment.device_name, n_in=classes, n_out=sum(experiment.model.hidden), **overrides)
    return device.clock.rows if isinstance(device, Opu) else 1


def _base_value(card: OpuCard, key: str, rows_needed: int) -> float:
    if key == "camera.roi_rows":
        return max(card.camera.roi_rows or card.camera.rows, rows_needed)
    part, name = key.split(".")
    value: float = getattr(getattr(card, part), name)
    return value


def _train(experiment: Experiment, data: Dataset) -> dict[str, Any]:
    """Train once; what the device did in training is read before its projections are measured."""
    with Trainer(experiment, data=data) as trainer:
        for _ in range(experiment.trainer.epochs):
            trainer.fit_epoch()
        device = trainer.feedback.projector
        if not isinstance(device, Opu):
            raise TypeError("odfa trains through an optical device")
        arm, camera = device.arm, device.camera
        photons = float(arm.brightness(np.array([device.n_in // 2]))[0]) * arm.photons_per_intensity
        predicted = getattr(device, "snr", None)
        return {
            "accuracy": trainer.evaluate("test")["accuracy"],
            "alignment": trainer.progress.alignment,
            "device": device.report(),
            "passes": device.ledger.passes,
            "frame_rate_hz": device.clock.rate_hz,
            "slowest_stage": slowest_stage(device.clock, device.card),
            "photons_per_pixel": photons,
            "electrons_per_pixel": photons * camera.card.quantum_efficiency,
            "saturated": camera.saturated / camera.exposed,
            "dark": camera.dark / camera.exposed,
            "predicted": None if predicted is None else float(predicted(inputs_on(device.n_in))),
            "quality": projection_quality(device, experiment.seed),
        }


def slowest_stage(clock: FrameClock, card: OpuCard) -> str:
    """What sets the frame rate: trigger, exposure (with its dead time), read-out, link or pattern."""
    stages = {
        "trigger": card.timing.frame_time_us * 1e-6,
        "exposure": clock.exposure_s + clock.dead_s,
        "read-out": clock.read_out_s,
        "link": clock.link_s,
    }
    name = max(stages, key=lambda stage: stages[stage])
    return name if stages[name] >= clock.period_s * (1.0 - 1e-9) else "pattern"


def _point(runs: Sequence[Mapping[str, Any]], said: list[str]) -> dict[str, Any]:
    """Means over seeds."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    def spread(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.std(known, ddof=1)) if len(known) > 1 else None

    accuracies = [run["accuracy"] for run in runs]
    bits = [effective_bits(run["quality"].snr) for run in runs]
    saturated, dark = (float(np.mean([run[name] for run in runs])) for name in ("saturated", "dark"))
    first = runs[0]
    return {
        "accuracies": accuracies,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": spread(accuracies),
        "bits_mean": mean(bits),
        "bits_std": spread(bits),
        "snr": mean([run["quality"].snr for run in runs]),
        "snr_noise": mean([run["quality"].snr_noise for run in runs]),
        "bits_predicted": mean([effective_bits(run["predicted"]) for run in runs]),
        "alignment": np.mean([run["alignment"] for run in runs], axis=0).tolist(),
        "frame_rate_hz": first["frame_rate_hz"],
        "slowest_stage": first["slowest_stage"],
        **{name: float(np.mean([run["device"][name] for run in runs])) for name in ("watts", "joules", "device_s")},
        "frames": [run["device"]["frames"] for run in runs],
        "passes": [run["passes"] for run in runs],
        "photons_per_pixel": first["photons_per_pixel"],
        "electrons_per_pixel": first["electrons_per_pixel"],
        "saturated": saturated,
        "dark": dark,
        "left_out": "saturated" if saturated > _SATURATED else "no counts" if dark > _DARK else None,
        "warnings": said,
    }
