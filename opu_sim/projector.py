"""What all devices have in common: the interface behind `project`, opening, checking, accounting."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from opu_sim.errors import DeviceError
from opu_sim.power import Ledger, summary


class Projector(Protocol):
    """A device that multiplies by a fixed random matrix. A lab puts its real device behind these names."""

    n_in: int
    n_out: int
    ledger: Ledger

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None: ...

    def project(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Linear projection: float [batch, n_in] -> float32 [batch, n_out]."""
        ...

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        ...

    def state(self) -> dict[str, Any]:
        """What a later session needs to go on as if there had been no break."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`."""
        ...


_LARGEST = float(np.finfo(np.float32).max)


class Device:
    """Opening, checking and accounting, common to all devices."""

    def __init__(self, name: str, n_in: int, n_out: int) -> None:
        self.name = name
        self.n_in = n_in
        self.n_out = n_out
        self.ledger = Ledger()
        self._open = False

    def open(self) -> None:
        """Switch the device on."""
        self._open = True

    def close(self) -> None:
        """Switch the device off; `matrix` and `ledger` stay readable."""
        self._open = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self, call: str) -> None:
        if not self._open:
            raise DeviceError(f"{self.name} is not open: use `with device:` or device.open() before {call}")

    def _checked(self, x: NDArray[np.floating], name: str) -> NDArray[np.floating]:
        if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != self.n_in:
            shape = getattr(x, "shape", type(x).__name__)
            raise ValueError(f"{name}: shape {shape}; must be an array [batch, {self.n_in}]")
        return x

    def _checked_float(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        x = self._checked(x, "x")
        if not np.issubdtype(x.dtype, np.floating):
            raise ValueError(f"x: dtype {x.dtype}; must be a float type")
        # Extremes are NaN where an entry is: the entry itself is looked for only if there is one to name.
        if x.size and not (x.min() >= -_LARGEST and x.max() <= _LARGEST):
            row, column = (int(i) for i in np.argwhere(~(np.abs(x) <= _LARGEST))[0])
            raise ValueError(f"x[{row}, {column}] = {x[row, column]}: must be finite, in the range of float32")
        return x

    def _checked_binary(self, b: NDArray[Any]) -> NDArray[np.uint8]:
        b = self._checked(b, "b")
        if not (b.dtype == np.bool_ or np.issubdtype(b.dtype, np.integer)):
            raise ValueError(f"b: dtype {b.dtype}; must be bool or an integer type holding 0 and 1")
        if b.dtype != np.bool_ and b.size and (b.min() < 0 or b.max() > 1):
            raise ValueError(f"b: values in {b.min()} .. {b.max()}; must be 0 or 1")
        return b.astype(np.uint8)

    def report(self) -> dict[str, Any]:
        """The `device` table of result.json."""
        return self._summary(0.0)

    def _summary(self, peak: float) -> dict[str, Any]:
        size = {"n_in": self.n_in, "n_out": self.n_out, "passes": self.ledger.passes}
        return summary(self.name, self.ledger, peak) | size

    def state(self) -> dict[str, Any]:
        """JSON-ready state: the ledger, whose frame count also numbers the noise."""
        return {"ledger": self.ledger.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Back to an earlier `state`."""
        self.ledger.restore(state["ledger"])
