"""A shape that the card's device has, large enough for statistics."""

from __future__ import annotations

from opu_sim.cards import DeviceCard, OpuCard
from opu_sim.device import Ideal, MicroringBank, Opu, load_device
from opu_sim.errors import DeviceError
from opu_sim.self_test.probe import FEWEST_OUTPUTS

N_IN, N_OUT = 256, 2048


def device_to_test(
    card: DeviceCard, *, n_in: int | None = None, n_out: int | None = None, seed: int = 0
) -> tuple[Opu | MicroringBank | Ideal, list[str]]:
    """Device of the card, 256 inputs to 2048 outputs unless stated, fewer where it has no room for these.

    Returns
    -------
    device, and remarks on what was made smaller

    Raises
    ------
    ConfigError
        A stated n_in or n_out below 1.
    DeviceError
        The device has no room for what was stated.
    """
    notes = []
    inputs = N_IN if n_in is None else n_in
    if n_in is None and isinstance(card, OpuCard) and card.dmd.mirrors < N_IN:
        inputs = card.dmd.mirrors
        notes.append(f"n_in = {inputs}: the DMD has no more mirrors")
    outputs = N_OUT if n_out is None else n_out
    while True:
        try:
            device = load_device(card, n_in=inputs, n_out=outputs, seed=seed)
        except DeviceError:
            # What the sensor holds depends on grain and recovery: the device itself knows.
            if n_out is not None or outputs // 2 < FEWEST_OUTPUTS:
                raise
            outputs //= 2
            continue
        if outputs < N_OUT and n_out is None:
            notes.append(f"n_out = {outputs}: the device has no room for {2 * outputs} outputs")
        return device, notes
