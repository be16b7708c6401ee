"""The page in real Chromium: people by mouse and by keyboard, two at once, a server that dies, a disk that is full."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from penchant.data.load import load_preferences

pytestmark = pytest.mark.slow

POSTGRES = os.environ.get("PENCHANT_TEST_POSTGRES", "")
HOSTILE = (
    "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'><b onclick='window.hacked=1'>b</b> "
    "[link](javascript:window.hacked=1) ![i](https://evil.example/x.png) \u202egnirts\u202c \u200b zero "
    "</textarea></div></section><style>body{display:none}</style> مرحبا " + "x" * 3000
)


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"Question {n}?", "responses": [f"short {n}", f"a longer answer {n}"]} for n in range(count)]


def test_a_persons_whole_path_by_mouse(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(pairs(4), "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    for done, button in enumerate(("A is better", "Tie", "Both bad"), start=1):
        page.click(f".choices >> text={button}")
        page.click(".sure >> text=fairly sure")
        page.fill("#note", f"because {done}")
        page.click("#save")
        saved(page, done)
    page.click("#undo")  # both bad, after all
    saved(page, 2)
    page.click(".choices >> text=B is better")
    page.click("#save")
    saved(page, 3)
    page.click(".choices >> text=Skip")
    page.click("#save")
    assert "Say why you skip it" in page.inner_text("#banner")
    page.select_option("#reason", "knowledge")
    page.click("#save")
    saved(page, 4)
    assert "nothing for you to judge" in page.inner_text("main")
    assert page.problems == []
    comparisons = [one for row in server.rows for one in row["comparisons"]]
    assert len(comparisons) == 3
    assert sum(one.get("tie", False) for one in comparisons) == 1
    admin = browse(server.links["admin"])
    assert "3 of 4 judgments" in admin.inner_text("h1")
    with admin.expect_download() as download:
        admin.click("text=Export JSONL")
    groups = load_preferences(download.value.path().rename(server.folder / "out.jsonl"), ties="half")
    assert len(groups) == 3
    assert POSTGRES or groups == load_preferences(server.folder / "penchant.sqlite", ties="half")
    admin.click("#pause")
    assert "paused" in admin.inner_text("h1")


def test_the_same_by_keyboard_alone(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(pairs(3), "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    press = page.keyboard.press
    press("2")
    press("c")
    press("c")
    press("n")
    page.keyboard.type("1 t b s")  # letters in a note are no shortcuts
    press("Escape")
    press("Enter")
    saved(page, 1)
    press("t")
    press("Enter")
    saved(page, 2)
    press("u")
    saved(page, 1)
    press("b")
    press("Enter")
    saved(page, 2)
    press("s")
    page.keyboard.type("It is off")  # in the list of reasons
    press("Tab")
    for _ in range(4):  # how sure, the note, then the button
        if page.evaluate("document.activeElement.id") == "save":
            break
        press("Tab")
    press("Enter")
    saved(page, 3)
    assert page.problems == []
    where = [f"out={POSTGRES}"] if POSTGRES else []
    command = [sys.executable, "-m", "penchant.cli", "collect", "--export", "out.jsonl", *where]
    subprocess.run(command, cwd=server.folder, check=True)
    said = [
        one for line in (server.folder / "out.jsonl").read_text().splitlines() for one in json.loads(line)["judgments"]
    ]
    assert [(one["choice"], one.get("note")) for one in said] == [("ranked", "1 t b s"), ("both_bad", None)]
    assert said[0]["confidence"] == 2


def test_ranking_by_keyboard_and_by_dragging(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    rows = [{"prompt": f"p{n}", "responses": [f"text {letter} {n}" for letter in "wxyz"]} for n in range(2)]
    server = serve(rows, "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    order = lambda: [text.split()[1] for text in page.locator(".ranking .text").all_inner_texts()]  # noqa: E731
    start = order()
    press = page.keyboard.press
    press("4")
    for _ in range(3):
        press("Shift+ArrowUp")
    assert order() == [start[3], *start[:3]]
    press("ArrowDown")
    press("=")  # as good as the one above
    assert "is at place 1 of 4" in page.inner_text("#live")
    press("Enter")
    saved(page, 1)
    equal = {start[3], start[0]}
    start = order()
    page.locator(".ranking .handle").nth(3).scroll_into_view_if_needed()
    handle = page.locator(".ranking .handle").nth(3).bounding_box()
    target = page.locator(".ranking li").nth(0).bounding_box()
    page.mouse.move(handle["x"] + 5, handle["y"] + 5)
    page.mouse.down()
    page.mouse.move(target["x"] + 40, target["y"] + 30, steps=8)
    page.mouse.move(target["x"] + 40, target["y"] + 5, steps=4)
    page.mouse.up()
    assert order() == [start[3], *start[:3]]
    page.click("#save")
    saved(page, 2)
    by_row = [
        [(one["winner"], one["loser"], one.get("tie", False)) for one in row["comparisons"]] for row in server.rows
    ]
    tied = next(row for row in by_row if any(tie for *_, tie in row))
    clear = next(row for row in by_row if row is not tied)
    assert [{"wxyz"[a], "wxyz"[b]} for a, b, tie in tied if tie] == [equal]
    assert sorted("wxyz".index(start[3]) == winner for winner, *_ in clear) == [False] * 3 + [True] * 3
    assert page.problems == []


def test_two_people_at_once_and_a_reload_in_the_middle(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(pairs(3), "annotators=2", "overlap=2")
    one, two = (browse(server.links[f"annotator-{number}"]) for number in (1, 2))
    for done in range(3):
        for page in (one, two):
            page.keyboard.press("1")
            page.keyboard.press("c")
            page.fill("#note", "halfway")
        before = one.inner_text(".prompt")
        one.reload()
        assert one.inner_text(".prompt") == before
        assert one.is_checked("input[value=first]")
        assert one.input_value("#note") == "halfway"
        for page in (two, one):
            page.click("#save")
            saved(page, done + 1)
    comparisons = [one for row in server.rows for one in row["comparisons"]]
    assert len(comparisons) == 6
    assert {one["annotator"] for one in comparisons} == {"annotator-1", "annotator-2"}


def test_hostile_text_in_every_field_does_nothing(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    rows = [{"prompt": [{"role": "user", "content": HOSTILE}], "responses": [HOSTILE, f"{HOSTILE} 2"]}]
    tag = "<img src=x onerror='window.hacked=1'>"
    settings = [f"title={HOSTILE[:60]}", f"instructions={HOSTILE[:600]}", f'names=["1{tag}", "2{tag}"]']
    if not POSTGRES:
        settings.append(f"out=database{tag}.sqlite")
    server = serve(rows, "annotators=2", *settings, file=f"source{tag}.jsonl")
    one, two = (browse(next(link for link in server.links.values() if f"/a/{number}/" in link)) for number in (1, 2))
    for page, choice in ((one, "A is better"), (two, "A is better")):  # on the other side, so they disagree
        assert page.is_visible(".prompt")
        assert "⟨U+202E⟩" in page.inner_text(".prompt")
        assert "<script>" in page.inner_text(".prompt")
        assert "source<img" not in page.content().replace("&lt;", "<")  # nobody sees where a text came from
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".text a, .text img, .text script, .text style").count() == 0
        page.evaluate("document.querySelector('#reason option:last-child').value = \"<img src=x onerror='hacked=1'>\"")
        page.click(".choices >> text=Skip")
        page.select_option("#reason", index=5)
        page.click("#save")
        page.locator("#banner", has_text="reason").wait_for()  # refused, and not repeated
        page.locator("#save:enabled").wait_for()
        page.fill("#note", HOSTILE[:1500])
        page.keyboard.press("Escape")
        page.click(f".choices >> text={choice}")
        page.click("#save")
        saved(page, 1)
    admin = browse(server.links["admin"])
    assert "judgments" in admin.inner_text("h1")
    admin.click(".split summary")
    text = admin.inner_text("main")
    assert text.count("onerror='window.hacked=1'>") >= 6  # both names, both notes, prompt, responses
    assert POSTGRES or "database<img" in admin.inner_text("header")
    for page in (one, two, admin):
        assert page.evaluate("window.hacked") is None
        assert page.problems == []
        assert all(url.startswith(f"http://127.0.0.1:{server.port}/") for url in page.asked)
        assert not any(urlsplit(url).path.endswith("/x") for url in page.asked)  # a secret may begin with x


def test_a_killed_server_loses_no_answer(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(pairs(3), "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    saved(page, 1)
    server.kill()
    page.keyboard.press("2")
    page.fill("#note", "while it was down")
    page.click("#save")
    page.locator("#banner", has_text="kept in this browser").wait_for()
    server.start()
    saved(page, 2)
    server.kill()
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    page.locator("#banner", has_text="kept in this browser").wait_for()
    link, context = page.url, page.context
    page.close()  # the window is closed before the server is back
    server.start()
    page = context.new_page()
    page.goto(link)
    saved(page, 3)
    comparisons = [one for row in server.rows for one in row["comparisons"]]
    assert len(comparisons) == 3


def test_a_full_disk_is_said_and_the_answer_kept(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None], sqlite_only: None
) -> None:
    server = serve(pairs(3), "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    server.limit_files(4096)
    page.keyboard.press("1")
    page.fill("#note", "n" * 1500)
    page.click("#save")
    page.locator("#banner", has_text="cannot save").wait_for()
    page.reload()  # the item that is before the person is shown still
    page.locator("#banner", has_text="cannot save").wait_for()
    server.limit_files(resource.RLIM_INFINITY)
    saved(page, 1)
    assert len([one for row in server.rows for one in row["comparisons"]]) == 1
