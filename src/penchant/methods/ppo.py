"""PPO on a learned reward: reinforcement learning from human feedback as DPO's paper compares with it."""

from __future__ import annotations

from typing import ClassVar

from penchant.train.rollout_settings import ActorCriticConfig, RolloutConfig
from penchant.types import RunResult


class PPO(ActorCriticConfig):
    """Train a policy on samples of its own, scored by a reward model (Schulman et al. 2017, Ziegler et al. 2019)."""

    method: ClassVar[str] = "ppo"


def run(config: RolloutConfig, *, resume: bool = False) -> RunResult:
    """Train; see `penchant.train.rollout_run.run_rollouts` for errors."""
    from penchant.train.rollout_run import run_rollouts

    return run_rollouts(config, resume=resume)
