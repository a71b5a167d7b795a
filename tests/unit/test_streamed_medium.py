"""Streamed medium: the stored one's numbers, in memory that does not grow with the matrix."""

import math
import tracemalloc

import numba
import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError
from opu_sim.cards import load_card
from opu_sim.medium import StoredMedium, StreamedMedium, make_medium, streamed
from opu_sim.medium.transmission import Medium


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_TILE_ENTRIES", 600)
    monkeypatch.setattr(streamed, "_TILE_OUTPUTS", 20)


def patterns_of(kind: str, batch: int, n_in: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    if kind == "binary":
        return rng.integers(0, 2, (batch, n_in), dtype=np.uint8)
    re, im = rng.standard_normal((2, batch, n_in)).astype(np.float32)
    return re if kind == "real" else (re + 1j * im).astype(np.complex64)


def factors(n_in: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    return (rng.uniform(0.5, 1.5, n_in) * np.exp(2j * np.pi * rng.uniform(size=n_in))).astype(np.complex64)


@pytest.mark.parametrize("kind", ["binary", "real", "complex"])
@pytest.mark.parametrize("lit", [False, True])
@pytest.mark.parametrize(("n_in", "n_outputs", "first"), [(1, 1, 0), (31, 20, -1), (77, 21, 4), (700, 65, 0)])
def test_same_numbers_as_stored(small_tiles: None, kind: str, lit: bool, n_in: int, n_outputs: int, first: int) -> None:
    light = factors(n_in) if lit else None
    stored, made = (medium(8, n_in, n_outputs, first, light) for medium in (StoredMedium, StreamedMedium))
    assert np.array_equal(made.matrix(), stored.matrix())
    assert np.array_equal(made.column(2), stored.column(2))
    for batch in (0, 1, 9):
        b = patterns_of(kind, batch, n_in)
        assert np.array_equal(made.propagate(b), stored.propagate(b))
    whole = np.array(made.propagate(b))
    for row in range(9):  # any cut of the batch
        assert np.array_equal(np.array(made.propagate(b[row : row + 1]))[:, 0], whole[:, row])


def test_full_size_tiles_and_threads() -> None:
    n_in, n_outputs = 1500, 600
    b = patterns_of("binary", 3, n_in)
    expected = np.array(StoredMedium(9, n_in, n_outputs).propagate(b))
    before = numba.get_num_threads()
    for threads in {1, before}:
        numba.set_num_threads(threads)
        try:
            assert np.array_equal(StreamedMedium(9, n_in, n_outputs).propagate(b), expected)
        finally:
            numba.set_num_threads(before)


def test_memory_does_not_grow_with_the_matrix() -> None:
    """1e6 x 60: 480 MB if stored. Peak: two tiles of 8 B x 2^18, patterns of a tile, fields; 2^23 B leaves room."""
    n_in, n_outputs = 1_000_000, 60
    b = patterns_of("binary", 2, n_in)
    StreamedMedium(0, 10, 10).propagate(b[:, :10])  # compiled
    tracemalloc.start()
    try:
        re, im = StreamedMedium(0, n_in, n_outputs).propagate(b)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**23
    # The sum of n_on entries of unit power is a circular Gaussian: mean power n_on, sd 1 / sqrt(120) of it.
    power = (re.astype(np.float64) ** 2 + im.astype(np.float64) ** 2) / b.sum(axis=1)[:, None]
    assert abs(power.mean() - 1) < 4.5 * 120**-0.5


@pytest.mark.slow
def test_a_million_inputs_by_a_thousand_outputs() -> None:
    """Outputs 0 .. 59 of the large device are the small one's."""
    b = patterns_of("binary", 2, 1_000_000)
    re, im = StreamedMedium(0, 1_000_000, 1000).propagate(b)
    assert np.array_equal((re[:, :60], im[:, :60]), StreamedMedium(0, 1_000_000, 60).propagate(b))


def test_factory_makes_the_kind_on_the_card() -> None:
    made: list[Medium] = []
    for kind in ("stored", "streamed"):
        card = load_card("lighton-aurora", {"medium.kind": kind})
        made.append(make_medium(card, 5, 40, 12, first_output=-1, illumination=factors(40)))
    assert isinstance(made[0], StoredMedium)
    assert isinstance(made[1], StreamedMedium)
    assert np.array_equal(made[0].matrix(), made[1].matrix())
    assert made[0].first_output == made[1].first_output == -1
    for medium in made:
        assert medium.step_s == math.inf
        medium.move_to(7)
        assert np.array_equal(medium.matrix(), made[0].matrix())


def test_what_never_changes_cannot_drift() -> None:
    with pytest.raises(ConfigError, match=r"medium\.drift_time_s = 5\.0: kind = 'streamed' holds no entries"):
        load_card("lighton-aurora", {"medium.kind": "streamed", "medium.drift_time_s": 5.0})
    card = load_card("lighton-aurora", {"medium.kind": "streamed"})
    with pytest.raises(ConfigError, match=r"^medium\.kind = 'streamed': holds no entries that could change"):
        make_medium(card, 0, 4, 4, mixing=lambda t: 0.1)
    with pytest.raises(ValueError, match="step = -1: must be >= 0"):
        StreamedMedium(0, 4, 4).move_to(-1)


def test_a_matrix_too_large_to_store_can_be_streamed() -> None:
    with pytest.raises(DeviceError, match="stored transmission matrix"):
        StoredMedium(0, 2**30, 2**20)
    assert StreamedMedium(0, 2**30, 2**20).n_outputs == 2**20
