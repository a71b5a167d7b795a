"""Photonic co-processor simulator. Modules, in the order light meets them:

- `cards`, `config`, `errors`: device cards and their one-line errors
- `laser`, `dmd`, `medium`, `signal_arm`: light, binary patterns, transmission matrix; all three together
- `speckle`, `imaging`, `camera`: grains on pixels, where the outputs lie, photons to counts
- `recovery`, `holography`: linear projections from intensities, by anchors or by a reference beam
- `power`: the frame's clock, watts, the ledger
- `device`: `load_device`, and what `project` does, step by step
- `rng`, `_kernels`: named random streams; the numba loops
"""  # noqa: D400

from opu_sim.camera import Camera
from opu_sim.device import Ideal, Opu, Projector, load_device
from opu_sim.errors import ConfigError, DeviceError
from opu_sim.power import Ledger

__all__ = ["Camera", "ConfigError", "DeviceError", "Ideal", "Ledger", "Opu", "Projector", "load_device"]
