"""What a row is compared with: the transforms or products it cannot avoid, and what one would use without physics.

Everything here is plain NumPy, SciPy or scikit-learn (and ducc0 where installed), on arrays made beforehand.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim.rng import stream

Call = Callable[[], object]
Shape = tuple[int, int]

_SKLEARN_FIT_S = 20.0
_GEMM_BYTES, _STACK_BYTES = 2**30, 2**22


def memory_bytes() -> int:
    """Physical memory of this computer."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def products(
    x: NDArray[np.float32],
    patterns: NDArray[Any],
    n_out: int,
    *,
    intensity: bool,
    floor: bool,
    memory: int | None = None,
) -> dict[str, Call]:
    """Matrix products and scikit-learn's projection, by name, where they fit in a quarter of the memory.

    Parameters
    ----------
    x : float32 [vector, input]
        What the caller gives.
    patterns : binary [pattern, input]
        What the DMD shows for it.
    n_out : int
    intensity : bool
        Whether the row's result is |T b|^2 and not a real projection.
    floor : bool
        Take "gemm" block by block, with one block of outputs for all, where the whole matrix does not fit.
    memory : int, optional
        Bytes; this computer's without it.
    """
    n_in, quarter = x.shape[1], (memory or memory_bytes()) // 4
    fits = 8 * n_in * n_out <= quarter
    if not (fits or floor):
        return {}
    block = n_out if fits else max(min(quarter, _GEMM_BYTES) // (8 * n_in), 1)
    re, im = stream(1, "baselines.matrix").standard_normal((2, n_in, block), dtype=np.float32)
    shown = patterns.astype(np.float32)
    product = np.empty((len(shown), block), dtype=np.float32)

    def gemm() -> None:
        for start in range(0, n_out, block):
            width = min(block, n_out - start)
            for part in (re, im):
                np.matmul(shown, part[:, :width], out=product[:, :width])

    calls: dict[str, Call] = {"gemm": gemm}
    if fits:
        calls["numpy"] = (lambda: (x @ re) ** 2 + (x @ im) ** 2) if intensity else (lambda: x @ re)
    if 12 * n_in * n_out <= quarter and (transform := _sklearn(x, n_out)) is not None:
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


def transforms(hops: Sequence[Shape], patterns: int, hologram: tuple[Shape, int] | None) -> dict[str, Call]:
    """Plain FFTs of a wave-optics row, by library ("scipy", and "ducc0" where installed), all threads.

    Parameters
    ----------
    hops : sequence of (rows, columns)
        Plane of each hop, complex64: one transform a hop and pattern, in place, nothing pruned.
    patterns : int
    hologram : ((rows, columns), pixels a mode), optional
        Sensor region of off-axis holography: adds to each pattern an inverse transform of these pixels (modes to
        pixels), one of the real frame, and an inverse one of the side band (pixels to modes).
    """
    libraries = {"scipy": _Scipy()} | ({"ducc0": _Ducc()} if find_spec("ducc0") else {})
    return {name: _pipeline(library, hops, patterns, hologram) for name, library in libraries.items()}


def _pipeline(
    library: _Scipy | _Ducc, hops: Sequence[Shape], patterns: int, hologram: tuple[Shape, int] | None
) -> Call:
    planes = [_planes(shape, patterns) for shape in hops]
    inverse: list[NDArray[np.complex64]] = []
    frames = np.empty((0, 0, 0), dtype=np.float32)
    if hologram is not None:
        (rows, columns), per_mode = hologram
        inverse = [_planes((rows, columns), patterns), _planes((rows // per_mode, columns // per_mode), patterns)]
        frames = np.ascontiguousarray(inverse[0].real)

    def run() -> None:
        for stack in planes:
            for start in range(0, patterns, len(stack)):
                library.forward(stack[: patterns - start])
        for stack in inverse:
            for start in range(0, patterns, len(stack)):
                library.inverse(stack[: patterns - start])
        for start in range(0, patterns, max(len(frames), 1)) if hologram else ():
            library.real(frames[: patterns - start])

    return run


def _planes(shape: Shape, patterns: int) -> NDArray[np.complex64]:
    """Planes transformed by one call: a few MiB of them, which stay in the cache, but at least one."""
    planes = min(patterns, max(_STACK_BYTES // (8 * math.prod(shape)), 1))
    parts = stream(2, "baselines.planes").standard_normal((planes, *shape, 2), dtype=np.float32)
    return parts.view(np.complex64)[..., 0]


class _Scipy:
    """Transforms by scipy.fft; orthonormal ones, which can be repeated in place for ever."""

    def __init__(self) -> None:
        import scipy.fft

        self._fft: Any = scipy.fft
        self._keys = {"axes": (1, 2), "norm": "ortho", "workers": threads()}

    def forward(self, planes: NDArray[np.complex64]) -> None:
        self._fft.fft2(planes, overwrite_x=True, **self._keys)

    def inverse(self, planes: NDArray[np.complex64]) -> None:
        self._fft.ifft2(planes, overwrite_x=True, **self._keys)

    def real(self, frames: NDArray[np.float32]) -> None:
        self._fft.rfft2(frames, **self._keys)


class _Ducc:
    """Transforms by ducc0, in place (real ones into memory of their own)."""

    def __init__(self) -> None:
        self._fft: Any = import_module("ducc0").fft
        self._keys = {"axes": (1, 2), "inorm": 1, "nthreads": threads()}

    def forward(self, planes: NDArray[np.complex64]) -> None:
        self._fft.c2c(planes, out=planes, **self._keys)

    def inverse(self, planes: NDArray[np.complex64]) -> None:
        self._fft.c2c(planes, out=planes, forward=False, **self._keys)

    def real(self, frames: NDArray[np.float32]) -> None:
        self._fft.r2c(frames, **self._keys)


def threads() -> int:
    """Threads of this process's kernels."""
    import numba

    return int(numba.get_num_threads())


def alternate(
    calls: Mapping[str, Call], budget_s: float, min_rounds: int, *, long_s: float = 0.5, pause_s: float = 0.03
) -> dict[str, list[float]]:
    """Seconds of each call, in rounds that take all of them in turn, so that a drifting clock hits all alike.

    A turn is a pause, an untimed call and a timed one: idle BLAS and OpenMP threads spin on for some 25 ms. A call of
    more than `long_s` goes untimed in the first round alone. Rounds go on for `budget_s` [s] and until there are
    `min_rounds`, of which 3 are enough when they have taken ten times the budget.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for rounds in range(100):
        spent = time.perf_counter() - begin
        if spent > (budget_s if rounds >= min_rounds else 10 * budget_s if rounds >= 3 else math.inf):
            break
        for name, call in calls.items():
            time.sleep(pause_s)
            if not seconds[name] or seconds[name][-1] < long_s:
                call()
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds
