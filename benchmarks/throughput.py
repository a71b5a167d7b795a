"""Throughput: host and device seconds per projection over shapes, beside plain NumPy and scikit-learn.

`measure` starts a fresh process for each row (`python -m benchmarks.throughput --row JSON`), so that a row's
peak memory is its own and its first call is really the first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from dfa import provenance
from opu_sim import DeviceError, Ledger, Opu, load_device

DEVICES = {"intensity": "lighton-aurora", "anchor": "lighton-aurora", "off-axis": "light-in-the-loop"}
"""Device card that each recovery is measured on."""

CONVENTIONS = (
    "One op is one multiplication or one addition; a projection of one vector is 2 n_in n_out ops. "
    "host_s: wall clock of this program, median and [min, max] of repeated batches after a warm-up. "
    "device_s: simulated clock of the device (frames and pass latency); never added to host_s. "
    "floor: the two float32 products of the batch's binary patterns with Re T and Im T, NumPy, same process; the mode "
    "rung multiplies by one real matrix, and may be below it. "
    "numpy: two products and the modulus squared for intensity, one real product for a linear projection. "
    "sklearn: GaussianRandomProjection.transform, one real product whatever the recovery. "
    "peak_rss: of the process after two batches, before the baselines; imports_rss: before the device. "
    "first_call: build, calibrate, compile or load the kernels, and the first batch; no imports. "
    "growth_exponents: slope of log host_s_per_projection against log n_out over the pixel rows of a recovery with "
    "n_in = n_out, null below three; growth_exponent is that of anchor recovery."
)

_SKLEARN_FIT_S, _MAX_ROUNDS, _PAUSE_S = 20.0, 100, 0.03

Call = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A row to measure. Intensity takes binary inputs, the linear recoveries ternary ones."""

    n_in: int
    n_out: int
    batch: int
    recovery: str
    fidelity: str = "pixel"

    @property
    def input(self) -> str:
        """Kind of input vectors."""
        return "binary" if self.recovery == "intensity" else "ternary"

    def __str__(self) -> str:
        return f"{self.n_in} -> {self.n_out}, batch {self.batch}, {self.recovery}, {self.fidelity}"

    def vectors(self) -> NDArray[Any]:
        """Batch: uint8 in {0, 1} or float32 in {-1, 0, 1}, a third of them ON or +1."""
        ternary = np.random.default_rng(0).integers(-1, 2, (self.batch, self.n_in))
        return (ternary > 0).astype(np.uint8) if self.input == "binary" else ternary.astype(np.float32)


def cases(quick: bool) -> list[Case]:
    """Rows that `measure` takes, smallest first."""
    ten = [Case(10, 2048, 128, recovery) for recovery in ("anchor", "off-axis")]
    small = [*ten, Case(1000, 1000, 256, "intensity")]
    if quick:
        return small
    sizes = ((1000, 256), (3000, 256), (10000, 100))
    square = [Case(n, n, batch, recovery) for n, batch in sizes for recovery in DEVICES]
    mnist = [Case(784, 10000, 1000, "intensity"), Case(784, 10000, 1000, "anchor")]
    linear = [case for case in (*ten, *square) if case.recovery != "intensity" and case.n_out < 10_000]
    modes = [replace(case, fidelity="mode") for case in linear]
    order = attrgetter("n_out", "n_in", "recovery", "fidelity")
    return sorted({*small, *square, *mnist, *modes}, key=lambda case: (case.n_in * case.n_out, *order(case)))


