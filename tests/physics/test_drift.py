"""Drift of the medium: correlation laws, and numbers that depend on the knot alone."""

from collections.abc import Callable

import numpy as np
import pytest

from opu_sim.medium import StoredMedium
from opu_sim.medium.drift import STEPS_PER_DRIFT_TIME, Drift

SIGMAS = 4.5
TAU_S = 1000.0


def correlation(a: np.ndarray, b: np.ndarray) -> complex:
    return complex(np.vdot(a, b) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real))


def intensity_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(np.abs(a).ravel() ** 2, np.abs(b).ravel() ** 2)[0, 1])


def matrix_at(step: int, n: int = 200, **options: object) -> np.ndarray:
    medium = StoredMedium(1, n, n, drift_time_s=TAU_S, **options)  # type: ignore[arg-type]
    medium.move_to(step)
    return medium.matrix().astype(np.complex128)


def test_field_correlation_falls_exponentially_and_intensity_correlation_as_its_square() -> None:
    """exp(-t / tau) between any two knots, N = 40,000 entries."""
    medium = StoredMedium(1, 200, 200, drift_time_s=TAU_S)
    assert medium.step_s == TAU_S / STEPS_PER_DRIFT_TIME
    seen = {}
    for step in (0, 1, 50, 250, 500, 1500):
        medium.move_to(step)
        seen[step] = medium.matrix().astype(np.complex128)
    sd = 40_000**-0.5
    for a in seen:
        for b in (step for step in seen if step >= a):
            expected = np.exp(-(b - a) * medium.step_s / TAU_S)
            # Sample correlation of complex normals: sd (1 - c^2) / sqrt(2 N) along c, sqrt((1 - c^2) / 2 N) across;
            # of intensities about twice (1 - c^2) / sqrt N for c near 1, less below. Rounding: 1e-5.
            got = correlation(seen[a], seen[b])
            lost = 1 - expected**2
            assert abs(got.real - expected) < SIGMAS * sd * 0.5**0.5 * lost + 1e-5
            assert abs(got.imag) < SIGMAS * sd * (0.5 * lost) ** 0.5 + 1e-5
            assert abs(intensity_correlation(seen[a], seen[b]) - expected**2) < SIGMAS * 2 * sd * lost + 1e-4
    # Control: a medium without drift stays as it is, far outside that band.
    still = StoredMedium(1, 200, 200)
    still.move_to(500)
    assert correlation(seen[0], still.matrix().astype(np.complex128)).real > 1 - 1e-12
    assert abs(1 - np.exp(-1)) > 20 * SIGMAS * sd


def test_law_of_the_entries_is_kept() -> None:
    """After 1000 steps: E T = 0, E T^2 = 0, E|T|^2 = 1, E|T|^4 = 2; sd's 1, 1, 1 and sqrt(20) over sqrt N."""
    T = matrix_at(1000).ravel()
    sd = T.size**-0.5
    assert abs(T.mean()) < SIGMAS * sd
    assert abs(np.mean(T**2)) < SIGMAS * 2 * sd
    assert abs(np.mean(np.abs(T) ** 2) - 1) < SIGMAS * sd
    assert abs(np.mean(np.abs(T) ** 4) - 2) < SIGMAS * 20**0.5 * sd
    for part in (T.real, T.imag):
        assert np.array_equal(part * 2**11, np.rint(part * 2**11))


def test_rounding_to_the_grid_is_negligible() -> None:
    """Each step adds g^2 / 12 a part, each later one takes a^2 of it: g^2 / 12 (1 - a^2k) / (1 - a^2).

    For large k that is 5e-6. Two walks with the same fresh matrices G, one of them started from zero, differ by a^k T_0
    and by rounding alone.
    """
    k, n = 600, 200
    drift = Drift(TAU_S)
    a = float(np.float32(drift.keep))
    part = StoredMedium(1, n, n, drift_time_s=TAU_S)
    other = StoredMedium(1, n, n, drift_time_s=TAU_S)
    other._state = other._re, other._im = tuple(np.zeros_like(x) for x in other._state)  # type: ignore[assignment]
    start = part.matrix().astype(np.complex128)
    part.move_to(k)
    other.move_to(k)
    rounding = part.matrix().astype(np.complex128) - other.matrix() - a**k * start
    # Two walks round independently, real and imaginary part each.
    expected = 4 * 2.0**-22 / 12 * (1 - a ** (2 * k)) / (1 - a * a)
    # sd of the mean square of N complex normals: 1 / sqrt N = 0.5 %; the start's own grid and float32 sums add < 1 %.
    assert np.mean(np.abs(rounding) ** 2) == pytest.approx(expected, rel=0.04)
    assert expected / 2 < 1.1e-5  # of one walk: 50 dB below the entries


