"""Training runs that survive a break: each finished one is a file of its own, until the whole result is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import training
from benchmarks.variants import Variant
from dfa import provenance
from dfa.checkpoint import make_writable, write_atomic
from dfa.config import Experiment


@dataclass(frozen=True)
class Runs:
    """Runs of an experiment's variants with seeds 0 .. seeds - 1, kept in `folder` as they finish.

    A run that is there already, with the same configuration and the same version of this program, is not made again.
    Processes may share the folder: each run is written whole, and two that make the same one write the same numbers.
    """

    experiment: str
    variants: Sequence[Variant]
    seeds: int
    settings: Mapping[str, Any]
    folder: Path

    def make(self, chosen: Sequence[str], progress: Callable[[str], None] | None = None) -> bool:
        """Train what is missing of the chosen variants; True once all runs of all variants are there.

        Raises
        ------
        ConfigError
            A configuration or data that cannot be used, or a folder that cannot be written.
        """
        make_writable(self.folder, "--out")
        wanted = [(seed, v) for seed in range(self.seeds) for v in self.variants if v.name in chosen]
        for seed, variant in wanted:
            resolved = variant.resolved(self.experiment, self.settings, seed)
            if self._found(variant, seed, resolved) is not None:
                continue
            if progress is not None:
                progress(f"{self.experiment}: {variant.name}, seed {seed} of {self.seeds}")
            run = {"outcome": training.train(resolved), **_origin(resolved), "commit": provenance.commit()}
            write_atomic(self._path(variant, seed), (json.dumps(run) + "\n").encode())
        return all(self._stored(variant, seed) for variant in self.variants for seed in range(self.seeds))

    def _path(self, variant: Variant, seed: int) -> Path:
        return self.folder / f"{variant.name}-seed{seed}.json"

    def _stored(self, variant: Variant, seed: int) -> dict[str, Any] | None:
        return self._found(variant, seed, variant.resolved(self.experiment, self.settings, seed))

    def _found(self, variant: Variant, seed: int, resolved: Experiment) -> dict[str, Any] | None:
        try:
            run: dict[str, Any] = json.loads(self._path(variant, seed).read_text(encoding="utf-8"))
            same = {key: run[key] for key in _origin(resolved)} == _origin(resolved)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # none, or not one of ours: it is made again
        return run if same else None

    def outcomes(self) -> tuple[list[dict[str, dict[str, Any]]], list[str]]:
        """Outcomes by seed and variant, and the commits that they were made with."""
        runs = [{v.name: self._stored(v, seed) or {} for v in self.variants} for seed in range(self.seeds)]
        commits = sorted({run["commit"] for of_seed in runs for run in of_seed.values()})
        return [{name: run["outcome"] for name, run in of_seed.items()} for of_seed in runs], commits

    def clear(self) -> None:
        """Remove the files, and the folder where nothing else is in it."""
        for variant in self.variants:
            for seed in range(self.seeds):
                self._path(variant, seed).unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _origin(resolved: Experiment) -> dict[str, str]:
    return {"config_sha256": resolved.sha256, "version": provenance.version()}
