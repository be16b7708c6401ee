"""Rewards on prompt groups: scores for responses, and comparisons from scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from penchant.arguments import each_group
from penchant.errors import InputError
from penchant.rewards.columns import ColumnReward
from penchant.rewards.load import Reward, checked_reward
from penchant.text_alone import refuse_media
from penchant.thoughts import shown_text
from penchant.types import Comparison, PromptGroup, prompt_text

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


@runtime_checkable
class ReadsGroups(Protocol):
    """A reward that reads prompts and responses as they are, with their tokens and ends; a learned one does."""

    def readable(self, groups: Sequence[PromptGroup], tokenizer: PreTrainedTokenizerBase | None) -> list[PromptGroup]:
        """Return the groups without token ids of another vocabulary; `tokenizer` made them, None for unknown."""

    def score(self, groups: Sequence[PromptGroup]) -> list[Tensor]:
        """Return a 1-D tensor per group: a number per response."""


def score_groups(
    groups: Sequence[PromptGroup], reward: Reward, *, tokenizer: PreTrainedTokenizerBase | None = None
) -> list[PromptGroup]:
    """Return the groups with `scores` filled in, one number per response, whatever was there before.

    A learned reward reads the groups themselves; of a response that was cut it then sees no end. `tokenizer` says whose
    token ids the responses carry: with the same vocabulary they are read as they are, else the text is.

    The answer of a response is scored, without thoughts before it, unless the reward was loaded as `thoughts:NAME`, or
    is a reward model that was trained on thoughts.

    The reward (of `load_reward`, or any function that keeps its contract) is called once, with all
    (prompt, response) texts in order, so that it may batch them as it likes. One that reads columns gets those of each
    text's group. Of a prompt that shows a picture it sees a mark with the picture's digest.

    Raises:
        InputError: from the reward; see `checked_reward`. Pictures or sounds before a reward that reads no columns, or
            in responses.
    """
    groups = list(each_group(groups))
    if isinstance(reward, ReadsGroups):
        tensors = reward.score(reward.readable(groups, tokenizer))
        return [group.replace(scores=row.tolist()) for group, row in zip(groups, tensors, strict=True)]
    # one call for all: a reward behind an address or a model batches better than this loop could
    thoughts = getattr(reward, "reads_thoughts", False)
    rate = checked_reward(reward)
    # what is in a picture may stand in a column, which such a function reads; what a response shows stands nowhere
    of_columns = isinstance(rate, ColumnReward)
    seen = [PromptGroup("", group.responses, source=group.source) for group in groups] if of_columns else groups
    refuse_media(seen, "a reward reads text alone (a function may read columns of the row, such as `objects`)")
    pairs = [
        (prompt_text(group.prompt), shown_text(response, thoughts=thoughts))
        for group in groups
        for response in group.responses
    ]
    if isinstance(rate, ColumnReward):
        rows = [group for group in groups for _ in group.responses]
        numbers = rate(pairs, [group.columns for group in rows], [group.source or "a prompt" for group in rows])
    else:
        numbers = rate(pairs)
    scores = iter(numbers)
    return [group.replace(scores=[next(scores) for _ in group.responses]) for group in groups]


def compare_by_score(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return the groups with every pair of responses compared by score, whatever comparisons were there before.

    The higher score wins; equal scores are a tie. A response that stands for several identical samples enters
    as often as it was drawn: the comparison of two responses has the product of their counts as its weight.

    Raises:
        InputError: a group without scores, or with a score that is not finite.
    """
    return [group.replace(comparisons=_every_pair(group, index)) for index, group in enumerate(each_group(groups))]


def best_worst_pairs(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return the groups with one comparison each, the best response against the worst, whatever was there before.

    Best-of-N as a source of data. Of equally good (or bad) responses the first counts. A group whose responses all
    score the same has nothing to compare: it stays, without a comparison.

    Raises:
        InputError: a group without scores, or with a score that is not finite.
    """
    return [group.replace(comparisons=_best_and_worst(group, index)) for index, group in enumerate(each_group(groups))]


def _best_and_worst(group: PromptGroup, index: int) -> list[Comparison]:
    scores = _finite_scores(group, index)
    indices = range(len(scores))
    best, worst = max(indices, key=scores.__getitem__, default=0), min(indices, key=scores.__getitem__, default=0)
    # (all equal: both are the first)
    return [] if best == worst else [Comparison(winner=best, loser=worst)]


def _every_pair(group: PromptGroup, index: int) -> list[Comparison]:
    scores = _finite_scores(group, index)
    comparisons = []
    # every pair once; a tie has a winner and a loser by place, which `tie` says not to read
    for first, second in combinations(range(len(group.responses)), 2):
        tie = scores[first] == scores[second]
        winner, loser = (first, second) if scores[first] >= scores[second] else (second, first)
        # as if every drawn sample were compared with every other: equal ones are merged into one response
        weight = float(group.responses[first].count * group.responses[second].count)
        comparisons.append(Comparison(winner=winner, loser=loser, tie=tie, weight=weight))
    return comparisons


def _finite_scores(group: PromptGroup, index: int) -> tuple[float, ...]:
    where = group.source or f"prompt group {index} (counted from 0)"
    if group.scores is None:
        raise InputError(f"{where}: expected scores to compare by, but there are none; see score_groups")
    for position, score in enumerate(group.scores):
        if not math.isfinite(score):
            raise InputError(f"{where}: response {position} has the score {score}, expected a finite number")
    return group.scores
