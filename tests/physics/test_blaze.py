"""Blazed grating: the blaze numbers of common parts, where the orders lie, and that their light adds up."""

import math

import numpy as np
import pytest

from opu_sim.cards import DmdCard, OpuCard, load_card
from opu_sim.dmd import Dmd
from opu_sim.dmd.blaze import (
    MirrorGrating,
    blaze_number,
    blazed_incidences,
    blazed_order,
    lattice_shares,
    order_angle,
)

GREEN = 532e-9
# Blaze numbers at 532 nm of common parts by the grating equation in two dimensions (Popoff et al., arXiv 2311.17496),
# worked out apart from this code: normal incidence, twice the tilt, Littrow; and a blazed incidence [degrees].
PARTS = [
    (7.637, 12.0, (0.74, 0.74, 0.56), 30.6),
    (7.56, 12.0, (0.83, 0.83, 0.64), 28.8),
    (10.8, 12.0, (0.68, 0.68, 0.94), 45.1),
    (13.68, 12.0, (0.21, 0.21, 0.12), 34.2),
    (5.4, 17.5, (0.77, 0.77, 0.37), 39.6),
]


@pytest.mark.parametrize(("pitch_um", "tilt_deg", "expected", "blazed_deg"), PARTS)
def test_blaze_numbers_of_common_parts(
    pitch_um: float, tilt_deg: float, expected: tuple[float, ...], blazed_deg: float
) -> None:
    pitch, tilt = pitch_um * 1e-6, math.radians(tilt_deg)
    found = [blaze_number(pitch, GREEN, tilt, incidence) for incidence in (0.0, 2.0 * tilt, tilt)]
    assert found == pytest.approx(expected, abs=0.005)
    incidences = np.degrees(blazed_incidences(pitch, GREEN, tilt))
    assert np.abs(incidences - blazed_deg).min() < 0.05
    assert [blaze_number(pitch, GREEN, tilt, math.radians(a)) for a in incidences] == pytest.approx(
        [1.0] * len(incidences), abs=1e-9
    )
    # Control: mirrors that tilt one degree less are another part.
    other = [blaze_number(pitch, GREEN, tilt - math.radians(1.0), incidence) for incidence in (0.0, 2.0 * tilt, tilt)]
    assert np.abs(np.subtract(other, expected)).max() > 0.1


def test_orders_lie_where_the_grating_equation_says() -> None:
    angles = order_angle(np.arange(-20, 21), 7.56e-6, GREEN, math.radians(24.0))
    seen = ~np.isnan(angles)
    np.testing.assert_allclose(
        np.sin(angles[seen]) + math.sin(math.radians(24.0)), np.arange(-20, 21)[seen] * GREEN / 7.56e-6, atol=1e-12
    )
    # From sin = -1 to sin = 1: (1 +- 0.4067) x 14.21 orders on either side of the array's normal.
    assert np.arange(-20, 21)[seen].tolist() == list(range(-8, 20))
    # Order zero is the flat array's mirror image.
    assert angles[20] == pytest.approx(-math.radians(24.0), rel=1e-12)


@pytest.mark.parametrize("incidence_deg", [-6.0, 0.0, 12.0, 24.0, 40.0])
def test_the_envelope_peaks_at_the_mirror_s_own_reflection(incidence_deg: float) -> None:
    tilt, incidence = math.radians(12.0), math.radians(incidence_deg)
    grating = MirrorGrating(7.56e-6, GREEN, tilt, incidence, fill=0.3)
    order = blazed_order(7.56e-6, GREEN, tilt, incidence)
    # At the specular direction the phase over the mirror is flat, so that a small mirror changes nothing but the fill.
    peak = float(grating.shares(order, order))
    facing = math.cos(tilt - incidence) / math.cos(2 * tilt - incidence)
    assert peak == pytest.approx(0.3 * facing, rel=1e-9)
    for row, column in ((0.3, 0.0), (-0.3, 0.0), (0.0, 0.3), (0.3, -0.3)):
        assert float(grating.shares(order + row, order + column)) < 0.99 * peak


