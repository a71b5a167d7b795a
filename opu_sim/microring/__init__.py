"""Silicon microring weight bank, the other photonic route. Modules, in the order light meets them:

- `ring`: an add-drop ring, its spectrum and the weight that it gives one wavelength
- `bank`: rows of rings on one bus, cross-talk, and the calibration that finds each ring's drive
- `memory`: capacitors that hold the weights and leak, rewritten in turn
- `receiver`: photocurrents, their noise, bits and the laser power that they need
- `clock`, `budget`: cycles of a projection, watts by part, energy and throughput; all that follows from a card
- `sizing`: rings and lasers for other numbers of rows and columns, and what an operation costs then
- `processor`: `MicroringBank`, all of it behind `project`
"""  # noqa: D400

from opu_sim.microring.ring import AddDropRing

__all__ = ["AddDropRing"]  # a card needs no more, and waits for no numba
