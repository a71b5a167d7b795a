"""Devices: what is behind `project`, one step a line, and how to get one from a card."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from opu_sim.camera import Camera, Counts
from opu_sim.cards import IdealCard, OpuCard, load_card
from opu_sim.errors import ConfigError, DeviceError
from opu_sim.imaging import OutputGrid, SpeckleImager
from opu_sim.medium import StoredMedium
from opu_sim.power import FrameClock, Ledger, PowerBudget, summary, teraops_peak
from opu_sim.recovery import PATTERNS_AT_ONCE, AnchorRecovery, OffAxisRecovery, Recovery
from opu_sim.signal_arm import SignalArm


class Projector(Protocol):
    """A device that multiplies by a fixed random matrix. A lab puts its real device behind these names."""

    n_in: int
    n_out: int
    ledger: Ledger

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None: ...

    def project(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Linear projection: float [batch, n_in] -> float32 [batch, n_out]."""
        ...

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        ...

    def state(self) -> dict[str, Any]:
        """What a later session needs to go on as if there had been no break."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`."""
        ...


_PICTURE_FRAME = 2**62  # pictures take their noise from a frame that no run reaches
_LARGEST = float(np.finfo(np.float32).max)


class _Device:
    """Opening, checking and accounting, common to all devices."""

    def __init__(self, name: str, n_in: int, n_out: int) -> None:
        self.name = name
        self.n_in = n_in
        self.n_out = n_out
        self.ledger = Ledger()
        self._open = False

    def open(self) -> None:
        """Switch the device on."""
        self._open = True

    def close(self) -> None:
        """Switch the device off; `matrix` and `ledger` stay readable."""
        self._open = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self, call: str) -> None:
        if not self._open:
            raise DeviceError(f"{self.name} is not open: use `with device:` or device.open() before {call}")

    def _checked(self, x: NDArray[np.floating], name: str) -> NDArray[np.floating]:
        if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != self.n_in:
            shape = getattr(x, "shape", type(x).__name__)
            raise ValueError(f"{name}: shape {shape}; must be an array [batch, {self.n_in}]")
        return x

    def _checked_float(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        x = self._checked(x, "x")
        if not np.issubdtype(x.dtype, np.floating):
            raise ValueError(f"x: dtype {x.dtype}; must be a float type")
        bad = np.argwhere(~(np.abs(x) <= _LARGEST))
        if len(bad):
            row, column = (int(i) for i in bad[0])
            raise ValueError(f"x[{row}, {column}] = {x[row, column]}: must be finite, in the range of float32")
        return x

    def _checked_binary(self, b: NDArray[Any]) -> NDArray[np.uint8]:
        b = self._checked(b, "b")
        if not (b.dtype == np.bool_ or np.issubdtype(b.dtype, np.integer)):
            raise ValueError(f"b: dtype {b.dtype}; must be bool or an integer type holding 0 and 1")
        if b.dtype != np.bool_ and b.size and (b.min() < 0 or b.max() > 1):
            raise ValueError(f"b: values in {b.min()} .. {b.max()}; must be 0 or 1")
        return b.astype(np.uint8)

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        return summary(self.name, self.ledger, 0.0)

    def state(self) -> dict[str, Any]:
        """JSON-ready state: the ledger, whose frame count also numbers the noise."""
        return {"ledger": self.ledger.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`."""
        self.ledger.restore(state["ledger"])


class Opu(_Device):
    """Free-space optical processing unit: laser, DMD, medium, camera, recovery, clock.

    Parameters
    ----------
    card : OpuCard
    n_in, n_out : int
    seed : int
        Same seed, same numbers, for any threads, any cut of the batch and any n_out.

    Raises
    ------
    DeviceError
        The DMD, the sensor or this computer's memory is too small.
    """

    def __init__(self, card: OpuCard, n_in: int, n_out: int, seed: int = 0) -> None:
        super().__init__(card.name, n_in, n_out)
        self.card = card
        self.camera = Camera(card.camera, seed)
        holographic = card.recovery.method == "off-axis"
        rows = OffAxisRecovery.outputs_simulated(n_out) if holographic else n_out
        # Refuse what the sensor cannot hold before a matrix is made for it.
        OutputGrid(card, n_out, math.ceil(card.medium.speckle_grain_px))
        self.arm = SignalArm(card, n_in, rows, seed)
        self.imager = SpeckleImager(self.arm, self.camera, n_out, seed)
        self.recovery: Recovery
        if holographic:
            self.recovery = OffAxisRecovery(self.arm, self.camera, n_out, seed)
            sensor_rows = self.recovery.grid.rows
        else:
            self.recovery = AnchorRecovery(self.imager, seed)
            sensor_rows = self.imager.grid.rows
        self.clock = FrameClock(card, sensor_rows)
        self.budget = PowerBudget(card, self.clock)
        self._calibrated = False

    def open(self) -> None:
        """Switch on; a device that has shown no frame yet is charged for its calibration frames, numbers 0 and up."""
        super().open()
        self._calibrate()
        if self.ledger.frames == 0:
            frames = self.recovery.calibration_frames
            self._charge(frames // self.recovery.frames_per_pattern, frames)

    def _calibrate(self) -> None:
        # The frames have fixed numbers, so calibrating early (for `matrix`) or again gives the same constants.
        if not self._calibrated:
            self.recovery.calibrate()
            self._calibrated = True

    def project(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Linear projection through the optics.

        Parameters
        ----------
        x : float [batch, n_in], finite
            Vectors in {-1, 0, 1}, or with one magnitude a sign, are shown as one or two binary patterns, others as
            signed bit planes (`Dmd.encode`).

        Returns
        -------
        float32 [batch, n_out]
            E[y] = x @ matrix().T, up to the rounding of bit planes.

        Raises
        ------
        ValueError
            Wrong shape or dtype, NaN or infinite values.
        DeviceError
            The device is not open.
        """
        self._require_open("project")
        x = self._checked_float(x)
        encoded = self.arm.dmd.encode(x)
        y = self.recovery.project(encoded, self.ledger.frames)
        patterns = len(encoded.patterns)
        self._charge(patterns, self.recovery.frames_per_pattern * patterns)
        self._deliver(len(x))
        return y

    def intensity(self, b: NDArray[Any]) -> Counts:
        """Camera counts of binary patterns, the non-linear |T b|^2 mode (any reference arm is blocked).

        Parameters
        ----------
        b : bool or integer [batch, n_in], 0 or 1

        Returns
        -------
        uint8 or uint16 [batch, n_out]

        Raises
        ------
        ValueError
            Wrong shape, a float dtype, values other than 0 and 1.
        DeviceError
            The device is not open.
        """
        self._require_open("intensity")
        patterns = self._checked_binary(b)
        out = np.empty((len(patterns), self.n_out), dtype=self.camera.dtype)
        frames_at_once = max(2**20 // self.n_out, 1)
        for start in range(0, len(patterns), PATTERNS_AT_ONCE):
            chunk = patterns[start : start + PATTERNS_AT_ONCE]
            re, im = (part[:, : self.n_out + 2] for part in self.arm.fields(chunk))
            on = chunk.sum(axis=1)
            for at in range(0, len(chunk), frames_at_once):
                part = slice(at, at + frames_at_once)
                frame = self.ledger.frames + start + at
                counts = self.imager.counts((re[part], im[part]), on[part], frame)
                out[start + at : start + at + len(counts)] = counts
        self._charge(len(patterns), len(patterns))
        self._deliver(len(patterns))
        return out

    def snapshot(self, pattern: NDArray[np.uint8]) -> Counts:
        """Picture [row, column] of the sensor under one binary pattern [n_in]; not charged to the ledger.

        Off-axis: hologram tiles side by side. Otherwise: the fields of the first outputs, laid out on a square and
        drawn between the outputs by band-limited interpolation.
        """
        patterns = np.atleast_2d(pattern)
        if isinstance(self.recovery, OffAxisRecovery):
            tiles = self.recovery.holograms(patterns, _PICTURE_FRAME)[0]
            across = math.isqrt(len(tiles))
            return np.hstack([np.vstack(tiles[across * i : across * (i + 1)]) for i in range(across)])
        return self.imager.picture(patterns, _PICTURE_FRAME)

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [n_out, n_in] of `project`: entries have variance 1 / n_in."""
        self._calibrate()
        return self.recovery.matrix()

    def _charge(self, patterns: int, frames: int) -> None:
        timing = self.card.timing
        passes = math.ceil(patterns / timing.pass_patterns)
        ops = 2.0 * self.arm.dmd.mirrors_used * self.clock.pixels * frames
        self.ledger.add_frames(frames, passes, ops, self.clock, self.budget, timing.latency_s)
        self.ledger.saturated_pixels = self.camera.saturated

    def _deliver(self, vectors: int) -> None:
        self.ledger.projections += vectors
        self.ledger.ops += 2.0 * self.n_in * self.n_out * vectors

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`: the clock and the noise go on from there."""
        super().restore(state)
        self.camera.saturated = self.ledger.saturated_pixels

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        return summary(self.name, self.ledger, teraops_peak(self.card))


class Ideal(_Device):
    """Digital reference: the exact product with a real Gaussian matrix. It spends no simulated time or energy."""

    def __init__(self, card: IdealCard, n_in: int, n_out: int, seed: int = 0) -> None:
        super().__init__(card.name, n_in, n_out)
        medium = StoredMedium(seed, n_in, n_out)
        self._matrix: NDArray[np.float32] = np.sqrt(np.float32(2.0 / n_in)) * medium.matrix().real
        self._matrix.flags.writeable = False
        self._exact = self._matrix.astype(np.float64)

    def project(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Exact product x @ matrix().T, float32 [batch, n_out]; errors as `Opu.project`."""
        self._require_open("project")
        x = self._checked_float(x)
        self.ledger.projections += len(x)
        self.ledger.ops += 2.0 * self.n_in * self.n_out * len(x)
        # In double precision the order of the sum, which BLAS chooses by the batch, does not reach the result.
        y: NDArray[np.float32] = (np.asarray(x, dtype=np.float64) @ self._exact.T).astype(np.float32)
        return y

    def intensity(self, b: NDArray[Any]) -> Counts:
        """Not to be had: a digital reference has no camera."""
        raise DeviceError(f"{self.name} has no camera: intensity needs an optical device")

    def matrix(self) -> NDArray[np.float32]:
        """The matrix [n_out, n_in]; entries have variance 1 / n_in."""
        return self._matrix


def load_device(
    card: str | Path | OpuCard | IdealCard, *, n_in: int, n_out: int, seed: int = 0, **overrides: Any
) -> Opu | Ideal:
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
    if isinstance(card, OpuCard | IdealCard):
        if overrides:
            raise ConfigError("overrides go with a name or a path, not with a card object")
    else:
        card = load_card(card, overrides)
    return Opu(card, n_in, n_out, seed) if isinstance(card, OpuCard) else Ideal(card, n_in, n_out, seed)
