"""Tables of README.md, written from the result files: `python -m benchmarks.readme` in a checkout.

A table stands between `<!-- table NAME -->` and `<!-- end -->`, NAME a file of benchmarks/results without `.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The text with every table as its result file says."""
    return _TABLE.sub(lambda found: f"{found[1]}{_lines(found[2])}{found[3]}", text)


def _lines(name: str) -> str:
    document = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    rows = _throughput(document) if name == "throughput" else _training(document)
    header, *body = [f"| {' | '.join(row)} |" for row in rows]
    rule = "|" + " --- |" * len(rows[0])
    return "\n".join([header, rule, *body]) + "\n"


def _training(document: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [
            "method",
            "test accuracy [%]",
            "alignment, first to last hidden layer",
            "host s an epoch",
            "device s",
            "device J",
            "W",
            "TeraOPS delivered",
            "utilisation",
        ]
    ]
    for row in document["rows"]:
        std, device = row["accuracy_std"], row["device"]
        accuracy = f"{100 * row['accuracy_mean']:.2f}" + (f" ± {100 * std:.2f}" if std is not None else "")
        alignment = ", ".join(f"{value:.2f}" for value in row["alignment"])
        spent = ["—"] * 5
        if device is not None:
            spent = [
                f"{device['device_s']:.0f}",
                f"{device['joules']:.0f}",
                f"{device['watts']:.1f}",
                f"{device['teraops_delivered']:.2g}",
                f"{device['utilisation']:.1g}",
            ]
        rows.append([f"`{row['method']}`", accuracy, alignment, f"{row['host_s_per_epoch']:.2g}", *spent])
    return rows


def _throughput(document: Mapping[str, Any]) -> list[list[str]]:
    def micro(seconds: float | None) -> str:
        return "—" if seconds is None else f"{1e6 * seconds:,.0f}"

    rows = [
        [
            "shape, batch",
            "recovery",
            "host µs a projection",
            "bare products µs",
            "ratio",
            "NumPy µs",
            "device µs (simulated)",
            "peak memory MB",
        ]
    ]
    for row in document["rows"]:
        rows.append(
            [
                f"{row['n_in']:,} → {row['n_out']:,}, {row['batch']}",
                row["recovery"],
                micro(row["host_s_per_projection"]),
                micro(row["floor_s_per_projection"]),
                f"{row['ratio_to_floor']:.2g}",
                micro(row["numpy_s_per_projection"]),
                micro(row["device_s_per_projection"]),
                f"{row['peak_rss_bytes'] / 1e6:.0f}",
            ]
        )
    return rows


def main() -> None:
    """Rewrite README.md in place."""
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{path} is up to date\n")


if __name__ == "__main__":
    main()
