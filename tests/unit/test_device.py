"""Devices: what they refuse, what they promise of their numbers, and that a restored one goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError, Ideal, Opu, load_device
from opu_sim.cards import device_names, load_card
from opu_sim.config import shipped_folder

AURORA, HOLOGRAPHIC = "lighton-aurora", "light-in-the-loop"
OPUS = [AURORA, HOLOGRAPHIC]
ALL = ["ideal", *OPUS]
N_IN, N_OUT = 6, 24


def made(name: str, n_in: int = N_IN, n_out: int = N_OUT, seed: int = 3, **overrides: Any) -> Any:
    return load_device(name, n_in=n_in, n_out=n_out, seed=seed, **overrides)


def opened(name: str, **parameters: Any) -> Any:
    device = made(name, **parameters)
    device.open()
    return device


def vectors(batch: int = 5, n_in: int = N_IN, seed: int = 0) -> np.ndarray:
    """Grey, binary, ternary and zero rows."""
    x = np.random.default_rng(seed).standard_normal((batch, n_in))
    x[1::4] = x[1::4] > 0
    x[2::4] = np.rint(np.clip(x[2::4], -1, 1))
    x[3::4] = 0
    return x


def refusal(kind: type[Exception], call: Callable[..., Any], *args: Any, **parameters: Any) -> str:
    with pytest.raises(kind) as caught:
        call(*args, **parameters)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.splitlines() == [text]
    return text


# load_device


def test_the_card_decides_the_class() -> None:
    assert type(made("ideal")) is Ideal
    assert [type(made(name)) for name in OPUS] == [Opu, Opu]
    assert [made(name).name for name in ALL] == ALL


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [0, -1, True, False, 2.0, "2", None, np.float32(2), np.bool_(True)])
@pytest.mark.parametrize("argument", ["n_in", "n_out"])
def test_sizes_must_be_positive_integers(name: str, argument: str, value: Any) -> None:
    sizes = {"n_in": 2, "n_out": 2, argument: value}
    assert refusal(ConfigError, load_device, name, **sizes) == f"{argument} = {value!r}: must be an integer >= 1"


def test_sizes_may_be_numpy_integers() -> None:
    assert load_device(AURORA, n_in=np.int64(1), n_out=np.uint8(1)).matrix().shape == (1, 1)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [-1, 1.0, True, 2**63, "0"])
def test_seeds_are_checked(name: str, seed: Any) -> None:
    assert refusal(ConfigError, made, name, seed=seed) == f"seed = {seed!r}: must be an integer in 0 .. 2^63 - 1"


def test_an_unknown_device_lists_what_there_is() -> None:
    assert refusal(ConfigError, made, "aurora") == (
        f"'aurora': no such device; shipped are {', '.join(device_names())}; or give the path of a .toml file"
    )
    assert refusal(ConfigError, made, "no/such.toml") == "no/such.toml: no such file"


def test_name_path_and_card_give_the_same_device(tmp_path: Path) -> None:
    path = shipped_folder("devices") / f"{AURORA}.toml"
    copied = tmp_path / "mine.toml"
    copied.write_bytes(path.read_bytes())
    x = vectors()
    results = [opened(card).project(x) for card in (AURORA, path, str(path), copied, load_card(AURORA))]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_a_card_object_takes_no_overrides() -> None:
    for name in ALL:
        assert refusal(ConfigError, made, load_card(name), **{"camera.adc_bits": 6}) == (
            "overrides go with a name or a path, not with a card object"
        )


def test_overrides_are_checked_against_the_card() -> None:
    text = refusal(ConfigError, made, AURORA, **{"camera.adc_bits": 17})
    assert text.endswith("lighton-aurora.toml: camera.adc_bits = 17: must be an integer >= 1 and <= 16")
    text = refusal(ConfigError, made, "ideal", **{"camera.adc_bits": 6})
    assert "ideal.toml: camera: unknown key" in text


@pytest.mark.parametrize("grain", [2.5, 1.0, 9.0])
def test_holography_demands_its_grain(grain: float) -> None:
    assert refusal(ConfigError, made, HOLOGRAPHIC, **{"medium.speckle_grain_px": grain}) == (
        f"medium.speckle_grain_px = {grain}: must be an integer 2 .. 8 for off-axis recovery"
    )


@pytest.mark.parametrize("name", OPUS)
def test_more_inputs_than_mirrors_are_refused(name: str) -> None:
    small = {"dmd.rows": 2, "dmd.columns": 3}
    assert made(name, n_in=6, **small).n_in == 6
    assert refusal(DeviceError, made, name, n_in=7, **small) == (
        "n_in = 7: the DMD has 3 x 2 = 6 mirrors; allowed: 1 .. 6"
    )


@pytest.mark.parametrize(
    ("name", "rows", "columns", "capacity"),
    # anchor: one output on 5 x 5 pixels; off-axis: one on 4 x 4, in whole tiles of 64 x 64
    [(AURORA, 24, 34, 4 * 6), (AURORA, 5, 5, 1), (HOLOGRAPHIC, 64, 128, 512), (HOLOGRAPHIC, 127, 64, 256)],
)
@pytest.mark.filterwarnings("ignore:.* saturated:opu_sim.DeviceWarning")
def test_more_outputs_than_the_sensor_holds_are_refused(name: str, rows: int, columns: int, capacity: int) -> None:
    sensor = {"camera.rows": rows, "camera.columns": columns, "camera.roi_rows": 1}
    with made(name, n_out=capacity, **sensor) as device:
        assert device.project(vectors()).shape == (5, capacity)
        assert device.clock.rows <= rows
    text = refusal(DeviceError, made, name, n_out=capacity + 1, **sensor)
    assert text.startswith(f"n_out = {capacity + 1}: outputs ")
    assert f"on {rows} x {columns} pixels; " in text


def test_the_number_of_outputs_allowed_is_named() -> None:
    text = refusal(DeviceError, made, AURORA, n_out=88_754)
    assert text == (
        "n_out = 88754: outputs 5 pixels apart (one speckle grain) leave 88753 independent ones "
        "on 1088 x 2048 pixels; allowed: 1 .. 88753"
    )
    assert made(AURORA, n_in=1, n_out=88_753).n_out == (2048 // 5) * (1088 // 5)
    # Off-axis: whole tiles of 64 x 64 pixels, so 127 rows hold one row of tiles.
    for capacity, rows in ((139_264, 1088), (8192, 127)):
        sensor = {"camera.rows": rows, "camera.roi_rows": 1}
        text = refusal(DeviceError, made, HOLOGRAPHIC, n_in=1, n_out=capacity + 1, **sensor)
        assert text.endswith(f"allowed: 1 .. {capacity}")


# Open and closed


@pytest.mark.parametrize("name", ALL)
def test_a_closed_device_does_not_project(name: str) -> None:
    device = made(name)
    said = f"{name} is not open: use `with device:` or device.open() before project"
    assert refusal(DeviceError, device.project, vectors()) == said
    with device as same:
        assert same is device
        assert device.project(vectors()).shape == (5, N_OUT)
    assert refusal(DeviceError, device.project, vectors()) == said
    assert device.matrix().shape == (N_OUT, N_IN)
    assert device.ledger.projections == 5


@pytest.mark.parametrize("name", OPUS)
def test_a_closed_device_takes_no_pictures(name: str) -> None:
    device = made(name)
    b = np.ones((2, N_IN), dtype=bool)
    assert refusal(DeviceError, device.intensity, b) == (
        f"{name} is not open: use `with device:` or device.open() before intensity"
    )
    device.open()
    assert device.intensity(b).shape == (2, N_OUT)


@pytest.mark.parametrize("name", ALL)
def test_an_error_inside_with_closes_the_device_and_is_passed_on(name: str) -> None:
    device = made(name)
    with pytest.raises(ZeroDivisionError), device:
        _ = 1 // 0
    with pytest.raises(DeviceError, match="is not open"):
        device.project(vectors())


@pytest.mark.parametrize(("name", "frames"), [(AURORA, 128), (HOLOGRAPHIC, 2 * 64)])
def test_calibration_is_paid_once(name: str, frames: int) -> None:
    device = made(name)
    assert device.ledger.frames == 0
    device.open()
    assert device.ledger.frames == frames
    device.open()
    device.close()
    with device:
        assert (device.ledger.frames, device.ledger.passes) == (frames, 1)
    assert device.ledger.device_s == pytest.approx(frames * 500e-6 + 0.155)


# Arrays


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        (np.ones(N_IN), f"x: shape ({N_IN},); must be an array [batch, {N_IN}]"),
        (np.ones((2, N_IN + 1)), f"x: shape (2, {N_IN + 1}); must be an array [batch, {N_IN}]"),
        (np.ones((1, 2, N_IN)), f"x: shape (1, 2, {N_IN}); must be an array [batch, {N_IN}]"),
        (np.float64(1.0), f"x: shape (); must be an array [batch, {N_IN}]"),
        ([[1.0] * N_IN], f"x: shape list; must be an array [batch, {N_IN}]"),
        (None, f"x: shape NoneType; must be an array [batch, {N_IN}]"),
        (np.ones((2, N_IN), dtype=np.int64), "x: dtype int64; must be a float type"),
        (np.ones((2, N_IN), dtype=bool), "x: dtype bool; must be a float type"),
        (np.ones((2, N_IN), dtype=np.complex64), "x: dtype complex64; must be a float type"),
        (np.ones((2, N_IN), dtype=object), "x: dtype object; must be a float type"),
    ],
)
def test_project_refuses_what_is_no_float_batch(name: str, x: Any, complaint: str) -> None:
    device = opened(name)
    before = device.ledger.state()
    assert refusal(ValueError, device.project, x) == complaint
    assert device.ledger.state() == before


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_project_refuses_values_that_are_not_finite(name: str, value: float, dtype: type) -> None:
    device = opened(name)
    x = vectors().astype(dtype)
    x[3, 4] = value
    assert refusal(ValueError, device.project, x) == f"x[3, 4] = {value}: must be finite, in the range of float32"
    x[3, 4] = 0.0
    assert device.project(x).shape == (5, N_OUT)


@pytest.mark.parametrize("name", OPUS)
@pytest.mark.parametrize(
    ("b", "complaint"),
    [
        (np.ones(N_IN, dtype=bool), f"b: shape ({N_IN},); must be an array [batch, {N_IN}]"),
        (np.ones((2, N_IN - 1), dtype=bool), f"b: shape (2, {N_IN - 1}); must be an array [batch, {N_IN}]"),
        ([[1] * N_IN], f"b: shape list; must be an array [batch, {N_IN}]"),
        (np.ones((2, N_IN)), "b: dtype float64; must be bool or an integer type holding 0 and 1"),
        (
            np.ones((2, N_IN), dtype=np.float32),
            "b: dtype float32; must be bool or an integer type holding 0 and 1",
        ),
        (np.full((2, N_IN), 2), "b: values in 2 .. 2; must be 0 or 1"),
        (np.array([[0, 1, 2, 0, 0, 1]], dtype=np.uint8), "b: values in 0 .. 2; must be 0 or 1"),
        (np.array([[0, 1, -1, 0, 0, 1]], dtype=np.int8), "b: values in -1 .. 1; must be 0 or 1"),
        (np.full((1, N_IN), 256), "b: values in 256 .. 256; must be 0 or 1"),
    ],
)
def test_intensity_refuses_what_is_not_binary(name: str, b: Any, complaint: str) -> None:
    device = opened(name)
    before = device.ledger.state()
    assert refusal(ValueError, device.intensity, b) == complaint
    assert device.ledger.state() == before


@pytest.mark.parametrize("name", OPUS)
def test_binary_types_are_all_the_same_to_intensity(name: str) -> None:
    b = np.random.default_rng(0).integers(0, 2, (4, N_IN))
    counts = [opened(name).intensity(b.astype(dtype)) for dtype in (bool, np.uint8, np.int8, np.int64, np.uint64)]
    assert all(np.array_equal(counts[0], other) for other in counts[1:])


@pytest.mark.parametrize("name", OPUS)
def test_layout_and_precision_of_the_input_do_not_matter(name: str) -> None:
    x = vectors().astype(np.float32)
    wide = np.zeros((10, 2 * N_IN), dtype=np.float32)
    wide[::2, ::2] = x
    results = [opened(name).project(v) for v in (x, x.astype(np.float64), np.asfortranarray(x), wide[::2, ::2])]
    assert results[0].dtype == np.float32
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("name", ALL)
def test_the_input_is_left_alone(name: str) -> None:
    x = vectors()
    kept = x.copy()
    opened(name).project(x)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch_gives_an_empty_answer(name: str) -> None:
    device = opened(name)
    before = device.ledger.state()
    y = device.project(np.empty((0, N_IN)))
    assert (y.shape, y.dtype) == ((0, N_OUT), np.float32)
    assert device.ledger.state() == before


# Camera overrides


@pytest.mark.parametrize("name", OPUS)
@pytest.mark.parametrize(
    ("bits", "dtype"), [(1, np.uint8), (6, np.uint8), (8, np.uint8), (9, np.uint16), (10, np.uint16)]
)
@pytest.mark.filterwarnings("ignore::opu_sim.DeviceWarning")
def test_counts_fill_the_converter_and_no_more(name: str, bits: int, dtype: type) -> None:
    bright = opened(name, **{"camera.adc_bits": bits, "laser.power_mw": 1e5})
    counts = bright.intensity(np.ones((20, N_IN), dtype=bool))
    assert counts.dtype == dtype
    assert counts.max() == 2**bits - 1
    assert bright.ledger.saturated_pixels >= (counts == 2**bits - 1).sum() > 0
    dark = opened(name, **{"camera.adc_bits": bits, "laser.power_mw": 1e-6})
    assert dark.intensity(np.ones((20, N_IN), dtype=bool)).max() < 2**bits - 1
    assert dark.intensity(np.ones((20, N_IN), dtype=bool)).dtype == dtype


# Numbers


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(name: str) -> None:
    x = vectors()
    first, again, other = (opened(name, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.matrix(), again.matrix())
    y = first.project(x)
    assert np.array_equal(y, again.project(x))
    assert not np.isclose(first.matrix(), other.matrix()).all(axis=0).any()
    assert abs(np.corrcoef(y[0], other.project(x)[0])[0, 1]) < 0.9


@pytest.mark.parametrize("name", ALL)
def test_the_cut_of_a_batch_does_not_matter(name: str) -> None:
    x = vectors(11)
    whole = opened(name)
    cut = opened(name)
    y = whole.project(x)
    parts = [cut.project(x[a:b]) for a, b in ((0, 1), (1, 6), (6, 6), (6, 11))]
    assert np.array_equal(np.concatenate(parts), y)
    assert cut.ledger.frames == whole.ledger.frames
    assert cut.ledger.ops == whole.ledger.ops


@pytest.mark.parametrize("name", ALL)
def test_a_larger_device_begins_with_the_smaller_one(name: str) -> None:
    x = vectors()
    small, large = opened(name, n_out=9), opened(name, n_out=300)
    assert np.array_equal(large.matrix()[:9], small.matrix())
    assert np.array_equal(large.project(x)[:, :9], small.project(x))


@pytest.mark.parametrize("name", OPUS)
def test_noise_is_new_in_each_frame(name: str) -> None:
    device = opened(name)
    x = vectors()[:1]
    assert not np.array_equal(device.project(x), device.project(x))


# Ideal


def test_ideal_is_the_exact_product() -> None:
    device = opened("ideal")
    for dtype in (np.float32, np.float64):
        x = vectors().astype(dtype)
        y = device.project(x)
        assert y.dtype == np.float32
        exact = x.astype(np.float64) @ device.matrix().T.astype(np.float64)
        # Rounded once, at the end: half a unit in the last place of float32.
        np.testing.assert_allclose(y, exact, rtol=2.0**-24 * 1.001)
    np.testing.assert_allclose(device.project(np.eye(N_IN)).T, device.matrix(), rtol=1e-6)


def test_entries_of_the_ideal_matrix_have_variance_one_over_n_in() -> None:
    # Standard errors of mean and variance of N normal draws: sqrt(1 / N) and sqrt(2 / N); five of them.
    for n_in, n_out in ((10, 20_000), (400, 500)):
        entries = made("ideal", n_in=n_in, n_out=n_out).matrix().astype(np.float64) * n_in**0.5
        assert entries.shape == (n_out, n_in)
        assert abs(entries.mean()) < 5 * entries.size**-0.5
        assert abs(entries.var() - 1.0) < 5 * (2 / entries.size) ** 0.5


def test_ideal_spends_nothing_but_counts_its_work() -> None:
    device = opened("ideal")
    device.project(vectors())
    report = device.report()
    assert report["projections"] == 5
    assert device.ledger.ops == 2 * N_IN * N_OUT * 5
    for key in ("frames", "device_s", "joules", "watts", "teraops_delivered", "teraops_peak", "utilisation"):
        assert report[key] == 0, key


def test_ideal_has_no_camera() -> None:
    for device in (made("ideal"), opened("ideal")):
        assert refusal(DeviceError, device.intensity, np.ones((1, N_IN), dtype=bool)) == (
            "ideal has no camera: intensity needs an optical device"
        )


# State


@pytest.mark.parametrize("name", ALL)
def test_a_new_device_restored_from_state_goes_on_bit_for_bit(name: str) -> None:
    x, b = vectors(), np.random.default_rng(1).integers(0, 2, (3, N_IN))
    device = opened(name)
    device.project(x)
    state = json.loads(json.dumps(device.state()))

    def rest(running: Any) -> list[np.ndarray]:
        out = [running.project(x), running.project(x[:2])]
        return out if name == "ideal" else [*out, running.intensity(b), running.project(x)]

    expected = rest(device)
    new = opened(name)
    new.restore(json.loads(json.dumps(state)))
    assert new.state() == state
    assert all(np.array_equal(a, e) for a, e in zip(rest(new), expected, strict=True))
    assert new.state() == device.state()
    assert new.report() == device.report()
    # Without the state it would not be the same: the noise is that of other frames.
    if name != "ideal":
        assert not np.array_equal(rest(opened(name))[0], expected[0])


@pytest.mark.filterwarnings("ignore:.* saturated:opu_sim.DeviceWarning")
def test_saturation_goes_on_from_the_restored_number() -> None:
    bright = {"laser.power_mw": 1e4}
    device, new = opened(AURORA, **bright), opened(AURORA, **bright)
    device.project(vectors())
    new.restore(device.state())
    before = new.ledger.saturated_pixels
    assert before > 0
    device.project(vectors())
    new.project(vectors())
    assert new.ledger.saturated_pixels == device.ledger.saturated_pixels > before


@pytest.mark.parametrize("name", OPUS)
def test_restoring_before_opening_goes_on_bit_for_bit_too(name: str) -> None:
    x = vectors()
    device = opened(name)
    device.project(x)
    new = made(name)
    new.restore(json.loads(json.dumps(device.state())))
    new.open()
    assert np.array_equal(new.project(x), device.project(x))
    assert new.ledger == device.ledger


@pytest.mark.parametrize("name", OPUS)
def test_looking_at_the_matrix_first_changes_neither_frames_nor_numbers(name: str) -> None:
    looked, plain = made(name), made(name)
    looked.matrix()
    looked.open()
    plain.open()
    assert looked.ledger.frames == plain.ledger.frames
    assert np.array_equal(looked.project(vectors()), plain.project(vectors()))


@pytest.mark.parametrize("name", ALL)
def test_values_beyond_single_precision_are_refused(name: str) -> None:
    text = refusal(ValueError, opened(name).project, np.full((1, N_IN), 1e39))
    assert text.startswith("x[0, 0] = 1e+39: ")


def test_a_picture_is_cut_to_the_sensor() -> None:
    """As many outputs a side as a square of them has, of which a narrow sensor shows what it has."""
    pattern = np.arange(16, dtype=np.uint8) % 2
    settings = {"camera.rows": 60, "camera.columns": 40, "camera.roi_rows": 60, "laser.power_mw": 0.1}
    with load_device("lighton-aurora", n_in=16, n_out=81, seed=0, **settings) as narrow:
        assert narrow.snapshot(pattern).shape == (45, 40)
    with load_device("lighton-aurora", n_in=16, n_out=81, seed=0) as wide:
        assert wide.snapshot(pattern).shape == (45, 45)
