"""The patterns that a self-test shows, and what is kept of the device's answers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from opu_sim.errors import ConfigError
from opu_sim.rng import stream
from opu_sim.self_test.estimators import Array

FEWEST_INPUTS, FEWEST_OUTPUTS = 8, 64
_OUTPUTS_KEPT = 4096  # statistics of more outputs gain little and take memory
_INPUT_GROUPS = 256  # macro-inputs that the matrix is measured on
_DISCARDED = 2  # first frames of a pattern: a lost or late trigger would carry over the pattern before


class Device(Protocol):
    """The least that a device must have. A lab puts its real one behind these names."""

    @property
    def n_in(self) -> int:
        """Width of the inputs."""
        ...

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        ...

    def project(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Linear projection: float [batch, n_in] -> [batch, n_out]."""
        ...


class Probe:
    """Asks a device, with patterns of its own random stream.

    Parameters
    ----------
    device : Device
        Open; `intensity` is used where there is one.
    seed : int

    Raises
    ------
    ConfigError
        Too few inputs or outputs for statistics.
    """

    def __init__(self, device: Device, seed: int) -> None:
        for name, least in (("n_in", FEWEST_INPUTS), ("n_out", FEWEST_OUTPUTS)):
            if getattr(device, name) < least:
                raise ConfigError(f"{name} = {getattr(device, name)}: a self-test needs at least {least}")
        self.device = device
        self.n_in = int(device.n_in)
        self.rng = stream(seed, "self_test.patterns")
        self.order = self.rng.permutation(self.n_in)
        groups = min(self.n_in, _INPUT_GROUPS)
        self.group = np.empty(self.n_in, dtype=np.int64)
        self.group[self.order] = np.arange(self.n_in) * groups // self.n_in
        """Macro-input of each input; a device of more inputs than are worth probing shows them in groups."""
        self.group_sizes = np.bincount(self.group).astype(np.float64)

    # Binary patterns, read as intensities.

    def on(self, count: int) -> NDArray[np.uint8]:
        """Pattern [n_in] with the first `count` inputs of a random order ON, so that brighter ones hold dimmer ones."""
        pattern = np.zeros(self.n_in, dtype=np.uint8)
        pattern[self.order[:count]] = 1
        return pattern

    def halves(self) -> NDArray[np.uint8]:
        """A pattern of half of the inputs and its complement [2, n_in]: two fields that share no entry of T."""
        half = self.on(self.n_in // 2)
        return np.stack([half, 1 - half])

    def frames(self, pattern: NDArray[np.uint8], repeats: int) -> tuple[Array, Any]:
        """Counts float [repeat, output] of one pattern shown again and again, and the dtype of the counts."""
        intensity = self.device.intensity  # type: ignore[attr-defined]
        counts = intensity(np.repeat(pattern[None], repeats + _DISCARDED, axis=0))
        return counts[_DISCARDED:, :_OUTPUTS_KEPT].astype(np.float64), counts.dtype

    # Real vectors, projected. They are made of macro-inputs, whose measured responses are summed.

    def project(self, x: Array) -> Array:
        """Outputs [vector, output] of vectors [vector, group] of macro-inputs."""
        y = self.device.project(x[:, self.group].astype(np.float32))
        return y[:, :_OUTPUTS_KEPT].astype(np.float64)

    @property
    def groups(self) -> int:
        """Number of macro-inputs."""
        return len(self.group_sizes)

    def ternary(self, vectors: int, share: float = 1.0) -> Array:
        """Random signs [vector, group] on a share of the macro-inputs, zero elsewhere."""
        signs = self.rng.choice([-1.0, 1.0], (vectors, self.groups))
        used = self.rng.random((vectors, self.groups)).argsort(axis=1) < max(round(share * self.groups), 1)
        return np.where(used, signs, 0.0)

    def orthogonal(self) -> Array:
        """Columns of a Hadamard matrix under random signs, +-1 [vector, group]; columns are orthogonal.

        The random signs keep the vector of all ones, special where an anchor is all inputs ON, out of the set.
        """
        order = 1 << (self.groups - 1).bit_length()
        signs = self.rng.choice([-1.0, 1.0], self.groups)
        return np.asarray(hadamard(order)[:, : self.groups] * signs)
