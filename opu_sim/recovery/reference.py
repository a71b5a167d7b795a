"""Reference arm of a hologram: how bright it is at each pixel, and how steady its phase is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import jv, ndtr

from opu_sim._kernels.random import normals
from opu_sim.cards import OpuCard
from opu_sim.errors import ConfigError
from opu_sim.exposure import exposure_s
from opu_sim.medium.coherence import coherent_share
from opu_sim.rng import stream, stream_key

LEAST_VISIBILITY = 0.01
"""Of the mean fringes: weaker ones would be scaled up more than a hundred times."""

_ORDERS = np.arange(-24, 25)  # of Bessel functions: J_24(3) = 1e-20


class ReferenceArm:
    """Light that the signal interferes with.

    Amplitude on the pixels: r (1 + roughness g) / (1 + roughness^2)^(1/2), where r is a Gaussian beam centred on
    the sensor and g a static circular Gaussian number a pixel with E|g|^2 = 1 (dust, coatings). The mean light over
    the sensor is `level_e`.

    Interference in frame f is multiplied by a complex c_f, the mean of exp(i phase) over the exposure: Gaussian
    phase noise of rms s within it leaves exp(-s^2 / 2), the characteristic function of a Gaussian; Gaussian jitter
    turns each frame by a phase of its own; a vibration v sin(w t) over an exposure T about t leaves, by the
    Jacobi-Anger expansion exp(i v sin w t) = sum_n J_n(v) e^{i n w t},

        sum_n J_n(v) sinc(n w T / 2 pi) e^{i n w t},

    J_0(v) if it is fast against T (the fringe function of time-average holography), exp(i v sin w t) if it is slow.

    A laser line wide against the spread of the medium's paths leaves a share of the signal that cannot interfere, as
    does light of the other polarisation: of speckle of the degree P, (1 + P) / 2 has the reference's own. The fringes
    are weaker by the root of what can interfere.

    Parameters
    ----------
    card : OpuCard
    seed : int
    level_e : float
        Mean photo-electrons a pixel and exposure.

    Raises
    ------
    ConfigError
        The phase is so unsteady that no fringes are left on average.

    References
    ----------
    Goodman, Statistical Optics (characteristic functions, fringe visibility);
    Abramowitz & Stegun, 9.1.42 - 9.1.45 (Jacobi-Anger); Zambuto & Fischer, Appl. Opt. 12, 1651 (1973), on the
    zero-order Bessel function of the conventional hologram of a vibrating object.
    """

    def __init__(self, card: OpuCard, seed: int, level_e: float) -> None:
        self.card = card
        self.level_e = level_e
        self.amplitude = (level_e / card.camera.quantum_efficiency) ** 0.5
        """Root of mean photons a pixel."""
        self.roughness = card.recovery.reference_roughness or 0.0
        self.structured = card.recovery.reference_edge_intensity is not None or self.roughness > 0
        """Whether the pixels see unequal amplitudes."""
        self._seed = seed
        self._jitter_rad = card.recovery.reference_phase_jitter_rad or 0.0
        self._noise_rad = card.recovery.reference_phase_noise_rad or 0.0
        self._vibration_rad = card.faults.vibration_rad or 0.0
        self._vibration_hz = card.faults.vibration_hz
        line, spread, degree = card.laser.linewidth_mhz, card.medium.path_spread_mm, card.medium.polarisation_degree
        share = 1.0 if line is None or spread is None else coherent_share(line * 1e6, spread * 1e-3)
        share *= 1.0 if degree is None else 0.5 * (1.0 + degree)
        self._coherent = math.sqrt(share)
        self.steady = self._jitter_rad == 0 and self._vibration_rad == 0
        """Whether the fringes of all frames have one phase."""
        if abs(self.visibility) < LEAST_VISIBILITY:
            raise ConfigError(
                f"recovery.reference_phase_noise_rad = {self._noise_rad!r}, reference_phase_jitter_rad = "
                f"{self._jitter_rad!r}, faults.vibration_rad = {self._vibration_rad!r}: leave {self.visibility:.2g} of "
                f"the fringes on average; must leave {LEAST_VISIBILITY} or more"
            )

    def intensity(self, row: NDArray[np.integer], column: NDArray[np.integer]) -> NDArray[np.float64]:
        """Light of the smooth beam at sensor positions, over its mean over the sensor; shapes broadcast."""
        edge = self.card.recovery.reference_edge_intensity
        camera = self.card.camera
        middle = 0.5 * (camera.rows - 1), 0.5 * (camera.columns - 1)
        corner = middle[0] ** 2 + middle[1] ** 2
        if edge is None or corner == 0:
            return np.ones(np.broadcast_shapes(np.shape(row), np.shape(column)))

        def along(position: NDArray[np.integer], axis: int) -> NDArray[np.float64]:
            return np.asarray(edge ** ((position - middle[axis]) ** 2 / corner))

        mean = along(np.arange(camera.rows), 0).mean() * along(np.arange(camera.columns), 1).mean()
        return np.asarray(along(row, 0) * along(column, 1) / mean)

    def on_pixels(self, pixel: NDArray[np.integer]) -> NDArray[np.complex64]:
        """Amplitude, in root photons, at pixels row * columns + column; a pixel's own, whatever the others are."""
        row, column = np.divmod(pixel, self.card.camera.columns)
        amplitude: NDArray[np.complex64] = (self.amplitude * self.intensity(row, column) ** 0.5).astype(np.complex64)
        if self.roughness > 0:
            count = int(pixel.max()) + 1
            a, b = (
                stream(self._seed, "recovery.reference_roughness", part).standard_normal(count, np.float32)[pixel]
                for part in range(2)
            )
            fine = np.float32(self.roughness * 0.5**0.5) * (a + np.complex64(1j) * b)
            amplitude *= (1 + fine) * np.float32((1.0 + self.roughness**2) ** -0.5)
        return amplitude

    @property
    def visibility(self) -> float:
        """Mean of c_f over frames, real: a vibration of known frequency counts from an unknown phase."""
        gaussian = math.exp(-0.5 * (self._noise_rad**2 + self._jitter_rad**2))
        return self._coherent * gaussian * float(jv(0, self._vibration_rad))

    @property
    def mean_square_visibility(self) -> float:
        """Mean of |c_f|^2 over frames."""
        harmonics = float(np.sum((jv(_ORDERS, self._vibration_rad) * self._averaged) ** 2))
        return self._coherent**2 * math.exp(-(self._noise_rad**2)) * harmonics

    @property
    def _averaged(self) -> NDArray[np.float64]:
        """What the exposure leaves of each harmonic of the vibration."""
        if self._vibration_hz is None:
            return np.ones(len(_ORDERS))
        return np.asarray(np.sinc(_ORDERS * self._vibration_hz * exposure_s(self.card)))

    def interference(self, frame: int, frames: int) -> NDArray[np.complex128]:
        """c_f of frames `frame` and up [frame]."""
        factor = np.full(frames, self._coherent * math.exp(-0.5 * self._noise_rad**2), dtype=np.complex128)
        if self._jitter_rad > 0:
            factor *= np.exp(1j * self._jitter_rad * self._normals("recovery.reference_jitter", frame, frames))
        if self._vibration_rad > 0:
            harmonics = np.exp(2j * np.pi * np.outer(self._cycles(frame, frames), _ORDERS))
            factor *= harmonics @ (jv(_ORDERS, self._vibration_rad) * self._averaged)
        return factor

    def _cycles(self, frame: int, frames: int) -> NDArray[np.float64]:
        """Where the vibration is in the middle of each exposure [frame], in cycles."""
        if self._vibration_hz is None:
            return ndtr(self._normals("recovery.vibration", frame, frames))  # type: ignore[no-any-return]
        timing = self.card.timing
        period_us = max(timing.frame_time_us, exposure_s(self.card) * 1e6 + timing.dead_time_us)
        start = float(ndtr(self._normals("recovery.vibration_start", 0, 1))[0])
        # Whole cycles are dropped before the product grows: 1e9 frames are timed to 1e-7 of a cycle.
        a_frame = math.fmod(self._vibration_hz * period_us * 1e-6, 1.0)
        return np.asarray(np.fmod(start + a_frame * (frame + np.arange(frames, dtype=np.float64)), 1.0))

    def _normals(self, name: str, first: int, count: int) -> NDArray[np.float64]:
        drawn = np.empty(count, dtype=np.float32)
        normals(*stream_key(self._seed, name), first, drawn)
        return drawn.astype(np.float64)
