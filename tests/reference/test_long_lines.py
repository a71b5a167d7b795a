"""Kernels that cut long lines into jobs: the cut shows nowhere, to the last bit."""

import naive
import numba
import numpy as np
import pytest

from opu_sim._kernels import camera, recovery, speckle
from opu_sim._kernels.chunks import chunk_of, chunks_of

KEY, KEY_2 = np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543210)
LONG, PREFIX = 40_003, 30_000  # three chunks of 13,344 and two of 15,008: their ends lie apart
SEAMS = [13_343, 13_344, 15_007, 15_008, 26_687, 26_688]


@numba.njit
def slices_of(n):
    return [(chunk_of(k, n).start, chunk_of(k, n).stop) for k in range(chunks_of(n))]


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def lines(seed: int, count: int, n: int) -> np.ndarray:
    """float32 [count, n]; the first entries are the same for any n."""
    return np.ascontiguousarray(rng(seed).standard_normal((LONG + 2, count), dtype=np.float32)[:n].T)


@pytest.mark.parametrize("n", [1, 15, 16_384, 16_385, LONG, 2_228_224])
def test_chunks_cover_a_line_once_and_are_about_equal(n: int) -> None:
    slices = slices_of(n)
    assert [start for start, _ in slices] == [0, *(stop for _, stop in slices[:-1])]
    assert slices[-1][1] == n
    sizes = [stop - start for start, stop in slices]
    # Rounded up to 16, so that only the last one may be shorter, by 16 for each of the others.
    assert max(sizes) <= 16_384
    assert min(sizes) >= max(sizes) - 16 * len(sizes)


def exposed(n: int, hot: np.ndarray, frames: int = 2, dark_e: float = 0.0) -> tuple[np.ndarray, tuple[int, int]]:
    """Counts of 0 .. 400 e- at half an electron a photon; charges are whole numbers of e- / 2, exact in float32."""
    light = rng(1).integers(0, 800, (LONG, 2)).astype(np.float32)[:n, :frames].T.copy()
    out = np.empty((frames, n), np.uint8)
    counted = camera.expose(
        light, np.full(n, 0.5, np.float32), np.float32(dark_e), np.float32(390), np.float32(1), np.zeros(n, np.float32),
        np.float32(0.7), np.float32(1), 255, np.float32(20), hot, np.float32(64), KEY, KEY_2, 9, out,
    )  # fmt: skip
    return out, counted


def test_exposure() -> None:
    none, hot = np.empty(0, np.int64), np.array([0, 5, *SEAMS, LONG - 1])
    plain, counted = exposed(LONG, none)
    assert np.array_equal(plain[:, :PREFIX], exposed(PREFIX, none)[0])
    assert counted == (np.count_nonzero(plain == 255), np.count_nonzero(plain == 0))
    assert min(counted) > 0
    # Hot pixels are exposed with their own charge, on whichever side of a seam they lie, and no others are.
    some, counted = exposed(LONG, hot)
    assert counted == (np.count_nonzero(some == 255), np.count_nonzero(some == 0))
    assert np.array_equal(some[:, hot], exposed(LONG, none, dark_e=64.0)[0][:, hot])
    others = np.setdiff1d(np.arange(LONG), hot)
    assert np.array_equal(some[:, others], plain[:, others])
    assert not np.array_equal(some, plain)


def photons(n: int, jitter: float) -> np.ndarray:
    fields, offset = lines(2, 4, n + 2), lines(3, 2, n + 2)
    out = np.empty((2, n), np.float32)
    scalars = np.float32(-0.9), *offset, np.float32(0.8), np.full(2, jitter, np.float32), np.float32(0.97)
    speckle.speckle_photons(*np.split(fields, 2), *scalars, np.ones(2, np.float32), KEY, KEY_2, 3, 1, 0, out)
    return out


