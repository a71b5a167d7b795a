"""Tables of README.md, written from the result files: `python -m benchmarks.readme` in a checkout.

A table stands between `<!-- table NAME -->` and `<!-- end -->`, NAME a file of benchmarks/results without `.json`, or
`reproduce-` and a published system; the lines that close `opu bench throughput` stand with its table.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from benchmarks import devices, plots_throughput, reproduce, training

ROOT = Path(__file__).resolve().parent.parent
_TABLES = {"throughput": plots_throughput.table, "devices": devices.table}
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The text with every table as its result file says."""
    return _TABLE.sub(lambda found: f"{found[1]}{_lines(found[2])}{found[3]}", text)


def _lines(name: str) -> str:
    speed = name == "throughput"
    if name.startswith("reproduce-"):
        header, rows = reproduce.table(reproduce.document(name.removeprefix("reproduce-")))
    else:
        document = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
        header, rows = _TABLES.get(name, training.table)(document)
    rule = "|" + " --- |" * len(header)
    lines = [f"| {' | '.join(cell or '—' for cell in row)} |" for row in (header, *rows)]
    closing = [f"\n{line}" for line in plots_throughput.summary(document)] if speed else []
    return "\n".join([lines[0], rule, *lines[1:], *closing]) + "\n"


def main() -> None:
    """Rewrite README.md in place."""
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{path} is up to date\n")


if __name__ == "__main__":
    main()
