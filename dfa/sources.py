"""Data sets: where they come from, how their files are fetched and found.

Three environment variables say where files are:

- `OPU_DATA_DIR`: a local folder with a folder a data set, or one for several (`planetoid/`); when set, data sets are
  read from there and from nowhere else.
- `OPU_CACHE_DIR`: where `fetch` puts files and where they are looked for; by default the user's cache.
- `OPU_DATA_URL`: a mirror of that same layout, asked by `fetch` in place of the public homes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from opu_sim.errors import ConfigError


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
    """Classes, or distinct tokens of a text."""
    folder: str = ""
    kind: Literal["samples", "graph", "text"] = "samples"


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
        kind="graph",
    ),
    "citeseer": Source(
        name="citeseer",
        description="citation graph, 3,327 papers, 4,552 edges, 3,703 words, 6 classes, Planetoid split",
        licence="MIT (Planetoid)",
        files={"citeseer.npz": "4dab0ecda71a9de4bfe266651371b9d66711e9621b98f4613ce5de344a7b338c"},
        classes=6,
        folder="planetoid",
        kind="graph",
    ),
    "tinyshakespeare": Source(
        name="tinyshakespeare",
        description="1,115,394 characters of Shakespeare's plays, 65 distinct",
        licence="public domain",
        urls=("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",),
        files={"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
        classes=65,
        kind="text",
    ),
    "wikitext-2": Source(
        name="wikitext-2",
        description="2,551,843 words of Wikipedia articles, 33,278 distinct",
        licence="CC BY-SA 3.0",
        files={
            "wiki.train.tokens": "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
            "wiki.valid.tokens": "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
            "wiki.test.tokens": "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        },
        classes=33278,
        kind="text",
    ),
}


def source_named(name: str) -> Source:
    """A data set by name; a ConfigError lists those that there are."""
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
    source = source_named(name)
    if not source.files:
        raise ConfigError(f"{name}: nothing to fetch, this data set comes with scikit-learn")
    mirror = os.environ.get("OPU_DATA_URL")
    if not (mirror or source.urls):
        raise ConfigError(
            f"{name}: no public home is known; provide {', '.join(source.files)} in a folder "
            f"{source.folder or name}/ of OPU_DATA_DIR"
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
