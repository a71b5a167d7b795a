"""The medium of a card."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from opu_sim.cards import OpuCard
from opu_sim.errors import ConfigError
from opu_sim.medium.choice import choose
from opu_sim.medium.slab import SlabMedium
from opu_sim.medium.stored import StoredMedium
from opu_sim.medium.streamed import StreamedMedium
from opu_sim.medium.transmission import Medium
from opu_sim.medium.wave_optics import WaveOpticsMedium


def make_medium(
    card: OpuCard,
    seed: int,
    n_in: int,
    n_outputs: int,
    first_output: int = 0,
    illumination: NDArray[np.complex64] | None = None,
    mixing: Callable[[float], float] | None = None,
) -> Medium:
    """Medium of the card's kind, or the fastest for the shape (`choice`), with its drift.

    Parameters
    ----------
    card : OpuCard
    seed, n_in, n_outputs : int
    first_output : int
        Number of the first output; may be -1, a neighbour of output 0.
    illumination : complex64 [n_in], optional
        Factor on each input's field.
    mixing : callable, optional
        Share q(time [s]) of the field's power that a slow, deterministic change (warm-up) has renewed.

    Raises
    ------
    ConfigError
        A streamed medium that is to change with time; a grid too fine for the wavelength.
    DeviceError
        A shape beyond this computer's memory, or beyond the grid of a slab.
    """
    medium = card.medium
    changes = medium.drift_time_s is not None or mixing is not None
    kind = choose(medium, n_in, n_outputs, changes=changes) if medium.kind == "auto" else medium.kind
    if kind == "stored":
        return StoredMedium(seed, n_in, n_outputs, first_output, illumination, medium.drift_time_s, mixing)
    if kind == "wave-optics":
        return WaveOpticsMedium(medium, seed, n_in, n_outputs, first_output, illumination, mixing)
    if kind == "slab":
        wavelength_m = card.laser.wavelength_nm * 1e-9
        return SlabMedium(medium, wavelength_m, seed, n_in, n_outputs, first_output, illumination, mixing)
    if changes:
        raise ConfigError(
            "medium.kind = 'streamed': holds no entries that could change with time; leave out medium.drift_time_s and "
            "dmd.warm_up_decorrelation"
        )
    return StreamedMedium(seed, n_in, n_outputs, first_output, illumination)
