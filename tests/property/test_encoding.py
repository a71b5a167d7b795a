"""Any batch, as patterns: the sum gives the batch back, and each vector's patterns are its own."""

from functools import cache

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from opu_sim.cards import DmdCard, OpuCard, load_card
from opu_sim.dmd import Dmd, Encoded

# Rounding of the float32 weights, relative to max|x|; their sum over all planes is max|x|.
WEIGHT_ROUNDING = 1.2e-7

planes = st.integers(1, 12)
shapes = st.tuples(st.integers(0, 6), st.integers(1, 7))
dtypes = st.sampled_from([np.float32, np.float64])


@cache
def dmd_card(bit_planes: int, encoding: str = "amplitude", cell_mirrors: int | None = None) -> DmdCard:
    keys = {
        "dmd.bit_planes": bit_planes,
        "dmd.encoding": encoding,
        "dmd.cell_mirrors": cell_mirrors,
        "recovery.anchors": 2,
    }
    card = load_card("lighton-aurora", keys | {"recovery.anchors": 2})
    assert isinstance(card, OpuCard)
    return card.dmd


def encode(x: np.ndarray, bit_planes: int = 6) -> Encoded:
    return Dmd(dmd_card(bit_planes), x.shape[1]).encode(x)


def reconstructed(encoded: Encoded) -> np.ndarray:
    terms = encoded.weights[:, None].astype(np.float64) * encoded.patterns
    out = np.zeros((len(encoded.first) - 1, encoded.patterns.shape[1]))
    for vector, (p, q) in enumerate(zip(encoded.first[:-1], encoded.first[1:], strict=True)):
        out[vector] = terms[p:q].sum(axis=0)
    return out


def of(values: list[float]) -> st.SearchStrategy[np.ndarray]:
    return dtypes.flatmap(lambda dtype: hnp.arrays(dtype, shapes, elements=st.sampled_from(values)))


@st.composite
def reals(draw: st.DrawFn) -> np.ndarray:
    """Finite batches over 60 decades, with zeros, ones, repeated values, and whole rows that are ternary."""
    dtype = draw(dtypes)
    width = 32 if dtype is np.float32 else 64
    mantissa = st.one_of(
        st.floats(-2.0, 2.0, width=width, allow_subnormal=False), st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5])
    )
    x = draw(hnp.arrays(dtype, draw(shapes), elements=mantissa))
    scale = draw(hnp.arrays(dtype, (len(x), 1), elements=st.sampled_from([1.0, 1.0, 1e-3, 1e30, 1e-30])))
    return np.asarray(x * scale, dtype=dtype)


def is_two_level(x: np.ndarray) -> np.ndarray:
    """At most one magnitude among the positive entries of a row, and one among the negative."""
    return np.array([len(set(row[row > 0])) <= 1 and len(set(row[row < 0])) <= 1 for row in x], dtype=bool)


@settings(deadline=None)
@given(of([0.0, -0.0, 1.0]), planes)
def test_binary_batches_come_back_exactly_from_one_pattern_each(x: np.ndarray, bit_planes: int) -> None:
    encoded = encode(x, bit_planes)
    assert np.array_equal(reconstructed(encoded), x)
    assert np.array_equal(encoded.first, np.arange(len(x) + 1))


@settings(deadline=None)
@given(of([0.0, -0.0, 1.0, -1.0]), planes)
def test_ternary_batches_come_back_exactly_from_two_patterns_at_most(x: np.ndarray, bit_planes: int) -> None:
    encoded = encode(x, bit_planes)
    assert np.array_equal(reconstructed(encoded), x)
    assert np.array_equal(np.diff(encoded.first), 1 + (x == -1).any(axis=1))


@given(reals(), planes)
@example(np.array([[1e30, -1e30, 1e-30]], dtype=np.float32), 6)
@example(np.array([[1e-30], [-1e-30], [3e38], [-3e38]], dtype=np.float32), 12)
@example(np.array([[2.0, 1.0]]), 1)
@settings(max_examples=300, deadline=None)
def test_real_batches_come_back_within_half_a_step_of_the_largest_entry(x: np.ndarray, bit_planes: int) -> None:
    encoded = encode(x, bit_planes)
    peak = np.abs(x).max(axis=1, keepdims=True).astype(np.float64)
    half_step = np.where(is_two_level(x)[:, None], 0.0, 0.5 / (2**bit_planes - 1))
    bound = peak * (half_step + WEIGHT_ROUNDING)
    # A peak below the normal range (scale times a tiny mantissa) is only as good as float32 is there.
    bound = np.where((peak > 0) & (peak < 1e-33), bit_planes * 2.0**-149 + bound, bound)
    assert (np.abs(reconstructed(encoded) - x) <= bound).all()


@settings(deadline=None)
@given(reals(), planes)
def test_the_number_of_patterns_is_as_documented_and_all_are_binary(x: np.ndarray, bit_planes: int) -> None:
    encoded = encode(x, bit_planes)
    negative = (x < 0).any(axis=1)
    expected = np.where(is_two_level(x), 1 + negative, 2 * bit_planes)
    assert np.array_equal(np.diff(encoded.first), expected)
    assert encoded.first[0] == 0
    assert len(encoded.patterns) == len(encoded.weights) == encoded.first[-1]
    assert encoded.patterns.dtype == np.uint8
    assert np.isin(encoded.patterns, (0, 1)).all()


