"""Clock and power: what a frame takes, stage by stage, and the ledger of what has been spent.

The clock is a counter of simulated seconds. Nothing sleeps, and host time never enters.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from opu_sim.cards import OpuCard, figures
from opu_sim.dmd import Dmd
from opu_sim.errors import ConfigError, DeviceError
from opu_sim.exposure import exposure_s
from opu_sim.laser import Laser


@dataclass(frozen=True)
class Stage:
    """A part of the device: electrical power while the device is on, and its own time in one frame."""

    name: str
    watts: float
    seconds: float
    source: str


class FrameClock:
    """Time of a frame with `rows` sensor rows read.

    The stages overlap (the sensor reads a frame while the next one is exposed, the DMD loads the next pattern
    meanwhile), so the period is that of the slowest: max(trigger period, exposure + dead time, read-out,
    pattern period, link).
    """

    def __init__(self, card: OpuCard, rows: int) -> None:
        if rows > card.camera.rows:
            raise DeviceError(f"{rows} sensor rows: the camera has {card.camera.rows}")
        timing = card.timing
        self.rows = rows
        self.pixels = rows * card.camera.columns
        self.exposure_s = exposure_s(card)
        self.dead_s = timing.dead_time_us * 1e-6
        self.read_out_s = card.camera.read_out_s(rows)
        self.pattern_load_s = card.dmd.load_time_us * 1e-6
        pattern_bytes = math.ceil(card.dmd.mirrors / 8)
        frame_bytes = self.pixels * math.ceil(card.camera.adc_bits / 8)
        # The link is full duplex: patterns go out while frames come in.
        self.link_s = max(pattern_bytes, frame_bytes) / timing.link_bytes_per_s
        self.period_s = max(
            timing.frame_time_us * 1e-6,
            self.exposure_s + self.dead_s,
            self.read_out_s,
            Dmd(card.dmd, 1).period_s,
            self.link_s,
        )

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return 1.0 / self.period_s


class PowerBudget:
    """Watts part by part. All parts draw their power for as long as the device is on."""

    def __init__(self, card: OpuCard, clock: FrameClock) -> None:
        stated = {key: source for key, _, source in figures(card)}

        def source(part: str, key: str) -> str:
            return stated[f"{part}.{key}"] or "not stated"

        laser_w = Laser(card.laser).electrical_w
        parts = [
            Stage(
                "laser",
                laser_w,
                clock.exposure_s,
                f"optical power over wall-plug efficiency; {source('laser', 'power_mw')}",
            ),
            Stage("dmd", card.dmd.watts, clock.pattern_load_s, source("dmd", "watts")),
            Stage("camera", card.camera.watts, clock.read_out_s, source("camera", "watts")),
            Stage("link", card.power.electronics_w, clock.link_s, source("power", "electronics_w")),
            Stage("cooling", card.power.cooling_w, clock.period_s, source("power", "cooling_w")),
        ]
        load = sum(part.watts for part in parts)
        loss = load * (1.0 / card.power.supply_efficiency - 1.0)
        supply = Stage("supply", loss, clock.period_s, f"loss; {source('power', 'supply_efficiency')}")
        self.stages = [*parts, supply]

    @property
    def watts(self) -> float:
        """Power at the plug."""
        return sum(stage.watts for stage in self.stages)


def teraops_peak(card: OpuCard) -> float:
    """2 x mirrors x pixels x full-frame rate [1e12 ops/s]; one op is one multiplication or one addition."""
    clock = FrameClock(card, card.camera.rows)
    return 2.0 * card.dmd.mirrors * clock.pixels * clock.rate_hz * 1e-12


@dataclass
class Ledger:
    """What a device has done since it was built. Seconds are the device's own, never the host's."""

    projections: int = 0
    """Vectors projected linearly (`project`) or read as intensities (`intensity`)."""
    frames: int = 0
    passes: int = 0
    repeated_frames: int = 0
    """Frames shown again because the camera lost them; not in `frames`, but in time and energy."""
    saturated_pixels: int = 0
    """Pixels read at the largest code, and"""
    dark_pixels: int = 0
    """pixels read at code 0: over- and under-exposure."""
    idle_s: float = 0.0
    """Part of device_s in which no frame was shown: `Opu.wait`."""
    device_s: float = 0.0
    joules: float = 0.0
    ops: float = 0.0
    """2 n_in n_out a vector delivered."""
    ops_optical: float = 0.0
    """2 mirrors used x pixels read a frame shown."""
    stage_s: dict[str, float] = field(default_factory=dict)
    """Busy time of each stage; the stages overlap, so these do not add up to device_s."""
    stage_joules: dict[str, float] = field(default_factory=dict)

    def add_frames(
        self,
        frames: int,
        passes: int,
        ops_optical: float,
        clock: FrameClock,
        budget: PowerBudget,
        latency_s: float,
        repeated: int = 0,
    ) -> None:
        """Charge `frames` frames shown in `passes` passes, and `repeated` more that were shown again."""
        self.frames += frames
        self.repeated_frames += repeated
        frames += repeated
        seconds = frames * clock.period_s + passes * latency_s
        self.passes += passes
        self.ops_optical += ops_optical
        self.device_s += seconds
        busy = {
            "exposure": frames * clock.exposure_s,
            "read_out": frames * clock.read_out_s,
            "pattern_load": frames * clock.pattern_load_s,
            "dead": frames * (clock.period_s - clock.exposure_s),
            "link": frames * clock.link_s,
            "latency": passes * latency_s,
        }
        for name, value in busy.items():
            self.stage_s[name] = self.stage_s.get(name, 0.0) + value
        self._spend(seconds, budget)

    def add_idle(self, seconds: float, budget: PowerBudget) -> None:
        """Charge time in which the device is on and shows nothing."""
        self.idle_s += seconds
        self.device_s += seconds
        self.stage_s["idle"] = self.stage_s.get("idle", 0.0) + seconds
        self._spend(seconds, budget)

    def _spend(self, seconds: float, budget: PowerBudget) -> None:
        for stage in budget.stages:
            joules = stage.watts * seconds
            self.stage_joules[stage.name] = self.stage_joules.get(stage.name, 0.0) + joules
            self.joules += joules

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-ready values."""
        return asdict(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`.

        Raises
        ------
        ConfigError
            The state lacks a field; the ledger is then left as it was.
        """
        missing = [entry.name for entry in fields(self) if entry.name not in state]
        if missing:
            raise ConfigError(f"ledger: {', '.join(missing)} missing; must be a state of this version")
        for entry in fields(self):
            # The stages' tables go on growing here, not in the caller's state.
            setattr(self, entry.name, copy.deepcopy(state[entry.name]))


def summary(name: str, ledger: Ledger, peak: float) -> dict[str, Any]:
    """Table `device` of result.json: TeraOPS by its three conventions, watts, joules, utilisation."""
    seconds = ledger.device_s
    delivered = ledger.ops / seconds * 1e-12 if seconds else 0.0
    return {
        "name": name,
        "projections": ledger.projections,
        "frames": ledger.frames,
        "repeated_frames": ledger.repeated_frames,
        "saturated_pixels": ledger.saturated_pixels,
        "dark_pixels": ledger.dark_pixels,
        "device_s": seconds,
        "joules": ledger.joules,
        "watts": ledger.joules / seconds if seconds else 0.0,
        "teraops_peak": peak,
        "teraops_optical": ledger.ops_optical / seconds * 1e-12 if seconds else 0.0,
        "teraops_delivered": delivered,
        "utilisation": delivered / peak if peak else 0.0,
        "joules_per_op": ledger.joules / ledger.ops if ledger.ops else 0.0,
        "stage_s": dict(ledger.stage_s),
        "stage_joules": dict(ledger.stage_joules),
    }
