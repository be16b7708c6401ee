"""The tutorial's pictures, made of the real pages. To renew them:

PENCHANT_SCREENSHOTS=docs/images python -m pytest tests/web/test_screenshots.py
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from penchant.web.judgments import undo
from penchant.web.tables import Assignment, Item, Judgment

pytestmark = pytest.mark.slow

MOST_BYTES = 150_000
PEOPLE = ("Ada", "Ben", "Chidi")
ASKED = [
    ("Who wrote Middlemarch?", "George Eliot (the pen name of Mary Ann Evans), in 1871–72.", "Jane Austen."),
    ("Why is the sky blue?", "Air scatters short wavelengths most, so blue comes from all sides.", "It is."),
    ("Translate to German: good night", "Gute Nacht", "Guten Tag"),
    ("What is 17 × 24?", "408", "17 × 24 = 17 × 20 + 17 × 4 = 340 + 68 = **408**"),
    ("Name three primary colours.", "Red, yellow and blue.", "Red, yellow and blue, if you mix paint; *red, green and "
     "blue*, if you mix light."),
    ("How do I boil an egg?", "Boil it.", "1. Bring water to the boil.\n2. Lower the egg in.\n3. Wait 7 minutes."),
    ("Is a tomato a fruit?", "Botanically yes, in the kitchen no.", "Yes."),
    ("What is the capital of Australia?", "Canberra.", "Sydney is the capital of Australia, and its largest city."),
    ("Shorten: I am writing to let you know that I will be late.", "I will be late.", "Late."),
    ("Who painted The Night Watch?", "Rembrandt, in 1642.", "It was painted by Vermeer in Delft in about 1665."),
    ("What does HTTP stand for?", "Hypertext Transfer Protocol.", "HyperText Transfer Protocol; HTTPS is encrypted."),
]  # fmt: skip
COUNTED = (
    "How many blue squares are there?\n\n![A red circle, two blue squares and a small green triangle](shapes.png)",
    "There are **two** blue squares, to the right of the red circle. Above them stands a small green triangle.",
    "I see three squares:\n\n1. a large blue one\n2. a small blue one\n3. a green one",
)


def draw(path: Path) -> None:
    image, drawing = (
        pytest.importorskip(name, reason="needs Pillow, which matplotlib brings")
        for name in ("PIL.Image", "PIL.ImageDraw")
    )
    canvas = image.new("RGB", (420, 150), "white")
    pen = drawing.Draw(canvas)
    pen.ellipse((20, 25, 120, 125), fill="#d1495b")
    pen.rectangle((160, 45, 240, 125), fill="#0072b2")
    pen.rectangle((270, 75, 320, 125), fill="#0072b2")
    pen.polygon([(350, 60), (375, 20), (400, 60)], fill="#3a9d5d")
    canvas.save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go: a temporary folder, unless they shall be renewed."""
    return Path(os.environ.get("PENCHANT_SCREENSHOTS", tmp_path))


def shoot(page: Any, path: Path, **options: Any) -> None:
    page.screenshot(path=path, **options)
    assert 5_000 < path.stat().st_size < MOST_BYTES


def judged_by_three(make_site: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    """Ada and Ben judge everything and Chidi a part: mostly the first text of a row, with errors of their own. At the
    end Ada takes back what she said of the picture, so that it is before her again."""
    site = make_site(rows, annotators=3, overlap=3, names=PEOPLE)
    for number, (turns, errs, pace) in enumerate([(12, {3}, 9), (12, {1, 4, 7}, 14), (7, {5, 10}, 6)], start=1):
        person = site.person(number)
        for turn in range(turns):
            assignment, _, _ = person.look()
            with site.database.reading() as session:
                given = session.get(Assignment, assignment)
                place, shown = session.get(Item, given.item_id).entry_id - 1, json.loads(given.shown)
            seconds = pace + 3 * (turn % 4)
            site.clock.now += seconds
            more: dict[str, Any] = {"confidence": 1 + (turn + number) % 3, "seconds": seconds}
            if place in (6, 10) and number < 3:
                person.judge("tie", **more)
            else:
                good = (shown[0] == 0) != (place in errs)
                note = "The other one invents it." if place in (0, 7, 9) and place not in errs else ""
                person.judge(places=[1, 2] if good else [2, 1], note=note, **more)
        if number == 1:
            with site.database.reading() as session:
                asked = select(Judgment.id).join(Assignment).join(Item).where(Item.entry_id == len(rows))
                undo(site.database, 1, session.exec(asked).one(), site.clock.now, 60)


def test_the_pages_of_the_tutorial(
    make_site: Callable[..., Any],
    serve: Callable[..., Any],
    browse: Callable[..., Any],
    sqlite_only: None,
    tmp_path: Path,
    folder: Path,
) -> None:
    draw(tmp_path / "shapes.png")
    rows = [{"prompt": prompt, "responses": responses} for prompt, *responses in [*ASKED, COUNTED]]
    judged_by_three(make_site, rows)
    server = serve(None, "annotators=3", "overlap=3")
    wide = {"viewport": {"width": 1180, "height": 760}}
    page = browse(server.links[PEOPLE[0]], **wide)
    assert page.evaluate("document.querySelector('.prompt img').naturalWidth") == 420
    page.click(
        ".choices >> text=A is better" if "two" in page.inner_text(".response") else ".choices >> text=B is better"
    )
    page.click(".sure >> text=fairly sure")
    page.fill("#note", "The other one counts the triangle.")
    page.mouse.move(0, 0)
    shoot(page, folder / "collect.png")
    admin = browse(server.links["admin"], **wide)
    admin.locator(".split summary").first.click()
    assert re.match(r"\d+ of 36 judgments", admin.inner_text("h1"))
    bottom = admin.evaluate("document.querySelector('.split').getBoundingClientRect().bottom + scrollY")
    clip = {"x": 0, "y": 0, "width": 1180, "height": bottom + 20}  # the other disagreements are more of the same
    shoot(admin, folder / "collect-admin.png", full_page=True, clip=clip)
    assert page.problems == admin.problems == []


def test_a_ranking_on_a_phone(
    serve: Callable[..., Any], browse: Callable[..., Any], sqlite_only: None, folder: Path
) -> None:
    slogans = ["Coffee, but awake.", "Good mornings, ground daily.", "Beans with a past.", "Wake up and smell us."]
    rows = [{"prompt": "A slogan for a café that roasts its own beans, please.", "responses": slogans}]
    server = serve(rows, "annotators=1", "overlap=1")
    page = browse(
        server.links["annotator-1"], viewport={"width": 375, "height": 812}, device_scale_factor=1.5, is_mobile=True
    )
    page.locator(".ranking .down").first.click()
    page.locator(".ranking .as-above").nth(2).check()
    shoot(page, folder / "collect-phone.png", full_page=True)
    assert page.problems == []
