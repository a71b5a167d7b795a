"""Device and camera cards: what a data sheet would say of each part, frozen and validated.

A card is a TOML file. `[sources]` holds, for every figure, where it comes from or the word `assumed`.
Every dimensional key ends in its unit. All of a card is frozen but the texts of `sources`, which are a plain
dictionary that decides no number. A key of an imperfection that is left out switches the imperfection off.
"""

from opu_sim.cards.camera import CameraCard, CameraFile
from opu_sim.cards.device import DeviceCard, IdealCard, OpuCard
from opu_sim.cards.dmd import DmdCard
from opu_sim.cards.files import device_names, figures, load_camera_card, load_card
from opu_sim.cards.laser import LaserCard
from opu_sim.cards.medium import MediumCard
from opu_sim.cards.microring import MicroringCard
from opu_sim.cards.operation import FaultsCard, PowerCard, TimingCard
from opu_sim.cards.recovery import RecoveryCard

__all__ = [
    "CameraCard",
    "CameraFile",
    "DeviceCard",
    "DmdCard",
    "FaultsCard",
    "IdealCard",
    "LaserCard",
    "MediumCard",
    "MicroringCard",
    "OpuCard",
    "PowerCard",
    "RecoveryCard",
    "TimingCard",
    "device_names",
    "figures",
    "load_camera_card",
    "load_card",
]
