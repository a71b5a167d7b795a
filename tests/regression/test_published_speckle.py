"""Published numbers of speckle on pixels."""

import pytest

from opu_sim.speckle import coherence_modes


@pytest.mark.parametrize(("pixel_over_grain", "modes"), [(0.5, 1.217), (1.0, 1.977), (2.0, 5.154), (4.0, 16.53)])
def test_goodman_coherence_modes(pixel_over_grain: float, modes: float) -> None:
    """Goodman, Speckle Phenomena in Optics, integrated speckle: M of a square pixel under a round pupil."""
    assert abs(coherence_modes(pixel_over_grain) / modes - 1) < 0.01
