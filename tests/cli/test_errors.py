"""The user's mistakes: exit status 2, one line that names the fault and what was allowed, nothing written over."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.cli import main
from opu_sim.config import shipped_folder, shipped_names

Refused = Callable[..., str]
DIGITS = shipped_folder("experiments") / "digits-mlp.toml"
SHIPPED = ", ".join(shipped_names("devices"))
AURORA = shipped_folder("devices") / "lighton-aurora.toml"


def edited(path: Path, to: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    to.write_text(text)
    return to


# In this process, through the function that the command calls: the same text without seconds of imports each.
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["train", "--device", "nosuch"], f"'nosuch': no such device; shipped are {SHIPPED}"),
        (["train", "--device", "nosuch.toml"], "nosuch.toml: no such file"),
        (["train", "nosuch"], "'nosuch': no such experiment; shipped are citeseer-gcn, cora-gcn, digits-mlp, "),
        (["train", "--method", "adam"], "--method 'adam': must be one of bp, dfa, dfa-ternary, odfa, shallow"),
        (["train", "--set", "trainer.epoch=3"], "opu: --set trainer.epoch: unknown key; did you mean 'epochs'?"),
        (["train", "--set", "epochs=3"], "--set epochs: unknown key; must begin with one of model., data., trainer., "),
        (["train", "--set", "trainer.epochs"], "--set 'trainer.epochs': must be KEY=VALUE, for example "),
        (["train", "--set", "trainer.epochs="], "--set 'trainer.epochs=': must be KEY=VALUE, for example "),
        (["train", "--set", "=3"], "--set '=3': must be KEY=VALUE"),
        (["train", "--set", "trainer.epochs=1.5"], "opu: --set trainer.epochs = 1.5: must be an integer >= 1"),
        (["train", "--set", "trainer.epochs=many"], "opu: --set trainer.epochs = 'many': must be an integer >= 1"),
        (["train", "--set", "trainer.learning_rate=nan"], "trainer.learning_rate = nan: must be a finite number > 0"),
        (["train", "--set", "trainer.learning_rate=-1"], "trainer.learning_rate = -1: must be a number > 0"),
        (["train", "--set", "data.name=nosuch"], "'nosuch': no such data set; there are digits, mnist, fashion-mnist"),
        (["train", "--set", "data.validation=5000"], "validation = 5000: must be 0 to 1436 for digits"),
        (["train", "--set", "device.camera.adc_bits=40"], "opu: --set device.camera.adc_bits = 40: must be an integer"),
        (["train", "--set", "device.camera.bits=4"], "opu: --set device.camera.bits: unknown key; "),
        (["train", "--set", "device.camera={adc_bits=40}"], "opu: --set device.camera.adc_bits = 40: must be an integ"),
        (["train", "--set", "device.camera.model=x"], "opu: --set device.camera.model = 'x': no such camera; shipped"),
        (["train", "--set", "device.kind=x"], "opu: --set device.kind = 'x': must be one of 'opu', "),
        (["train", "--set", "device.medium.oversampling=x"], "opu: --set device.medium.oversampling = 'x': must be a"),
        (["train", "--set", "device.medium.kind=lens"], "opu: --set device.medium.kind = 'lens': must be one of 'auto"),
        (["train", "--set", "medium.oversampling=x"], "--set medium.oversampling: unknown key; must begin with one of"),
        (["train", "--set", "model.hidden=[200000]"], "n_out = 200000: outputs 5 pixels apart (one speckle grain) "),
        (["train", "--seed", "-1"], "opu: --seed: seed = -1: must be an integer >= 0"),
        (["train", "--seed", "abc"], "Invalid value for '--seed': "),
        (["train", "--resume", "--out", "nothing"], "nothing/checkpoint.npz: no checkpoint to resume from"),
        (["train", "a", "b"], "Got unexpected extra argument"),
        (["train", "--frob"], "No such option: --frob"),
        (["frob"], "No such command 'frob'."),
        (["device", "show"], "Missing argument"),
        (["device", "show", "nosuch"], "'nosuch': no such device; "),
        (["device", "show", "ideal", "--set", "watts=3"], "opu: --set watts: unknown key; allowed: description, kind"),
        (["device", "check", "ideal", "--set", "watts=3"], "opu: --set watts: unknown key; allowed: description, kind"),
        (["device", "check", "lighton-full-frame", "--n-out", "3000000"], "allowed: 1 .. 2228224"),
        (["device", "check", "ideal", "--plot", "."], "--plot .: is a folder; must be a file"),
        (["data", "fetch", "nosuch"], "'nosuch': no such data set; there are digits, mnist, fashion-mnist"),
        (["data", "fetch", "cora"], "cora: no public home is known; provide cora.npz in a folder planetoid/ of OPU_DA"),
        (["data", "fetch", "digits"], "digits: nothing to fetch, this data set comes with scikit-learn"),
        (["bench", "training", "--seeds", "0"], "Invalid value for '--seeds': "),
        (["bench", "training", "nosuch"], "'nosuch': no such experiment; "),
        (["bench", "training", "--out", "."], "--out .: is a folder; must be a file"),
        (["bench", "throughput", "--plot", "."], "--plot .: is a folder; must be a file"),
        (["bench", "throughput", "--plot", "/proc/x/y.png"], "--plot /proc/x: cannot be written: "),
        (["bench", "tradeoffs", "--plot", "."], "--plot .: is a folder; must be a file"),
        (["bench", "bank-sizes", "--out", "."], "--out .: is a folder; must be a file"),
        (["bench", "devices", "--plot", "."], "--plot .: is a folder; must be a file"),
        (["bench", "energy", "--out", "."], "--out .: is a folder; must be a file"),
        (["bench", "sweep", "--out", "."], "--out .: is a folder; must be a file"),
        (["bench", "tradeoffs", "--device", "filipovich-50x20"], "nothing to sweep: must be a device with a laser and"),
        (["reproduce", "nosuch"], "'nosuch': no such system; there are mnist, graphs"),
        (["reproduce", "graphs", "--out", "nothing"], "nothing/cora-gcn.json: cannot be read: No such file or "),
        (["reproduce", "--out", "nothing"], "nothing/mnist-mlp.json: cannot be read: No such file or "),
        (["reproduce", "graphs", "--variant", "bp"], "Invalid value for '--variant': needs a system, and --seeds or "),
        (["reproduce", "graphs", "--quick", "--variant", "x"], "--variant 'x': must be one of bp, dfa, dfa-ternary, "),
        (["reproduce", "graphs", "--seeds", "0"], "Invalid value for '--seeds': "),
        (["train", "--set", "trainer.dropout=0.5"], "trainer.dropout = 0.5: must be 0 for an mlp, which has none"),
        (
            ["train", "--set", "model.kind=gcn"],
            "model.kind = 'gcn': digits is neither a graph nor a text; must be 'mlp'",
        ),
    ],
    ids=" ".join,
)
def test_one_line(arguments: list[str], complaint: str, refused_here: Callable[..., str]) -> None:
    assert complaint in refused_here(*arguments)


# From here on, processes of their own.


def test_unknown_device(refused: Refused) -> None:
    assert refused("train", "--device", "nosuch").startswith(f"'nosuch': no such device; shipped are {SHIPPED}")


def test_misspelt_key_in_a_file(refused: Refused, tmp_path: Path) -> None:
    edited(DIGITS, tmp_path / "mine.toml", ("epochs = 30", "epoch = 30"))
    assert refused("train", "mine.toml") == "mine.toml: trainer.epoch: unknown key; did you mean 'epochs'?"
    edited(AURORA, tmp_path / "card.toml", ("power_mw = 100.0", "power_mW = 100.0"))
    message = refused("train", "--device", "card.toml")
    assert message == f"{tmp_path}/card.toml: laser.power_mW: unknown key; did you mean 'power_mw'?"


def test_a_device_s_key_is_put_down_to_whoever_set_it(refused: Refused, tmp_path: Path) -> None:
    """The option, the experiment's file, the device's file."""
    edited(AURORA, tmp_path / "card.toml", ("power_mw = 100.0", "power_mw = -1.0"))
    edited(DIGITS, tmp_path / "mine.toml", ('name = "lighton-aurora"', 'name = "card.toml"\nlaser.power_mw = -2.0'))
    rule = "must be a number > 0"
    assert refused("train", "mine.toml", "--set", "device.laser.power_mw=-3") == (
        f"--set device.laser.power_mw = -3: {rule}"
    )
    assert refused("train", "mine.toml") == f"mine.toml: device.laser.power_mw = -2.0: {rule}"
    assert refused("train", "--device", "card.toml") == f"{tmp_path}/card.toml: laser.power_mw = -1.0: {rule}"


@pytest.mark.parametrize("library", ["fftw", "nosuch"])
def test_unknown_fft_library(refused: Refused, library: str) -> None:
    assert refused("device", "check", "ideal", OPU_FFT=library) == f"OPU_FFT = '{library}': must be 'scipy' or 'ducc0'"


def test_malformed_experiment(refused: Refused, tmp_path: Path) -> None:
    edited(DIGITS, tmp_path / "mine.toml", ("epochs = 30", "epochs = = 30"))
    message = refused("train", "mine.toml")
    assert message.startswith("mine.toml: not valid TOML: ")
    line = DIGITS.read_text().partition("epochs = 30")[0].count("\n") + 1
    assert f"line {line}," in message


def test_more_inputs_than_mirrors(refused: Refused, tmp_path: Path) -> None:
    edited(AURORA, tmp_path / "small.toml", ("columns = 912", "columns = 5"), ("rows = 1140", "rows = 1"))
    message = refused("train", "--device", "small.toml", "--out", "run")
    assert message == "n_in = 10: the DMD has 5 x 1 = 5 mirrors; allowed: 1 .. 5"


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    return b"\0\0\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape) + content


def mnist_in(folder: Path, cut: int) -> Path:
    """A small data set of MNIST's layout, `cut` bytes short in its training images."""
    home = folder / "data" / "mnist"
    home.mkdir(parents=True)
    for part, count in (("train", 6000), ("t10k", 20)):
        images = idx((count, 4, 4), bytes(i * i % 251 for i in range(count * 16)))
        labels = idx((count,), bytes(i % 10 for i in range(count)))
        if part == "train" and cut:
            images = images[:-cut]
        (home / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (home / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder / "data"


SMALL = ["train", "mnist-mlp", "--method", "bp", "--set", "model.hidden=[4]", "--set", "trainer.epochs=1", "--out", "r"]


def test_truncated_data(refused: Refused, tmp_path: Path) -> None:
    data = mnist_in(tmp_path, cut=7)
    message = refused(*SMALL, OPU_DATA_DIR=str(data))
    file = data / "mnist" / "train-images-idx3-ubyte.gz"
    assert message == f"{file}: 95993 bytes of data, expected 96000 for (6000, 4, 4)"


def test_truncated_gzip(refused: Refused, tmp_path: Path) -> None:
    data = mnist_in(tmp_path, cut=0)
    file = data / "mnist" / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-6])
    assert refused(*SMALL, OPU_DATA_DIR=str(data)).startswith(f"{file}: cannot be read: ")


