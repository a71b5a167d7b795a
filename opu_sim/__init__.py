"""Photonic co-processor simulator. Modules, in the order light meets them:

- `cards`, `config`, `errors`: device cards and their one-line errors
- `laser`, `dmd/`, `medium/`, `signal_arm`: light, binary patterns, transmission matrix; all three together
- `speckle`, `imaging`, `camera/`: grains on pixels, where the outputs lie, photons to counts
- `recovery/`: linear projections from intensities, by anchors or by a reference beam
- `power`, `estimate`: the frame's clock, watts, the ledger; what a workload would cost, unsimulated
- `microring/`: the other photonic route, a silicon weight bank: rings, receivers, clock
- `exposure`, `reference_arm`, `mirrors`, `grabber`: levels of light, a steady reference, and what goes wrong
- `projector`, `opu`, `device`: what all devices share; what `project` does, step by step; `load_device`
- `rng`, `_kernels`: named random streams; the numba loops
"""  # noqa: D400

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opu_sim.errors import ConfigError, DeviceError, DeviceWarning

if TYPE_CHECKING:
    from opu_sim.camera import Camera
    from opu_sim.device import Ideal, MicroringBank, Opu, Projector, load_device
    from opu_sim.power import Ledger

# Read when numba starts its threads: idle ones that spin would slow down BLAS, which has threads of its own (an
# epoch through the device was measured 2.5 times slower).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Read when NumPy loads OpenBLAS, so that it helps only if this package comes first: after a matrix product its threads
# spin for 2^26 cycles, some 20 ms that the kernels lack. With 2^20 they sleep between products that follow each other,
# and waking them can take 10 ms; 2^24 is short enough for the ones and long enough for the others.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "24")

__all__ = [
    "Camera",
    "ConfigError",
    "DeviceError",
    "DeviceWarning",
    "Ideal",
    "Ledger",
    "MicroringBank",
    "Opu",
    "Projector",
    "load_device",
]

_HOMES = {"Camera": "camera", "Ledger": "power"}  # the rest is in `device`


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that reading a card or `opu --help` waits for no numba."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"opu_sim.{_HOMES.get(name, 'device')}"), name)