def kirchhoff(grating: MirrorGrating, order: tuple[float, float], tilt_rad: float) -> float:
    """|field|^2 of one mirror by adding up its surface, in units of the flat-phase one."""
    points = 400
    side = grating.pitch_m * grating.fill**0.5
    at = (np.arange(points) + 0.5) / points * side - side / 2
    x, y = np.meshgrid(at, at)
    along, across = (x + y) / 2**0.5, (x - y) / 2**0.5
    # Turn about the diagonal: what lies along the other diagonal is lifted on one side.
    surface = np.stack(
        [
            (along * math.cos(tilt_rad) + across) / 2**0.5,
            (along * math.cos(tilt_rad) - across) / 2**0.5,
            -along * math.sin(tilt_rad),
        ]
    )
    source = np.array([math.sin(grating.incidence_rad) / 2**0.5] * 2 + [math.cos(grating.incidence_rad)])
    out = np.array([order[1], order[0]]) * grating.wavelength_m / grating.pitch_m - source[:2]
    out = np.append(out, math.sqrt(1 - out @ out))
    phase = 2 * np.pi / grating.wavelength_m * np.tensordot(source + out, surface, axes=1)
    normal = np.array([math.sin(tilt_rad) / 2**0.5] * 2 + [math.cos(tilt_rad)])
    return float(abs(np.exp(-1j * phase).mean()) ** 2 * (normal @ out))


@pytest.mark.parametrize("order", [(4, 4), (4, 5), (3, 5), (2.5, 4)])
def test_shares_are_those_of_the_mirror_s_surface(order: tuple[float, float]) -> None:
    grating = MirrorGrating(7.56e-6, GREEN, math.radians(12.0), math.radians(20.0), fill=0.9)
    out = np.array(order) * GREEN / 7.56e-6 - math.sin(math.radians(20.0)) / 2**0.5
    expected = 0.9 * kirchhoff(grating, order, grating.tilt_rad) / math.sqrt(1 - out @ out)
    # 400 points a side sum a phase of a few turns to 1e-4 of the envelope's peak.
    assert float(grating.shares(*order)) == pytest.approx(expected, rel=1e-3, abs=1e-5)
    leak = kirchhoff(grating, grating.strongest(), -grating.tilt_rad) / kirchhoff(
        grating, grating.strongest(), grating.tilt_rad
    )
    assert grating.off_leakage() == pytest.approx(leak, rel=0.02)


@pytest.mark.parametrize("centre", [0.0, 0.3, 0.5, 4.77])
@pytest.mark.parametrize("width", [0.5, 0.96, 1.0])
def test_the_orders_of_the_lattice_take_all_the_light(centre: float, width: float) -> None:
    orders = np.arange(-20_000, 20_001)
    # The tails beyond are 2 / (2 pi^2 width 20000) at most.
    assert lattice_shares(centre, width, orders).sum() == pytest.approx(1.0, abs=2e-5)
    # Control: mirrors wider than the pitch would overlap, and the sum is 1 no more.
    assert abs(lattice_shares(0.0, 1.2, orders).sum() - 1) > 0.05


def test_the_orders_that_propagate_take_the_light_there_is() -> None:
    # Small tilt, many orders: the lattice's sum, less the tails, 2 / (2 pi^2 x 200) an axis either way.
    gentle = MirrorGrating(100e-6, 500e-9, math.radians(1.0), math.radians(2.0), fill=0.9)
    assert gentle.orders()[1].sum() == pytest.approx(1.0, abs=0.01)
    for pitch_um, tilt_deg, _, _ in PARTS:
        for incidence_deg in (0.0, tilt_deg, 2 * tilt_deg):
            real = MirrorGrating(pitch_um * 1e-6, GREEN, math.radians(tilt_deg), math.radians(incidence_deg), 0.92)
            assert real.orders()[1].sum() == pytest.approx(1.0, abs=0.1)
            assert real.diffraction_efficiency() < 1.0


