"""Off-axis holography: the field of every mode from one frame, with a reference beam at a small angle.

The sensor is simulated pixel by pixel in tiles of 16 x 16 modes; see `tiles` for where the orders lie, `reference` for
the beam, `off_axis_noise` for the closed forms of signal-to-noise. Tiles are periodic and independent, so that the
modes of a larger device begin with those of a smaller one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.holography import demodulate_real, hologram_photons, speckle_light, structured_photons
from opu_sim._kernels.recovery import combine_fields
from opu_sim._kernels.speckle import perturb_fields
from opu_sim.camera import Camera, Counts
from opu_sim.dmd import Encoded, Patterns
from opu_sim.medium import Field
from opu_sim.output_grid import OutputGrid
from opu_sim.recovery.method import frames_at_once, patterns_at_once, vector_chunks
from opu_sim.recovery.off_axis_noise import OffAxisNoise
from opu_sim.recovery.reference import ReferenceArm
from opu_sim.recovery.tiles import MODES, HologramTile, parts
from opu_sim.rng import stream_key
from opu_sim.signal_arm import SignalArm

# Photons and counts of the frames worked on at once: they stay in the cache.
_CHUNK_BYTES = 8 * 2**20


class OffAxisRecovery:
    """One hologram a pattern; the recovered field's real part is the projection on a real Gaussian row.

    I = |r|^2 + |s|^2 + 2 Re(r* s e^{i k x}): the side band is cut from the frame's spectrum, divided by the
    pixel's transfer function and the reference amplitude, and transformed back to one sample a mode. All of it is
    linear and separable, so that a small matrix on either side of a tile does it in one go.

    With `recovery.reference_correction = "frame"` the signal's shutter is closed for as many frames as all mirrors are
    OFF, which show the reference alone, I_r. Fields are then (OA[I] - OA[I_r]) / B, with OA the steps above and B^2 the
    low-passed I_r: the static fine structure of the reference adds no bias, and its envelope does not scale the
    outputs. With "none" nothing is measured and nothing removed: fields are divided by the mean reference amplitude,
    and keep the reference's bias and the field of all mirrors OFF, so that E[project(x)] = x @ matrix().T holds only
    up to a constant times the sum of x.

    With fewer than 4 pixels a mode |s|^2 adds an error that depends on the pattern; see `snr`.

    Parameters
    ----------
    arm : SignalArm
    camera : Camera
    n_out : int
    seed : int
    reference_e : float, optional
        Mean photo-electrons a pixel of the reference arm; left out, the card's share of the full well, which
        `exposure.settled` has filled in where the user's card leaves it to the device.

    Raises
    ------
    ConfigError
        Not an integer number of pixels a mode, 2 .. 8; or no fringes left on average.
    DeviceError
        More outputs than the sensor holds.

    References
    ----------
    Launay et al., "Light-in-the-loop", arXiv 2006.01475 (off-axis holography on the OPU);
    Cuche, Marquet & Depeursinge, "Spatial filtering for zero-order and twin-image elimination in digital
    off-axis holography", Appl. Opt. 39, 4070 (2000);
    Popoff & Loquet, "How to correct for bias in off-axis holography", wavefrontshaping.net/post/id/91 (reference-only
    frames).
    """

    frames_per_pattern = 1

    def __init__(
        self, arm: SignalArm, camera: Camera, n_out: int, seed: int, *, reference_e: float | None = None
    ) -> None:
        card = arm.card
        self.arm = arm
        self.camera = camera
        self.n_out = n_out
        self.tile = HologramTile(card.medium.speckle_grain_px, card.recovery.filter_edge)
        self.grid = OutputGrid(card, n_out, self.tile.pixels_per_mode, block=MODES)
        self.tiles = self.grid.blocks
        self._corrected = card.recovery.reference_correction == "frame"
        self._averaged = card.recovery.calibration_frames if self._corrected else 0
        self.calibration_frames = 2 * self._averaged
        if reference_e is None:
            reference_e = (card.recovery.reference_fill or 0.0) * card.camera.full_well_e
        self.reference_e = reference_e
        """Mean photo-electrons a pixel in the reference arm."""
        self.reference = ReferenceArm(card, seed, reference_e)
        self._key = stream_key(seed, "medium.frame_decorrelation")
        pixels = self._pixel_numbers()
        self._responsivity, self._dsnu_e = camera.fixed_pattern(pixels)
        self._hot = camera.hot_pixels(pixels)
        # One amplitude for all pixels where they are alike: the frames are then quicker to make.
        self._on_pixels: NDArray[np.complex64] | None = None
        if self.reference.structured or self.tile.overlaps:
            self._on_pixels = self.reference.on_pixels(pixels)
            self._beam = parts(self._on_pixels)
        self._columns_to_pixels = self.tile.columns_to_pixels(self._amplitude)
        self._columns_to_modes = self.tile.columns_to_modes(1.0 / (self._to_dn * self._kept))
        # Relative to division by the mean reference amplitude; `calibrate` measures both.
        self._gain = np.ones(self.tiles * MODES**2, dtype=np.float32)
        self._bias: NDArray[np.complex64] = np.zeros(self.tiles * MODES**2, dtype=np.complex64)
        self._constant = np.zeros(self.n_out, dtype=np.float32)
        self._scale = np.float32((2.0 / (arm.dmd.n_in * arm.mean_illumination * self._power_kept)) ** 0.5)
        self.noise = OffAxisNoise(
            arm,
            self.tile,
            self.reference,
            self.reference.intensity(*self._mode_positions()),
            self._corrected,
            self._pattern_variance,
            self._power_kept,
            self._kept,
        )

    @staticmethod
    def outputs_simulated(n_out: int) -> int:
        """Modes of the whole tiles that hold n_out outputs."""
        return math.ceil(n_out / MODES**2) * MODES**2

    @property
    def pixels_per_mode(self) -> float:
        """Camera pixels an output takes."""
        return float(self.tile.pixels_per_mode**2)

    def _corners(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of each tile's first pixel."""
        row, column = np.divmod(np.arange(self.tiles), self.grid.columns)
        return row * self.tile.size, column * self.tile.size

    def _pixel_numbers(self) -> NDArray[np.int64]:
        row, column = self._corners()
        along = np.arange(self.tile.size)
        rows, columns = row[:, None, None] + along[:, None], column[:, None, None] + along
        return (rows * self.camera.card.columns + columns).ravel()

    def _mode_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sensor row and column of each output."""
        row, column = self._corners()
        tile, mode = np.divmod(np.arange(self.n_out), MODES**2)
        step = self.tile.pixels_per_mode
        return row[tile] + mode // MODES * step, column[tile] + mode % MODES * step

    @property
    def _amplitude(self) -> float:
        """Root of photons a pixel for a field of unit intensity."""
        return float(self.arm.photons_per_intensity**0.5)

    @property
    def _to_dn(self) -> float:
        """Side band's counts for a field of one, at the mean reference amplitude."""
        card = self.camera.card
        responsivity = card.quantum_efficiency * self._live
        return float(card.gain * responsivity * self.reference.amplitude * self._amplitude)

    @property
    def _live(self) -> float:
        """Share of pixels that respond to light."""
        return 1.0 - (self.camera.card.dead_pixels or 0.0)

    @property
    def _pattern_variance(self) -> float:
        """Relative variance of the pixels' responsivity, dead ones included."""
        return (self.camera.card.prnu**2 + 1.0 - self._live) / self._live

    @property
    def _power_kept(self) -> float:
        """Power of the demodulated field over that of the modes: the filter, and what is uneven on the pixels.

        The reference's fine structure takes light from the smooth beam; it and the pixels' responsivity throw
        fringes of both signs of the carrier about.
        """
        rough = self.reference.roughness**2
        uneven = (1.0 + rough) * (1.0 + self._pattern_variance) - 1.0
        return (self.tile.signal + 2.0 * uneven * self.tile.mixed) / (1.0 + rough)

    @property
    def _kept(self) -> float:
        """Amplitude that an ON mirror keeps over an OFF one, after decorrelation and the fringes' mean visibility."""
        static = (1.0 - self.arm.card.medium.frame_decorrelation) ** 0.5
        return float(self.arm.on_gain * static * self.reference.visibility)

    def _modes(self, fields: Field, on: NDArray[Any], frame: int) -> Field:
        """Field of the modes in each frame [frame, mode], with the frame's own jitter.

        fields: T b [frame, mode + 2]; on: mirrors ON [frame].
        """
        arm = self.arm
        gain = np.float32(arm.on_gain)
        re, im = (part[:, 1:-1] * gain + off[1:-1] for part, off in zip(fields, arm.off_field, strict=True))
        decorrelation = arm.card.medium.frame_decorrelation
        if decorrelation > 0:
            sigma = np.sqrt(0.5 * decorrelation * arm.brightness(on)).astype(np.float32)
            perturb_fields(re, im, sigma, np.float32((1.0 - decorrelation) ** 0.5), *self._key, frame)
        return re, im

    def _expose(self, fields: Field, on: NDArray[Any], frame: int) -> Counts:
        """Camera frames [frame, pixel] of the fields T b [frame, mode + 2], reference arm open."""
        arm, tile, reference = self.arm, self.tile, self.reference
        re, im = self._modes(fields, on, frame)
        interference = reference.interference(frame, len(on))
        if not reference.steady:
            # The phase between the arms may as well turn the signal: its own light does not know.
            c, s = (part.astype(np.float32)[:, None] for part in _turn(interference))
            re, im = c * re - s * im, s * re + c * im
        visibility = np.abs(interference).astype(np.float32)
        photons = np.empty((len(on), len(self._responsivity)), dtype=np.float32)
        # The order-zero term's own blur is replaced by its mean where it is filtered out: only its light counts.
        signal = (re, im, tile.rows_to_pixels, *self._columns_to_pixels, np.float32(tile.order_zero))
        energy = arm.laser_energy(frame, len(on))
        if self._on_pixels is None:
            hologram_photons(*signal, np.float32(reference.amplitude), visibility, energy, photons)
        else:
            zero = np.empty(photons.shape if tile.overlaps else (0, 0), dtype=np.float32)
            if tile.overlaps:
                speckle_light(re, im, tile.rows_to_points, *tile.columns_to_points(self._amplitude), tile.blur, zero)
            structured_photons(*signal, zero, *self._beam, visibility, energy, photons)
        return self._counts(photons, frame)

    def _counts(self, photons: NDArray[np.float32], frame: int) -> Counts:
        """Camera frames of mean photons [frame, pixel]."""
        exposure_s = self.arm.exposure_s
        return self.camera.expose_pixels(photons, self._responsivity, self._dsnu_e, exposure_s, frame, self._hot)

    def holograms(self, patterns: NDArray[np.uint8], frame: int) -> Counts:
        """Camera frames of the patterns [frame, tile, row, column], reference arm open."""
        counts = self._expose(self.arm.fields(patterns), patterns.sum(axis=1), frame)
        return counts.reshape(len(patterns), self.tiles, self.tile.size, self.tile.size)

    def reference_frames(self, frames: int, frame: int) -> Counts:
        """Camera frames with the signal's shutter closed [frame, tile, row, column]."""
        photons = self.arm.laser_energy(frame, frames)[:, None] * self._reference_light()
        return self._counts(photons, frame).reshape(frames, self.tiles, self.tile.size, self.tile.size)

    def _reference_light(self) -> NDArray[np.float32]:
        """Mean photons of the reference alone [pixel]."""
        if self._on_pixels is None:
            return np.full(len(self._responsivity), self.reference.amplitude**2, dtype=np.float32)
        return np.asarray(self._on_pixels.real**2 + self._on_pixels.imag**2, dtype=np.float32)

    def _fringes_dn(self, modes: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Mean counts that fields of modes [field, mode] add to the reference's [field, tile, row, column]."""
        size = self.tile.size
        to_dn = np.float32(2.0 * self._amplitude * self.camera.card.gain) * self._responsivity
        fringes = self.tile.fringes(modes.reshape(-1, self.tiles, MODES, MODES))
        if self._on_pixels is None:
            fringes *= np.float32(self.reference.amplitude)
        else:
            fringes *= self._on_pixels.conj().reshape(self.tiles, size, size)
        return np.asarray(fringes.real * to_dn.reshape(self.tiles, size, size), dtype=np.float32)

    def _side_band(self, frames: NDArray[np.floating]) -> NDArray[np.complex64]:
        """OA[frames] / B: field of the modes [frame, mode] from pixel values [frame, tile, row, column] in DN."""
        flat = np.ascontiguousarray(frames, dtype=np.float32).reshape(len(frames), -1)
        field = np.empty((len(frames), len(self._gain)), dtype=np.complex64)
        tile, to_dn = self.tile, self._to_dn
        for part, turn in ((field.real, 1.0), (field.imag, -1j)):
            demodulate_real(flat, tile.rows_to_modes, *tile.columns_to_modes(turn / to_dn), self._gain, part)
        return field

    def demodulate(self, frames: NDArray[np.floating]) -> NDArray[np.complex64]:
        """Field of the modes [frame, mode] from pixel values [frame, tile, row, column] in DN.

        Before `calibrate` the reference counts as even and smooth.
        """
        return self._side_band(frames) - self._bias

    def _measure(self, patterns: Patterns, on: NDArray[Any], frame: int) -> NDArray[np.float32]:
        """Real part of the outputs' fields [frame, output], of the bias too; on: macropixels ON, by their light."""
        return self._recovered(self.arm.fields(patterns), on, frame)

    def _recovered(self, fields: Field, on: NDArray[Any], frame: int) -> NDArray[np.float32]:
        """`_measure` of frames of the fields T b [frame, mode + 2]."""
        re, im = fields
        rows, columns = self.tile.rows_to_modes, self._columns_to_modes
        measured = np.empty((len(on), self.n_out), dtype=np.float32)
        for part in self._chunks(len(on)):
            counts = self._expose((re[part], im[part]), on[part], frame + part.start)
            demodulate_real(counts, rows, *columns, self._gain, measured[part])
        return measured

    @property
    def _frames_at_once(self) -> int:
        return frames_at_once(len(self._responsivity), _CHUNK_BYTES)

    def _chunks(self, frames: int) -> list[slice]:
        at_once = self._frames_at_once
        return [slice(start, min(start + at_once, frames)) for start in range(0, frames, at_once)]

    def calibrate(self) -> None:
        """Average the field of all mirrors OFF and the reference alone.

        The OFF field enters where a vector's weights do not add up to zero. Its frames come first, and hold the
        reference's bias too, so that it leaves the projection with them.
        """
        if not self._corrected:
            return
        total = np.zeros((self.tiles, self.tile.size, self.tile.size), dtype=np.int64)
        for part in self._chunks(self._averaged):
            frames = self.reference_frames(part.stop - part.start, self._averaged + part.start)
            total += frames.sum(axis=0, dtype=np.int64)
        mean = total / self._averaged
        card = self.camera.card
        dark_e = (card.dark_e_per_s + (card.hot_pixels or 0.0) * card.hot_e_per_s) * self.arm.exposure_s
        nominal = card.gain * self._live * self.reference_e
        # A thousandth of the mean light bounds the gain where a reference is nearly black.
        envelope = np.maximum((self.tile.smooth(mean) - card.offset_dn - card.gain * dark_e) / nominal, 1e-3)
        self._gain = (envelope**-0.5).astype(np.float32).ravel()
        self._bias = np.zeros_like(self._bias)
        self._bias = self._side_band(mean[None])[0]
        off = np.zeros((1, self.arm.dmd.n_in), dtype=np.uint8)
        fields, on = self.arm.fields(off), off.sum(axis=1)
        field = np.zeros(self.n_out)
        for frame in range(self._averaged):
            field += self._recovered(fields, on, frame)[0]
        self._constant = (field / self._averaged).astype(np.float32)

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output]; one frame a pattern, from number `frame` on."""
        out = np.empty((len(encoded.first) - 1, self.n_out), dtype=np.float32)
        on = encoded.brightness
        at_once = patterns_at_once(
            self.arm.n_in,
            self.arm.medium.n_outputs,
            batch=self.arm.medium.batch,
            bytes_an_output=4,
            other_bytes=5 * self._frames_at_once * len(self._responsivity),
        )
        for start, end in vector_chunks(encoded.first, at_once):
            p, q = encoded.first[start], encoded.first[end]
            measured = self._measure(encoded.patterns[p:q], on[p:q], frame + int(p))
            first = encoded.first[start : end + 1] - p
            combine_fields(measured, encoded.weights[p:q], first, self._constant, self._scale, out[start:end])
        return out

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [output, input]: each input's fringes through the pixels' own responsivity."""
        T = self.arm.medium.matrix()[1:-1].T
        out = np.empty((len(T), self.n_out), dtype=np.float32)
        for start in range(0, len(T), 32):
            light = self._fringes_dn(T[start : start + 32])
            out[start : start + 32] = self._side_band(light)[:, : self.n_out].real
        return np.ascontiguousarray(self._scale * out.T)

    def snr(self, inputs_on: float) -> float:
        """Predicted power signal-to-noise of one pattern's projection: of the field's, what the inputs ON make of it.

        OFF mirrors and stuck ones are in the field too (`OffAxisNoise.snr`), and are no signal.
        """
        arm = self.arm
        shown = arm.on_gain**2 * arm.mean_illumination * inputs_on
        return float(shown / arm.brightness(np.array([inputs_on]))[0] * self.noise.snr(inputs_on))

    def noise_variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """Predicted variance of the projection of one pattern of weight 1 [pattern, 1]; see `OffAxisNoise`."""
        return self.noise.variance(inputs_on)[:, None].astype(np.float32)

    def offset(self) -> NDArray[np.float32]:
        """What noise in the calibration adds to each output of a pattern of weight 1 [output]."""
        camera = self.camera.card
        static = (1.0 - self.arm.card.medium.frame_decorrelation) ** 0.5 * self.reference.visibility
        off = (self.arm.off_field[0] + 1j * self.arm.off_field[1])[1:-1]
        still = static * self._fringes_dn(off[None].astype(np.complex64))[0]
        dark_e = np.full(self._dsnu_e.shape, camera.dark_e_per_s * self.arm.exposure_s) + self._dsnu_e
        dark_e[self._hot] += camera.hot_e_per_s * self.arm.exposure_s
        alone = camera.gain * (self._reference_light() * self._responsivity + dark_e) + camera.offset_dn
        expected = self._side_band(still.ravel()[None] + alone[None])[0, : self.n_out].real / self._kept
        return np.asarray(self._scale * (expected - self._constant), dtype=np.float32)


def _turn(factor: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine and sine of the phase."""
    phase = np.angle(factor)
    return np.cos(phase), np.sin(phase)
