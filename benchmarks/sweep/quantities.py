"""What a point is judged by: its result as a flat row, for tables, figures and the Pareto front."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.failures import HostError
from benchmarks.sweep.store import Row
from dfa.checkpoint import write_atomic
from opu_sim.config import refused

# Quantity: which way is better. Those of the device are of its simulated clock and ledger, over all of training.
BETTER = {
    "accuracy": "more",
    "loss": "less",
    "perplexity": "less",
    "validation_accuracy": "more",
    "validation_loss": "less",
    "validation_perplexity": "less",
    "train_accuracy": "more",
    "train_loss": "less",
    "device_s": "less",
    "joules": "less",
    "watts": "less",
    "frames": "less",
    "frame_rate_hz": "more",
    "teraops_peak": "more",
    "teraops_optical": "more",
    "teraops_delivered": "more",
    "utilisation": "more",
    "joules_per_op": "less",
    "host_s": "less",
}
_DEVICE = (
    "projections",
    "frames",
    "frame_rate_hz",
    "device_s",
    "joules",
    "watts",
    "teraops_peak",
    "teraops_optical",
    "teraops_delivered",
    "utilisation",
    "joules_per_op",
)
HOST = ("host_s", "started_at", "finished_at")
"""Columns that differ from run to run."""


def quantities(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a point that is done; `accuracy`, `loss`, `perplexity` without a prefix are of the test set.

    A key is missing where the experiment has no such quantity: a digital method spends no device time.
    """
    found: dict[str, float] = {}
    for part, prefix in (("test", ""), ("validation", "validation_"), ("train", "train_")):
        found |= {prefix + name: value for name, value in result["metrics"].get(part, {}).items()}
    found |= {f"alignment_{layer + 1}": cosine for layer, cosine in enumerate(result["alignment"])}
    if result["device"]["device_s"]:
        found |= {name: result["device"][name] for name in _DEVICE if name in result["device"]}
    return found | {"host_s": result["host"]["host_s"]}


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A flat row a point, all with the same columns in the same order; None where there is nothing."""
    flat = []
    for row in rows:
        done = row.result is not None and row.status == "done"
        flat.append(
            {
                "config_sha256": row.sha256,
                **row.parameters,
                "seed": row.seed,
                "status": row.status,
                **(quantities(row.result) if done else {}),
                "error": (row.result or {}).get("error"),
                "started_at": row.started_at,
                "finished_at": row.finished_at,
            }
        )
    names = {name: None for row in flat for name in row if name not in ("error", *HOST)}
    columns = [*names, "error", *HOST]
    return [{name: row.get(name) for name in columns} for row in flat]


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The table as CSV; lists as Python writes them, nothing as an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def require_parquet() -> None:
    """Refuse --parquet where it cannot be done, before anything runs.

    Raises
    ------
    ConfigError
        pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise refused("--parquet: needs pyarrow, which is not installed; pip install 'opu-sim[parquet]'") from None


def write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The table as Parquet; a column of values of several types becomes one of texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns[name] = pa.array([None if value is None else str(value) for value in values])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    write_whole(path, sink.getvalue().to_pybytes())


def write_whole(path: Path, content: bytes) -> None:
    """`write_atomic`; what the disk does not take is no fault of the user's.

    Raises
    ------
    HostError
    """
    try:
        write_atomic(path, content)
    except OSError as error:
        raise HostError(f"{path}: cannot be written: {error.strerror}") from None


def grouped(rows: Sequence[Row]) -> list[tuple[dict[str, Any], list[dict[str, float]]]]:
    """Configurations that have a point done: what the axes set, and the quantities of each seed."""
    groups: dict[str, tuple[dict[str, Any], list[dict[str, float]]]] = {}
    for row in rows:
        if row.status == "done" and row.result is not None:
            groups.setdefault(repr(row.parameters), (row.parameters, []))[1].append(quantities(row.result))
    return list(groups.values())


def quality(seeds: Sequence[Mapping[str, float]]) -> str:
    """What tells good training from bad: accuracy, of a language model perplexity."""
    return next((name for name in ("accuracy", "perplexity") if any(name in seed for seed in seeds)), "loss")


def mean(seeds: Sequence[Mapping[str, float]], name: str) -> float | None:
    """Mean over seeds; None where a seed lacks the quantity."""
    return statistics.fmean(seed[name] for seed in seeds) if all(name in seed for seed in seeds) else None


def spread(seeds: Sequence[Mapping[str, float]], name: str) -> float | None:
    """Sample standard deviation over seeds; None for one seed."""
    known = [seed[name] for seed in seeds if name in seed]
    return statistics.stdev(known) if len(known) > 1 else None
