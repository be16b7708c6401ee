"""Settings of the methods that hold a sample against the other samples of its prompt. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from penchant.session.objects import CodeName
from penchant.train.rollout_settings import AdaptiveKL, FixedKL, RolloutConfig

LossType = Literal["sum", "grpo", "dr_grpo", "dapo"]
GroupDraws = Annotated[int, Field(ge=2, le=100_000)]


class GroupConfig(RolloutConfig):
    """Settings of RLOO and GRPO: no value head, the other samples of a prompt are the baseline."""

    samples_per_prompt: GroupDraws = 4
    """Samples per prompt in a step, which are each other's baseline."""
    further_rewards: dict[CodeName, float] = Field(default_factory=dict)
    """Other rewards with their weights, such as `{length.py:short: 0.1}`; their weighted sum is added to `reward`."""
    # not steered by default: with the KL in the reward a coefficient has the reward's own unit
    kl: Annotated[AdaptiveKL | FixedKL, Field(discriminator="name")] = FixedKL(coefficient=0.05)
    """How the policy is held to the reference."""
    kl_estimator: Literal["k2", "k3"] = "k2"
    """With `kl_in=loss`, of each token: k2 is half the squared log-ratio, whose gradient is that of the KL; k3, as GRPO
    was published, is rho - 1 - log rho with rho = reference / policy, whose gradient is not."""
    # one: the ratio is 1 then, nothing is clipped, and RLOO's gradient is unbiased
    updates: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How often a step goes over its samples."""
    minibatches: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Optimizer steps of each of these, by prompts."""
    clip_high: Annotated[float, Field(gt=0)] | None = None
    """How far a probability may rise within a step; `clip_ratio`, as far as it may fall, if not given (DAPO: 0.28)."""
    ratio: Literal["token", "sequence"] = "token"
    """What is clipped: the ratio of each token's probability, or of a whole sample's (its geometric mean, as GSPO)."""
    loss_type: LossType = "sum"
    """How tokens make a loss: `sum`: summed over a sample, the mean over samples; `grpo`: the mean over a sample's
    tokens, then over samples; `dapo`: the mean over all tokens; `dr_grpo`: the sum divided by `max_new_tokens`."""
    cut_samples: Literal["learn", "mask"] = "learn"
    """Samples that `max_new_tokens` cut: learn from them like from others, or leave them out of the loss."""
