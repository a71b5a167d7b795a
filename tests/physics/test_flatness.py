"""Static phase of the array: Zernike polynomials, flatness, Strehl ratio, and what the inputs get of it."""

import numpy as np
import pytest

from opu_sim.cards import DmdCard, OpuCard, load_card
from opu_sim.dmd import Dmd
from opu_sim.dmd.flatness import TERMS, input_phase, noll_index, phase, strehl, zernike


def dmd_card(**overrides: object) -> DmdCard:
    keys = {f"dmd.{key}": value for key, value in overrides.items()}
    card = load_card("lighton-aurora", keys | {"recovery.anchors": 2})
    assert isinstance(card, OpuCard)
    return card.dmd


def test_noll_s_order() -> None:
    # Noll 1976, first 15: (n, |m|), even j cosines, odd j sines.
    expected = [
        (0, 0), (1, 1), (1, 1), (2, 0), (2, 2), (2, 2), (3, 1), (3, 1), (3, 3), (3, 3), (4, 0), (4, 2), (4, 2), (4, 4),
        (4, 4),
    ]  # fmt: skip
    found = [noll_index(j) for j in range(1, 16)]
    assert [(n, abs(m)) for n, m in found] == expected
    assert all(m == 0 or (m > 0) == (j % 2 == 0) for j, (_, m) in enumerate(found, start=1))


def test_known_polynomials() -> None:
    x, y = np.array([0.3, -0.5, 0.0]), np.array([0.2, 0.4, 1.0])
    r2 = x**2 + y**2
    for j, expected in {
        1: np.ones(3),
        2: 2 * x,
        3: 2 * y,
        4: 3**0.5 * (2 * r2 - 1),
        5: 6**0.5 * 2 * x * y,
        6: 6**0.5 * (x**2 - y**2),
        8: 8**0.5 * (3 * r2 - 2) * x,
        11: 5**0.5 * (6 * r2**2 - 6 * r2 + 1),
    }.items():
        np.testing.assert_allclose(zernike(j, x, y), expected, atol=1e-12)


def test_orthonormal_on_the_disc() -> None:
    # Gauss-Legendre in r^2 and equal steps in angle integrate these products exactly.
    nodes, weights = np.polynomial.legendre.leggauss(12)
    radius = np.sqrt((nodes + 1) / 2)
    angle = 2 * np.pi * np.arange(24) / 24
    x, y = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    modes = np.array([zernike(j, x, y) for j in range(1, 22)])
    gram = np.einsum("iab,jab,a->ij", modes, modes, weights / 48)
    np.testing.assert_allclose(gram, np.eye(21), atol=1e-10)


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (114, 91), (20, 200)])
def test_the_phase_has_the_stated_rms_about_its_best_plane(rows: int, columns: int) -> None:
    field = phase(5, rows, columns, 0.3).astype(np.float64)
    assert field.shape == (rows, columns)
    assert np.sqrt((field**2).mean()) == pytest.approx(2 * np.pi * 0.3, rel=1e-5)
    y, x = np.mgrid[:rows, :columns]
    plane = np.stack([np.ones(rows * columns), x.ravel(), y.ravel()], axis=1)
    fitted = np.linalg.lstsq(plane, field.ravel(), rcond=None)[0]
    np.testing.assert_allclose(plane @ fitted, 0, atol=1e-4)
    # Low orders only: twelve Zernike terms and a plane take it all; without the fourth order they do not.
    half = np.hypot(rows, columns) / 2
    u, v = (x - (columns - 1) / 2) / half, (y - (rows - 1) / 2) / half
    for last, most, least in ((16, 1e-3, 0.0), (11, np.inf, 0.01)):
        modes = np.stack([zernike(j, u, v).ravel() for j in range(1, last)], axis=1)
        left = field.ravel() - modes @ np.linalg.lstsq(modes, field.ravel(), rcond=None)[0]
        assert least <= np.sqrt((left**2).mean()) <= most
    assert len(TERMS) == 12


