from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.fft

from benchmarks.throughput import baselines
from benchmarks.throughput.cases import DEVICES, GROWTH, MIRRORS, ONE_THREAD, PIXELS, Case, cases
from benchmarks.throughput.figure import plot
from benchmarks.throughput.measure import CONVENTIONS, growth, growth_exponent
from benchmarks.throughput.row import measure_row
from benchmarks.throughput.tables import summary, table
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
    "device_frames_s_per_projection",
    "repeats",
    "host_s_spread",
    "optical_teraops",
    "frames_per_projection",
    "mirrors_used",
    "pixels_read",
    "oversampling",
    "hops",
    "floor_kind",
    "ratio_to_floor_spread",
    "fft_s_per_projection",
    "fft_library",
    "gemm_s_per_projection",
    "ratio_to_gemm",
    "sklearn_s_per_projection",
    "imports_rss_bytes",
    "memory_over_frames",
    "build_s",
    "first_call_s",
    "warnings",
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
    assert row["first_call_s"] > row["build_s"] > 0
    least, most = row["ratio_to_floor_spread"]
    assert 0 < least <= most
    assert row["floor_kind"] == "gemm"
    assert row["gemm_s_per_projection"] == row["floor_s_per_projection"]
    assert row["memory_over_frames"] is None  # no full frame


def test_optical_ops_are_those_of_the_frames_shown(row):
    # Ternary vectors of 12 inputs have entries of both signs but for one in 100: two patterns, two frames each.
    x = Case(12, 40, 6, "anchor").vectors()
    patterns = sum(int((v > 0).any()) + int((v < 0).any()) for v in x)
    assert row["frames_per_projection"] == pytest.approx(2 * patterns / 6)
    ops = 2 * row["mirrors_used"] * row["pixels_read"] * row["frames_per_projection"]
    assert row["optical_teraops"] == pytest.approx(1e-12 * ops / row["host_s_per_projection"])
    assert row["mirrors_used"] == 1_039_680  # 12 divides the mirrors
    assert row["pixels_read"] == 178 * 2048


def test_device_time_is_the_ledger_s_and_leaves_calibration_out(row):
    case = Case(12, 40, 6, "anchor")
    with load_device("lighton-aurora", n_in=12, n_out=40) as device:
        before = device.ledger.device_s
        device.project(case.vectors())
        assert row["device_s_per_projection"] == pytest.approx((device.ledger.device_s - before) / 6)
        latency = device.card.timing.latency_s
    assert row["device_frames_s_per_projection"] == pytest.approx(row["device_s_per_projection"] - latency / 6)


def test_a_row_measures_its_own_memory_not_its_parent_s(row):
    ballast = bytearray(600 * 2**20)
    ballast[:: 2**12] = b"x" * len(ballast[:: 2**12])
    again = measure_row(Case(12, 40, 6, "intensity", "binary"), budget_s=0.0, min_rounds=1)
    assert again["peak_rss_bytes"] < 500 * 2**20
    assert again["input"] == "binary"


def test_what_does_not_fit_is_refused_with_the_device_s_own_words():
    with pytest.raises(DeviceError, match="n_in = 2000000: the DMD has"):
        measure_row(Case(2_000_000, 1, 1, "anchor"), budget_s=0.0, min_rounds=1)


def test_a_row_of_wave_optics_has_the_ffts_of_its_planes_as_floor():
    case = Case(12, 40, 6, "anchor", "binary", medium="wave-optics")
    row = measure_row(case, budget_s=0.0, min_rounds=1)
    assert (row["input"], row["medium"], row["floor_kind"]) == ("binary", "wave-optics", "fft")
    device = load_device("lighton-aurora", n_in=12, n_out=40, **case.overrides)
    assert row["hops"] == [list(shape) for shape in device.arm.medium.hops]
    assert row["oversampling"] == device.card.medium.lenses[1]
    assert row["floor_s_per_projection"] == row["fft_s_per_projection"][row["fft_library"]]
    assert row["ratio_to_gemm"] == pytest.approx(row["host_s_per_projection"] / row["gemm_s_per_projection"])
    assert row["frames_per_projection"] == 2  # one pattern a binary vector, and its anchor frame


def test_one_thread_is_what_a_bare_row_gets():
    bare = measure_row(Case(12, 40, 6, "anchor"), budget_s=0.0, min_rounds=1, threads=1)
    assert bare.pop("warnings") == []
    assert set(bare) == {"threads", "host_s_per_projection"}
    assert bare["threads"] == 1


def test_vectors_are_what_the_case_says():
    ternary = Case(3000, 1, 4, "anchor").vectors()
    assert ternary.dtype == np.float32
    # 12000 draws of three values: 4000 +- 52 each.
    for value in (-1, 0, 1):
        assert abs(np.count_nonzero(ternary == value) - 4000) < 5 * 52
    binary = Case(3000, 1, 4, "anchor", "binary").vectors()
    assert np.array_equal(binary, ternary > 0)
    assert binary.dtype == np.float32
    assert Case(3000, 1, 4, "intensity", "binary").vectors().dtype == np.uint8
    with pytest.raises(ValueError, match="input = 'ternary': must be 'binary' for recovery = 'intensity'"):
        Case(3, 1, 4, "intensity")


