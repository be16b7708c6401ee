"""Pages in a browser: axe finds nothing serious, nothing is cut, and paper and dark screens get their own colours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from penchant.studies.report import report
from synthetic_runs import write_run

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# The script of the npm package axe-core, which is no dependency: `npm pack axe-core`, then name its axe.min.js.
AXE = os.environ.get("AXE_SCRIPT", "")
CUT = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
BROKEN = """[...document.querySelectorAll('td .interval:not(.reason)')]
    .filter(e => e.offsetHeight > 1.7 * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.textContent)"""
"""Intervals that stand on more than one line."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'penchant[dev]'")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The addresses of a page of a run, and of one of several runs."""
    folder = tmp_path_factory.mktemp("pages")
    runs: list[str | Path] = [write_run(folder / "a", steps=24, prompts=6), write_run(folder / "b", steps=24, seed=1)]
    made = [report(runs[:1], folder / "single.html"), report(runs, folder / "several.html")]
    return [path.resolve().as_uri() for path in made]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, pages: list[str], scheme: str) -> None:
    if not AXE:
        pytest.skip("needs axe-core: AXE_SCRIPT names its axe.min.js")
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme, bypass_csp=True)
    for address in pages:
        page = context.new_page()
        page.goto(address)
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run().then(results => results.violations)")
        serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        assert not [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in serious]


def test_no_table_is_cut_on_a_desktop_or_on_paper_and_no_page_is_wider_than_a_phone(
    browser: Any, pages: list[str]
) -> None:
    for address in pages:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(address)
        page.eval_on_selector_all("details", "all => all.forEach(item => item.open = true)")
        assert page.evaluate(CUT) == 0
        assert page.evaluate(BROKEN) == []
        page.set_viewport_size({"width": 760, "height": 900})
        page.emulate_media(media="print")
        assert page.evaluate(CUT) == 0
        page.emulate_media(media="screen")
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_dark_screens_get_dark_pages_and_figures_and_paper_light_ones(browser: Any, pages: list[str]) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(pages[0])
    line = "getComputedStyle(document.querySelector('.drawing [stroke=\"#0072b2\"]')).stroke"
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(15, 19, 26)"
    assert page.evaluate(line) == "rgb(79, 176, 240)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(paper) == "rgba(0, 0, 0, 0)"
    assert page.evaluate(line) == "rgb(0, 114, 178)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_saved_with_title_and_legend_in_light_colours(browser: Any, pages: list[str], scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(pages[1])
    figure = page.locator("#figure-kl")
    with page.expect_download() as download:
        figure.get_by_text("SVG").click()
    assert download.value.suggested_filename == "kl.svg"
    svg = ElementTree.fromstring(Path(download.value.path()).read_bytes())
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"KL from the reference (nats per response)", "a", "b"} <= set(texts)
    assert "#0072b2" in {element.get("stroke") for element in svg.iter()}
    with page.expect_download() as download:
        figure.get_by_text("PNG").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_page_without_scripts_offers_no_buttons_that_do_nothing(browser: Any, pages: list[str]) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(pages[0])
    assert not page.locator("figure button").first.is_visible()
    assert page.get_by_text("CSV").count()