def with_blaze(mu: float, fill: float) -> MirrorGrating:
    """Projector geometry at a small tilt, the pitch chosen for a blaze number about order 5.5 - mu / 2."""
    tilt, order = math.radians(1.0), 5.5 - mu / 2
    pitch = order * GREEN / (2**0.5 * math.sin(tilt) * math.cos(tilt))
    return MirrorGrating(pitch, GREEN, tilt, 2 * tilt, fill)


def test_one_order_takes_all_when_blazed_and_four_share_it_when_not() -> None:
    blazed, spread = with_blaze(1.0, 1.0), with_blaze(0.0, 1.0)
    assert (blazed.blaze_number, spread.blaze_number) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert blazed.diffraction_efficiency() == pytest.approx(1.0, abs=2e-3)
    four = np.sort(spread.orders()[1])[-4:]
    # sinc^2(1/2) either way: (4 / pi^2)^2; a tilt of a degree shifts it by parts in a thousand.
    np.testing.assert_allclose(four, (4 / np.pi**2) ** 2, rtol=0.02)
    # Fill: the blazed order takes its share of the mirrors' light, the gaps' diffraction the rest.
    assert with_blaze(1.0, 0.92).diffraction_efficiency() == pytest.approx(0.92, abs=2e-3)


def test_off_mirrors_leak_where_the_blaze_is_bad() -> None:
    """Blazed, the ON order sits on a zero of the OFF mirrors' envelope 10 orders away, but for the gaps; unblazed,
    on its side lobe, at 1 / (pi 10)^4 over (4 / pi^2)^2.
    """
    blazed, spread = with_blaze(1.0, 1.0), with_blaze(0.0, 1.0)
    assert blazed.off_leakage() < 1e-9
    assert spread.off_leakage() == pytest.approx((np.pi * 10.5) ** -4 / (4 / np.pi**2) ** 2, rel=0.5)
    assert with_blaze(0.0, 0.92).off_leakage() > 10 * blazed.off_leakage()


def blazed_card(**overrides: object) -> DmdCard:
    angles = {"dmd.diffraction_efficiency": None, "dmd.tilt_deg": 12.0, "dmd.incidence_deg": 24.0}
    card = load_card(
        "lighton-aurora", angles | {"recovery.anchors": 2} | {f"dmd.{key}": v for key, v in overrides.items()}
    )
    assert isinstance(card, OpuCard)
    return card.dmd


def test_a_card_with_a_tilt_follows_the_wavelength() -> None:
    card = blazed_card()
    green, red = Dmd(card, 4, GREEN), Dmd(card, 4, 633e-9)
    assert green.grating is not None
    assert green.diffraction_efficiency == pytest.approx(
        MirrorGrating(7.6e-6, GREEN, math.radians(12.0), math.radians(24.0), 0.92).diffraction_efficiency()
    )
    # 7.6 um at 24 degrees: blaze number 0.78 at 532 nm, 0.09 at 633 nm; the typical 0.86 of a data sheet lies close.
    assert green.diffraction_efficiency == pytest.approx(0.86, abs=0.05)
    assert red.diffraction_efficiency < 0.5 * green.diffraction_efficiency
    assert green.efficiency == pytest.approx(0.96**2 * 0.88 * 0.92 * green.diffraction_efficiency, rel=1e-12)


def test_an_aperture_between_orders_sees_the_envelope_there() -> None:
    plain = Dmd(blazed_card(), 4, GREEN)
    pairs = Dmd(blazed_card(encoding="pi-pair"), 4, GREEN)
    assert plain.grating is not None
    row, column = plain.grating.strongest((0.0, 0.5))
    assert column % 1 == 0.5
    assert pairs.diffraction_efficiency == pytest.approx(float(plain.grating.shares(row, column)), rel=1e-12)
    assert pairs.diffraction_efficiency < plain.diffraction_efficiency
