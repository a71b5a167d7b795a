"""Scattering medium as phase screens with lenses between them: n log n for a matrix of any size, never stored.

A lens is a Fourier transform, so that light spreads over the whole plane at every hop: DMD -> screen -> lens -> screen
-> lens -> screen with an aperture stop -> lens -> camera, for three screens. The stop lets as many modes pass as the
camera has outputs, one a speckle grain.

T = F S P_K F P_(K-1) ... F P_1 E: F unitary Fourier transforms, P screens, S the stop, E the inputs, all of them shown
several times side by side, so that they light the first plane. What that costs against independent entries:

- T is a block of a unitary matrix of N modes: `statistics.truncated_unitary_cdf` is the law of its singular values, and
  tends to Marchenko and Pastur's as N grows beyond inputs and outputs (`oversampling`).
- Behind two screens each copy of an input makes the same speckle as its neighbour's, moved by d of an output (d < 1: a
  side of the stop over that of the plane): |T|^2 of neighbours is correlated by sinc^2(d) / copies. Behind three
  screens it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.wave_optics import light_lines, pass_screen, phasors, read_outputs, turn_lines
from opu_sim.cards import MediumCard
from opu_sim.errors import DeviceError
from opu_sim.fft import fft_lines
from opu_sim.medium.planes import SOURCES, Planes
from opu_sim.medium.screens import PhaseScreens
from opu_sim.medium.transmission import (
    Field,
    Patterns,
    block_by_columns,
    checked_illumination,
    is_binary,
    refuse_what_does_not_fit,
    whole_matrix,
)

_CHUNK_CELLS = 2**16  # lines transformed at once: 512 KiB stay in a core's second-level cache
_SMALL_PLANE = 2**20  # cells; a thread takes whole patterns on planes up to this, and lines of one pattern beyond

Plane = NDArray[np.complex64]
Transform = Callable[[slice], None]


class WaveOpticsMedium:
    """Medium of screens and lenses.

    T depends on n_in and on the planes, which follow from n_in, n_outputs and the card: with another n_out all of T is
    another. E|T|^2 = 1 over the screens. Lines of a plane are transformed in place, chunk by chunk; the second half of
    a hop, the screen and the first half of the next hop are one pass over the plane, so that K hops are K + 1 passes.
    What falls on the stop is not computed.

    Parameters
    ----------
    card : MediumCard
        kind = "wave-optics".
    seed, n_in, n_outputs, first_output, illumination, drift_time_s, mixing
        As for `StoredMedium`.

    Raises
    ------
    DeviceError
        The planes and screens would take more than half of this computer's memory.
    ValueError
        An illumination of wrong shape.
    """

    kind = "wave-optics"
    batch = 64  # a pattern takes the same time in any company; few keep their fields in the cache

    def __init__(
        self,
        card: MediumCard,
        seed: int,
        n_in: int,
        n_outputs: int,
        first_output: int = 0,
        illumination: NDArray[np.complex64] | None = None,
        mixing: Callable[[float], float] | None = None,
    ) -> None:
        self.n_in, self.n_outputs, self.first_output = n_in, n_outputs, first_output
        self._factors = checked_illumination(illumination, n_in)
        self.planes = Planes.of(card, n_in, first_output + 1 + n_outputs)  # output -1 exists as a neighbour
        self._threads = numba.get_num_threads()
        self._by_pattern = self.planes.modes <= _SMALL_PLANE
        sets = self._threads if self._by_pattern else 1
        refuse_what_does_not_fit(
            n_in,
            n_outputs,
            f"light on planes of {self.planes.modes} modes",
            self.planes.bytes(sets, changes=card.drift_time_s is not None or mixing is not None),
            f"medium.oversampling below {card.lenses[1]:g} takes less, medium.kind = 'streamed' next to none",
        )
        self._screens = PhaseScreens(seed, self._shapes(), card.drift_time_s, mixing)
        self.step_s = self._screens.step_s
        self._masks = self._transmissions()
        self._pool = ThreadPoolExecutor(self._threads)
        self._memory = np.zeros((sets, 2, self.planes.modes), dtype=np.complex64)

    @property
    def hops(self) -> list[tuple[int, int]]:
        """(rows, columns) of the plane that each hop transforms; the last is the camera's."""
        return self.planes.hops

    @property
    def modes(self) -> int:
        """N, modes of a plane in front of the stop."""
        return self.planes.modes

    def _shapes(self) -> list[tuple[int, ...]]:
        """Cells of each screen: [copy, source] of the first, then as the passes meet them, [line, point]."""
        inner = [self.planes.turned(number) for number in range(1, self.planes.screens - 1)]
        return [(self.planes.copies, self.n_in + SOURCES), *inner, self.planes.stop]

    def _transmissions(self) -> list[Plane]:
        """Transmission of each screen; the first and the last carry the factors that make E|T|^2 = 1."""
        # Transforms that are not normalised: sqrt(N) each; a block of a unitary matrix has E|T|^2 = 1 / N.
        amplitudes = [1.0] * self.planes.screens
        amplitudes[0] = self.planes.copies**-0.5
        amplitudes[-1] = math.prod(math.prod(plane) ** -0.5 for plane in self.planes.hops) * self.planes.modes**0.5
        masks = []
        for phases, amplitude in zip(self._screens.phases(), amplitudes, strict=True):
            mask = np.empty(phases.shape, dtype=np.complex64)
            phasors(phases.ravel(), amplitude, mask.ravel())
            masks.append(mask)
        if self._factors is not None:
            masks[0][:, : self.n_in] *= self._factors
        return masks

    def move_to(self, step: int) -> None:
        """Let the screens be those of knot `step`."""
        if self._screens.move_to(step):
            self._masks = self._transmissions()

    def propagate(self, patterns: Patterns) -> Field:
        """T b, float32 [pattern, output]; in single precision: rms error 3e-7 of the field.

        Parameters
        ----------
        patterns : uint8, float or complex [pattern, input]

        Raises
        ------
        ValueError
            Another dtype, or amplitudes that are not finite.
        """
        if is_binary(patterns):
            return self._propagate(patterns.astype(np.uint8, copy=False))
        if not np.isfinite(patterns).all():
            raise ValueError("patterns: amplitudes must be finite")
        return self._propagate(patterns.astype(np.complex64 if np.iscomplexobj(patterns) else np.float32, copy=False))

    def _propagate(self, sources: NDArray[Any]) -> Field:
        """Fields [pattern, output] of sources [pattern, source], inputs first."""
        re = np.empty((len(sources), self.n_outputs), dtype=np.float32)
        im = np.empty_like(re)
        ways = [_Way(self._masks[0]) for _ in self._memory]
        passes = [self._passes(way, memory) for way, memory in zip(ways, self._memory, strict=True)]

        def whole_patterns(worker: int) -> None:
            for pattern in range(worker, len(sources), self._threads):
                ways[worker].lead(sources[pattern], re[pattern], im[pattern])
                for transform, chunks in passes[worker]:
                    for chunk in chunks:
                        transform(chunk)

        if self._by_pattern:
            self._share_out(whole_patterns)
            return re, im
        for pattern in range(len(sources)):
            ways[0].lead(sources[pattern], re[pattern], im[pattern])
            for transform, chunks in passes[0]:
                self._share_out(_in_turns(transform, chunks, self._threads))
        return re, im

    def _share_out(self, work: Callable[[int], None]) -> None:
        """work(0) .. work(threads - 1), each in a thread."""
        if self._threads == 1:
            work(0)
        else:
            list(self._pool.map(work, range(self._threads)))

    def _passes(self, way: _Way, memory: NDArray[np.complex64]) -> list[tuple[Transform, list[slice]]]:
        """Passes of a pattern: what to do with a chunk of lines, and the chunks, which may be taken in any order.

        Chunks are the same for any number of threads: a library may round a line otherwise among other lines.
        """
        planes, screens = self.planes, self.planes.screens
        plane = memory[0].reshape(planes.first)

        def enter(chunk: slice) -> None:
            light_lines(way.sources, way.entrance, chunk.start, plane[chunk])
            fft_lines(plane[chunk])

        lit, before = math.ceil(self._masks[0].size / planes.first[1]), plane
        passes: list[tuple[Transform, list[slice]]] = [(enter, _chunks(lit, planes.first[1]))]
        for number in range(1, screens):
            shape = planes.turned(number)
            lines, points = planes.stop if number == screens - 1 else shape
            turned = memory[number % 2].reshape(shape)
            passes.append((_scattering(before, lit, turned, self._masks[number], points), _chunks(lines, shape[1])))
            before, lit = turned, lines
        camera = memory[screens % 2][: math.prod(planes.last)].reshape(planes.last)

        def arrive(chunk: slice) -> None:
            turn_lines(before.view(np.uint64), lit, chunk.start, camera[chunk].view(np.uint64))
            fft_lines(camera[chunk])
            read_outputs(camera[chunk], chunk.start, self.first_output + 1, way.re, way.im)

        return [*passes, (arrive, _chunks(*planes.last))]

    def column(self, index: int) -> Field:
        """Response [1, output] of a source beside the inputs, with the power of an input.

        Raises
        ------
        DeviceError
            More sources than the first plane has room for.
        """
        if not 0 <= index < SOURCES:
            raise DeviceError(f"source {index} beside the inputs: the first plane has room for {SOURCES}")
        sources = np.zeros((1, self.n_in + index + 1), dtype=np.uint8)
        sources[0, -1] = 1
        return self._propagate(sources)

    def block(self, outputs: NDArray[np.integer], inputs: NDArray[np.integer]) -> NDArray[np.complex64]:
        """T [output, input] at chosen outputs and inputs; a pattern's time for each input.

        Raises
        ------
        ValueError
            Outputs or inputs that the medium does not have.
        DeviceError
            A part that takes more than half of this computer's memory.
        """
        return block_by_columns(self, outputs, inputs)

    def matrix(self) -> NDArray[np.complex64]:
        """T [output, input]; errors as of `block`."""
        return whole_matrix(self)


