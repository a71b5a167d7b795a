"""Terminal table and closing lines of a `throughput.measure` document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of strings, for a terminal table; times per projection in microseconds."""
    # As many columns as fit a wide terminal; the JSON has the rest.
    header = ["n_in → n_out", "batch", "recovery", "medium", "host µs", "floor µs", "host / floor", "NumPy µs"]
    header += ["device µs", "frames µs", "TeraOPS", "MB"]
    lines = []
    for row in result["rows"]:
        line = [f"{row['n_in']:,} → {row['n_out']:,}", f"{row['batch']:,}", _recovery(row), row["medium"]]
        line += [_micro(row["host_s_per_projection"]), _micro(row["floor_s_per_projection"])]
        line += [ratio(row["ratio_to_floor"]), _micro(row["numpy_s_per_projection"])]
        line += [_micro(row["device_s_per_projection"]), _micro(row.get("device_frames_s_per_projection"))]
        lines.append([*line, f"{row['simulated_teraops']:.2g}", f"{row['peak_rss_bytes'] / 1e6:.0f}"])
    return header, lines


def summary(result: Mapping[str, Any]) -> list[str]:
    """Lines on what no row shows: growth beside n log n, threads, memory over frames, start-up."""
    lines = []
    if (grown := result.get("growth")) is not None:
        lines.append(
            f"Growth, wave-optics medium, n = {grown['n_out'][0]:,} to {grown['n_out'][-1]:,} outputs: host time as "
            f"n^{grown['exponent']:.2f}, its FFTs alone as n^{grown['floor_exponent']:.2f}, "
            f"n log n as n^{grown['n_log_n_exponent']:.2f}; "
            "with n = (n_in + n_out) / 2, as inputs are at most the mirrors: "
            f"host time as n^{grown['mean_size_exponent']:.2f}, n log n as n^{grown['mean_size_n_log_n_exponent']:.2f}."
        )
    scaled = [row for row in result["rows"] if row.get("speed_up_from_threads")]
    if scaled:
        gains = "; ".join(f"{_name(row)} {row['speed_up_from_threads']:.2f}" for row in scaled)
        lines.append(f"Speed-up from one thread to {scaled[0]['threads']}: {gains}.")
    for row in result["rows"]:
        if row.get("memory_over_frames"):
            few, many = row["memory_over_frames"]
            lines.append(
                f"Memory, {_name(row)}: {few['rss_bytes'] / 1e6:.0f} MB after {few['frames']} frames, "
                f"{many['rss_bytes'] / 1e6:.0f} MB after {many['frames']}."
            )
    if result.get("startup_s") is not None:
        parts = result["startup_parts_s"]
        text = f"First projection of a new process: {result['startup_s']:.1f} s, of it imports {parts['imports']:.1f} s"
        if result["cold_start_s"] is not None:
            text += f"; {result['cold_start_s']:.0f} s where all kernels must be compiled first"
        lines.append(text + ".")
    return lines


def _recovery(row: Row) -> str:
    """Recovery, and what is not usual of it."""
    words = [row["recovery"], *([] if row["fidelity"] == "pixel" else [row["fidelity"]])]
    usual = "binary" if row["recovery"] == "intensity" else "ternary"
    return ", ".join(words if row["input"] == usual else [*words, row["input"]])


def _name(row: Row) -> str:
    return f"{row['n_in']:,} → {row['n_out']:,} {_recovery(row)}, {row['medium']}"


def ratio(value: float) -> str:
    """Two decimals, none from 10 on."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


def _micro(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1e6:,.0f}" if seconds >= 1e-4 else f"{seconds * 1e6:#.3g}"
