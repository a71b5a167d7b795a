"""Cut of a line of outputs into jobs, so that one long line keeps every core busy and its parts stay in the cache."""

from __future__ import annotations

from numba import njit

# A job reads some five lines of 4 bytes: 16 k outputs of each fit in a core's second-level cache.
_OUTPUTS = 16384
_VECTOR = 16  # float32 in the widest registers: chunks begin on such a boundary


@njit(inline="always")
def chunks_of(n):  # type: ignore[no-untyped-def]
    """Chunks of a line of n outputs; short lines are not cut."""
    return (n + _OUTPUTS - 1) // _OUTPUTS


@njit(inline="always")
def chunk_of(chunk, n):  # type: ignore[no-untyped-def]
    """Outputs of a chunk, a slice; all chunks are about equally long."""
    chunks = chunks_of(n)
    width = ((n + chunks - 1) // chunks + _VECTOR - 1) // _VECTOR * _VECTOR
    return slice(min(chunk * width, n), min((chunk + 1) * width, n))
