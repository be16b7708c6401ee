"""On a phone and with a screen reader, in real Chromium: what is named, reached by Tab, large enough and legible."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}
MARKDOWN = "# Big\n\nSome text with `code`, a [link](https://e.org) and\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"

# Rules in the manner of axe, which the page must keep: what it finds is a list of sentences, empty if all is well.
RULES = r"""() => {
  const found = [], all = (query) => [...document.querySelectorAll(query)];
  const visible = (node) => node.checkVisibility({visibilityProperty: true}) && node.getClientRects().length > 0;
  const tell = (node) => node.outerHTML.slice(0, 80);
  const nameOf = (node) => {
    const by = node.getAttribute("aria-labelledby");
    if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    if (node.hasAttribute("aria-label")) return node.getAttribute("aria-label").trim();
    if (node.labels?.length) return [...node.labels].map((label) => label.textContent).join(" ").trim();
    if (node.tagName === "IMG") return node.alt.trim();
    return node.textContent.trim();
  };

  if (!document.documentElement.lang) found.push("no language");
  if (all("main").length !== 1) found.push("not one main");
  if (all("h1").filter(visible).length !== 1) found.push("not one h1");
  const ids = all("[id]").map((node) => node.id);
  if (new Set(ids).size < ids.length) found.push("an id twice");
  const controls = "a, button, input:not([type=hidden]), select, textarea, summary, progress, [tabindex='0']";
  for (const node of all(`${controls}, img, section, [role=group], [role=region]`))
    if (!nameOf(node)) found.push(`no name: ${tell(node)}`);
  for (const attribute of ["aria-labelledby", "aria-describedby"])
    for (const node of all(`[${attribute}]`))
      for (const id of node.getAttribute(attribute).split(" "))
        if (!document.getElementById(id)) found.push(`${id} is nowhere: ${tell(node)}`);
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) found.push(`an order of its own: ${tell(node)}`);
  for (const node of all("fieldset")) if (!node.querySelector("legend")) found.push(`no legend: ${tell(node)}`);
  for (const node of all("th")) if (!node.closest(".text") && !node.scope) found.push(`no scope: ${tell(node)}`);
  for (const node of all("label kbd, button kbd, summary kbd, legend kbd"))
    if (node.getAttribute("aria-hidden") !== "true") found.push(`a key in a name: ${tell(node.parentElement)}`);
  let level = 1;
  for (const node of all("main h1, main h2, main h3, main h4, main h5, main h6").filter(visible)) {
    const now = Number(node.tagName[1]);
    if (now > level + 1) found.push(`a level left out: ${tell(node)}`);
    if (now < 3 && node.closest(".text")) found.push(`a text's heading among ours: ${tell(node)}`);
    level = now;
  }
  for (const node of all("body *").filter(visible)) {  // a body's texts stand in landmarks, or are announced
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (own && !node.closest("main, header, nav, footer, [role=status], [role=alert], .skip-link"))
      found.push(`in no landmark: ${tell(node)}`);
  }

  // contrast, by WCAG 2: 4.5 to 1, or 3 to 1 for large text
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parts = (color) => { const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = (top, under, alpha) => top.map((value, at) => value * alpha + under[at] * (1 - alpha));
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a] = parts(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  for (const node of all("body *").filter(visible)) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.matches(":disabled, :disabled *, .visually-hidden, .skip-link, option, noscript")) continue;
    const style = getComputedStyle(node), ground = behind(node);
    let alpha = parts(style.color)[3];
    for (let at = node; at; at = at.parentElement) alpha *= Number(getComputedStyle(at).opacity);
    const ink = over(parts(style.color).slice(0, 3), ground, alpha);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if ((high + 0.05) / (low + 0.05) < (large ? 3 : 4.5))
      found.push(`contrast ${((high + 0.05) / (low + 0.05)).toFixed(2)}: ${tell(node)}`);
  }
  return found;
}"""

# What a finger cannot hit: below 44 px, by what reacts to it (a radio button's label, a checkbox's).
SMALL = """() => [...document.querySelectorAll(
    "button, .button, .choices label, .sure label, .equal, select, textarea, summary, .handle")]
  .filter((node) => node.checkVisibility() && node.getClientRects().length > 0)
  .map((node) => [node.outerHTML.slice(0, 60), node.getBoundingClientRect()])
  .filter(([, box]) => box.width < 43.5 || box.height < 43.5)
  .map(([html, box]) => `${box.width}x${box.height} ${html}`)"""

FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def rows(responses: int, count: int = 2) -> list[dict[str, Any]]:
    turns = [{"role": "user", "content": f"{MARKDOWN}Why?"}, {"role": "assistant", "content": "Well."}]
    texts = [f"{MARKDOWN}{letter}" for letter in "wxyz"[:responses]]
    return [{"prompt": [*turns, {"role": "user", "content": f"And {n}?"}], "responses": texts} for n in range(count)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("responses", [2, 4])
def test_every_page_keeps_the_rules(
    browse: Callable[..., Any],
    serve: Callable[..., Any],
    saved: Callable[[Any, int], None],
    responses: int,
    scheme: str,
) -> None:
    server = serve(rows(responses, 1), "annotators=2", "overlap=2")
    one, two = (browse(server.links[f"annotator-{number}"], color_scheme=scheme) for number in (1, 2))
    assert one.evaluate(RULES) == []
    one.keyboard.press("?")  # the help
    one.keyboard.press("t")  # something chosen
    one.keyboard.press("c")
    assert one.evaluate(RULES) == []
    one.keyboard.press("s")
    one.click("#save")  # something missing
    assert one.is_visible("#banner")
    assert one.get_attribute("#reason", "aria-invalid") == "true"
    assert one.evaluate("document.activeElement.id") == "reason"
    assert one.evaluate(RULES) == []
    one.select_option("#reason", "unclear")
    assert one.get_attribute("#reason", "aria-invalid") is None
    one.click(".choices >> text=bad")
    one.fill("#note", "because")
    one.click("#save")
    saved(one, 1)
    assert one.evaluate(RULES) == []
    two.keyboard.press("1" if responses == 2 else "r")
    two.keyboard.press("Enter")
    saved(two, 1)
    for link in (server.links["annotator-1"], server.links["admin"]):
        one.goto(link)
        assert one.evaluate(RULES) == []
    admin = browse(server.links["admin"], color_scheme=scheme)
    admin.click(".split summary")
    assert admin.evaluate(RULES) == []
    assert one.problems == two.problems == admin.problems == []


@pytest.mark.parametrize("responses", [2, 4])
def test_a_phone_shows_all_and_a_finger_hits_it(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None], responses: int
) -> None:
    wide = "| " + " | ".join(["wide column"] * 12) + " |\n|" + "---|" * 12 + "\n\n" + "x" * 400
    texts = [f"{wide} {letter}" for letter in "wxyz"[:responses]]
    server = serve([{"prompt": f"{wide} {n}", "responses": texts} for n in range(2)], "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"], **PHONE)
    for width in (375, 320):  # 320 is a page of 1,280 px at 400%
        page.set_viewport_size({"width": width, "height": 667})
        assert page.evaluate(FITS)
        assert page.evaluate(SMALL) == []
    if responses == 4:  # the buttons of a card stand beside each other
        up, down = (page.locator(f".ranking .{name}").first.bounding_box() for name in ("up", "down"))
        assert up["y"] == down["y"]
    page.tap("#help summary")
    assert page.evaluate(FITS)
    assert page.evaluate(SMALL) == []
    page.tap("#help summary")
    if responses == 4:
        order = lambda: [text.split()[-1] for text in page.locator(".ranking .text").all_inner_texts()]  # noqa: E731
        start = order()
        page.tap(".ranking li:nth-child(4) .up")
        assert order() == [start[0], start[1], start[3], start[2]]
        drag_to_the_top(page, ".ranking li:nth-child(2) .handle")
        assert order() == [start[1], start[0], start[3], start[2]]
    else:
        page.tap(".choices >> text=B is better")
    page.tap(".sure >> text=a guess")
    page.tap("#save")
    saved(page, 1)
    page.tap(".choices >> text=Skip")
    assert page.evaluate(SMALL) == []
    page.select_option("#reason", "other")
    page.tap("#save")
    saved(page, 2)
    assert page.evaluate(FITS)
    admin = browse(server.links["admin"], **PHONE)
    assert admin.evaluate(FITS)
    assert admin.evaluate(SMALL) == []
    assert page.problems == admin.problems == []


def drag_to_the_top(page: Any, handle: str) -> None:
    """One finger from a handle to the upper edge of the screen, where it rests until the list's beginning is there."""
    page.locator(handle).scroll_into_view_if_needed()
    box = page.locator(handle).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 9):
        points = [{"x": x, "y": y + (20 - y) * step / 8}]
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
    page.locator(".ranking li.dragged:first-child").wait_for()
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_screen_reader_hears_two_responses_and_what_became_of_the_answer(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(rows(2), "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    tree = page.locator("body").aria_snapshot()
    for line in (
        "- banner:",
        "- progress",
        "- main:",
        '- heading "Which response is better?" [level=1]',
        '- region "Prompt":',
        '- heading "Person" [level=3]',
        '- region "Response A":',
        '- region "Response B":',
        '- group "Your answer":',
        '- group "Which is better?":',
        '- radio "A is better"',
        '- radio "Both bad"',
        '- group "How sure?":',
        '- radio "fairly sure"',
        '- textbox "Note"',
        '- button "Save and next"',
        '- button "Undo" [disabled]',
        "- status",
    ):
        assert line in tree, f"{line}\n{tree}"
    assert '- heading "Big" [level=3]' in tree
    assert page.title() == "Which response is better? (0 of about 2 done)"
    assert page.evaluate("document.activeElement.id") == "top"
    page.keyboard.press("1")
    assert page.inner_text("#live") == "A is better"
    page.keyboard.press("Enter")
    saved(page, 1)
    page.locator("#live", has_text="Saved. The next item.").wait_for(state="attached")
    page.keyboard.press("u")
    saved(page, 0)
    page.locator("#live", has_text="Undone. The item is here again.").wait_for(state="attached")


def test_tab_goes_through_a_ranking_in_its_order_and_nothing_is_hidden_behind_the_answers(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(rows(3, 1), "annotators=1", "overlap=1")
    page = browse(server.links["annotator-1"])
    page.evaluate("document.getElementById('shortcuts').click()")  # by Tab, Space and arrows alone
    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                """() => {
                  const at = document.activeElement, box = at.getBoundingClientRect();
                  const name = at.id || at.getAttribute("aria-label") || at.name || at.className || at.tagName;
                  const x = box.x + Math.min(box.width, 40) / 2, y = box.y + Math.min(box.height, 40) / 2;
                  const top = document.elementFromPoint(x, y);
                  return [name, Boolean(top && (at.contains(top) || top.contains(at)))];
                }"""
            )
        )
        if stops[-1][0] == "save":
            break
    names = [name for name, _ in stops]
    cards = [name for name in names if re.fullmatch(r"Response [ABC], place \d of 3", name)]
    assert cards == [f"Response {letter}, place {place} of 3" for place, letter in enumerate("ABC", start=1)]
    assert names.index("Move response B up") > names.index(cards[1])
    assert names.index("choice") > names.index("Move response C up")
    assert names.index("choice") < names.index("confidence") < names.index("note") < names.index("save")
    assert [name for name, seen in stops if not seen] == []
    page.locator("[aria-label='Move response C up']").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert page.get_attribute(".ranking li:first-child", "aria-label") == "Response C, place 1 of 3"
    assert page.inner_text("#live") == "Response C is at place 1 of 3"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Response C, place 1 of 3"
    page.locator(".ranking li:nth-child(2) .as-above").focus()
    page.keyboard.press("Space")
    assert page.is_checked("input[value=ranked]")
    page.locator("#save").focus()
    page.keyboard.press("Enter")
    saved(page, 1)
    comparisons = json.loads(json.dumps(server.rows))[0]["comparisons"]
    assert sorted(one.get("tie", False) for one in comparisons) == [False, False, True]
    assert page.problems == []


def test_the_page_that_waits_moves_nobody_until_there_is_something(
    browse: Callable[..., Any], serve: Callable[..., Any], saved: Callable[[Any, int], None]
) -> None:
    server = serve(rows(2, 1), "annotators=2", "overlap=1")
    one = browse(server.links["annotator-1"])
    two = one.context.browser.new_context().new_page()
    two.goto(server.links["annotator-2"])
    two.click("#start")
    two.wait_for_selector("#done")
    two.evaluate("document.querySelector('[data-retry]').dataset.retry = '0.2'")
    two.goto(two.url)  # a new page, whose waiting is made short before it begins
    two.add_init_script(
        "document.addEventListener('DOMContentLoaded', () => "
        "{ const at = document.querySelector('[data-retry]'); if (at) at.dataset.retry = '0.2'; }, {capture: true})"
    )
    two.reload()
    two.evaluate("window.same = true")
    admin = browse(server.links["admin"])
    admin.click("#pause")
    two.get_by_text("The collection is paused").wait_for()
    assert two.evaluate("window.same")
    admin.click("#pause")
    two.get_by_text("nothing for you to judge").wait_for()
    assert two.evaluate("window.same")
    one.click(".choices >> text=Skip")
    one.select_option("#reason", "unclear")
    one.click("#save")
    two.wait_for_selector("#form")
    assert two.evaluate("window.same") is None
