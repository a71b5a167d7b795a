"""How to get a device from a card; and the digital reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim.camera import Counts
from opu_sim.cards import DeviceCard, IdealCard, MicroringCard, OpuCard, load_card
from opu_sim.errors import ConfigError, DeviceError
from opu_sim.medium import StoredMedium
from opu_sim.microring.processor import MicroringBank
from opu_sim.opu import Opu
from opu_sim.projector import Device, Projector

__all__ = ["Ideal", "MicroringBank", "Opu", "Projector", "load_device"]


# So many sums stay in memory from one call to the next: for small products fresh memory costs more than they do.
_KEPT = 2**21


class Ideal(Device):
    """Digital reference: the exact product with a real Gaussian matrix. It spends no simulated time or energy."""

    def __init__(self, card: IdealCard, n_in: int, n_out: int, seed: int = 0) -> None:
        super().__init__(card.name, n_in, n_out)
        medium = StoredMedium(seed, n_in, n_out)
        self._matrix: NDArray[np.float32] = np.sqrt(np.float32(2.0 / n_in)) * medium.matrix().real
        self._matrix.flags.writeable = False
        self._exact = self._matrix.astype(np.float64)
        self._sums: NDArray[np.float64] = np.empty((0, n_out))

    def project(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Exact product x @ matrix().T, float32 [batch, n_out]; errors as `Opu.project`."""
        self._require_open("project")
        x = self._checked_float(x)
        self.ledger.projections += len(x)
        self.ledger.ops += 2.0 * self.n_in * self.n_out * len(x)
        # In double precision the order of the sum, which BLAS chooses by the batch, does not reach the result.
        exact = np.asarray(x, dtype=np.float64)
        if len(x) * self.n_out > _KEPT:
            large: NDArray[np.float32] = (exact @ self._exact.T).astype(np.float32)
            return large
        if len(self._sums) != len(x):
            self._sums = np.empty((len(x), self.n_out))
        np.matmul(exact, self._exact.T, out=self._sums)
        return self._sums.astype(np.float32)

    def intensity(self, b: NDArray[Any]) -> Counts:
        """Not to be had: a digital reference has no camera."""
        raise DeviceError(f"{self.name} has no camera: intensity needs an optical device")

    def matrix(self) -> NDArray[np.float32]:
        """The matrix [n_out, n_in]; entries have variance 1 / n_in."""
        return self._matrix


def load_device(
    card: str | Path | DeviceCard, *, n_in: int, n_out: int, seed: int = 0, **overrides: Any
) -> Opu | MicroringBank | Ideal:
    """Device of a shipped name, a TOML path or a card.

    Parameters
    ----------
    card : str, Path or card
    n_in, n_out : int
        Width of the inputs and number of outputs; >= 1.
    seed : int
    **overrides
        Dotted keys of the card, `**{"camera.adc_bits": 6}`.

    Raises
    ------
    ConfigError
        No such card, or a value that the card does not allow.
    DeviceError
        n_in or n_out beyond what the device has.
    """
    for name, value in (("n_in", n_in), ("n_out", n_out)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"{name} = {value!r}: must be an integer >= 1")
    if isinstance(card, OpuCard | MicroringCard | IdealCard):
        if overrides:
            raise ConfigError("overrides go with a name or a path, not with a card object")
    else:
        card = load_card(card, overrides)
    if isinstance(card, MicroringCard):
        return MicroringBank(card, n_in, n_out, seed)
    return Opu(card, n_in, n_out, seed) if isinstance(card, OpuCard) else Ideal(card, n_in, n_out, seed)
