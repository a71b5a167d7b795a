"""Micromirror array: numbers to binary patterns, patterns to mirrors, mirrors to light.

- `array`: the device, its macropixels and its patterns
- `encodings`, `filtering`: fields of either sign, or any phase, through an aperture off the axis
- `encoding_table`: what each encoding costs and gives; `pwm`: why pulse width is no grey field
- `blaze`: diffraction orders of the tilted mirrors; `flatness`, `warm_up`: what the chip does to the wave
"""

from opu_sim.dmd.array import Dmd, Encoded, Patterns

__all__ = ["Dmd", "Encoded", "Patterns"]
