"""The seam behind which Fourier transforms are done."""

import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from opu_sim.fft import LIBRARY, fast_plane, fft2, fft_lines


def lines(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((*shape, 2)) @ np.array([1, 1j])).astype(np.complex64)


@pytest.mark.parametrize("shape", [(1, 1), (3, 16), (40, 100), (7, 2048)])
def test_lines_are_transformed_in_place(shape: tuple[int, int]) -> None:
    x = lines(shape)
    expected = np.fft.fft(x.astype(np.complex128), axis=1)
    fft_lines(x)
    assert x == pytest.approx(expected, abs=1e-6 * np.abs(expected).max() * math.log2(shape[1] + 1) + 1e-7)


def test_a_part_of_longer_lines_is_transformed_in_place() -> None:
    x = lines((5, 64))
    kept = x.copy()
    fft_lines(x[:, :48])
    assert np.array_equal(x[:, 48:], kept[:, 48:])
    assert x[:, :48] == pytest.approx(np.fft.fft(kept[:, :48].astype(np.complex128), axis=1), abs=1e-4)


def test_planes() -> None:
    x = lines((48, 35))
    assert fft2(x) == pytest.approx(np.fft.fft2(x.astype(np.complex128)), abs=1e-3)


@pytest.mark.parametrize(
    ("cells", "least_side"), [(1, 1), (7, 1), (1000, 1), (10_000, 150), (2_228_226, 1), (6_535_812, 1728)]
)
def test_plane_is_large_enough_fast_and_no_larger_than_it_has_to_be(cells: int, least_side: int) -> None:
    plane = fast_plane(cells, least_side)
    assert math.prod(plane) >= cells
    assert min(plane) >= least_side
    assert max(plane) <= 2 * min(plane)
    for side in plane:
        assert side < 128 or side % 16 == 0
        for prime in (2, 3, 5, 7):
            while side % prime == 0:
                side //= prime
        assert side == 1
    # Small ones have to round up to whole points; else some per cent, or what a long least side forces.
    assert math.prod(plane) <= max(1.1 * cells + 5, (least_side + 32) ** 2)


def answer(library: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys, numpy as np; from opu_sim import ConfigError\n"
        "try:\n"
        "    from opu_sim.fft import LIBRARY, fft_lines, fft2\n"
        "except ConfigError as error:\n"
        "    sys.exit(str(error))\n"
        "x = (np.arange(96).reshape(4, 24) % 7).astype(np.complex64); y = fft2(x); fft_lines(x)\n"
        "print(LIBRARY, abs(x).sum(dtype=float), abs(y).sum(dtype=float))"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"OPU_FFT": library},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_chooses_the_library() -> None:
    x = (np.arange(96).reshape(4, 24) % 7).astype(np.complex128)
    sums = [np.abs(np.fft.fft(x, axis=1)).sum(), np.abs(np.fft.fft2(x)).sum()]
    name, *found = answer("scipy").stdout.split()
    assert name == "scipy"
    assert [float(value) for value in found] == pytest.approx(sums, rel=1e-5)
    refused = answer("fftw")
    assert (refused.returncode, refused.stderr.strip()) == (1, "OPU_FFT = 'fftw': must be 'scipy' or 'ducc0'")


def test_ducc0() -> None:
    found = answer("ducc0")
    if importlib.util.find_spec("ducc0") is None:
        line = "OPU_FFT = 'ducc0': not installed; pip install ducc0, or leave OPU_FFT out"
        assert (found.returncode, found.stderr.strip()) == (1, line)
        return
    name, *sums = found.stdout.split()
    assert name == "ducc0"
    assert [float(value) for value in sums] == pytest.approx(
        [float(value) for value in answer("scipy").stdout.split()[1:]], rel=1e-5
    )


def test_scipy_is_the_default() -> None:
    assert os.environ.get("OPU_FFT", "scipy") == LIBRARY
