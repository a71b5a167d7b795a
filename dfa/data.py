"""Labelled samples: IDX files or scikit-learn's digits, how they are checked, and how they are split."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dfa.sources import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, Source, source_file, source_named
from opu_sim.errors import ConfigError

_Parts = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]

# Streams of the permutations; changing one changes which samples are in which part.
_TEST_STREAM, _VALIDATION_STREAM = 1, 2
_DIGITS_TEST = 360


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint parts of a data set; x is float32 [sample, feature], y is int64 [sample].

    `pixel_mean` and `pixel_std` are what x was standardised with: x = (pixel - pixel_mean) / pixel_std, where
    pixel lies in [0, 1]; the same two numbers for the three parts, computed from the pixels of `train_x`.
    """

    name: str
    classes: int
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    validation_x: NDArray[np.float32]
    validation_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]
    pixel_mean: float = 0.0
    pixel_std: float = 1.0


def read_idx(path: Path, *, dimensions: int | None = None) -> NDArray[np.uint8]:
    """Read an IDX file, gzipped where the name ends in `.gz`, of 1 to 4 or else of exactly `dimensions` axes.

    Of the format's element types only the unsigned byte (code 0x08) is read. The array is read-only.
    A file that is not one whole IDX file is a ConfigError with its path, what was found, what was expected.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, OSError) as error:  # a BadGzipFile is an OSError
        raise ConfigError(f"{path}: cannot be read: {error}; expected one whole file") from None
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise ConfigError(f"{path}: magic number {data[:4].hex()!r}, expected '000008..' (unsigned bytes)")
    if data[3] not in ((dimensions,) if dimensions else range(1, 5)):
        raise ConfigError(f"{path}: {data[3]} dimensions, expected {dimensions or '1 to 4'}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ConfigError(f"{path}: {len(data)} bytes, expected a header of {start}")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
    if 0 in shape:
        raise ConfigError(f"{path}: sizes {shape}, expected every size to be >= 1")
    if (found := len(data) - start) != (expected := math.prod(shape)):
        raise ConfigError(f"{path}: {found} bytes of data, expected {expected} for {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def load_dataset(
    name: str, *, validation: int, seed: int, validation_from: Literal["train", "test"] = "train"
) -> Dataset:
    """Load a data set and split `validation` samples off its training or its test part, which ones by `seed`.

    The test part before that does not depend on `seed`: for `digits` it is a fixed choice of 360, for the other two
    the official one. `digits` has its pixels in [0, 1], the other two are standardised (see `Dataset`).

    Raises
    ------
    ConfigError
        Unknown data set, `validation` out of range, or a file that is missing or damaged.
    """
    source = source_named(name)
    if source.kind != "samples":
        raise ConfigError(f"{name}: is a {source.kind}, expected labelled samples")
    x, y, test_x, test_y = _digits() if name == "digits" else _idx_files(source)
    from_test = validation_from == "test"
    count = len(test_y if from_test else y)
    if not 0 <= validation < count:
        whose = f"{name}'s test part" if from_test else name
        raise ConfigError(f"validation = {validation}: must be 0 to {count - 1} for {whose}")
    order = _permutation(count, _VALIDATION_STREAM, seed)
    kept, held = order[: count - validation], order[count - validation :]
    train = np.arange(len(y)) if from_test else kept
    held_x, held_y = (test_x[held], test_y[held]) if from_test else (x[held], y[held])
    if from_test:
        test_x, test_y = test_x[kept], test_y[kept]
    mean, std = (0.0, 1.0) if name == "digits" else _moments(x[train])
    if std == 0.0:
        raise ConfigError(f"{name}: every training pixel has the same value, expected at least two values")
    # There are 256 pixel values: each is scaled once, then looked up.
    pixel = np.arange(256, dtype=np.float32) / np.float32(16 if name == "digits" else 255)
    scaled = (pixel - np.float32(mean)) / np.float32(std)
    parts = scaled[x[train]], y[train], scaled[held_x], held_y, scaled[test_x], test_y
    return Dataset(name, source.classes, *parts, pixel_mean=mean, pixel_std=std)


def _permutation(count: int, *entropy: int) -> NDArray[np.intp]:
    # Sorting raw words: NumPy keeps a bit generator's words over its versions, and not `permutation`.
    words = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(count)
    return np.argsort(words, kind="stable")


def _moments(images: NDArray[np.uint8]) -> tuple[float, float]:
    # Sums of integers, so that mean and std do not depend on the order of the additions.
    count, total = images.size, int(images.sum(dtype=np.int64))
    squares = int(np.square(images, dtype=np.uint16).sum(dtype=np.int64))
    return total / count / 255, math.sqrt(count * squares - total * total) / count / 255


def _digits() -> _Parts:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = _permutation(len(labels), _TEST_STREAM)
    x, y = pixels[order].astype(np.uint8), labels[order].astype(np.int64)
    return x[:-_DIGITS_TEST], y[:-_DIGITS_TEST], x[-_DIGITS_TEST:], y[-_DIGITS_TEST:]


def _idx_files(source: Source) -> _Parts:
    parts: list[tuple[NDArray[np.uint8], NDArray[np.int64]]] = []
    for image_file, label_file in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        image_path, label_path = source_file(source, image_file), source_file(source, label_file)
        images, labels = read_idx(image_path, dimensions=3), read_idx(label_path, dimensions=1)
        if len(images) != len(labels):
            raise ConfigError(f"{label_path}: {len(labels)} labels, expected {len(images)}, one per image")
        if labels.max() >= source.classes:
            raise ConfigError(f"{label_path}: label {labels.max()}, expected 0 to {source.classes - 1}")
        parts.append((images.reshape(len(images), -1), labels.astype(np.int64)))
    (x, y), (test_x, test_y) = parts
    if x.shape[1] != test_x.shape[1]:
        raise ConfigError(f"{image_path}: {test_x.shape[1]} pixels per image, expected {x.shape[1]}")
    return x, y, test_x, test_y
