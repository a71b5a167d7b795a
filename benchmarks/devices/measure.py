"""One network trained through several devices: what each one's physics does to accuracy, and what it spends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.variants import METRICS, Variant
from opu_sim.cards import load_card
from opu_sim.errors import ConfigError

DIGITAL = (Variant("bp", "bp"), Variant("dfa", "dfa"))
"""Without a device, for comparison."""

CONVENTIONS = (
    "The same network, data, optimiser, seeds and way of sending the error (trainer.error_encoding) for every device; "
    "bp and dfa are digital. accuracy: mean and sample standard deviation over seeds. All device figures are simulated "
    "and of seed 0's whole run: device seconds with the latency of each pass, joules of the device without a host. One "
    "op is one multiplication or one addition: an op delivered is one of the 2 n_in n_out of a projection that the "
    "trainer received. pJ an op at full use: watts over peak TeraOPS, what the card promises. utilisation: TeraOPS "
    "delivered over peak."
)


def measure(
    experiment: str,
    devices: Sequence[str],
    seeds: int,
    settings: Mapping[str, Any],
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train an experiment digitally and through each device with seeds 0 .. seeds - 1; the JSON document.

    Raises
    ------
    ConfigError
        As `load_experiment`; a device named twice.
    """
    names = [load_card(device).name for device in devices]
    if len(set(names)) < len(names):
        raise ConfigError(f"--device: {', '.join(names)}; must be different ones")
    optical = [Variant(name, "odfa", device=device) for name, device in zip(names, devices, strict=True)]
    variants = [*DIGITAL, *optical]
    resolved = [[variant.resolved(experiment, settings, seed) for variant in variants] for seed in range(seeds)]
    origin = training.begin(experiment, settings)
    runs = []
    for seed, of_seed in enumerate(resolved):
        outcomes = {}
        for variant, run in zip(variants, of_seed, strict=True):
            if progress is not None:
                progress(f"{experiment}: {variant.name}, seed {seed} of {seeds}")
            outcomes[variant.name] = training.train(run)
        runs.append(outcomes)
    return {**training.assemble(experiment, variants, settings, runs, origin), "conventions": CONVENTIONS}


def picojoules_per_op(report: Mapping[str, Any]) -> tuple[float, float]:
    """Energy of an op delivered, and of one at full use of the device [pJ]."""
    return 1e12 * report["joules_per_op"], report["watts"] / report["teraops_peak"]


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text."""
    header = ["device", "test accuracy [%]", "alignment", "device s", "J", "W", "pJ an op", "at full use"]
    header += ["TeraOPS delivered", "utilisation"]
    rows = []
    for row in document["rows"]:
        accuracy = METRICS["accuracy"].scale * np.array(row["accuracies"])
        report, spent = row["device"], [""] * 7
        if report is not None:
            figures = (report["device_s"], report["joules"], report["watts"], *picojoules_per_op(report))
            spent = [figure(value) for value in (*figures, report["teraops_delivered"], report["utilisation"])]
        name = f"none: {row['variant']}" if row["method"] != "odfa" else row["variant"]
        alignment = ", ".join(f"{cosine:.2f}" for cosine in row["alignment"])
        rows.append([name, training.mean_and_spread(accuracy), alignment, *spent])
    return header, rows


def figure(value: float) -> str:
    """Three digits, two where a power of ten is needed."""
    if 1e3 <= value < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}" if 1e-3 <= value < 1e3 else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
