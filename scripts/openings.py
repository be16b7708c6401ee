"""Openings of film reviews and of small stories in words of our own, put together from parts: the studies' prompts.

    python scripts/openings.py     # writes src/penchant/studies/core/openings/film_openings.txt and story_openings.txt

Nothing is taken from any corpus: what the models were trained on, and what is evaluated on, stays where it is.
"""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "src" / "penchant" / "studies" / "core" / "openings"
COUNT = 300

Parts = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]  # each first part goes with each second

FILMS: Parts = (
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


STORIES: Parts = (
    (
        ("Tom", "Lily", "Max", "Sue", "Ben", "Mia", "Anna", "Sam", "The little dog", "The old cat", "The small bird"),
        ("wanted to", "was very", "had a big", "went to the", "saw a", "found a", "did not", "liked to"),
    ),
    (
        ("One day, a girl", "One day, a boy", "One night, a bear", "One morning, a frog", "Once, a mouse"),
        ("named Lucy was", "named Tim had", "was playing", "felt very", "lost a", "met a"),
    ),
    (
        ("Mom and Dad", "The two friends", "The children", "Her brother", "His sister", "The teacher", "The farmer"),
        ("were", "went outside", "had a", "gave the", "said that", "made a", "looked at the"),
    ),
    (
        ("It was a", "There was a", "They had a", "She got a", "He took the"),
        ("sunny day and", "red ball in", "new toy", "loud noise", "big tree near", "dark box"),
    ),
    (
        ("In the park,", "At the beach,", "In the forest,", "At home,", "On the farm,", "After school,",
         "Under the bed,"),
        ("a rabbit", "Jack", "she saw", "they found", "Emma and her", "the boy"),
    ),
    (
        ("When the rain came,", "Before dinner,", "When he fell,", "On her birthday,", "Because it was late,"),
        ("Lily", "the puppy", "everyone", "he was", "they all", "Grandma"),
    ),
)  # fmt: skip

SETS: dict[str, Parts] = {"film_openings": FILMS, "story_openings": STORIES}


def openings(parts: Parts) -> list[str]:
    """Return all combinations of the parts in a fixed mixed order, the first `COUNT` of them; 3 to 8 words each."""
    combinations = [
        f"{beginning} {continuation}"
        for beginnings, continuations in parts
        for beginning, continuation in product(beginnings, continuations)
    ]
    # by a digest: mixed, so that the first ones are of all parts, and the same on every machine
    return sorted(combinations, key=lambda text: hashlib.sha256(text.encode()).digest())[:COUNT]


if __name__ == "__main__":
    for name, parts in SETS.items():
        lines = openings(parts)
        (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"wrote {name}.txt: {len(lines)} openings")
