"""Phase screens with lenses between them: the product, and how near its matrix comes to independent entries."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError, load_device
from opu_sim.cards import MediumCard
from opu_sim.medium import (
    WaveOpticsMedium,
    ks_marchenko_pastur,
    ks_truncated_unitary,
    marchenko_pastur_cdf,
    singular_values,
    truncated_unitary_cdf,
)

SIGMAS = 4.5
N = 500


def lenses(n_in: int, n_outputs: int, screens: int = 3, oversampling: float = 4.0, seed: int = 1, **extra: Any) -> Any:
    """Medium whose first output is the neighbour of output 0, as in a device."""
    card = MediumCard(
        kind="wave-optics",
        transmission=1.0,
        analyser_transmission=1.0,
        speckle_grain_px=5.0,
        screens=screens,
        oversampling=oversampling,
        drift_time_s=extra.pop("drift_time_s", None),
    )
    return WaveOpticsMedium(card, seed, n_in, n_outputs, extra.pop("first_output", -1), **extra)


@lru_cache
def square(screens: int, oversampling: float, seed: int = 1) -> tuple[np.ndarray, WaveOpticsMedium]:
    """T of N outputs and N inputs."""
    medium = lenses(N, N + 2, screens, oversampling, seed)
    return medium.matrix()[1:-1], medium


@pytest.mark.parametrize("shape", [(37, 53), (1024, 3000)])
def test_planes_hold_what_they_must(shape: tuple[int, int]) -> None:
    medium = lenses(*shape, oversampling=2.0)
    *inner, last = medium.hops
    assert inner == [inner[0]] * 2
    assert medium.modes >= 2.0 * sum(shape)
    assert medium.modes < 2.3 * (sum(shape) + 20) or min(inner[0]) == max(last)
    assert last[0] * last[1] >= shape[1]


@pytest.mark.parametrize(("p", "q"), [(0.05, 0.05), (0.1, 0.3), (0.3, 0.7), (0.5, 0.5)])
def test_law_of_a_block_of_a_unitary_matrix(p: float, q: float) -> None:
    modes = 1000
    rng = np.random.default_rng(0)
    gaussian = rng.standard_normal((modes, modes)) + 1j * rng.standard_normal((modes, modes))
    block = np.linalg.qr(gaussian)[0][: round(p * modes), : round(q * modes)] * modes**0.5
    # Eigenvalues repel each other: their counts scatter by some 1/n, where n is the smaller side.
    assert ks_truncated_unitary(block, modes) < 2.0 / (min(p, q) * modes) + 0.005
    assert truncated_unitary_cdf(np.array([0.0, 1.0 / max(p, q)]), p, q) == pytest.approx([0.0, 1.0], abs=1e-6)


def test_law_of_a_small_block_is_marchenko_and_pasturs() -> None:
    x = np.linspace(0.01, 4.0, 50)
    assert truncated_unitary_cdf(x, 1e-4, 2e-4) == pytest.approx(marchenko_pastur_cdf(x, 0.5), abs=1e-3)
    far = np.abs(truncated_unitary_cdf(x, 0.25, 0.5) - marchenko_pastur_cdf(x, 0.5)).max()
    assert far > 0.05


def test_law_refuses_more_than_the_whole() -> None:
    with pytest.raises(ValueError, match=r"p, q = 0\.6, 0\.7: must be > 0, and <= 1 together"):
        truncated_unitary_cdf(1.0, 0.6, 0.7)


@pytest.mark.parametrize("screens", [3, 4])
@pytest.mark.parametrize("oversampling", [1.0, 2.0, 4.0, 8.0])
def test_singular_values_are_those_of_a_block_of_a_unitary_matrix(screens: int, oversampling: float) -> None:
    T, medium = square(screens, oversampling)
    # A block of a Haar matrix lies 0.005 off at this size; one with hard edges at 0 and 1 more.
    assert ks_truncated_unitary(T, medium.modes) < (0.04 if oversampling == 1 else 0.02 if oversampling == 2 else 0.01)
    share = N / medium.modes
    # The edge of a finite matrix scatters by n^(-2/3) = 0.016 of itself, and lies some 1.8 of that inside.
    assert singular_values(T)[-1] ** 2 == pytest.approx(4.0 * (1.0 - share), rel=5 * N ** (-2 / 3))
    # From Marchenko and Pastur's law the sample lies as far as its own law does, but for its distance from that one
    # (triangle inequality): some 2 / N once the mean is divided out, more with hard edges, which the mean moves.
    x = np.linspace(0.0, 4.0, 4001)
    far = np.abs(truncated_unitary_cdf(x, share, share) - marchenko_pastur_cdf(x, 1.0)).max()
    assert ks_marchenko_pastur(T) == pytest.approx(far, abs=(5 if oversampling == 1 else 3) / N)


def independent_entries(medium: WaveOpticsMedium) -> float:
    """So many independent entries would have moments that scatter as those of N x N entries behind screens.

    Behind three screens, N^2. Behind two, one speckle of M grains (the modes of the stop), which every one of C copies
    of an input shows displaced: <|T|^4> = 2 - 1/C + sum over k != 0 of |a_k|^2 h_k. a_k is the autocorrelation of the
    stop's M phases, over M: |a_k|^2 = |a_-k|^2 is of exponential law with mean prod(1 - |k_i| / M_i) / M over the two
    sides. h_k = 2 |D_k|^2 / C^2 - 1/C with D_k the sum of the C copies' phases. These are spread evenly over k, as
    copies do not lie whole lines apart: <|D|^2> = C, <|D|^4> = C (2 C^2 + 1) / 3. The variance is 2 (2/3)^2 <h^2> / M;
    that of n independent entries is 4 / n.
    """
    if len(medium.hops) == 3:
        return N**2
    copies, grains = medium.planes.copies, int(np.prod(medium.planes.stop))
    h_squared = 4 * (2 * copies**2 + 1) / (3 * copies**3) - 3 / copies**2
    return 4 * grains / (2 * (2 / 3) ** 2 * h_squared)


@pytest.mark.parametrize("screens", [2, 3])
def test_entries_are_circular_gaussian_of_variance_one(screens: int) -> None:
    T, medium = square(screens, 4.0)
    entries = T.ravel() / np.sqrt(np.mean(np.abs(T) ** 2))
    power = np.abs(entries) ** 2
    # The stop lets a share of the light pass that scatters with the grains of the plane in front of it.
    assert np.mean(np.abs(T) ** 2) == pytest.approx(1.0, abs=SIGMAS / medium.modes**0.5)
    # Each input has phases of its own, behind two screens, too: E|<T>|^2 = 1 / N^2 and E|<T^2>|^2 = 2 / N^2.
    assert abs(np.mean(entries)) < SIGMAS / N
    assert abs(np.mean(entries**2)) < SIGMAS * 2**0.5 / N
    # With w = |T|^2 of exponential law, E w^k = k!: <w^2> / <w>^2 has the variance var(w^2 - 4 w) = 20 + 16 - 32 of one
    # entry, <w^3> / <w>^3 that of w^3 - 18 w, 684 + 324 - 648.
    number = independent_entries(medium)
    assert np.mean(power**2) == pytest.approx(2.0, abs=SIGMAS * (4 / number) ** 0.5)
    assert np.mean(power**3) == pytest.approx(6.0, abs=SIGMAS * (360 / number) ** 0.5)


@pytest.mark.parametrize("screens", [2, 3])
def test_moments_scatter_as_those_of_so_many_independent_entries(screens: int) -> None:
    """Of a number that the screens say, 36 times smaller behind two: chi squared of 12 media, 0.1 % on either side."""
    media = [lenses(N, N + 2, screens, 4.0, seed) for seed in range(12)]
    power = [np.abs(medium.matrix()[1:-1]) ** 2 for medium in media]
    fourth = np.array([np.mean(p**2) / np.mean(p) ** 2 for p in power])
    ratio = np.mean((fourth - 2.0) ** 2) / (4 / independent_entries(media[0]))
    assert 0.18 < ratio < 2.75


@pytest.mark.parametrize("oversampling", [2.0, 4.0, 8.0])
def test_two_screens_leave_neighbouring_inputs_alike(oversampling: float) -> None:
    def alike(screens: int) -> tuple[float, float]:
        T, medium = square(screens, oversampling)
        light = np.abs(T) ** 2 - 1.0
        # The inputs of a line follow its points; the stop is that share of it which the camera's plane has.
        moved = medium.hops[-1][1] / medium.hops[0][1]
        expected = float(np.sinc(moved) ** 2 / medium._masks[0].shape[0])
        return float(np.mean(light[:, 1:] * light[:, :-1]) / np.var(light)), expected

    measured, expected = alike(2)
    # Speckle of a point fills the plane with as many grains as the stop has modes, N: 1 / sqrt N each.
    assert measured == pytest.approx(expected, abs=3.0 / N**0.5 * expected + 0.01)
    assert abs(alike(3)[0]) < 0.01


def test_neither_batch_nor_first_output_reach_the_numbers() -> None:
    medium = lenses(300, 402, first_output=-1)
    b = np.random.default_rng(0).integers(0, 2, (7, 300)).astype(np.uint8)
    whole = medium.propagate(b)
    for start, end in ((0, 1), (2, 5)):
        part = medium.propagate(b[start:end])
        assert all(np.array_equal(one[start:end], other) for one, other in zip(whole, part, strict=True))
    inner = lenses(300, 400, first_output=1)  # the same planes, which reach to output 400
    assert inner.hops == medium.hops
    assert np.array_equal(inner.propagate(b)[0], whole[0][:, 2:])


def test_block_and_matrix_are_what_propagate_multiplies_by() -> None:
    medium = lenses(60, 92)
    T = medium.matrix()
    x = np.random.default_rng(0).standard_normal((4, 60)).astype(np.float32)
    re, im = medium.propagate(x)
    assert re + 1j * im == pytest.approx(x @ T.T, abs=1e-4)
    outputs, inputs = np.array([5, -1, 90, 5]), np.array([59, 0, 7])
    assert np.array_equal(medium.block(outputs, inputs), T[outputs + 1][:, inputs])
    with pytest.raises(ValueError, match=r"outputs: -2 \.\. 0; must be -1 \.\. 90"):
        medium.block(np.array([-2, 0]), inputs)
    with pytest.raises(ValueError, match=r"inputs: 60 \.\. 60; must be 0 \.\. 59"):
        medium.block(outputs, np.array([60]))


def test_sources_beside_the_inputs() -> None:
    medium = lenses(200, 2002)
    T = medium.matrix()
    columns = np.array([medium.column(k)[0][0] + 1j * medium.column(k)[1][0] for k in (0, 1, 17)])
    power = np.mean(np.abs(columns) ** 2, axis=1)
    assert power == pytest.approx(np.ones(3), abs=SIGMAS / 2002**0.5 * 1.5)
    overlap = np.abs(columns @ T.conj()) / 2002
    assert overlap.max() < SIGMAS / 2002**0.5
    with pytest.raises(DeviceError, match=r"source 18 beside the inputs: the first plane has room for 18"):
        medium.column(18)


def test_illumination_is_part_of_the_matrix() -> None:
    factors = np.linspace(0.0, 1.0, 40).astype(np.complex64) * np.complex64(1j)
    plain, lit = lenses(40, 60), lenses(40, 60, illumination=factors)
    assert lit.matrix() == pytest.approx(plain.matrix() * factors, abs=1e-5)
    assert np.array_equal(lit.column(0)[0], plain.column(0)[0])


@pytest.mark.parametrize("screens", [2, 3])
def test_drift_decorrelates_the_field_exponentially(screens: int) -> None:
    tau = 100.0
    medium = lenses(N, 602, screens, drift_time_s=tau)
    b = np.random.default_rng(0).integers(0, 2, (40, N)).astype(np.uint8)

    def field() -> np.ndarray:
        re, im = medium.propagate(b)
        return re + 1j * im

    start = field()
    for time in (0.2 * tau, 0.7 * tau):
        medium.move_to(round(time / medium.step_s))
        later = field()
        correlation = np.vdot(start, later).real / np.vdot(start, start).real
        # Diffusing phases leave the energy in the stop to scatter with the screens' modes: 1 / sqrt(modes) a screen.
        assert correlation == pytest.approx(np.exp(-time / tau), abs=SIGMAS * (screens / medium.modes) ** 0.5)
    medium.move_to(0)
    assert np.array_equal(field(), start)


def test_warm_up_renews_its_share_of_the_power() -> None:
    b = np.random.default_rng(0).integers(0, 2, (40, N)).astype(np.uint8)
    fields = []
    for share in (0.0, 0.3):
        re, im = lenses(N, 602, mixing=lambda time, share=share: share).propagate(b)
        fields.append(re + 1j * im)
    modes = lenses(N, 602).modes
    correlation = np.vdot(fields[0], fields[1]).real / np.vdot(fields[0], fields[0]).real
    assert correlation == pytest.approx(0.7**0.5, abs=SIGMAS * (3 / modes) ** 0.5)


def test_refuses_what_does_not_fit_before_it_is_made() -> None:
    with pytest.raises(
        DeviceError,
        match=r"n_in x n_out = 10{6} x 10{9}: light on planes of \d+ modes takes \d+\.\d GiB; allowed: \d+\.\d GiB, "
        r"half of this computer's memory; medium\.oversampling below 64 takes less, medium\.kind = .streamed. next",
    ):
        lenses(10**6, 10**9, oversampling=64.0, first_output=0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "stored", "oversampling": 2.0}, r"oversampling = 2\.0: goes with kind = 'wave-optics' or 'auto'"),
        ({"kind": "streamed", "screens": 3}, r"screens = 3: goes with kind = 'slab', 'wave-optics' or 'auto' alone"),
        ({"kind": "wave-optics", "screens": 1}, r"screens = 1: one screen between two lenses mixes nothing"),
        ({"kind": "wave-optics", "oversampling": 0.1}, r"medium\.oversampling = 0\.1: must be a number >= 0\.25"),
    ],
)
def test_keys_of_the_card(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_device("lighton-aurora", n_in=10, n_out=20, **{f"medium.{key}": value for key, value in keys.items()})


@pytest.mark.parametrize("card", ["lighton-aurora", "light-in-the-loop"])
def test_device_projects_linearly_through_screens_and_lenses(card: str) -> None:
    """What y differs by from x @ matrix().T is the noise that the device predicts for patterns with 50 inputs ON.

    The variance of an output's noise follows its brightness or that of its reference, of exponential law at most: its
    mean over 2048 outputs scatters by 1 / sqrt(2048), 0.1 dB; 4.5 sigma are 0.43 dB. 40 vectors add 1 / 80 of that.
    """
    n_in, on, n_out, vectors = 100, 50, 2048, 40
    rng = np.random.default_rng(0)
    x = np.array([rng.permutation(n_in) < on for _ in range(vectors)], dtype=np.float32)
    with load_device(card, n_in=n_in, n_out=n_out, **{"medium.kind": "wave-optics"}) as opu:
        error = opu.project(x) - x @ opu.matrix().T
        assert opu.matrix().var() == pytest.approx(1.0 / n_in, rel=0.1)
        predicted = on / n_in / opu.snr(on)
    sigma_db = 10 / np.log(10) * ((1 + 2 / vectors) / n_out) ** 0.5
    assert abs(10 * np.log10(np.mean(error.astype(np.float64) ** 2) / predicted)) < SIGMAS * sigma_db


@pytest.mark.slow
@pytest.mark.parametrize("oversampling", [1.0, 2.0])
def test_block_of_a_full_frame(oversampling: float) -> None:
    """1,039,680 inputs and 2,228,224 outputs: 1024 x 1024 entries of 2.3e12, drawn at random."""
    rng = np.random.default_rng(0)
    medium = lenses(1_039_680, 2_228_226, oversampling=oversampling)
    T = medium.block(np.sort(rng.choice(2_228_224, 1024, False)), np.sort(rng.choice(1_039_680, 1024, False)))
    power = np.abs(T) ** 2
    assert power.mean() == pytest.approx(1.0, abs=SIGMAS / 1024 * 1.5)
    assert np.mean(power**2) == pytest.approx(2.0, abs=SIGMAS * 20**0.5 / 1024)
    assert abs(np.mean(T**2)) < SIGMAS * 2**0.5 / 1024
    # 1024 entries a side of a plane of millions: Marchenko and Pastur's law, to 2 / n and the spread of the mean.
    assert ks_marchenko_pastur(T) < 0.01
    assert singular_values(T)[-1] ** 2 == pytest.approx(4.0, rel=5 * 1024 ** (-2 / 3))
    rows = T @ T.conj().T / 1024
    off = rows[~np.eye(1024, dtype=bool)]
    # Mean square 1 / n; its scatter over half a million pairs is a thousandth.
    assert 1024 * np.mean(np.abs(off) ** 2) == pytest.approx(1.0, abs=0.02)
