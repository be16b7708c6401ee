"""What is made of samples and their rewards: advantages and the loss of each token, with a value head or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.engine.tokens import Layout, Reading
from penchant.losses import policy_gradient as pg
from penchant.train.group_settings import GroupConfig
from penchant.train.rollout_settings import ActorCriticConfig, RolloutConfig


@dataclass(frozen=True)
class Rollout:
    """The samples of a step. Tokens of all responses lie one after another, as `layout` says; all on the CPU.

    Attributes:
        rendered: per prompt, its distinct samples.
        counts, scores: (responses,) how often each was drawn, and its reward.
        prompts: (responses,) the number of each one's prompt. finished: (responses,) whether it ended by itself.
        logps, ref_logps: (tokens,) log-probabilities when they were drawn, in nats. values: (tokens,) in rewards.
        advantages, returns: (tokens,) what the update learns from.
        weights: (tokens,) how often each token was drawn.
    """

    rendered: Sequence[Rendered]
    layout: Layout
    counts: Float[Tensor, " responses"]
    scores: Float[Tensor, " responses"]
    prompts: Int[Tensor, " responses"]
    finished: Bool[Tensor, " responses"]
    logps: Float[Tensor, " tokens"]
    ref_logps: Float[Tensor, " tokens"]
    values: Float[Tensor, " tokens"]
    advantages: Float[Tensor, " tokens"]
    returns: Float[Tensor, " tokens"]
    weights: Float[Tensor, " tokens"]

    @property
    def kl_nats(self) -> float:
        """The mean over samples of the summed log-ratio to the reference: an unbiased estimate of the KL."""
        # unbiased since samples are drawn at temperature 1 from the whole vocabulary: settings that cut it are refused
        table, _ = self.layout.padded(self.logps - self.ref_logps)
        return float((table.sum(1) * self.counts).sum() / self.counts.sum())

    @cached_property
    def owners(self) -> Int[Tensor, " tokens"]:
        """The response of each token."""
        return torch.arange(len(self.counts)).repeat_interleave(self.layout.lengths)

    def columns(self, token_numbers: Int[Tensor, " batch"]) -> Columns:
        """Return what is known of some tokens."""
        return Columns(
            self.logps[token_numbers],
            self.ref_logps[token_numbers],
            self.values[token_numbers],
            self.advantages[token_numbers],
            self.returns[token_numbers],
            self.owners[token_numbers],
        )


@dataclass(frozen=True)
class Columns:
    """What is known of the tokens of a batch, all of shape (tokens,).

    Attributes:
        logps, ref_logps, values, advantages, returns: as of `Rollout`. owners: the response of each token.
    """

    logps: Tensor
    ref_logps: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    owners: Tensor

    def to(self, device: torch.device) -> Columns:
        """Return these on a device."""
        return Columns(*(column.to(device) for column in vars(self).values()))


class RolloutObjective(Protocol):
    """What a method of the rollout loop makes of samples.

    Attributes:
        has_value_head: whether a head for values trains beside the policy. head_learning_rate: of it.
        scales_rewards: whether the KL penalty stands beside rewards of a variance of 1, whatever theirs is.
        needs_entropies: whether the loss reads the entropy of each token's distribution.
    """

    has_value_head: bool
    head_learning_rate: float
    scales_rewards: bool
    needs_entropies: bool

    def credit(self, rollout: Rollout, kl_coefficient: float) -> tuple[Tensor, Tensor]:
        """Return the advantages and the returns of each token, shape (tokens,)."""

    def shares(self, rollout: Rollout, slots: Int[Tensor, " slots"]) -> Float[Tensor, " tokens"]:
        """Return how much each token counts in the loss of a minibatch of the responses `slots`; shape (tokens,)."""

    def terms(self, now: Reading, columns: Columns, kl_coefficient: float) -> dict[str, Tensor]:
        """Return `loss` of each token of a batch, and what else is logged of it."""

    def metrics(self, rollout: Rollout) -> dict[str, float]:
        """Return what is logged of a step's samples."""


