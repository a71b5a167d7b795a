"""Phase-shifting holography: the field of every output from N frames, the reference 2 pi / N further in each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.recovery import combine_fields, combine_steps
from opu_sim._kernels.speckle import interference_photons
from opu_sim.camera import Counts
from opu_sim.dmd import Encoded, Patterns
from opu_sim.exposure import clipping_e2
from opu_sim.imaging import SpeckleImager
from opu_sim.medium import Field
from opu_sim.recovery.method import frames_at_once, patterns_at_once, vector_chunks
from opu_sim.recovery.reference import ReferenceArm
from opu_sim.rng import stream_key
from opu_sim.speckle import PixelModes

# Photons and counts of the frames worked on at once: they stay in the cache.
_CHUNK_BYTES = 8 * 2**20


class PhaseSteppingRecovery:
    """N frames a pattern, one pixel an output; the recovered field's real part is the projection.

    The reference falls on the sensor on axis, one speckle grain covers a pixel or more, and frame n sees it
    2 pi n / N further: I_n = N_r + N_s + 2 Re(sqrt(N_r) s e^{i phi_n}). The sum
    E = sum_n I_n e^{-i phi_n} / (N sqrt N_r) is the field; what all steps share cancels. Signal-to-noise
    N N_r N_s / (N_r + N_s + sigma_d^2 + 1 / (12 K^2)), with photo-electrons a pixel; phase errors of rms s between the
    steps add a twin image of the power s^2 / N and as much common-phase error.

    References
    ----------
    Yamaguchi & Zhang, "Phase-shifting digital holography", Opt. Lett. 22, 1268 (1997).
    """

    pixels_per_mode = 1.0

    def __init__(self, imager: SpeckleImager, reference: ReferenceArm, seed: int) -> None:
        arm = imager.arm
        card = arm.card.recovery
        self.imager = imager
        self.reference = reference
        self.frames_per_pattern = card.steps
        self._averaged = card.calibration_frames
        self.calibration_frames = card.steps * card.calibration_frames
        self._key = stream_key(seed, "medium.frame_decorrelation")
        self._decorrelation = arm.card.medium.frame_decorrelation
        angle = 2.0 * np.pi * np.arange(card.steps) / card.steps
        self._angle = angle
        camera = imager.camera.card
        self._reference_photons = reference.level_e / camera.quantum_efficiency
        # What the pixel's size leaves; a wide line and a second polarisation are in the reference's visibility.
        weight = PixelModes.of_grain(arm.card.medium.speckle_grain_px).weight
        self._weight = weight
        # The main coherence mode is the only one that a plane wave meets; see `PixelModes`.
        self._cross = 2.0 * (self._reference_photons * weight) ** 0.5
        per_field = 0.5 * self._cross * reference.visibility * arm.photons_per_intensity**0.5 * self._kept
        to_dn = per_field * camera.quantum_efficiency * camera.gain
        self._cosine = (np.cos(angle) / (card.steps * to_dn)).astype(np.float32)
        self._sine = (-np.sin(angle) / (card.steps * to_dn)).astype(np.float32)
        self._scale = np.float32((2.0 / (arm.dmd.n_in * arm.mean_illumination)) ** 0.5)
        self._constant = np.zeros(imager.n_out, dtype=np.float32)

    @property
    def _on_gain2(self) -> float:
        """Brightness of |T b|^2 = 1 on the sensor."""
        return float(self.imager.arm.on_gain**2)

    @property
    def _frames_at_once(self) -> int:
        return frames_at_once(self.imager.n_out, _CHUNK_BYTES, self.frames_per_pattern)

    @property
    def _kept(self) -> float:
        """Amplitude that an ON mirror keeps over an OFF one, after decorrelation."""
        return float(self.imager.arm.on_gain * (1.0 - self._decorrelation) ** 0.5)

    def frames(self, fields: Field, on: NDArray[Any], frame: int) -> Counts:
        """Camera frames [N x pattern, output] of the fields T b [pattern, output + 2]."""
        imager, steps = self.imager, self.frames_per_pattern
        arm = imager.arm
        out = np.empty((steps * len(on), imager.n_out), dtype=np.float32)
        phasor = np.tile(np.exp(1j * self._angle), len(on)) * self.reference.interference(frame, len(out))
        per_root_photon = np.float32(arm.photons_per_intensity**0.5)
        sigma = per_root_photon * np.sqrt(0.5 * self._decorrelation * arm.brightness(on))
        interference_photons(
            *fields,
            per_root_photon * np.float32(arm.on_gain),
            *(per_root_photon * part for part in arm.off_field),
            np.float32(imager.modes.weight),
            sigma.astype(np.float32),
            np.float32((1.0 - self._decorrelation) ** 0.5),
            np.float32(self._reference_photons),
            np.float32(self._cross),
            phasor.real.astype(np.float32),
            phasor.imag.astype(np.float32),
            arm.laser_energy(frame, len(out)),
            *self._key,
            frame,
            steps,
            out,
        )
        return imager.expose(out, frame)

    def fields(self, patterns: NDArray[np.uint8], frame: int) -> NDArray[np.complex64]:
        """Recovered complex field [pattern, output], in units of T b; N frames a pattern from number `frame` on."""
        counts = self.frames(self.imager.arm.fields(patterns), patterns.sum(axis=1), frame)
        field = np.empty((len(patterns), self.imager.n_out), dtype=np.complex64)
        combine_steps(counts, self._cosine, field.real)
        combine_steps(counts, self._sine, field.imag)
        return field

    def _measure(self, patterns: Patterns, on: NDArray[Any], frame: int) -> NDArray[np.float32]:
        """Real part of the outputs' fields [pattern, output]."""
        return self._recovered(self.imager.arm.fields(patterns), on, frame)

    def _recovered(self, fields: Field, on: NDArray[Any], frame: int) -> NDArray[np.float32]:
        """`_measure` of patterns' fields T b [pattern, output + 2]."""
        steps = self.frames_per_pattern
        re, im = fields
        measured = np.empty((len(on), self.imager.n_out), dtype=np.float32)
        at_once = self._frames_at_once // steps
        for start in range(0, len(on), at_once):
            part = slice(start, start + at_once)
            counts = self.frames((re[part], im[part]), on[part], frame + steps * start)
            combine_steps(counts, self._cosine, measured[part])
        return measured

    def calibrate(self) -> None:
        """Average the field of all mirrors OFF; it enters where a vector's weights do not add up to zero."""
        dark = np.zeros((1, self.imager.arm.dmd.n_in), dtype=np.uint8)
        fields, on = self.imager.arm.fields(dark), dark.sum(axis=1)
        total = np.zeros(self.imager.n_out)
        for k in range(self._averaged):
            total += self._recovered(fields, on, k * self.frames_per_pattern)[0]
        self._constant = (total / self._averaged).astype(np.float32)

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output]; N frames a pattern, from number `frame` on."""
        n_in, n_out = self.imager.arm.n_in, self.imager.n_out
        out = np.empty((len(encoded.first) - 1, n_out), dtype=np.float32)
        frames_bytes = 5 * self._frames_at_once * n_out
        batch = self.imager.arm.medium.batch
        at_once = patterns_at_once(n_in, n_out, batch=batch, bytes_an_output=4, other_bytes=frames_bytes)
        for start, end in vector_chunks(encoded.first, at_once):
            p = encoded.first[start]
            part = encoded.part(start, end)
            measured = self._measure(part.patterns, part.brightness, frame + self.frames_per_pattern * int(p))
            combine_fields(measured, part.weights, part.first, self._constant, self._scale, out[start:end])
        return out

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [output, input]: the real part of T through each pixel's own responsivity."""
        imager = self.imager
        relative = imager.responsivity / np.float32(imager.camera.card.quantum_efficiency)
        T = imager.arm.medium.matrix()[1:-1]
        return np.ascontiguousarray(self._scale * relative[:, None] * T.real)

    def snr(self, inputs_on: float) -> float:
        """Predicted power signal-to-noise of the recovered complex field: all noise that the card switches on."""
        signal = self.imager.arm.mean_illumination * inputs_on
        return float(signal / self._noise(np.array([inputs_on]))[0])

    def _noise(self, inputs_on: NDArray[Any]) -> NDArray[np.float64]:
        """Mean noise power of the recovered complex field [pattern], in units of |T b|^2."""
        arm, camera = self.imager.arm, self.imager.camera.card
        steps, reference = self.frames_per_pattern, self.reference
        brightness = arm.brightness(inputs_on).astype(np.float64)
        per_intensity = arm.photons_per_intensity * camera.quantum_efficiency
        light = reference.level_e + brightness * per_intensity
        electrons = light + camera.dark_e_per_s * arm.exposure_s
        electrons += camera.read_noise_e**2 + 1.0 / (12.0 * camera.gain**2)
        # The laser's noise moves the level of a whole frame; light that is new in each frame its speckle.
        electrons += light**2 * arm.energy_variance + 2.0 * self._decorrelation * (brightness * per_intensity) ** 2
        electrons += self._clipped(brightness * per_intensity)
        interfering = self._weight * per_intensity
        fringe = reference.level_e * interfering * reference.visibility**2 * self._kept**2
        # New light and phase errors are not the same in all steps: a twin image comes through, as strong as they are.
        new = 2.0 * (
            self._decorrelation / (1.0 - self._decorrelation)
            + (reference.mean_square_visibility / reference.visibility**2 - 1.0)
        )
        changing = brightness * new / self._on_gain2
        return np.asarray((electrons / fringe + changing) / steps)

    def _clipped(self, signal_e: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean square charge [e2] that the full well cuts off [pattern]."""
        levels, index = np.unique(signal_e, return_inverse=True)
        full_well = self.imager.camera.card.full_well_e
        return np.array([clipping_e2(self.reference.level_e, level, full_well) for level in levels])[index]

    def noise_variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """Predicted variance [pattern, 1] of a pattern's recovered real part, in units of `project`."""
        return (0.5 * float(self._scale) ** 2 * self._noise(inputs_on))[:, None].astype(np.float32)

    def offset(self) -> NDArray[np.float32]:
        """What noise in the calibration adds to each output of a pattern of weight 1 [output]."""
        imager = self.imager
        relative = imager.responsivity / np.float32(imager.camera.card.quantum_efficiency)
        expected = relative * imager.arm.off_field[0][1:-1] / np.float32(imager.arm.on_gain)
        return np.asarray(self._scale * (expected - self._constant), dtype=np.float32)
