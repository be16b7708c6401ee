"""Compare what a page shows of a text with the text itself, character by character."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html.parser import HTMLParser

# Characters that Markdown may take for its own marks; all others must be seen.
MARKUP = frozenset("*_`~#>-+|:=[]()<!\\\"'.")
PICTURE_WORD = "picture"  # the word that stands before the address of a picture that is not shown


def hides_text(text: str, html: str, shown_addresses: Iterable[str] = ()) -> bool:
    """Return whether the page leaves out characters of a text, or shows them in another order.

    Args:
        text: Markdown. html: what was made of it, after cleaning. shown_addresses: of the pictures that the page shows
            instead of their address, in order.
    """
    visible_text = _visible_text(html)
    if not visible_text.strip() and "<img" not in html:  # marks alone, such as a lone `#`
        return bool(text.strip())
    # people see the picture instead of its address
    expected = text
    for address in shown_addresses:
        expected = expected.replace(address, "", 1)
    return _significant(expected) != _significant(visible_text)


def look_alike(texts: Sequence[str]) -> bool:
    """Return whether two different texts might look the same as Markdown: only marks or spaces tell them apart."""
    different = set(texts)  # one text that is there twice is no matter of marks
    return len({_significant(text) for text in different}) < len(different)


def _visible_text(html: str) -> str:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts)


def _significant(text: str) -> str:
    return "".join(letter for letter in text if letter not in MARKUP and not letter.isspace())


class _Reader(HTMLParser):
    """Collects what is seen: text and the numbers of list items. The description of a picture stands below it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "li":  # the number is an attribute, which the browser writes before the text
            self.parts.append(values.get("value") or "")

    def handle_data(self, data: str) -> None:
        self.parts.append(data.removeprefix(f"[{PICTURE_WORD}: "))
