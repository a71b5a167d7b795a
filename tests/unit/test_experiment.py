"""Experiments: shipped ones load, files round trip, the hash sees every number, mistakes cost one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from dfa.config import METHODS, Experiment, Method, flattened, load_experiment
from opu_sim.config import shipped_folder, shipped_names
from opu_sim.errors import ConfigError

DIGITS = shipped_folder("experiments") / "digits-mlp.toml"


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_experiment(*args, **kwargs)
    text = str(caught.value)
    assert text.splitlines() == [text]
    return text


def mine(folder: Path, old: str = "", new: str = "") -> Path:
    text = DIGITS.read_text()
    assert not old or text.count(old) == 1
    path = folder / "mine.toml"
    path.write_text(text.replace(old, new) if old else text + new)
    return path


@pytest.mark.parametrize("name", shipped_names("experiments"))
def test_shipped_experiments_load(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.name == name
    assert experiment.method == "odfa"
    assert experiment.description
    assert experiment.device_name == "lighton-aurora"


def test_the_contract_s_experiments_are_shipped() -> None:
    assert {"digits-mlp", "mnist-mlp", "fashion-mlp"} <= set(shipped_names("experiments"))


def test_methods_in_the_contract_s_order() -> None:
    assert METHODS == ("bp", "dfa", "dfa-ternary", "odfa", "shallow")
    assert get_args(Method) == METHODS
    for method in METHODS:
        assert load_experiment("digits-mlp", method=method).method == method


SETTINGS: dict[str, Any] = {
    "device.camera.adc_bits": 6,
    "device.laser.power_mw": 1 / 3,
    "model.hidden": [5, 6, 7],
    "trainer.learning_rate": 0.1 + 0.2,
    "trainer.optimizer": "sgd",
}


@pytest.mark.parametrize("changes", [{}, {"settings": SETTINGS, "method": "dfa", "seed": 2**63 - 1}])
@pytest.mark.parametrize("name", shipped_names("experiments"))
def test_to_toml_and_back(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    if "settings" in changes and load_experiment(name).model.kind == "transformer":
        changes = changes | {"settings": {k: v for k, v in changes["settings"].items() if k != "model.hidden"}}
    experiment = load_experiment(name, **changes)
    path = tmp_path / "config.toml"
    path.write_text(experiment.to_toml())
    again = load_experiment(path)
    assert again == experiment
    assert again.sha256 == experiment.sha256
    assert again.to_toml() == experiment.to_toml()


def test_settings_reach_the_experiment() -> None:
    experiment = load_experiment("digits-mlp", settings=SETTINGS)
    assert experiment.model.hidden == [5, 6, 7]
    assert experiment.trainer.learning_rate == 0.1 + 0.2
    assert flattened(experiment.device_overrides) == {"camera.adc_bits": 6, "laser.power_mw": 1 / 3}
    assert experiment.trainer.batch_size == load_experiment("digits-mlp").trainer.batch_size


def test_device_option_drops_the_file_s_overrides(tmp_path: Path) -> None:
    path = mine(tmp_path, new="[device.camera]\nadc_bits = 6\n")
    assert load_experiment(path).device == {"name": "lighton-aurora", "camera": {"adc_bits": 6}}
    assert load_experiment(path, device="light-in-the-loop").device == {"name": "light-in-the-loop"}
    assert load_experiment(path, device="ideal").device == {"name": "ideal"}
    # The device that the file names keeps them; what the command line sets is laid over either.
    assert load_experiment(path, device="lighton-aurora").device["camera"] == {"adc_bits": 6}
    settings = {"device.camera.adc_bits": 4}
    assert load_experiment(path, device="light-in-the-loop", settings=settings).device["camera"] == {"adc_bits": 4}


def numbers(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", value


BASE = load_experiment("digits-mlp")
OTHER: dict[str, Any] = {
    "model.hidden": [128, 129],
    "model.activation": "tanh",
    "model.kind": "gcn",
    "trainer.selection": "best-validation",
    "data.name": "mnist",
    "data.vocabulary": 1000,
    "data.epoch_tokens": 1000,
    "trainer.optimizer": "sgd",
    "trainer.schedule": "plateau",
    "trainer.feedback_normalisation": "principled",
    "trainer.feedback_outputs": "shared",
    "trainer.loss": "mean_squared_error",
    "trainer.error_encoding": "bit-planes",
    "trainer.ternary_magnitudes": "one",
    "device.name": "ideal",
    "device.camera.adc_bits": 6,
} | {
    key: value + 1 if isinstance(value, int) else value * (1 - 1e-15) or 1e-300
    for key, value in numbers({part: BASE.table()[part] for part in ("data", "trainer")})
}
del OTHER["trainer.dropout"]  # an mlp has none


@pytest.mark.parametrize("key", OTHER)
def test_any_change_changes_the_hash(key: str) -> None:
    assert load_experiment("digits-mlp", settings={key: OTHER[key]}).sha256 != BASE.sha256


def test_all_of_the_tables_are_tried() -> None:
    wanted = {f"{part}.{key}" for part in ("model", "data", "trainer") for key in BASE.table()[part]}
    assert wanted - {"trainer.dropout"} <= set(OTHER)


def test_a_changed_dropout_changes_the_hash() -> None:
    base, other = (load_experiment("cora-gcn", settings={"trainer.dropout": share}) for share in (0.1, 0.2))
    assert base.sha256 != other.sha256


def test_seed_and_method_change_the_hash_but_a_description_does_not(tmp_path: Path) -> None:
    assert load_experiment("digits-mlp", seed=1).sha256 != BASE.sha256
    assert load_experiment("digits-mlp", method="dfa").sha256 != BASE.sha256
    same = mine(tmp_path, 'description = "', 'description = "x ')
    assert load_experiment(same).sha256 == BASE.sha256
    assert load_experiment("digits-mlp", seed=0, method="odfa").sha256 == BASE.sha256


def test_an_integer_stands_for_a_float_and_hashes_alike() -> None:
    a = load_experiment("digits-mlp", settings={"trainer.weight_decay": 0})
    assert a.sha256 == BASE.sha256


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"trainer.epoch": 3}, "trainer.epoch: unknown key; did you mean 'epochs'?"),
        ({"trainer.epochs": 0}, "trainer.epochs = 0: must be an integer >= 1"),
        ({"trainer.epochs": 1.5}, "trainer.epochs = 1.5: must be an integer >= 1"),
        ({"trainer.epochs": True}, "trainer.epochs = True: must be an integer >= 1"),
        ({"trainer.epochs": "3"}, "trainer.epochs = '3': must be an integer >= 1"),
        ({"trainer.learning_rate": float("nan")}, "trainer.learning_rate = nan: must be a finite number > 0"),
        ({"trainer.learning_rate": float("inf")}, "trainer.learning_rate = inf: must be a finite number > 0"),
        ({"trainer.learning_rate": 0}, "trainer.learning_rate = 0: must be a number > 0"),
        ({"trainer.optimizer": "lion"}, "trainer.optimizer = 'lion': must be one of 'sgd', 'adam'"),
        ({"trainer.ternary_threshold": 1.0}, "trainer.ternary_threshold = 1.0: must be a number >= 0 and < 1"),
        ({"trainer.error_encoding": "binary"}, "error_encoding = 'binary': must be one of 'ternary', 'bit-planes'"),
        ({"model.hidden": []}, "model.hidden = []: must be a list of length >= 1"),
        ({"model.hidden": [10, 0]}, "model.hidden.1 = 0: must be "),
        ({"model": 3}, "--set model: unknown key; must begin with one of model., data., trainer., device."),
        ({"seed": 3}, "--set seed: unknown key; must begin with one of model., data., trainer., device."),
        ({"camera.adc_bits": 6}, "--set camera.adc_bits: unknown key; must begin with one of model., "),
        ({"device.camera.adc_bit": 6}, "camera.adc_bit: unknown key; did you mean 'adc_bits'?"),
        ({"device.camera.adc_bits": 99}, "camera.adc_bits = 99: must be an integer >= 1 and <= 16"),
        ({"device.name": "nosuch"}, f"'nosuch': no such device; shipped are {', '.join(shipped_names('devices'))}"),
        ({"device.name": 3}, "device.name: missing; it names the device card"),
        ({"trainer.epochs": 1, "trainer.epochs.x": 2}, "trainer.epochs: set to a value and used as a table"),
    ],
)
def test_refused_settings(settings: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal("digits-mlp", settings=settings)


def test_refused_options() -> None:
    assert f"'nosuch': no such device; shipped are {shipped_names('devices')[0]}, " in refusal(
        "digits-mlp", device="nosuch"
    )
    assert refusal("digits-mlp", method="adam") == (
        "--method 'adam': must be one of bp, dfa, dfa-ternary, odfa, shallow"
    )
    assert "seed = -1: must be an integer >= 0" in refusal("digits-mlp", seed=-1)
    assert "seed = 9223372036854775808: must be " in refusal("digits-mlp", seed=2**63)
    assert "'nosuch': no such experiment; shipped are citeseer-gcn, " in refusal("nosuch")
    assert "nosuch.toml: no such file" in refusal("nosuch.toml")


def test_refused_files(tmp_path: Path) -> None:
    assert refusal(mine(tmp_path, "epochs = 30", "epoch = 30")).startswith(f"{tmp_path}/mine.toml: trainer.epoch: unk")
    assert "seeds: unknown key; did you mean 'seed'?" in refusal(mine(tmp_path, "seed = 0", "seeds = 0"))
    assert "trainer.batch_size: missing; must be " in refusal(mine(tmp_path, "batch_size = 32\n", "\n"))
    assert "not valid TOML" in refusal(mine(tmp_path, "epochs = 30", "epochs = = 30"))
    assert "device.name: missing" in refusal(mine(tmp_path, 'name = "lighton-aurora"', ""))
    assert "device: missing; must be a table" in refusal(mine(tmp_path, '[device]\nname = "lighton-aurora"', ""))


def device_is(folder: Path, value: str) -> Path:
    path = mine(folder, '[device]\nname = "lighton-aurora"', "")
    path.write_text(f"device = {value}\n{path.read_text()}")
    return path


@pytest.mark.parametrize("value", ["3", '"ideal"'])
def test_a_device_that_is_no_table(tmp_path: Path, value: str) -> None:
    assert "device = " in refusal(device_is(tmp_path, value))


@pytest.mark.parametrize("value", ["3", '"ideal"'])
def test_a_device_that_is_no_table_beside_the_option(tmp_path: Path, value: str) -> None:
    # The option replaces the file's device, whatever that is.
    assert load_experiment(device_is(tmp_path, value), device="ideal").device == {"name": "ideal"}


def test_the_hash_sees_a_change_of_the_user_s_own_card(tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    text = (shipped_folder("devices") / "lighton-aurora.toml").read_text()
    card.write_text(text)
    before = load_experiment("digits-mlp", device=str(card)).sha256
    assert load_experiment("digits-mlp", device=str(card)).sha256 == before
    card.write_text(text.replace("power_mw = 100.0", "power_mw = 50.0"))
    assert load_experiment("digits-mlp", device=str(card)).sha256 != before


# --- settings of a method -------------------------------------------------------------------------------------

METHOD = "[methods.dfa]\nlearning_rate = 0.5\n"


def test_a_method_s_settings_are_laid_over_the_trainer_s(tmp_path: Path) -> None:
    path = mine(tmp_path, new=METHOD)
    base = load_experiment(DIGITS, method="dfa").trainer
    assert load_experiment(path, method="dfa").trainer == base.model_copy(update={"learning_rate": 0.5})
    assert load_experiment(path, method="odfa").trainer == base  # another method's
    settings = {"trainer.learning_rate": 0.25}
    assert load_experiment(path, method="dfa", settings=settings).trainer.learning_rate == 0.25


def test_the_chosen_method_s_settings_survive_the_file(tmp_path: Path) -> None:
    experiment = load_experiment(mine(tmp_path, new=METHOD), method="dfa")
    again = tmp_path / "config.toml"
    again.write_text(experiment.to_toml())
    assert load_experiment(again) == experiment
    assert "methods" not in experiment.table()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[methods.adam]\nepochs = 3\n",
            "methods.adam: unknown key; must be one of bp, dfa, dfa-ternary, odfa, shallow",
        ),
        ("[methods.dfa]\nepoch = 3\n", "methods.dfa: epoch: unknown key; did you mean 'epochs'?"),
        ("[methods.bp]\nepochs = 0\n", "methods.bp: epochs = 0: must be an integer >= 1"),
        ("[methods]\ndfa = 3\n", "methods.dfa = 3: must be a table of trainer's settings"),
    ],
)
def test_refused_settings_of_any_method(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in refusal(mine(tmp_path, new=text), method="odfa")


def test_methods_that_are_no_table(tmp_path: Path) -> None:
    path = mine(tmp_path)
    path.write_text(f"methods = 3\n{path.read_text()}")
    assert "methods = 3: must be a table" in refusal(path)


def test_settings_that_a_model_lacks() -> None:
    assert "trainer.dropout = 0.5: must be 0 for an mlp" in refusal("digits-mlp", settings={"trainer.dropout": 0.5})
    assert "activation = 'tanh': must be 'relu' for a gcn" in refusal("cora-gcn", settings={"model.activation": "tanh"})
    assert "data.validation = 0: must be >= 1" in refusal("cora-gcn", settings={"data.validation": 0})


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        BASE.seed = 3  # type: ignore[misc]
    assert isinstance(BASE, Experiment)