def make_objective(config: RolloutConfig) -> RolloutObjective:
    """Return the objective that a method's settings ask for."""
    # by its class: what a method may be told says what it is
    if isinstance(config, GroupConfig):
        return GroupBaseline(config)
    assert isinstance(config, ActorCriticConfig)
    return ActorCritic(config)


class ActorCritic:
    """PPO: advantages over a value head, whitened over the step, and the value's own loss."""

    has_value_head = True

    def __init__(self, config: ActorCriticConfig) -> None:
        self.config, self.head_learning_rate = config, config.value_learning_rate
        # a penalty within the rewards is scaled with them: its coefficient keeps their unit
        self.scales_rewards = config.kl_in == "loss"
        self.needs_entropies = config.entropy_weight > 0

    def credit(self, rollout: Rollout, kl_coefficient: float) -> tuple[Tensor, Tensor]:
        """Return generalized advantages, whitened, and the returns."""
        config, layout, weights = self.config, rollout.layout, rollout.weights
        rewards = torch.zeros_like(rollout.logps)
        # the plain log-ratio at each drawn token: with a fixed coefficient the optimum is pi_ref exp(r / beta) / Z
        if config.kl_in == "reward":
            rewards -= kl_coefficient * (rollout.logps - rollout.ref_logps)
        # the whole reward comes with a response's last token, and a cut sample ends there too: no value is left
        rewards[layout.starts[1:] - 1] += rollout.scores
        if config.whiten_rewards:
            rewards = pg.whiten(rewards, weights, shift=False)
        table, mask = layout.padded(rewards)
        value_table, _ = layout.padded(rollout.values)
        advantages = pg.advantages(table, value_table, mask, gamma=config.gamma, lam=config.lam)[mask]
        return pg.whiten(advantages, weights), advantages + rollout.values

    def shares(self, rollout: Rollout, slots: Tensor) -> Tensor:
        """Return shares of the mean over the minibatch's tokens, each as often as it was drawn."""
        # drawn tokens, not forwarded ones: equal samples are one branch
        return rollout.weights / (rollout.counts * rollout.layout.lengths)[slots].sum()

    def terms(self, now: Reading, columns: Columns, kl_coefficient: float) -> dict[str, Tensor]:
        """Return the clipped surrogate, plus the value's error, the penalty and the bonus that settings ask for."""
        config = self.config
        surrogate = pg.clipped_surrogate(now.logps, columns.logps, columns.advantages, clip_ratio=config.clip_ratio)
        value_errors = pg.clipped_value(now.values, columns.values, columns.returns, clip_value=config.clip_value)
        losses = surrogate + config.value_weight * value_errors
        # half the squared log-ratio, whose gradient on the policy's own samples is that of the reverse KL
        if config.kl_in == "loss":
            losses = losses + kl_coefficient * pg.kl_loss(now.logps, columns.ref_logps)
        terms = {
            "policy_loss": surrogate,
            "value_loss": value_errors,
            "clip_fraction": _clipped(now.logps, columns, config),
        }
        if now.entropies is not None:
            losses = losses - config.entropy_weight * now.entropies
            terms["entropy"] = now.entropies
        return {"loss": losses, **terms}

    def metrics(self, rollout: Rollout) -> dict[str, float]:
        """Return how much of the returns' variance the values explain."""
        # None where the returns do not vary: there is nothing to explain
        explained = pg.explained_variance(rollout.values, rollout.returns, rollout.weights)
        return {} if explained is None else {"explained_variance": explained}


