"""README says what the result files say, and its two lines are the ones that CI runs."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.readme import ROOT, filled

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "benchmarks" / "results"


def test_tables_are_those_of_the_result_files() -> None:
    assert filled(README) == README
    assert README.count("<!-- table ") == README.count("<!-- end -->") >= 3


def test_a_changed_table_is_noticed() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| odfa"))
    changed = README.replace(row, row.replace("odfa", "odfa, better"))
    assert filled(changed) == README


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_result_files_say_where_they_come_from(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    provenance = document.get("provenance", document)
    assert re.fullmatch(r"[0-9a-f]{40}\+?", provenance["commit"])
    assert {"version", "python", "numpy", "numba", "cpu", "threads", "started_at"} <= set(provenance)


def test_pictures_and_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).is_file(), target


def test_ci_runs_the_second_line() -> None:
    if not (ROOT / ".ci" / "run").is_file():
        pytest.skip("not a checkout: .ci is not part of the source distribution")
    lines = re.findall(r"^python3 .*$", README, re.MULTILINE)
    assert len(lines) == 2
    assert lines[0].endswith("opu train")
    assert "pytest" in lines[1]
    assert "<!-- the tests -->\n```bash\n" + lines[1] in README
    assert "<!-- the tests -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
