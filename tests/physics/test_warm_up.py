"""Warm-up: the published correlation curve, and what a temperature controller does to it."""

import numpy as np
import pytest

from opu_sim.cards import DmdCard, OpuCard, load_card
from opu_sim.dmd.warm_up import intensity_correlation, mixing

# Popoff et al., arXiv 2311.17496, correlation of the speckle with that of t = 0 after a cold start, read off the
# figure's vector graphics to about 1e-4: [minutes, correlation]. Multimode fibre.
COLD = np.array(
    [
        [3.5, 0.9986],
        [6, 0.9977],
        [15, 0.9940],
        [30, 0.9901],
        [45, 0.9879],
        [60, 0.9867],
        [90, 0.9854],
        [132, 0.983],
    ]
)
# The first frame pair of that figure, before anything has warmed: noise between two frames.
NOISE = 0.9994
# Fitted to these points: rms 1.1e-4, worst 2.2e-4.
PUBLISHED = {"warm_up_decorrelation": 0.0098, "warm_up_time_s": 774.0, "warm_up_rate_per_s": 8.4e-7}


def dmd_card(**overrides: object) -> DmdCard:
    card = load_card("lighton-aurora", {f"dmd.{key}": value for key, value in overrides.items()})
    assert isinstance(card, OpuCard)
    return card.dmd


def test_the_published_curve_is_met() -> None:
    card = dmd_card(**PUBLISHED)
    model = np.array([intensity_correlation(card, 60.0 * minutes) for minutes in COLD[:, 0]])
    error = COLD[:, 1] - NOISE * model
    assert np.abs(error).max() < 2.5e-4
    assert error.std() < 1.5e-4
    # Control: decorrelation in proportion to temperature, not to its square, misses by several times as much.
    t = 60.0 * COLD[:, 0]
    linear = NOISE * (1 - 0.0098 * -np.expm1(-t / 774.0) - 8.4e-7 * t)
    assert np.abs(COLD[:, 1] - linear).max() > 1e-3


def test_it_begins_cold_and_flat() -> None:
    share = mixing(
        dmd_card(
            **PUBLISHED,
        )
    )
    assert share is not None
    assert share(0.0) == 0.0
    # Early on the new power grows as t^2, (a / T^2) t^2, over the slow part's r t.
    assert share(10.0) - 8.4e-7 * 10.0 == pytest.approx(0.0098 * (10.0 / 774.0) ** 2, rel=0.02)
    times = np.linspace(0, 20 * 3600.0, 200)
    assert np.all(np.diff([share(t) for t in times]) > 0)
    assert 0 < share(1e9) <= 1


def test_a_controller_acts_as_the_square_of_what_it_leaves() -> None:
    free, held, perfect = (
        mixing(dmd_card(**PUBLISHED, **({} if left is None else {"temperature_control": left})))
        for left in (None, 0.1, 0.0)
    )
    assert free is not None
    assert held is not None
    assert perfect is not None
    for t in (60.0, 600.0, 7200.0):
        assert np.log1p(-held(t)) == pytest.approx(0.01 * np.log1p(-free(t)), rel=1e-9)
        assert perfect(t) == 0.0


def test_mixed_fields_have_the_stated_correlation() -> None:
    """Siegert: speckle intensities of fields with |correlation|^2 = 1 - q are correlated by 1 - q."""
    share = mixing(dmd_card(warm_up_decorrelation=0.4, warm_up_time_s=100.0))
    assert share is not None
    q = share(150.0)
    n = 200_000
    rng = np.random.default_rng(3)
    old, new = rng.standard_normal((2, n, 2)) @ np.array([1, 1j])
    later = np.sqrt(1 - q) * old + np.sqrt(q) * new
    found = np.corrcoef(abs(old) ** 2, abs(later) ** 2)[0, 1]
    # A correlation of exponential variables: sd below 2.5 / sqrt(n) for any q.
    assert abs(found - (1 - q)) < 4.5 * 2.5 * n**-0.5
    assert abs(found - np.sqrt(1 - q)) > 4.5 * 2.5 * n**-0.5


def test_a_card_without_warm_up_has_none() -> None:
    assert mixing(dmd_card()) is None
    assert intensity_correlation(dmd_card(), 3600.0) == 1.0
