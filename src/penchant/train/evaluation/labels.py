"""Held-out responses labelled good or bad: the loss, agreement with the labels, and how far each side has moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from penchant.data.layouts.unpaired import labels_of
from penchant.engine.score import score
from penchant.losses.unpaired import kto, label_margins
from penchant.metrics.intervals import cluster_mean, mean_within
from penchant.models.policy import Policy
from penchant.train.batch import Dataset
from penchant.train.evaluation.estimates import BOUNDS, Estimates, check_finite
from penchant.train.evaluation.rows import ROWS, response_rows
from penchant.types import Prompt, PromptGroup, Response

SHARES = ("label_accuracy", "desirable_share")
"""Estimates between 0 and 1, which have another interval."""
BOUNDS_OF_LABELS = BOUNDS | dict.fromkeys(SHARES, (0.0, 1.0))


def held_out_labels(
    policy: Policy,
    groups: Sequence[PromptGroup],
    data: Dataset,
    budget: int,
    *,
    beta: float,
    weights: tuple[float, float],
) -> Estimates:
    """Estimate KTO's loss, with its weights of the two sides, and what lies behind it, on held-out labels.

    The reference point is that of the held-out prompts: the mean of `mismatched_log_ratio`, 0 if that is negative.
    `margin` is beta times the distance of a response's log-ratio from it, positive on the side of its label.
    `label_accuracy` is the share of labels with a positive margin (0 counts half); compare it with
    `desirable_share`, the accuracy of always answering "good". `desirable_log_ratio` and
    `undesirable_log_ratio` are log pi - log pi_ref in nats.
    """
    assert data.reference is not None
    assert data.mismatched is not None
    mismatched = data.mismatched.log_ratios(policy.scorer, range(len(groups)), budget=budget)
    # one row per label: a response that was labelled both good and bad counts on both sides, with the weight of each
    rows: list[tuple[float, float, float, float]] = []
    good: list[bool] = []
    prompts: list[Prompt] = []
    sources: list[str] = []
    contents: list[tuple[PromptGroup, Response, str]] = []
    scores = score(policy.scorer, data.rendered, budget=budget)
    for group, rendered, logps, ref in zip(groups, data.rendered, scores, data.reference, strict=True):
        for label in labels_of(group):
            tokens = rendered.branches[label.response].scored
            rows.append((float(logps[label.response]), float(ref[label.response]), tokens, label.weight))
            good.append(label.desirable)
            contents.append((group, group.responses[label.response], "good" if label.desirable else "bad"))
            prompts.append(group.prompt)
            sources.append(f"{group.source or 'a held-out row'} (response {label.response})")
    policy_logps, reference_logps, tokens_of, counts = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4).unbind(1)
    desirable = torch.tensor(good, dtype=torch.bool)
    # one reference point for all held-out labels; in training it is that of each step (decision 0007)
    kl = mismatched.double().mean().float()
    losses = kto(
        policy_logps,
        reference_logps,
        desirable,
        kl,
        beta=beta,
        desirable_weight=weights[0],
        undesirable_weight=weights[1],
    )
    check_finite(losses.tolist(), sources)
    margins = label_margins(policy_logps, reference_logps, desirable, kl, beta=beta)
    # a margin of exactly 0, as every one is before the first step, counts half
    right = (margins > 0) + 0.5 * (margins == 0)
    columns = {"loss": losses, "margin": margins, "label_accuracy": right, "desirable_share": desirable}
    estimates: Estimates = {
        name: mean_within(column.double().numpy(), prompts, BOUNDS_OF_LABELS.get(name), weights=counts.numpy())
        for name, column in columns.items()
    }
    estimates[ROWS] = response_rows(contents, counts, {"loss": losses.double(), "label_accuracy": right})
    # both sides may fall in likelihood while their margins grow: their own log-ratios show it
    for side, chosen in (("desirable", desirable), ("undesirable", ~desirable)):
        if chosen.any():
            own_prompts = [prompts[row] for row in chosen.nonzero().flatten().tolist()]
            for name, column in (("log_ratio", policy_logps - reference_logps), ("tokens", tokens_of)):
                values, own_counts = column[chosen].double().numpy(), counts[chosen].numpy()
                estimates[f"{side}_{name}"] = mean_within(values, own_prompts, BOUNDS.get(name), weights=own_counts)
    # one mismatched row per group, not per label (decision 0007)
    ratios = np.asarray(mismatched.double())
    estimates["mismatched_log_ratio"] = cluster_mean(ratios, [group.prompt for group in groups], share=False)
    return estimates
