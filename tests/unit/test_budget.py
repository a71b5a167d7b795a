"""The budget of a card: every headline follows from the parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opu_sim.budget import budget
from opu_sim.cards import load_card

OPUS = ["lighton-aurora", "light-in-the-loop"]


def of(name: str, **overrides: Any) -> dict[str, Any]:
    return budget(load_card(name, {key.replace("__", "."): value for key, value in overrides.items()}))


@pytest.mark.parametrize("name", [*OPUS, "ideal"])
def test_keys_and_json(name: str) -> None:
    document = of(name)
    keys = {"name", "teraops_peak", "watts", "teraops_per_watt", "frame_rate_hz", "stages", "optics", "figures", "card"}
    assert set(document) == keys
    assert set(document["frame_rate_hz"]) == {"default", "full"}
    assert json.loads(json.dumps(document)) == document
    assert document["name"] == name == document["card"]["name"]


def test_the_optics_of_the_card() -> None:
    """2048 x 1088 pixels: outputs 5 apart on aurora; tiles of 16 x 16 modes on 64 x 64 pixels with holography."""
    aurora, holographic = of("lighton-aurora")["optics"], of("light-in-the-loop")["optics"]
    assert aurora["independent_outputs"] == (2048 // 5) * (1088 // 5)
    assert holographic["independent_outputs"] == (2048 // 64) * (1088 // 64) * 256
    assert (aurora["frames_a_pattern"], holographic["frames_a_pattern"]) == (2, 1)
    assert aurora["dmd_efficiency"] == pytest.approx(0.96**2 * 0.88 * 0.92 * 0.86)
    assert 0.97 < aurora["speckle_contrast"] < 1.0
    assert of("ideal")["optics"] == {}


@pytest.mark.parametrize("name", OPUS)
def test_the_published_figures(name: str) -> None:
    document = of(name)
    assert document["teraops_peak"] == pytest.approx(1575, abs=1)
    assert document["watts"] == pytest.approx(30, abs=0.05)
    assert document["teraops_per_watt"] == pytest.approx(52.5, abs=0.1)
    assert document["frame_rate_hz"]["default"] == pytest.approx(2000)
    assert document["frame_rate_hz"]["full"] == pytest.approx(340, abs=0.5)


@pytest.mark.parametrize("name", OPUS)
def test_headlines_follow_from_the_parts(name: str) -> None:
    document = of(name)
    card, rate = document["card"], document["frame_rate_hz"]
    mirrors = card["dmd"]["rows"] * card["dmd"]["columns"]
    pixels = card["camera"]["rows"] * card["camera"]["columns"]
    assert (mirrors, pixels) == (1_039_680, 2_228_224)
    assert document["teraops_peak"] == pytest.approx(2e-12 * mirrors * pixels * rate["full"])
    assert document["watts"] == pytest.approx(sum(stage["watts"] for stage in document["stages"]))
    assert document["teraops_per_watt"] == pytest.approx(document["teraops_peak"] / document["watts"])
    slowest = max(stage["seconds"] for stage in document["stages"])
    assert slowest == pytest.approx(1 / rate["default"])
    for stage in document["stages"]:
        assert set(stage) == {"name", "watts", "seconds", "source"}
        assert stage["watts"] > 0
        assert stage["source"]


def test_every_figure_of_a_shipped_card_has_a_source() -> None:
    for name in OPUS:
        document = of(name)
        assert len(document["figures"]) > 30
        assert [figure["key"] for figure in document["figures"] if not figure["source"]] == []


def test_parts_move_the_headlines() -> None:
    base = of("lighton-aurora")
    assert of("lighton-aurora", dmd__rows=570)["teraops_peak"] == pytest.approx(base["teraops_peak"] / 2)
    # 50 mW less light at 2 % and a supply of 90 %
    less = of("lighton-aurora", laser__power_mw=50.0)
    assert base["watts"] - less["watts"] == pytest.approx(0.05 / 0.02 / 0.9)
    assert less["teraops_peak"] == base["teraops_peak"]
    slow = of("lighton-aurora", timing__frame_time_us=1000.0)
    assert slow["frame_rate_hz"]["default"] == pytest.approx(1000)
    assert slow["frame_rate_hz"]["full"] == base["frame_rate_hz"]["full"]


def test_ideal_spends_nothing() -> None:
    document = of("ideal")
    assert (document["teraops_peak"], document["watts"], document["stages"]) == (0, 0, [])