def test_seeds_differ_and_repeat() -> None:
    assert np.array_equal(phase(1, 30, 40, 0.1), phase(1, 30, 40, 0.1))
    assert not np.allclose(phase(1, 30, 40, 0.1), phase(2, 30, 40, 0.1))
    np.testing.assert_allclose(phase(1, 30, 40, 0.2), 2 * phase(1, 30, 40, 0.1), rtol=1e-5, atol=1e-7)
    assert not phase(1, 1, 2, 0.1).any()


@pytest.mark.parametrize("waves", [0.02, 0.05, 0.1])
def test_strehl_ratio_is_ruze_s(waves: float) -> None:
    """exp(-variance) up to the third moment: |<e^{i phi}>|^2 = exp(-s^2) (1 + O(s^3 skewness)^2, s^4 kurtosis / 12)."""
    s = 2 * np.pi * waves
    for seed in range(6):
        field = phase(seed, 120, 100, waves)
        z = field / s
        # Cumulants: ln S = -s^2 + k4 s^4 / 12 - ..., k4 the phase's own excess kurtosis; the next term is of order s^6.
        excess = float((z.astype(np.float64) ** 4).mean() - 3)
        expected = np.exp(-(s**2) + excess * s**4 / 12)
        assert strehl(field) == pytest.approx(expected, rel=0.05 * s**4 + 1e-6)
        assert strehl(field) == pytest.approx(np.exp(-(s**2)), rel=0.3 * s**4 + 1e-6)
    # Control: a flat array loses nothing.
    assert strehl(np.zeros((4, 4))) == 1.0


@pytest.mark.parametrize("extra", [{}, {"encoding": "pi-pair"}, {"encoding": "superpixel", "cell_mirrors": 4}])
def test_inputs_get_the_mean_field_of_their_mirrors(extra: dict[str, object]) -> None:
    card = dmd_card(rows=24, columns=37, **extra)
    dmd = Dmd(card, 11)
    owners = dmd.owners()
    assert np.bincount(owners[owners >= 0], minlength=11).tolist() == [dmd.replication] * 11
    field = phase(3, 24, 37, 0.2)
    found = input_phase(field, owners, 11)
    for index in range(11):
        naive = np.mean([np.exp(1j * field[r, c]) for r in range(24) for c in range(37) if owners[r, c] == index])
        assert found[index] == pytest.approx(naive, rel=1e-5)


def test_macropixels_are_runs_in_rows() -> None:
    owners = Dmd(dmd_card(rows=3, columns=4), 5).owners()
    assert owners.tolist() == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, -1, -1]]
    pairs = Dmd(dmd_card(rows=2, columns=5, encoding="pi-pair"), 3).owners()
    assert pairs.tolist() == [[0, 0, 1, 1, -1], [2, 2, -1, -1, -1]]
    cells = Dmd(dmd_card(rows=5, columns=4, encoding="superpixel", cell_mirrors=2), 2).owners()
    assert cells.tolist() == [[0] * 4, [0] * 4, [1] * 4, [1] * 4, [-1] * 4]


def test_a_macropixel_keeps_its_own_strehl_ratio() -> None:
    """The phase varies little over a macropixel of a smooth array, however much it does over all of it: the mean field
    is exp(-variance / 2) of the macropixel's own phase.
    """
    card = dmd_card(rows=100, columns=100)
    field = phase(0, 100, 100, 0.5).astype(np.float64)
    assert strehl(field) < 0.3
    found = np.abs(input_phase(field, Dmd(card, 2500).owners(), 2500))
    variance = field.reshape(2500, 4).var(axis=1)
    # Four mirrors on a slope: a flat law of excess kurtosis -1.36, k4 v^2 / 24 = 0.06 v^2 and the next term.
    assert np.abs(found - np.exp(-variance / 2)).max() < 0.1 * variance.max() ** 2
    assert found.min() > 0.9
    # Control: a macropixel of ten whole rows spans the array's width, and loses light like it.
    assert np.abs(input_phase(field, Dmd(card, 10).owners(), 10)).min() < 0.6
