"""Off-axis holography: the field of every mode from one frame, with a reference beam at a small angle.

The sensor is simulated pixel by pixel in tiles of 16 x 16 modes on 64 x 64 pixels. A mode is a sample of a
speckle field whose square pupil fills a quarter of the sensor's Nyquist band either way (4 pixels a mode); the
reference is tilted so that fringes run along the rows at 3/8 cycles a pixel. The side band then lies between 1/4
and 1/2 cycles a pixel, just clear of the speckle's own spectrum (below 1/4), as |k_c| >= 3 k_s requires.
Tiles are periodic and independent, so that the modes of a larger device begin with those of a smaller one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.holography import demodulate_real, hologram_photons
from opu_sim._kernels.recovery import combine_fields
from opu_sim._kernels.speckle import perturb_fields
from opu_sim.camera import Camera, Counts
from opu_sim.dmd import Encoded
from opu_sim.errors import ConfigError
from opu_sim.imaging import OutputGrid
from opu_sim.medium import Field
from opu_sim.recovery.method import PATTERNS_AT_ONCE, vector_chunks
from opu_sim.rng import stream_key
from opu_sim.signal_arm import SignalArm

MODES = 16  # modes along a tile
PIXELS_PER_MODE = 4  # along either axis
SIZE = MODES * PIXELS_PER_MODE  # pixels along a tile
CARRIER = 3 * SIZE // 8  # fringes along a tile

# Photons and counts of the frames worked on at once: they stay in the cache.
_CHUNK_BYTES = 8 * 2**20

_BAND = np.fft.fftfreq(MODES, 1.0 / MODES)  # spectrum lines of a mode tile, 0 .. 7, -8 .. -1
# A square pixel averages the fringes over its area: sinc(fx) sinc(fy) at the side band's own frequencies.
_ROW_MTF = np.sinc(_BAND / SIZE)
_COLUMN_MTF = np.sinc((_BAND + CARRIER) / SIZE)
_PIXEL_MTF = _ROW_MTF[:, None] * _COLUMN_MTF[None, :]
_ORDER_ZERO = np.float32(1.0 / np.mean(_PIXEL_MTF**2))


def _to_pixels(mtf: NDArray[np.float64], carrier: int) -> NDArray[np.complex128]:
    """Band-limited row of modes between its samples, times the carrier, through the pixel [pixel, mode]."""
    to_lines = np.exp(-2j * np.pi / MODES * np.outer(_BAND, np.arange(MODES))) / MODES
    from_lines = np.exp(2j * np.pi / SIZE * np.outer(np.arange(SIZE), _BAND + carrier)) * mtf
    return np.asarray(from_lines @ to_lines, dtype=np.complex128)


# Modes to pixels and pixels to modes, both rows @ tile @ columns. The way back is the adjoint of the way there,
# but divided by the transfer function instead of multiplied, and by the pixels of a mode.
_TO_PIXELS = _to_pixels(_ROW_MTF, 0), _to_pixels(_COLUMN_MTF, CARRIER).T
_TO_MODES = (
    _to_pixels(1.0 / _ROW_MTF, 0).conj().T / PIXELS_PER_MODE,
    _to_pixels(1.0 / _COLUMN_MTF, CARRIER).conj() / PIXELS_PER_MODE,
)
# The matrices of the rows are real, but for the share of line -8, one column or row with alternating signs; see
# the kernels.
_ROWS_TO_PIXELS = np.concatenate([_TO_PIXELS[0].real, _TO_PIXELS[0].imag[:, :1]], axis=1).astype(np.float32)
_ROWS_TO_MODES = np.concatenate([_TO_MODES[0].real, _TO_MODES[0].imag[:1]]).astype(np.float32)


def _parts(matrix: NDArray[np.complex128]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Real and imaginary part, each contiguous."""
    return np.ascontiguousarray(matrix.real, np.float32), np.ascontiguousarray(matrix.imag, np.float32)


