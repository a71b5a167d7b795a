"""A microring weight bank as a projector: lasers, modulators, rows of rings, balanced receivers, digital sums."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.microring import add_noise, bank_sums, fill_uniform
from opu_sim.camera import Counts
from opu_sim.cards import MicroringCard
from opu_sim.errors import DeviceError, DeviceWarning
from opu_sim.medium.transmission import refuse_what_does_not_fit
from opu_sim.microring.bank import CalibratedWeights, WeightBank
from opu_sim.microring.clock import BankClock, BankPower, bank_teraops_peak, charge
from opu_sim.microring.receiver import Receiver
from opu_sim.projector import Device
from opu_sim.rng import stream_key

MUCH_SATURATED = 0.01
"""Share of readings at the ends of the converter's range, in one call, that is worth a warning."""


class MicroringBank(Device):
    """Silicon microring weight bank: one wavelength an input, one row of rings an output, tile after tile.

    The random matrix is uniform in [-1, 1) before it is scaled to entries of variance 1 / n_in.

    Parameters
    ----------
    card : MicroringCard
    n_in, n_out : int
    seed : int
        Same seed, same numbers, for any threads, any n_out and, unless `modulator.scaling` is "batch", any cut of
        the batch.

    Raises
    ------
    DeviceError
        This computer's memory is too small.

    References
    ----------
    Filipovich et al., Optica 9, 1323 (2022), arXiv 2111.06862: the architecture. The error of fidelity "mac" is that
    of the authors' published simulation code.
    """

    def __init__(self, card: MicroringCard, n_in: int, n_out: int, seed: int = 0) -> None:
        n_in, n_out = int(n_in), int(n_out)  # NumPy's small integers would overflow where bytes are counted
        super().__init__(card.name, n_in, n_out)
        refuse_what_does_not_fit(n_in, n_out, "a weight bank's matrix", 20.0 * n_in * n_out, "must be smaller")
        self.card = card
        self.bank = WeightBank(card, seed)
        self.receiver = Receiver(card, min(n_in, card.bank.columns))
        self.schedule = BankClock(card, n_in, n_out)
        self.power = BankPower(card)
        self._receiver_key = stream_key(seed, "microring.receiver")
        self._keys = (*self._receiver_key, *stream_key(seed, "microring.lasers"))
        self._wanted = np.empty((n_out, n_in), dtype=np.float32)
        fill_uniform(*stream_key(seed, "microring.matrix"), self._wanted)
        self._entry = math.sqrt(3.0 / n_in)  # entries uniform in -1 .. 1 have variance 1 / 3
        self._exact: NDArray[np.float64] | None = None
        self._set: CalibratedWeights | None = None
        self._warned = False

    @property
    def weights(self) -> CalibratedWeights:
        """What the calibrated rings give; the first use calibrates them."""
        if self._set is None:
            self._set = self.bank.calibrated(self._wanted)
        return self._set

    def open(self) -> None:
        """Switch on, and calibrate where the rings matter."""
        if self.card.fidelity == "device":
            _ = self.weights
        super().open()

    def matrix(self) -> NDArray[np.float32]:
        """Effective real matrix [n_out, n_in] of `project`, errors of calibration included; variance 1 / n_in."""
        if self.card.fidelity != "device":
            return self.wanted_matrix()
        scale = np.float32(self._entry / self.card.bank.weight_range)
        return np.ascontiguousarray(scale * self.weights.weights.T)

    def wanted_matrix(self) -> NDArray[np.float32]:
        """The matrix [n_out, n_in] that the bank was set to."""
        return np.float32(self._entry) * self._wanted

    def project(self, x: NDArray[np.floating], gains: NDArray[np.floating] | None = None) -> NDArray[np.float32]:
        """Linear projection through the bank.

        Parameters
        ----------
        x : float [batch, n_in], finite
        gains : float [batch, n_out] in 0 .. 1, optional
            Gains of the rows' amplifiers: the Hadamard product with an activation's derivative, before conversion.

        Returns
        -------
        float32 [batch, n_out]
            E[y] = x @ matrix().T (times gains), up to the rounding of the modulators' converters; fidelity "mac" adds
            the mean error on its card.

        Raises
        ------
        ValueError
            Wrong shape or dtype, NaN or infinite values, gains beyond 0 .. 1, or a negative input in a single pass.
        DeviceError
            The device is not open.
        """
        self._require_open("project")
        x = self._checked_float(x)
        self._check_signs(x)
        factors = self._checked_gains(gains, len(x))
        scale = self._scales(x)
        y = self._through_rings(x, scale, factors) if self.card.fidelity == "device" else self._measured(x, scale)
        if self.card.fidelity != "device" and factors.size:
            y *= factors
        charge(self.ledger, self.schedule, self.power, len(x), self.n_in, self.n_out)
        return y

    def _check_signs(self, x: NDArray[np.floating]) -> None:
        if self.schedule.passes == 1 and x.size and x.min() < 0:
            row, column = (int(i) for i in np.argwhere(x < 0)[0])
            raise ValueError(
                f"x[{row}, {column}] = {x[row, column]}: must be >= 0 with modulator.encoding = 'single-pass'"
            )

    def _checked_gains(self, gains: NDArray[np.floating] | None, vectors: int) -> NDArray[np.float32]:
        if gains is None:
            return np.empty((0, 0), dtype=np.float32)
        if not isinstance(gains, np.ndarray) or gains.shape != (vectors, self.n_out):
            shape = getattr(gains, "shape", type(gains).__name__)
            raise ValueError(f"gains: shape {shape}; must be an array [{vectors}, {self.n_out}]")
        if not np.all((gains >= 0) & (gains <= 1)):
            raise ValueError(f"gains: values in {gains.min()} .. {gains.max()}; must be 0 .. 1")
        return np.ascontiguousarray(gains, dtype=np.float32)

    def _scales(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Largest magnitude [vector], which the modulators show at full light."""
        largest: NDArray[np.float64] = np.abs(x).max(axis=1, initial=0.0).astype(np.float64)
        if self.card.modulator.scaling == "batch" and len(largest):
            largest[:] = largest.max()
        return largest

    def _light(self, x: NDArray[np.floating], scale: NDArray[np.float64]) -> NDArray[np.float32]:
        """Light [pass, vector, input] of the modulators, 1 at full range: positive entries, then negative ones."""
        divisor = np.where(scale > 0.0, scale, 1.0)[:, None]
        levels = 2**self.card.modulator.dac_bits - 1
        shown = np.rint(levels * (x / divisor)) / levels
        passes = np.stack([np.maximum(shown, 0.0), np.maximum(-shown, 0.0)][: self.schedule.passes])
        leak = self.receiver.leak
        light: NDArray[np.float32] = (leak + (1.0 - leak) * passes).astype(np.float32)
        return light

    def _through_rings(
        self, x: NDArray[np.floating], scale: NDArray[np.float64], gains: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        bank, receiver, noise = self.card.bank, self.receiver, self.receiver.noise
        weights = self.weights
        out = np.empty((len(x), self.n_out), dtype=np.float32)
        saturated = np.zeros((len(x), math.ceil(self.n_out / bank.rows)), dtype=np.int64)
        terms = (noise.laser_sd, noise.weight_variance, noise.shot, noise.other)
        bank_sums(
            self._light(x, scale),
            weights.weights,
            weights.totals,
            (bank.rows, bank.columns),
            tuple(np.float32(term) for term in terms),
            (np.float32(receiver.step), np.float32(receiver.largest_code)),
            self._keys,
            self.ledger.projections,
            gains,
            out,
            saturated,
        )
        if self.schedule.passes == 1 and receiver.leak:
            zero = receiver.leak * weights.weights.sum(axis=0, dtype=np.float64).astype(np.float32)
            out -= gains * zero if gains.size else zero
        out *= (scale * self._entry / (bank.weight_range * (1.0 - receiver.leak))).astype(np.float32)[:, None]
        self._count_saturated(int(saturated.sum()), len(x))
        return out

    def _count_saturated(self, readings: int, vectors: int) -> None:
        self.ledger.saturated_pixels += readings
        parts = math.ceil(self.n_in / self.card.bank.columns)
        all_readings = vectors * self.n_out * parts * self.schedule.passes
        if readings > MUCH_SATURATED * all_readings and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.name}: {readings / all_readings:.1%} of the readings of one call are saturated "
                f"(receiver.full_scale = {self.card.receiver.full_scale})",
                DeviceWarning,
                stacklevel=4,
            )

    def _measured(self, x: NDArray[np.floating], scale: NDArray[np.float64]) -> NDArray[np.float32]:
        """Exact products, with the card's measured error of an inner product unless fidelity is "ideal"."""
        if self._exact is None:
            self._exact = self.wanted_matrix().T.astype(np.float64)
        # In double precision the order of the sum, which BLAS chooses by the batch, does not reach the result.
        exact = np.asarray(x, dtype=np.float64) @ self._exact
        if self.card.fidelity == "ideal":
            return exact.astype(np.float32)
        mean, sd = self._error_of_sums()
        out = np.empty(exact.shape, dtype=np.float32)
        scale = self._entry * scale
        shifts, deviations = (scale * mean).astype(np.float32), (scale * sd).astype(np.float32)
        add_noise(exact, shifts, deviations, *self._receiver_key, self.ledger.projections, out)
        return out

    def _error_of_sums(self) -> tuple[float, float]:
        """Mean and deviation of an n_in-term product, from those on the card: means add up, variances add up."""
        mac = self.card.mac
        terms = self.n_in / mac.error_terms
        return mac.error_mean * terms, mac.error_std * math.sqrt(terms)

    def noise_variance(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Predicted variance [batch, n_out] of `project`, new in every symbol, for vectors in a call of their own.

        Lasers' noise, weights' noise, shot noise, Johnson noise, and what the converters make of them; saturation is
        not in it.
        """
        return self._predicted(x, self.receiver.reading_variance)

    def mean_square_error(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Predicted mean square of `project` less the product with `matrix` [batch, n_out].

        As `noise_variance`, and the converters' rounding as a whole, step^2 / 12 a reading: where the noise is under a
        step, most of it is the same again for the same vector. The rounding of the modulators is not in it.
        """
        return self._predicted(x, lambda _, variance: variance + self.receiver.step**2 / 12.0)

    def _predicted(
        self,
        x: NDArray[np.floating],
        read: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Sum over a vector's readings of `read(mean, variance)`, in units of y^2 [batch, n_out]."""
        x = self._checked_float(x)
        largest = self._scales(x)
        scale = self._entry * largest
        if self.card.fidelity != "device":
            sd = self._error_of_sums()[1] if self.card.fidelity == "mac" else 0.0
            return np.broadcast_to(((scale * sd) ** 2)[:, None], (len(x), self.n_out)).copy()
        light, noise, columns = self._light(x, largest).astype(np.float64), self.receiver.noise, self.card.bank.columns
        weights, totals = (array.astype(np.float64) for array in (self.weights.weights, self.weights.totals))
        variance = np.zeros((len(x), self.n_out))
        for start in range(0, self.n_in, columns):
            part = slice(start, start + columns)
            for shown in light[:, :, part]:
                squares = shown**2
                reading = noise.laser_sd**2 * (squares @ weights[part] ** 2) + noise.shot * (shown @ totals[part])
                reading += noise.weight_variance * squares.sum(axis=1, keepdims=True) + noise.other
                variance += read(shown @ weights[part], reading)
        variance *= ((scale / (self.card.bank.weight_range * (1.0 - self.receiver.leak))) ** 2)[:, None]
        return variance

    def mac_error(self, x: NDArray[np.floating]) -> float:
        """`mac.error_std` that gives the error predicted for these vectors: what a measurement on them would find."""
        unit = self._entry * self._scales(self._checked_float(x))[:, None]
        if not unit.size or not (unit > 0.0).all():
            raise ValueError("x: no vectors, or one of zeros; must have a largest entry to count the error by")
        mean_square = float(np.mean(self.mean_square_error(x) / unit**2))
        return math.sqrt(mean_square * self.card.mac.error_terms / self.n_in)

    def snr(self, inputs_on: int) -> float:
        """Predicted power signal-to-noise of one vector's projection, with this many inputs at 1 and the rest at 0.

        Those at 1 are spread evenly, so that all tiles have their share.
        """
        x = np.zeros((1, self.n_in))
        x[0, np.arange(inputs_on) * self.n_in // max(inputs_on, 1)] = 1.0
        variance = float(self.noise_variance(x).mean())
        return math.inf if variance == 0.0 else inputs_on / self.n_in / variance

    def intensity(self, b: NDArray[Any]) -> Counts:
        """Not to be had: photodiodes read products, and there is no camera."""
        raise DeviceError(f"{self.name} has no camera: intensity needs a device that has one")

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        table = self._summary(bank_teraops_peak(self.card))
        return table | {"medium": "microrings", "fidelity": self.card.fidelity}
