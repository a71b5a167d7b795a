"""Silicon microring weight bank."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from opu_sim.cards.quantities import Count, Fraction, NotNegative, Positive, Share, Sources
from opu_sim.config import Section
from opu_sim.microring.ring import AddDropRing

Bits = Annotated[float, Field(gt=0, le=16)]


class RingCard(Section):
    """One add-drop ring; all rings of the bank and of the modulators are alike."""

    radius_um: Positive
    group_index: Annotated[float, Field(ge=1, le=6)]
    loss_db_per_cm: NotNegative
    self_coupling: Annotated[float, Field(gt=0, lt=1)]
    """Amplitude that stays in its waveguide, at either coupler."""


class BankCard(Section):
    """Rows of rings on one bus each: a column is a wavelength, a row an output."""

    rows: Count
    columns: Count
    centre_nm: Annotated[float, Field(ge=1200, le=1700)]
    """Middle of the channels."""
    channel_spacing_nm: Positive
    weight_range: Fraction
    """Balanced weight that stands for a matrix entry of 1; what the rings lack to 1 is put back digitally."""
    calibration: Literal["joint", "separate"]
    """joint: drives solved for together, cross-talk included; separate: each ring's by itself."""
    thermal_crosstalk: Share | None = None
    """Share of a heater's phase that the next ring of the row gets, its square the one after; left out, none."""
    resonance_spread_nm: Positive | None = None
    """Standard deviation of the rings' resonances as made; left out, they are where they should be."""
    cell_area_um2: Positive
    """Chip area a ring, everything that goes with it included."""


class TuningCard(Section):
    """How rings are brought onto their channels (lock) and from there to their weights."""

    lock: Literal["heater", "trimmed"]
    heater_mw_per_fsr: Positive
    weights: Literal["depletion", "heater"]
    range_pm: Positive
    """Largest detuning of a weight from its channel."""
    weight_mw: NotNegative
    """Power that holds a ring at its weight, the lock left out."""
    settling_ns: NotNegative
    """Time until a new tile of the matrix has been written."""
    accuracy_bits: Bits | None = None
    """log2(2 / sd) of each weight's fixed error; left out, calibration is exact."""
    precision_bits: Bits | None = None
    """log2(2 / sd) of each weight's error that is new in every symbol; left out, the lock is perfect."""
    drift_pm_per_k: NotNegative
    ambient_change_k: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Warming since the calibration that the lock did not follow."""


class MemoryCard(Section):
    """A capacitor at each weight ring that holds the voltage of its tuning, written anew row by row.

    Without `refresh_us` there is none: drivers hold the weights all the time.
    """

    refresh_us: Positive | None = None
    """Between two writings of a row; left out, nothing leaks."""
    retention_us: Positive | None = None
    """Time constant R C of the held voltage, and of the detuning with it."""
    write_ns: Positive | None = None
    """Time to write one row, its columns at once. The bank shows no symbols meanwhile."""
    write_pj: NotNegative | None = None
    """Energy to write one ring, its converter included."""

    @model_validator(mode="after")
    def _complete(self) -> MemoryCard:
        for key in ("retention_us", "write_ns", "write_pj"):
            if self.refresh_us is not None and getattr(self, key) is None:
                raise ValueError(f"{key}: missing; must be stated with refresh_us")
        return self


class LasersCard(Section):
    """One laser a channel."""

    power_mw: Positive
    """Optical power of each laser."""
    wall_plug_efficiency: Fraction
    transmission: Fraction
    """Share of a laser's light that reaches the rows' buses, all of them together."""
    rin_db_per_hz: Annotated[float, Field(ge=-200, le=-60)] | None = None
    """Relative intensity noise of each laser, white; left out, they are noiseless."""


class ModulatorCard(Section):
    """What puts a vector's entries on the wavelengths."""

    dac_bits: Annotated[int, Field(ge=1, le=16)]
    dac_mw: NotNegative
    extinction_db: Annotated[float, Field(ge=3, le=60)] | None = None
    """Full light over that of a zero; left out, a zero is dark."""
    encoding: Literal["two-pass", "single-pass"]
    """two-pass: positive entries, then negative ones; single-pass: negative entries are refused."""
    scaling: Literal["vector", "batch"]
    """What is brought to the modulators' full range: each vector by itself, or all those of a call together."""


