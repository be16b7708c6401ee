"""Turn scores, places and rankings into comparisons, for layouts with several responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from penchant.data.sources.values import RowError, as_integer, as_number
from penchant.types import Comparison, Response

MOST_RANKED = 1_000  # responses of one prompt, which make half a million comparisons


def comparisons_of_scores(
    scores: Sequence[float], texts: Sequence[object], *, lower_wins: bool = False
) -> list[Comparison]:
    """Compare every pair of different responses: the better score wins, equal scores tie.

    Raises:
        RowError: so many responses that their pairs fill the memory.
    """
    if len(scores) > MOST_RANKED:
        raise RowError(
            "value", f"{len(scores):,} responses are ranked, each against each; expected at most {MOST_RANKED:,}"
        )
    comparisons = []
    for first, second in combinations(range(len(scores)), 2):
        if texts[first] == texts[second]:  # the same response twice: it can neither win nor tie against itself
            continue
        if scores[first] == scores[second]:
            comparisons.append(Comparison(first, second, tie=True))
        elif (scores[first] < scores[second]) == lower_wins:
            comparisons.append(Comparison(first, second))
        else:
            comparisons.append(Comparison(second, first))
    return comparisons


def refuse_identical(responses: Sequence[Response], comparisons: Iterable[Comparison], name: str) -> None:
    """Raise `RowError` for a comparison between two responses that are the same."""
    for comparison in comparisons:
        if responses[comparison.winner] == responses[comparison.loser]:
            raise RowError(
                "identical",
                f"field {name!r}: it compares responses {comparison.winner} and {comparison.loser}, "
                "which are the same; remove that comparison",
            )


def require_length(name: str, length: int, expected: int) -> None:
    """Raise `RowError` unless there is one item per response."""
    if length != expected:
        raise RowError("value", f"field {name!r}: expected {expected} items, one per response, got {length}")


def response_index(value: object, name: str, responses: int) -> int:
    """Return an index into that many responses."""
    if responses < 2:
        raise RowError("value", f"field {name!r}: there are fewer than two responses to compare")
    return as_integer(value, name, low=0, high=responses - 1)


def comparisons_of_ranking(items: Sequence[object], responses: int) -> list[Comparison]:
    """Compare by a ranking such as `[best, [tied, tied], worst]`; indices may be left out, but none may stand twice."""
    ranks: dict[int, float] = {}
    for level, item in enumerate(items):
        for member in item if isinstance(item, list) else [item]:
            index = response_index(member, f"ranking[{level}]", responses)
            if index in ranks:
                raise RowError("value", f"field 'ranking': response {index} stands in it twice")
            ranks[index] = float(level)
    # Those that are left out were not ranked; the others are compared by their positions among the ranked ones.
    ranked = sorted(ranks)
    by_rank = comparisons_of_scores([ranks[index] for index in ranked], ranked, lower_wins=True)
    return [Comparison(ranked[pair.winner], ranked[pair.loser], tie=pair.tie) for pair in by_rank]


def comparisons_of_ranks(items: Sequence[object], responses: int) -> list[Comparison]:
    """Compare by a rank for each response: 1 (or the lowest) is the best, and equal ranks tie."""
    require_length("ranks", len(items), responses)
    ranks = [as_number(value, f"ranks[{index}]") for index, value in enumerate(items)]
    # -1 stands for a missing number in many files, and would be the best place of all.
    if (negative := next((index for index, rank in enumerate(ranks) if rank < 0), None)) is not None:
        raise RowError(
            "value",
            f"field 'ranks[{negative}]': {ranks[negative]:g} is no place. Leave a response without a place out of the "
            "row",
        )
    return comparisons_of_scores(ranks, range(len(ranks)), lower_wins=True)
