"""RLOO: REINFORCE with the other samples of a prompt as the baseline."""

from __future__ import annotations

from typing import ClassVar

from penchant.methods.ppo import run
from penchant.train.group_settings import GroupConfig

__all__ = ["RLOO", "run"]


class RLOO(GroupConfig):
    """Train a policy on samples of its own, each held against the mean of the others (Ahmadian et al. 2024)."""

    method: ClassVar[str] = "rloo"