def test_whole_data(opu: Callable[..., object], tmp_path: Path) -> None:
    """Control of the two above."""
    done = opu(*SMALL, OPU_DATA_DIR=str(mnist_in(tmp_path, cut=0)))
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert (tmp_path / "r" / "result.json").exists()


def test_missing_data(refused: Refused, tmp_path: Path) -> None:
    message = refused("train", "mnist-mlp", "--out", "r", OPU_DATA_DIR=str(tmp_path / "none"))
    assert message.startswith(f"{tmp_path}/none/mnist/train-images-idx3-ubyte.gz: no such file; OPU_DATA_DIR is set")
    message = refused("train", "mnist-mlp", "--out", "r", OPU_CACHE_DIR=str(tmp_path / "none"))
    assert message.endswith("no such file; run `opu data fetch mnist` or set OPU_DATA_DIR")


def test_missing_graph(refused: Refused, tmp_path: Path) -> None:
    message = refused("train", "cora-gcn", "--out", "r", OPU_DATA_DIR=str(tmp_path / "none"))
    assert message == f"{tmp_path}/none/planetoid/cora.npz: no such file; OPU_DATA_DIR is set, so it must be there"
    message = refused("train", "cora-gcn", "--out", "r", OPU_CACHE_DIR=str(tmp_path / "none"))
    assert message.endswith("cora.npz: no such file; this data set has to be provided: set OPU_DATA_DIR")


