"""Markdown as annotators read it: nothing that a text says is left out of what its Markdown shows.

Beyond CommonMark's own rules: definitions of links, entities and raw HTML are text as it stands; fences show their
language; links show their address and title; a list item keeps the number that the text gives it; marks of
emphasis inside of a word, underscores everywhere, and backslashes that Markdown does not need stay in sight (`2*3*4`,
`__init__`, LaTeX).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypedDict

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import escape

# Cells of a text's tables. A row of a table is filled up with empty cells: one of 16,000 characters took 5.6 seconds.
MOST_CELLS = 2_000
# Opening square brackets, each of which is looked at again by those before it.
MOST_BRACKETS = 1_000
# Lines with a bar, each of which might continue a table.
MOST_ROWS = 1_000
# What one writes a backslash before so that it is no Markdown.
_ESCAPED = frozenset("*_`~#|>-+!")
_DELIMITERS = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-*:?[ \t]*)*")


class Notes(TypedDict):
    """What the rules of one rendering share.

    Attributes:
        pictures: addresses on this server by the address in the Markdown.
        shown_addresses: those in the text of the pictures that are shown, in order.
        link_addresses: of the links that are open, the innermost last.
    """

    pictures: Mapping[str, str]
    shown_addresses: list[str]
    link_addresses: list[str]


@lru_cache(maxsize=1)
def _engine() -> MarkdownIt:
    """Return the engine, which makes no link and no HTML of the text's own."""
    # nested 20 deep at most: a text of `>` alone would be 10,000 quotes inside of each other
    engine = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False, "maxNesting": 20})
    engine.enable(["table", "strikethrough"])
    # four spaces of a model are an odd indentation, no program; a definition shows what it defines
    engine.disable(["code", "reference", "entity"])
    engine.normalizeLink = lambda address: address  # type: ignore[method-assign, assignment]  # shown as written, never followed
    engine.core.ruler.before("text_join", "shown_backslashes", _keep_backslashes)
    engine.core.ruler.push("shown_marks", _keep_marks)
    for token_type, write in WRITERS.items():
        engine.add_render_rule(token_type, _render_rule(write))
    return engine


def _render_rule(write: Callable[[Token, Notes], str]) -> Callable[..., str]:
    """Return a rule as the engine calls it, which becomes a method of its renderer."""
    return lambda _renderer, tokens, index, _options, notes: write(tokens[index], notes)


