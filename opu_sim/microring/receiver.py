"""Receiver of a row: photocurrents, their noise, the converter, and the light that a number of bits needs.

All noise is in units of one channel's full photocurrent, at the noise bandwidth of a receiver that integrates over a
symbol: half the symbol rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from opu_sim.cards import MicroringCard
from opu_sim.constants import BOLTZMANN_J_K, ELEMENTARY_CHARGE_C
from opu_sim.errors import DeviceError
from opu_sim.microring.bank import weight_sd


@dataclass(frozen=True)
class NoiseTerms:
    """Variances of one reading, in units of one channel's full photocurrent."""

    laser_sd: float
    """Relative standard deviation of a laser's light within a symbol, common to all rows."""
    weight_variance: float
    """Of each weight from symbol to symbol; times the sum of the channels' squared light."""
    shot: float
    """Times the sum of the channels' light that reaches either photodiode."""
    other: float
    """Johnson noise of the amplifier, shot noise of the dark current."""


class Receiver:
    """Balanced photodiodes, amplifier and converter of a card, for `channels` channels in use."""

    def __init__(self, card: MicroringCard, channels: int) -> None:
        self.card = card
        self.channels = channels

    @property
    def bandwidth_hz(self) -> float:
        """Noise bandwidth 1 / (2 T) of an integration over a symbol of length T."""
        return 0.5e9 * self.card.clock.symbol_rate_ghz

    @property
    def channel_a(self) -> float:
        """Photocurrent [A] of one channel's full light in one row; the rows share a laser's light evenly."""
        lasers = self.card.lasers
        return (
            self.card.receiver.responsivity_a_per_w * lasers.power_mw * 1e-3 * lasers.transmission / self.card.bank.rows
        )

    @property
    def noise(self) -> NoiseTerms:
        """Shot noise 2 q I B of all light on either photodiode, Johnson noise 4 k T B / R_f, lasers RIN B."""
        lasers, receiver, bandwidth = self.card.lasers, self.card.receiver, self.bandwidth_hz
        rin = 0.0 if lasers.rin_db_per_hz is None else 10.0 ** (lasers.rin_db_per_hz / 10.0)
        precision = self.card.tuning.precision_bits
        dark_a = 2.0 * 1e-9 * (receiver.dark_current_na or 0.0)
        johnson = 4.0 * BOLTZMANN_J_K * receiver.temperature_k * bandwidth / receiver.feedback_ohm
        return NoiseTerms(
            laser_sd=math.sqrt(rin * bandwidth),
            weight_variance=0.0 if precision is None else weight_sd(precision) ** 2,
            shot=2.0 * ELEMENTARY_CHARGE_C * bandwidth / self.channel_a,
            other=(johnson + 2.0 * ELEMENTARY_CHARGE_C * dark_a * bandwidth) / self.channel_a**2,
        )

    @property
    def largest_code(self) -> int:
        """Codes run from minus to plus this: an odd number of levels, so that 0 is one."""
        return int(2 ** (self.card.receiver.adc_bits - 1) - 1)

    @property
    def step(self) -> float:
        """Converter's step: the range is that of all channels at full light and at the bank's largest weight."""
        full = self.card.receiver.full_scale * self.card.bank.weight_range * self.channels
        return full / self.largest_code

    def reading_variance(self, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of a normal reading once it is rounded to the converter's steps, exact but for its range's ends.

        Noise above a step is rounded evenly: step^2 / 12 more, to exp(-2 pi^2). Below it the codes beside the mean
        are counted with their probabilities.
        """
        unit = mean / self.step
        sd = np.sqrt(variance) / self.step
        rounded: NDArray[np.float64] = variance + self.step**2 / 12.0
        few = sd < 1.0
        centre, spread = unit[few] - np.rint(unit[few]), np.maximum(sd[few], 1e-9)
        first, second = np.zeros_like(centre), np.zeros_like(centre)
        for code in range(-8, 9):
            share = ndtr((code + 0.5 - centre) / spread) - ndtr((code - 0.5 - centre) / spread)
            first += code * share
            second += code**2 * share
        rounded[few] = self.step**2 * (second - first**2)
        return rounded

    @property
    def leak(self) -> float:
        """Light of a zero over full light."""
        extinction = self.card.modulator.extinction_db
        return 0.0 if extinction is None else float(10.0 ** (-extinction / 10.0))

    def bits(self) -> float:
        """log2(range / sd) of one reading, all channels at full light; the range is 2 x channels x largest weight."""
        return math.log2(self._range / math.sqrt(self._variance(1.0)))

    @property
    def _range(self) -> float:
        return 2.0 * self.channels * self.card.bank.weight_range

    def _terms(self) -> tuple[float, float, float]:
        """Variance of a reading as (a, b, c) of a / P^2 + b / P + c, P the laser's power over the card's."""
        noise = self.noise
        lasers = noise.laser_sd**2 * self.card.bank.weight_range**2
        constant = self.channels * (lasers + noise.weight_variance) + self.step**2 / 12.0
        return noise.other, noise.shot * self.channels, constant

    def _variance(self, power: float) -> float:
        square, linear, constant = self._terms()
        return square / power**2 + linear / power + constant

    def laser_mw(self, bits: float) -> float:
        """Smallest power of each laser [mW] with which a reading has this many bits, counted as in `bits`.

        Raises
        ------
        DeviceError
            More bits than lasers, lock and converter leave at any power.
        """
        square, linear, constant = self._terms()
        room = (self._range / 2.0**bits) ** 2 - constant
        if room <= 0.0:
            ceiling = math.log2(self._range / math.sqrt(constant))
            raise DeviceError(f"{bits!r} bits: lasers, lock and converter leave {ceiling:.2f} at any laser power")
        inverse = (math.sqrt(linear**2 + 4.0 * square * room) - linear) / (2.0 * square)
        return self.card.lasers.power_mw / inverse
