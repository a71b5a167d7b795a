"""Same seed, same numbers, to the last bit: for any cut of the batch, number of threads and number of
outputs."""

from typing import Any

import numba
import numpy as np
import pytest

from opu_sim import load_device

NAMES = ["lighton-aurora", "light-in-the-loop"]
N_IN, N_OUT = 70, 301


def inputs(kind: str) -> np.ndarray:
    rng = np.random.default_rng(11)
    if kind == "ternary":
        return rng.integers(-1, 2, (9, N_IN)).astype(np.float32)
    x = rng.standard_normal((9, N_IN)).astype(np.float32)
    x[3] = np.sign(x[3])  # ternary and binary vectors between the real ones
    x[5] = x[5] > 0
    return x


def projected(
    name: str, x: np.ndarray, cuts: tuple[int, ...] = (), n_out: int = N_OUT, seed: int = 12, **overrides: Any
) -> np.ndarray:
    with load_device(name, n_in=N_IN, n_out=n_out, seed=seed, **overrides) as opu:
        return np.concatenate([opu.project(part) for part in np.split(x, cuts)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["ternary", "real"])
@pytest.mark.parametrize("cuts", [(1,), (4, 5), tuple(range(1, 9))])
def test_cut_of_the_batch(name: str, kind: str, cuts: tuple[int, ...]) -> None:
    x = inputs(kind)
    assert np.array_equal(projected(name, x, cuts), projected(name, x))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["ternary", "real"])
def test_threads(name: str, kind: str) -> None:
    x = inputs(kind)
    expected = projected(name, x)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(projected(name, x), expected)
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["ternary", "real"])
@pytest.mark.parametrize("n_out", [1, 37, 256, 300])
def test_first_outputs_of_a_larger_device(name: str, kind: str, n_out: int) -> None:
    x = inputs(kind)
    assert np.array_equal(projected(name, x, n_out=n_out), projected(name, x)[:, :n_out])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_out", [37, 256])
def test_matrix_of_a_larger_device(name: str, n_out: int) -> None:
    small, large = (load_device(name, n_in=N_IN, n_out=n, seed=12).matrix() for n in (n_out, N_OUT))
    assert np.array_equal(small, large[:n_out])


@pytest.mark.parametrize("name", NAMES)
def test_intensities(name: str) -> None:
    b = np.random.default_rng(1).integers(0, 2, (7, N_IN))
    with load_device(name, n_in=N_IN, n_out=N_OUT, seed=3) as opu:
        whole = opu.intensity(b)
    with load_device(name, n_in=N_IN, n_out=40, seed=3) as opu:
        parts = np.concatenate([opu.intensity(b[:2]), opu.intensity(b[2:].astype(bool))])
    assert np.array_equal(parts, whole[:, :40])


def test_intensities_of_a_long_batch() -> None:
    """More than 2^20 counts are worked on in several parts."""
    b = np.random.default_rng(1).integers(0, 2, (600, 4))
    with load_device("lighton-aurora", n_in=4, n_out=2000, seed=3) as opu:
        whole = opu.intensity(b)
    with load_device("lighton-aurora", n_in=4, n_out=2000, seed=3) as opu:
        assert np.array_equal(np.concatenate([opu.intensity(part) for part in np.split(b, 6)]), whole)


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_on_where_it_stopped(name: str) -> None:
    x = inputs("ternary")
    with load_device(name, n_in=N_IN, n_out=N_OUT, seed=12) as opu:
        opu.project(x[:4])
        state = opu.state()
        expected = opu.project(x[4:])
    with load_device(name, n_in=N_IN, n_out=N_OUT, seed=12) as opu:
        opu.restore(state)
        assert np.array_equal(opu.project(x[4:]), expected)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_frames_differ(name: str) -> None:
    """Control: another seed is another device; the next frames of the same input carry other noise, of its
    usual size."""
    x = inputs("ternary")
    a, b = projected(name, x), projected(name, x, seed=13)
    # 2709 products of independent projections; rows of one vector are independent.
    assert abs(np.corrcoef((a - a.mean()).ravel(), (b - b.mean()).ravel())[0, 1]) < 0.5
    twice = projected(name, np.concatenate([x, x])).reshape(2, 9, N_OUT)
    assert not np.array_equal(twice[0], twice[1])
    assert 0.99 > np.corrcoef(twice[0].ravel(), twice[1].ravel())[0, 1] - 0.01 > 0.95
