"""Markdown as annotators read it: nothing that a text says is left out of what its Markdown shows.

Beyond CommonMark's own rules: definitions of links, entities and raw HTML are text as it stands; fences show their
language; links show their address and title; a list item keeps the number that the text gives it; marks of
emphasis inside of a word, underscores everywhere, and backslashes that Markdown does not need stay in sight (`2*3*4`,
`__init__`, LaTeX).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markupsafe import escape

MOST_CELLS = 2_000
"""Cells of a text's tables. A table of 16,000 characters can have so many empty cells that it takes seconds."""
MOST_BRACKETS = 1_000
"""Opening square brackets, each of which is looked at again by those before it."""
MOST_ROWS = 1_000
"""Lines with a bar, each of which might continue a table."""
_ESCAPED = frozenset("*_`~#|>-+!")
"""What one writes a backslash before so that it is no Markdown."""
_DELIMITERS = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-*:?[ \t]*)*")


@lru_cache(maxsize=1)
def markdown() -> MarkdownIt:
    """Return the engine, which makes no link and no HTML of the text's own."""
    engine = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False, "maxNesting": 20})
    engine.enable(["table", "strikethrough"])
    # four spaces of a model are an odd indentation, no program; a definition shows what it defines
    engine.disable(["code", "reference", "entity"])
    engine.normalizeLink = lambda address: address  # type: ignore[method-assign, assignment]  # shown as written, never followed
    engine.core.ruler.before("text_join", "shown_backslashes", _keep_backslashes)
    engine.core.ruler.push("shown_marks", _keep_marks)
    for rule in (_link_open, _link_close, _image, _fence, _heading_open, _heading_close, _list_item_open):
        engine.add_render_rule(rule.__name__.removeprefix("_"), rule)
    for mark in ("em", "strong", "s"):
        engine.add_render_rule(f"{mark}_open", _emphasis)
        engine.add_render_rule(f"{mark}_close", _emphasis)
    return engine


def is_costly(text: str) -> bool:
    """Return whether a text could keep the engine busy for seconds."""
    if text.count("[") > MOST_BRACKETS or sum("|" in line for line in text.split("\n")) > MOST_ROWS:
        return True
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
        tokens = markdown().parse(text)
    except RecursionError:
        return
    for block in tokens:
        for token in block.children or ():
            if token.type == "image":
                yield _source(token)


def _source(image: Any) -> str:
    return str(normalizeLink(str(image.attrGet("src") or "")))


def _keep_backslashes(state: Any) -> None:
    """Show the backslash of an escape that needs none in Markdown, as in LaTeX's `\\(` and `\\%`."""
    for block in state.tokens:
        for token in block.children or ():
            if token.type == "text_special" and token.info == "escape" and token.content not in _ESCAPED:
                token.content = token.markup


def _keep_marks(state: Any) -> None:
    """Note which marks of emphasis are shown: underscores, and those that touch an ASCII letter or digit outside."""
    for block in state.tokens:
        opened: list[int] = []
        children = block.children or ()
        for index, token in enumerate(children):
            if token.type in ("em_open", "strong_open", "s_open"):
                opened.append(index)
            elif token.type in ("em_close", "strong_close", "s_close") and opened:
                start = opened.pop()
                inside_a_word = _touches(children, start - 1, -1) or _touches(children, index + 1, 0)
                for mark in (children[start], token):
                    mark.meta["shown"] = inside_a_word or "_" in token.markup


def _touches(tokens: Sequence[Any], index: int, end: int) -> bool:
    text = tokens[index].content if 0 <= index < len(tokens) and tokens[index].type == "text" else ""
    return bool(text) and text[end].isascii() and text[end].isalnum()


def _emphasis(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    mark = escape(token.markup) if token.meta.get("shown") else ""
    return f"{mark}<{token.tag}>" if token.nesting == 1 else f"</{token.tag}>{mark}"


def _link_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    address = "" if token.info == "auto" else _with_title(token, "href")
    env.setdefault("addresses", []).append(address)
    return '<span class="link">'


def _link_close(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    address = env["addresses"].pop()
    return f'</span><span class="address"> ({address})</span>' if address else "</span>"


def _image(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    address, words = _source(token), token.content
    if address in env.get("pictures", ()):
        env.setdefault("shown", []).append(str(token.attrGet("src")))
        title = str(token.attrGet("title") or "")
        caption = f"{words} ({title})" if title else words  # seen by all: a model that is judged read it, too
        below = f'<span class="address">{escape(caption)}</span>' if caption else ""
        alt = escape(words or "a picture without a description")
        return f'<img src="{escape(env["pictures"][address])}" alt="{alt}">{below}'
    return f'<span class="address">[picture: {escape(words)} ({_with_title(token, "src")})]</span>'


def _with_title(token: Any, name: str) -> str:
    """Return the address of a link or picture and its title, as the text has them."""
    title = str(token.attrGet("title") or "")
    address = str(token.attrGet(name) or "")
    return str(escape(f'{address} "{title}"' if title else address))


def _fence(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    info = token.info.strip()
    language = f'<span class="address">{escape(info)}</span>\n' if info else ""
    return f"<pre>{language}<code>{escape(token.content)}</code></pre>\n"


def _list_item_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    number = tokens[index].info
    return f'<li value="{escape(number)}">' if number else "<li>"


def _heading_open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f"<{_below_ours(tokens[index].tag)}>"


def _heading_close(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f"</{_below_ours(tokens[index].tag)}>\n"


def _below_ours(tag: str) -> str:
    """Start a text's headings below the page's own, by which a screen reader finds the responses."""
    return f"h{min(6, int(tag[1]) + 2)}"