@pytest.mark.parametrize("mixing", [None, lambda t: 0.3 * (1 - np.exp(-t / 500))])
@pytest.mark.parametrize("lit", [False, True])
def test_a_knot_is_reached_by_any_way(mixing: Callable[[float], float] | None, lit: bool) -> None:
    factors = np.exp(2j * np.pi * np.random.default_rng(0).uniform(size=9)).astype(np.complex64) if lit else None

    def medium(n_outputs: int = 7, first: int = -1) -> StoredMedium:
        return StoredMedium(3, 9, n_outputs, first, factors, TAU_S, mixing)

    straight, wandering, narrow = medium(), medium(), medium(3, 1)
    straight.move_to(150)
    for step in (3, 64, 65, 200, 10, 150):
        wandering.move_to(step)
    narrow.move_to(150)
    assert np.array_equal(straight.matrix(), wandering.matrix())
    assert np.array_equal(straight.column(1), wandering.column(1))
    assert np.array_equal(narrow.matrix(), straight.matrix()[2:5])
    assert np.array_equal(np.array(narrow.column(1)), np.array(straight.column(1))[..., 2:5])
    assert not np.array_equal(medium().matrix(), straight.matrix())
    assert not np.array_equal(medium().column(1), straight.column(1))
    b = np.random.default_rng(1).integers(0, 2, (4, 9), dtype=np.uint8)
    re, im = straight.propagate(b)
    assert np.array_equal(re + 1j * im, b @ straight.matrix().T.astype(np.complex128))
    straight.move_to(0)
    assert np.array_equal(straight.matrix(), medium().matrix())


def test_mixing_follows_its_law() -> None:
    """T(t) = sqrt(1 - q) D + sqrt(q) W: |correlation|^2 with the start is 1 - q(t), and W is not D."""
    share = {0.0: 0.0, 10.0: 0.2, 20.0: 0.75, 30.0: 1.0}
    medium = StoredMedium(4, 200, 200, mixing=share.__getitem__)
    assert medium.step_s == 10.0
    start = medium.matrix().astype(np.complex128)
    assert np.array_equal(start, StoredMedium(4, 200, 200).matrix())
    sd = 40_000**-0.5
    for step, q in enumerate(share.values()):
        medium.move_to(step)
        T = medium.matrix().astype(np.complex128)
        assert abs(correlation(start, T) - (1 - q) ** 0.5) < SIGMAS * sd * q + 1e-6
        assert abs(np.mean(np.abs(T) ** 2) - 1) < SIGMAS * sd
    medium.move_to(0)
    assert np.array_equal(start, medium.matrix())


@pytest.mark.parametrize(
    ("tau_s", "step_s", "walked_at_1000", "keep"),
    [
        (50.0, 0.1, 1000, np.exp(-0.002)),  # the walk sets the lattice; warm-up is looked up every 10 s
        (1e6, 10.0, 5, np.exp(-0.002)),  # warm-up does; the walk takes a step in 200 knots
        (7000.0, 10.0, 1000, np.exp(-10 / 7000)),
    ],
)
def test_both_changes_share_the_finer_lattice(tau_s: float, step_s: float, walked_at_1000: int, keep: float) -> None:
    asked = []
    drift = Drift(tau_s, lambda t: asked.append(t) or 0.5)  # type: ignore[func-returns-value]
    assert drift.step_s == pytest.approx(step_s, rel=1e-12)
    assert drift.at(1000) == (walked_at_1000, 0.5)
    assert drift.keep == pytest.approx(keep, rel=1e-12)
    assert drift.keep**2 + drift.fresh**2 == pytest.approx(1.0, rel=1e-12)
    drift.at(1001)
    assert asked == pytest.approx([1000 * step_s, 1000 * step_s if step_s < 10 else 1001 * step_s], rel=1e-12)
    # Random and deterministic change leave each other's numbers alone.
    assert Drift(tau_s).at(1000)[1] == 0.0


def test_refusals() -> None:
    with pytest.raises(ValueError, match="step = -2: must be >= 0"):
        StoredMedium(0, 2, 2, drift_time_s=1.0).move_to(-2)
    with pytest.raises(ValueError, match=r"mixing share = 1\.5: must be in \[0, 1\]"):
        StoredMedium(0, 2, 2, mixing=lambda t: 1.5)
