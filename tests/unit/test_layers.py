"""Layers and global state, read from the source: who may import whom, no hidden randomness, no sleeping."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import opu_sim

ROOT = Path(__file__).parents[2]

# Of numpy.random, what makes or names a generator and draws nothing from a global one.
SEEDED = {
    "BitGenerator",
    "Generator",
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "Philox",
    "SFC64",
    "SeedSequence",
    "default_rng",
}
KERNEL_IMPORTS = {"numpy", "numba", "llvmlite", "math", "opu_sim._kernels"}
ANNOTATIONS = {"__future__", "typing"}  # no code runs


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


ALL_SOURCES = [path for package in ("opu_sim", "dfa", "benchmarks") for path in sources(package)]


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
    """(module, name) of each `from module import name`; (module, None) of each `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - node.level + 1])
                module = f"{base}.{module}" if module else base
            yield from ((module, alias.name) for alias in node.names)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def reached(module: str, name: str | None) -> str:
    return f"{module}.{name}" if name else module


def imports_of(*packages: str) -> Callable[[ast.AST, str], list[str]]:
    """Rule: none of these packages is imported."""

    def rule(tree: ast.AST, package: str) -> list[str]:
        return [
            reached(module, name)
            for module, name in imports(tree, package)
            if any(is_in(reached(module, name), forbidden) for forbidden in packages)
        ]

    return rule


def imports_beyond_kernels(tree: ast.AST, package: str) -> list[str]:
    """Rule for kernels: array libraries and each other only."""
    allowed = KERNEL_IMPORTS | ANNOTATIONS
    return [
        reached(module, name)
        for module, name in imports(tree, package)
        if not any(is_in(module, one) or is_in(reached(module, name), one) for one in allowed)
    ]


def qualified_names(tree: ast.AST, package: str) -> Iterator[tuple[str, ast.AST]]:
    """Full dotted name of each use of something imported: `np.random.seed` is numpy.random.seed."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            inner = ast.Module([node], [])
            for (module, name), alias in zip(imports(inner, package), node.names, strict=True):
                known[alias.asname or alias.name] = reached(module, name)
    for node in ast.walk(tree):
        parts: list[str] = []
        inside: ast.AST = node
        while isinstance(inside, ast.Attribute):
            parts.append(inside.attr)
            inside = inside.value
        if isinstance(inside, ast.Name) and inside.id in known and isinstance(node, ast.Attribute | ast.Name):
            yield ".".join([known[inside.id], *reversed(parts)]), node


def private_parts_of_opu_sim(tree: ast.AST, package: str) -> list[str]:
    """Rule for dfa: no name with a leading underscore, and of opu_sim.device what opu_sim exports."""
    used = [reached(module, name) for module, name in imports(tree, package)]
    used += [name for name, _ in qualified_names(tree, package)]
    broken = {name for name in used if is_in(name, "opu_sim") and any(p.startswith("_") for p in name.split("."))}
    for name in used:
        if is_in(name, "opu_sim.device") and name != "opu_sim.device":
            member = name.split(".")[2]
            if member not in opu_sim.__all__:
                broken.add(name)
    return sorted(broken)


def global_randomness(tree: ast.AST, package: str) -> list[str]:
    """Rule: no draw from NumPy's global generator, none from one seeded by the operating system."""
    broken = set()
    for name, _ in qualified_names(tree, package):
        if is_in(name, "numpy.random") and name != "numpy.random" and name.split(".")[2] not in SEEDED:
            broken.add(name)
    known = {id(node): name for name, node in qualified_names(tree, package)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = known.get(id(node.func), "")
        makes = is_in(name, "numpy.random") and name.split(".")[-1] in SEEDED - {"Generator", "BitGenerator"}
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if makes and all(isinstance(a, ast.Constant) and a.value is None for a in arguments):
            broken.add(f"{name}()")
    return sorted(broken)


def sleeps(tree: ast.AST, package: str) -> list[str]:
    """Rule: simulated time is a counter."""
    used = {reached(module, name) for module, name in imports(tree, package)}
    used |= {name for name, _ in qualified_names(tree, package)}
    return sorted(name for name in used if name in ("time.sleep", "asyncio.sleep"))


STDLIB_RANDOM = imports_of("random", "secrets")


def broken_in(rule: Callable[[ast.AST, str], list[str]], paths: list[Path]) -> dict[str, list[str]]:
    found = {str(path.relative_to(ROOT)): rule(ast.parse(path.read_text()), package_of(path)) for path in paths}
    return {path: names for path, names in found.items() if names}


def test_the_sources_are_found() -> None:
    assert {path.name for path in sources("opu_sim")} >= {"device.py", "power.py", "rng.py", "dmd.py"}
    assert len(sources("opu_sim/_kernels")) >= 5
    assert {path.name for path in sources("dfa")} >= {"network.py", "data.py"}
    assert package_of(ROOT / "opu_sim/_kernels/medium.py") == "opu_sim._kernels"


def test_opu_sim_knows_nothing_of_training_or_benchmarks() -> None:
    assert broken_in(imports_of("dfa", "benchmarks", "tests"), sources("opu_sim")) == {}


def test_dfa_knows_nothing_of_benchmarks() -> None:
    assert broken_in(imports_of("benchmarks", "tests"), sources("dfa")) == {}


def test_dfa_uses_public_names_of_opu_sim_only() -> None:
    assert broken_in(private_parts_of_opu_sim, sources("dfa")) == {}
    # It does use opu_sim, so the rule has something to look at.
    used = [r for p in sources("dfa") for r in imports_of("opu_sim")(ast.parse(p.read_text()), package_of(p))]
    assert used


def test_kernels_import_array_libraries_and_each_other_only() -> None:
    assert broken_in(imports_beyond_kernels, sources("opu_sim/_kernels")) == {}


def test_nobody_uses_the_random_module() -> None:
    assert broken_in(STDLIB_RANDOM, ALL_SOURCES) == {}


def test_nobody_draws_from_a_generator_without_a_seed() -> None:
    assert broken_in(global_randomness, ALL_SOURCES) == {}


# benchmarks.throughput.baselines pauses between timings, so that idle BLAS threads stop spinning; simulated time never
# does.
@pytest.mark.parametrize("package", ["opu_sim", "dfa"])
def test_nobody_sleeps(package: str) -> None:
    assert broken_in(sleeps, sources(package)) == {}


@pytest.mark.parametrize(
    ("rule", "code", "found"),
    [
        (imports_of("dfa"), "import dfa", ["dfa"]),
        (imports_of("dfa"), "import numpy, dfa.data as d", ["dfa.data"]),
        (imports_of("dfa"), "from dfa import data", ["dfa.data"]),
        (imports_of("dfa"), "def f():\n    from dfa.data import load_dataset", ["dfa.data.load_dataset"]),
        (imports_of("dfa"), "if TYPE_CHECKING:\n    import dfa", ["dfa"]),
        (imports_of("opu_sim.power"), "from .power import Ledger", ["opu_sim.power.Ledger"]),
        (imports_of("opu_sim.power"), "from . import power", ["opu_sim.power"]),
        (imports_of("dfa"), "import dfaster\nfrom x.dfa import y\ndfa = 3", []),
        (private_parts_of_opu_sim, "from opu_sim.device import _Device", ["opu_sim.device._Device"]),
        (private_parts_of_opu_sim, "from opu_sim.device import math", ["opu_sim.device.math"]),
        (private_parts_of_opu_sim, "from opu_sim import _kernels", ["opu_sim._kernels"]),
        (private_parts_of_opu_sim, "import opu_sim\nopu_sim.device._Device(1)", ["opu_sim.device._Device"]),
        (private_parts_of_opu_sim, "from opu_sim import power as p\np._x", ["opu_sim.power._x"]),
        (private_parts_of_opu_sim, "from opu_sim.device import load_device, Projector", []),
        (private_parts_of_opu_sim, "from opu_sim import load_device\nfrom opu_sim.config import merged", []),
        (imports_beyond_kernels, "import scipy.fft", ["scipy.fft"]),
        (imports_beyond_kernels, "from opu_sim.cards import DmdCard", ["opu_sim.cards.DmdCard"]),
        (imports_beyond_kernels, "import opu_sim", ["opu_sim"]),
        (imports_beyond_kernels, "import os", ["os"]),
        (imports_beyond_kernels, "import math\nfrom numba import njit\nfrom opu_sim import _kernels", []),
        (STDLIB_RANDOM, "import random", ["random"]),
        (STDLIB_RANDOM, "from random import gauss", ["random.gauss"]),
        (STDLIB_RANDOM, "from opu_sim._kernels.random import normals\nimport numpy.random", []),
        (global_randomness, "import numpy as np\nnp.random.seed(0)", ["numpy.random.seed"]),
        (global_randomness, "import numpy\nx = numpy.random.rand(3)", ["numpy.random.rand"]),
        (global_randomness, "from numpy import random as r\nr.normal()", ["numpy.random.normal"]),
        (global_randomness, "from numpy.random import randn\nrandn(3)", ["numpy.random.randn"]),
        (
            global_randomness,
            "import numpy as np\nf = np.random.default_rng()",
            ["numpy.random.default_rng()"],
        ),
        (
            global_randomness,
            "import numpy as np\nnp.random.default_rng(None)",
            ["numpy.random.default_rng()"],
        ),
        (global_randomness, "from numpy.random import Philox\nPhilox()", ["numpy.random.Philox()"]),
        (
            global_randomness,
            "import numpy as np\nnp.random.RandomState(0).rand()",
            ["numpy.random.RandomState"],
        ),
        (global_randomness, "import numpy as np\nnp.random.Generator(np.random.Philox(key=k)).normal()", []),
        (global_randomness, "import numpy as np\nnp.random.default_rng(0).normal()", []),
        (sleeps, "import time\ntime.sleep(1)", ["time.sleep"]),
        (sleeps, "from time import sleep", ["time.sleep"]),
        (sleeps, "import time as t\nwait = t.sleep", ["time.sleep"]),
        (sleeps, "import time\ntime.perf_counter()", []),
    ],
)
def test_each_rule_finds_what_it_forbids(
    rule: Callable[[ast.AST, str], list[str]], code: str, found: list[str]
) -> None:
    assert rule(ast.parse(code), "opu_sim") == found
