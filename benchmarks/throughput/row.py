"""One row of the throughput benchmark, measured in a fresh process: `python -m benchmarks.throughput.row JSON`.

So a row's peak memory is its own, its first call is really the first, and its threads are those that it was given.
"""

from __future__ import annotations

import opu_sim  # noqa: F401  # isort: skip  # before NumPy: it says how long idle BLAS threads may spin

import json
import math
import os
import subprocess
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput import baselines
from benchmarks.throughput.cases import Case
from dfa import provenance
from opu_sim import DeviceError, DeviceWarning, Ledger, Opu, load_device
from opu_sim.fft import LIBRARY
from opu_sim.medium import WaveOpticsMedium
from opu_sim.recovery import OffAxisRecovery

FEW_FRAMES, MANY_FRAMES = 10, 110
"""Frames after which the memory of a full-frame row is read, to see whether it grows."""


def measure_row(case: Case, budget_s: float, min_rounds: int, threads: int | None = None) -> dict[str, Any]:
    """Row measured in a fresh process.

    Parameters
    ----------
    case : Case
    budget_s, min_rounds : float, int
        Rounds as in `baselines.alternate`.
    threads : int, optional
        Of kernels, transforms and BLAS; as many as here without it. If given, only the device is timed, and the row
        holds `threads` and `host_s_per_projection` alone.

    Raises
    ------
    DeviceError
        The device does not fit on this computer.
    """
    job = {"case": asdict(case), "budget_s": budget_s, "min_rounds": min_rounds, "bare": threads is not None}
    command = [sys.executable, "-m", "benchmarks.throughput.row", json.dumps(job)]
    root = Path(__file__).parents[1]
    environment = fresh_environment(threads or baselines.threads())
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{case}: the row's process ended with {done.returncode}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "refused" in answer:
        raise DeviceError(answer["refused"])
    return answer


def fresh_environment(threads: int) -> dict[str, str]:
    """Environment of this process, with so many threads for everything that has threads."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    # Not the command line's own, which is for small networks: a row is what a program sees that imports opu_sim first.
    environment.pop("OPENBLAS_THREAD_TIMEOUT", None)
    return environment


def _row(case: Case, budget_s: float, min_rounds: int, bare: bool) -> dict[str, Any]:
    """Measure in this process, which should be fresh."""
    imports = provenance.peak_rss_bytes()
    x = case.vectors()
    start = time.perf_counter()
    device = cast(Opu, load_device(case.card, n_in=case.n_in, n_out=case.n_out, seed=0, **case.overrides))
    with device:
        build_s = time.perf_counter() - start
        simulate = device.intensity if case.recovery == "intensity" else device.project
        simulate(x)
        first_call_s = time.perf_counter() - start
        simulate(x)
        memory = _memory_over_frames(device, simulate, x) if case.full_frame and not bare else None
        peak = provenance.peak_rss_bytes()
        calls: dict[str, baselines.Call] = {"host": lambda: simulate(x)}
        if not bare:
            calls |= _baselines(case, device, x)
        device.restore(device.state() | {"ledger": Ledger().state()})  # calibration is not a projection
        seconds = baselines.alternate(calls, budget_s, min_rounds)
    if bare:
        host_s = float(np.median(seconds["host"])) / case.batch
        return {"threads": baselines.threads(), "host_s_per_projection": host_s}
    return {
        **asdict(case),
        "medium": device.arm.medium.kind,
        "device": device.name,
        "threads": baselines.threads(),
        **_times(case, seconds, "gemm" if _waves(device) is None else "fft"),
        **_device_figures(device, float(np.median(seconds["host"])) / case.batch),
        "peak_rss_bytes": peak,
        "imports_rss_bytes": imports,
        "memory_over_frames": memory,
        "build_s": build_s,
        "first_call_s": first_call_s,
    }


def _waves(device: Opu) -> WaveOpticsMedium | None:
    medium = device.arm.medium
    return medium if isinstance(medium, WaveOpticsMedium) else None


def _times(case: Case, seconds: dict[str, list[float]], floor_kind: str) -> dict[str, Any]:
    """Host figures, a projection; the floor is the library's in use."""
    median = {name: float(np.median(values)) / case.batch for name, values in seconds.items()}
    floor = f"fft {LIBRARY}" if floor_kind == "fft" else "gemm"
    host = np.array(seconds["host"])
    pairs = host / np.array(seconds[floor])
    libraries = {name.removeprefix("fft "): value for name, value in median.items() if name.startswith("fft ")}
    return {
        "repeats": len(host),
        "host_s_per_projection": median["host"],
        "host_s_spread": [float(host.min()) / case.batch, float(host.max()) / case.batch],
        "simulated_teraops": 2e-12 * case.n_in * case.n_out / median["host"],
        "floor_kind": floor_kind,
        "floor_s_per_projection": median[floor],
        "ratio_to_floor": median["host"] / median[floor],
        "ratio_to_floor_spread": [float(pairs.min()), float(pairs.max())],
        "fft_s_per_projection": libraries or None,
        "fft_library": LIBRARY if libraries else None,
        "gemm_s_per_projection": median.get("gemm"),
        "ratio_to_gemm": median["host"] / median["gemm"] if "gemm" in median else None,
        "numpy_s_per_projection": median.get("numpy"),
        "sklearn_s_per_projection": median.get("sklearn"),
    }


