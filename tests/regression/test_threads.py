"""New processes with one thread and with two give the same numbers to the last bit: kernels, transforms and BLAS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Shapes: several chunks of outputs and an odd rest; one plane for each thread and, beyond 2^20 cells, one for all.
DIGESTS = """
import hashlib, json, sys
import numba
import numpy as np
from opu_sim import load_device

seed, found = int(sys.argv[1]), {"threads": numba.get_num_threads()}
def digest(name, call, n_in, n_out, vectors, **overrides):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (vectors, n_in)) if call == "intensity" else rng.integers(-1, 2, (vectors, n_in)) * 1.0
    with load_device(name, n_in=n_in, n_out=n_out, seed=seed, **overrides) as device:
        answer = getattr(device, call)(x)
    key = f"{name} {call} {n_in} {n_out} {overrides}"
    found[key] = hashlib.sha256(np.ascontiguousarray(answer).tobytes()).hexdigest()

for kind in ("stored", "streamed", "wave-optics"):
    for name in ("lighton-aurora", "light-in-the-loop"):
        digest(name, "project", 300, 3001, 7, **{"medium.kind": kind})
        digest(name, "intensity", 300, 3001, 7, **{"medium.kind": kind})
    digest("lighton-aurora", "intensity", 200, 40_001, 2, **{"medium.kind": kind})
digest("lighton-aurora", "intensity", 250_000, 40_000, 2, **{"medium.kind": "wave-optics"})
print(json.dumps(found))
"""


def digests(threads: int, seed: int = 0) -> dict[str, Any]:
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, str(seed)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("threads") == threads
    return found


@pytest.fixture(scope="module")
def one_thread() -> dict[str, Any]:
    return digests(1)


def test_two_threads_give_the_numbers_of_one(one_thread: dict[str, Any]) -> None:
    assert len(one_thread) == 16
    assert digests(2) == one_thread


def test_media_and_seeds_differ(one_thread: dict[str, Any]) -> None:
    """Control: digests tell numbers apart; stored and streamed entries are the same, wave optics' are not."""
    waves = [value for key, value in one_thread.items() if "wave-optics" in key]
    stored = [value for key, value in one_thread.items() if "stored" in key]
    streamed = [value for key, value in one_thread.items() if "streamed" in key]
    assert stored == streamed
    assert len({*waves, *stored}) == len(waves) + len(stored) == 11
    assert not set(digests(1, seed=1).values()) & set(one_thread.values())
