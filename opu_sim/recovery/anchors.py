"""Linear projection without a reference arm, several anchors: an output is dark only where all of them are."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.recovery import combine_anchors
from opu_sim.dmd import Encoded
from opu_sim.imaging import SpeckleImager
from opu_sim.recovery.method import frames_at_once, patterns_at_once, vector_chunks

# Counts of the frames worked on at once: they stay in the cache.
_CHUNK_BYTES = 4 * 2**20
_VARIANCES_AT_ONCE = 2**18  # worked out in double precision


class AnchorsRecovery:
    """K + 1 intensity frames a pattern: alone, and beside each of K anchors, groups of mirrors kept for this.

    |X + A_k + o|^2 - |X + o|^2 - |A_k + o|^2 + |o|^2 = 2 Re(A_k* X), whatever leaks (o): the first two are the
    pattern's frames, the last two are measured once. Any sum over k with weights c_k is the projection on a direction
    of X's plane, Re((sum c_k A_k)* X). The weights are chosen output by output so that signal over noise is largest.
    With frames equally noisy, the noise of the K differences is sigma^2 (1 + 1 1^T), as they share the frame without
    anchor; the signal is c^T G c with the Gram matrix G_jk = Re(A_j* A_k), measured once from the anchors by pairs.
    The best c is the first generalised eigenvector: maximal-ratio combining. An output is left with the noise of a
    dim anchor only where the whole plane of anchors is dim.

    References
    ----------
    Gupta, Gribonval, Daudet & Dokmanic, "Don't take it lightly: Phasing optical random projections with unknown
    operators", NeurIPS 2019, arXiv 1907.01703 (anchors, and the Gram matrix from intensities of their sums).
    """

    pixels_per_mode = 1.0

    def __init__(self, imager: SpeckleImager) -> None:
        recovery = imager.arm.card.recovery
        self.imager = imager
        self.anchors = recovery.anchors
        self.frames_per_pattern = self.anchors + 1
        self._pairs = list(combinations(range(self.anchors), 2))
        self._averaged = recovery.calibration_frames
        self._floor_share = recovery.anchor_floor
        self.calibration_frames = recovery.calibration_frames * (1 + self.anchors + len(self._pairs))
        self._weights: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
        self._constant: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._brightness_e: NDArray[np.float64] = np.zeros((0, 0))

    def calibrate(self) -> None:
        """Average the frames of no mirror, of each anchor, and of each pair of anchors."""
        imager, K = self.imager, self.anchors
        arm = imager.arm
        views = [*imager.views(anchors=range(K)), *(imager.pair_view(j, k) for j, k in self._pairs)]
        mean = imager.mean_counts(np.zeros((1, arm.dmd.n_in), dtype=np.uint8), self._averaged, 0, views)
        of_anchor = mean[1 : K + 1] - mean[0]
        gram = np.zeros((imager.n_out, K, K))
        gram[:, range(K), range(K)] = of_anchor.T
        for (j, k), of_pair in zip(self._pairs, mean[K + 1 :], strict=True):
            gram[:, j, k] = gram[:, k, j] = 0.5 * (of_pair - mean[0] - of_anchor[j] - of_anchor[k])

        # Whitening by (1 + 1 1^T)^(-1/2) turns the generalised problem into a symmetric one.
        whiten = np.eye(K) - np.full((K, K), (1.0 - (1.0 + K) ** -0.5) / K)
        _, vectors = np.linalg.eigh(whiten @ gram @ whiten)
        c = vectors[:, :, -1] @ whiten
        # An eigenvector has no sign of its own: its largest entry is made positive.
        largest = np.take_along_axis(c, np.abs(c).argmax(axis=1)[:, None], axis=1)
        c *= np.where(largest < 0, -1.0, 1.0)
        power = np.einsum("ij,ijk,ik->i", c, gram, c) / np.einsum("ij,ij->i", c, c)
        c /= np.linalg.norm(c, axis=1, keepdims=True)
        camera = imager.camera.card
        per_intensity = arm.photons_per_intensity * camera.quantum_efficiency * camera.gain
        floor = self._floor_share * per_intensity * arm.anchor_brightness
        weight = imager.modes.weight
        # Twice the field's projection, in root DN; both coherence modes of the pixel, weighted as in the intensity.
        shrink = (weight**2 + (1.0 - weight) ** 2) ** 0.5
        kept = arm.on_gain * shrink * (1.0 - imager.decorrelation)
        unit = kept * (2.0 * arm.dmd.n_in * arm.mean_illumination * per_intensity) ** 0.5
        c /= (unit * np.sqrt(np.maximum(power, floor)))[:, None]
        self._weights = np.ascontiguousarray(c.T, dtype=np.float32)
        self._constant = np.einsum("ik,ki->i", c, of_anchor).astype(np.float32)
        self._brightness_e = of_anchor / camera.gain

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output]; K + 1 frames a pattern, from number `frame` on."""
        imager, step = self.imager, self.frames_per_pattern
        out = np.empty((len(encoded.first) - 1, imager.n_out), dtype=np.float32)
        views = imager.views(anchors=range(self.anchors))
        frames = frames_at_once(imager.n_out, _CHUNK_BYTES, step)
        batch = imager.arm.medium.batch
        at_once = patterns_at_once(imager.arm.n_in, imager.n_out, batch=batch, other_bytes=5 * frames * imager.n_out)
        for start, end in vector_chunks(encoded.first, at_once):
            p = int(encoded.first[start])
            patterns = encoded.patterns[p : encoded.first[end]]
            fields, on = imager.arm.fields(patterns), encoded.part(start, end).brightness
            first = encoded.first[start : end + 1] - p
            for v, w in vector_chunks(first, frames // step):
                q, r = int(first[v]), int(first[w])
                counts = imager.counts((fields[0][q:r], fields[1][q:r]), on[q:r], frame + step * (p + q), views)
                combine_anchors(
                    counts,
                    encoded.weights[p + q : p + r],
                    first[v : w + 1] - q,
                    self._weights,
                    self._constant,
                    out[start + v : start + w],
                )
        return out

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [output, input], from the medium and the weights that calibration chose."""
        imager = self.imager
        arm, weight = imager.arm, imager.modes.weight
        T = arm.medium.matrix().astype(np.complex128)
        fields = [arm.anchor_field(k) for k in range(self.anchors)]
        anchors = np.array([re + 1j * im for re, im in fields])
        c = self._weights.astype(np.float64)
        main = np.einsum("ki,ki->i", c, np.conj(anchors[:, 1:-1]))
        slope = np.einsum("ki,ki->i", c, np.conj(anchors[:, 2:] - anchors[:, :-2]))
        combined = weight * np.real(main[:, None] * T[1:-1])
        combined += (1.0 - weight) * 0.5 * np.real(slope[:, None] * (T[2:] - T[:-2]))
        to_dn = arm.photons_per_intensity * imager.camera.card.gain * imager.responsivity
        factor = 2.0 * arm.on_gain * (1.0 - imager.decorrelation) * to_dn
        return np.ascontiguousarray(factor[:, None] * combined, dtype=np.float32)

    def snr(self, inputs_on: float) -> float:
        """Predicted power signal-to-noise of one pattern's projection, over the outputs of this device."""
        on = np.array([inputs_on])
        noise = self.noise_variance(np.zeros((1, self.imager.n_out), dtype=np.float32), on)
        return float(inputs_on / self.imager.arm.dmd.n_in / noise.mean())

    def noise_variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """Predicted variance [pattern, output] of a pattern's projection.

        The pattern's own brightness at an output is taken at its mean: all but its projection is unknown.
        """
        out = np.empty((len(inputs_on), self.imager.n_out), dtype=np.float32)
        at_once = max(_VARIANCES_AT_ONCE // self.imager.n_out, 1)
        for start in range(0, len(out), at_once):
            part = slice(start, start + at_once)
            out[part] = self._variance(projected[part], inputs_on[part])
        return out

    def _variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float64]:
        imager, arm = self.imager, self.imager.arm
        camera = imager.camera.card
        per_intensity = arm.photons_per_intensity * camera.quantum_efficiency
        alone = arm.brightness(inputs_on).astype(np.float64)[:, None] * per_intensity
        c = self._weights.astype(np.float64) * camera.gain
        shared = c.sum(axis=0)
        floor = camera.dark_e_per_s * arm.exposure_s + camera.read_noise_e**2 + 1.0 / (12.0 * camera.gain**2)
        fresh = imager.decorrelation * per_intensity

        def frame_variance(light: NDArray[np.float64], brightness: NDArray[np.float64]) -> NDArray[np.float64]:
            new = fresh * brightness
            return np.asarray(light + floor + 2.0 * light * new + new**2 + light**2 * arm.energy_variance)

        without = alone / per_intensity
        variance = shared**2 * frame_variance(alone, without)
        difference = projected / np.maximum((c**2).sum(axis=0), 1e-30)
        for k in range(self.anchors):
            light = np.maximum(alone + self._brightness_e[k] + c[k] * difference, 0.0)
            variance = variance + c[k] ** 2 * frame_variance(light, without + arm.anchor_brightness)
        return np.asarray(variance)

    def offset(self) -> NDArray[np.float32]:
        """What noise in the calibration adds to each output of a pattern of weight 1 [output]."""
        imager = self.imager
        dark = np.zeros((1, imager.arm.dmd.n_in), dtype=np.uint8)
        views = imager.views(anchors=range(self.anchors))
        mean = imager.expected_counts(imager.arm.fields(dark), dark.sum(axis=1), views)
        expected = np.einsum("ki,ki->i", self._weights.astype(np.float64), mean[1:] - mean[0])
        return np.asarray(expected - self._constant, dtype=np.float32)
