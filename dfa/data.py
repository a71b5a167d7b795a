"""Data sets of the trainer: where they come from, how they are checked, and how they are split.

Three environment variables say where files are:

- `OPU_DATA_DIR`: a local folder with `mnist/` and `fashion-mnist/`, four IDX files in each, and `planetoid/` with a
  `.npz` a graph (see `dfa.planetoid`); when set, data sets are read from there and from nowhere else.
- `OPU_CACHE_DIR`: where `fetch` puts files and `load_dataset` looks for them; by default the user's cache.
- `OPU_DATA_URL`: a mirror of that same layout, asked by `fetch` in place of the public homes.
"""

from __future__ import annotations

import gzip
import math
import os
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Source:
    """Where a data set comes from; `files` maps a file name to its SHA-256, empty for an embedded one.

    `folder` is the one below the data folder, the name where it is empty. Files without `urls` have to be provided.
    """

    name: str
    description: str
    licence: str
    urls: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    classes: int = 10
    folder: str = ""
    is_graph: bool = False


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

_MNIST_HOME = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"

SOURCES: dict[str, Source] = {
    "digits": Source("digits", "1,797 handwritten digits, 8x8, from scikit-learn", "CC BY 4.0 (UCI)"),
    "mnist": Source(
        name="mnist",
        description="60,000 + 10,000 handwritten digits, 28x28, 10 classes",
        licence="CC BY-SA 3.0 (as the Keras documentation states it; other copies differ)",
        urls=(_MNIST_HOME, _MNIST_MIRROR),
        files={
            TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        name="fashion-mnist",
        description="60,000 + 10,000 pictures of clothes, 28x28, 10 classes",
        licence="MIT",
        # Plain http is what this home serves; the SHA-256 is what guards the content.
        urls=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        files={
            TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    # The Planetoid files are pickles, which this program does not read: their contents as plain arrays.
    "cora": Source(
        name="cora",
        description="citation graph, 2,708 papers, 5,278 edges, 1,433 words, 7 classes, Planetoid split",
        licence="MIT (Planetoid)",
        files={"cora.npz": "0db411fafc63f6339899881e49bd59a7a94720491e139b74de1b0bd35f9d1988"},
        classes=7,
        folder="planetoid",
        is_graph=True,
    ),
    "citeseer": Source(
        name="citeseer",
        description="citation graph, 3,327 papers, 4,552 edges, 3,703 words, 6 classes, Planetoid split",
        licence="MIT (Planetoid)",
        files={"citeseer.npz": "4dab0ecda71a9de4bfe266651371b9d66711e9621b98f4613ce5de344a7b338c"},
        classes=6,
        folder="planetoid",
        is_graph=True,
    ),
}


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ConfigError(f"{name!r}: no such data set; there are {', '.join(SOURCES)}")
    return SOURCES[name]


def cache_folder() -> Path:
    """Folder of the fetched data sets: `OPU_CACHE_DIR`, or else the user's cache."""
    if chosen := os.environ.get("OPU_CACHE_DIR"):
        return Path(chosen)
    import pooch  # here and not above: most commands do without it, and start sooner

    return Path(pooch.os_cache("opu-sim"))


def _folder(source: Source) -> Path:
    return Path(os.environ.get("OPU_DATA_DIR") or cache_folder()) / (source.folder or source.name)


def source_file(source: Source, file: str) -> Path:
    """Path of a data set's file.

    Raises
    ------
    ConfigError
        It is not there; the line says what to do.
    """
    path = _folder(source) / file
    if not path.is_file():
        fetching = f"run `opu data fetch {source.name}` or set OPU_DATA_DIR"
        if not source.urls:
            fetching = "this data set has to be provided: set OPU_DATA_DIR"
        remedy = "OPU_DATA_DIR is set, so it must be there" if os.environ.get("OPU_DATA_DIR") else fetching
        raise ConfigError(f"{path}: no such file; {remedy}")
    return path


def catalogue() -> list[tuple[Source, str]]:
    """Every data set, and where it would be read from now: `embedded`, its folder, or why there is none."""
    local, lines = os.environ.get("OPU_DATA_DIR"), []
    for source in SOURCES.values():
        folder = _folder(source)
        missing = f"not in {local}" if local else "not fetched" if source.urls else "to be provided in OPU_DATA_DIR"
        there = all((folder / file).is_file() for file in source.files)
        lines.append((source, "embedded" if not source.files else str(folder) if there else missing))
    return lines


def fetch(name: str, *, progress: bool = False) -> Path:
    """Download a data set into the cache, checking each file's SHA-256, and return its folder.

    A file that is there with the right SHA-256 is kept; `progress` names each file on stderr once it is
    there. Where no home delivers a file, the ConfigError names every URL tried, with the reason.
    """
    source = _source(name)
    if not source.files:
        raise ConfigError(f"{name}: nothing to fetch, this data set comes with scikit-learn")
    mirror = os.environ.get("OPU_DATA_URL")
    if not (mirror or source.urls):
        raise ConfigError(
            f"{name}: no public home is known; provide {', '.join(source.files)} in a folder {source.folder}/ of "
            "OPU_DATA_DIR"
        )
    import pooch

    pooch.get_logger().setLevel("WARNING")
    home = source.folder or name
    bases = (f"{mirror.rstrip('/')}/{home}/",) if mirror else source.urls
    folder = cache_folder() / home
    # HTTPDownloader and not pooch's choice: an ftp: or doi: mirror is then refused like any other failure.
    get = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=30)
    for file, sha256 in source.files.items():
        failures = []
        for base in bases:
            try:  # pooch writes beside the target, checks, then renames
                pooch.retrieve(base + file, f"sha256:{sha256}", fname=file, path=folder, downloader=get)
                break
            except (OSError, ValueError) as error:  # those of requests are OSErrors
                failures.append(f"{base + file}: {' '.join(str(error).split())}")
        else:
            raise ConfigError(f"{name} cannot be fetched: {'; '.join(failures)}")
        if progress:
            sys.stderr.write(f"{folder / file}: SHA-256 as expected\n")
    return folder


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
    source = _source(name)
    if source.is_graph:
        raise ConfigError(f"{name}: is a graph, expected labelled samples")
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
