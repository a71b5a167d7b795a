"""What a worker does: train one point, and hand back its result or the line that says why there is none.

The client loads this module, too, and what trains is heavy: it is imported inside.
"""

from __future__ import annotations

import json
import signal
import threading
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import distributed

from benchmarks.sweep.store import DONE, FAILED
from dfa import provenance
from dfa.config import Experiment
from opu_sim.errors import ConfigError, DeviceError

# numba's threads and the filters of warnings belong to the process, so that a worker of several threads, too, trains
# one point at a time.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """Of one point; `result` is JSON."""

    status: str
    result: str
    started_at: str | None
    finished_at: str
    fault: bool = False
    """It failed by a fault of the program, not of the configuration."""

    @classmethod
    def failed(cls, line: str, started_at: str | None, *, fault: bool = False, trace: str | None = None) -> Outcome:
        """With the line that says why."""
        result = {"error": " ".join(line.split())} | ({"traceback": trace} if trace else {})
        return cls(FAILED, json.dumps(result), started_at, _now(), fault)


def _now() -> str:
    return provenance.now(timespec="milliseconds")


class Readiness(distributed.WorkerPlugin):
    """Run on every worker before it gets work, a restarted one too: loads all modules, and leaves Ctrl-C to the client.

    Parameters
    ----------
    local : bool
        The worker is a child of this sweep and gets the terminal's Ctrl-C as well.
    """

    def __init__(self, *, local: bool) -> None:
        self.local = local
        self.name = "opu-sweep"

    def setup(self, worker: Any) -> None:
        """Called by Dask, in the worker's main thread."""
        if self.local:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        import dfa.run
        import dfa.trainer  # noqa: F401

        provenance.commit()


def run_point(experiment: Experiment, threads: int | None) -> Outcome:
    """Train one point.

    BLAS has one thread: how OpenBLAS cuts a large product depends on their number, and with it the last bit. The
    simulator's own kernels do not, and get the worker's share of the cores.

    Parameters
    ----------
    threads : int or None
        For the kernels; None: as many as Dask says that this worker has.
    """
    import numba
    from threadpoolctl import threadpool_limits

    with _ONE_AT_A_TIME, threadpool_limits(1, user_api="blas"):
        share = threads or distributed.get_worker().state.nthreads
        numba.set_num_threads(max(1, min(share, numba.config.NUMBA_NUM_THREADS)))
        return _outcome(experiment)


def _outcome(experiment: Experiment) -> Outcome:
    started_at = _now()
    try:
        return Outcome(DONE, json.dumps(_train(experiment, started_at), allow_nan=False), started_at, _now())
    except (ConfigError, DeviceError) as error:
        return Outcome.failed(str(error), started_at)
    except MemoryError as error:
        return Outcome.failed(f"not enough memory: {error}".rstrip(": "), started_at)
    except Exception as error:
        line = f"{type(error).__name__}: {error}"
        return Outcome.failed(line, started_at, fault=True, trace=traceback.format_exc())


def _train(experiment: Experiment, started_at: str) -> dict[str, Any]:
    from dfa.run import document
    from dfa.trainer import Trainer
    from opu_sim import Opu

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Trainer(experiment) as trainer:
            trainer.fit()
            result = document(trainer, started_at)
            device = trainer.feedback.projector
            if isinstance(device, Opu):
                result["device"]["frame_rate_hz"] = device.clock.rate_hz
    result["warnings"] = sorted({f"{entry.category.__name__}: {entry.message}" for entry in caught})
    return result
