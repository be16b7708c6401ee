"""Fronts of responses (for LD-DPO): the first tokens of a pair's longer response, as many as the shorter one has.

In training the policy's front is summed from the tokens that are scored anyway. The reference and evaluations score the
whole response with only its front counted: a row's length may decide its numbers (`engine/lengths.py`). The reference's
table on disk serves here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.types import PromptGroup

Front = tuple[int, int]  # a response of a group, and how many of its tokens
FrontLogps = Mapping[Front, float]
Pair = tuple[int, int]


def longer_front(rendered: Rendered, pair: Pair) -> Front | None:
    """Return the longer response of a pair and how many tokens the other one has; None where they are equally long."""
    first, second = (rendered.branches[response].scored for response in pair)
    # LD-DPO is then DPO on this pair
    if first == second:
        return None
    return (pair[0], second) if first > second else (pair[1], first)


def front_logps(
    groups: Sequence[PromptGroup], rendered: Sequence[Rendered], score: Callable[[list[Rendered]], Sequence[Tensor]]
) -> list[FrontLogps]:
    """Return the logps of the fronts of each group's comparisons, in nats.

    Args:
        score: gives the summed logps of the responses of some rows, one tensor per row.
    """
    # a response that several partners cut to the same count is scored once
    fronts_by_group = [_fronts(group, row) for group, row in zip(groups, rendered, strict=True)]
    rows = [
        # a row of a model of pictures keeps them
        Rendered(
            row.prompt_ids,
            tuple(_cut(row.branches[response], count) for response, count in fronts),
            source=row.source,
            media=row.media,
        )
        for row, fronts in zip(rendered, fronts_by_group, strict=True)
        if fronts
    ]
    numbers = iter(score(rows) if rows else ())
    return [dict(zip(fronts, next(numbers).tolist(), strict=True)) if fronts else {} for fronts in fronts_by_group]


def _fronts(group: PromptGroup, rendered: Rendered) -> list[Front]:
    pairs = [(winner, loser) for comparison in group.comparisons for winner, loser, _ in comparison.directed()]
    fronts = (longer_front(rendered, pair) for pair in pairs)
    return list(dict.fromkeys(front for front in fronts if front is not None))


def _cut(branch: Branch, count: int) -> Branch:
    """Return the branch with only its first `count` scored tokens counted."""
    # ids stay whole and only spans are cut: a row's length may decide its numbers (`engine/lengths.py`)
    spans, left = [], count
    for start, end in branch.spans:
        spans.append((start, min(end, start + left)))
        left -= spans[-1][1] - start
        if not left:
            break
    return Branch(branch.ids, tuple(spans))
