"""Checks on linear projections: the matrix, superposition, scale, signal-to-noise, the digital product."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from opu_sim.medium.statistics import ks_marchenko_pastur, singular_values
from opu_sim.rng import stream
from opu_sim.self_test.estimators import Array, blocks, jackknife, ratio
from opu_sim.self_test.prediction import Prediction
from opu_sim.self_test.probe import Probe
from opu_sim.self_test.report import SelfTest

_SIGMAS = 4.0  # of sampling error that every check allows
_NULL_MATRICES = 8  # random matrices of the same shape that the Marchenko-Pastur distance is judged by
_SUPERPOSED = 48
_SCALED = 24
_SCALES = np.array([1.0, 3.0, 5.0]) / 7.0  # exact for three, six, nine or twelve bit planes
_COMPARED = 64
_SNR_PATTERNS, _SNR_REPEATS = 12, 12
_SNR_SHARES = (1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0)
_SNR_DB = 0.5  # stated; more where four standard errors are more
_LINEARITY = 0.005  # stated: half a per cent of slope, on top of the sampling error
_SUPERPOSITION = 0.02  # stated: rms deviation from superposition
_GAIN = 0.05  # stated: scale of the matrix


class MeasuredMatrix:
    """Response of the outputs to each macro-input, from two independent projections of orthogonal vectors.

    Attributes
    ----------
    first, second : float [output, group]
        The two measurements, each unbiased.
    signal, noise : float
        Power of one projected output of these vectors, and of its noise.
    """

    def __init__(self, probe: Probe) -> None:
        x = probe.orthogonal()
        shots = probe.project(x), probe.project(x)
        self.first, self.second = (y.T @ x / len(x) for y in shots)
        self.vectors = len(x)
        products = np.stack([shots[0] * shots[1], 0.5 * (shots[0] - shots[1]) ** 2]).mean(axis=2)
        self.per_vector: Array = products.T
        self.signal, self.noise = (float(part) for part in products.mean(axis=1))

    @property
    def mean(self) -> Array:
        """Average of the two [output, group]."""
        return np.asarray(0.5 * (self.first + self.second))

    @property
    def entry_noise(self) -> float:
        """Variance of an entry of the average: orthogonal vectors share the noise out evenly."""
        return 0.5 * self.noise / self.vectors


def check_matrix(test: SelfTest, probe: Probe, matrix: MeasuredMatrix, prediction: Prediction | None) -> None:
    """Singular values after Marchenko and Pastur, and the scale that every device keeps: entries of variance 1 / n_in.

    References
    ----------
    Popoff et al., "Measuring the transmission matrix in optics", arXiv 0910.5436 (singular values of a strongly
    scattering medium's matrix, measured with Hadamard inputs); Marchenko & Pastur 1967.
    """
    single = 1.0 / probe.group_sizes**0.5  # a macro-input sums the responses of so many inputs
    power = probe.n_in * np.mean(matrix.first * matrix.second * single**2, axis=1)
    error = float(power.std(ddof=1) * len(power) ** -0.5)
    test.add(
        "scale of the matrix", float(power.mean()), 1.0, _GAIN + _SIGMAS * error, note="n_in x variance of an entry"
    )

    # Rows are brought to one norm, as the brightness of the medium may vary over the outputs.
    T = normalised(matrix.mean * single)
    distance = ks_marchenko_pastur(T)
    expected, spread = distance_of_random_matrices(T.shape, None if prediction is None else prediction.shared_weight)
    test.add(
        "singular values, KS",
        distance,
        expected,
        _SIGMAS * spread + 0.5 * expected,
        note="to Marchenko and Pastur's law; expected: of random matrices of this shape, read alike",
    )
    short, long = sorted(T.shape)
    test.series["matrix"] = {"squared": singular_values(T) ** 2, "gamma": short / long, "ks": distance}


@lru_cache
def distance_of_random_matrices(shape: tuple[int, int], weight: float | None) -> tuple[float, float]:
    """Mean and sd of the Marchenko-Pastur distance of random matrices [output, input], from eight of them.

    weight : of a pixel's first coherence mode, where a recovery without a reference reads them; then a pixel's second
        mode, the field's slope, is shared with its neighbours, and the rows of a fine-grained medium are not
        independent (`AnchorRecovery.matrix`). None: independent entries.
    """
    rng = stream(0, "self_test.random_matrices")
    outputs, inputs = shape
    distances = []
    for _ in range(_NULL_MATRICES):
        T = rng.standard_normal(shape)
        if weight is not None:
            parts = rng.standard_normal((2, outputs + 2, inputs + 1))
            fields = parts[0] + 1j * parts[1]
            anchor, field = fields[:, :1].conj(), fields[:, 1:]
            slope = (anchor[2:] - anchor[:-2]) * (field[2:] - field[:-2])
            T = np.real(weight * anchor[1:-1] * field[1:-1] + 0.5 * (1.0 - weight) * slope)
        distances.append(ks_marchenko_pastur(normalised(T)))
    return float(np.mean(distances)), float(np.std(distances, ddof=1))


def normalised(T: Array) -> Array:
    """Rows of rms 1; rows of zeros, of dead pixels, stay."""
    rms = np.sqrt(np.mean(T**2, axis=1, keepdims=True))
    return np.asarray(T / np.where(rms > 0, rms, 1.0))


def check_linearity(test: SelfTest, probe: Probe, bit_planes: int | None) -> None:
    """Superposition, project(a + b) on project(a) + project(b), and proportionality, project(s x) on s.

    All regressions are of one measurement on another, independent one of the same (an instrumental variable), so that
    noise does not flatten the slopes.
    """
    whole = probe.ternary(_SUPERPOSED)
    left = probe.rng.random(whole.shape) < 0.5
    a, b = np.where(left, whole, 0.0), np.where(left, 0.0, whole)
    first, second = (probe.project(a) + probe.project(b) for _ in range(2))
    together, again = (probe.project(a + b) for _ in range(2))
    sums = np.stack(
        [
            np.mean(0.25 * (together + again) * (first + second), axis=1),
            np.mean(first * second, axis=1),
            np.mean((together - first) * (again - second), axis=1),
        ],
        axis=1,
    )
    slope, error = jackknife(sums[:, :2], ratio)
    test.add("superposition, slope", slope, 1.0, _LINEARITY + _SIGMAS * error, note="project(a + b) on the sum")
    power, error = jackknife(sums[:, [2, 1]], ratio)
    # In power, where the noise-free estimate is unbiased; shown as an amplitude.
    allowed = (_SUPERPOSITION**2 + _SIGMAS * error) ** 0.5
    amplitude = math.copysign(abs(power) ** 0.5, power)
    test.add("superposition, deviation", amplitude, 0.0, allowed, note="rms over the signal's, noise taken off")
    test.series["linearity"] = {"sum": first.ravel(), "together": together.ravel(), "slope": slope}

    # s x on half of the inputs beside a constant pattern on the others, which keeps the scale of the bit planes.
    x, beside = np.where(left, whole, 0.0)[:_SCALED], np.where(left, 0.0, whole)[:_SCALED]
    alone, background = probe.project(x), probe.project(beside)
    reference = np.mean(alone * probe.project(x), axis=1)
    projected = np.stack([probe.project(s * x + beside) - background for s in _SCALES])
    covariance = np.mean(projected * alone, axis=2)
    slope, error = jackknife(np.stack([_SCALES @ covariance, _SCALES @ _SCALES * reference], axis=1), ratio)
    rounding = 0.0
    if bit_planes is not None:
        steps = 2.0**bit_planes - 1.0
        rounded = np.rint(_SCALES * steps) / steps
        rounding = abs(float(_SCALES @ (rounded - _SCALES) / (_SCALES @ _SCALES)))
    tolerance = _LINEARITY + rounding + _SIGMAS * error
    test.add("proportionality, slope", slope, 1.0, tolerance, note="project(s x) on s, beside a constant pattern")
    values = np.mean(covariance, axis=1) / float(reference.mean())
    test.series["linearity"] |= {"scales": _SCALES, "scaled": values}


def check_noise(test: SelfTest, probe: Probe, matrix: MeasuredMatrix, prediction: Prediction | None) -> None:
    """Signal-to-noise of binary patterns at three levels of light, effective bits of a +-1 vector.

    Both against the device's own prediction. Effective bits are 0.5 log2 of the signal-to-noise ratio of powers.
    """
    snr = getattr(probe.device, "snr", None) if prediction is None else prediction.snr
    measured, expected, light = [], [], []
    for share in _SNR_SHARES:
        count = max(round(share * probe.groups), 1)
        keys = probe.rng.random((_SNR_PATTERNS, probe.groups))
        x = (keys.argsort(axis=1).argsort(axis=1) < count).astype(np.float64)
        on = round(float((x * probe.group_sizes).sum(axis=1).mean()))
        y = probe.project(np.repeat(x, _SNR_REPEATS, axis=0)).reshape(_SNR_PATTERNS, _SNR_REPEATS, -1)
        noise = y.var(axis=1, ddof=1).mean(axis=0)
        signal = np.mean(y.mean(axis=1) ** 2, axis=0) - noise / _SNR_REPEATS
        # Over blocks of outputs: each has one row of the matrix for all patterns.
        value, error = jackknife(blocks(np.stack([signal, noise])), ratio)
        spread = 10.0 / math.log(10.0) * _SIGMAS * error / value if value > 0 else 0.0
        name = f"signal to noise, 1/{round(1.0 / share)} ON"
        _add_snr(test, name, value, snr(on) if snr else None, spread)
        light.append(on / probe.n_in)
        measured.append(value)
        expected.append(snr(on) if snr else math.nan)
    if np.isfinite(measured).any():
        test.series["snr"] = {"light": light, "measured": measured, "expected": expected}

    _effective_bits(test, probe, matrix, prediction)


def _effective_bits(test: SelfTest, probe: Probe, matrix: MeasuredMatrix, prediction: Prediction | None) -> None:
    """Of a vector of signs. Shown as two patterns, either brings its noise, and its half of the signal."""
    name = "effective bits, +-1 vector"
    value, error = jackknife(matrix.per_vector, ratio)
    if value <= 0 or not math.isfinite(value):
        test.add(name, None, note="no noise")
        return
    bits = 0.5 * math.log2(value)
    if prediction is None:
        test.add(name, bits, note="no prediction to compare with")
        return
    like = prediction.snr(probe.n_in if prediction.signs_at_once else probe.n_in // 2)
    tolerance = max(0.5 * math.log2(10.0) * _SNR_DB / 10.0, _SIGMAS * error / (2.0 * math.log(2.0) * value))
    test.add(name, bits, 0.5 * math.log2(like), tolerance, note="0.5 log2 of signal over noise")


def _add_snr(test: SelfTest, name: str, value: float, expected: float | None, spread_db: float) -> None:
    if value <= 0 or not math.isfinite(value):
        test.add(name, None, unit="dB", note="no noise")
    elif expected is None or not math.isfinite(expected):
        test.add(name, 10.0 * math.log10(value), unit="dB", note="no prediction to compare with")
    else:
        test.add(name, 10.0 * math.log10(value), 10.0 * math.log10(expected), max(_SNR_DB, spread_db), "dB")


def check_product(test: SelfTest, probe: Probe, matrix: MeasuredMatrix) -> None:
    """Cosine of projections with the digital product of the measured matrix: what a linear device's noise leaves.

    Both sides are noisy: with powers S of the signal, N of a projection's noise and E of the product's, the cosine of
    a linear device is S / sqrt((S + N) (S + E)).
    """
    x = probe.ternary(_COMPARED, share=2.0 / 3.0)
    y, again = probe.project(x), probe.project(x)
    product = x @ matrix.mean.T
    noise = 0.5 * float(np.mean((y - again) ** 2))
    signal = float(np.mean(y * again))
    product_noise = matrix.entry_noise * float(np.mean(np.sum(x**2, axis=1)))
    sums = np.stack([np.mean(y * product, axis=1), np.mean(y**2, axis=1), np.mean(product**2, axis=1)], axis=1)
    cosine, error = jackknife(sums, lambda s: float(s[0] / (s[1] * s[2]) ** 0.5))
    expected = signal / ((signal + noise) * (signal + product_noise)) ** 0.5 if signal > 0 else math.nan
    tolerance = _SUPERPOSITION**2 / 2.0 + 1e-6 + _SIGMAS * error
    test.add("cosine with digital product", cosine, expected, tolerance, note="expected: of the noise alone")
    repeated = signal / (signal + noise) if signal > 0 else math.nan
    test.series["product"] = {"cosine": cosine, "repeated": repeated}
