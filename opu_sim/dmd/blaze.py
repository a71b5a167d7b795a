"""Blazed grating: which diffraction orders the tilted mirrors send the light into.

The array is a grating, the mirror's tilt its blaze. Beams lie in the plane that holds the array's normal and the
mirrors' diagonal (chip turned by 45 degrees), across the tilt axis. Angles count from the normal towards the side to
which an ON mirror leans: light that comes in at `incidence` leaves at 2 tilt - incidence, so that incidence = 2 tilt is
the projector's geometry (light out along the normal) and incidence = tilt is Littrow's (light back into the source).

References
----------
Popoff et al., "A practical guide to Digital Micro-mirror Devices (DMDs) for wavefront shaping", arXiv 2311.17496:
grating times single-mirror envelope, blaze number, cross-talk of OFF mirrors. Its LaTeX source projects angles on the
two axes of the array; here direction cosines are projected, which is the grating equation itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROOT_2 = 2.0**0.5


def order_angle(order: ArrayLike, pitch_m: float, wavelength_m: float, incidence_rad: float) -> NDArray[np.float64]:
    """Angle [rad] of orders of a grating in one dimension, sin(angle) + sin(incidence) = p wavelength / pitch.

    NaN where the order is evanescent.
    """
    sine = np.asarray(order, dtype=np.float64) * (wavelength_m / pitch_m) - math.sin(incidence_rad)
    angle: NDArray[np.float64] = np.full(sine.shape, np.nan)
    np.arcsin(sine, out=angle, where=np.abs(sine) <= 1.0)
    return angle


def blazed_order(pitch_m: float, wavelength_m: float, tilt_rad: float, incidence_rad: float) -> float:
    """Order p (not an integer in general) of the specular direction along either axis of the array.

    sqrt(2) p wavelength / pitch = sin(incidence) + sin(2 tilt - incidence) = 2 sin(tilt) cos(tilt - incidence).
    """
    sines = 2.0 * math.sin(tilt_rad) * math.cos(tilt_rad - incidence_rad)
    return sines * pitch_m / (_ROOT_2 * wavelength_m)


def blaze_number(pitch_m: float, wavelength_m: float, tilt_rad: float, incidence_rad: float) -> float:
    """Blaze number mu = |2 p mod 2 - 1|: 1 with one order at the specular direction, 0 with four equal ones about it.

    Parameters
    ----------
    pitch_m, wavelength_m : float [m]
    tilt_rad, incidence_rad : float [rad]
    """
    return abs((2.0 * blazed_order(pitch_m, wavelength_m, tilt_rad, incidence_rad)) % 2.0 - 1.0)


def blazed_incidences(pitch_m: float, wavelength_m: float, tilt_rad: float) -> list[float]:
    """Incidences [rad] with blaze number 1, ascending.

    cos(tilt - incidence) = p wavelength / (sqrt(2) pitch sin(tilt)) for whole p; only those at which light falls on the
    front of the array and leaves from it.
    """
    step = wavelength_m / (_ROOT_2 * pitch_m * math.sin(tilt_rad))
    found = [
        tilt_rad + sign * math.acos(order * step) for order in range(1, math.floor(1.0 / step) + 1) for sign in (-1, 1)
    ]
    front = math.pi / 2.0
    return sorted(angle for angle in found if abs(angle) < front and abs(2.0 * tilt_rad - angle) < front)


def lattice_shares(centre: float, width: float, orders: NDArray[np.integer]) -> NDArray[np.float64]:
    """Shares of the reflected light in the orders of one dimension, for small angles: width sinc^2(width (p - centre)).

    Poisson's sum formula makes their sum over all integers 1 for any centre and any width in (0, 1].

    Parameters
    ----------
    centre : float
        Order (any real number) at which the mirror's envelope peaks.
    width : float
        Side of a mirror over the pitch.
    orders : int [order]
    """
    shares: NDArray[np.float64] = width * np.sinc(width * (orders - centre)) ** 2
    return shares


@dataclass(frozen=True)
class MirrorGrating:
    """Array of square mirrors under a plane wave, mirrors of one state all over it.

    The far field of one tilted mirror (Kirchhoff, scalar) sampled at the grating's directions. With s towards the
    source, b an order, n and e_1, e_2 the normal and the edges of the tilted mirror, side w = pitch sqrt(fill), the
    share of the light on the mirrors that order b takes is

        fill (n.b / b_z) sinc^2(w e_1.(s + b) / wavelength) sinc^2(w e_2.(s + b) / wavelength).

    The obliquity n.b / b_z is the one that keeps the energy: it turns the sum over the lattice into the integral over
    directions seen from the mirror. For small angles the shares are `lattice_shares` in two dimensions, which add up to
    1; at real tilts the sum over the propagating orders stays within a tenth of 1, as the envelope's tails are cut off
    where orders are evanescent. Where the mirrors' beams would overlap on the way out,
    fill cos(tilt - incidence) / cos(2 tilt - incidence) > 1, the neighbours block what is above 1. Light that the gaps
    and the edges scatter is left out.

    Parameters
    ----------
    pitch_m, wavelength_m : float [m]
    tilt_rad, incidence_rad : float [rad]
    fill : float
        Share of a cell that is mirror.
    """

    pitch_m: float
    wavelength_m: float
    tilt_rad: float
    incidence_rad: float
    fill: float = 1.0

    @property
    def blaze_number(self) -> float:
        """See the function `blaze_number`."""
        return blaze_number(self.pitch_m, self.wavelength_m, self.tilt_rad, self.incidence_rad)

    def _change(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """s + b of each order [order, xyz]; NaN where it is evanescent."""
        along = math.sin(self.incidence_rad) / _ROOT_2
        step = self.wavelength_m / self.pitch_m
        x, y = columns * step, rows * step
        squared = 1.0 - (x - along) ** 2 - (y - along) ** 2
        z = np.sqrt(np.where(squared > 0.0, squared, np.nan))
        return np.stack([x, y, z + math.cos(self.incidence_rad)], axis=-1)

    def _amplitude(self, change: NDArray[np.float64], tilt_rad: float) -> NDArray[np.float64]:
        """Far field of one mirror in the orders' directions, (n.b)^1/2 times the envelope."""
        sine, cosine = math.sin(tilt_rad), math.cos(tilt_rad)
        x, y, z = np.moveaxis(change, -1, 0)
        across, along = (x - y) / _ROOT_2, (x + y) / _ROOT_2
        facing = np.maximum(sine * along + cosine * z - math.cos(tilt_rad - self.incidence_rad), 0.0)
        in_plane = cosine * along - sine * z
        side = self.pitch_m * self.fill**0.5 / (_ROOT_2 * self.wavelength_m)
        edges = np.sinc(side * (in_plane + across)) * np.sinc(side * (in_plane - across))
        amplitude: NDArray[np.float64] = np.sqrt(facing) * edges
        return amplitude

    def shares(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.float64]:
        """Share of the light on the mirrors in orders (row, column); fractions stand for directions between orders.

        Evanescent ones take none.
        """
        rows, columns = np.broadcast_arrays(np.asarray(rows, np.float64), np.asarray(columns, np.float64))
        change = self._change(rows, columns)
        out_z = change[..., 2] - math.cos(self.incidence_rad)
        overlap = math.cos(self.tilt_rad - self.incidence_rad) / math.cos(2.0 * self.tilt_rad - self.incidence_rad)
        shares = self.fill * self._amplitude(change, self.tilt_rad) ** 2 / (out_z * max(self.fill * overlap, 1.0))
        return np.nan_to_num(shares, nan=0.0)

    def orders(self, offset: tuple[float, float] = (0.0, 0.0)) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """All orders that propagate: their numbers int64 [order, 2] as (row, column), and shares [order].

        Parameters
        ----------
        offset : float, float
            Added to the numbers: the aperture of an off-axis encoding, in cycles a mirror (row, column).
        """
        reach = math.ceil(2.0 * self.pitch_m / self.wavelength_m)
        line = np.arange(-reach, reach + 1)
        numbers = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        shares = self.shares(numbers[:, 0] + offset[0], numbers[:, 1] + offset[1])
        kept = shares > 0.0
        return numbers[kept], shares[kept]

    def strongest(self, offset: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
        """Order (row, column; offset added) that takes the most light."""
        numbers, shares = self.orders(offset)
        row, column = numbers[int(np.argmax(shares))]
        return float(row) + offset[0], float(column) + offset[1]

    def diffraction_efficiency(self, offset: tuple[float, float] = (0.0, 0.0)) -> float:
        """Share of the light on the mirrors that the strongest order takes: what a pinhole around it passes."""
        return float(self.orders(offset)[1].max())

    def off_leakage(self, offset: tuple[float, float] = (0.0, 0.0)) -> float:
        """Intensity of an OFF mirror (tilted the other way) over an ON one, in the strongest order of the ON state.

        Diffraction alone; edges, posts and the substrate below add to it, so a measured `contrast` is lower than one
        over this figure.
        """
        row, column = self.strongest(offset)
        change = self._change(np.array([row]), np.array([column]))
        on, off = (self._amplitude(change, tilt)[0] for tilt in (self.tilt_rad, -self.tilt_rad))
        return float((off / on) ** 2)
