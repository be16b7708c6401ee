"""Rewards: text in, a number out. Built-in ones by name, functions by `module:function`, endpoints by address."""

from __future__ import annotations

from penchant.rewards.groups import best_worst_pairs, compare_by_score, score_groups
from penchant.rewards.load import Reward, checked_reward, load_reward
from penchant.rewards.names import BUILT_IN

__all__ = [
    "BUILT_IN",
    "Reward",
    "best_worst_pairs",
    "checked_reward",
    "compare_by_score",
    "load_reward",
    "score_groups",
]
