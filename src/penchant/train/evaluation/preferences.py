"""Estimates on held-out comparisons and demonstrations, each with a 95% interval that resamples prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from penchant.engine.score import score
from penchant.losses.contract import PairLoss
from penchant.losses.dispatch import pair_losses
from penchant.losses.pairs import FrontSums, SquareSums
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean, mean_within
from penchant.models.policy import Policy
from penchant.train.batch import Dataset
from penchant.train.evaluation.estimates import BOUNDS, Estimates, check_finite
from penchant.train.evaluation.pairs import front_columns, ranking_loss, sorted_loss
from penchant.train.evaluation.rows import ROWS, pair_rows, response_rows
from penchant.train.fronts import front_logps
from penchant.train.plan import cluster_key, split_key
from penchant.types import Prompt, PromptGroup


def held_out_preferences(
    policy: Policy, groups: Sequence[PromptGroup], data: Dataset, budget: int, *, loss: PairLoss | None = None
) -> Estimates:
    """Estimate loss, accuracy, margin and more on held-out comparisons, and how often the longer response wins.

    Without a loss on pairs (Preferred-FT) the loss is the winner's mean negative log-likelihood per token, and the
    margin is the difference of the summed log-probabilities. Accuracy is the share of comparisons (ties left out) whose
    winner has the positive margin; a margin of 0, as every one is before the first step, counts half. So does an equal
    length for `longest_wins`.
    """
    scores = score(policy.scorer, data.rendered, budget=budget)
    table = pair_table(groups, data, scores)
    fronts, squares = None, None
    if loss is not None and loss.needs.fronts:
        policy_fronts = front_logps(groups, data.rendered, partial(score, policy.scorer, budget=budget))
        fronts = front_columns(groups, data, scores, policy_fronts)
    # a second pass over the same rows, without a graph: WPO's weights are of the policy as it is now
    if loss is not None and loss.needs.squares:
        square_table = pair_table(groups, data, score(policy.scorer, data.rendered, budget=budget, squares=True))
        squares = SquareSums(square_table.chosen, square_table.rejected)
    losses, margins = _losses_and_margins(loss, table, fronts, squares)
    # before any mean: an error of a mean would name neither the rows nor the loss
    check_finite(losses.tolist(), table.sources)
    logp_columns = {"chosen_logps": table.chosen, "rejected_logps": table.rejected}
    columns = {"loss": losses, "margin": margins, **logp_columns}
    estimates = pair_estimates(table, columns, negative_loss=loss is not None and loss.can_be_negative)
    is_mean = loss is None or not (loss.needs.rankings or loss.needs.whole_step)
    estimates[ROWS] = pair_rows(groups, table.weights, losses if is_mean else None, rights(table, margins))
    # what training minimises, where that is no mean over pairs
    if loss is not None and loss.needs.rankings:
        estimates["loss"] = ranking_loss(loss, groups, data, scores)
    elif loss is not None and loss.needs.whole_step:
        estimates["loss"] = sorted_loss(losses, table.prompts)
    return estimates


def pair_estimates(table: PairTable, columns: dict[str, torch.Tensor], *, negative_loss: bool = False) -> Estimates:
    """Estimate the means of some columns and of the lengths, and how often the column `margin` is right.

    Args:
        table: of `pair_table`.
        columns: (pairs,) each; `margin` among them: by how much the winner leads.
        negative_loss: whether the column `loss` may be negative, so that its interval may be too.
    """
    prompts, weights = table.prompts, table.weights.numpy()
    lengths = {"chosen_tokens": table.chosen_tokens, "rejected_tokens": table.rejected_tokens}
    bounds = {name: ends for name, ends in BOUNDS.items() if not (name == "loss" and negative_loss)}
    estimates: Estimates = {
        name: mean_within(column.double().numpy(), prompts, bounds.get(name), weights=weights)
        for name, column in {**columns, **lengths}.items()
    }

    def share(values: np.ndarray, mask: np.ndarray) -> Estimate:
        kept_prompts = [prompts[row] for row in mask.nonzero()[0]]
        return cluster_mean(values[mask], kept_prompts, weights=weights[mask], share=True)

    # a tie has no right answer: it counts in the means above and in no accuracy
    is_decided = ~table.tied.numpy()
    if is_decided.any():
        right = wins(columns["margin"])
        estimates["accuracy"] = share(right, is_decided)
        # the rule that an accuracy has to beat before it says more than that people like long answers
        estimates["longest_wins"] = share(wins(table.chosen_tokens - table.rejected_tokens), is_decided)
        annotators = np.array(table.annotators, dtype=object)
        names = sorted({name for name in annotators[is_decided] if name is not None})
        if len(names) > 1:
            estimates["by_annotator"] = {name: share(right, is_decided & (annotators == name)) for name in names}
    return estimates


def _losses_and_margins(
    loss: PairLoss | None, table: PairTable, fronts: FrontSums | None, squares: SquareSums | None
) -> tuple[torch.Tensor, torch.Tensor]:
    # Preferred-FT has no loss on pairs: it is measured by what it maximises, and its margin says which one it prefers
    if loss is None:
        return -table.chosen / table.chosen_tokens, table.chosen - table.rejected
    return pair_losses(
        loss,
        table.chosen,
        table.rejected,
        table.ref_chosen if loss.needs.reference else None,
        table.ref_rejected if loss.needs.reference else None,
        table.chosen_tokens,
        table.rejected_tokens,
        fronts=fronts,
        squares=squares,
    )


def wins(difference: torch.Tensor) -> np.ndarray:
    """Return 1 where a difference is positive, 0 where it is negative, and a half where nobody leads."""
    return ((difference > 0).double() + 0.5 * (difference == 0)).numpy()


def rights(table: PairTable, margins: torch.Tensor) -> np.ndarray:
    """Return `wins` of margins, (pairs,), with NaN for ties, which have no right answer."""
    return np.where(table.tied.numpy(), np.nan, wins(margins))


@dataclass(frozen=True)
class PairTable:
    """Columns of held-out comparisons with one row per directed pair; a tie gives two rows of half weight.

    The columns of numbers come first, in the order in which `pair_table` makes them.

    Attributes:
        chosen, rejected, ref_chosen, ref_rejected: scores (summed logps in nats, or rewards), shape `(pairs,)`.
        chosen_tokens, rejected_tokens: scored tokens, shape `(pairs,)`.
        weights, tied: of each row's comparison, shape `(pairs,)`.
        prompts, annotators, sources: of each row; an annotator is None where nobody is named.
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    ref_chosen: torch.Tensor
    ref_rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor
    weights: torch.Tensor
    tied: torch.Tensor
    prompts: list[Prompt]
    annotators: list[str | None]
    sources: list[str]