def test_truncated_graph(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "planetoid" / "cora.npz"
    file.parent.mkdir()
    file.write_bytes(b"PK\x03\x04" + bytes(100))
    message = refused("train", "cora-gcn", "--out", "r", OPU_DATA_DIR=str(tmp_path))
    assert message.startswith(f"{file}: cannot be read: ")


def test_folder_that_cannot_be_written(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert refused("train", "--out", "file/run") == "--out file/run: cannot be written: Not a directory"
    assert refused("train", "--out", "/proc/x").startswith("--out /proc/x: cannot be written: ")
    assert (tmp_path / "file").read_text() == "mine"


def test_bench_result_that_cannot_be_written(refused: Refused) -> None:
    quick = ["--seeds", "1", "--set", "trainer.epochs=1", "--set", "model.hidden=[4]"]
    assert "--out /proc/none: cannot be written" in refused("bench", "training", *quick, "--out", "/proc/none/x.json")


def test_a_learning_rate_that_diverges(refused: Refused) -> None:
    assert "learning_rate" in refused("train", "--set", "trainer.learning_rate=1e30", "--set", "trainer.epochs=1")


def test_a_card_beside_the_experiment_s_file(opu: Callable[..., object], tmp_path: Path) -> None:
    """As a camera's file is found beside the device's."""
    (tmp_path / "sub").mkdir()
    edited(DIGITS, tmp_path / "sub" / "mine.toml", ('name = "lighton-aurora"', 'name = "card.toml"'))
    (tmp_path / "sub" / "card.toml").write_text('kind = "ideal"\nname = "mine"\ndescription = "my own"\n')
    done = opu("train", "sub/mine.toml", "--set", "trainer.epochs=1", "--set", "model.hidden=[4]", "--out", "r")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            "bank.columns=100",
            "bank.columns = 100: channels 0.8 nm apart in a free spectral range of 18.21 nm; must be <= 22",
        ),
        ("bank.weight_range=0.95", "bank.weight_range = 0.95: a ring has weights -0.9054 .. 0.9307 within 400 pm"),
        ("bank.weight_range=0.9", "beside their neighbours; lower bank.weight_range = 0.9"),
        ("modulator.encoding=single-pass", "modulator.encoding = 'single-pass': light has no sign; must be 'two-pass'"),
        ("memory.refresh_us=1.0", "memory.refresh_us = 1.0: writing 50 rows takes 2.5 us; must be > that"),
    ],
)
def test_what_a_weight_bank_cannot_do(
    change: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["--set", f"device.{change}", "--set", "trainer.epochs=1"]
    assert main(["train", "--device", "filipovich-50x20", *settings, "--out", "run"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("opu: ")
    assert shown.err.count("\n") == 1
    assert complaint in shown.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
