"""Micromirror array: numbers to binary patterns, patterns to mirrors, mirrors to light."""

from opu_sim.dmd.array import Dmd, Encoded

__all__ = ["Dmd", "Encoded"]
