"""Off-axis holography: the field of every mode from one frame, with a reference beam at a small angle.

The sensor is simulated pixel by pixel in tiles of 16 x 16 modes on 64 x 64 pixels. A mode is a sample of a speckle
field whose square pupil fills a quarter of the sensor's Nyquist band either way (4 pixels a mode); the reference
is tilted so that fringes run along the rows at 3/8 cycles a pixel. The side band then lies between 1/4 and 1/2
cycles a pixel, just clear of the speckle's own spectrum (below 1/4), as |k_c| >= 3 k_s requires.
Tiles are periodic and independent, so that the modes of a larger device begin with those of a smaller one.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from opu_sim._kernels.recovery import combine_fields
from opu_sim._kernels.speckle import perturb_fields
from opu_sim.camera import Camera, Counts
from opu_sim.dmd import Encoded
from opu_sim.errors import ConfigError
from opu_sim.imaging import OutputGrid
from opu_sim.recovery import vector_chunks
from opu_sim.rng import stream_key
from opu_sim.signal_arm import SignalArm
from opu_sim.speckle import padded_spectrum

MODES = 16  # modes along a tile
PIXELS_PER_MODE = 4  # along either axis
SIZE = MODES * PIXELS_PER_MODE  # pixels along a tile
CARRIER = 3 * SIZE // 8  # fringes along a tile

_CHUNK_BYTES = 32 * 2**20

_BAND = np.fft.fftfreq(MODES, 1.0 / MODES).astype(int)  # spectrum lines of a mode tile, 0 .. 7, -8 .. -1
_ROWS = _BAND[:, None] % SIZE
_COLUMNS = (_BAND[None, :] + CARRIER) % SIZE
# A square pixel averages the fringes over its area: sinc(fx) sinc(fy) at the side band's own frequencies.
_PIXEL_MTF = (np.sinc(_BAND[:, None] / SIZE) * np.sinc((_BAND[None, :] + CARRIER) / SIZE)).astype(np.float32)
_ORDER_ZERO = np.float32(1.0 / np.mean(_PIXEL_MTF.astype(np.float64) ** 2))


class OffAxisRecovery:
    """One hologram a pattern; the recovered field's real part is the projection on a real Gaussian row.

    I = |r|^2 + |s|^2 + 2 Re(r* s e^{i k x}): the side band is cut from the frame's spectrum, divided by the pixel's
    transfer function and the reference amplitude, and transformed back to one sample a mode.

    Signal-to-noise of the field: N_r N_s / (f h (N_r + N_s + sigma_d^2 + 1/(12 K^2))), with N_r, N_s mean
    photo-electrons a pixel in either arm, f = 1/16 the side band's share of the spectrum and h the mean of one over
    the squared pixel transfer function in it; see `snr`.

    References
    ----------
    Launay et al., "Light-in-the-loop", arXiv 2006.01475 (off-axis holography on the OPU);
    Cuche, Marquet & Depeursinge, "Spatial filtering for zero-order and twin-image elimination in digital off-axis
    holography", Appl. Opt. 39, 4070 (2000).
    """

    frames_per_pattern = 1

    def __init__(self, arm: SignalArm, camera: Camera, n_out: int, seed: int) -> None:
        card = arm.card
        if card.medium.speckle_grain_px != PIXELS_PER_MODE:
            raise ConfigError(
                f"medium.speckle_grain_px = {card.medium.speckle_grain_px}: must be {PIXELS_PER_MODE} for off-axis "
                "recovery"
            )
        self.arm = arm
        self.camera = camera
        self.n_out = n_out
        self.grid = OutputGrid(card, n_out, PIXELS_PER_MODE, block=MODES)
        self.tiles = self.grid.blocks
        self.calibration_frames = card.recovery.calibration_frames
        self.reference_e = card.recovery.reference_fill * card.camera.full_well_e
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

    def _modes(self, patterns: NDArray[np.uint8], frame: int) -> NDArray[np.complex64]:
        """Field of the modes in each frame [frame, tile, row, column], with the frame's own jitter."""
        arm = self.arm
        re, im = (part[:, 1:-1] for part in arm.fields(patterns))
        off_re, off_im = (part[1:-1] for part in arm.off_field)
        gain = np.float32(arm.on_gain)
        re, im = re * gain + off_re, im * gain + off_im
        decorrelation = arm.card.medium.frame_decorrelation
        if decorrelation > 0:
            sigma = np.sqrt(0.5 * decorrelation * arm.brightness(patterns.sum(axis=1))).astype(np.float32)
            perturb_fields(re, im, sigma, np.float32((1.0 - decorrelation) ** 0.5), *self._key, frame)
        field = (re + 1j * im).astype(np.complex64)
        return field.reshape(len(patterns), self.tiles, MODES, MODES)

    def _fringes(self, modes: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Signal field times the reference's carrier, seen through the pixel [frame, tile, row, column]."""
        spectrum = padded_spectrum(modes, PIXELS_PER_MODE)
        shifted = np.zeros_like(spectrum)
        shifted[..., _ROWS, _COLUMNS] = spectrum[..., _BAND[:, None], _BAND[None, :]] * _PIXEL_MTF
        return scipy.fft.ifft2(shifted, workers=-1, overwrite_x=True)  # type: ignore[no-any-return]

    def holograms(self, patterns: NDArray[np.uint8], frame: int) -> Counts:
        """Camera frames of the patterns [frame, tile, row, column], reference arm open."""
        arm = self.arm
        modes = self._modes(patterns, frame)
        signal = self._fringes(modes) * np.float32(self._amplitude)
        # The order-zero term's own blur is replaced by its mean: it is filtered out, and only its light counts.
        photons = signal.real**2 + signal.imag**2
        photons *= _ORDER_ZERO
        photons += (2.0 * self._reference) * signal.real
        photons += self._reference**2
        np.maximum(photons, 0.0, out=photons)
        photons *= arm.laser_energy(frame, len(patterns))[:, None, None, None]
        flat = photons.reshape(len(patterns), -1)
        counts = self.camera.expose_pixels(flat, self._responsivity, self._dsnu_e, arm.exposure_s, frame)
        return counts.reshape(photons.shape)

    def demodulate(self, frames: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Field of the modes [frame, mode] from pixel values [frame, tile, row, column] in DN."""
        spectrum = scipy.fft.fft2(frames, workers=-1)
        card = self.camera.card
        to_dn = card.gain * card.quantum_efficiency * float(self._reference) * self._amplitude
        side_band = spectrum[..., _ROWS, _COLUMNS] / (_PIXEL_MTF * np.float32(to_dn * PIXELS_PER_MODE**2))
        modes = scipy.fft.ifft2(side_band.astype(np.complex64), workers=-1)
        return modes.reshape(len(frames), -1)  # type: ignore[no-any-return]

    def _measure(self, patterns: NDArray[np.uint8], frame: int) -> NDArray[np.float32]:
        counts = self.holograms(patterns, frame)
        field = self.demodulate(counts.astype(np.float32))[:, : self.n_out].real
        return np.ascontiguousarray(field) / np.float32(self._kept)

    @property
    def _kept(self) -> float:
        """Amplitude that an ON mirror keeps over an OFF one, after decorrelation."""
        return float(self.arm.on_gain * (1.0 - self.arm.card.medium.frame_decorrelation) ** 0.5)

    def calibrate(self) -> None:
        """Average the field of all mirrors OFF; it enters where a vector's weights do not add up to zero."""
        dark = np.zeros((self.calibration_frames, self.arm.dmd.n_in), dtype=np.uint8)
        measured = [
            self._measure(dark[start : start + 32], start) for start in range(0, self.calibration_frames, 32)
        ]
        self._constant = np.concatenate(measured).mean(axis=0, dtype=np.float64).astype(np.float32)

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output]; one frame a pattern, from number `frame` on."""
        out = np.empty((len(encoded.first) - 1, self.n_out), dtype=np.float32)
        at_once = _CHUNK_BYTES // (self.tiles * SIZE * SIZE * 8 * 2)
        for start, end in vector_chunks(encoded.first, at_once):
            p, q = encoded.first[start], encoded.first[end]
            measured = self._measure(encoded.patterns[p:q], frame + int(p))
            first = encoded.first[start : end + 1] - p
            combine_fields(measured, encoded.weights[p:q], first, self._constant, self._scale, out[start:end])
        return out

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [output, input]: each input's fringes through the pixels' fixed responsivity."""
        T = self.arm.medium.matrix()[1:-1].T
        card = self.camera.card
        out = np.empty((len(T), self.n_out), dtype=np.float32)
        to_dn = 2.0 * float(self._reference) * self._amplitude * card.gain
        responsivity = self._responsivity.reshape(self.tiles, SIZE, SIZE)
        for start in range(0, len(T), 32):
            modes = T[start : start + 32].reshape(-1, self.tiles, MODES, MODES)
            pixels = self._fringes(modes).real * (responsivity * np.float32(to_dn))
            out[start : start + 32] = self.demodulate(pixels)[:, : self.n_out].real
        return np.ascontiguousarray(self._scale * out.T)

    def snr(self, inputs_on: int) -> float:
        """Predicted power signal-to-noise of the recovered complex field, shot, read and rounding noise only."""
        card = self.camera.card
        signal = float(self.arm.brightness(np.array([inputs_on]))[0]) * self.arm.photons_per_intensity
        signal_e = signal * card.quantum_efficiency
        noise_e2 = self.reference_e + signal_e + card.read_noise_e**2 + 1.0 / (12.0 * card.gain**2)
        band = 1.0 / PIXELS_PER_MODE**2
        # White noise in the side band is divided by the transfer function: the mean of 1 / MTF^2 counts.
        return float(self.reference_e * signal_e / (band * noise_e2 * np.mean(1.0 / _PIXEL_MTF.astype(float) ** 2)))
