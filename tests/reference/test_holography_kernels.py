"""The holography kernels and their matrices against Fourier transforms in float64, for 2 to 8 pixels a mode."""

from collections.abc import Callable, Iterator

import numba
import numpy as np
import pytest

from opu_sim._kernels.holography import demodulate_real, hologram_photons, speckle_light, structured_photons
from opu_sim.recovery.tiles import HologramTile

PIXELS = range(2, 9)
FRAMES_AND_TILES = [(0, 2), (1, 1), (3, 2), (2, 5)]


def carrier_of(p: int) -> int:
    """Fringes along a tile: the side band of 16 lines ends at line 8p - 1, with 2 pixels a mode at line 16."""
    return {2: 9}.get(p, 8 * p - 8)


def lines_of(p: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the side band."""
    return np.arange(-8, 8), np.arange(-8, 8) + carrier_of(p)


def transfer(p: int) -> np.ndarray:
    """Square pixel's transfer function in the side band."""
    rows, columns = lines_of(p)
    return np.sinc(rows[:, None] / (16 * p)) * np.sinc(columns[None, :] / (16 * p))


def naive_signal(modes: np.ndarray, p: int) -> np.ndarray:
    """Signal times carrier on the pixels, of modes [..., 16, 16], by zero padding of the spectrum."""
    spectrum = np.fft.fftshift(np.fft.fft2(modes.astype(np.complex128)), axes=(-2, -1)) * transfer(p)
    wide = np.zeros((*modes.shape[:-2], 16 * p, 16 * p), np.complex128)
    rows, columns = lines_of(p)
    wide[..., rows[:, None], columns[None, :]] = spectrum * p * p
    return np.fft.ifft2(wide)


def naive_photons(
    zero: np.ndarray, signal: np.ndarray, reference: np.ndarray | float, fringes: np.ndarray
) -> np.ndarray:
    """Light of frames [frame, tile, row, column] for one unit of energy."""
    beam = 2 * fringes.astype(np.float64)[:, None, None, None] * (np.conj(reference) * signal).real
    return np.maximum(zero + beam + np.abs(reference) ** 2, 0)


def naive_speckle(modes: np.ndarray, p: int) -> np.ndarray:
    """|s|^2 averaged over each pixel by an 8 x 8 Gauss-Legendre rule, exact to 1e-9 for lines up to 15 of 32."""
    node, weight = np.polynomial.legendre.leggauss(8)
    lines = np.fft.fftfreq(16, 1 / 16)
    spectrum = np.fft.fft2(modes.astype(np.complex128)) * p * p
    out = np.zeros((*modes.shape[:-2], 16 * p, 16 * p))
    index = lines.astype(int)
    for a, u in zip(weight / 2, node / 2, strict=True):
        for b, v in zip(weight / 2, node / 2, strict=True):
            moved = spectrum * np.exp(2j * np.pi * (lines[:, None] * u + lines[None, :] * v) / (16 * p))
            wide = np.zeros(out.shape, np.complex128)
            wide[..., index[:, None], index[None, :]] = moved
            out += a * b * np.abs(np.fft.ifft2(wide)) ** 2
    return out


def naive_demodulate(pixels: np.ndarray, p: int, edge: float | None = None) -> np.ndarray:
    """Modes [..., 16, 16] of pixels [..., 16p, 16p]: the side band of the spectrum, filtered and deblurred."""
    spectrum = np.fft.fft2(pixels.astype(np.float64))
    rows, columns = lines_of(p)
    side_band = spectrum[..., rows[:, None], columns[None, :]] / transfer(p) / p / p
    side_band[..., columns == 8 * p] *= 0.5  # a line that is its own twin
    if edge is not None:
        distance = np.abs(np.arange(-8, 8)) / 8
        fall = 0.5 + 0.5 * np.cos(np.pi * (distance - 1 + edge) / edge)
        taper = np.where(distance > 1 - edge, fall, 1.0)
        side_band *= taper[:, None] * taper[None, :]
    return np.fft.ifft2(np.fft.ifftshift(side_band, axes=(-2, -1)))


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


def flat(modes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    all_modes = modes.reshape(modes.shape[0], modes.shape[1] * 256)
    return np.ascontiguousarray(all_modes.real), np.ascontiguousarray(all_modes.imag)


def photons_of(
    modes: np.ndarray,
    amplitude: float,
    order_zero: float,
    reference: float,
    fringes: np.ndarray,
    energy: np.ndarray,
    p: int = 4,
) -> np.ndarray:
    tile = HologramTile(p)
    out = np.full((modes.shape[0], modes.shape[1] * tile.size**2), np.nan, np.float32)
    hologram_photons(
        *flat(modes),
        tile.rows_to_pixels,
        *tile.columns_to_pixels(amplitude),
        np.float32(order_zero),
        np.float32(reference),
        fringes,
        energy,
        out,
    )
    return out.reshape(*modes.shape[:2], tile.size, tile.size)


def structured_of(
    modes: np.ndarray, zero: np.ndarray, reference: np.ndarray, fringes: np.ndarray, energy: np.ndarray, p: int
) -> np.ndarray:
    """With amplitude 3 and order zero 1.3."""
    tile = HologramTile(p)
    out = np.full((modes.shape[0], modes.shape[1] * tile.size**2), np.nan, np.float32)
    structured_photons(
        *flat(modes),
        tile.rows_to_pixels,
        *tile.columns_to_pixels(3.0),
        np.float32(1.3),
        zero,
        np.ascontiguousarray(reference.real).ravel(),
        np.ascontiguousarray(reference.imag).ravel(),
        fringes,
        energy,
        out,
    )
    return out.reshape(*modes.shape[:2], tile.size, tile.size)


def speckle_of(modes: np.ndarray, p: int, amplitude: float = 1.0) -> np.ndarray:
    tile = HologramTile(p)
    out = np.full((modes.shape[0], modes.shape[1] * tile.size**2), np.nan, np.float32)
    speckle_light(*flat(modes), tile.rows_to_points, *tile.columns_to_points(amplitude), tile.blur, out)
    return out


def fields_of(
    frames: np.ndarray, n_out: int, factor: complex = 1.0, p: int = 4, edge: float | None = None, gain: float = 1.0
) -> np.ndarray:
    tile = HologramTile(p, edge)
    out = np.full((len(frames), n_out), np.nan, np.float32)
    pixels = frames.reshape(len(frames), frames.shape[1] * tile.size**2)
    gains = np.float32(gain) * np.arange(1, n_out + 1, dtype=np.float32) ** np.float32(0 if gain == 1.0 else 0.5)
    demodulate_real(pixels, tile.rows_to_modes, *tile.columns_to_modes(factor), gains, out)
    return out


@pytest.mark.parametrize("p", PIXELS)
@pytest.mark.parametrize(("frames", "tiles"), FRAMES_AND_TILES)
@pytest.mark.parametrize(
    ("amplitude", "order_zero", "reference"),
    [(1.0, 1.3, 2.0), (0.0, 1.3, 80.0), (30.0, 1.0, 0.0), (5.0, 0.0, 3.0)],
)
def test_hologram_photons(
    p: int, frames: int, tiles: int, amplitude: float, order_zero: float, reference: float
) -> None:
    energy = np.linspace(0.5, 1.5, frames, dtype=np.float32)
    fringes = np.linspace(1.0, 0.3, frames, dtype=np.float32)
    modes = modes_of(frames, tiles)
    got = photons_of(modes, amplitude, order_zero, reference, fringes, energy, p)
    signal = amplitude * naive_signal(modes, p)
    expected = naive_photons(order_zero * np.abs(signal) ** 2, signal, reference, fringes)
    # Two sums of 32 and 17 products in float32, and their square: 1e-6 of the brightest light of both arms.
    largest = (5 * amplitude + reference) ** 2
    assert np.abs(got - expected * energy[:, None, None, None]).max(initial=0) < 1e-6 * largest
    if frames and order_zero == 0:
        # Without the order-zero term the fringes would reach below zero.
        assert np.any(got == 0)
        assert got.min() == 0


@pytest.mark.parametrize("p", [2, 3, 4, 8])
@pytest.mark.parametrize(("frames", "tiles"), FRAMES_AND_TILES)
@pytest.mark.parametrize("given", [True, False])
def test_structured_photons(p: int, frames: int, tiles: int, given: bool) -> None:
    rng = np.random.default_rng(7)
    energy = np.linspace(0.5, 1.5, frames, dtype=np.float32)
    fringes = np.linspace(1.0, 0.3, frames, dtype=np.float32)
    modes, shape = modes_of(frames, tiles), (tiles, 16 * p, 16 * p)
    reference = (5 + rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    zero = rng.random((frames, tiles * 256 * p * p), dtype=np.float32) if given else np.empty((0, 0), np.float32)
    got = structured_of(modes, zero, reference, fringes, energy, p)
    signal = 3.0 * naive_signal(modes, p)
    order_zero = zero.reshape(frames, *shape) if given else 1.3 * np.abs(signal) ** 2
    expected = naive_photons(order_zero, signal, reference, fringes) * energy[:, None, None, None]
    assert np.abs(got - expected).max(initial=0) < 1e-6 * 25**2  # as above: largest amplitudes 15 and 10


@pytest.mark.parametrize("p", [2, 3, 4, 8])
@pytest.mark.parametrize(("frames", "tiles"), FRAMES_AND_TILES)
def test_speckle_light(p: int, frames: int, tiles: int) -> None:
    modes = modes_of(frames, tiles)
    expected = naive_speckle(modes, p).reshape(frames, tiles * 256 * p * p)
    # Sums of 32 and 17 products, squared, and two of 16p: 2e-6 of the brightest light.
    assert np.abs(speckle_of(modes, p, 2.0) - 4 * expected).max(initial=0) < 2e-6 * 4 * 25


@pytest.mark.parametrize("p", PIXELS)
@pytest.mark.parametrize(("frames", "tiles"), FRAMES_AND_TILES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_demodulate_real(p: int, frames: int, tiles: int, dtype: type) -> None:
    top = 255 if dtype == np.uint8 else 65535
    shape = (frames, tiles, 16 * p, 16 * p)
    pixels = np.random.default_rng(6).integers(0, top, shape, endpoint=True).astype(dtype)
    if frames > 1:
        pixels[0, 0], pixels[1, 0], pixels[1, 1] = top, 0, 0  # constant light is out of the band
        pixels[1, 1, 16 * p - 1, 0] = top
    expected = naive_demodulate(pixels, p).reshape(frames, tiles * 256)
    # Sums of 16p pixels in either direction in float32, which for constant light add up to zero; what the transfer
    # function divides by is least at p = 2, and so is the averaging over pixels.
    limit = (1e-6 if p < 4 else 3e-7) * top
    for n_out in {0, 1, 255, 256, 300, tiles * 256}:
        if n_out <= tiles * 256:
            error = np.abs(fields_of(pixels, n_out, p=p) - expected.real[:, :n_out])
            assert error.max(initial=0) < limit
    imaginary = fields_of(pixels, tiles * 256, -1j, p=p)
    assert np.abs(imaginary - expected.imag).max(initial=0) < limit


@pytest.mark.parametrize("p", [2, 4, 5])
@pytest.mark.parametrize("edge", [0.05, 0.4, 1.0])
def test_filter_and_gain(p: int, edge: float) -> None:
    pixels = np.random.default_rng(8).integers(0, 255, (2, 2, 16 * p, 16 * p)).astype(np.uint8)
    expected = naive_demodulate(pixels, p, edge).reshape(2, 512)
    assert np.abs(fields_of(pixels, 512, p=p, edge=edge) - expected.real).max() < 3e-4
    gained = fields_of(pixels, 400, p=p, edge=edge, gain=2.0)
    assert np.abs(gained - 2 * np.sqrt(np.arange(1, 401)) * expected.real[:, :400]).max() < 2 * 20 * 3e-4
    # Control: a sharp filter is another one.
    assert np.abs(fields_of(pixels, 512, p=p) - expected.real).max() > 1


@pytest.mark.parametrize("p", PIXELS)
def test_one_way_is_the_inverse_of_the_other(p: int) -> None:
    """Without the order-zero term: 2 reference Re s demodulates to reference times the modes."""
    modes = modes_of(3, 2)
    ones = np.ones(3, np.float32)
    light = photons_of(modes, 1.0, 0.0, 100.0, ones, ones, p)
    assert light.min() > 0
    got = (fields_of(light, 512, p=p) + 1j * fields_of(light, 512, -1j, p=p)) / 100
    expected = modes.reshape(3, 512)
    if p == 2:  # half of the last line is lost: what it and its twin add up to, e^{i k y} and e^{-i k y}, is real
        spectrum = np.fft.fft2(modes.astype(np.complex128))
        twin = np.conj(spectrum[..., -np.arange(16), 7])
        twin[..., 8] = 0  # line -8 has no partner
        spectrum[..., 7] = 0.5 * (spectrum[..., 7] + twin)
        expected = np.fft.ifft2(spectrum).reshape(3, 512)
    # 3e-7 of the light, as above, in either part: 3e-7 * 1.1e4 * 2^(1/2) / 100.
    assert np.abs(got - expected).max() < (2e-4 if p < 4 else 5e-5)


@pytest.mark.parametrize("p", [2, 3, 4, 7])
def test_a_tile_is_the_same_wherever_it_is_worked_on(one_thread: Callable[[], None], p: int) -> None:
    """To the last bit: alone, among others, in another frame, by one thread."""
    modes = modes_of(5, 3)
    ones = np.ones(5, np.float32)
    rng = np.random.default_rng(9)
    reference = (30 + rng.standard_normal((3, 16 * p, 16 * p))).astype(np.complex64)
    photons = photons_of(modes, 7.0, 1.3, 30.0, ones, ones, p)
    speckle = speckle_of(modes, p)
    structured = structured_of(modes, speckle, reference, ones, ones, p)
    counts = np.rint(photons / 20).astype(np.uint16)
    fields = fields_of(counts, 700, p=p)
    some = modes[4:, 2:]
    alone = speckle_of(some, p)
    assert np.array_equal(photons[4, 2], photons_of(some, 7.0, 1.3, 30.0, ones[4:], ones[4:], p)[0, 0])
    assert np.array_equal(speckle[4].reshape(3, -1)[2], alone[0])
    assert np.array_equal(structured[4, 2], structured_of(some, alone, reference[2:], ones[4:], ones[4:], p)[0, 0])
    assert np.array_equal(fields[4, 512:], fields_of(counts[4:, 2:], 188, p=p)[0])
    one_thread()
    assert np.array_equal(photons, photons_of(modes, 7.0, 1.3, 30.0, ones, ones, p))
    assert np.array_equal(speckle, speckle_of(modes, p))
    assert np.array_equal(structured, structured_of(modes, speckle, reference, ones, ones, p))
    assert np.array_equal(fields, fields_of(counts, 700, p=p))
