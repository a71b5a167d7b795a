"""Scattering medium: how the field of the inputs becomes the field at the outputs.

`transmission` says what all media have in common; `stored`, `streamed`, `wave_optics` and `slab` are the kinds, made
from a card by `factory`. `screens` are what the last two scatter by. `drift` is their change with time, `amplitudes`
the product with other than binary patterns. `statistics` asks whether a matrix is random enough; `memory_effect` and
`coherence` are closed forms for what a matrix of independent entries and a single wave leave out.
"""

from opu_sim.medium.coherence import coherent_share, polarisation_modes, spectral_modes
from opu_sim.medium.factory import make_medium
from opu_sim.medium.memory_effect import memory_correlation, memory_range_rad
from opu_sim.medium.slab import SlabMedium
from opu_sim.medium.statistics import (
    ks_marchenko_pastur,
    ks_truncated_unitary,
    marchenko_pastur_cdf,
    singular_values,
    truncated_unitary_cdf,
)
from opu_sim.medium.stored import StoredMedium
from opu_sim.medium.streamed import StreamedMedium
from opu_sim.medium.transmission import Field, Medium
from opu_sim.medium.wave_optics import WaveOpticsMedium

__all__ = [
    "Field",
    "Medium",
    "SlabMedium",
    "StoredMedium",
    "StreamedMedium",
    "WaveOpticsMedium",
    "coherent_share",
    "ks_marchenko_pastur",
    "ks_truncated_unitary",
    "make_medium",
    "marchenko_pastur_cdf",
    "memory_correlation",
    "memory_range_rad",
    "polarisation_modes",
    "singular_values",
    "spectral_modes",
    "truncated_unitary_cdf",
]
