"""Which texts of a file were written as variants of one another: neighbours that share a clause. Imports no torch.

The rows of ETHICS justice stand in sets of two to four. A set shares the claim and differs in the reason ("I deserve a
day off because ..."), or the other way round ("... because I treat his pets"). The same clause elsewhere in the file
("because it is my birthday") is no sign of kinship, so both the clause and the position count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from penchant.tasks.spec import normalized

REACH = 2  # rows: one that was worded otherwise may stand between two siblings
SHORTEST = 3  # words of a shared clause
SHARED_WORDS = 0.5  # of the shorter text, from its beginning and its end, where no whole clause is shared
_REASON = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
Words = tuple[str, ...]


def sibling_groups(texts: Sequence[str]) -> list[str]:
    """Return a group per text: the first text of its sibling set; empty for a text that stands alone.

    Args:
        texts: in the order of the file.
    """
    # union-find over positions: siblings of siblings are of one set
    leaders = list(range(len(texts)))
    clauses = [_clauses(text) for text in texts]
    for index in range(len(texts)):
        # variants stand one after the other: the same clause further away is no sign of kinship
        for other in range(max(0, index - REACH), index):
            if _are_siblings(clauses[other], clauses[index]):
                # the earlier text leads, so that a set is named after its first
                first, last = sorted((_leader(leaders, other), _leader(leaders, index)))
                leaders[last] = first
    leader_of = [_leader(leaders, index) for index in range(len(texts))]
    sizes = [0] * len(texts)
    for leader in leader_of:
        sizes[leader] += 1
    return [texts[leader] if sizes[leader] > 1 else "" for leader in leader_of]


def _leader(leaders: Sequence[int], index: int) -> int:
    """Return the first text of a set."""
    while leaders[index] != index:
        index = leaders[index]
    return index


def _clauses(text: str) -> tuple[Words, Words]:
    """Return the words of the claim and of the reason; without a reason all are the claim's."""
    # split at the first `because` only: a reason may hold another
    claim, *reason = _REASON.split(text, maxsplit=1)
    return tuple(normalized(claim).split()), tuple(normalized("".join(reason)).split())


def _are_siblings(first: tuple[Words, Words], second: tuple[Words, Words]) -> bool:
    """Return whether two texts share a clause, or half of their words at the beginning and the end."""
    for clause, second_clause in zip(first, second, strict=True):
        if clause == second_clause and len(clause) >= SHORTEST:
            return True
    # a variant in other words shares no whole clause; its beginning and end are often the same
    words, second_words = sum(first, ()), sum(second, ())
    start = _in_common(words, second_words)
    # after the shared beginning, so that no word counts twice
    end = _in_common(words[start:][::-1], second_words[start:][::-1])
    shorter = min(len(words), len(second_words))
    return shorter > 0 and start + end >= SHARED_WORDS * shorter


def _in_common(first: Words, second: Words) -> int:
    """Return how many words two texts begin with alike."""
    for index, (word, its) in enumerate(zip(first, second, strict=False)):
        if word != its:
            return index
    return min(len(first), len(second))
