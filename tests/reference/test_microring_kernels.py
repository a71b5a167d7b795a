"""Kernels of the weight bank against obvious twins, one number at a time."""

import naive
import numpy as np
import pytest
from numpy.typing import NDArray

from opu_sim._kernels import microring
from opu_sim.rng import stream_key

KEY, LASER_KEY = stream_key(3, "receiver"), stream_key(3, "lasers")


def sums(
    light: NDArray[np.float32],
    weights: NDArray[np.float32],
    totals: NDArray[np.float32],
    droop: NDArray[np.float32],
    lost: NDArray[np.float32],
    bank: tuple[int, int],
    noise: tuple[float, ...],
    converter: tuple[float, float],
    first_vector: int,
    gains: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Twin of `bank_sums` in float64."""
    passes, vectors, n_in = light.shape
    n_out, (rows, columns) = weights.shape[1], bank
    laser_sd, weight_variance, shot, other = noise
    step, largest = converter
    out = np.zeros((vectors, n_out))
    saturated = np.zeros((vectors, -(-n_out // rows)), dtype=np.int64)
    for v in range(vectors):
        row_keys = naive.row_keys(*KEY, first_vector + v)
        laser_keys = naive.row_keys(*LASER_KEY, first_vector + v)
        for o in range(n_out):
            tile = o // rows
            held = weights[:, o].astype(float)
            if droop.size:
                share = float(lost[v, o % rows])
                held += droop[0, :, o] * share + droop[1, :, o] * share**2
            for part in range(-(-n_in // columns)):
                inputs = range(part * columns, min(n_in, (part + 1) * columns))
                tile_keys = (naive.hash_counter(*laser_keys, part), naive.hash_counter(*laser_keys[::-1], tile))
                jitter = {j: naive.normal_pair(naive.hash_counter(*tile_keys, j)) for j in inputs}
                draws = naive.normal_pair(naive.hash_counter(*naive.row_keys(*row_keys, part), o))
                for p in range(passes):
                    lit = {j: float(light[p, v, j]) * (1 + laser_sd * jitter[j][p]) for j in inputs}
                    signal = sum(lit[j] * held[j] for j in inputs)
                    variance = (
                        other
                        + weight_variance * sum(lit[j] ** 2 for j in inputs)
                        + shot * sum(lit[j] * float(totals[j, o]) for j in inputs)
                    )
                    signal += np.sqrt(variance) * draws[p]
                    if gains.size:
                        signal *= gains[v, o]
                    code = np.rint(signal / step)
                    saturated[v, tile] += abs(code) >= largest
                    out[v, o] += (-1) ** p * step * np.clip(code, -largest, largest)
    return out, saturated


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize(
    ("vectors", "n_in", "n_out", "rows", "columns"),
    [(3, 7, 11, 4, 3), (1, 1, 1, 1, 1), (2, 5, 5, 50, 20), (0, 3, 3, 2, 2), (2, 6, 33, 16, 6)],
)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("laser_sd", "leaking"), [(0.0, False), (0.05, False), (0.05, True)])
def test_sums_of_channels(
    passes: int,
    vectors: int,
    n_in: int,
    n_out: int,
    rows: int,
    columns: int,
    gated: bool,
    laser_sd: float,
    leaking: bool,
) -> None:
    rng = np.random.default_rng(n_out)
    light = rng.random((passes, vectors, n_in), dtype=np.float32)
    weights = rng.uniform(-1, 1, (n_in, n_out)).astype(np.float32)
    totals = rng.uniform(0.8, 1, (n_in, n_out)).astype(np.float32)
    gains = rng.random((vectors, n_out), dtype=np.float32) if gated else np.empty((0, 0), np.float32)
    droop, lost = np.empty((0, 0, 0), np.float32), np.empty((0, 0), np.float32)
    if leaking:
        droop = rng.uniform(-1, 1, (2, n_in, n_out)).astype(np.float32)
        lost = rng.random((vectors, rows), dtype=np.float32)
    # A range that some readings overrun, and a step far above rounding in float32.
    noise, converter = (laser_sd, 0.01, 0.002, 0.003), (2.0**-9, 500.0)
    out = np.full((vectors, n_out), np.nan, dtype=np.float32)
    saturated = np.full((vectors, -(-n_out // rows)), -1, dtype=np.int64)
    microring.bank_sums(
        light,
        weights,
        totals,
        droop,
        lost,
        (rows, columns),
        tuple(np.float32(term) for term in noise),
        tuple(np.float32(term) for term in converter),
        (*KEY, *LASER_KEY),
        2**33,
        gains,
        out,
        saturated,
    )
    expected, ends = sums(light, weights, totals, droop, lost, (rows, columns), noise, converter, 2**33, gains)
    # Where a sum lies on the edge of a code, float32 may read the next one.
    parts = -(-n_in // columns)
    assert np.abs(out - expected).max(initial=0.0) <= parts * passes * 2.0**-9
    assert np.count_nonzero(np.abs(out - expected) > 1e-4) <= 0.02 * out.size
    assert np.abs(saturated - ends).sum() <= 1


def test_noise_of_products() -> None:
    y = np.random.default_rng(0).standard_normal((3, 5))
    mean, deviation = np.array([0.0, 0.1, 0.2], np.float32), np.array([1.0, 0.0, 2.0], np.float32)
    out = np.empty((3, 5), dtype=np.float32)
    microring.add_noise(y, mean, deviation, *KEY, 7, out)
    normals = naive.noise(*KEY, 7, 1, 3, 5)[:, :, 0]
    np.testing.assert_allclose(out, y + mean[:, None] + deviation[:, None] * normals, atol=3e-6)


def test_entries_are_drawn_one_by_one() -> None:
    uniform, normal = np.empty((3, 5), np.float32), np.empty((3, 5), np.float32)
    microring.fill_uniform(*KEY, uniform)
    microring.fill_normal(*KEY, normal)
    for o in range(3):
        keys = naive.row_keys(*KEY, o)
        for j in range(5):
            bits = naive.hash_counter(*keys, j)
            assert uniform[o, j] == pytest.approx(1 - 2 * naive.uniform(bits), abs=1e-7)
            assert normal[o, j] == pytest.approx(naive.normal_pair(bits)[0], abs=2e-6)
