"""The digital trainer beside PyTorch on the same cores: an epoch of direct feedback alignment, a Transformer's step."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks import BLAS_WAIT
from benchmarks.pytorch.case import BATCH, BLOCKS, CASES, CONTEXT, HEADS, SEQUENCES, SIZES, VOCABULARY, WIDTH
from dfa import provenance
from opu_sim.errors import ConfigError

SAMPLES, QUICK_SAMPLES = 60_000, 6_400
PAIRS, QUICK_PAIRS = 7, 3
PAUSE_S = 0.5  # after each turn: idle threads of OpenMP runtimes spin, for up to 200 ms by default, before they sleep
CONVENTIONS = (
    f"mlp: an epoch of {'-'.join(map(str, SIZES))}, samples of noise in batches of {BATCH}, float32, softmax "
    "cross-entropy, method dfa: shuffle, forward, loss and accuracy, one projection for all hidden layers, gradients, "
    "update; ours as `opu train` makes it (with the alignment once an epoch), PyTorch's written by hand under no_grad "
    "with torch.optim's fused optimizers (SGD with momentum 0.9). "
    f"transformer: a step of backpropagation, width {WIDTH}, {BLOCKS} blocks, {HEADS} heads, {SEQUENCES} sequences of "
    f"{CONTEXT} tokens, vocabulary {VOCABULARY}, Adam; PyTorch's with scaled_dot_product_attention, eager. "
    "Each side is a process of its own with as many threads as this process may use cores, its BLAS and OpenMP as its "
    "own package sets them (ours as `opu` does), and the two take turns. "
    "ours_s, pytorch_s: host wall clock, medians; ratio: ours over PyTorch's, median over the pairs of turns that "
    "follow each other, with its quartiles; pass: ratio at most allowed."
)


def measure(quick: bool = False, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """The JSON document of `opu bench pytorch`.

    quick: short epochs and few turns, to see that it works; the ratios then say little.

    Raises
    ------
    ConfigError
        PyTorch is not installed.
    """
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError("PyTorch: not installed here; `pip install torch` puts it beside this program") from None
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    started_at = provenance.now()
    rows, samples, pairs = [], QUICK_SAMPLES if quick else SAMPLES, QUICK_PAIRS if quick else PAIRS
    with _Side("ours", threads, samples) as ours, _Side("pytorch", threads, samples) as pytorch:
        for name, case in CASES.items():
            if progress is not None:
                progress(f"{name}: {pairs} pairs of turns")
            turns = np.array([[side.turn(name) / case.a_turn for side in (ours, pytorch)] for _ in range(pairs)])
            ratios = turns[:, 0] / turns[:, 1]
            rows.append(
                {
                    "case": name,
                    "unit": case.unit,
                    "ours_s": float(np.median(turns[:, 0])),
                    "pytorch_s": float(np.median(turns[:, 1])),
                    "ratio": float(np.median(ratios)),
                    "ratio_quartiles": np.quantile(ratios, [0.25, 0.75]).tolist(),
                    "pairs": pairs,
                    "allowed": case.allowed,
                    "pass": bool(np.median(ratios) <= case.allowed),
                }
            )
    return {
        "quick": quick,
        "threads": threads,
        "samples": samples,
        "pytorch": version,
        "rows": rows,
        "pass": all(row["pass"] for row in rows),
        "conventions": CONVENTIONS,
        "provenance": provenance.collect(started_at=started_at),
    }


class _Side:
    """The process of one side."""

    def __init__(self, side: str, threads: int, samples: int) -> None:
        self._own = {"OPENBLAS_THREAD_TIMEOUT": BLAS_WAIT} if side == "ours" else {}
        self._command = [sys.executable, "-m", "benchmarks.pytorch.side", side, str(threads), str(samples)]

    def __enter__(self) -> _Side:
        # Each side finds what its own libraries choose, not what this process was started with.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "OPENBLAS_"))}
        self._process = subprocess.Popen(
            self._command, env=environment | self._own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # its input is closed, and it ends

    def turn(self, name: str) -> float:
        """Seconds of a turn."""
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise RuntimeError("a side has pipes")
        requests.write(f"{name}\n")
        requests.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(self._command)} ended with status {self._process.wait()}")
        time.sleep(PAUSE_S)
        return float(answer)


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text."""
    header = ["", "ours ms", "PyTorch ms", "ratio", "quartiles", "allowed", "verdict"]
    rows = [
        [
            f"{row['case']}, {row['unit']}",
            f"{1e3 * row['ours_s']:.4g}",
            f"{1e3 * row['pytorch_s']:.4g}",
            f"{row['ratio']:.2f}",
            " to ".join(f"{value:.2f}" for value in row["ratio_quartiles"]),
            f"{row['allowed']:g}",
            "pass" if row["pass"] else "FAIL",
        ]
        for row in document["rows"]
    ]
    return header, rows
