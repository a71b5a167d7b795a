"""DMD: macropixels, light, and what a vector becomes."""

import numpy as np
import pytest

from opu_sim.cards import DmdCard, OpuCard, load_card
from opu_sim.dmd import Dmd, Encoded
from opu_sim.errors import ConfigError, DeviceError


def dmd_card(**overrides: object) -> DmdCard:
    keys = {f"dmd.{key}": value for key, value in overrides.items()}
    card = load_card("lighton-aurora", keys | {"recovery.anchors": 2})
    assert isinstance(card, OpuCard)
    return card.dmd


def reconstructed(encoded: Encoded) -> np.ndarray:
    """Sum of weights x patterns of each vector, in double precision."""
    terms = encoded.weights[:, None].astype(np.float64) * encoded.patterns
    return np.array([terms[p:q].sum(axis=0) for p, q in zip(encoded.first[:-1], encoded.first[1:], strict=True)])


def counts(encoded: Encoded) -> list[int]:
    return np.diff(encoded.first).tolist()


def test_a_binary_vector_is_one_pattern() -> None:
    x = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [-0.0, 0, 1, 0]], dtype=np.float32)
    encoded = Dmd(dmd_card(), 4).encode(x)
    assert counts(encoded) == [1, 1, 1, 1]
    assert np.array_equal(encoded.patterns, x)
    assert encoded.weights.tolist() == [1, 1, 0, 1]


def test_a_signed_vector_is_a_positive_and_a_negative_pattern() -> None:
    x = np.array([[-1, 0, 1], [-1, -1, -1]], dtype=np.float64)
    encoded = Dmd(dmd_card(), 3).encode(x)
    assert encoded.patterns.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert encoded.weights.tolist() == [1, -1, 1, -1]
    assert encoded.first.tolist() == [0, 2, 4]


def test_one_magnitude_a_sign_is_exact_in_two_patterns() -> None:
    x = np.array([[0.3, -0.7, 0.3, 0], [0, 0.2, 0.2, 0], [-5, 0, 0, -5], [0.3, -0.7, 0.31, 0]], dtype=np.float32)
    encoded = Dmd(dmd_card(), 4).encode(x)
    assert counts(encoded) == [2, 1, 2, 12]
    assert np.array_equal(reconstructed(encoded)[:3].astype(np.float32), x[:3])
    np.testing.assert_array_equal(encoded.weights[:5], np.array([0.3, -0.7, 0.2, 5, -5], dtype=np.float32))


@pytest.mark.parametrize("planes", [1, 2, 6, 12])
def test_any_other_vector_is_bit_planes_of_either_sign(planes: int) -> None:
    x = np.array([[0.5, -0.25, 0.0, 0.3]])
    encoded = Dmd(dmd_card(bit_planes=planes), 4).encode(x)
    assert counts(encoded) == [2 * planes]
    steps = 2**planes - 1
    expected = [sign * 2**bit / steps * 0.5 for bit in range(planes) for sign in (1, -1)]
    np.testing.assert_allclose(encoded.weights, expected, rtol=1e-7)
    # Full scale is the largest entry: all of its planes are ON, of its own sign alone.
    assert encoded.patterns[:, 0].tolist() == [1, 0] * planes
    assert not encoded.patterns[0::2, 1].any()
    assert not encoded.patterns[:, 2].any()


def test_bit_planes_have_steps_of_one_in_two_to_the_planes_less_one() -> None:
    dmd = Dmd(dmd_card(bit_planes=6), 64)
    levels = np.arange(64) / 63
    np.testing.assert_allclose(reconstructed(dmd.encode(levels[None]))[0], levels, atol=1e-7)
    # Between two steps the nearer one is taken, so a value just off the middle is half a step wrong.
    for fraction, nearest in ((0.49, 0.0), (0.51, 1.0)):
        x = np.minimum((np.arange(64) + fraction) / 63, 1.0)
        x[-1] = 1.0
        got = reconstructed(dmd.encode(x[None]))[0][:-1] * 63
        np.testing.assert_allclose(got, np.arange(63) + nearest, atol=1e-5)