class _Way:
    """Where a pattern's light comes from and goes to."""

    def __init__(self, screen: Plane) -> None:
        self._screen = screen

    def lead(self, sources: NDArray[Any], re: NDArray[np.float32], im: NDArray[np.float32]) -> None:
        """From these sources, behind the first screen, to these outputs."""
        self.sources, self.entrance, self.re, self.im = sources, self._screen, re, im
        if np.iscomplexobj(sources):  # the kernel takes real ones
            self.entrance = self._screen.copy()
            self.entrance[:, : len(sources)] *= sources
            self.sources = np.ones(len(sources), dtype=np.uint8)


def _scattering(plane: Plane, lit: int, turned: Plane, mask: Plane, points: int) -> Transform:
    """Second half of a hop, a screen, first half of the next: from `lit` lines of `plane` to `points` of `turned`."""

    def scatter(chunk: slice) -> None:
        lines = turned[chunk]
        turn_lines(plane.view(np.uint64), lit, chunk.start, lines.view(np.uint64))
        fft_lines(lines)
        passed = lines[:, :points]
        pass_screen(passed, mask[chunk])
        fft_lines(passed)

    return scatter


def _in_turns(transform: Transform, chunks: list[slice], threads: int) -> Callable[[int], None]:
    """Every `threads`-th chunk."""

    def work(worker: int) -> None:
        for chunk in chunks[worker::threads]:
            transform(chunk)

    return work


def _chunks(lines: int, points: int) -> list[slice]:
    """Ranges of lines that are transformed together."""
    at_once = max(_CHUNK_CELLS // points, 1)
    return [slice(start, min(start + at_once, lines)) for start in range(0, lines, at_once)]
