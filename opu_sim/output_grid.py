"""Outputs on the sensor: how far apart, how many, and which rows are read for them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from opu_sim.cards import OpuCard
from opu_sim.errors import DeviceError


class OutputGrid:
    """Where the outputs lie on the sensor: `spacing` pixels apart, in rows from the first row of the region read.

    Raises
    ------
    DeviceError
        More outputs than the sensor holds at this spacing.
    """

    def __init__(self, card: OpuCard, n_out: int, spacing: int, block: int = 1) -> None:
        camera = card.camera
        step = spacing * block
        columns = camera.columns // step
        capacity = output_capacity(card, spacing, block)
        if n_out > capacity:
            raise DeviceError(
                f"n_out = {n_out}: outputs {spacing} pixels apart (one speckle grain) leave {capacity} independent "
                f"ones on {camera.rows} x {camera.columns} pixels; allowed: 1 .. {capacity}"
            )
        self.spacing = spacing
        self.columns = columns
        """Blocks side by side."""
        self.blocks = math.ceil(n_out / block**2)
        rows_needed = math.ceil(self.blocks / columns) * step
        self.rows = max(rows_needed, camera.roi_rows or camera.rows)
        """Sensor rows read: the card's region of interest, or as many as the outputs need."""

    def pixels(self, n_out: int, sensor_columns: int) -> NDArray[np.int64]:
        """Pixel number (row * columns + column) of each output, for a block of one output."""
        output = np.arange(n_out)
        row, column = output // self.columns * self.spacing, output % self.columns * self.spacing
        return row * sensor_columns + column


def output_capacity(card: OpuCard, spacing: int, block: int = 1) -> int:
    """Independent outputs that the whole sensor holds: one a grain, `spacing` pixels, in whole blocks."""
    step = spacing * block
    return (card.camera.columns // step) * (card.camera.rows // step) * block * block
