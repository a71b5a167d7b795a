"""The estimate of a workload is the ledger that the device itself ends with."""

from __future__ import annotations

import numpy as np
import pytest

from opu_sim import ConfigError, DeviceError, load_device
from opu_sim.cards import load_card
from opu_sim.estimate import Operation, estimate, largest_square, most_outputs, operations
from opu_sim.power import Ledger

RNG = np.random.default_rng(5)
N_IN, N_OUT, VECTORS = 40, 700, 23
INPUTS = {
    "ternary": RNG.permuted(np.tile(np.repeat([1.0, -1.0, 0.0], [13, 13, 14]), (VECTORS, 1)), axis=1),
    "float": RNG.standard_normal((VECTORS, N_IN)),
}
CASES = [
    ("lighton-aurora", {}),
    ("lighton-aurora", {"camera.roi_rows": 1, "timing.frame_time_us": 0.0}),
    ("lighton-aurora", {"recovery.anchors": 3, "timing.pass_patterns": 7}),
    ("lighton-aurora", {"recovery.method": "phase-stepping", "recovery.reference_fill": 0.3}),
    ("lighton-aurora", {"dmd.encoding": "pi-pair", "recovery.anchors": 2}),
    ("lighton-full-frame", {}),
    ("light-in-the-loop", {}),
    ("filipovich-50x20", {}),
    ("filipovich-50x20", {"bank.rows": 800, "bank.columns": 20}),
]


@pytest.mark.parametrize(("name", "overrides"), CASES, ids=str)
@pytest.mark.parametrize("operation", ["intensity", "ternary", "float"])
def test_the_estimate_is_what_the_device_spends(name: str, overrides: dict[str, object], operation: Operation) -> None:
    card = load_card(name, overrides)
    if operation not in operations(card):
        pytest.skip("a bank has no camera")
    device = load_device(card, n_in=N_IN, n_out=N_OUT)
    with device:
        device.restore(device.state() | {"ledger": Ledger().state()})  # calibration is not part of the estimate
        for start in range(0, VECTORS, 10):
            if operation == "intensity":
                device.intensity((INPUTS["ternary"][start : start + 10] > 0).astype(np.uint8))
            else:
                device.project(INPUTS[operation][start : start + 10])
        spent = device.report()
    guessed = estimate(card, N_IN, N_OUT, VECTORS, operation=operation, batch=10)
    for key in ("saturated_pixels", "dark_pixels"):  # these are seen, not reckoned
        guessed[key] = spent[key]
    for key, value in guessed.items():
        assert spent[key] == (value if key == "name" else pytest.approx(value, rel=1e-12)), key
    assert guessed["device_s"] > 0
    assert guessed["joules"] == pytest.approx(sum(guessed["stage_joules"].values()))


def test_a_batch_pays_the_latency_of_its_own_pass() -> None:
    card = load_card("lighton-aurora")
    together = estimate(card, 1000, 1000, 3000, operation="intensity")
    apart = estimate(card, 1000, 1000, 3000, operation="intensity", batch=1)
    assert together["device_s"] == pytest.approx(1.5 + 0.155)
    assert apart["device_s"] == pytest.approx(1.5 + 3000 * 0.155)
    assert apart["passes"] == 3000


def test_lost_frames_are_shown_again_as_often_as_expected() -> None:
    card = load_card("lighton-aurora", {"faults.dropped_frames": 0.2})
    assert estimate(card, 10, 10, 1000, operation="intensity")["repeated_frames"] == 250


def test_the_largest_square_is_where_the_sensor_or_the_dmd_ends() -> None:
    card = load_card("lighton-aurora")
    assert largest_square(card) == most_outputs(card) == (2048 // 5) * (1088 // 5)
    assert most_outputs(load_card("light-in-the-loop")) == (2048 // 64) * (1088 // 64) * 256
    assert most_outputs(load_card("filipovich-50x20")) is None
    assert largest_square(load_card("lighton-full-frame")) == 912 * 1140
    assert largest_square(load_card("filipovich-50x20"), limit=10**6) == 10**6
    estimate(card, largest_square(card), largest_square(card), 1)
    with pytest.raises(DeviceError, match="n_out = 88754"):
        estimate(card, 88754, 88754, 1)


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("ideal", {}, "a digital reference spends no simulated time or energy"),
        ("filipovich-50x20", {"operation": "intensity"}, "no operation 'intensity': it has ternary, float"),
        ("lighton-aurora", {"vectors": 0}, "vectors = 0: must be >= 1"),
        ("lighton-aurora", {"n_in": -3}, "n_in = -3: must be >= 1"),
    ],
)
def test_what_cannot_be_estimated_says_why(name: str, changes: dict[str, object], complaint: str) -> None:
    arguments = {"n_in": 10, "n_out": 10, "vectors": 10, "operation": "ternary"} | changes
    with pytest.raises(ConfigError, match=complaint):
        estimate(load_card(name), **arguments)