class GroupBaseline:
    """RLOO and GRPO: a sample against the others of its prompt, without values and without whitening over the step."""

    has_value_head, head_learning_rate, needs_entropies = False, 0.0, False

    def __init__(self, config: GroupConfig) -> None:
        self.config = config
        # the one difference between the two that is no setting
        self.leave_one_out = config.method == "rloo"
        self.divide_by_spread = bool(getattr(config, "scale_rewards", False))
        # as above: only a penalty beside scaled rewards has another unit than theirs
        self.scales_rewards = self.divide_by_spread and config.kl_in == "loss"

    def credit(self, rollout: Rollout, kl_coefficient: float) -> tuple[Tensor, Tensor]:
        """Return the advantage of each token's sample; there are no returns."""
        scores = rollout.scores
        if self.config.kl_in == "reward":
            # of the whole sample: what a token does to those after it counts, too
            table, _ = rollout.layout.padded(rollout.logps - rollout.ref_logps)
            scores = scores - kl_coefficient * table.sum(1)
        advantages = pg.group_advantages(
            scores, rollout.counts, rollout.prompts, leave_one_out=self.leave_one_out, scale=self.divide_by_spread
        )
        return advantages[rollout.owners], torch.zeros_like(rollout.logps)

    def shares(self, rollout: Rollout, slots: Tensor) -> Tensor:
        """Return how much each token counts, by the kind of the loss; tokens of samples that are left out do not."""
        config, lengths = self.config, rollout.layout.lengths
        # drawn samples, not distinct ones
        counts = rollout.counts
        if config.cut_samples == "mask":
            counts = counts * rollout.finished
        # at least one: where all samples of a minibatch were cut, nothing is learned from it
        samples = counts[slots].sum().clamp(min=1)
        per_token = {
            "sum": counts / samples,
            "grpo": counts / (samples * lengths),
            "dr_grpo": counts / (samples * config.max_new_tokens),
            "dapo": counts / (counts * lengths)[slots].sum().clamp(min=1),
        }[config.loss_type]
        return per_token[rollout.owners]

    def terms(self, now: Reading, columns: Columns, kl_coefficient: float) -> dict[str, Tensor]:
        """Return the clipped surrogate of tokens or of whole samples, plus the penalty."""
        config, logps = self.config, now.logps
        if config.ratio == "sequence":
            # a batch holds whole samples
            _, numbers, lengths = columns.owners.unique(return_inverse=True, return_counts=True)
            logps = columns.logps + pg.sequence_log_ratio(logps - columns.logps, numbers, lengths.to(logps.dtype))
        surrogate = pg.clipped_surrogate(
            logps, columns.logps, columns.advantages, clip_ratio=config.clip_ratio, clip_high=config.clip_high
        )
        # of the tokens as they are, also where the ratio is of whole samples
        losses = surrogate
        if config.kl_in == "loss":
            penalty = pg.kl_loss if config.kl_estimator == "k2" else pg.positive_kl_loss
            losses = losses + kl_coefficient * penalty(now.logps, columns.ref_logps)
        return {"loss": losses, "policy_loss": surrogate, "clip_fraction": _clipped(logps, columns, config)}

    def metrics(self, rollout: Rollout) -> dict[str, float]:
        """Return the share of prompts whose samples all have one reward: nothing is learned from these."""
        numbers = rollout.prompts
        # by extremes and not by the spread, which rounding makes a little more than 0
        highest, lowest = (
            torch.zeros(int(numbers.max()) + 1).scatter_reduce(
                0, numbers, rollout.scores, reduction, include_self=False
            )
            for reduction in ("amax", "amin")
        )
        return {"equal_rewards": float((highest == lowest).float().mean())}


def _clipped(logps: Tensor, columns: Columns, config: RolloutConfig) -> Tensor:
    """Return which tokens have left the range in which they have a gradient.

    Args:
        logps: of each token, whose difference to when it was drawn is the ratio that is clipped.
    """
    # an update that leaves the samples' policy behind shows in it
    ratio = (logps.detach() - columns.logps).exp()
    high = getattr(config, "clip_high", None) or config.clip_ratio
    return ((ratio > 1 + high) | (ratio < 1 - config.clip_ratio)).float()
