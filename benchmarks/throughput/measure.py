"""Throughput: host and device seconds a projection over shapes, beside the floor and what one would use instead.

`measure` takes the rows of `throughput_cases`, each in a fresh process (`throughput_row`), the time to a first result
(`start_up`), and fits how cost grows with size: the JSON document of `opu bench throughput`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.throughput import baselines, start_up
from benchmarks.throughput.cases import DEVICES, ONE_THREAD, Case, cases
from benchmarks.throughput.row import measure_row
from dfa import provenance
from opu_sim import DeviceError

CONVENTIONS = (
    "One op is one multiplication or one addition; a projection of one vector is 2 n_in n_out ops. "
    "host_s: wall clock of this program, median and [min, max] of repeated batches after a warm-up. "
    "device_s: simulated clock of the device (frames and pass latency); never added to host_s. device_frames_s: "
    "without the latency, as in an endless pass; a call of one vector pays for a pass of its own. "
    "simulated_teraops: 2 n_in n_out over host_s. optical_teraops: 2 mirrors used x pixels read x frames over host_s, "
    "the convention of the published 1500 TeraOPS; the simulator makes one field an input and an output, not a mirror "
    "and a pixel, so that only a full frame earns it. "
    "floor_kind gemm (stored and streamed media): two float32 products of the batch's binary patterns with Re T and "
    "Im T, NumPy, same process, in turns with the device; where T does not fit in a quarter of the memory, a block of "
    "its outputs again and again. The mode rung multiplies by one real matrix, a streamed medium reads none in memory: "
    "either may be below it, the latter for few patterns. "
    "floor_kind fft (wave-optics): plain complex64 transforms in place, nothing pruned, by the library in use "
    "(fft_library) with all threads: one 2-D transform a hop and pattern propagated (anchor frames show two patterns, "
    "of which one is propagated), planes as in hops; off-axis adds, a frame, what a pipeline of FFTs needs between "
    "modes and pixels: one inverse transform of the sensor region's pixels, one of the real frame, one inverse of the "
    "side band (the simulator multiplies small tiles instead). fft_s_per_projection: the same by each library "
    "installed. ratio_to_floor: of the medians; its spread: [min, max] of the pairs taken in one turn. "
    "gemm: the two products, where T fits. "
    "numpy: two products and the modulus squared for intensity, one real product for a linear projection. "
    "sklearn: GaussianRandomProjection.transform, one real product whatever the recovery. "
    "peak_rss: of the process after two batches, before the baselines; imports_rss: before the device. "
    "memory_over_frames (full frames): memory held after 10 and after 110 frames. "
    "BLAS: as in a program that imports opu_sim before NumPy (idle threads spin for 2^24 cycles), for device and "
    "baselines alike. "
    "first_call: build, calibrate, compile or load the kernels, and the first batch; no imports. build: its part up to "
    "the open device. "
    "one_thread_s_per_projection: again in a fresh process whose kernels, transforms and BLAS have one thread; "
    "speed_up_from_threads: over host_s. "
    "growth: slope of log host_s_per_projection against log n_out over the wave-optics intensity rows of "
    "lighton-full-frame, in which n_in = min(n_out, 1039680) grows along, beside the slopes of n log n with n = n_out "
    "and of the rows' floors over the same sizes; mean_size: the same with n = (n_in + n_out) / 2, which the planes "
    "follow; growth_exponent is that of the host against n_out, null below three rows. "
    "growth_exponents: the same for the pixel rows with a stored medium of a recovery with n_in = n_out. "
    "startup_s: from the start of a new process to the first projection (10 -> 2048, lighton-aurora) with the kernels "
    "cached on disk, median; cold_start_s: once with an empty cache, all kernels on the way compiled."
)


def measure(quick: bool = False, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Rows of all cases, one process each, start-up and growth: the JSON document of `opu bench throughput`.

    Parameters
    ----------
    quick : bool
        The few smallest rows with few repeats; no cold start.
    progress : callable, optional
        Called with a line of text before each row.
    """
    origin = provenance.collect(started_at=provenance.now())
    load_average = os.getloadavg()[0]
    starts = start_up.measure(1 if quick else 7, cold=not quick, progress=progress)
    rows, skipped = [], []
    for case in cases(quick):
        if progress is not None:
            progress(str(case))
        try:
            rows.append(_with_one_thread(case, *((1.0, 3) if quick else (6.0, 5)), again=not quick))
        except DeviceError as error:
            skipped.append({"row": str(case), "reason": str(error)})
    waves = growth(rows)
    exponents = {recovery: growth_exponent(rows, recovery) for recovery in DEVICES}
    return {
        **origin,
        "load_average": load_average,
        "quick": quick,
        "conventions": CONVENTIONS,
        **starts,
        "rows": rows,
        "skipped": skipped,
        "growth": waves,
        "growth_exponent": waves and waves["exponent"],
        "growth_exponents": exponents,
    }


def _with_one_thread(case: Case, budget_s: float, min_rounds: int, *, again: bool) -> dict[str, Any]:
    """The row, and its time with one thread where `ONE_THREAD` asks for it and there are more."""
    row = measure_row(case, budget_s, min_rounds)
    one: float | None = None
    if again and case in ONE_THREAD and baselines.threads() > 1:
        one = measure_row(case, budget_s, min_rounds, threads=1)["host_s_per_projection"]
    speed_up = one and one / row["host_s_per_projection"]
    return row | {"one_thread_s_per_projection": one, "speed_up_from_threads": speed_up}


def growth(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How the wave-optics medium's cost grows with n_out over the intensity rows of one card; None below three.

    `exponent` is the slope of log host time against log n_out, `floor_exponent` that of the floor, and
    `n_log_n_exponent` that of n log n with n = n_out, all by least squares over the same sizes; `mean_size_exponent`
    and `mean_size_n_log_n_exponent` are the slopes against n = (n_in + n_out) / 2.
    """
    waves = [row for row in rows if row["medium"] == "wave-optics" and row["recovery"] == "intensity"]
    waves = sorted((row for row in waves if row["device"] == "lighton-full-frame"), key=lambda row: int(row["n_out"]))
    if len(waves) < 3:
        return None
    n = np.array([row["n_out"] for row in waves], dtype=np.float64)
    mean = np.array([0.5 * (row["n_in"] + row["n_out"]) for row in waves])
    host, floor = ([float(row[key]) for row in waves] for key in ("host_s_per_projection", "floor_s_per_projection"))
    return {
        "medium": "wave-optics",
        "recovery": "intensity",
        "n_in": [row["n_in"] for row in waves],
        "n_out": [row["n_out"] for row in waves],
        "host_s_per_projection": host,
        "exponent": _slope(n, host),
        "floor_exponent": _slope(n, floor),
        "n_log_n_exponent": _slope(n, n * np.log(n)),
        "mean_size_exponent": _slope(mean, host),
        "mean_size_n_log_n_exponent": _slope(mean, mean * np.log(mean)),
    }


def growth_exponent(rows: Sequence[Mapping[str, Any]], recovery: str) -> float | None:
    """Slope of log host time against log n_out, stored pixel rows of one recovery with n_in = n_out.

    None below three.
    """
    pixel = [row for row in rows if row["recovery"] == recovery and row["fidelity"] == "pixel"]
    square = [row for row in pixel if row["n_in"] == row["n_out"] and row["medium"] == "stored"]
    if len(square) < 3:
        return None
    return _slope([row["n_out"] for row in square], [row["host_s_per_projection"] for row in square])


def _slope(x: Any, y: Any) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
