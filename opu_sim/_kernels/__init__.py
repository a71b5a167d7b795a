"""Numba kernels: arrays and scalars in, `out` filled; no configuration, no input or output, no RNG objects."""