def measure(quick: bool = False, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Rows of all cases, one process each: the JSON document of `opu bench throughput`.

    Parameters
    ----------
    quick : bool
        The three smallest rows with few repeats.
    progress : callable, optional
        Called with a line of text before each row.
    """
    origin = provenance.collect(started_at=provenance.now())
    load_average = os.getloadavg()[0]
    rows, skipped = [], []
    for case in cases(quick):
        if progress is not None:
            progress(str(case))
        try:
            rows.append(measure_row(case, *((1.5, 3) if quick else (6.0, 5))))
        except DeviceError as error:
            skipped.append({"row": str(case), "reason": str(error)})
    exponents = {recovery: growth_exponent(rows, recovery) for recovery in DEVICES}
    return {
        **origin,
        "load_average": load_average,
        "quick": quick,
        "conventions": CONVENTIONS,
        "rows": rows,
        "skipped": skipped,
        "growth_exponent": exponents["anchor"],
        "growth_exponents": exponents,
    }


def measure_row(case: Case, budget_s: float, min_rounds: int) -> dict[str, Any]:
    """Row measured in a fresh process: rounds for `budget_s` [s], but at least `min_rounds`.

    Raises
    ------
    DeviceError
        The device does not fit on this computer.
    """
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(numba.get_num_threads()))}
    # The baselines get BLAS as a user's NumPy has it, not with the short thread timeout of the command line.
    environment.pop("OPENBLAS_THREAD_TIMEOUT", None)
    job = json.dumps({"case": asdict(case), "budget_s": budget_s, "min_rounds": min_rounds})
    command = [sys.executable, "-m", "benchmarks.throughput", "--row", job]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{case}: the row's process ended with {done.returncode}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "refused" in answer:
        raise DeviceError(answer["refused"])
    return answer


def growth_exponent(rows: Sequence[Mapping[str, Any]], recovery: str) -> float | None:
    """Slope of log host time against log n_out, rows of one recovery with n_in = n_out; None below three."""
    pixel = [row for row in rows if row["recovery"] == recovery and row["fidelity"] == "pixel"]
    square = [row for row in pixel if row["n_in"] == row["n_out"]]
    if len(square) < 3:
        return None
    size, seconds = np.log([(row["n_out"], row["host_s_per_projection"]) for row in square]).T
    return float(np.polyfit(size, seconds, 1)[0])


def _row(case: Case, budget_s: float, min_rounds: int) -> dict[str, Any]:
    """Measure in this process, which should be fresh."""
    imports = provenance.peak_rss_bytes()
    x = case.vectors()
    start = time.perf_counter()
    keys: dict[str, Any] = {"fidelity": case.fidelity}
    device = cast(Opu, load_device(DEVICES[case.recovery], n_in=case.n_in, n_out=case.n_out, seed=0, **keys))
    with device:
        simulate = device.intensity if case.recovery == "intensity" else device.project
        simulate(x)
        first_call_s = time.perf_counter() - start
        simulate(x)
        peak = provenance.peak_rss_bytes()
        patterns = x if case.input == "binary" else device.arm.dmd.encode(x).patterns
        calls: dict[str, Call] = {"host": lambda: simulate(x)}
        calls |= _baselines(case, x.astype(np.float32), patterns.astype(np.float32))
        device.ledger.restore(Ledger().state())  # calibration is not a projection
        seconds = _alternate(calls, budget_s, min_rounds)
    host = np.array(seconds["host"]) / case.batch
    median = {name: float(np.median(values)) / case.batch for name, values in seconds.items()}
    return {
        **asdict(case),
        "input": case.input,
        "medium": device.card.medium.kind,
        "device": device.name,
        "threads": numba.get_num_threads(),
        "repeats": len(host),
        "host_s_per_projection": median["host"],
        "host_s_spread": [float(host.min()), float(host.max())],
        "device_s_per_projection": device.ledger.device_s / device.ledger.projections,
        "simulated_teraops": 2e-12 * case.n_in * case.n_out / median["host"],
        "peak_rss_bytes": peak,
        "imports_rss_bytes": imports,
        "floor_s_per_projection": median["floor"],
        "ratio_to_floor": median["host"] / median["floor"],
        "numpy_s_per_projection": median.get("numpy"),
        "sklearn_s_per_projection": median.get("sklearn"),
        "first_call_s": first_call_s,
    }


def _baselines(case: Case, x: NDArray[np.float32], patterns: NDArray[np.float32]) -> dict[str, Call]:
    """Floor; NumPy and scikit-learn where they fit in a quarter of the memory."""
    quarter = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    block = max(min(case.n_out, quarter // (8 * case.n_in)), 1)
    re, im = np.random.default_rng(1).standard_normal((2, case.n_in, block), dtype=np.float32)
    product = np.empty((len(patterns), block), dtype=np.float32)

    def floor() -> None:
        for start in range(0, case.n_out, block):
            width = min(block, case.n_out - start)
            for part in (re, im):
                np.matmul(patterns, part[:, :width], out=product[:, :width])

    calls: dict[str, Call] = {"floor": floor}
    if block == case.n_out:
        intensity = case.recovery == "intensity"
        calls["numpy"] = (lambda: (x @ re) ** 2 + (x @ im) ** 2) if intensity else (lambda: x @ re)
    if 12 * case.n_in * case.n_out <= quarter and (transform := _sklearn(x, case.n_out)) is not None:
        calls["sklearn"] = transform
    return calls


def _sklearn(x: NDArray[np.float32], n_out: int) -> Call | None:
    """`transform` of a fitted projection; None where the fit would take long, by a fit of a few outputs."""
    from sklearn.exceptions import DataDimensionalityWarning
    from sklearn.random_projection import GaussianRandomProjection

    warnings.simplefilter("ignore", DataDimensionalityWarning)
    some = min(n_out, max(1, 2**21 // x.shape[1]))
    for outputs in (1, some):  # the first fit pays for the imports
        start = time.perf_counter()
        GaussianRandomProjection(n_components=outputs, random_state=0).fit(x)
    if (time.perf_counter() - start) * n_out / some > _SKLEARN_FIT_S:
        return None
    fitted = GaussianRandomProjection(n_components=n_out, random_state=0).fit(x)
    return lambda: fitted.transform(x)


def _alternate(calls: Mapping[str, Call], budget_s: float, min_rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, in rounds that take all of them in turn, so that a drifting clock hits all alike.

    A turn is a pause, an untimed call and a timed one: idle BLAS and OpenMP threads spin on for some 25 ms.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for rounds in range(_MAX_ROUNDS):
        if rounds >= min_rounds and time.perf_counter() - begin > budget_s:
            break
        for name, call in calls.items():
            time.sleep(_PAUSE_S)
            call()
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _main(job: str) -> None:
    row = json.loads(job)
    try:
        answer = _row(Case(**row.pop("case")), **row)
    except DeviceError as error:
        answer = {"refused": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main(sys.argv[sys.argv.index("--row") + 1])