def render(text: str, pictures: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a text's Markdown as HTML, and the addresses of the pictures that it shows, as the text has them.

    Args:
        pictures: addresses on this server by the address in the Markdown; of other pictures the address is shown.

    Raises:
        RecursionError: marks inside of marks, deeper than Python can follow.
    """
    notes: Notes = {"pictures": pictures, "shown_addresses": [], "link_addresses": []}
    return str(_engine().render(text, dict(notes))), notes["shown_addresses"]


def is_costly(text: str) -> bool:
    """Return whether a text could keep the engine busy for seconds."""
    if text.count("[") > MOST_BRACKETS or sum("|" in line for line in text.split("\n")) > MOST_ROWS:
        return True
    # counted without parsing: an upper bound, since not every such line continues a table
    cells = columns = 0
    for line in text.split("\n"):
        if not line.strip(" \t>"):
            columns = 0
        elif "-" in line and _DELIMITERS.fullmatch(line):
            columns = max(columns, line.count("|") + 1)
        cells += columns
    return cells > MOST_CELLS


def addresses_of_pictures(text: str) -> Iterator[str]:
    """Yield where a text's Markdown says that its pictures lie, as the page would read it."""
    if is_costly(text):
        return
    try:
        tokens = _engine().parse(text)
    except RecursionError:
        return
    for block in tokens:
        for token in block.children or ():
            if token.type == "image":
                yield _source(token)


def _source(image: Token) -> str:
    return normalizeLink(str(image.attrGet("src") or ""))


def _keep_backslashes(state: StateCore) -> None:
    """Show the backslash of an escape that needs none in Markdown, as in LaTeX's `\\(` and `\\%`."""
    for block in state.tokens:
        for token in block.children or ():
            if token.type == "text_special" and token.info == "escape" and token.content not in _ESCAPED:
                token.content = token.markup


def _keep_marks(state: StateCore) -> None:
    """Note which marks of emphasis are shown: underscores, and those that touch an ASCII letter or digit outside."""
    for block in state.tokens:
        opened: list[int] = []
        children = block.children or ()
        for index, token in enumerate(children):
            if token.type in ("em_open", "strong_open", "s_open"):
                opened.append(index)
            elif token.type in ("em_close", "strong_close", "s_close") and opened:
                start = opened.pop()
                # `2*3*4` and `__init__` are no emphasis to whoever wrote them
                inside_a_word = _touches(children, start - 1, -1) or _touches(children, index + 1, 0)
                for mark in (children[start], token):
                    mark.meta["shown"] = inside_a_word or "_" in token.markup


def _touches(tokens: Sequence[Token], index: int, end: int) -> bool:
    text = tokens[index].content if 0 <= index < len(tokens) and tokens[index].type == "text" else ""
    return bool(text) and text[end].isascii() and text[end].isalnum()


def _emphasis(token: Token, notes: Notes) -> str:
    mark = escape(token.markup) if token.meta.get("shown") else ""
    return f"{mark}<{token.tag}>" if token.nesting == 1 else f"</{token.tag}>{mark}"


def _link_open(token: Token, notes: Notes) -> str:
    # `<https://...>` is its own address already
    notes["link_addresses"].append("" if token.info == "auto" else _with_title(token, "href"))
    return '<span class="link">'


def _link_close(token: Token, notes: Notes) -> str:
    address = notes["link_addresses"].pop()
    return f'</span><span class="address"> ({address})</span>' if address else "</span>"


def _image(token: Token, notes: Notes) -> str:
    address, words = _source(token), token.content
    if address in notes["pictures"]:
        notes["shown_addresses"].append(str(token.attrGet("src")))
        title = str(token.attrGet("title") or "")
        caption = f"{words} ({title})" if title else words  # seen by all: a model that is judged read it, too
        below = f'<span class="address">{escape(caption)}</span>' if caption else ""
        alt = escape(words or "a picture without a description")
        return f'<img src="{escape(notes["pictures"][address])}" alt="{alt}">{below}'
    return f'<span class="address">[picture: {escape(words)} ({_with_title(token, "src")})]</span>'


def _with_title(token: Token, name: str) -> str:
    """Return the address of a link or picture and its title, as the text has them."""
    title = str(token.attrGet("title") or "")
    address = str(token.attrGet(name) or "")
    return str(escape(f'{address} "{title}"' if title else address))


def _fence(token: Token, notes: Notes) -> str:
    info = token.info.strip()
    language = f'<span class="address">{escape(info)}</span>\n' if info else ""
    return f"<pre>{language}<code>{escape(token.content)}</code></pre>\n"


def _list_item_open(token: Token, notes: Notes) -> str:
    return f'<li value="{escape(token.info)}">' if token.info else "<li>"


def _heading(token: Token, notes: Notes) -> str:
    # below the page's own headings, by which a screen reader finds the responses
    tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return f"<{tag}>" if token.nesting == 1 else f"</{tag}>\n"


# What writes a token's HTML, by the token's type; the engine's own rules write all others.
WRITERS: dict[str, Callable[[Token, Notes], str]] = {
    "link_open": _link_open,
    "link_close": _link_close,
    "image": _image,
    "fence": _fence,
    "list_item_open": _list_item_open,
    **dict.fromkeys(("heading_open", "heading_close"), _heading),
    **dict.fromkeys((f"{mark}_{end}" for mark in ("em", "strong", "s") for end in ("open", "close")), _emphasis),
}
