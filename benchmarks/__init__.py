"""The `opu` command and its benchmarks: speed, energy, published results."""

BLAS_WAIT = "10"
"""OPENBLAS_THREAD_TIMEOUT of `opu`: idle threads of BLAS spin for 2^10 ticks, then sleep."""
