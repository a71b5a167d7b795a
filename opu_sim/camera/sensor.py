"""Camera: mean photons a pixel to counts, after the linear model of EMVA 1288 release 4.0."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opu_sim._kernels.camera import chosen, expose
from opu_sim.cards import CameraCard, load_camera_card
from opu_sim.rng import stream, stream_key

Counts = NDArray[np.unsignedinteger[Any]]

# The Poisson draw is exact below 20 e- where the read noise does not hide single electrons. Elsewhere the
# second-order Cornish-Fisher expansion is used. The distribution function of the charge with its read noise
# is then off by at most
#                       3 e- read noise   13 e-
#     at any light      6.2e-3            1.44e-3   (the darkest pixels: their mean is 0.047 e- too high)
#     above 2 e-        1.5e-3            1e-4
#     above 10 e-       7.8e-4            1e-4
# and its mean, above 2 e-, by 3e-5 e-.
EXACT_BELOW_E = 20.0
MASKING_READ_NOISE_E = 3.0

_FIXED = ("camera.prnu", "camera.dsnu")
_LARGEST_E = 1e30  # dark charge: beyond any full well, within float32
NO_PIXELS = np.empty(0, dtype=np.int64)


class Camera:
    """Image sensor with fixed patterns (PRNU, DSNU) drawn once from the seed.

    Parameters
    ----------
    card : name of a shipped card, path of a TOML file, mapping, or CameraCard
    seed : int

    Raises
    ------
    ConfigError
        The card is not valid.
    """

    def __init__(self, card: str | Path | Mapping[str, Any] | CameraCard, seed: int = 0) -> None:
        self.card = card if isinstance(card, CameraCard) else load_camera_card(card)
        self._seed = seed
        self._temporal = stream_key(seed, "camera.temporal")
        self.saturated = 0
        """Pixels that reached the largest code, over all exposures."""
        self.dark = 0
        """Pixels at code 0: what fell below the converter's range is lost."""
        self.exposed = 0
        """Pixels exposed."""

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of the counts: uint8 up to 8 bits, else uint16."""
        return np.uint8 if self.card.adc_bits <= 8 else np.uint16

    def fixed_pattern(self, pixel: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Responsivity (quantum efficiency x (1 + PRNU), 0 of dead pixels) and DSNU [e-] of pixels.

        pixel: numbers row * columns + column.
        """
        count = int(pixel.max()) + 1 if pixel.size else 0
        gaussian = [stream(self._seed, name).standard_normal(count, dtype=np.float32)[pixel] for name in _FIXED]
        card = self.card
        responsivity = card.quantum_efficiency * (1.0 + card.prnu * gaussian[0])
        responsivity[self._chosen("camera.dead", card.dead_pixels, pixel)] = 0.0
        return responsivity.astype(np.float32), (card.dsnu_e * gaussian[1]).astype(np.float32)

    def hot_pixels(self, pixel: NDArray[np.integer]) -> NDArray[np.int64]:
        """Positions in `pixel` (numbers row * columns + column) of the hot ones, for `expose_pixels`."""
        return np.flatnonzero(self._chosen("camera.hot", self.card.hot_pixels, pixel))

    def _chosen(self, name: str, share: float | None, pixel: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which pixels belong to a share of all that the seed has chosen; None: none of them."""
        lot = np.zeros(len(pixel), dtype=np.bool_)
        if share is not None:
            chosen(*stream_key(self._seed, name), np.float32(share), np.asarray(pixel, dtype=np.int64), lot)
        return lot

    def expose(self, photons: NDArray[np.floating], exposure_s: float, frame: int = 0) -> Counts:
        """Digital counts of frames under mean photons a pixel.

        Parameters
        ----------
        photons : float [frame, row, column]
            Mean photons a pixel in the exposure; >= 0.
        exposure_s : float
            [s]; sets the dark charge.
        frame : int
            Number of the first frame: the same number gives the same temporal noise.

        Returns
        -------
        uint8 or uint16, same shape [DN]

        Raises
        ------
        ValueError
            Not three axes, more rows or columns than the sensor, light that is negative or not finite as
            float32, a bad exposure.

        References
        ----------
        EMVA Standard 1288, Release 4.0 Linear: mu_y = K (mu_e + mu_d);
        sigma_y^2 = K^2 (sigma_d^2 + mu_e) + 1/12.
        """
        photons = np.asarray(photons)
        card = self.card
        if photons.ndim != 3 or photons.shape[1] > card.rows or photons.shape[2] > card.columns:
            raise ValueError(
                f"photons: shape {photons.shape}; must be [frame, row <= {card.rows}, column <= {card.columns}]"
            )
        if not np.issubdtype(photons.dtype, np.floating):
            raise ValueError(f"photons: dtype {photons.dtype}; must be a float type")
        if not np.isfinite(exposure_s) or exposure_s < 0:
            raise ValueError(f"exposure_s = {exposure_s!r}: must be a number >= 0")
        with np.errstate(over="ignore"):  # beyond float32's range becomes infinite, and is refused as such
            light = np.ascontiguousarray(photons, dtype=np.float32)
        if photons.size and not (photons.min() >= 0 and np.isfinite(light.max())):
            raise ValueError("photons: holds NaN, infinite or negative values; must be >= 0 and finite as float32")
        frames, rows, columns = photons.shape
        pixel = (np.arange(rows)[:, None] * card.columns + np.arange(columns)).ravel()
        flat = light.reshape(frames, rows * columns)
        pattern, hot = self.fixed_pattern(pixel), self.hot_pixels(pixel)
        return self.expose_pixels(flat, *pattern, exposure_s, frame, hot).reshape(photons.shape)

    def expose_pixels(
        self,
        photons: NDArray[np.float32],
        responsivity: NDArray[np.float32],
        dsnu_e: NDArray[np.float32],
        exposure_s: float,
        frame: int,
        hot: NDArray[np.int64] = NO_PIXELS,
    ) -> Counts:
        """Digital counts [frame, pixel] of chosen pixels, fixed pattern at hand; nothing is checked.

        hot: positions of the hot pixels among them, see `hot_pixels`; left out, there are none.
        """
        card = self.card
        counts: NDArray[Any] = np.empty(photons.shape, dtype=self.dtype)
        saturated, dark = expose(
            photons,
            responsivity,
            np.float32(min(card.dark_e_per_s * exposure_s, _LARGEST_E)),
            np.float32(card.full_well_e),
            np.float32(card.read_noise_e),
            dsnu_e,
            np.float32(card.gain),
            np.float32(card.offset_dn),
            card.max_dn,
            np.float32(EXACT_BELOW_E if card.read_noise_e < MASKING_READ_NOISE_E else 0.0),
            hot,
            np.float32(min(card.hot_e_per_s * exposure_s, _LARGEST_E)),
            *self._temporal,
            frame,
            counts,
        )
        self.saturated += saturated
        self.dark += dark
        self.exposed += counts.size
        return counts
