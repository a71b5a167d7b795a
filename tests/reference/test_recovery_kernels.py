"""Kernels of phase stepping, of several anchors and of the `mode` rung against their naive twins."""

from itertools import pairwise

import naive
import numpy as np
import pytest

from opu_sim._kernels import random, recovery, speckle

KEY, KEY_2 = np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543210)
SHAPES = [(0, 5), (3, 0), (1, 1), (2, 3), (3, 17), (5, 33)]


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def vectors(patterns: int) -> np.ndarray:
    """first [vector + 1]: vectors of 0, 1 and 2 patterns."""
    first = [0]
    while first[-1] < patterns:
        first.append(min(first[-1] + (len(first) - 1) % 3, patterns))
    return np.array(first, dtype=np.int64)


@pytest.mark.parametrize("shape", SHAPES)
def test_uniforms(shape: tuple[int, int]) -> None:
    out = np.empty(shape[1], np.float32)
    random.uniforms(KEY, KEY_2, 7, out)
    expected = [naive.uniform(naive.hash_counter(int(KEY), int(KEY_2), 7 + i)) for i in range(shape[1])]
    np.testing.assert_allclose(out, np.array(expected), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [3, 4])
@pytest.mark.parametrize("jitter", [0.0, 1.5])
def test_interference_photons(shape: tuple[int, int], steps: int, jitter: float) -> None:
    patterns, n = shape
    re, im = rng().standard_normal((2, patterns, n + 2)).astype(np.float32) * 8
    offset_re, offset_im = rng(1).standard_normal((2, n + 2)).astype(np.float32)
    cosine, sine, energy = rng(2).uniform(-1, 1, (3, steps * patterns)).astype(np.float32)
    energy = np.abs(energy)
    sigma = np.full(patterns, jitter, np.float32)
    gain, weight, keep, reference, cross = (np.float32(v) for v in (0.9, 0.8, 0.97, 40.0, 60.0))
    out = np.empty((steps * patterns, n), np.float32)
    speckle.interference_photons(
        re, im, gain, offset_re, offset_im, weight, sigma, keep, reference, cross, cosine, sine, energy, KEY, KEY_2, 11,
        steps, out,
    )  # fmt: skip
    field = np.repeat(gain * (re + 1j * im) + offset_re + 1j * offset_im, steps, axis=0).astype(np.complex128)
    draws = naive.noise(int(KEY), int(KEY_2), 11, 1, steps * patterns, n)
    main = keep * field[:, 1:-1] + jitter * (draws[..., 0] + 1j * draws[..., 1])
    slope = np.abs(field[:, 2:] - field[:, :-2]) ** 2 / 2
    fringe = np.real(main * (cosine + 1j * sine)[:, None])
    light = reference + weight * np.abs(main) ** 2 + (1 - weight) * slope + cross * fringe
    np.testing.assert_allclose(out, energy[:, None] * np.maximum(light, 0), rtol=2e-5, atol=1e-2)
    if out.size > 50:  # the light is never negative, also where the numbers above would have it so
        assert (light < 0).any()
        assert (out >= 0).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_combine_steps(shape: tuple[int, int], dtype: type) -> None:
    patterns, n = shape
    counts = rng().integers(0, np.iinfo(dtype).max, (5 * patterns, n), endpoint=True, dtype=dtype)
    factors = rng(1).standard_normal(5).astype(np.float32)
    out = np.empty((patterns, n), np.float32)
    recovery.combine_steps(counts, factors, out)
    expected = np.einsum("k,pki->pi", factors.astype(np.float64), counts.reshape(patterns, 5, n))
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("anchors", [2, 5])
def test_combine_anchors(shape: tuple[int, int], dtype: type, anchors: int) -> None:
    patterns, n = shape
    counts = rng().integers(0, np.iinfo(dtype).max, ((anchors + 1) * patterns, n), endpoint=True, dtype=dtype)
    weights = rng(1).standard_normal(patterns).astype(np.float32)
    factors = rng(2).standard_normal((anchors, n)).astype(np.float32)
    constant = rng(3).standard_normal(n).astype(np.float32)
    first = vectors(patterns)
    out = np.empty((len(first) - 1, n), np.float32)
    recovery.combine_anchors(counts, weights, first, factors, constant, out)
    frames = counts.reshape(patterns, anchors + 1, n).astype(np.float64)
    each = np.einsum("ki,pki->pi", factors.astype(np.float64), frames[:, 1:] - frames[:, :1]) - constant
    expected = [(weights[a:b, None] * each[a:b]).sum(axis=0) for a, b in pairwise(first)]
    np.testing.assert_allclose(out, np.array(expected).reshape(out.shape), rtol=1e-4, atol=0.5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("common", [True, False])
def test_combine_noisy(shape: tuple[int, int], common: bool) -> None:
    patterns, n = shape
    projected = rng().standard_normal((patterns, n)).astype(np.float32)
    deviation = rng(1).uniform(0, 1, (patterns, 1 if common else n)).astype(np.float32)
    weights = rng(2).integers(-1, 2, patterns).astype(np.float32)  # some are 0
    first = vectors(patterns)
    out = np.empty((len(first) - 1, n), np.float32)
    recovery.combine_noisy(projected, deviation, weights, first, KEY, KEY_2, 23, 3, out)
    draws = naive.noise(int(KEY), int(KEY_2), 23, 3, patterns, n)[..., 0]
    each = weights[:, None] * (projected + deviation * draws)
    expected = [each[a:b].sum(axis=0) for a, b in pairwise(first)]
    np.testing.assert_allclose(out, np.array(expected).reshape(out.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_pair_variance(shape: tuple[int, int]) -> None:
    patterns, n = shape
    projected = rng().standard_normal((patterns, n)).astype(np.float32) * 3
    load, across, f, g = rng(1).uniform(0, 1, (4, patterns)).astype(np.float32)
    across, f, g = across * 500, f * 2, g * 3
    anchor = rng(2).uniform(1, 2000, n).astype(np.float32)
    constant, tilt = rng(3).standard_normal((2, n)).astype(np.float32) * 20
    scale = rng(4).uniform(0.01, 0.1, n).astype(np.float32)
    gain, floor, e = np.float32(0.02), np.float32(400.0), np.float32(1e-4)
    out = np.empty((patterns, n), np.float32)
    recovery.pair_variance(projected, load, across, f, g, floor, e, gain, anchor, constant, tilt, scale, out)
    D = (projected / scale.astype(np.float64) - constant + load[:, None] * tilt) / gain
    S = np.maximum((anchor + across[:, None] + D**2 / anchor) / 2, np.abs(D))
    f, g = f[:, None].astype(np.float64), g[:, None].astype(np.float64)
    first, second = (S + D) / 2, (S - D) / 2  # light of the two frames
    variance = first + second + 2 * first * f + 2 * second * g + f**2 + g**2 + floor
    variance = variance + 2 * (first**2 + second**2) * e
    np.testing.assert_allclose(out, variance * (scale * gain) ** 2, rtol=2e-4)
