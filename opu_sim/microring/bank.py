"""Bank of microrings: rows of rings on one bus each, one wavelength a column; cross-talk and calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.microring import calibrate, fill_normal
from opu_sim.cards import MicroringCard
from opu_sim.errors import DeviceError
from opu_sim.rng import stream, stream_key

_STEPS, _TOLERANCE = 200, 1e-7  # of the joint calibration; some twenty steps are usual
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class CalibratedWeights:
    """What a channel gives the balanced photodiodes, as difference and as sum; float32 [input, output]."""

    weights: NDArray[np.float32]
    totals: NDArray[np.float32]


@dataclass(frozen=True)
class SetRows:
    """Rows of rings at their drives."""

    weights: NDArray[np.float64]
    """[row, channel]."""
    totals: NDArray[np.float64]
    """[row, channel]."""
    detunings_rad: NDArray[np.float64]
    """[row, ring], red of the ring's channel."""


class WeightBank:
    """Rings of a card and how they act together.

    Every row's bus carries all channels past its rings in turn. A ring takes a part of the channels beside its own as
    well, by the exact response of `AddDropRing`; light on the way out of a drop port is not coupled back. Unused
    rings are parked at weight 0, and unused channels are dark.

    Parameters
    ----------
    card : MicroringCard
    seed : int
    """

    def __init__(self, card: MicroringCard, seed: int) -> None:
        self.card = card
        self._seed = seed
        bank = card.bank
        columns = bank.columns
        offsets = bank.channel_spacing_nm * (np.arange(columns) - 0.5 * (columns - 1))
        self.channels_m = np.asarray(1e-9 * (bank.centre_nm + offsets), dtype=np.float64)
        """Wavelengths of the lasers [column]."""
        self.ring = card.ring_at(bank.centre_nm * 1e-9)
        rings = [card.ring_at(float(channel)) for channel in self.channels_m]
        phase = np.stack([ring.round_trip_phase(self.channels_m) for ring in rings], axis=1)
        self._cosine, self._sine = np.cos(phase), np.sin(phase)
        first, second = self.ring.couplings
        on_off = (second * self.ring.round_trip) ** 2 + first**2
        self._constants = (on_off, self.ring.kept, self.ring.drop_strength)

    @property
    def weight_limits(self) -> tuple[float, float]:
        """Weights that one ring alone has within its detuning range."""
        return float(self.ring.weight(self._phase_rad(self.card.detuning_range_m))), self.ring.weight_range[1]

    def _phase_rad(self, detuning_m: float) -> float:
        return 2.0 * math.pi * detuning_m / self.ring.free_spectral_range_m

    @property
    def heater_coupling(self) -> NDArray[np.float64]:
        """Phase of ring i for a unit of heat at ring j of the same row, [column, column]; rows are isolated."""
        column = np.arange(self.card.bank.columns)
        share = self.card.bank.thermal_crosstalk or 0.0
        coupling: NDArray[np.float64] = share ** np.abs(column[:, None] - column).astype(np.float64)
        return coupling

    @property
    def ambient_shift_rad(self) -> float:
        """Phase that all rings have moved by since the calibration: resonances go red with temperature."""
        tuning = self.card.tuning
        return self._phase_rad(tuning.drift_pm_per_k * 1e-12 * (tuning.ambient_change_k or 0.0))

    def calibrated(self, matrix: NDArray[np.floating], held: float = 1.0) -> CalibratedWeights:
        """Set the bank to a matrix, tile by tile, and say what weights come out.

        Parameters
        ----------
        matrix : float [n_out, n_in], in -1 .. 1
            1 is `bank.weight_range`.
        held : float
            Share of all detunings that is left since, see `AnalogMemory`.

        Raises
        ------
        DeviceError
            A weight beyond the range of the rings, or that they do not reach beside their neighbours.
        """
        n_out, n_in = matrix.shape
        columns = self.card.bank.columns
        parts = math.ceil(n_in / columns)
        weights = np.empty((n_in, n_out), dtype=np.float32)
        totals = np.empty_like(weights)
        at_once = max(1, _ROWS_AT_ONCE // parts)
        for start in range(0, n_out, at_once):
            end = min(start + at_once, n_out)
            target = np.zeros((end - start, parts * columns))
            target[:, :n_in] = matrix[start:end]
            target *= self.card.bank.weight_range
            rows = self.rows(target.reshape(-1, columns), held, first=start * parts, parts=parts)
            weights[:, start:end] = rows.weights.reshape(end - start, -1)[:, :n_in].T
            totals[:, start:end] = rows.totals.reshape(end - start, -1)[:, :n_in].T
        bits = self.card.tuning.accuracy_bits
        if bits is not None:
            error = np.empty((n_out, n_in), dtype=np.float32)
            fill_normal(*stream_key(self._seed, "microring.weight_accuracy"), error)
            weights += np.float32(weight_sd(bits)) * error.T
        return CalibratedWeights(weights, totals)

    def rows(self, target: NDArray[np.float64], held: float = 1.0, *, first: int = 0, parts: int = 1) -> SetRows:
        """Set rows of rings to weights [row, channel], and say what they come to, `tuning.accuracy_bits` left out.

        `first` and `parts` name the outputs in an error, which is that of `calibrated`.
        """
        joint = self.card.bank.calibration == "joint"
        by_heat = self.card.tuning.weights == "heater" and self.card.bank.thermal_crosstalk is not None
        neighbours = self.heater_coupling - np.eye(len(self.channels_m)) if by_heat else np.zeros((0, 0))
        found, total, detunings = (np.empty_like(target) for _ in range(3))
        residual = np.empty(len(target))
        low, high = self.weight_limits
        calibrate(
            target,
            self._cosine,
            self._sine,
            self._constants,
            low,
            high,
            joint,
            neighbours,
            held,
            self.ambient_shift_rad,
            _STEPS,
            _TOLERANCE,
            found,
            total,
            detunings,
            residual,
        )
        if residual.max(initial=0.0) > _TOLERANCE:
            row = int(residual.argmax())
            worst = float(target[row, np.abs(target[row]).argmax()])
            what = f"output {(first + row) // parts}: weights up to {worst:.4g}"
            if math.isinf(residual[row]):
                raise DeviceError(f"{what}; a ring has {low:.4f} .. {high:.4f}")
            raise DeviceError(
                f"{what}, off by {residual[row]:.2g} beside their neighbours; lower bank.weight_range = "
                f"{self.card.bank.weight_range!r}"
            )
        return SetRows(found, total, detunings)

    def spectrum(
        self, detunings_rad: NDArray[np.float64], wavelengths_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Power over the input's that reaches the through and the drop port of one row, at any wavelengths."""
        through, drop = np.ones_like(wavelengths_m), np.zeros_like(wavelengths_m)
        for channel, detuning in zip(self.channels_m, detunings_rad, strict=True):
            ring = self.card.ring_at(float(channel))
            phase = ring.round_trip_phase(wavelengths_m) + detuning
            drop += through * ring.drop(phase)
            through *= ring.through(phase)
        return through, drop

    def lock_powers_mw(self) -> NDArray[np.float64]:
        """Heater power [row, column] that brings every ring onto its channel, thermal cross-talk taken off.

        Heaters only heat: a ring that was made red of its channel is driven on to its next order.
        """
        bank, tuning = self.card.bank, self.card.tuning
        shape = (bank.rows, bank.columns)
        if tuning.lock == "trimmed":
            return np.zeros(shape)
        spread_rad = self._phase_rad(1e-9 * (bank.resonance_spread_nm or 0.0))
        made = spread_rad * stream(self._seed, "microring.resonances").standard_normal(shape)
        wanted = np.mod(-made, 2.0 * math.pi)
        drives = self._drives(wanted)
        while (drives < 0.0).any():  # heat from beside has brought a ring too far
            wanted[drives < 0.0] += 2.0 * math.pi
            drives = self._drives(wanted)
        powers: NDArray[np.float64] = drives * tuning.heater_mw_per_fsr / (2.0 * math.pi)
        return powers

    def _drives(self, phase_rad: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.solve(self.heater_coupling, phase_rad.T).T, dtype=np.float64)


def weight_sd(bits: float) -> float:
    """Standard deviation of a weight in -1 .. 1 known to this many bits: log2(range / sd), as rings are quoted."""
    return float(2.0 * 2.0**-bits)
