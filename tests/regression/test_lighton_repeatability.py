"""Shot-to-shot repeatability of the device card against the real unit.

Source: lightonml, examples/get_started.ipynb, printed outputs of a real OPU (9 October 2020): a random binary
input of 10,000 dimensions, half ON (514,731 mirrors), shown twice at 400 us exposure and 500 us frame time.
Of the 36 printed pixels of each of two runs: mean 9.83 and 10.06 LSB, standard deviation equal to the mean
(contrast 1); Pearson of two shots 0.9961 and 0.9947; deviation of one shot 0.53 LSB at 0-4 LSB, 0.52 at 4-12
and 1.34 at 12-60. With 72 pixels the deviations are good to 30 %.
"""

import numpy as np
import pytest

from opu_sim import load_device

N_IN, N_OUT = 10_000, 1500
STILL = {"medium.frame_decorrelation": 0.0}


def shots(**overrides: float) -> np.ndarray:
    """Two shots of each of two inputs [input, shot, output]."""
    b = np.random.default_rng(9).integers(0, 2, (2, N_IN), dtype=np.uint8)
    with load_device("lighton-aurora", n_in=N_IN, n_out=N_OUT, seed=9, **overrides) as opu:
        counts = opu.intensity(np.repeat(b, 2, axis=0))
    assert counts.dtype == np.uint8
    return counts.astype(np.float64).reshape(2, 2, N_OUT)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return shots()


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    return shots(**STILL)


def deviation(counts: np.ndarray, low: float, high: float) -> float:
    """Standard deviation of one shot where the mean of two lies in low .. high [LSB]."""
    level, difference = counts.mean(axis=1), counts[:, 0] - counts[:, 1]
    inside = (level >= low) & (level < high)
    assert inside.sum() > 500  # sd of the result below 3.5 %
    return float((np.mean(difference[inside] ** 2) / 2) ** 0.5)


def test_mean_level(counts: np.ndarray) -> None:
    # 3000 exponential values: 1.8 % of sampling error.
    assert abs(counts.mean() / 10.0 - 1) < 0.10


def test_contrast(counts: np.ndarray) -> None:
    # The sd of a contrast of 3000 exponential values is 1.8 %: bounds of the measurement, 1.00 +- 0.03, plus
    # that twice.
    assert abs(counts.std() / counts.mean() - 1.0) < 0.03 + 2 * 0.018


def test_contrast_of_the_card_is_within_the_measured_range() -> None:
    """The closed form, which has no sampling error."""
    opu = load_device("lighton-aurora", n_in=10, n_out=10)
    assert abs(opu.imager.modes.contrast - 1.0) < 0.03


def test_pearson_of_two_shots(counts: np.ndarray) -> None:
    for pair in counts:
        assert 0.993 <= np.corrcoef(*pair)[0, 1] <= 0.997


def test_deviation_of_one_shot(counts: np.ndarray) -> None:
    assert abs(deviation(counts, 0, 12) / 0.53 - 1) < 0.3
    assert abs(deviation(counts, 12, 60) / 1.34 - 1) < 0.3


def test_camera_noise_alone_is_too_little(still: np.ndarray, counts: np.ndarray) -> None:
    """Control: without the change of the field from frame to frame the bright pixels repeat too well."""
    assert deviation(still, 12, 60) < 0.7 * 1.34
    assert deviation(still, 12, 60) < 0.8 * deviation(counts, 12, 60)
    # Pearson says little of it: 0.9969 against 0.9948.
    assert np.corrcoef(*still[0])[0, 1] > np.corrcoef(*counts[0])[0, 1] + 0.001
