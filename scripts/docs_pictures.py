"""Make `study.png`, `report.png` and `labels.png` of `docs/images`: run the commands of documents, photograph pages.

    python scripts/docs_pictures.py out=/tmp/docs-pictures              # minutes; needs playwright and a Chromium
    python scripts/docs_pictures.py out=/tmp/docs-pictures only=report  # one of them

A page that is there already is not made again. `weak.png` is the figure `layer.png` of the preset `depth` with fewer
rows, which takes half an hour: docs/results/weak-to-strong.md has the command.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from glob import glob
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
MARGIN = 16  # CSS pixels around a part of a page
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        commands: what makes the page, without `penchant`.
        page: the file that they write.
        part: the selector of what is photographed; without one, the first screen.
        width, height: of the screen, in CSS pixels.
    """

    commands: tuple[str, ...]
    page: str
    part: str
    width: int
    height: int


PICTURES = {
    # README
    "study": Picture(("demo",), "runs/demo/report.html", "#frontier", 900, 900),
    # docs/tutorials/first-run.md; the first of the demo's runs by DPO
    "report": Picture(
        ("demo", "report runs/demo/runs/dpo-*-rate-0.00017-* -o report.html"), "report.html", "", 1180, 1180
    ),
    # docs/results/few-labels.md; needs the data set `subjectivity`, see PENCHANT_DATA
    "labels": Picture(
        ("study labels --preset small tasks=[subjectivity] out=labels",), "labels/report.html", "#curves", 1180, 900
    ),
}


def make_page(picture: Picture, folder: Path) -> Path:
    """Run the commands of a picture in a folder, where its page is not there yet; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / picture.page
    if not page.is_file():
        for command in picture.commands:
            words = [match for word in shlex.split(command) for match in glob(word, root_dir=folder) or [word]]
            subprocess.run([sys.executable, "-m", "penchant.cli", *words], cwd=folder, check=True)
    return page


def photograph(picture: Picture, page: Path, target: Path) -> None:
    """Photograph a page in light colours."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": picture.width, "height": picture.height}, color_scheme="light", device_scale_factor=1.5
        )
        view = context.new_page()
        view.goto(page.resolve().as_uri())
        if picture.part:
            box = view.locator(picture.part).bounding_box()
            assert box
            clip = {"x": box["x"] - MARGIN, "y": box["y"] - MARGIN}
            size = {"width": box["width"] + 2 * MARGIN, "height": box["height"] + 2 * MARGIN}
            view.screenshot(path=target, full_page=True, clip={**clip, **size})
        else:
            view.screenshot(path=target)
        browser.close()


def main(arguments: list[str]) -> None:
    """Make the pages, then their pictures."""
    options = dict(argument.split("=", 1) for argument in arguments)
    out = Path(options.get("out", "docs-pictures"))
    for name, picture in PICTURES.items():
        if options.get("only", name) == name:
            photograph(picture, make_page(picture, out), IMAGES / f"{name}.png")
            print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
