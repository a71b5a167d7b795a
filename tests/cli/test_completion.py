"""Tab: what the shell's own script gets from `opu`, as processes, and bash itself with that script."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from processes import COMMAND, environment

from dfa.config import METHODS, load_experiment
from opu_sim.cards import load_card
from opu_sim.config import parse_assignment, shipped_names

HEAVY = {"numba", "scipy", "matplotlib", "sklearn"}


def offered(*words: str) -> list[str]:
    """What is offered for the last of the words, which may be empty."""
    line = {"COMP_WORDS": "\n".join(["opu", *words]), "COMP_CWORD": str(len(words)), "_OPU_COMPLETE": "complete_bash"}
    done = subprocess.run(COMMAND, env=environment(**line), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], ["reproduce", "report"]),
        (["train", "--dev"], ["--device"]),
        (["train", ""], shipped_names("experiments")),
        (["train", "mnist-"], ["mnist-microring", "mnist-mlp"]),
        (["train", "--device", "light"], ["light-in-the-loop", "lighton-aurora", "lighton-full-frame"]),
        (["train", "--method", ""], list(METHODS)),
        (["device", "show", ""], shipped_names("devices")),
        (["device", "check", "id"], ["ideal"]),
        (["bench", "training", "c"], ["citeseer-gcn", "cora-gcn"]),
        (["bench", "tradeoffs", "--device", "fili"], ["filipovich-50x20"]),
        (["data", "fetch", "c"], ["cora", "citeseer"]),
        (["reproduce", ""], ["mnist", "graphs", "language", "microring"]),
        (["train", "--set", "device.camera.adc"], ["device.camera.adc_bits="]),
        (["device", "show", "ideal", "--set", "camera.adc"], ["camera.adc_bits="]),
        (["bench", "training", "--set", "trainer.e"], ["trainer.epochs=", "trainer.error_encoding="]),
        (["sweep", "adc"], ["adc-bits"]),
        (["sweep", "adc-bits", "--set", "device.camera.adc"], ["device.camera.adc_bits="]),
        (["train", "nosuch"], []),
    ],
    ids=" ".join,
)
def test_offers(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_sweeps_are_those_shipped() -> None:
    from benchmarks.cli.completion import sweeps

    assert [name for name, _ in sweeps("")] == shipped_names("sweeps")


def test_offered_keys_are_keys() -> None:
    """Set to the value that they have, none is refused."""
    from benchmarks.cli.completion import card_keys, experiment_keys

    card = load_card("lighton-aurora").model_dump()
    keys = [key.rstrip("=") for key, _ in card_keys("")]
    assert len(keys) > 60
    for key in keys:
        part, name = key.split(".")
        if (value := card[part][name]) is not None:
            load_card("lighton-aurora", {key: value})
    table = load_experiment("digits-mlp").table()
    for key in (key.rstrip("=") for key, _ in experiment_keys("") if not key.startswith("device.")):
        part, name = key.split(".")
        if (value := table[part].get(name)) is not None:
            load_experiment("digits-mlp", settings={key: value})
    assert dict([parse_assignment("device.camera.adc_bits=6")]) == {"device.camera.adc_bits": 6}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_shown(shell: str) -> None:
    switch = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [*COMMAND, "--show-completion", shell], env=environment(**switch), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert f"_OPU_COMPLETE=complete_{shell}" in done.stdout


def test_bash_completes_with_it(tmp_path: Path) -> None:
    """The script is loaded and its function called, as bash does it at a press of Tab."""
    (tmp_path / "opu").write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    (tmp_path / "opu").chmod(0o755)
    script = (
        'eval "$(opu --show-completion bash)"\n'
        "complete -p opu\n"
        "COMP_WORDS=(opu train --device lighton-a) COMP_CWORD=3\n"
        "_opu_completion opu\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    changes = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environment(**changes), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["complete -o default -F _opu_completion opu", "lighton-aurora"]


def test_names_are_read_without_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from benchmarks.cli import completion\n"
        "assert completion.devices('') and completion.experiments('')\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & (HEAVY | {"numpy"})
    code = code.replace("completion.devices('')", "completion.experiment_keys('')")
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY
