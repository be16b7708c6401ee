"""From comparisons back to the rankings that they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from penchant.data.sources.values import RowError
from penchant.types import Comparison, PromptGroup


def rankings_of(group: PromptGroup) -> list[tuple[str | None, list[int]]]:
    """The rankings of a row: (annotator, response indices from best to worst), one for each annotator.

    Raises:
        RowError: nothing is ranked, or somebody's comparisons are not those of one ranking without ties.
    """
    if not group.comparisons:
        raise RowError("value", "fewer than two responses are ranked")
    by_annotator: dict[str | None, list[Comparison]] = {}
    for each in group.comparisons:
        by_annotator.setdefault(each.annotator, []).append(each)
    return [(annotator, _ranking(annotator, said)) for annotator, said in by_annotator.items()]


def _ranking(annotator: str | None, said: Sequence[Comparison]) -> list[int]:
    whose = "its comparisons" if annotator is None else f"the comparisons of {annotator}"
    if any(each.tie for each in said):
        raise RowError("value", f"{whose} have ties, which a ranking of Plackett and Luce's model has not")
    if any(each.weight != 1 for each in said):
        raise RowError("value", f"{whose} have weights, which a ranking has not")
    won = Counter(each.winner for each in said)
    members = {place for each in said for place in (each.winner, each.loser)}
    order = sorted(members, key=lambda place: (-won[place], place))
    if sorted((each.winner, each.loser) for each in said) != sorted(combinations(order, 2)):
        raise RowError("value", f"{whose} are not those of one ranking: some are missing, doubled, or go in a circle")
    return order
