"""Held-out numbers of losses that are more than a mean of two sums per pair: fronts, rankings, sorted margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from penchant.data.layouts.rankings import rankings_of
from penchant.losses.contract import PairLoss
from penchant.losses.dispatch import ranking_losses
from penchant.losses.pairs import FrontSums
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import mean_within
from penchant.train.batch import Dataset
from penchant.train.evaluation.estimates import BOUNDS
from penchant.train.fronts import FrontLogps, longer_front
from penchant.types import Prompt, PromptGroup


def front_columns(
    groups: Sequence[PromptGroup], data: Dataset, scores: Sequence[torch.Tensor], fronts: Sequence[FrontLogps]
) -> FrontSums:
    """Return the sums over the tokens that both responses of a pair have, in the order of `pair_table`.

    Args:
        scores: summed logps of each group's responses under the policy, in nats.
        fronts: the policy's logps of the fronts, of `front_logps`; `data` holds the reference's.
    """
    assert data.reference is not None
    assert data.front_reference is not None
    rows: list[list[float]] = []
    for number, (group, rendered) in enumerate(zip(groups, data.rendered, strict=True)):
        models = ((scores[number], fronts[number]), (data.reference[number], data.front_reference[number]))
        for comparison in group.comparisons:
            for winner, loser, _ in comparison.directed():
                front = longer_front(rendered, (winner, loser))
                rows.append([_sum(side, front, *model) for model in models for side in (winner, loser)])
    return FrontSums(*torch.tensor(rows).reshape(-1, 4).unbind(1))


def _sum(
    response: int, front: tuple[int, int] | None, sums: torch.Tensor, fronts: Mapping[tuple[int, int], float]
) -> float:
    # the response that is not the longer one is its own front
    return fronts[front] if front is not None and front[0] == response else float(sums[response])


def ranking_loss(
    loss: PairLoss, groups: Sequence[PromptGroup], data: Dataset, scores: Sequence[torch.Tensor]
) -> Estimate:
    """Return the mean loss per held-out ranking with its interval over prompts."""
    assert data.reference is not None
    losses: list[float] = []
    prompts: list[Prompt] = []
    for group, logps, reference in zip(groups, scores, data.reference, strict=True):
        ranked = [ranking for _, ranking in rankings_of(group)]
        losses += ranking_losses(loss, logps, reference, ranked).tolist()
        prompts += [group.prompt] * len(ranked)
    return mean_within(losses, prompts, None if loss.can_be_negative else BOUNDS["loss"])


def sorted_loss(losses: torch.Tensor, prompts: Sequence[Prompt]) -> Estimate:
    """Return the mean of a loss that sorts all pairs: each of its terms belongs to a quantile, and to no prompt.

    Args:
        losses: (pairs,), per quantile. prompts: of each pair.
    """
    # prompts cannot be resampled: without some of them the quantiles would be others
    reason = "no interval: this loss sorts all comparisons together"
    return Estimate(float(losses.double().mean()), None, None, len(losses), len(set(prompts)), reason)
