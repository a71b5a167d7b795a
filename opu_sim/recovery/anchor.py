"""Linear projection without a reference arm: two intensity frames a pattern, and anchors measured once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.random import normals
from opu_sim._kernels.recovery import combine_pairs, pair_variance
from opu_sim.dmd import Encoded
from opu_sim.dmd.array import inputs_on
from opu_sim.imaging import SpeckleImager
from opu_sim.recovery.method import frames_at_once, patterns_at_once, vector_chunks
from opu_sim.rng import stream_key

# Counts of the frames worked on at once: they stay in the cache.
_CHUNK_BYTES = 4 * 2**20


class AnchorRecovery:
    """Two intensity frames a pattern and a common anchor, without a reference arm.

    Frames of pattern x and of its complement a - x (a: all mirrors ON) differ by
    |F(x)|^2 - |F(a-x)|^2 = 2 Re(c* g T x) - k, with c = F(x) + F(a-x) the same for every x, g the ON amplitude and
    k = |F(a)|^2 - |F(0)|^2 measured once. Division by sqrt(|F(a)|^2 - |F(0)|^2), also measured once, leaves the
    projection on a real Gaussian row, Re(e^{-i arg c} T x). Pixels with a dim anchor would amplify noise, so
    they are divided by a floor instead. OFF-state leakage is part of F, and cancels exactly.

    By construction every row's projection on the anchor itself is real and positive: without more, the entries of R
    would have a common mean of 1.3 / n_in, and an input whose entries do not add up to zero would move all outputs
    the same way. That one direction is known from the calibration, so it is given a random sign an output and
    the variance of every other direction.

    References
    ----------
    Ohana, Hesslow, Brunner, Gigan & Mueller, "Linear optical random projections without holography",
    Opt. Express 31, 25881 (2023), arXiv 2305.12988 (reference-free interferometry with an anchor).
    """

    frames_per_pattern = 2
    pixels_per_mode = 1.0

    def __init__(self, imager: SpeckleImager, seed: int) -> None:
        arm = imager.arm
        recovery = arm.card.recovery
        self.imager = imager
        self._floor_share = recovery.anchor_floor
        self._averaged = recovery.calibration_frames
        self.calibration_frames = 2 * recovery.calibration_frames
        signs = np.empty(imager.n_out, dtype=np.float32)
        normals(*stream_key(seed, "recovery.anchor_sign"), 0, signs)
        across, along = self._moments()
        self._kept_of_anchor = np.sign(signs) * np.float32((across / along) ** 0.5)
        electrons = arm.photons_per_intensity * imager.camera.card.quantum_efficiency
        dn_per_intensity = electrons * imager.camera.card.gain
        # Factor that gives the entries of R the variance 1 / n_in.
        self._norm = (arm.dmd.n_in * arm.mean_illumination * across * dn_per_intensity * arm.reference_gain) ** -0.5
        self._norm *= self._stray_light() ** -0.5
        self._constant: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._tilt: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._scale: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def _stray_light(self) -> float:
        """Second moment of an entry with mirrors stuck ON over that without them, before normalisation.

        Their speckle L is in both calibration frames: the anchor is c = (1 + off) A + 2 L, what it is divided by
        |A + L|^2 - |off A + L|^2, A being the light of all inputs. The mean of |c|^2 over the divisor is taken over two
        exponential brightnesses and the phase between them. The leakage of OFF mirrors alone is left out, 0.3 % at
        a contrast of 200.
        """
        arm = self.imager.arm
        stuck, off, floor = arm.mirrors.stuck_on, arm.dmd.off_amplitude, self._floor_share
        if stuck == 0.0:
            return 1.0
        light = stuck / (arm.dmd.n_in * arm.mean_illumination)
        brightness = -np.log1p(-(np.arange(200) + 0.5) / 200)
        A = np.sqrt(brightness)[:, None, None]
        phases = np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)
        L = np.sqrt(light * brightness)[None, :, None] * phases
        divisor = np.abs(A + L) ** 2 - np.abs(off * A + L) ** 2
        mean = np.mean(np.abs((1.0 + off) * A + 2.0 * L) ** 2 / np.maximum(divisor, floor * (1.0 + light)))
        without = arm.reference_gain * np.mean(brightness / np.maximum(brightness, floor))
        return float(mean / without)

    def calibrate(self) -> None:
        """Average the frames of all mirrors ON and of all mirrors OFF."""
        arm, imager = self.imager.arm, self.imager
        n_in = arm.dmd.n_in
        ones = np.ones((1, n_in), dtype=np.uint8)
        all_on, all_off = imager.mean_counts(ones, self._averaged, 0, imager.views(complement=True))
        floor = self._floor_share * imager.mean_dn(n_in)
        self._constant = (all_on - all_off).astype(np.float32)
        # The anchor itself projects to scale * 2 constant; see `combine_pairs` for what is taken off.
        self._tilt = (np.float32(2.0) * self._constant * (np.float32(1.0) - self._kept_of_anchor)).astype(np.float32)
        norm = self._norm / arm.on_gain / (1.0 - imager.decorrelation)
        anchor = np.sqrt(np.maximum(all_on - all_off, floor))
        self._scale = (0.5 * norm / anchor).astype(np.float32)

    def _moments(self) -> tuple[float, float]:
        """Second moments of a row of R before normalisation, in closed form from the law of the speckle.

        With u, v exponential brightnesses of the anchor in the pixel's two coherence modes of weights w, 1 - w, and
        I = w u + (1 - w) v, they are E[(w^2 u + (1-w)^2 v) / max(I, floor)] / 2 in any direction of the input space
        but the anchor's own, and E[I^2 / max(I, floor)] in that one.
        """
        weight = self.imager.modes.weight
        quantile = (np.arange(2000) + 0.5) / 2000
        u = -np.log1p(-quantile)[:, None]
        v = -np.log1p(-quantile)[None, :]
        brightness = weight * u + (1 - weight) * v
        divisor = np.maximum(brightness, self._floor_share)
        across = 0.5 * float(((weight**2 * u + (1 - weight) ** 2 * v) / divisor).mean())
        return across, float((brightness**2 / divisor).mean())

    def project(self, encoded: Encoded, frame: int) -> NDArray[np.float32]:
        """Linear projection [vector, output]; two frames a pattern, from number `frame` on."""
        imager = self.imager
        out = np.empty((len(encoded.first) - 1, imager.n_out), dtype=np.float32)
        views = imager.views(complement=True)
        frames = frames_at_once(imager.n_out, _CHUNK_BYTES, step=2)
        batch = imager.arm.medium.batch
        at_once = patterns_at_once(imager.arm.n_in, imager.n_out, batch=batch, other_bytes=5 * frames * imager.n_out)
        for start, end in vector_chunks(encoded.first, at_once):
            p = int(encoded.first[start])
            patterns = encoded.patterns[p : encoded.first[end]]
            fields, on = imager.arm.fields(patterns), inputs_on(patterns)
            first = encoded.first[start : end + 1] - p
            for v, w in vector_chunks(first, frames // 2):
                q, r = int(first[v]), int(first[w])
                some = (fields[0][q:r], fields[1][q:r])
                combine_pairs(
                    imager.counts(some, on[q:r], frame + 2 * (p + q), views),
                    encoded.weights[p + q : p + r],
                    (on[q:r] / imager.arm.dmd.n_in).astype(np.float32),
                    first[v : w + 1] - q,
                    self._constant,
                    self._tilt,
                    self._scale,
                    out[start + v : start + w],
                )
        return out

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [output, input], from the medium and the measured anchors."""
        imager = self.imager
        arm, weight = imager.arm, imager.modes.weight
        T = arm.medium.matrix().astype(np.complex128)
        all_on, off = (re.ravel() + 1j * im for re, im in (arm.all_on, arm.off_field))
        reference = arm.on_gain * all_on.ravel() + 2.0 * off.ravel()
        first = np.real(np.conj(reference[1:-1, None]) * T[1:-1])
        slope = np.conj(reference[2:] - reference[:-2])[:, None] * (T[2:] - T[:-2])
        combined = weight * first + (1.0 - weight) * 0.5 * np.real(slope)
        to_dn = arm.photons_per_intensity * imager.camera.card.gain * imager.responsivity
        factor = 2.0 * arm.on_gain * (1.0 - imager.decorrelation) * to_dn * self._scale
        # The light that is new in each frame grows with the mirrors ON, and so does its share of the difference.
        new_light = 2.0 * imager.decorrelation * arm.on_brightness * to_dn
        constant = self._scale * (new_light - self._tilt / arm.dmd.n_in)
        return (factor[:, None] * combined + constant[:, None]).astype(np.float32)

    def snr(self, inputs_on: float) -> float:
        """Predicted power signal-to-noise of one pattern's projection, over the outputs of this device."""
        arm, camera = self.imager.arm, self.imager.camera.card
        load = inputs_on / arm.dmd.n_in
        # The pattern's frame is brighter than its complement's by (2 load - 1) of the anchor's light, on average, give
        # or take the light across the anchor. The variance is a parabola in the difference: two points average it.
        mean = self._scale * np.float32(load) * (np.float32(2.0) * self._constant - self._tilt)
        across = 2.0 * arm.on_brightness * inputs_on * (1.0 - load) * arm.photons_per_intensity
        across_dn = across * camera.quantum_efficiency * camera.gain
        spread = self._scale * np.sqrt(np.maximum(self._constant, 0.0) * np.float32(across_dn))
        noise = self.noise_variance(np.stack([mean - spread, mean + spread]), np.array([inputs_on, inputs_on]))
        return float(load / noise.mean())

    def noise_variance(self, projected: NDArray[np.float32], inputs_on: NDArray[Any]) -> NDArray[np.float32]:
        """Predicted variance [pattern, output] of a pattern's projection, given its expectation.

        The difference of the two frames is known from the projection, and their sum nearly so: with c = F(x) +
        F(a-x) the anchor and D = F(x) - F(a-x), it is (|c|^2 + |D|^2) / 2, where D's part along c is the difference
        over |c|, and its part across c is on average what the number of inputs ON leaves to it. |c|^2 is taken from
        the calibration's difference, which mirrors stuck ON blur: with 5 % of them the noise is 0.6 dB above this.
        """
        imager, arm = self.imager, self.imager.arm
        camera, n_in = imager.camera.card, arm.dmd.n_in
        per_intensity = arm.photons_per_intensity * camera.quantum_efficiency
        # |c|^2 in electrons; noise may take a measured anchor below zero, a mirror's light is the least there is.
        anchor = np.maximum(self._constant * arm.reference_gain / camera.gain, per_intensity)
        load = inputs_on / n_in
        across = 0.5 * arm.on_brightness * n_in * (1.0 - (2.0 * load - 1.0) ** 2) * per_intensity
        # Light that is new in each frame: |F + g|^2 has the variance 2 |F|^2 E|g|^2 + (E|g|^2)^2.
        fresh = imager.decorrelation * per_intensity
        floor = camera.dark_e_per_s * arm.exposure_s + camera.read_noise_e**2 + 1.0 / (12.0 * camera.gain**2)
        out = np.empty((len(inputs_on), imager.n_out), dtype=np.float32)
        pair_variance(
            projected,
            load.astype(np.float32),
            across.astype(np.float32),
            (fresh * arm.brightness(inputs_on)).astype(np.float32),
            (fresh * arm.brightness(n_in - inputs_on)).astype(np.float32),
            np.float32(2.0 * floor),
            np.float32(0.5 * arm.energy_variance),
            np.float32(camera.gain),
            anchor.astype(np.float32),
            self._constant,
            self._tilt,
            self._scale,
            out,
        )
        return out

    def offset(self) -> NDArray[np.float32]:
        """What noise in the calibration adds to each output of a pattern of weight 1 [output]."""
        arm = self.imager.arm
        ones = np.ones((1, arm.dmd.n_in), dtype=np.uint8)
        on, off = self.imager.expected_counts(arm.fields(ones), ones.sum(axis=1), self.imager.views(complement=True))
        return np.asarray(self._scale * (self._constant - (on - off)), dtype=np.float32)
