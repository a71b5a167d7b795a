from __future__ import annotations

import json

import pytest

from benchmarks.plots_throughput import plot, table
from benchmarks.throughput import CONVENTIONS, DEVICES, Case, cases, growth_exponent, measure_row
from opu_sim import DeviceError, load_device

CONTRACT = {
    "n_in",
    "n_out",
    "batch",
    "input",
    "medium",
    "recovery",
    "fidelity",
    "threads",
    "host_s_per_projection",
    "device_s_per_projection",
    "simulated_teraops",
    "peak_rss_bytes",
    "floor_s_per_projection",
    "ratio_to_floor",
    "numpy_s_per_projection",
}
FURTHER = {
    "device",
    "repeats",
    "host_s_spread",
    "imports_rss_bytes",
    "sklearn_s_per_projection",
    "first_call_s",
}


@pytest.fixture(scope="module")
def row():
    return measure_row(Case(12, 40, 6, "anchor"), budget_s=0.0, min_rounds=2)


def test_a_row_has_the_keys_of_the_contract_and_is_json(row):
    assert set(row) == CONTRACT | FURTHER
    assert json.loads(json.dumps(row)) == row
    assert (row["n_in"], row["n_out"], row["batch"]) == (12, 40, 6)
    assert (row["input"], row["medium"], row["recovery"]) == ("ternary", "stored", "anchor")
    assert row["fidelity"] == "pixel"
    assert row["device"] == "lighton-aurora"
    assert row["repeats"] == 2


def test_host_figures_of_a_row_agree_with_each_other(row):
    low, high = row["host_s_spread"]
    host = row["host_s_per_projection"]
    assert 0 < low <= host <= high
    assert row["simulated_teraops"] == pytest.approx(2 * 12 * 40 / host * 1e-12)
    assert row["ratio_to_floor"] == pytest.approx(host / row["floor_s_per_projection"])
    assert row["numpy_s_per_projection"] > 0
    assert row["sklearn_s_per_projection"] > 0
    assert 0 < row["imports_rss_bytes"] <= row["peak_rss_bytes"]
    assert row["first_call_s"] > low * 6


def test_device_time_is_the_ledger_s_and_leaves_calibration_out(row):
    case = Case(12, 40, 6, "anchor")
    with load_device("lighton-aurora", n_in=12, n_out=40) as device:
        before = device.ledger.device_s
        device.project(case.vectors())
        assert row["device_s_per_projection"] == pytest.approx((device.ledger.device_s - before) / 6)


def test_a_row_measures_its_own_memory_not_its_parent_s(row):
    ballast = bytearray(600 * 2**20)
    ballast[:: 2**12] = b"x" * len(ballast[:: 2**12])
    again = measure_row(Case(12, 40, 6, "intensity"), budget_s=0.0, min_rounds=1)
    assert again["peak_rss_bytes"] < 500 * 2**20
    assert again["input"] == "binary"


def test_what_does_not_fit_is_refused_with_the_device_s_own_words():
    with pytest.raises(DeviceError, match="n_in = 2000000: the DMD has"):
        measure_row(Case(2_000_000, 1, 1, "anchor"), budget_s=0.0, min_rounds=1)


def test_quick_cases_are_among_the_full_ones_and_show_each_recovery():
    quick, full = cases(quick=True), cases(quick=False)
    assert set(quick) < set(full)
    assert {case.recovery for case in quick} == set(DEVICES)
    assert len(full) == len(set(full))


def test_growth_exponent_is_the_slope_of_the_square_rows():
    rows = [
        {"recovery": "anchor", "fidelity": "pixel", "n_in": n, "n_out": n, "host_s_per_projection": 3e-9 * n**1.7}
        for n in (100, 1000, 5000)
    ]
    others = [
        {"recovery": "anchor", "fidelity": "pixel", "n_in": 10, "n_out": 5000, "host_s_per_projection": 1.0},
        {"recovery": "intensity", "fidelity": "pixel", "n_in": 100, "n_out": 100, "host_s_per_projection": 1.0},
    ]
    assert growth_exponent([*rows, *others], "anchor") == pytest.approx(1.7)
    assert growth_exponent([*rows[:2], *others], "anchor") is None


@pytest.fixture
def result(row):
    bare = {**row, "numpy_s_per_projection": None, "sklearn_s_per_projection": None, "n_out": 12}
    return {"rows": [row, bare], "cpu": "a CPU", "threads": 2, "conventions": CONVENTIONS}


def test_table_keeps_host_and_device_time_in_columns_of_their_own(result):
    header, lines = table(result)
    assert all(len(line) == len(header) for line in lines)
    assert sum("device" in name for name in header) == 1
    device = header.index("device µs")
    assert float(lines[0][device].replace(",", "")) == pytest.approx(
        1e6 * result["rows"][0]["device_s_per_projection"], rel=1e-2
    )
    assert lines[1][header.index("NumPy µs")] == "–"


def test_plot_is_written(result, tmp_path):
    plot(result, tmp_path / "throughput.png")
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "throughput.png").stat().st_size > 20_000
