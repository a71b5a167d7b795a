"""Published frame rates follow from the line time and the frame overhead of the card."""

import pytest

from opu_sim.cards import load_camera_card, load_card
from opu_sim.config import shipped_names
from opu_sim.power import FrameClock


def rate(name: str, rows: int) -> float:
    return 1.0 / load_camera_card(name).read_out_s(rows)


PUBLISHED = [
    # Camera Link version of Basler's acA2000-340km.
    ("cmv2000", 1088, 340.0, 0.001),
    # XIMEA xiQ manual, 37.625 + 5.375 rows us over 8 outputs, twice as fast over 16: its overhead of 18.8 us is
    # 1.6 us longer than what Basler's rate leaves, 0.8 % of the 191 us of 64 rows.
    ("cmv2000", 512, 717.0, 0.01),
    ("cmv2000", 172, 2079.0, 0.01),
    ("cmv2000", 64, 5241.0, 0.01),
    # ams data sheet DS000728, 10 bits.
    ("cmv4000", 2048, 180.0, 0.005),
    # XIMEA MC023.
    ("imx174", 1216, 165.0, 0.001),
    # Matrix Vision: 519 clocks x (rows + 37) / 74.25 MHz at 12 bits.
    ("imx250", 2056, 74.25e6 / (519 * 2093), 0.001),
    ("imx250", 1028, 74.25e6 / (519 * 1065), 0.001),
    # Andor's table of frame rates, Camera Link, 540 MHz; full frames are held at 100.
    ("zyla-4.2", 2048, 100.0, 0.016),
    ("zyla-4.2", 1080, 192.0, 0.005),
    ("zyla-4.2", 512, 403.0, 0.005),
    ("zyla-4.2", 128, 1578.0, 0.001),
]


@pytest.mark.parametrize(("name", "rows", "published", "tolerance"), PUBLISHED)
def test_published_frame_rate(name: str, rows: int, published: float, tolerance: float) -> None:
    assert abs(rate(name, rows) / published - 1) < tolerance


@pytest.mark.parametrize(("name", "rows", "published", "tolerance"), PUBLISHED)
def test_a_line_longer_by_five_percent_would_be_noticed(
    name: str, rows: int, published: float, tolerance: float
) -> None:
    """Control: the same comparison with the lines 5 % longer."""
    card = load_camera_card(name)
    longer = card.model_copy(update={"line_time_us": 1.05 * card.line_time_us})
    slower = 1.0 / longer.read_out_s(rows)
    assert abs(slower / published - 1) > tolerance
    # And the overhead counts where rows are few.
    none = card.model_copy(update={"frame_overhead_us": 0.0})
    assert (none.read_out_s(rows) < card.read_out_s(rows)) == (card.frame_overhead_us > 0)


def test_ten_bits_of_the_imx250_reach_the_published_rate() -> None:
    """440 clocks a line instead of 519: Matrix Vision publishes 80 frames/s, cut to whole ones."""
    card = load_camera_card("imx250")
    faster = card.line_time_us * 440 / 519
    ten_bits = card.model_copy(update={"line_time_us": faster, "frame_overhead_us": 37 * faster})
    assert 80 <= 1 / ten_bits.read_out_s(card.rows) < 81
    assert 1 / card.read_out_s(card.rows) < 80


def test_every_camera_states_its_lines() -> None:
    for name in shipped_names("cameras"):
        assert load_camera_card(name).line_time_us > 0
        assert name in {camera for camera, *_ in PUBLISHED}


@pytest.mark.parametrize("name", ["cmv4000", "imx174", "imx250", "zyla-4.2"])
def test_a_device_runs_at_the_rate_of_its_camera(name: str) -> None:
    """An OPU with another camera and nothing slower in the way is read out at the camera's full rate."""
    card = load_card(
        "lighton-aurora",
        {
            "camera.model": name,
            "camera.roi_rows": load_camera_card(name).rows,
            "timing.frame_time_us": 0.0,
            "timing.exposure_us": 100.0,
            "timing.link_bytes_per_s": 1e12,
        },
    )
    assert FrameClock(card, card.camera.rows).rate_hz == pytest.approx(rate(name, card.camera.rows))
    # Half of the rows take half of the time and half of the overhead more.
    half = FrameClock(card, card.camera.rows // 2).rate_hz / FrameClock(card, card.camera.rows).rate_hz
    overhead = card.camera.frame_overhead_us * 1e-6 * rate(name, card.camera.rows)
    assert half == pytest.approx(2 / (1 + overhead), rel=1e-6)