@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_speckle_photons(jitter: float) -> None:
    long = photons(LONG, jitter)
    assert np.array_equal(long[:, :PREFIX], photons(PREFIX, jitter))
    # The draws at the seams are those of the output's own number.
    keys = naive.row_keys(int(KEY), int(KEY_2), 4)
    field = lines(2, 4, LONG + 2).astype(np.float64)
    offset = lines(3, 2, LONG + 2).astype(np.float64)
    F = -0.9 * (field[1] + 1j * field[3]) + offset[0] + 1j * offset[1]
    for i in SEAMS:
        light = 0.97 * (0.8 * abs(F[i + 1]) ** 2 + 0.1 * abs(F[i + 2] - F[i]) ** 2)
        g, h = naive.normal_pair(naive.hash_counter(*keys, i))
        assert abs(long[1, i] - abs(light**0.5 + jitter * (g + 1j * h)) ** 2) < 1e-5 * (1 + light)


def perturbed(n: int) -> np.ndarray:
    fields = lines(4, 4, n)
    speckle.perturb_fields(fields[:2], fields[2:], np.array([0.3, 2], np.float32), np.float32(0.9), KEY, KEY_2, 3)
    return fields


def interfering(n: int) -> np.ndarray:
    fields, offset = lines(2, 4, n + 2), lines(3, 2, n + 2)
    out = np.empty((6, n), np.float32)
    phase = np.cos(np.arange(6)).astype(np.float32), np.sin(np.arange(6)).astype(np.float32)
    scalars = [np.float32(v) for v in (0.97, 40, 10)]
    speckle.interference_photons(
        *np.split(fields, 2), np.float32(0.9), *offset, np.float32(0.8), np.array([0, 0.4], np.float32), *scalars,
        *phase, np.ones(6, np.float32), KEY, KEY_2, 3, 3, out,
    )  # fmt: skip
    return out


def combined(n: int) -> np.ndarray:
    """All ways to combine frames: three patterns, two vectors."""
    counts = rng(6).integers(0, 256, (LONG, 9), dtype=np.uint8)[:n].T.copy()
    values, per_output = lines(7, 3, n), np.abs(lines(8, 6, n)) + np.float32(0.1)
    weights, first = np.array([0.5, -1, 2], np.float32), np.array([0, 2, 3], np.int64)
    on = np.array([0.1, 0.5, 0.9], np.float32)
    outs = [np.empty((rows, n), np.float32) for rows in (2, 2, 3, 2, 2, 2, 3)]
    recovery.combine_pairs(counts[:6], weights, on, first, *per_output[:3], outs[0])
    recovery.combine_fields(values, weights, first, per_output[0], np.float32(0.3), outs[1])
    recovery.combine_steps(counts, weights, outs[2])
    recovery.combine_anchors(counts, weights, first, per_output[:2], per_output[2], outs[3])
    recovery.combine_noisy(values, per_output[:3], weights, first, KEY, KEY_2, 3, 2, outs[4])
    recovery.combine_noisy(values, per_output[:3, :1].copy(), weights, first, KEY, KEY_2, 3, 2, outs[5])
    scalars = [np.float32(v) for v in (4, 1e-4, 0.02)]
    recovery.pair_variance(values, on, on, on, on, *scalars, *per_output[:4], outs[6])
    return np.concatenate(outs)


@pytest.mark.parametrize("made", [perturbed, interfering, combined])
def test_a_longer_line_begins_with_the_same_numbers(made) -> None:
    long = made(LONG)
    assert np.isfinite(long).all()
    assert np.array_equal(long[:, :PREFIX], made(PREFIX))


def test_threads() -> None:
    def results() -> list[np.ndarray]:
        hot = np.array(SEAMS)
        return [exposed(LONG, hot)[0], photons(LONG, 0.5), perturbed(LONG), interfering(LONG), combined(LONG)]

    expected, before = results(), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert all(np.array_equal(a, b) for a, b in zip(results(), expected, strict=True))
    finally:
        numba.set_num_threads(before)
