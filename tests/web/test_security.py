"""Links, sessions, CSRF, sizes, rates, headers, and text that wants to be more than text."""

from __future__ import annotations

import json
import re
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.reports.kit.packaged import shared_css
from penchant.web.rendering import MOST_SHOWN, as_html
from penchant.web.security import MOST_BODY_BYTES, Rate
from penchant.web.signing_keys import SESSION_DAYS, Keys, load_keys

SCRIPT = "<script>alert(1)</script>"
ROWS = [{"prompt": f"p{n}", "responses": ["one", "two"]} for n in range(4)]


def test_only_the_right_link_opens_and_it_opens_one_persons_page(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS)
    one, two = site.person(1), site.person(2)
    stranger = site.new_client()
    for path in ("/w/1/", "/w/1/whole/1/prompt", "/admin/", "/admin/export.jsonl"):
        assert stranger.get(path).status_code == 403
    for wrong in (f"/a/1/{site.keys.link('2')}", "/a/1/x", f"/a/9/{site.keys.link('9')}", "/admin/in/x"):
        answer = stranger.get(wrong)
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers
    cookie = one.client.cookies["penchant"]
    assert site.new_client().get("/w/2/", headers={"Cookie": f"penchant={cookie}"}).status_code == 403
    assert site.new_client().get("/admin/", headers={"Cookie": f"penchant={cookie}"}).status_code == 403
    assert site.new_client().get("/w/1/", headers={"Cookie": f"penchant={cookie}"}).status_code == 200
    assert site.new_client().get("/w/1/", headers={"Cookie": f"penchant={cookie[:-1]}"}).status_code == 403
    theirs, _, csrf = two.look()
    before = one.look()
    answer = one.send(before[2], id=str(uuid.uuid4()), assignment=theirs, choice="tie")
    assert answer.status_code == 404
    assert one.client.get(f"/w/1/whole/{theirs}/prompt").status_code == 404
    assert one.send(csrf, id=str(uuid.uuid4()), assignment=before[0], choice="tie").status_code == 403
    assert two.look()[0] == theirs


def test_the_style_sheet_has_the_colours_of_all_pages(make_site: Callable[..., Any]) -> None:
    css = make_site(ROWS).new_client().get("/static/page.css").text
    assert css.startswith(shared_css())
    assert ".verdict" in css


