"""The data sets: IDX files damaged in every way, splits, and downloads from a real local server."""

import gzip
import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfa.data import load_dataset, read_idx
from dfa.sources import (
    SOURCES,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Source,
    cache_folder,
    catalogue,
    fetch,
)
from opu_sim.errors import ConfigError

TRAIN, TEST = 40, 12


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def one_line(info: pytest.ExceptionInfo[ConfigError], *parts: object) -> None:
    message = str(info.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def write_set(folder: Path) -> Path:
    """Four small files with the names of MNIST; each image is told from the others by its first pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for images, labels, count in ((TRAIN_IMAGES, TRAIN_LABELS, TRAIN), (TEST_IMAGES, TEST_LABELS, TEST)):
        pixels = rng.integers(0, 256, (count, 4, 3))
        pixels[:, 0, 0] = np.arange(count)
        (folder / images).write_bytes(gzip.compress(idx(pixels)))
        (folder / labels).write_bytes(gzip.compress(idx(np.arange(count) % 10)))
    return folder


@pytest.fixture(autouse=True)
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the user's cache, a proxy, or (but for the one that wants it) the user's data folder."""
    if "real" not in request.node.name:
        monkeypatch.delenv("OPU_DATA_DIR", raising=False)
    monkeypatch.delenv("OPU_DATA_URL", raising=False)
    monkeypatch.setenv("OPU_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OPU_DATA_DIR", str(tmp_path / "local"))
    return write_set(tmp_path / "local" / "mnist")


class TestReadIdx:
    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans(), st.integers(0, 2**32 - 1))
    def test_round_trip(self, shape: list[int], zipped: bool, seed: int) -> None:
        array = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
        with TemporaryDirectory() as folder:
            path = Path(folder) / ("a-idx.gz" if zipped else "a-idx")
            path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
            read = read_idx(path)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, array)

    @pytest.mark.parametrize("zipped", [False, True])
    def test_every_truncation(self, tmp_path: Path, zipped: bool) -> None:
        whole = idx(np.arange(6).reshape(2, 3))
        whole = gzip.compress(whole) if zipped else whole
        path = tmp_path / ("cut.gz" if zipped else "cut")
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(ConfigError) as info:
                read_idx(path)
            one_line(info, path, "expected")

    def test_every_byte_of_a_gzip_stream_damaged(self, tmp_path: Path) -> None:
        array = np.random.default_rng(0).integers(0, 256, (4, 5)).astype(np.uint8)
        whole = gzip.compress(idx(array), mtime=0)
        path = tmp_path / "bent.gz"
        for position in range(10, len(whole)):  # the first 10 are gzip's header, with bytes nobody checks
            bent = bytearray(whole)
            bent[position] ^= 0x55
            path.write_bytes(bytes(bent))
            with pytest.raises(ConfigError) as info:
                read_idx(path)
            one_line(info, path)

    @pytest.mark.parametrize(
        ("content", "found", "expected"),
        [
            (b"\x89PNG" + bytes(20), "89504e47", "000008"),
            (b"\0\0\x0d\x01" + bytes(20), "00000d01", "unsigned byte"),
            (b"\0\x01\x08\x01" + bytes(20), "00010801", "000008"),
            (b"\0\0\x08\x00", "0 dimensions", "1 to 4"),
            (b"\0\0\x08\x05" + bytes(40), "5 dimensions", "1 to 4"),
            (b"\0\0\x08\x02" + bytes(5), "9 bytes", "header of 12"),
            (b"\0\0\x08\x01\0\0\0\x05abcd", "4 bytes of data", "expected 5"),
            (b"\0\0\x08\x01\0\0\0\x03abcd", "4 bytes of data", "expected 3"),
            (b"\0\0\x08\x02\0\0\0\x00\xff\xff\xff\xff", "(0, 4294967295)", ">= 1"),
            (b"\0\0\x08\x04" + b"\xff" * 16, "0 bytes of data", str((2**32 - 1) ** 4)),
        ],
    )
    def test_wrong_content(self, tmp_path: Path, content: bytes, found: str, expected: str) -> None:
        for path, data in ((tmp_path / "a", content), (tmp_path / "a.gz", gzip.compress(content))):
            path.write_bytes(data)
            with pytest.raises(ConfigError) as info:
                read_idx(path)
            one_line(info, path, found, expected)

    def test_trailing_bytes_after_the_gzip_stream(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(idx(np.arange(4))) + b"rest")
        with pytest.raises(ConfigError) as info:
            read_idx(path)
        one_line(info, path)

    def test_wanted_dimensions(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes(idx(np.zeros((2, 2))))
        assert read_idx(path, dimensions=2).shape == (2, 2)
        with pytest.raises(ConfigError) as info:
            read_idx(path, dimensions=3)
        one_line(info, path, "2 dimensions, expected 3")

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.gz", tmp_path):
            with pytest.raises(ConfigError) as info:
                read_idx(path)
            one_line(info, path, "cannot be read")


class TestLoadDataset:
    def test_digits(self) -> None:
        data = load_dataset("digits", validation=200, seed=0)
        assert (len(data.train_y), len(data.validation_y), len(data.test_y)) == (1237, 200, 360)
        assert data.classes == 10
        for x, y in (
            (data.train_x, data.train_y),
            (data.validation_x, data.validation_y),
            (data.test_x, data.test_y),
        ):
            assert x.dtype == np.float32
            assert y.dtype == np.int64
            assert x.flags.c_contiguous
            assert x.shape == (len(y), 64)
            assert x.min() == 0.0
            assert x.max() == 1.0
            assert set(y) == set(range(10))

    def test_digits_are_those_of_scikit_learn_each_once(self) -> None:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        data = load_dataset("digits", validation=100, seed=5)
        x = np.concatenate([data.train_x, data.validation_x, data.test_x]) * 16
        y = np.concatenate([data.train_y, data.validation_y, data.test_y])
        ours = np.column_stack([x, y])
        theirs = np.column_stack([pixels, labels])
        np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])

    def test_split_follows_seed_and_test_part_does_not(self) -> None:
        one, again, other = (load_dataset("digits", validation=100, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one.train_x, again.train_x)
        np.testing.assert_array_equal(one.validation_y, again.validation_y)
        np.testing.assert_array_equal(one.test_x, other.test_x)
        np.testing.assert_array_equal(one.test_y, other.test_y)
        assert not np.array_equal(one.validation_x, other.validation_x)

    def test_same_split_on_every_machine(self) -> None:
        # Recorded values: a change here silently changes every accuracy that anyone has reported.
        data = load_dataset("digits", validation=100, seed=0)
        assert data.test_y[:8].tolist() == [8, 5, 1, 4, 2, 8, 3, 3]
        assert data.train_y[:8].tolist() == [2, 4, 4, 2, 0, 1, 2, 7]

    @pytest.mark.parametrize("validation", [0, 1, 7, TRAIN - 1])
    def test_parts_are_disjoint_and_whole(self, local: Path, validation: int) -> None:
        data = load_dataset("mnist", validation=validation, seed=3)
        assert data.validation_x.shape == (validation, 12)
        assert data.validation_y.shape == (validation,)
        x = np.concatenate([data.train_x, data.validation_x])
        first = np.rint((x[:, 0] * data.pixel_std + data.pixel_mean) * 255).astype(int)
        assert sorted(first) == list(range(TRAIN))
        np.testing.assert_array_equal(np.concatenate([data.train_y, data.validation_y]), first % 10)

    def test_standardised_by_the_training_pixels(self, local: Path) -> None:
        data = load_dataset("mnist", validation=10, seed=0)
        assert data.train_x.dtype == np.float32
        assert data.train_x.flags.c_contiguous
        assert abs(float(data.train_x.mean(dtype=np.float64))) < 1e-6
        assert float(data.train_x.std(dtype=np.float64)) == pytest.approx(1.0, abs=1e-6)
        official = read_idx(local / TEST_IMAGES).reshape(TEST, -1) / 255
        expected = (official - data.pixel_mean) / data.pixel_std
        np.testing.assert_allclose(data.test_x, expected, atol=1e-6)
        np.testing.assert_array_equal(data.test_y, np.arange(TEST) % 10)

    def test_test_part_in_file_order_whatever_the_seed(self, local: Path) -> None:
        one, other = (load_dataset("mnist", validation=0, seed=seed) for seed in (1, 2))
        np.testing.assert_array_equal(one.test_x, other.test_x)
        assert not np.array_equal(one.train_x, other.train_x)

    @pytest.mark.parametrize("validation", [-1, TRAIN, 10**9])
    def test_validation_out_of_range(self, local: Path, validation: int) -> None:
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=validation, seed=0)
        one_line(info, f"validation = {validation}", f"0 to {TRAIN - 1}", "mnist")

    def test_unknown_name(self) -> None:
        with pytest.raises(ConfigError) as info:
            load_dataset("cifar", validation=0, seed=0)
        one_line(info, "'cifar'", *SOURCES)

    def test_counts_differ(self, local: Path) -> None:
        (local / TEST_LABELS).write_bytes(gzip.compress(idx(np.zeros(TEST + 1))))
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=0, seed=0)
        one_line(info, local / TEST_LABELS, f"{TEST + 1} labels, expected {TEST}")

    def test_label_beyond_the_classes(self, local: Path) -> None:
        (local / TRAIN_LABELS).write_bytes(gzip.compress(idx(np.full(TRAIN, 10))))
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=0, seed=0)
        one_line(info, local / TRAIN_LABELS, "label 10, expected 0 to 9")

    def test_image_sizes_differ(self, local: Path) -> None:
        (local / TEST_IMAGES).write_bytes(gzip.compress(idx(np.zeros((TEST, 5, 5)))))
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=0, seed=0)
        one_line(info, local / TEST_IMAGES, "25 pixels per image, expected 12")

    def test_images_all_of_one_value(self, local: Path) -> None:
        (local / TRAIN_IMAGES).write_bytes(gzip.compress(idx(np.full((TRAIN, 4, 3), 7))))
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=0, seed=0)
        one_line(info, "mnist", "same value")

    def test_missing_in_the_local_folder(self, local: Path, tmp_path: Path) -> None:
        write_set(tmp_path / "cache" / "mnist")  # must not be looked at
        (local / TRAIN_LABELS).unlink()
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=0, seed=0)
        one_line(info, local / TRAIN_LABELS, "OPU_DATA_DIR")

    def test_cache(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as info:
            load_dataset("mnist", validation=0, seed=0)
        one_line(info, "opu data fetch mnist", "OPU_DATA_DIR")
        write_set(tmp_path / "cache" / "mnist")
        assert len(load_dataset("mnist", validation=0, seed=0).train_y) == TRAIN

    def test_real_mnist(self) -> None:
        if not os.environ.get("OPU_DATA_DIR"):
            pytest.skip("OPU_DATA_DIR names no folder with the real MNIST")
        data = load_dataset("mnist", validation=5000, seed=0)
        assert (data.train_x.shape, data.validation_x.shape) == ((55000, 784), (5000, 784))
        assert data.test_x.shape == (10000, 784)
        assert data.test_y[:5].tolist() == [7, 2, 1, 0, 4]
        # The figures everyone knows, 0.1307 and 0.3081, are those of all 60,000.
        assert data.pixel_mean == pytest.approx(0.1307, abs=1e-3)
        assert data.pixel_std == pytest.approx(0.3081, abs=1e-3)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the base URL under which a real server on this machine serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


@pytest.fixture
def small(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Source:
    """MNIST's entry replaced by a small set that the server has, its hashes those of the small files."""
    folder, url = server
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(write_set(folder / "mnist").iterdir())
    }
    source = Source("mnist", "small", "none", (f"{url}/mnist/",), files)
    monkeypatch.setitem(SOURCES, "mnist", source)
    return source


def replaced(monkeypatch: pytest.MonkeyPatch, source: Source, urls: tuple[str, ...]) -> None:
    changed = Source(source.name, source.description, source.licence, urls, source.files)
    monkeypatch.setitem(SOURCES, source.name, changed)


@pytest.fixture
def unreachable() -> Iterator[str]:
    # Bound and never listening: connections are refused, and nobody else can take the port meanwhile.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def cached() -> list[str]:
    return sorted(path.name for path in cache_folder().rglob("*") if path.is_file())


class TestFetch:
    def test_fetch_then_load(self, small: Source, tmp_path: Path) -> None:
        folder = fetch("mnist")
        assert folder == tmp_path / "cache" / "mnist"
        assert cached() == sorted(small.files)
        assert len(load_dataset("mnist", validation=4, seed=0).train_y) == TRAIN - 4

    def test_nothing_is_downloaded_twice(
        self, small: Source, monkeypatch: pytest.MonkeyPatch, unreachable: str
    ) -> None:
        folder = fetch("mnist")
        monkeypatch.setenv("OPU_DATA_URL", unreachable)
        assert fetch("mnist") == folder

    def test_damaged_file_is_replaced(self, small: Source) -> None:
        path = fetch("mnist") / TEST_LABELS
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        fetch("mnist")
        assert path.read_bytes() == whole

    def test_wrong_hash_leaves_nothing(self, small: Source, server: tuple[Path, str]) -> None:
        first = next(iter(small.files))
        (server[0] / "mnist" / first).write_bytes(b"something else")
        with pytest.raises(ConfigError) as info:
            fetch("mnist")
        one_line(info, f"{server[1]}/mnist/{first}", "hash", small.files[first])
        assert cached() == []

    def test_not_found(self, small: Source, server: tuple[Path, str]) -> None:
        (server[0] / "mnist" / TEST_LABELS).unlink()
        with pytest.raises(ConfigError) as info:
            fetch("mnist")
        one_line(info, f"{server[1]}/mnist/{TEST_LABELS}", "404")
        assert set(cached()) < set(small.files)
        assert TEST_LABELS not in cached()

    def test_unreachable(self, small: Source, monkeypatch: pytest.MonkeyPatch, unreachable: str) -> None:
        replaced(monkeypatch, small, (unreachable + "/mnist/",))
        with pytest.raises(ConfigError) as info:
            fetch("mnist")
        one_line(info, unreachable, "refused")
        assert cached() == []

    def test_connection_cut_in_the_middle(self, small: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst bytes")

            thread = threading.Thread(target=answer)
            thread.start()
            replaced(monkeypatch, small, (f"http://127.0.0.1:{listener.getsockname()[1]}/",))
            with pytest.raises(ConfigError) as info:
                fetch("mnist")
            thread.join()
        one_line(info, "127.0.0.1", next(iter(small.files)))
        assert cached() == []

    def test_second_home_is_asked(self, small: Source, monkeypatch: pytest.MonkeyPatch, unreachable: str) -> None:
        replaced(monkeypatch, small, (unreachable + "/", *small.urls))
        fetch("mnist")
        assert cached() == sorted(small.files)

    def test_every_home_is_named(self, small: Source, monkeypatch: pytest.MonkeyPatch, unreachable: str) -> None:
        replaced(monkeypatch, small, (f"{unreachable}/a/", f"{unreachable}/b/"))
        with pytest.raises(ConfigError) as info:
            fetch("mnist")
        one_line(info, f"{unreachable}/a/", f"{unreachable}/b/")

    def test_mirror_of_the_environment(
        self, small: Source, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, unreachable: str
    ) -> None:
        replaced(monkeypatch, small, (unreachable + "/",))
        monkeypatch.setenv("OPU_DATA_URL", server[1])
        fetch("mnist")
        assert cached() == sorted(small.files)

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///tmp", "not a url"])
    def test_mirror_that_is_not_http(self, small: Source, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        monkeypatch.setenv("OPU_DATA_URL", url)
        with pytest.raises(ConfigError) as info:
            fetch("mnist")
        one_line(info, url)
        assert cached() == []

    def test_cache_that_cannot_be_made(self, small: Source, tmp_path: Path) -> None:
        (tmp_path / "cache").write_bytes(b"a file where the folder should be")
        with pytest.raises(ConfigError) as info:
            fetch("mnist")
        one_line(info, tmp_path / "cache")

    def test_progress_on_stderr_only_when_asked(self, small: Source, capfd: pytest.CaptureFixture[str]) -> None:
        fetch("mnist")
        assert capfd.readouterr() == ("", "")
        folder = fetch("mnist", progress=True)
        output, errors = capfd.readouterr()
        assert output == ""
        assert [line.split(": ")[0] for line in errors.splitlines()] == [str(folder / f) for f in small.files]

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("digits", "scikit-learn"),
            ("cifar", "no such data set"),
            ("cora", "no public home is known; provide cora.npz"),
        ],
    )
    def test_nothing_to_fetch(self, name: str, part: str) -> None:
        with pytest.raises(ConfigError) as info:
            fetch(name)
        one_line(info, name, part)


class TestCatalogue:
    def where(self) -> dict[str, str]:
        return {source.name: where for source, where in catalogue()}

    def test_before_and_after_fetching(self, small: Source, tmp_path: Path) -> None:
        assert self.where() == {
            "digits": "embedded",
            "mnist": "not fetched",
            "fashion-mnist": "not fetched",
            "cora": "to be provided in OPU_DATA_DIR",
            "citeseer": "to be provided in OPU_DATA_DIR",
            "tinyshakespeare": "not fetched",
            "wikitext-2": "to be provided in OPU_DATA_DIR",
        }
        fetch("mnist")
        assert self.where()["mnist"] == str(tmp_path / "cache" / "mnist")

    def test_local_folder(self, local: Path) -> None:
        assert self.where()["mnist"] == str(local)
        assert self.where()["fashion-mnist"] == f"not in {local.parent}"

    def test_registry_is_complete(self) -> None:
        for name, source in SOURCES.items():
            assert source.name == name
            assert source.description
            assert source.licence
            files = {"digits": 0, "cora": 1, "citeseer": 1, "tinyshakespeare": 1, "wikitext-2": 3}
            assert len(source.files) == files.get(name, 4)
            assert bool(source.urls) == (name in ("mnist", "fashion-mnist", "tinyshakespeare"))
            assert all(len(sha256) == 64 for sha256 in source.files.values())
            assert all(url.endswith("/") for url in source.urls)
