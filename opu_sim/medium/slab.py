"""Scattering slab as thin random phase screens with free space behind each, from the field of the DMD to the outputs.

Light falls on the first screen; a field at the output plane is H P_K ... H P_1 u, with P the screens and H the hops
(`angular_spectrum.hop`), all unitary. The cost of a pattern is 2 K Fourier transforms of the grid, n log n.

What it takes for a matrix like that of a thick slab (independent Gaussian entries): screens of more than a turn of
phase, three of them or more, and gap x scattering angle no less than the half-width of the lit square. One screen
alone is a lens with scratches: the field it makes is shifted, not changed, by a tilt (`memory_effect`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from opu_sim.cards import MediumCard
from opu_sim.errors import DeviceError
from opu_sim.medium.angular_spectrum import hop, hop_phases
from opu_sim.medium.screens import PhaseScreens
from opu_sim.medium.transmission import Field, Patterns, block_by_columns, checked_illumination, is_binary, whole_matrix
from opu_sim.rng import stream

_NORMALISATION_PATTERNS = 16


class SlabMedium:
    """Medium of phase screens. T depends on n_in, since more inputs means smaller macropixels.

    The inputs are squares side by side, row by row, on the lit square in the middle of the first screen; the outputs
    are points one grain apart (the side of a screen's cell: there the coherence of the light, which each screen
    multiplies by the autocorrelation of a cell, has fallen to zero), row by row over the middle quarter of the output
    plane. Output 0 is the second of these points, so that output -1 exists. Where the last screen is lit in its middle
    alone the grain is larger: neighbours share 0.2 % of their power behind three screens, 11 % behind two, at a gap
    of lit half-width over scattering angle.

    One constant makes the mean of |T|^2 over inputs and output points one (estimated from 16 patterns of random phase:
    to 0.25 / sqrt(points)); the speckle's envelope over the outputs is left as it is. The grid is periodic.

    Parameters
    ----------
    card : MediumCard
        kind = "slab".
    wavelength_m : float
    seed, n_in, n_outputs, first_output, illumination, mixing
        As for `StoredMedium`.

    Raises
    ------
    ConfigError
        A grid too fine for the wavelength.
    DeviceError
        More inputs than pixels in the lit square, more outputs than points.
    """

    kind = "slab"
    batch = 64  # as for wave-optics

    def __init__(
        self,
        card: MediumCard,
        wavelength_m: float,
        seed: int,
        n_in: int,
        n_outputs: int,
        first_output: int = 0,
        illumination: NDArray[np.complex64] | None = None,
        mixing: Callable[[float], float] | None = None,
    ) -> None:
        self.screens, gap, correlation, self.pixels, pitch, lit = card.slab
        self.n_in, self.n_outputs, self.first_output = n_in, n_outputs, first_output
        self._phases = hop_phases(self.pixels, pitch * 1e-6, wavelength_m, gap * 1e-6)
        self._factors = checked_illumination(illumination, n_in)
        self._seed = seed
        self._cell = round(correlation / pitch)
        self._lay_out_inputs(int(lit / pitch * (1.0 + 1e-12)))
        points = self._lay_out_outputs()

        cells = math.ceil(self.pixels / self._cell)
        self._screens = PhaseScreens(seed, [(cells, cells)] * self.screens, card.drift_time_s, mixing)
        self.step_s = self._screens.step_s
        self._masks = self._transmissions()
        self._scale = self._normalisation(points)

    def _lay_out_inputs(self, lit: int) -> None:
        side = math.isqrt(self.n_in - 1) + 1
        if side > lit:
            raise DeviceError(
                f"n_in = {self.n_in}: the lit square of {lit} x {lit} grid pixels shows at most {lit * lit} inputs"
            )
        self._side = side
        self.macropixel = lit // side
        """Side of an input in grid pixels."""
        self._corner = (self.pixels - side * self.macropixel) // 2

    def _lay_out_outputs(self) -> NDArray[np.int64]:
        across = self.pixels // 2 // self._cell
        first = (self.pixels - across * self._cell) // 2
        line = first + self._cell * np.arange(across)
        points = (line[:, None] * self.pixels + line[None, :]).ravel()
        start = self.first_output + 1  # output -1 has to exist as a neighbour
        if start + self.n_outputs > len(points):
            raise DeviceError(
                f"n_out = {self.first_output + self.n_outputs}: outputs one grain ({self._cell} grid pixels) apart "
                f"leave {len(points) - 1} in the middle of {self.pixels} x {self.pixels} pixels; "
                "a larger medium.grid_pixels makes room"
            )
        self._points = points[start : start + self.n_outputs]
        return points

    def _transmissions(self) -> list[NDArray[np.complex64]]:
        """Complex transmission [row, column] of each screen."""
        cell, n = self._cell, self.pixels
        return [
            np.exp(1j * phase).astype(np.complex64).repeat(cell, axis=0).repeat(cell, axis=1)[:n, :n]
            for phase in self._screens.phases()
        ]

    def move_to(self, step: int) -> None:
        """Let the screens be those of knot `step`."""
        if self._screens.move_to(step):
            self._masks = self._transmissions()

    def transmit(self, plane: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Field [row, column] at the output plane of a field on the first screen; the power is the same."""
        field = np.array(plane, dtype=np.complex64)
        for mask in self._masks:
            field *= mask
            field = hop(field, self._phases)
        return field

    def input_plane(self, inputs: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Field [row, column] on the first screen of complex inputs [n_in], each spread over its macropixel."""
        side, size = self._side, self.macropixel
        square = np.zeros(side * side, dtype=np.complex64)
        square[: self.n_in] = inputs
        plane = np.zeros((self.pixels, self.pixels), dtype=np.complex64)
        lit = slice(self._corner, self._corner + side * size)
        plane[lit, lit] = square.reshape(side, side).repeat(size, axis=0).repeat(size, axis=1)
        return plane

    def _at_points(self, inputs: NDArray[np.complex64], points: NDArray[np.int64]) -> NDArray[np.complex64]:
        """Fields [pattern, point] of inputs [pattern, input]; each thread takes whole patterns."""
        out = np.empty((len(inputs), len(points)), dtype=np.complex64)

        def fill(pattern: int) -> None:
            out[pattern] = self.transmit(self.input_plane(inputs[pattern])).ravel()[points]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, range(len(inputs))))
        return out

    def _normalisation(self, points: NDArray[np.int64]) -> float:
        turns = stream(self._seed, "medium.normalisation").uniform(0.0, 1.0, (_NORMALISATION_PATTERNS, self.n_in))
        fields = self._at_points(np.exp(2j * np.pi * turns).astype(np.complex64), points)
        return float((np.mean(np.abs(fields) ** 2, dtype=np.float64) / self.n_in) ** -0.5)

    def propagate(self, patterns: Patterns) -> Field:
        """T b, float32 [pattern, output]; in single precision, to about 1e-6 of the pattern's mean field.

        Parameters
        ----------
        patterns : uint8, float or complex [pattern, input]

        Raises
        ------
        ValueError
            Another dtype, or amplitudes that are not finite.
        """
        if not is_binary(patterns) and not np.isfinite(patterns).all():
            raise ValueError("patterns: amplitudes must be finite")
        inputs = patterns.astype(np.complex64)
        if self._factors is not None:
            inputs *= self._factors
        return self._scaled(self._at_points(inputs, self._points))

    def _scaled(self, fields: NDArray[np.complex64]) -> Field:
        fields *= np.float32(self._scale)
        return np.ascontiguousarray(fields.real), np.ascontiguousarray(fields.imag)

    def column(self, index: int) -> Field:
        """Response [1, output] of a source outside the lit square with the power of an input.

        The sources are squares of an input's size (at most a sixteenth of the grid), row by row upwards from the lit
        square and round the periodic grid to below it.

        Raises
        ------
        DeviceError
            More sources than fit.
        """
        size = min(self.macropixel, self.pixels // 16)
        places = self.pixels // size
        rows = (self.pixels - self._side * self.macropixel) // size
        if not 0 <= index < places * rows:
            raise DeviceError(f"source {index} beside the inputs: the grid has room for {places * rows}")
        up, along = divmod(index, places)
        square = np.arange(size)
        row = (self._corner - (up + 1) * size + square) % self.pixels
        column = (self._corner + along * size + square) % self.pixels
        plane = np.zeros((self.pixels, self.pixels), dtype=np.complex64)
        plane[np.ix_(row, column)] = self.macropixel / size
        return self._scaled(self.transmit(plane).ravel()[None, self._points])

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
