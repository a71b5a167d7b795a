"""Reports in a real headless Chromium: no error, no request, no overflow, legible, sortable by pointer and keyboard.

Screenshots are kept below the folder that OPU_SCREENSHOTS names, or else below pytest's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
import sweep_directory
from browser import Browser
from processes import COMMAND, environment

from benchmarks.report import write

pytest.importorskip("selenium", reason="selenium is not installed")
pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
KINDS = ("run", "unfinished-run", "bench", "sweep", "unfinished-sweep")
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}

LEGIBILITY = """
const style = getComputedStyle(document.documentElement);
const channels = name => {
  const hex = style.getPropertyValue(name).trim();
  return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255);
};
const luminance = name => channels(name).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const found = {};
for (const name of ["--ink", "--muted", "--blue", "--orange", "--green", "--violet", "--red", "--teal"])
  found[name] = contrast(luminance(name), luminance("--paper"));
return [luminance("--paper"), found];
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with its report, kind by kind."""
    folder = tmp_path_factory.mktemp("reports")
    arguments = ["train", "--set", "trainer.epochs=2", "--set", "model.hidden=[16, 16]", "--out", str(folder / "run")]
    subprocess.run([*COMMAND, *arguments], env=environment(), check=True, capture_output=True)
    shutil.copytree(folder / "run", folder / "unfinished-run")
    (folder / "unfinished-run" / "result.json").unlink()
    (folder / "bench").mkdir()
    for name in ("throughput.json", "throughput.png", "mnist-mlp.json"):
        shutil.copy(RESULTS / name, folder / "bench")
    sweep_directory.over_two_keys(folder / "sweep")
    sweep_directory.unfinished(folder / "unfinished-sweep")
    return {kind: write(folder / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("OPU_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_is_shown_as_it_should(kind: str, chromium: Browser, reports: dict[str, Path], album: Path) -> None:
    for screen, (width, height) in SCREENS.items():
        for scheme in ("light", "dark"):
            chromium.open("about:blank", width, height, scheme)
            chromium.requests()
            chromium.open(reports[kind].as_uri(), width, height, scheme)
            assert chromium.console() == []
            asked = {url for url in chromium.requests() if not url.startswith("data:")}
            assert asked == {reports[kind].as_uri()}
            assert chromium.run("return document.documentElement.scrollWidth") <= width
            assert chromium.run("return innerWidth") == width
            assert chromium.run("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
            sizes = chromium.run(
                "return [...document.querySelectorAll('.figures svg, img')].map(e => {"
                "const r = e.getBoundingClientRect(); return [r.left, r.width, r.height]})"
            )
            assert all(left >= 0 and wide > 250 and high > 100 for left, wide, high in sizes)
            pictures = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
            assert chromium.run(pictures)
            chromium.screenshot(album / f"{kind}-{screen}-{scheme}.png", height=2400)
            assert (album / f"{kind}-{screen}-{scheme}.png").stat().st_size > 10_000


def test_a_fault_is_seen(chromium: Browser, reports: dict[str, Path], tmp_path: Path) -> None:
    """Control of the test above: scripts that fail, a foreign script, a request, a page that is too wide."""
    text = reports["run"].read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace('"use strict";', '"use strict"; nothing.at.all();'))
    chromium.open(broken.as_uri(), 390, 844, "light")
    said = " ".join(chromium.console())
    assert "Content Security Policy" in said  # not the script whose hash the page states: not run at all
    broken.write_text(text.replace("</main>", '<img src="file:///none.png"><p style="width: 500px">wide</p></main>'))
    chromium.open(broken.as_uri(), 390, 844, "light")
    assert "file:///none.png" in " ".join(chromium.console())
    assert chromium.run("return document.documentElement.scrollWidth") > 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_is_legible(scheme: str, chromium: Browser, reports: dict[str, Path]) -> None:
    """Contrast with the paper: 4.5 for text, 3 for graphics (WCAG 2.2, 1.4.3 and 1.4.11)."""
    chromium.open(reports["run"].as_uri(), 390, 844, scheme)
    paper, contrast = chromium.run(LEGIBILITY)
    assert paper > 0.8 if scheme == "light" else paper < 0.05
    assert min(contrast[name] for name in ("--ink", "--muted", "--blue")) >= 4.5
    assert min(contrast.values()) >= 3.0
    ink = chromium.run("return getComputedStyle(document.querySelector('svg [style*=\"--ink\"]')).fill")
    body = chromium.run("return getComputedStyle(document.body).color")
    assert ink == body  # what figures are drawn in is the page's own ink


def column(chromium: Browser, index: int) -> list[str]:
    rows = "return [...document.querySelector('table').tBodies[0].rows].map(r => r.cells[arguments[0]].textContent)"
    return [str(text) for text in chromium.run(rows, index)]


def test_tables_are_sorted_by_pointer_and_by_keyboard(chromium: Browser, reports: dict[str, Path]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    chromium.open(reports["sweep"].as_uri(), 1280, 900, "light")
    headings = chromium.driver.find_elements(By.CSS_SELECTOR, "table:first-of-type thead th")
    power = headings[1].find_element(By.TAG_NAME, "button")
    before = column(chromium, 1)
    assert before[:6] == ["1", "3", "10", "30", "100", "300"]
    assert headings[1].get_attribute("aria-sort") == "none"
    power.click()
    by_size = sorted(before, key=float)
    assert column(chromium, 1) == by_size  # as numbers: "10" comes after "3"
    assert headings[1].get_attribute("aria-sort") == "ascending"
    power.send_keys(Keys.ENTER)
    assert column(chromium, 1) == by_size[::-1]
    assert headings[1].get_attribute("aria-sort") == "descending"
    accuracy = headings[3].find_element(By.TAG_NAME, "button")
    accuracy.send_keys(Keys.SPACE)
    values = [float(text) for text in column(chromium, 3)]
    assert values == sorted(values)
    assert [heading.get_attribute("aria-sort") for heading in headings[1:4]] == ["none", "none", "ascending"]
    assert chromium.run("return document.activeElement === arguments[0]", accuracy)
    assert chromium.console() == []


def test_words_and_empty_cells_are_sorted_too(chromium: Browser, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    names = ["item 10", "item 9", "Zebra", "apple"]
    points = [({"device.name": name}, 0, "done", sweep_directory.result(0.5 + 0.1 * i, 30.0, 2.0 * (i != 1)))
              for i, name in enumerate(names)]  # fmt: skip
    chromium.open(write(sweep_directory.make(tmp_path / "sweep", points)).as_uri(), 390, 844, "dark")
    buttons = chromium.driver.find_elements(By.CSS_SELECTOR, "table:first-of-type thead button")
    buttons[0].click()
    assert column(chromium, 0) == ["apple", "item 9", "item 10", "Zebra"]
    (joules,) = (index for index, button in enumerate(buttons) if "energy" in button.text)
    for _ in range(2):  # rising, then falling: the digital point has no energy and stays last
        chromium.run("arguments[0].click()", buttons[joules])
        assert column(chromium, joules)[-1] == "–"