def test_the_scale_is_the_vector_s_own() -> None:
    x = np.array([[1.0, 0.5, 0.25], [1000.0, 500.0, 250.0]])
    encoded = Dmd(dmd_card(), 3).encode(x)
    assert np.array_equal(encoded.patterns[:12], encoded.patterns[12:])
    np.testing.assert_allclose(encoded.weights[12:], 1000 * encoded.weights[:12], rtol=1e-6)


def test_a_mixed_batch_keeps_its_order() -> None:
    x = np.array([[1, 0], [0.5, -2.0], [0, -1], [0, 0], [3.0, 3.0], [1, -1]])
    encoded = Dmd(dmd_card(bit_planes=3), 2).encode(x)
    assert counts(encoded) == [1, 2, 2, 1, 1, 2]
    exact = [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(reconstructed(encoded)[exact], x[exact], rtol=1e-7)


def test_an_empty_batch_has_no_patterns() -> None:
    encoded = Dmd(dmd_card(), 3).encode(np.empty((0, 3)))
    assert encoded.patterns.shape == (0, 3)
    assert encoded.first.tolist() == [0]


def test_types_of_what_is_encoded() -> None:
    encoded = Dmd(dmd_card(), 2).encode(np.array([[0.3, -1.0]]))
    assert (encoded.patterns.dtype, encoded.weights.dtype, encoded.first.dtype) == (
        np.uint8,
        np.float32,
        np.int64,
    )


@pytest.mark.parametrize(("n_in", "replication"), [(1, 6), (2, 3), (3, 2), (4, 1), (5, 1), (6, 1)])
def test_inputs_share_the_mirrors_evenly(n_in: int, replication: int) -> None:
    dmd = Dmd(dmd_card(rows=2, columns=3), n_in)
    assert dmd.replication == replication
    assert dmd.mirrors_used == replication * n_in <= 6


def test_more_inputs_than_mirrors_are_refused() -> None:
    with pytest.raises(DeviceError) as caught:
        Dmd(dmd_card(rows=2, columns=3), 7)
    assert str(caught.value) == "n_in = 7: the DMD has 3 x 2 = 6 mirrors; allowed: 1 .. 6"
    assert Dmd(dmd_card(), 1_039_680).replication == 1
    with pytest.raises(DeviceError, match=r"n_in = 1039681: .* allowed: 1 \.\. 1039680$"):
        Dmd(dmd_card(), 1_039_681)


def test_efficiency_is_the_product_of_its_losses() -> None:
    assert Dmd(dmd_card(), 1).efficiency == pytest.approx(0.96**2 * 0.88 * 0.92 * 0.86, rel=1e-12)
    dark = {
        "window_transmission": 0.5,
        "mirror_reflectivity": 0.5,
        "fill_factor": 0.5,
        "diffraction_efficiency": 0.5,
    }
    clear = dict.fromkeys(dark, 1.0)
    assert Dmd(dmd_card(**clear), 1).efficiency == 1.0
    for key, power in zip(dark, (2, 1, 1, 1), strict=True):
        # Light passes the window twice, everything else once.
        assert Dmd(dmd_card(**{**clear, key: 0.5}), 1).efficiency == pytest.approx(0.5**power, rel=1e-12)


def test_off_mirrors_leak_the_root_of_the_contrast() -> None:
    assert Dmd(dmd_card(contrast=10_000.0), 1).off_amplitude == pytest.approx(0.01, rel=1e-12)
    assert Dmd(dmd_card(), 1).off_amplitude == pytest.approx(2000**-0.5, rel=1e-12)
    assert Dmd(dmd_card(contrast=None), 1).off_amplitude == 0.0


def test_the_period_is_the_slower_of_rate_and_load() -> None:
    assert Dmd(dmd_card(pattern_rate_hz=1000.0, load_time_us=245.0), 1).period_s == pytest.approx(1e-3)
    assert Dmd(dmd_card(pattern_rate_hz=4000.0, load_time_us=800.0), 1).period_s == pytest.approx(800e-6)


LEE = {"encoding": "lee", "cell_mirrors": 8}
SUPERPIXEL = {"encoding": "superpixel", "cell_mirrors": 4}


def test_brightness_is_the_light_of_each_pattern() -> None:
    encoded = Dmd(dmd_card(), 3).encode(np.array([[1.0, 0, 1], [1, -1, -1]]))
    assert encoded.brightness.tolist() == [2, 1, 2]
    assert encoded.brightness.dtype == np.float32
    pairs = Dmd(dmd_card(encoding="pi-pair"), 3).encode(np.array([[1.0, 0, 1], [1, -1, -1]]))
    assert pairs.brightness.tolist() == [0.5, 0.75]
    cells = Dmd(dmd_card(**SUPERPIXEL), 3).encode(np.array([[1.0, 0, -1]]))
    np.testing.assert_allclose(cells.brightness, 2 / (16 * np.sin(np.pi / 16)) ** 2, rtol=1e-6)


def test_pi_pairs_show_a_ternary_vector_in_one_pattern() -> None:
    x = np.array([[1, 0, -1], [-0.4, 0.4, 0], [0, 0, 0], [-2, 0, 0], [0, 3, 3]], dtype=np.float32)
    encoded = Dmd(dmd_card(encoding="pi-pair"), 3).encode(x)
    assert counts(encoded) == [1] * 5
    assert encoded.patterns.tolist() == (0.5 * np.sign(x)).tolist()
    assert encoded.patterns.dtype == np.float32
    np.testing.assert_array_equal(encoded.weights, np.array([2, 0.8, 0, 4, 6], dtype=np.float32))
    np.testing.assert_array_equal(reconstructed(encoded).astype(np.float32), x)


def test_pi_pairs_show_a_magnitude_a_sign_in_two_patterns_and_others_bit_by_bit() -> None:
    x = np.array([[0.3, -0.7, 0.3], [0.5, -0.25, 0.3], [1, 0, -1]])
    encoded = Dmd(dmd_card(encoding="pi-pair", bit_planes=5), 3).encode(x)
    assert counts(encoded) == [2, 5, 1]
    assert encoded.patterns[:2].tolist() == [[0.5, 0, 0.5], [0, -0.5, 0]]
    np.testing.assert_allclose(reconstructed(encoded)[[0, 2]], x[[0, 2]], rtol=1e-7)
    np.testing.assert_allclose(reconstructed(encoded)[1], np.rint(x[1] / 0.5 * 31) * 0.5 / 31, rtol=1e-6)
    assert set(np.unique(encoded.patterns)) == {-0.5, 0, 0.5}


@pytest.mark.parametrize("extra", [LEE, SUPERPIXEL])
def test_one_pattern_shows_any_vector(extra: dict[str, object]) -> None:
    x = np.array([[0.5, -0.25, 0, 0.3], [1, 1, 0, 0], [0, 0, 0, 0], [-7, 3, 1, 2]])
    dmd = Dmd(dmd_card(**extra), 4)
    encoded = dmd.encode(x)
    assert counts(encoded) == [1] * 4
    assert encoded.patterns.dtype == np.complex64
    shown = encoded.weights[:, None] * encoded.patterns
    # Thousands of cells an input: what is left is the table's half step of 1 / 8192, and as much of the cells' run.
    assert np.abs(shown - x).max() < 7 / 2000
    assert encoded.weights[2] == 0
    np.testing.assert_allclose(encoded.weights, np.array([0.5, 1, 0, 7]) / dmd.full_scale, rtol=1e-6)
    # Control: one cell an input is coarser.
    small = Dmd(dmd_card(rows=8, columns=8, **extra), 4)
    assert small.cells in (1, 2)
    coarse = small.encode(x)
    assert np.abs(coarse.weights[:, None] * coarse.patterns - x).max() > 0.01


@pytest.mark.parametrize(
    ("extra", "capacity", "cell"),
    [({"encoding": "pi-pair"}, 50, "1 x 2"), (LEE, 10, "1 x 8"), (SUPERPIXEL, 4, "4 x 4")],
)
def test_cells_take_room(extra: dict[str, object], capacity: int, cell: str) -> None:
    card = dmd_card(rows=10, columns=11, **extra)
    assert Dmd(card, capacity).cells == 1
    with pytest.raises(DeviceError) as caught:
        Dmd(card, capacity + 1)
    assert str(caught.value) == (
        f"n_in = {capacity + 1}: the DMD has 11 x 10 = 110 mirrors, {cell} an input for {extra['encoding']!r}; "
        f"allowed: 1 .. {capacity}"
    )
    two = Dmd(card, capacity // 2)
    down, along = map(int, cell.split(" x "))
    assert (two.cells, two.replication) == (2, 2 * down * along)
    assert two.mirrors_used == capacity // 2 * two.replication


def test_an_aperture_off_the_axis_sees_no_off_mirrors() -> None:
    assert Dmd(dmd_card(), 1).off_background == Dmd(dmd_card(), 1).off_amplitude > 0
    assert Dmd(dmd_card(**LEE), 1).off_background == 0
    assert Dmd(dmd_card(**LEE), 1).off_amplitude == Dmd(dmd_card(), 1).off_amplitude
    assert Dmd(dmd_card(), 1).full_scale == 1
    assert Dmd(dmd_card(**LEE), 1).full_scale == pytest.approx(1 / (8 * np.sin(np.pi / 8)))


def test_a_tilt_needs_the_wavelength() -> None:
    card = dmd_card(diffraction_efficiency=None, tilt_deg=12.0, incidence_deg=24.0)
    with pytest.raises(DeviceError, match=r"needs the laser's wavelength$"):
        _ = Dmd(card, 1).efficiency
    assert 0 < Dmd(card, 1, 532e-9).efficiency < 1
    assert Dmd(card, 1).period_s > 0
    # A stated figure is taken as it is, whatever the wavelength.
    assert Dmd(dmd_card(), 1, 532e-9).diffraction_efficiency == 0.86


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"diffraction_efficiency": None},
            "diffraction_efficiency: missing; must be a number > 0 and <= 1, or give tilt_deg",
        ),
        (
            {"diffraction_efficiency": None, "tilt_deg": 12.0},
            "incidence_deg: missing; must be given with tilt_deg",
        ),
        (
            {"diffraction_efficiency": None, "incidence_deg": 24.0},
            "tilt_deg: missing; must be given with incidence_deg",
        ),
        (
            {"tilt_deg": 12.0, "incidence_deg": 24.0},
            "diffraction_efficiency = 0.86: must be left out where tilt_deg states the grating",
        ),
        ({"cell_mirrors": 4}, "cell_mirrors = 4: must be left out with encoding = 'amplitude'"),
        (
            {"encoding": "pi-pair", "cell_mirrors": 2},
            "cell_mirrors = 2: must be left out with encoding = 'pi-pair'",
        ),
        (
            {"encoding": "lee"},
            "cell_mirrors = None: must be an integer >= 4 and <= 64 with encoding = 'lee'",
        ),
        (
            {"encoding": "lee", "cell_mirrors": 3},
            "cell_mirrors = 3: must be an integer >= 4 and <= 64 with encoding = 'lee'",
        ),
        (
            {"encoding": "superpixel", "cell_mirrors": 9},
            "cell_mirrors = 9: must be an integer >= 2 and <= 8 with encoding = 'superpixel'",
        ),
        ({"warm_up_decorrelation": 0.01}, "warm_up_time_s: missing; must be given with warm_up_decorrelation"),
        ({"warm_up_time_s": 10.0}, "warm_up_time_s = 10.0: must be left out without warm_up_decorrelation"),
        ({"temperature_control": 0.1}, "temperature_control = 0.1: must be left out without warm_up_decorrelation"),
    ],
)
def test_what_a_card_may_not_say_is_one_line(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dmd_card(**keys)
    assert str(caught.value).endswith(f": dmd.{message}")
