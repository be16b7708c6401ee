"""A reward model on held-out comparisons: accuracy, calibration, and what it makes of length."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from penchant.engine.score import score
from penchant.losses.reward import bradley_terry
from penchant.metrics.association import within_correlation
from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.models.reward import LearnedReward
from penchant.train.batch import Dataset
from penchant.train.evaluation.estimates import Calibration, CurvePoint, Estimates, check_finite
from penchant.train.evaluation.preferences import pair_estimates, pair_table, rights, wins
from penchant.train.evaluation.rows import ROWS, pair_rows
from penchant.train.plan import split_key
from penchant.types import PromptGroup


def held_out_rewards(
    model: LearnedReward, groups: Sequence[PromptGroup], data: Dataset, budget: int, *, margin: float = 0.0
) -> Estimates:
    """Estimate loss, accuracy, margin, lengths, the reliability curve, and the correlation of reward and length.

    The curve's confidence is the probability of the response with the higher reward; ties are left out of it.
    """
    scores = score(model.scorer, data.rendered, budget=budget)
    table = pair_table(groups, data, scores)
    chosen, rejected = table.chosen, table.rejected
    margins = chosen - rejected
    rewards = {"chosen_reward": chosen, "rejected_reward": rejected}
    losses = bradley_terry(chosen, rejected, margin=margin)
    check_finite(losses.tolist(), table.sources)
    estimates = pair_estimates(table, {"loss": losses, "margin": margins, **rewards})
    estimates[ROWS] = pair_rows(groups, table.weights, losses, rights(table, margins))
    is_decided = ~table.tied
    if is_decided.any():
        prompts = [prompt for prompt, keep in zip(table.prompts, is_decided.tolist(), strict=True) if keep]
        # Bradley and Terry's probability of the response with the higher reward, whichever people chose
        confidence = torch.sigmoid(margins[is_decided].abs().double()).numpy()
        curve = reliability(
            confidence,
            wins(margins)[is_decided.numpy()],
            prompts,
            weights=table.weights[is_decided].double().numpy(),
        )
        estimates["calibration"] = Calibration(
            tuple(CurvePoint(curve_bin.confidence, curve_bin.accuracy) for curve_bin in curve),
            expected_calibration_error(curve),
        )
    # within prompts: a hard question has long answers and low rewards, which says nothing of the model's taste
    lengths = [float(branch.scored) for row in data.rendered for branch in row.branches]
    owners = [split_key(group) for group in groups for _ in group.responses]
    correlation = within_correlation([value for row in scores for value in row.tolist()], lengths, owners)
    if correlation is not None:
        estimates["length_correlation"] = correlation
    return estimates
