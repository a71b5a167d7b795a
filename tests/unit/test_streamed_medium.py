"""Streamed medium: the stored one's numbers, in memory that does not grow with the matrix."""

import math
import tracemalloc

import numba
import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError
from opu_sim._kernels.medium import add_made_columns, fill_tile
from opu_sim.cards import load_card
from opu_sim.medium import StoredMedium, StreamedMedium, make_medium, streamed
from opu_sim.medium.transmission import Medium


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_TILE_ENTRIES", 600)
    monkeypatch.setattr(streamed, "_TILE_INPUTS", 30)
    monkeypatch.setattr(streamed, "_AMPLITUDE_INPUTS", 30)
    monkeypatch.setattr(streamed.StreamedMedium, "batch", 4)
    monkeypatch.setattr(streamed, "_CHUNK_OUTPUTS", 16)


@pytest.fixture(params=["columns", "products", "as measured"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How binary patterns are added up: always entry by entry, always by products of tiles, or by the rule."""
    if request.param != "as measured":
        monkeypatch.setattr(streamed, "_FEW_ON", math.inf if request.param == "columns" else -1)
        monkeypatch.setattr(streamed, "_SPARSE", -1)


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
def test_same_numbers_as_stored(
    small_tiles: None, way: None, kind: str, lit: bool, n_in: int, n_outputs: int, first: int
) -> None:
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


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_inputs_that_no_pattern_shows(small_tiles: None, way: None, density: float) -> None:
    rng = np.random.default_rng(5)
    b = (rng.random((9, 700)) < density).astype(np.uint8)
    stored, made = StoredMedium(8, 700, 65), StreamedMedium(8, 700, 65)
    for patterns in (b, b.astype(bool), np.asfortranarray(b), b.astype(np.float32)):
        assert np.array_equal(made.propagate(patterns), stored.propagate(b))


def entries_made(medium: StreamedMedium, b: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Entries that a projection makes: [entry by entry, in tiles]."""
    made = [0, 0]

    def add(*arguments: np.ndarray) -> None:
        made[0] += len(arguments[0]) * len(arguments[2])
        add_made_columns(*arguments)

    def fill(*arguments: np.ndarray) -> None:
        made[1] += len(arguments[0]) * len(arguments[2])
        fill_tile(*arguments)

    with monkeypatch.context() as counted:
        counted.setattr(streamed, "add_made_columns", add)
        counted.setattr(streamed, "fill_tile", fill)
        medium.propagate(b)
    return made


def test_entries_are_made_once_and_for_lit_inputs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    medium = StreamedMedium(8, 700, 65)
    b = np.zeros((400, 700), np.uint8)
    b[:, 100:300] = np.random.default_rng(6).integers(0, 2, (400, 200))
    assert entries_made(medium, b, monkeypatch) == [0, 200 * 65]
    assert entries_made(medium, b.astype(np.float32), monkeypatch) == [0, 200 * 65]
    assert entries_made(medium, b[:1], monkeypatch) == [int(b[0].sum()) * 65, 0]  # half of the 200
    assert entries_made(medium, b[:, ::-1] * 0, monkeypatch) == [0, 0]
    one_hot = np.eye(700, dtype=np.uint8)
    assert entries_made(medium, one_hot, monkeypatch) == [700 * 65, 0]


@pytest.mark.parametrize("medium", [StoredMedium, StreamedMedium])
@pytest.mark.parametrize("lit", [False, True])
def test_any_part_of_the_matrix(small_tiles: None, medium: type[StoredMedium | StreamedMedium], lit: bool) -> None:
    made = medium(8, 77, 21, -1, factors(77) if lit else None)
    T = made.matrix()
    outputs, inputs = np.array([19, -1, 4, 4]), np.array([76, 0, 3], np.uint32)
    part = made.block(outputs, inputs)
    assert part.dtype == np.complex64
    assert np.array_equal(part, T[np.ix_(outputs + 1, inputs)])
    assert made.block(outputs[:0], inputs).shape == (0, 3)
    assert made.block(outputs, inputs[:0]).shape == (4, 0)
    for outside in (-2, 20):
        with pytest.raises(ValueError, match=r"^outputs: .*; must be -1 \.\. 19$"):
            made.block(np.array([0, outside]), inputs)
    for outside in (-1, 77):
        with pytest.raises(ValueError, match=r"^inputs: .*; must be 0 \.\. 76$"):
            made.block(outputs, np.array([0, outside]))
    with pytest.raises(ValueError, match=r"^outputs: .*; must be one axis of integers"):
        made.block(np.array([0.0]), inputs)


def test_a_part_of_a_matrix_beyond_any_memory() -> None:
    """A trillion and more entries; the corner is the small medium's."""
    outputs, inputs = np.array([2**20 - 1, 5]), np.array([2**21 - 1, 7, 0])
    part = StreamedMedium(3, 2**21, 2**20).block(outputs, inputs)
    assert np.array_equal(part[1, 1:], StoredMedium(3, 8, 6).matrix()[5, [7, 0]])
    assert np.array_equal(part[:1, 1:], StoredMedium(3, 8, 1, first_output=2**20 - 1).matrix()[:, [7, 0]])


@pytest.mark.parametrize("batch", [3, 100])
def test_full_size_tiles_and_threads(batch: int) -> None:
    n_in, n_outputs = 4500, 600
    b = patterns_of("binary", batch, n_in)
    expected = np.array(StoredMedium(9, n_in, n_outputs).propagate(b))
    before = numba.get_num_threads()
    for threads in {1, before}:
        numba.set_num_threads(threads)
        try:
            assert np.array_equal(StreamedMedium(9, n_in, n_outputs).propagate(b), expected)
        finally:
            numba.set_num_threads(before)


def peak_of(medium: StreamedMedium, b: np.ndarray) -> tuple[int, np.ndarray]:
    """Peak memory of a projection [B], and its fields as complex numbers."""
    tracemalloc.start()
    try:
        re, im = medium.propagate(b)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak, re + 1j * im


def test_memory_does_not_grow_with_the_matrix() -> None:
    """1e6 x 60: 480 MB if stored.

    Added entry by entry: the list of lit inputs, 8 MB, beside the line that it is found from, 1 MB. By products: a
    tile of 2048 x 60 and its patterns, less. 2^24 B leaves room.
    """
    n_in, n_outputs = 1_000_000, 60
    StreamedMedium(0, 10, 10).propagate(np.ones((2, 10), np.uint8))  # compiled
    b = patterns_of("binary", 2, n_in)
    peak, field = peak_of(StreamedMedium(0, n_in, n_outputs), b)
    assert peak < 2**24
    # The sum of n_on entries of unit power is a circular Gaussian: mean power n_on, sd 1 / sqrt(120) of it.
    power = np.abs(field.astype(np.complex128)) ** 2 / b.sum(axis=1)[:, None]
    assert abs(power.mean() - 1) < 4.5 * 120**-0.5


def test_memory_of_many_patterns() -> None:
    """Fields of 8 B an output; a tile of 2^21 entries, its patterns and a product: 64 MiB; 320 MB if stored."""
    b = patterns_of("binary", 500, 20_000)
    peak, _ = peak_of(StreamedMedium(0, 20_000, 2000), b)
    fields = 8 * 500 * 2000
    assert 8 * 2**20 < peak - fields < 2**26  # it does hold a tile


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
    assert [medium.kind for medium in made] == ["stored", "streamed"]
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
    with pytest.raises(DeviceError, match=r"stored transmission matrix .*; medium.kind = 'streamed' or 'wave-optics'"):
        StoredMedium(0, 2**30, 2**20)
    with pytest.raises(DeviceError, match=r"of this computer's memory; medium.kind = 'wave-optics' stores none$"):
        StoredMedium(0, 2**30, 2**20, drift_time_s=1.0)
    assert StreamedMedium(0, 2**30, 2**20).n_outputs == 2**20


def test_a_streamed_matrix_too_large_to_look_at() -> None:
    medium = StreamedMedium(0, 2**31, 2**12)
    tracemalloc.start()
    try:
        with pytest.raises(DeviceError, match=r"^n_in x n_out = 2147483648 x 4096: the matrix takes 65536"):
            medium.matrix()
        with pytest.raises(DeviceError, match=r"part of the matrix takes .*; ask for less of it"):
            medium.block(np.zeros(2**12, int), np.broadcast_to(np.array(7), 2**31))
        assert tracemalloc.get_traced_memory()[1] < 2**20  # refused before anything was made
    finally:
        tracemalloc.stop()