def _device_figures(device: Opu, host_s: float) -> dict[str, Any]:
    """What the simulated device did for a projection, and how fast this computer stood in for its light."""
    ledger, waves = device.ledger, _waves(device)
    return {
        "device_s_per_projection": ledger.device_s / ledger.projections,
        "device_frames_s_per_projection": (ledger.device_s - ledger.stage_s["latency"]) / ledger.projections,
        "optical_teraops": 1e-12 * ledger.ops_optical / ledger.projections / host_s,
        "frames_per_projection": ledger.frames / ledger.projections,
        "mirrors_used": device.arm.dmd.mirrors_used,
        "pixels_read": device.clock.pixels,
        "oversampling": device.card.medium.lenses[1] if waves is not None else None,
        "hops": [list(shape) for shape in waves.hops] if waves is not None else None,
    }


def _baselines(case: Case, device: Opu, x: NDArray[Any]) -> dict[str, baselines.Call]:
    patterns = x if case.recovery == "intensity" else device.arm.dmd.encode(x).patterns
    waves = _waves(device)
    calls: dict[str, baselines.Call] = {}
    if waves is not None:
        found = baselines.transforms(waves.hops, len(patterns), _hologram(device))
        calls = {f"fft {name}": call for name, call in found.items()}
    intensity = case.recovery == "intensity"
    return calls | baselines.products(
        x.astype(np.float32), patterns, case.n_out, intensity=intensity, floor=waves is None
    )


def _hologram(device: Opu) -> tuple[baselines.Shape, int] | None:
    """Rows and columns of pixels that hold an off-axis device's outputs, and pixels along a mode."""
    recovery = device.recovery
    if not isinstance(recovery, OffAxisRecovery):
        return None
    across = min(recovery.tiles, recovery.grid.columns)
    size = recovery.tile.size
    return (math.ceil(recovery.tiles / across) * size, across * size), recovery.tile.pixels_per_mode


def _memory_over_frames(device: Opu, simulate: Any, x: NDArray[Any]) -> list[dict[str, int]] | None:
    """Memory held after few and after many frames, counted from here; None where the system does not tell."""
    if not Path("/proc/self/statm").exists():
        return None
    out, before = [], device.ledger.frames
    for frames in (FEW_FRAMES, MANY_FRAMES):
        while device.ledger.frames - before < frames:
            simulate(x)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        out.append({"frames": frames, "rss_bytes": pages * os.sysconf("SC_PAGE_SIZE")})
    return out


def main(job: str) -> None:
    """Measure the row that the parent process asks for; the answer, or why there is none, on stdout as JSON."""
    row = json.loads(job)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeviceWarning)
        try:
            answer = _row(Case(**row.pop("case")), **row)
        except DeviceError as error:
            answer = {"refused": str(error)}
        answer["warnings"] = [str(entry.message) for entry in caught if issubclass(entry.category, DeviceWarning)]
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