class ReceiverCard(Section):
    """Balanced photodiodes, transimpedance amplifier and converter of each row."""

    responsivity_a_per_w: Positive
    dark_current_na: Positive | None = None
    """Of each photodiode; left out, none."""
    feedback_ohm: Positive
    """Of the transimpedance amplifier, at `temperature_k`: Johnson noise."""
    temperature_k: Positive
    tia_mw: NotNegative
    adc_bits: Annotated[int, Field(ge=2, le=16)]
    adc_mw: NotNegative
    full_scale: Annotated[float, Field(gt=0, le=4)]
    """Converter's range over the largest sum that the channels in use can give; above 1 leaves room for noise."""


class ClockCard(Section):
    """How fast the bank runs."""

    symbol_rate_ghz: Positive
    latency_ns: NotNegative
    """Cost of each pass (a call of `project`), whatever its length."""


class MacCard(Section):
    """Measured error of inner products, for fidelity = "mac"."""

    error_mean: float
    error_std: NotNegative
    """Of an inner product of `error_terms` terms with entries up to 1 on either side."""
    error_terms: Count


class MicroringCard(Section):
    """A silicon microring weight bank."""

    kind: Literal["microring"]
    name: str
    description: str
    ring: RingCard
    bank: BankCard
    tuning: TuningCard
    lasers: LasersCard
    modulator: ModulatorCard
    receiver: ReceiverCard
    clock: ClockCard
    mac: MacCard
    memory: MemoryCard = Field(default_factory=MemoryCard)
    fidelity: Literal["device", "mac", "ideal"] = "device"
    """device: rings and noise sources; mac: measured error of an inner product; ideal: no error."""
    sources: Sources = Field(default_factory=dict)

    def ring_at(self, wavelength_m: float) -> AddDropRing:
        """The ring, with a resonance at this wavelength."""
        ring = self.ring
        return AddDropRing(
            ring.radius_um * 1e-6, ring.group_index, ring.loss_db_per_cm * 100.0, ring.self_coupling, None, wavelength_m
        )

    @property
    def detuning_range_m(self) -> float:
        """Largest detuning of a weight [m]: the tuning's, and no further than half way to the next channel."""
        return min(self.tuning.range_pm * 1e-12, 0.5e-9 * self.bank.channel_spacing_nm)

    @model_validator(mode="after")
    def _channels_fit(self) -> MicroringCard:
        bank = self.bank
        range_nm = self.ring_at(bank.centre_nm * 1e-9).free_spectral_range_m * 1e9
        if bank.columns * bank.channel_spacing_nm > range_nm:
            raise ValueError(
                f"bank.columns = {bank.columns}: channels {bank.channel_spacing_nm!r} nm apart in a free spectral "
                f"range of {range_nm:.4g} nm; must be <= {int(range_nm / bank.channel_spacing_nm)}"
            )
        return self

    @model_validator(mode="after")
    def _rings_reach_the_weights(self) -> MicroringCard:
        ring = self.ring_at(self.bank.centre_nm * 1e-9)
        furthest = 2.0 * math.pi * self.detuning_range_m / ring.free_spectral_range_m
        low, high = float(ring.weight(furthest)), ring.weight_range[1]
        reach = max(min(-low, high), 0.0)
        if self.bank.weight_range > reach:
            raise ValueError(
                f"bank.weight_range = {self.bank.weight_range!r}: a ring has weights {low:.4f} .. {high:.4f} within "
                f"{self.detuning_range_m * 1e12:.4g} pm; must be <= {reach:.4f}"
            )
        return self

    @model_validator(mode="after")
    def _memory_suits_the_bank(self) -> MicroringCard:
        memory = self.memory
        if memory.refresh_us is None or memory.write_ns is None:
            return self
        if self.tuning.weights != "depletion":
            raise ValueError(
                f"memory.refresh_us = {memory.refresh_us!r}: a capacitor holds no heater's current; must be left out "
                f"with tuning.weights = {self.tuning.weights!r}"
            )
        writing_us = 1e-3 * memory.write_ns * self.bank.rows
        if memory.refresh_us <= writing_us:
            raise ValueError(
                f"memory.refresh_us = {memory.refresh_us!r}: writing {self.bank.rows} rows takes {writing_us:.4g} us; "
                "must be > that"
            )
        return self

    @model_validator(mode="after")
    def _rings_follow_the_symbols(self) -> MicroringCard:
        bandwidth_hz = self.ring_at(self.bank.centre_nm * 1e-9).bandwidth_hz
        if self.clock.symbol_rate_ghz * 1e9 > bandwidth_hz:
            raise ValueError(
                f"clock.symbol_rate_ghz = {self.clock.symbol_rate_ghz!r}: the rings' linewidth is "
                f"{bandwidth_hz * 1e-9:.4g} GHz; must be <= that"
            )
        return self
