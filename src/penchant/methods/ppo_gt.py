"""PPO-GT: PPO on the true reward itself, an oracle that Rafailov et al. (2023) compare with."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from penchant.methods.ppo import run
from penchant.session.objects import CodeName
from penchant.train.rollout_settings import ActorCriticConfig

__all__ = ["PPOGT", "run"]


class PPOGT(ActorCriticConfig):
    """PPO on the true reward: what reinforcement learning reaches where nothing has to be learned of people."""

    method: ClassVar[str] = "ppo_gt"

    # a default, unlike PPO's: there the reward is a folder that only the user can name
    reward: Annotated[CodeName, Field(min_length=1)] = "vader"
    """The true reward: `vader`, `module:function` taking a list of (prompt, response), or a URL."""