def test_quick_cases_are_among_the_full_ones_and_show_each_recovery():
    quick, full = cases(quick=True), cases(quick=False)
    assert set(quick) < set(full)
    assert {case.recovery for case in quick} == set(DEVICES)
    assert len(full) == len(set(full))
    assert set(full) >= ONE_THREAD | set(GROWTH)
    assert [case.n_in * case.n_out for case in full] == sorted(case.n_in * case.n_out for case in full)
    assert {case.recovery for case in full if case.full_frame} == {"intensity", "off-axis"}


class Noting(baselines._Scipy):
    """Notes what it is asked for, and does it."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, planes):
        self.asked.append(("forward", planes.shape[1:], len(planes), planes.dtype))
        super().forward(planes)

    def inverse(self, planes):
        self.asked.append(("inverse", planes.shape[1:], len(planes), planes.dtype))
        super().inverse(planes)

    def real(self, frames):
        self.asked.append(("real", frames.shape[1:], len(frames), frames.dtype))
        super().real(frames)


def test_fft_floor_takes_every_plane_of_every_pattern_once():
    library = Noting()
    hologram = ((64, 1024), 4)
    baselines._pipeline(library, [(256, 512), (16, 32)], 7, hologram)()
    planes = {}
    for kind, shape, count, dtype in library.asked:
        assert dtype == (np.float32 if kind == "real" else np.complex64)
        planes[kind, shape] = planes.get((kind, shape), 0) + count
    once = {("forward", (256, 512)), ("forward", (16, 32)), ("inverse", (64, 1024)), ("real", (64, 1024))}
    assert planes == dict.fromkeys([*once, ("inverse", (16, 256))], 7)
    # Stacks of a few MiB at most: 4 of the 1 MiB planes fit.
    assert max(count for _, shape, count, _ in library.asked if shape == (256, 512)) == 4
    library.asked.clear()
    baselines._pipeline(library, [(16, 32)], 7, None)()
    assert {kind for kind, *_ in library.asked} == {"forward"}


@pytest.mark.parametrize("name", ["scipy", "ducc0"])
def test_each_library_transforms_in_place(name):
    pytest.importorskip(name)
    library = {"scipy": baselines._Scipy, "ducc0": baselines._Ducc}[name]()
    planes = baselines._planes((24, 36), 3)
    before = planes.copy()
    library.forward(planes)
    assert np.allclose(planes, scipy.fft.fft2(before, norm="ortho"), atol=1e-5)
    library.inverse(planes)
    assert np.allclose(planes, before, atol=1e-5)


def test_products_give_what_a_user_would_write():
    rng = np.random.default_rng(5)
    b = (rng.random((20, 30)) < 0.5).astype(np.uint8)
    calls = baselines.products(b.astype(np.float32), b, 4000, intensity=True, floor=True)
    counts = calls["numpy"]()
    assert counts.shape == (20, 4000)
    # |sum of n complex Gaussians|^2, variance 1 in either part: mean 2 n; 80,000 values, spread 2 n each, some alike.
    assert np.mean(counts / b.sum(axis=1, keepdims=True)) == pytest.approx(2, abs=5 * 2 / math.sqrt(4000))
    linear = baselines.products(b.astype(np.float32), b, 4000, intensity=False, floor=True)
    assert np.mean(linear["numpy"]() ** 2 / b.sum(axis=1, keepdims=True)) == pytest.approx(1, abs=5 * 1.5 / 4000**0.5)
    assert set(linear) == {"gemm", "numpy", "sklearn"}


def test_products_that_do_not_fit_are_left_out_or_taken_block_by_block():
    b = np.ones((2, 30), dtype=np.uint8)
    keys = {"intensity": True, "memory": 4 * 8 * 30 * 4000 - 1}  # one byte short
    assert baselines.products(b.astype(np.float32), b, 4000, floor=False, **keys) == {}
    taken = baselines.products(b.astype(np.float32), b, 4000, floor=True, **keys)
    assert set(taken) == {"gemm"}
    taken["gemm"]()
    keys["memory"] += 1
    fitting = baselines.products(b.astype(np.float32), b, 4000, floor=False, **keys)
    assert set(fitting) == {"gemm", "numpy"}  # scikit-learn's matrix is of double precision


def test_alternate_takes_calls_in_turns():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    seconds = baselines.alternate(calls, 0.0, 3, pause_s=0.0)
    assert order == ["a", "a", "b", "b"] * 3  # an untimed call before each timed one
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    order.clear()
    baselines.alternate(calls, 0.0, 3, long_s=0.0, pause_s=0.0)
    assert order == ["a", "a", "b", "b"] + ["a", "b"] * 2  # calls that take long are warm after the first


def grown(n, law, **changes):
    row = {"recovery": "anchor", "fidelity": "pixel", "medium": "stored", "n_in": n, "n_out": n, "device": "x"}
    return row | {"host_s_per_projection": law(n), "floor_s_per_projection": 1e-9 * n} | changes


def test_growth_exponent_is_the_slope_of_the_square_rows():
    rows = [grown(n, lambda n: 3e-9 * n**1.7) for n in (100, 1000, 5000)]
    others = [
        grown(5000, lambda n: 1.0, n_in=10),
        grown(100, lambda n: 1.0, recovery="intensity"),
        grown(100, lambda n: 1.0, medium="wave-optics"),
    ]
    assert growth_exponent([*rows, *others], "anchor") == pytest.approx(1.7)
    assert growth_exponent([*rows[:2], *others], "anchor") is None


def test_growth_of_wave_optics_is_fitted_beside_n_log_n():
    waves = {"recovery": "intensity", "medium": "wave-optics", "device": "lighton-full-frame"}
    sizes = [case.n_out for case in GROWTH]
    rows = [grown(n, lambda n: 2e-9 * n**1.1, **waves, n_in=min(n, MIRRORS)) for n in reversed(sizes)]
    other = grown(10_000, lambda n: 1.0, **waves | {"device": "lighton-aurora"})
    found = growth([*rows, other])
    assert found["n_out"] == sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (10_000, PIXELS)
    assert found["exponent"] == pytest.approx(1.1)
    assert found["floor_exponent"] == pytest.approx(1.0)
    # d log(n log n) / d log n = 1 + 1 / log n, between 1.109 at 1e4 and 1.068 at 2.2e6.
    assert 1.068 < found["n_log_n_exponent"] < 1.109
    # Inputs stop at the mirrors: 222 times the outputs are 163 times the mean of both.
    mean = 0.5 * (np.array(found["n_in"]) + np.array(found["n_out"]))
    rows = [
        grown(case.n_out, lambda n, m=m: 2e-9 * m**1.2, **waves, n_in=case.n_in)
        for case, m in zip(GROWTH, mean, strict=True)
    ]
    assert growth(rows)["mean_size_exponent"] == pytest.approx(1.2)
    assert 1.0 < growth(rows)["exponent"] < 1.2
    assert growth([*rows[:2], other]) is None
    assert [case.n_in for case in GROWTH] == [min(n, MIRRORS) for n in sizes]


@pytest.fixture
def result(row):
    threads = {"one_thread_s_per_projection": 1.0, "speed_up_from_threads": 1.75}
    memory = [{"frames": 10, "rss_bytes": 400_000_000}, {"frames": 110, "rss_bytes": 401_000_000}]
    bare = {**row, "numpy_s_per_projection": None, "sklearn_s_per_projection": None, "n_out": 12}
    waves = {**row, "medium": "wave-optics", "recovery": "intensity", "input": "binary", "floor_kind": "fft"}
    waves |= threads | {"memory_over_frames": memory, "device": "lighton-full-frame"}
    rows = [row, bare, *({**waves, "n_out": n} for n in (40, 80, 160))]
    parts = {"interpreter": 0.1, "imports": 1.0, "build": 0.2, "projection": 0.1}
    return {
        "rows": rows,
        "cpu": "a CPU",
        "threads": 2,
        "conventions": CONVENTIONS,
        "growth": growth(rows),
        "startup_s": 1.4,
        "startup_parts_s": parts,
        "cold_start_s": 20.0,
        "cold_start_parts_s": parts,
    }


def test_table_keeps_host_and_device_time_in_columns_of_their_own(result):
    header, lines = table(result)
    assert all(len(line) == len(header) for line in lines)
    assert sum("device" in name for name in header) == 1
    device = header.index("device µs")
    assert float(lines[0][device].replace(",", "")) == pytest.approx(
        1e6 * result["rows"][0]["device_s_per_projection"], rel=1e-2
    )
    assert lines[1][header.index("NumPy µs")] == "–"
    assert lines[2][header.index("medium")] == "wave-optics"


def test_closing_lines_say_growth_threads_memory_and_start_up(result):
    text = "\n".join(summary(result))
    assert f"n^{result['growth']['exponent']:.2f}" in text
    assert f"n log n as n^{result['growth']['n_log_n_exponent']:.2f}" in text
    assert "12 → 40 intensity, wave-optics 1.75" in text
    assert "400 MB after 10 frames, 401 MB after 110" in text
    assert "First projection of a new process: 1.4 s, of it imports 1.0 s; 20 s where" in text
    assert summary({"rows": result["rows"][:2]}) == []


@pytest.mark.parametrize("rows", [slice(None), slice(2)])
def test_plot_is_written(result, tmp_path, rows):
    shown = {**result, "rows": result["rows"][rows]}
    shown["growth"] = growth(shown["rows"])
    plot(shown, tmp_path / "throughput.png")
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "throughput.png").stat().st_size > 20_000
