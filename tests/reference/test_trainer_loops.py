"""The trainer's compiled loops against the same operations in NumPy, array by array: the same bits."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from dfa import loops, parallel

DTYPES = [np.float32, np.float64]


def drawn(dtype: Any, count: int, *shape: int) -> list[np.ndarray]:
    """Arrays with zeros among their entries, as gradients behind a relu have."""
    rng = np.random.default_rng(4)
    return [(rng.standard_normal(shape) * (rng.random(shape) < 0.7)).astype(dtype) for _ in range(count)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_sgd(dtype: Any, decay: float) -> None:
    p, g, velocity = drawn(dtype, 3, 1001)
    rate, momentum, weight = dtype(0.03), dtype(0.9), dtype(decay)
    v = velocity * momentum + (g + p * weight)
    expected = p - v * rate
    loops.sgd(p, g, velocity, rate, momentum, weight)
    np.testing.assert_array_equal(velocity, v)
    np.testing.assert_array_equal(p, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_adam(dtype: Any, decay: float) -> None:
    p, g, first, second = drawn(dtype, 4, 1001)
    second = np.abs(second)
    rate, beta1, beta2, epsilon, weight = (dtype(value) for value in (3e-3, 0.9, 0.999, 1e-8, decay))
    gradient = g + p * weight
    m, v = first * beta1 + gradient, second * beta2 + gradient * gradient
    expected = p - m / (np.sqrt(v) + epsilon) * rate
    loops.adam(p, g, first, second, rate, beta1, beta2, epsilon, weight)
    np.testing.assert_array_equal(first, m)
    np.testing.assert_array_equal(second, v)
    np.testing.assert_array_equal(p, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_and_its_slope(dtype: Any) -> None:
    h, incoming = drawn(dtype, 2, 37, 53)
    bias = drawn(dtype, 1, 53)[0]
    h[3, 4] = np.nan
    expected = np.maximum(h + bias, 0)
    loops.add_bias_relu(h, bias)
    np.testing.assert_array_equal(h, expected)
    assert np.isnan(h[3, 4])
    out = np.full_like(h, 7)
    wide = np.concatenate([incoming, incoming], axis=1)  # feedback is a slice of a wider array
    loops.relu_slope_times(h, wide[:, 53:], out)
    np.testing.assert_array_equal(out, incoming * (h > 0))


def test_pieces_take_no_more_threads_than_the_kernels() -> None:
    import threading

    def threads_of(share: int) -> int:
        seen, both = set(), threading.Barrier(share)

        def work(_: int) -> None:
            seen.add(threading.get_ident())
            both.wait(10)

        numba.set_num_threads(share)
        parallel.for_each(4 * share, work)
        return len(seen)

    before = numba.get_num_threads()
    try:
        assert [threads_of(share) for share in range(1, before + 1)] == list(range(1, before + 1))
    finally:
        numba.set_num_threads(before)