def pair_table(groups: Sequence[PromptGroup], data: Dataset, scores: Sequence[torch.Tensor]) -> PairTable:
    """Return the columns that the held-out estimates need."""
    rows: list[tuple[float, ...]] = []
    prompts: list[Prompt] = []
    annotators: list[str | None] = []
    sources: list[str] = []
    for number, (group, rendered, logps) in enumerate(zip(groups, data.rendered, scores, strict=True)):
        ref = data.reference[number] if data.reference is not None else torch.zeros_like(logps)
        tokens = [branch.scored for branch in rendered.branches]
        for comparison in group.comparisons:
            for winner, loser, weight in comparison.directed():
                scores_of_pair = (logps[winner], logps[loser], ref[winner], ref[loser])
                lengths = (tokens[winner], tokens[loser])
                rows.append((*map(float, scores_of_pair), *lengths, weight, comparison.tie))
                prompts.append(cluster_key(group))
                annotators.append(comparison.annotator)
                sources.append(f"{rendered.source or 'a held-out row'} (response {winner} against {loser})")
    columns = torch.tensor(rows, dtype=torch.float32).reshape(-1, 8).unbind(1)
    chosen, rejected, ref_chosen, ref_rejected, chosen_tokens, rejected_tokens, weights, tied = columns
    scores_and_lengths = (chosen, rejected, ref_chosen, ref_rejected, chosen_tokens, rejected_tokens)
    return PairTable(*scores_and_lengths, weights, tied.bool(), prompts, annotators, sources)


def held_out_imitation(policy: Policy, groups: Sequence[PromptGroup], data: Dataset, budget: int) -> Estimates:
    """Estimate the mean negative log-likelihood per token on held-out demonstrations, in nats.

    Every token counts the same, as in training: a response counts by its tokens, times how often it was drawn.
    """
    scores = score(policy.scorer, data.rendered, budget=budget)
    means, tokens, prompts, sources, rows = [], [], [], [], []
    for group, rendered, logps in zip(groups, data.rendered, scores, strict=True):
        for response, branch, total in zip(group.responses, rendered.branches, logps.tolist(), strict=True):
            means.append(-total / branch.scored)
            tokens.append(branch.scored * response.count)
            prompts.append(split_key(group))
            sources.append(group.source or "a held-out row")
            rows.append((group, response, ""))
    check_finite(means, sources)
    loss = mean_within(means, prompts, BOUNDS["loss"], weights=tokens)
    return {"loss": loss, ROWS: response_rows(rows, tokens, {"loss": means})}
