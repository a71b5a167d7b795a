"""Where points run: Dask workers on this machine, or those of a scheduler of the user's own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

# Dask reads it when it is imported, workers as they start. What its log has to say of a worker that is started again
# is the business of this module.
os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")

import dask
import distributed
from dask.system import CPU_COUNT
from distributed.scheduler import KilledWorker

from benchmarks.sweep.definition import Point
from benchmarks.sweep.worker import Outcome, Readiness, run_point
from opu_sim.config import refused

CONNECT_S = 3.0
WORKERS_S = 30.0
_POLL_S = 0.02
_BATCH = 1000

_DASK = {
    "distributed.comm.timeouts.connect": f"{CONNECT_S}s",
    "distributed.comm.retry.count": 0,
    # No task waits at a worker behind another one, which might take the worker down with it.
    "distributed.scheduler.worker-saturation": 1.0,
}


# A connection that is lost is told in one line of our own.
for _name in ("distributed", "distributed.client", "tornado.application", "asyncio"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass
class Cluster:
    """Workers that are there.

    Attributes
    ----------
    client : distributed.Client
    workers : int
    threads : int or None
        For the kernels, a worker; None: as many as each worker says that it has.
    address : str or None
        Of a scheduler of the user's own.
    finished : bool
        No point is left running.
    """

    client: distributed.Client
    workers: int
    threads: int | None
    address: str | None
    finished: bool = True

    def outcomes(
        self, points: Sequence[Point], should_stop: Callable[[], bool] | None = None
    ) -> Iterator[tuple[Point, Outcome]]:
        """Points as they are done; ends early when it is asked to stop.

        A worker that dies is replaced and its point run again, elsewhere; the fourth worker that dies over the same
        point makes the point fail.

        Raises
        ------
        ConfigError
            The scheduler was lost.
        """
        self.finished = False
        group = f"opu-sweep-{uuid.uuid4().hex}"
        by_key = {(group, index): point for index, point in enumerate(points)}
        futures = self.client.map(
            run_point,
            [point.experiment for point in points],
            key=list(by_key),
            batch_size=_BATCH,
            pure=False,
            threads=self.threads,
        )
        waiting = distributed.as_completed(futures, with_results=True, raise_errors=False, loop=self.client.loop)
        del futures  # a future that is held keeps its result on the worker
        while not waiting.is_empty():
            for future, result in waiting.next_batch(block=False):
                yield by_key[future.key], self._outcome(result)
            if should_stop is not None and should_stop():
                self.client.cancel(list(waiting.futures))
                return
            time.sleep(_POLL_S)
        self.finished = True

    def _outcome(self, result: Any) -> Outcome:
        if isinstance(result, Outcome):
            return result
        if isinstance(result, CancelledError):
            raise refused(
                f"--scheduler {self.address}: the connection was lost; results so far are stored, --resume goes on"
            )
        _, error, _ = result
        if isinstance(error, KilledWorker):
            return Outcome.failed("the workers that ran it were killed, one after the other (out of memory?)", None)
        return Outcome.failed(f"{type(error).__name__}: {error}", None, fault=True)


def _kill(cluster: distributed.LocalCluster) -> None:
    """End workers in the middle of a point; closed in order, each would be waited for."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


async def _identity(address: str) -> dict[str, Any]:
    """What the Dask server at an address says of itself; a client of its own would keep trying for longer."""
    arguments = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, timeout=CONNECT_S, connection_args=arguments) as server:
        identity: dict[str, Any] = await server.identity()
    return identity


@contextmanager
def local(workers: int | None, points: int) -> Iterator[Cluster]:
    """Processes on this machine: `workers`, or one a core, but no more than points; the cores are shared out evenly."""
    count = min(workers or CPU_COUNT, points)
    threads = max(1, CPU_COUNT // count)
    # In the workers' environment before they load anything; see `worker.run_point` for why BLAS has one.
    blas = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), 1)
    kernels = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), threads)
    environment = dask.config.get("distributed.nanny.pre-spawn-environ") | blas | kernels
    with (
        dask.config.set({**_DASK, "distributed.nanny.pre-spawn-environ": environment}),
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            # It has a small web server all the same; on any free port, so that two sweeps get along.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=0,  # a point needs what it needs; the machine's own limits hold
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(Readiness(local=True))
        found = Cluster(client, count, threads, None)
        try:
            yield found
        finally:
            if not found.finished:
                _kill(cluster)


def check(address: str) -> None:
    """Whether a scheduler answers there.

    Raises
    ------
    ConfigError
        Nothing answers, or something else does.
    """
    try:
        with dask.config.set(_DASK):
            kind = asyncio.run(_identity(address))["type"]
    except (OSError, ValueError, TypeError, ImportError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise refused(f"--scheduler {address}: no answer: {reason}") from None
    if kind != "Scheduler":
        raise refused(f"--scheduler {address}: a {kind} of Dask; must be the address of its scheduler")


@contextmanager
def remote(address: str) -> Iterator[Cluster]:
    """Workers of a running scheduler, as many as there are at any time.

    Raises
    ------
    ConfigError
        It has no workers, or they lack this package: one line.
    """
    with dask.config.set(_DASK), distributed.Client(address, timeout=CONNECT_S, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError:
            raise refused(f"--scheduler {address}: no worker has joined it within {WORKERS_S:g} s") from None
        try:
            client.register_plugin(Readiness(local=False))
        except Exception as error:  # whatever unpickling and importing on a worker may raise
            raise refused(f"--scheduler {address}: its workers cannot run opu-sim: {error}") from None
        yield Cluster(client, len(client.scheduler_info(n_workers=-1)["workers"]), None, address)
