"""Short openings of reviews that were not trained on: the prompts of the studies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from pretraining.sources import Document

PLAIN = re.compile(r"[A-Z][a-z']*(?:,? [A-Za-z][A-Za-z']*)*")  # words only, no title in quotes, no list


def openings(documents: Iterable[Document], count: int = 300) -> list[str]:
    """The first 3 to 6 words of reviews whose first sentence goes on, `count` distinct ones, in a fixed mixed order.

    How many words, and the order, come from a digest of the text, so positive and negative ones stay as they come.
    """
    found: dict[str, str] = {}
    for document in documents:
        digest = hashlib.sha256(document.text.encode()).hexdigest()
        words = document.text.split(" ")
        cut = 3 + int(digest[:8], 16) % 4
        opening, next_words = " ".join(words[:cut]), words[cut : cut + 3]
        goes_on = len(next_words) == 3 and not any(word[-1] in ".!?" for word in next_words)
        shouted = sum(len(word) > 1 and word.isupper() for word in words[: cut + 3]) > 1
        if goes_on and not shouted and PLAIN.fullmatch(opening):
            found.setdefault(opening, digest)
    return sorted(found, key=lambda opening: found[opening])[:count]
