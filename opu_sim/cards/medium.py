"""Scattering medium."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from opu_sim.cards.quantities import Fraction, Positive
from opu_sim.config import Section

_SLAB = ("screen_gap_um", "screen_correlation_um", "grid_pixels", "grid_pitch_um", "lit_width_um")
_SLAB_NEEDED = ("screen_gap_um", "grid_pixels", "grid_pitch_um")


class MediumCard(Section):
    """Multiply scattering medium."""

    kind: Literal["auto", "stored", "streamed", "wave-optics", "slab"] = "auto"
    """stored: independent Gaussian entries in memory; streamed: the same entries, made again where they are needed;
    wave-optics: phase screens with lenses between them; slab: phase screens with free space between them.
    auto: stored, streamed or wave-optics by shape, whichever is fastest."""
    transmission: Fraction
    """Share of the light leaving the DMD that falls on the whole sensor, both polarisations."""
    analyser_transmission: Fraction
    speckle_grain_px: Annotated[float, Field(ge=1)]
    """lambda z / D in camera pixels. Below one pixel a grain, a pixel averages several independent modes."""
    frame_decorrelation: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the field's power that is new in each frame (vibration, air, mirrors)."""
    drift_time_s: Positive | None = None
    """tau of the slow drift: the field's correlation falls as exp(-t / tau), the intensity's as exp(-2 t / tau)."""
    polarisation_degree: Annotated[float, Field(ge=0, le=1)] | None = None
    """Degree of polarisation P of the speckle behind the analyser; left out, fully polarised."""
    path_spread_mm: Positive | None = None
    """Mean (and standard deviation) of the exponential law of path lengths; left out, far below the coherence length.
    """
    thickness_um: Positive | None = None
    """Thickness that sets the range of the memory effect."""
    screens: Annotated[int, Field(ge=1, le=16)] | None = None
    """slab, wave-optics: number of phase screens; 3 where left out. With lenses, two at least: two take a hop less, and
    leave the speckle patterns |T|^2 of neighbouring inputs alike but for a shift (see `WaveOpticsMedium`)."""
    oversampling: Annotated[float, Field(ge=0.25, le=64)] | None = None
    """wave-optics: modes of a plane over inputs and outputs together; 3.25 where left out. The matrix is a block of a
    unitary one: for n inputs and n outputs its largest squared singular value is 4 (1 - 1 / (2 oversampling)) times
    the mean, where that of independent entries is 4 times."""
    screen_gap_um: Positive | None = None
    """slab: free space behind each screen."""
    screen_correlation_um: Positive | None = None
    """slab: side of a cell of constant random phase, which sets the scattering angle, wavelength / side, and
    the speckle grain at the output; two grid pitches where left out."""
    grid_pixels: Annotated[int, Field(ge=16, le=16384)] | None = None
    """slab: pixels along a side of the square computed; the outputs lie in its middle quarter."""
    grid_pitch_um: Positive | None = None
    lit_width_um: Positive | None = None
    """slab: side of the square that the DMD lights on the first screen; half the grid where left out."""

    @model_validator(mode="after")
    def _keys_go_with_the_kind(self) -> MediumCard:
        if self.kind != "slab":
            for key in _SLAB:
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} = {getattr(self, key)!r}: goes with kind = 'slab' alone")
        if self.oversampling is not None and self.kind not in ("wave-optics", "auto"):
            raise ValueError(f"oversampling = {self.oversampling!r}: goes with kind = 'wave-optics' or 'auto' alone")
        if self.screens is not None and self.kind not in ("slab", "wave-optics", "auto"):
            raise ValueError(f"screens = {self.screens!r}: goes with kind = 'slab', 'wave-optics' or 'auto' alone")
        if self.screens == 1 and self.kind != "slab":
            raise ValueError("screens = 1: one screen between two lenses mixes nothing; must be 2 .. 16")
        for key in _SLAB_NEEDED:
            if self.kind == "slab" and getattr(self, key) is None:
                raise ValueError(f"{key}: missing; kind = 'slab' needs it")
        if self.kind == "streamed" and self.drift_time_s is not None:
            raise ValueError(
                f"drift_time_s = {self.drift_time_s!r}: kind = 'streamed' holds no entries that could drift"
            )
        return self

    @model_validator(mode="after")
    def _slab_fits_its_grid(self) -> MediumCard:
        if self.grid_pixels is None or self.grid_pitch_um is None:
            return self
        pitch, width = self.grid_pitch_um, self.grid_pixels * self.grid_pitch_um
        correlation, lit = self.screen_correlation_um, self.lit_width_um
        if correlation is not None and not pitch <= correlation <= width / 8:
            raise ValueError(
                f"screen_correlation_um = {correlation!r}: must be >= grid_pitch_um = {pitch!r} and "
                f"<= {width / 8:g}, an eighth of the grid"
            )
        if lit is not None and not pitch <= lit <= width / 2:
            raise ValueError(
                f"lit_width_um = {lit!r}: must be >= grid_pitch_um = {pitch!r} and <= {width / 2:g}, half the grid"
            )
        return self

    @property
    def slab(self) -> tuple[int, float, float, int, float, float]:
        """(screens, gap, correlation, grid pixels, pitch, lit width) of a slab, lengths [um]."""
        gap, pixels, pitch = self.screen_gap_um, self.grid_pixels, self.grid_pitch_um
        if gap is None or pixels is None or pitch is None:
            raise ValueError(f"kind = {self.kind!r} has no phase screens")
        return (
            self.screens or 3,
            gap,
            self.screen_correlation_um or 2.0 * pitch,
            pixels,
            pitch,
            self.lit_width_um or pixels * pitch / 2,
        )

    @property
    def lenses(self) -> tuple[int, float]:
        """(screens, oversampling) of a wave-optics medium."""
        return self.screens or 3, self.oversampling or 3.25
