"""Openings of film reviews in words of our own, put together from parts: the prompts of the studies.

    python scripts/openings.py     # writes src/penchant/studies/data/film_openings.txt

Nothing is taken from any corpus: what the models were trained on, and what is evaluated on, stays where it is.
"""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "src" / "penchant" / "studies" / "data" / "film_openings.txt"
COUNT = 300

PARTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("The acting", "The story", "The director", "The first half", "The ending", "The music", "The script",
         "The camera work", "The lead actor", "The whole cast", "The dialogue", "The second act", "The opening scene",
         "The humour", "The plot"),
        ("is", "was", "seemed to be", "made me", "left me", "turned out to be", "could have been"),
    ),
    (
        ("I watched this film", "I saw this movie", "I went to see it", "I rented this one", "I had heard of it",
         "I sat through it", "I walked out of it", "I came to it"),
        ("because", "with my", "and", "after", "when", "on a"),
    ),
    (
        ("This film", "This movie", "This picture", "This comedy", "This thriller", "This western", "This sequel",
         "This remake", "This drama", "This documentary"),
        ("is one of the", "has some of the", "tries to be", "gives us", "wants to tell", "reminded me of",
         "may be the"),
    ),
    (
        ("If you like", "If you want", "Fans of", "Nobody who loves", "Anyone who enjoys", "People who hate"),
        ("horror films", "this kind of story", "the book", "old musicals", "slow films", "car chases", "a good laugh"),
    ),
    (
        ("After twenty minutes", "At the end", "Half way through", "From the first scene", "In the last hour",
         "By the time it ends"),
        ("I was", "I felt", "the film", "you know that", "everybody", "it had"),
    ),
    (
        ("Once in a while", "Every few years", "It is not often that", "There are days when", "Sometimes"),
        ("a film", "a director", "you see", "somebody makes", "a small movie"),
    ),
)  # fmt: skip


def openings() -> list[str]:
    """All combinations of the parts in a fixed mixed order, the first `COUNT` of them; 3 to 8 words each."""
    whole = [f"{first} {then}" for firsts, thens in PARTS for first, then in product(firsts, thens)]
    return sorted(whole, key=lambda text: hashlib.sha256(text.encode()).digest())[:COUNT]


if __name__ == "__main__":
    TARGET.write_text("\n".join(openings()) + "\n", encoding="utf-8")
    print(f"wrote {TARGET.name}: {COUNT} openings")
