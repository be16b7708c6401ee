"""Find the rankings that comparisons came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from penchant.data.sources.values import RowError
from penchant.types import Comparison, PromptGroup


def rankings_of(group: PromptGroup) -> list[tuple[str | None, list[int]]]:
    """Return the rankings of a row: (annotator, response indices from best to worst), one for each annotator.

    Raises:
        RowError: nothing is ranked, or somebody's comparisons are not those of one ranking without ties.
    """
    if not group.comparisons:
        raise RowError("value", "fewer than two responses are ranked")
    by_annotator: dict[str | None, list[Comparison]] = {}
    for comparison in group.comparisons:
        by_annotator.setdefault(comparison.annotator, []).append(comparison)
    return [(annotator, _ranking(annotator, comparisons)) for annotator, comparisons in by_annotator.items()]


def _ranking(annotator: str | None, comparisons: Sequence[Comparison]) -> list[int]:
    subject = "its comparisons" if annotator is None else f"the comparisons of {annotator}"
    if any(comparison.tie for comparison in comparisons):
        raise RowError("value", f"{subject} have ties, which a ranking of Plackett and Luce's model has not")
    if any(comparison.weight != 1 for comparison in comparisons):
        raise RowError("value", f"{subject} have weights, which a ranking has not")
    wins = Counter(comparison.winner for comparison in comparisons)
    members = {response for comparison in comparisons for response in (comparison.winner, comparison.loser)}
    # In a ranking of n without ties the best wins n - 1 times, the next n - 2 times, and so on to none.
    order = sorted(members, key=lambda response: (-wins[response], response))
    if sorted((comparison.winner, comparison.loser) for comparison in comparisons) != sorted(combinations(order, 2)):
        raise RowError("value", f"{subject} are not those of one ranking: some are missing, doubled, or go in a circle")
    return order
