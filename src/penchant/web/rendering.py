"""Texts of the data as safe HTML. Whatever a text holds, it cannot run, load, link, hide or leave its box.

Markdown is rendered with raw HTML shown as text; links become text with their address beside it, and so do pictures but
those that this server has; what comes out passes an allowlist of tags once more. Unseen characters are shown by their
code. A text of which Markdown would hide a part is shown as it is, with a note.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import nh3
from markupsafe import Markup, escape

from penchant.clean_text import clean
from penchant.web.markdown import is_costly, render
from penchant.web.visible import hides_text

# Characters of one text on the page; the whole of a longer one is a page of plain text of its own.
MOST_SHOWN = 20_000
# What may come out of the renderer: no `a`, so that nothing leads away, and no `h1` or `h2`, which are the page's own.
TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "span"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "img"),
}
ATTRIBUTES = {"li": {"value"}, "span": {"class"}, "img": {"src", "alt"}}
# A picture's address holds the digest of its bytes, and only this server has any.
OWN_PICTURE = re.compile(r"/(admin|w/\d+)/picture/[0-9a-f]{64}")

AS_IT_IS = "Shown as it is written: as Markdown, a part of it could not be seen."

Show = Literal["markdown", "plain"]


@lru_cache(maxsize=2048)  # each text is shown to several people, and again after a reload
def as_html(text: str, show: Show = "markdown", pictures: tuple[tuple[str, str], ...] = ()) -> Markup:
    """Return a text as HTML for a box of its own with `dir="auto"`.

    Args:
        text: anything, up to `MOST_SHOWN` characters of it.
        show: `markdown`, or `plain` for the text as it is, its lines and spaces kept by the style sheet.
        pictures: (address in the Markdown, address on this server) of those to show; of others the address is.
    """
    # before Markdown sees it: a mark could be hidden between unseen characters
    text = clean(text[:MOST_SHOWN]).strip("\n")
    if not text.strip():
        return Markup('<p class="nothing">(an empty text)</p>')
    if show == "plain":
        return Markup(f'<p class="plain">{escape(text)}</p>')
    html = None if is_costly(text) else _rendered(text, pictures)
    # Better ugly than incomplete: a part that people do not see is one that they do not judge.
    if html is None:
        return Markup(f'<p class="plain">{escape(text)}</p><p class="fine">{AS_IT_IS}</p>')
    return Markup(html)


def _rendered(text: str, pictures: tuple[tuple[str, str], ...]) -> str | None:
    """Return a text's Markdown as safe HTML; None where that would hide a part of the text."""
    try:
        html, shown_addresses = render(text, dict(pictures))
    except RecursionError:
        return None
    # once more, whatever the renderer let through
    cleaned = nh3.clean(
        html, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=_allowed, link_rel=None, strip_comments=True
    )
    return None if hides_text(text, cleaned, shown_addresses) else cleaned


def _allowed(tag: str, name: str, value: str) -> str | None:
    return value if name != "src" or OWN_PICTURE.fullmatch(value) else None


def is_cut(text: str) -> bool:
    """Return whether the page shows only the beginning of a text."""
    return len(text) > MOST_SHOWN
