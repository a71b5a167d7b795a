"""Tables of README.md, written from the result files: `python -m benchmarks.readme` in a checkout.

A table stands between `<!-- table NAME -->` and `<!-- end -->`, NAME a file of benchmarks/results without `.json`, or
`reproduce-` (figures) or `claims-` and a published system, or `energy-` and a table of `opu bench energy`; the lines
that close `opu bench throughput` stand with its table.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import bank_sizes, reproduce, training
from benchmarks.devices import measure as devices
from benchmarks.energy import tables as energy_tables
from benchmarks.fit import tables as fit_tables
from benchmarks.throughput import tables as throughput_tables


def _first(document: dict[str, Any]) -> str:
    """The device that the tables on training are of."""
    return str(document["training"]["devices"][0]["device"])


ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
_TABLES = {
    "throughput": throughput_tables.table,
    "devices": devices.table,
    "bank-sizes": bank_sizes.table,
    "fit": fit_tables.short_table,
}
_ENERGY: dict[str, Callable[[dict[str, Any]], energy_tables.Table]] = {
    "energy-rows": energy_tables.rows,
    "energy-crossovers": energy_tables.crossovers,
    "energy-training": lambda document: energy_tables.training(document, _first(document)),
    "energy-sensitivity": lambda document: energy_tables.sensitivity(document, _first(document)),
}
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The text with every table as its result file says."""
    return _TABLE.sub(lambda found: f"{found[1]}{_lines(found[2])}{found[3]}", text)


def _lines(name: str) -> str:
    speed = name == "throughput"
    if name.startswith("reproduce-"):
        header, rows = reproduce.table(reproduce.document(name.removeprefix("reproduce-")))
    elif name.startswith("claims-"):
        header, rows = reproduce.criteria_table(reproduce.document(name.removeprefix("claims-")))
    elif name in _ENERGY:
        header, rows = _ENERGY[name](json.loads((RESULTS / "energy.json").read_text(encoding="utf-8")))
    else:
        document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        header, rows = _TABLES.get(name, training.table)(document)
    rule = "|" + " --- |" * len(header)
    lines = [f"| {' | '.join(cell or '—' for cell in row)} |" for row in (header, *rows)]
    closing = [f"\n{line}" for line in throughput_tables.summary(document)] if speed else []
    return "\n".join([lines[0], rule, *lines[1:], *closing]) + "\n"


def main() -> None:
    """Rewrite README.md in place."""
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{path} is up to date\n")


if __name__ == "__main__":
    main()
