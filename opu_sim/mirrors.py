"""State of the mirrors: which no longer move, and the phase that a chip that is not flat adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opu_sim.cards import OpuCard
from opu_sim.dmd import Dmd
from opu_sim.dmd.flatness import input_phase, phase
from opu_sim.rng import stream


@dataclass(frozen=True)
class MirrorState:
    """Factor on each input's column of the transmission matrix, and the light of mirrors stuck ON.

    A macropixel of m mirrors of which u still move has the field sum of u independent contributions: its column
    keeps the power u / m. Mirrors stuck ON shine in every frame, as one constant speckle of the brightness
    (mirrors stuck ON) / m. A phase common to a macropixel turns its column; its change within the macropixel costs
    nothing behind a medium that scrambles each mirror's light independently.

    Attributes
    ----------
    illumination : complex64 [input]
    stuck_on : float
        Brightness of the mirrors stuck ON, in units of a macropixel fully ON.
    """

    illumination: NDArray[np.complex64]
    stuck_on: float

    @property
    def factors(self) -> NDArray[np.complex64] | None:
        """`illumination`, or None where it is 1 everywhere."""
        return None if np.all(self.illumination == 1) else self.illumination

    @classmethod
    def of(cls, card: OpuCard, dmd: Dmd, seed: int) -> MirrorState:
        """State of a device of this seed."""
        faults, replication = card.faults, dmd.replication
        on, off = faults.stuck_on_mirrors or 0.0, faults.stuck_off_mirrors or 0.0
        power = np.ones(dmd.n_in)
        stuck = 0.0
        if on or off:
            draws = stream(seed, "faults.stuck_mirrors").multinomial(replication, [on, off, 1.0 - on - off], dmd.n_in)
            power = draws[:, 2] / replication
            stuck = float(draws[:, 0].sum() / replication)
        illumination = np.sqrt(power).astype(np.complex64)
        if card.dmd.flatness_waves is not None:
            phases = phase(seed, card.dmd.rows, card.dmd.columns, card.dmd.flatness_waves)
            phasors = input_phase(phases, dmd.owners(), dmd.n_in)
            illumination *= phasors if card.medium.kind == "slab" else np.exp(1j * np.angle(phasors))
        return cls(illumination.astype(np.complex64), stuck)