@settings(deadline=None)
@given(reals(), st.data())
def test_a_vector_s_patterns_do_not_depend_on_the_rest_of_the_batch(x: np.ndarray, data: st.DataObject) -> None:
    encoded = encode(x)
    order = data.draw(st.permutations(range(len(x))))
    cut = data.draw(st.integers(0, len(x)))
    for rows in (order[:cut], order[cut:]):
        part = encode(x[rows])
        spans = [slice(encoded.first[row], encoded.first[row + 1]) for row in rows]
        patterns = [encoded.patterns[span] for span in spans]
        weights = [encoded.weights[span] for span in spans]
        assert np.array_equal(np.diff(part.first), [len(p) for p in patterns])
        assert np.array_equal(part.patterns, np.concatenate([part.patterns[:0], *patterns]))
        assert np.array_equal(part.weights, np.concatenate([part.weights[:0], *weights]))


@settings(deadline=None)
@given(reals())
def test_the_opposite_vector_has_the_opposite_sum(x: np.ndarray) -> None:
    assert np.array_equal(reconstructed(encode(-x)), -reconstructed(encode(x)))


@settings(deadline=None)
@given(reals())
def test_an_input_is_never_on_with_both_signs_and_zero_stays_off(x: np.ndarray) -> None:
    encoded = encode(x)
    for vector, (p, q) in enumerate(zip(encoded.first[:-1], encoded.first[1:], strict=True)):
        positive = encoded.patterns[p:q][encoded.weights[p:q] > 0].any(axis=0)
        negative = encoded.patterns[p:q][encoded.weights[p:q] < 0].any(axis=0)
        assert not (positive & (x[vector] <= 0)).any()
        assert not (negative & (x[vector] >= 0)).any()


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_macropixels_use_all_mirrors_that_divide_evenly(rows: int, columns: int, data: st.DataObject) -> None:
    card = dmd_card(6).model_copy(update={"rows": rows, "columns": columns})
    n_in = data.draw(st.integers(1, rows * columns))
    dmd = Dmd(card, n_in)
    assert dmd.replication >= 1
    assert dmd.mirrors_used == n_in * dmd.replication <= rows * columns < n_in * (dmd.replication + 1)


@settings(deadline=None)
@given(of([0.0, -0.0, 1.0, -1.0]), planes)
def test_pi_pairs_bring_ternary_batches_back_from_one_pattern_each(x: np.ndarray, bit_planes: int) -> None:
    encoded = Dmd(dmd_card(bit_planes, "pi-pair"), x.shape[1]).encode(x)
    assert np.array_equal(reconstructed(encoded), x)
    assert np.array_equal(encoded.first, np.arange(len(x) + 1))
    np.testing.assert_array_equal(encoded.brightness, 0.25 * (x != 0).sum(axis=1))


@settings(deadline=None)
@given(reals(), planes)
def test_pi_pairs_take_half_the_patterns_for_the_same_precision(x: np.ndarray, bit_planes: int) -> None:
    encoded = Dmd(dmd_card(bit_planes, "pi-pair"), x.shape[1]).encode(x)
    plain = encode(x, bit_planes)
    assert (np.diff(encoded.first) <= np.diff(plain.first)).all()
    grey = ~is_two_level(x)
    assert (np.diff(encoded.first)[grey] == bit_planes).all()
    assert np.isin(encoded.patterns, (-0.5, 0, 0.5)).all()
    # Both round the same way; their float32 weights differ by a factor of 2, which is exact, but for the smallest.
    peak = np.abs(x).max(axis=1, keepdims=True, initial=0).astype(np.float64)
    close = np.abs(reconstructed(encoded) - reconstructed(plain)) <= WEIGHT_ROUNDING * peak + bit_planes * 2.0**-148
    assert close.all()


def small_dmd(encoding: str, cell_mirrors: int, n_in: int) -> Dmd:
    card = dmd_card(6, encoding, cell_mirrors).model_copy(update={"rows": 96, "columns": 96})
    return Dmd(card, n_in)


@settings(deadline=None)
@given(reals(), st.sampled_from([("lee", 8), ("superpixel", 4)]), st.data())
def test_one_pattern_a_vector_whatever_the_batch(x: np.ndarray, how: tuple[str, int], data: st.DataObject) -> None:
    dmd = small_dmd(*how, x.shape[1])
    encoded = dmd.encode(x)
    assert np.array_equal(encoded.first, np.arange(len(x) + 1))
    order = data.draw(st.permutations(range(len(x))))
    again = dmd.encode(x[order])
    assert np.array_equal(again.patterns, encoded.patterns[order])
    assert np.array_equal(again.weights, encoded.weights[order])
    assert np.array_equal(dmd.encode(-x).patterns, -encoded.patterns)
    # The table's half step of full scale, and one cell's error, at most 0.3, shared by the macropixel's cells.
    peak = np.abs(x).max(axis=1, keepdims=True, initial=0).astype(np.float64)
    error = np.abs(encoded.weights[:, None].astype(np.float64) * encoded.patterns - x)
    assert (error <= peak * (0.5 / 4096 + 0.3 / dmd.cells) + 1e-37).all()
