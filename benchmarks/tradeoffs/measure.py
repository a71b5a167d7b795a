"""The points of the four sweeps, trained and measured: the JSON document of `opu bench tradeoffs`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.tradeoffs.definition import SWEEPS, check
from benchmarks.tradeoffs.quality import effective_bits, inputs_on, projection_quality
from dfa import provenance
from dfa.config import Experiment, flattened, load_experiment
from dfa.data import Dataset, load_dataset
from dfa.trainer import Trainer
from opu_sim import Opu, load_device
from opu_sim.cards import OpuCard, load_card
from opu_sim.errors import ConfigError
from opu_sim.power import FrameClock

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
_SATURATED = 0.01
_DARK = 0.999
_QUICK_EPOCHS = 10


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
