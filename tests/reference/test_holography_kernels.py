"""The holography kernels and their matrices against Fourier transforms in float64."""

from collections.abc import Callable, Iterator

import naive
import numba
import numpy as np
import pytest

from opu_sim._kernels.holography import demodulate_real, hologram_photons
from opu_sim.recovery import off_axis as holography

FRAMES_AND_TILES = [(0, 2), (1, 1), (3, 2), (2, 5)]


@pytest.fixture
def one_thread() -> Iterator[Callable[[], None]]:
    before = numba.get_num_threads()
    yield lambda: numba.set_num_threads(1)
    numba.set_num_threads(before)


def modes_of(frames: int, tiles: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    shape = (frames, tiles, 16, 16)
    modes = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    if frames > 1:
        modes[0, 0] = 0
        modes[1, 0] = np.resize([1, -1], 16)[:, None]  # line -8 of the rows alone, the one without a partner
        modes[1, 1] = np.resize([1, -1], 16)[None, :]
    return modes


def photons_of(
    modes: np.ndarray, amplitude: float, order_zero: float, reference: float, energy: np.ndarray
) -> np.ndarray:
    frames, tiles = modes.shape[:2]
    flat = modes.reshape(frames, tiles * 256)
    out = np.full((frames, tiles * 4096), np.nan, np.float32)
    hologram_photons(
        np.ascontiguousarray(flat.real),
        np.ascontiguousarray(flat.imag),
        holography._ROWS_TO_PIXELS,
        *holography._parts(amplitude * holography._TO_PIXELS[1]),
        np.float32(order_zero),
        np.float32(reference),
        energy,
        out,
    )
    return out.reshape(frames, tiles, 64, 64)


def fields_of(frames: np.ndarray, n_out: int, factor: complex = 1.0) -> np.ndarray:
    out = np.full((len(frames), n_out), np.nan, np.float32)
    columns = holography._parts(factor * holography._TO_MODES[1])
    flat = frames.reshape(len(frames), frames.shape[1] * 4096)
    demodulate_real(flat, holography._ROWS_TO_MODES, *columns, out)
    return out


@pytest.mark.parametrize(("frames", "tiles"), FRAMES_AND_TILES)
@pytest.mark.parametrize(
    ("amplitude", "order_zero", "reference"),
    [(1.0, 1.3, 2.0), (0.0, 1.3, 80.0), (30.0, 1.0, 0.0), (5.0, 0.0, 3.0)],
)
def test_hologram_photons(frames: int, tiles: int, amplitude: float, order_zero: float, reference: float) -> None:
    energy = np.linspace(0.5, 1.5, frames, dtype=np.float32)
    modes = modes_of(frames, tiles)
    got = photons_of(modes, amplitude, order_zero, reference, energy)
    expected = naive.hologram_photons(modes, amplitude, order_zero, reference, energy)
    # Two sums of 32 and 17 products in float32, and their square: 1e-6 of the brightest light of both arms.
    largest = (5 * amplitude + reference) ** 2
    assert np.abs(got - expected).max(initial=0) < 1e-6 * largest
    if frames and order_zero == 0:
        # Without the order-zero term the fringes would reach below zero.
        assert np.any(got == 0)
        assert got.min() == 0


@pytest.mark.parametrize(("frames", "tiles"), FRAMES_AND_TILES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_demodulate_real(frames: int, tiles: int, dtype: type) -> None:
    top = 255 if dtype == np.uint8 else 65535
    pixels = np.random.default_rng(6).integers(0, top, (frames, tiles, 64, 64), endpoint=True).astype(dtype)
    if frames > 1:
        pixels[0, 0], pixels[1, 0], pixels[1, 1] = top, 0, 0  # constant light is out of the band
        pixels[1, 1, 63, 0] = top
    expected = naive.demodulate(pixels).reshape(frames, tiles * 256)
    for n_out in {0, 1, 255, 256, 300, tiles * 256}:
        if n_out <= tiles * 256:
            # Sums of 64 pixels in either direction in float32, which for constant light add up to zero.
            error = np.abs(fields_of(pixels, n_out) - expected.real[:, :n_out])
            assert error.max(initial=0) < 3e-7 * top
    imaginary = fields_of(pixels, tiles * 256, -1j)
    assert np.abs(imaginary - expected.imag).max(initial=0) < 3e-7 * top


def test_one_way_is_the_inverse_of_the_other() -> None:
    """Without the order-zero term: 2 reference Re s demodulates to reference times the modes."""
    modes = modes_of(3, 2)
    light = photons_of(modes, 1.0, 0.0, 100.0, np.ones(3, np.float32))
    assert light.min() > 0
    got = (fields_of(light, 512) + 1j * fields_of(light, 512, -1j)) / 100
    # 3e-7 of the light, as above, in either part: 3e-7 * 1.1e4 * 2^(1/2) / 100.
    assert np.abs(got - modes.reshape(3, 512)).max() < 5e-5


def test_a_tile_is_the_same_wherever_it_is_worked_on(one_thread: Callable[[], None]) -> None:
    """To the last bit: alone, among others, in another frame, by one thread."""
    modes = modes_of(5, 3)
    energy = np.ones(5, np.float32)
    photons = photons_of(modes, 7.0, 1.3, 30.0, energy)
    counts = np.rint(photons / 20).astype(np.uint16)
    fields = fields_of(counts, 700)
    alone = photons_of(modes[4:, 2:], 7.0, 1.3, 30.0, energy[4:])
    assert np.array_equal(photons[4, 2], alone[0, 0])
    assert np.array_equal(fields[4, 512:], fields_of(counts[4:, 2:], 188)[0])
    one_thread()
    assert np.array_equal(photons, photons_of(modes, 7.0, 1.3, 30.0, energy))
    assert np.array_equal(fields, fields_of(counts, 700))
