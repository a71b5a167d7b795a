"""Screens and lenses line by line against whole planes in double precision."""

import naive
import numpy as np
import pytest

from opu_sim.cards import MediumCard
from opu_sim.medium import WaveOpticsMedium

_CASES = [
    (screens, *shape, dtype)
    for screens in (2, 3, 4, 5)
    for shape in ((37, 53, 3.0), (400, 1000, 1.0), (3000, 20, 0.7))
    for dtype in (np.uint8, np.float32, np.complex64)
]
# Planes beyond 2^20 cells, where the threads share a pattern's lines instead of the patterns.
_LARGE = (3, 5000, 300_000, 4.0, np.uint8)


@pytest.mark.parametrize(("screens", "n_in", "n_outputs", "oversampling", "dtype"), [*_CASES, _LARGE])
def test_same_as_whole_planes_in_double_precision(
    screens: int, n_in: int, n_outputs: int, oversampling: float, dtype: type
) -> None:
    card = MediumCard(
        kind="wave-optics",
        transmission=1.0,
        analyser_transmission=1.0,
        speckle_grain_px=5.0,
        screens=screens,
        oversampling=oversampling,
    )
    medium = WaveOpticsMedium(card, 1, n_in, n_outputs, -1)
    rng = np.random.default_rng(0)
    sources = rng.integers(0, 2, (3, n_in)).astype(dtype)
    if dtype != np.uint8:
        sources = (sources * rng.standard_normal((3, n_in))).astype(dtype)
    if dtype == np.complex64:
        sources = sources * np.exp(1j * rng.uniform(0, 6, (3, n_in))).astype(np.complex64)
    re, im = medium.propagate(sources)
    expected = np.array([naive.wave_optics(x, medium._masks, medium.hops, slice(0, n_outputs)) for x in sources])
    error = np.sqrt(np.mean(np.abs(re + 1j * im - expected) ** 2) / np.mean(np.abs(expected) ** 2))
    # Rounding of a transform grows with the root of its passes: 6e-8 sqrt(sum of log2 sides), 1.5e-7 .. 4e-7 here.
    assert 5e-8 < error < 4e-7
