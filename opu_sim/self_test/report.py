"""What a self-test finds: a line a check, and the curves behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One line of the table.

    A check without a measurement (the device cannot do it) or without an expectation (no card to compare with) is
    neither passed nor failed, and its note says why.
    """

    name: str
    measured: float | None
    expected: float | None = None
    tolerance: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether measured lies within expected +- tolerance; None if the check was not made."""
        if self.measured is None or self.expected is None or self.tolerance is None:
            return None
        return bool(abs(self.measured - self.expected) <= self.tolerance)  # NaN fails

    def row(self) -> dict[str, Any]:
        """JSON-ready, without NaN or infinity."""

        def number(value: float | None) -> float | None:
            return None if value is None or not math.isfinite(value) else float(value)

        return {
            "name": self.name,
            "measured": number(self.measured),
            "expected": number(self.expected),
            "tolerance": number(self.tolerance),
            "pass": self.passed,
            "unit": self.unit,
            "note": self.note,
        }


@dataclass
class SelfTest:
    """Outcome of a self-test.

    Attributes
    ----------
    device : name of the device
    n_in, n_out, seed : what was tested, and with which patterns
    checks : list of Check
    series : arrays behind the checks, by panel of the figure sheet; a panel that is missing was not measured
    notes : remarks on the run as a whole
    """

    device: str
    n_in: int
    n_out: int
    seed: int
    checks: list[Check] = field(default_factory=list)
    series: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        measured: float | None,
        expected: float | None = None,
        tolerance: float | None = None,
        unit: str = "",
        note: str = "",
    ) -> None:
        """Append a check."""
        self.checks.append(Check(name, measured, expected, tolerance, unit, note))

    @property
    def passed(self) -> bool:
        """No check failed, and at least one was made."""
        outcomes = [check.passed for check in self.checks]
        return False not in outcomes and True in outcomes

    @property
    def failures(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.passed is False]

    def counted(self) -> str:
        """How many checks passed."""
        outcomes = [check.passed for check in self.checks]
        compared = len(outcomes) - outcomes.count(None)
        text = f"{self.device}: {outcomes.count(True)} of {compared} checks passed"
        if compared < len(outcomes):
            text += f", {len(outcomes) - compared} not compared"
        return text

    def summary(self) -> str:
        """How many checks passed, and which did not."""
        return f"{self.counted()}; failed: {', '.join(self.failures)}" if self.failures else self.counted()

    def document(self) -> dict[str, Any]:
        """The JSON document of `opu device check`."""
        return {
            "device": self.device,
            "n_in": self.n_in,
            "n_out": self.n_out,
            "seed": self.seed,
            "pass": self.passed,
            "checks": [check.row() for check in self.checks],
            "notes": list(self.notes),
        }
