"""Pieces of a pass on all cores: NumPy works on one, but lets other threads run while it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache

import numba


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS, thread_name_prefix="dfa")


def for_each(count: int, work: Callable[[int], None]) -> None:
    """Call work(0) to work(count - 1), each once, in any order and at the same time.

    They must write to different places. What a piece is must not depend on the number of threads: then nor does a
    result.
    """
    # As many as the kernels use: a worker of a sweep has its share of the cores, and no more.
    threads = min(numba.get_num_threads(), count)

    def run(pieces: Iterable[int]) -> None:
        for piece in pieces:
            work(piece)

    # In a copy of the caller's context, which holds what `np.errstate` says.
    others = [_pool().submit(copy_context().run, run, range(t, count, threads)) for t in range(1, threads)]
    run(range(0, count, max(threads, 1)))
    for other in others:
        other.result()