class OffAxisRecovery:
    """One hologram a pattern; the recovered field's real part is the projection on a real Gaussian row.

    I = |r|^2 + |s|^2 + 2 Re(r* s e^{i k x}): the side band is cut from the frame's spectrum, divided by the
    pixel's transfer function and the reference amplitude, and transformed back to one sample a mode. All of it is
    linear and separable, so that a small matrix on either side of a tile does it in one go.

    Signal-to-noise of the field: N_r N_s / (f h (N_r + N_s + sigma_d^2 + 1/(12 K^2))), with N_r, N_s mean
    photo-electrons a pixel in either arm, f = 1/16 the side band's share of the spectrum and h the mean of one
    over the squared pixel transfer function in it; see `snr`.

    References
    ----------
    Launay et al., "Light-in-the-loop", arXiv 2006.01475 (off-axis holography on the OPU);
    Cuche, Marquet & Depeursinge, "Spatial filtering for zero-order and twin-image elimination in digital
    off-axis holography", Appl. Opt. 39, 4070 (2000).
    """

    frames_per_pattern = 1

    def __init__(self, arm: SignalArm, camera: Camera, n_out: int, seed: int) -> None:
        card = arm.card
        if card.medium.speckle_grain_px != PIXELS_PER_MODE:
            raise ConfigError(
                f"medium.speckle_grain_px = {card.medium.speckle_grain_px}: must be {PIXELS_PER_MODE} for "
                "off-axis recovery"
            )
        self.arm = arm
        self.camera = camera
        self.n_out = n_out
        self.grid = OutputGrid(card, n_out, PIXELS_PER_MODE, block=MODES)
        self.tiles = self.grid.blocks
        self.calibration_frames = card.recovery.calibration_frames
        self.reference_e = (card.recovery.reference_fill or 0.3) * card.camera.full_well_e
        """Mean photo-electrons a pixel in the reference arm."""
        self._reference = np.float32((self.reference_e / card.camera.quantum_efficiency) ** 0.5)
        self._key = stream_key(seed, "medium.frame_decorrelation")
        responsivity, dsnu = camera.fixed_pattern(self._pixel_numbers())
        self._responsivity, self._dsnu_e = responsivity, dsnu
        self._scale = np.float32((2.0 / arm.dmd.n_in) ** 0.5)
        self._constant = np.zeros(self.n_out, dtype=np.float32)

    @staticmethod
    def outputs_simulated(n_out: int) -> int:
        """Modes of the whole tiles that hold n_out outputs."""
        return math.ceil(n_out / MODES**2) * MODES**2

    def _pixel_numbers(self) -> NDArray[np.int64]:
        tile = np.arange(self.tiles)[:, None, None]
        row = tile // self.grid.columns * SIZE + np.arange(SIZE)[:, None]
        column = tile % self.grid.columns * SIZE + np.arange(SIZE)[None, :]
        return (row * self.camera.card.columns + column).ravel()

    @property
    def _amplitude(self) -> float:
        """Root of photons a pixel for a field of unit intensity."""
        return float(self.arm.photons_per_intensity**0.5)

    def _modes(self, fields: Field, on: NDArray[np.integer], frame: int) -> Field:
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

    def _expose(self, fields: Field, on: NDArray[np.integer], frame: int) -> Counts:
        """Camera frames [frame, pixel] of the fields T b [frame, mode + 2], reference arm open."""
        arm = self.arm
        photons = np.empty((len(on), self.tiles * SIZE * SIZE), dtype=np.float32)
        # The order-zero term's own blur is replaced by its mean: it is filtered out, only its light counts.
        hologram_photons(
            *self._modes(fields, on, frame),
            _ROWS_TO_PIXELS,
            *_parts(_TO_PIXELS[1] * self._amplitude),
            _ORDER_ZERO,
            self._reference,
            arm.laser_energy(frame, len(on)),
            photons,
        )
        return self.camera.expose_pixels(photons, self._responsivity, self._dsnu_e, arm.exposure_s, frame)

    def holograms(self, patterns: NDArray[np.uint8], frame: int) -> Counts:
        """Camera frames of the patterns [frame, tile, row, column], reference arm open."""
        counts = self._expose(self.arm.fields(patterns), patterns.sum(axis=1), frame)
        return counts.reshape(len(patterns), self.tiles, SIZE, SIZE)

    @property
    def _columns_to_modes(self) -> NDArray[np.complex128]:
        """Columns' matrix from DN to fields."""
        card = self.camera.card
        to_dn = card.gain * card.quantum_efficiency * float(self._reference) * self._amplitude
        return _TO_MODES[1] / to_dn

    def demodulate(self, frames: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Field of the modes [frame, mode] from pixel values [frame, tile, row, column] in DN."""
        flat = np.ascontiguousarray(frames).reshape(len(frames), -1)
        field = np.empty((len(frames), flat.shape[1] // PIXELS_PER_MODE**2), dtype=np.complex64)
        columns = self._columns_to_modes
        demodulate_real(flat, _ROWS_TO_MODES, *_parts(columns), field.real)
        demodulate_real(flat, _ROWS_TO_MODES, *_parts(-1j * columns), field.imag)
        return field

    def _measure(self, patterns: NDArray[np.uint8], frame: int) -> NDArray[np.float32]:
        """Real part of the outputs' fields [frame, output]."""
        re, im = self.arm.fields(patterns)
        on = patterns.sum(axis=1)
        columns = _parts(self._columns_to_modes / self._kept)
        measured = np.empty((len(patterns), self.n_out), dtype=np.float32)
        at_once = max(_CHUNK_BYTES // (self.tiles * SIZE * SIZE * 5), 1)
        for start in range(0, len(patterns), at_once):
            part = slice(start, start + at_once)
            counts = self._expose((re[part], im[part]), on[part], frame + start)
            demodulate_real(counts, _ROWS_TO_MODES, *columns, measured[part])
        return measured

    @property
    def _kept(self) -> float:
        """Amplitude that an ON mirror keeps over an OFF one, after decorrelation."""
        return float(self.arm.on_gain * (1.0 - self.arm.card.medium.frame_decorrelation) ** 0.5)

    def calibrate(self) -> None:
        """Average the field of all mirrors OFF; it enters where a vector's weights do not add up to zero."""
        dark = np.zeros((self.calibration_frames, self.arm.dmd.n_in), dtype=np.uint8)
        self._constant = self._measure(dark, 0).mean(axis=0, dtype=np.float64).astype(np.float32)

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output]; one frame a pattern, from number `frame` on."""
        out = np.empty((len(encoded.first) - 1, self.n_out), dtype=np.float32)
        for start, end in vector_chunks(encoded.first, PATTERNS_AT_ONCE):
            p, q = encoded.first[start], encoded.first[end]
            measured = self._measure(encoded.patterns[p:q], frame + int(p))
            first = encoded.first[start : end + 1] - p
            combine_fields(measured, encoded.weights[p:q], first, self._constant, self._scale, out[start:end])
        return out

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [output, input]: each input's fringes through the pixels' own responsivity."""
        T = self.arm.medium.matrix()[1:-1].T
        card = self.camera.card
        out = np.empty((len(T), self.n_out), dtype=np.float32)
        to_dn = 2.0 * float(self._reference) * self._amplitude * card.gain
        responsivity = self._responsivity.reshape(self.tiles, SIZE, SIZE) * np.float32(to_dn)
        rows, columns = (matrix.astype(np.complex64) for matrix in _TO_PIXELS)
        for start in range(0, len(T), 32):
            modes = T[start : start + 32].reshape(-1, self.tiles, MODES, MODES)
            fringes = rows @ (modes @ columns)
            out[start : start + 32] = self.demodulate(fringes.real * responsivity)[:, : self.n_out].real
        return np.ascontiguousarray(self._scale * out.T)

    def snr(self, inputs_on: int) -> float:
        """Predicted power signal-to-noise of the recovered complex field, shot, read and rounding noise only.

        Rounding counts as 1/12 DN^2, which needs noise of about 0.3 DN or more to dither it (at 5 bits repeated
        frames measure 0.9 dB better).
        """
        card = self.camera.card
        signal = float(self.arm.brightness(np.array([inputs_on]))[0]) * self.arm.photons_per_intensity
        signal_e = signal * card.quantum_efficiency
        noise_e2 = self.reference_e + signal_e + card.read_noise_e**2 + 1.0 / (12.0 * card.gain**2)
        band = 1.0 / PIXELS_PER_MODE**2
        # White noise in the side band is divided by the transfer function: the mean of 1 / MTF^2 counts.
        return float(self.reference_e * signal_e / (band * noise_e2 * np.mean(1.0 / _PIXEL_MTF**2)))
