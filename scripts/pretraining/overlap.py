"""Which training documents hold text that something is evaluated on.

Texts are compared by their letters and digits alone, so that another tokenization, casing or punctuation hides nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

RUN = 60
"""Letters and digits in a row, about 13 words: two texts that share so many did not write them independently."""
SHORTEST = 30
"""A text of fewer letters is a common phrase: only a document that says nothing else is taken for a copy of it."""

WORDS = re.compile(r"[a-z0-9]+")
BRACKETS = re.compile(r"-[lr][rcs]b-")  # how tree banks write them


def content(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, without accents, lower-cased; and where in it each word starts."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    words = WORDS.findall(BRACKETS.sub(" ", plain))
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word)
    return "".join(words), starts


class Protected:
    """Texts that must not be trained on.

    A document overlaps with a text when they share `RUN` letters in a row that start at a word of both; or the
    document holds the whole of a text of `SHORTEST` to `RUN` letters; or they are equal.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.contents: set[str] = set()
        self.runs: set[str] = set()
        self.short: dict[str, list[str]] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Protect one more text."""
        key, starts = content(text)
        if not key or key in self.contents:
            return
        self.contents.add(key)
        if len(key) >= RUN:
            self.runs.update(key[start : start + RUN] for start in starts if start + RUN <= len(key))
        elif len(key) >= SHORTEST:
            self.short.setdefault(key[:SHORTEST], []).append(key)

    def found_in(self, text: str) -> bool:
        """Return whether a document overlaps with any of them."""
        key, starts = content(text)
        if key in self.contents:
            return True
        runs, short = self.runs, self.short
        # runs begin at words: one that begins in the middle of a word is found from the word before it
        for start in starts:
            if key[start : start + RUN] in runs:
                return True
            head = key[start : start + SHORTEST]
            if head in short and any(key.startswith(text_content, start) for text_content in short[head]):
                return True
        return False
