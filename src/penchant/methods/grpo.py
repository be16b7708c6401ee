"""GRPO: rewards of a prompt's samples, less their mean and divided by their spread."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penchant.methods.ppo import run
from penchant.train.group_settings import GroupConfig, LossType
from penchant.train.rollout_settings import AdaptiveKL, FixedKL

__all__ = ["GRPO", "run"]


class GRPO(GroupConfig):
    """Train a policy on samples of its own, each held against its group (Shao et al. 2024)."""

    method: ClassVar[str] = "grpo"

    # as published: Dr. GRPO has scale_rewards=false loss_type=dr_grpo, DAPO clip_high=0.28 loss_type=dapo
    kl: Annotated[AdaptiveKL | FixedKL, Field(discriminator="name")] = FixedKL(coefficient=0.04)
    """How the policy is held to the reference."""
    kl_in: Literal["reward", "loss"] = "loss"
    """Where the penalty goes: into each sample's reward, or into the loss."""
    kl_estimator: Literal["k2", "k3"] = "k3"
    """With `kl_in=loss`, of each token: k3, as GRPO was published, is rho - 1 - log rho with rho = reference / policy;
    k2 is half the squared log-ratio, whose gradient is that of the KL."""
    loss_type: LossType = "grpo"
    """How tokens make a loss: `grpo`: the mean over a sample's tokens, then over samples; `dapo`: the mean over all
    tokens; `dr_grpo`: the sum divided by `max_new_tokens`; `sum`: the sum, as RLOO."""
    scale_rewards: bool = True
    """Divide by the standard deviation of a prompt's rewards; false as in Dr. GRPO."""