def test_the_cookie_and_the_headers(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS, url="https://judge.example.org")
    client = site.new_client()
    answer = client.get(f"/a/1/{site.keys.link('1')}")
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/w/1", "secure"))
    for path in (f"/a/1/{site.keys.link('1')}", "/nowhere", "/w/1/", "/static/page.css"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = answer.text
    assert not re.search(r"<script(?![^>]*src=)|style=|\son\w+=|https?://", page)
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/openapi.json").status_code == 404


def test_a_change_needs_the_sessions_own_token_and_our_origin(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS)
    person = site.person(1)
    assignment, _, csrf = person.look()
    sent = {"id": str(uuid.uuid4()), "assignment": assignment, "choice": "tie"}
    post = lambda **headers: person.client.post("/w/1/judgments", json=sent, headers=headers).status_code  # noqa: E731
    assert post() == 403
    assert post(**{"X-CSRF-Token": "x"}) == 403
    assert post(**{"X-CSRF-Token": site.keys.csrf("other")}) == 403
    assert post(**{"X-CSRF-Token": csrf, "Origin": "https://evil.example"}) == 403
    assert post(**{"X-CSRF-Token": csrf, "Origin": "null"}) == 403
    assert post(**{"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}) == 403
    assert post(**{"X-CSRF-Token": csrf, "Origin": "http://127.0.0.1:8321"}) == 200
    admin = site.admin()
    assert admin.post("/admin/state", data={"csrf": "x", "stopped": "true"}).status_code == 403
    assert admin.post("/admin/state", data={"stopped": "true"}).status_code == 422
    assert site.new_client().get("/", headers={"Host": "rebound.example"}).status_code == 421


def test_sizes_and_rates_have_limits(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS, requests_per_minute=20)
    person = site.person(1)
    assignment, _, csrf = person.look()
    big = {"id": str(uuid.uuid4()), "assignment": assignment, "choice": "tie", "note": "x" * MOST_BODY_BYTES}
    assert person.send(csrf, **big).status_code == 413
    headers = {"X-CSRF-Token": csrf, "Content-Type": "application/json"}
    parts = (b"x" * 1000 for _ in range(100))  # sent in pieces, without saying how much
    assert person.client.post("/w/1/judgments", content=parts, headers=headers).status_code == 413
    assert person.send(csrf, **big | {"note": "x" * 2001}).status_code == 422
    assert person.client.get("/w/1/?" + "x" * 3000).status_code == 414
    codes = [person.client.get("/w/1/").status_code for _ in range(12)]
    assert codes[0] == 200
    assert codes[-1] == 429
    assert int(person.client.get("/w/1/").headers["Retry-After"]) >= 1
    guesses = [site.new_client().get("/a/1/guess").status_code for _ in range(40)]
    assert guesses[0] == 404
    assert guesses[-1] == 429


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    rate = Rate(60, lambda: now[0])
    assert [rate.wait("a") for _ in range(31)][-1] == pytest.approx(1.0)
    assert rate.wait("b") == 0
    now[0] = 1.0
    assert rate.wait("a") == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", SCRIPT),
        ("id", "A" * 36),
        ("assignment", SCRIPT),
        ("assignment", -1),
        ("assignment", 2**40),
        ("choice", SCRIPT),
        ("places", [SCRIPT]),
        ("places", [1]),
        ("places", [1, 1]),
        ("places", [1, 3]),
        ("places", [1] * 1000),
        ("confidence", SCRIPT),
        ("confidence", 4),
        ("reason", SCRIPT),
        ("reason", "unclear"),
        ("note", ["x"]),
        ("seconds", SCRIPT),
        ("seconds", -1),
        ("other", 1),
    ],
)
def test_a_field_that_is_wrong_is_refused_without_an_echo(
    make_site: Callable[..., Any], field: str, value: Any
) -> None:
    person = make_site(ROWS).person(1)
    assignment, _, csrf = person.look()
    sent = {"id": str(uuid.uuid4()), "assignment": assignment, "choice": "ranked", "places": [1, 2], field: value}
    answer = person.send(csrf, **sent)
    assert answer.status_code in (404, 422)
    assert "<" not in answer.text
    assert person.look()[0] == assignment


def test_script_in_every_text_comes_out_as_text(make_site: Callable[..., Any]) -> None:
    rows = [{"prompt": [{"role": "user", "content": f"p{SCRIPT}"}], "responses": [f"a{SCRIPT}", f"b{SCRIPT}"]}]
    names = [f"n{SCRIPT}".replace("/", "")]
    site = make_site(rows, names=names, title=f"t{SCRIPT}", instructions=f"i{SCRIPT}", annotators=2)
    one, two = site.person(1), site.person(2)
    pages = [one.page(), one.client.get(f"/a/1/{site.keys.link('1')}").text]
    one.judge(places=[1, 2], note=f"note{SCRIPT}\x00")
    assignment, _, csrf = two.look()
    half = json.dumps({"id": str(uuid.uuid4()), "assignment": assignment, "choice": "tie", "note": "\ud800"})
    headers = {"X-CSRF-Token": csrf, "Content-Type": "application/json"}
    assert two.client.post("/w/2/judgments", content=half, headers=headers).status_code == 422
    two.judge("tie")
    pages.append(site.admin().get("/admin/").text)
    for page in pages:
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    assert f"note{SCRIPT.replace('<', '&lt;').replace('>', '&gt;')}" in pages[-1]


HARD = ["<", ">", "&", '"', "'", "`", "[", "](", ")", "![", "*", "_", "\n", "\n\n", "```", "|", "-", "#", "javascript:"]
HARD += [
    "<img src=x onerror=alert(1)>",
    "\u202e",
    "\u200b",
    "\x00",
    "\ud800",
    "<!--",
    "<svg/onload=alert(1)>",
    "a" * 50,
]


@settings(max_examples=150)
@given(st.lists(st.one_of(st.sampled_from(HARD), st.text(max_size=8)), max_size=30).map("".join))
def test_no_text_gets_out_of_its_box(text: str) -> None:
    for show in ("markdown", "plain"):
        html = str(as_html(text, show))
        tags = re.findall(r"<\s*/?\s*([a-zA-Z!][^\s>]*)([^>]*)>", html)
        assert all(name.lower() not in ("script", "img", "a", "svg", "style", "iframe", "!--") for name, _ in tags)
        assert all(
            re.fullmatch(r'( class="(link|address|plain|nothing|fine)"| start="\d+"| /|/)?', rest) for _, rest in tags
        )
        assert not re.search("[\x00\u200b\u202e\ud800-\udfff]", html)
        html.encode("utf-8")


def test_markdown_is_shown_and_addresses_stand_beside_links() -> None:
    html = as_html("**b** [x](https://e.org/?a=1&b=2) ![y](https://e.org/p.png)\n\n1. one\n\n```js\n<b>\n```")
    assert "<strong>b</strong>" in html
    assert '<span class="link">x</span><span class="address"> (https://e.org/?a=1&amp;b=2)</span>' in html
    assert "[picture: y (https://e.org/p.png)]" in html
    assert '<ol>\n<li value="1">one</li>' in html
    assert "<code>&lt;b&gt;" in html
    assert "an empty text" in as_html(" \n ")
    assert as_html("**b**", "plain") == '<p class="plain">**b**</p>'


def test_a_long_text_is_cut_and_whole_elsewhere(make_site: Callable[..., Any]) -> None:
    long = "word " * MOST_SHOWN
    person = make_site([{"prompt": long, "responses": ["<b>one</b>", f"two {long}"]}]).person(1)
    text = person.page()
    assert len(text) < 5 * MOST_SHOWN
    assert text.count('target="_blank"') == 2
    for address in re.findall(r'href="(/w/1/whole/[^"]+)"', text):
        answer = person.client.get(address)
        assert answer.headers["content-type"].startswith("text/plain")
        assert len(answer.text) >= len(long)
    assert person.client.get(re.sub(r"\d+$", "7", address)).status_code == 404


def test_the_whole_text_shows_what_is_unseen(make_site: Callable[..., Any]) -> None:
    long = "word " * MOST_SHOWN
    person = make_site([{"prompt": f"\u202e{long}", "responses": [f"a\U000e0041{long}", "two"]}]).person(1)
    for address in re.findall(r'href="(/w/1/whole/[^"]+)"', person.page()):
        assert re.search(r"⟨U\+(202E|E0041)⟩", person.client.get(address).text)


def test_keys_are_secret_and_sessions_end(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys = load_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keys(path).link("1") == keys.link("1") != keys.link("2")
    session = keys.new_session("1", now=0)
    assert keys.holds("1", session, now=SESSION_DAYS * 86400 - 1)
    assert not keys.holds("1", session, now=SESSION_DAYS * 86400)
    assert not keys.holds("2", session, now=1)
    assert not Keys(b"o" * 32).holds("1", session, now=1)
    path.write_text("c2hvcnQ=")
    with pytest.raises(InputError, match="no key file of Penchant"):
        load_keys(path)
