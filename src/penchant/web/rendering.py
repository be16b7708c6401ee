"""Texts of the data as safe HTML. Whatever a text holds, it cannot run, load, link, hide or leave its box.

Markdown is rendered with raw HTML shown as text; links become text with their address beside it, and so do pictures but
those that this server has; what comes out passes an allowlist of tags once more. Unseen characters are shown by their
code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from penchant.reports.words import clean

MOST_SHOWN = 20_000
"""Characters of one text on the page; the whole of a longer one is a page of plain text of its own."""

TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "span"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "img"),
}
ATTRIBUTES = {"ol": {"start"}, "span": {"class"}, "img": {"src", "alt"}}
OWN_PICTURE = re.compile(r"/(admin|w/\d+)/picture/[0-9a-f]{64}")

Show = Literal["markdown", "plain"]


@lru_cache(maxsize=2048)
def as_html(text: str, show: Show = "markdown", pictures: tuple[tuple[str, str], ...] = ()) -> Markup:
    """A text as HTML for a box of its own with `dir="auto"`.

    Args:
        text: anything, up to `MOST_SHOWN` characters of it.
        show: `markdown`, or `plain` for the text as it is, its lines and spaces kept by the style sheet.
        pictures: (address in the Markdown, address on this server) of those to show; of others the address is.
    """
    text = clean(text[:MOST_SHOWN]).strip("\n")
    if not text.strip():
        return Markup('<p class="nothing">(an empty text)</p>')
    if show == "plain":
        return Markup(f'<p class="plain">{escape(text)}</p>')
    try:
        html = _markdown().render(text, {"pictures": dict(pictures)})
    except RecursionError:
        return Markup(f'<p class="plain">{escape(text)}</p>')
    cleaned = nh3.clean(
        html, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=_allowed, link_rel=None, strip_comments=True
    )
    return Markup(cleaned)


def _allowed(tag: str, name: str, value: str) -> str | None:
    return value if name != "src" or OWN_PICTURE.fullmatch(value) else None


def addresses_of_pictures(text: str) -> Iterator[str]:
    """Where a text's Markdown says that its pictures lie, as the page would read it."""
    try:
        tokens = _markdown().parse(clean(text))
    except RecursionError:
        return
    for block in tokens:
        for token in block.children or ():
            if token.type == "image":
                yield str(token.attrGet("src") or "")


def is_cut(text: str) -> bool:
    """Whether the page shows only the beginning of a text."""
    return len(text) > MOST_SHOWN


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    engine = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False, "maxNesting": 20})
    engine.enable(["table", "strikethrough"])
    engine.disable("code")  # four spaces of a model are an odd indentation, no program
    for rule in (_link_open, _link_close, _image, _fence, _heading_open, _heading_close):
        engine.add_render_rule(rule.__name__.removeprefix("_"), rule)
    return engine


def _link_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    env.setdefault("addresses", []).append(str(tokens[index].attrGet("href") or ""))
    return '<span class="link">'


def _link_close(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f'</span><span class="address"> ({escape(env["addresses"].pop())})</span>'


def _image(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    address, words = str(tokens[index].attrGet("src") or ""), tokens[index].content
    if address in env.get("pictures", ()):
        return (
            f'<img src="{escape(env["pictures"][address])}" alt="{escape(words or "a picture without a description")}">'
        )
    return f'<span class="address">[picture: {escape(words)} ({escape(address)})]</span>'


def _fence(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f"<pre><code>{escape(tokens[index].content)}</code></pre>\n"


def _heading_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f"<{_below_ours(tokens[index].tag)}>"


def _heading_close(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f"</{_below_ours(tokens[index].tag)}>\n"


def _below_ours(tag: str) -> str:
    """A text's headings start below the page's own, which a screen reader goes through to find the responses."""
    return f"h{min(6, int(tag[1]) + 2)}"
