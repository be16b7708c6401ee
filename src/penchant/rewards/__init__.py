"""Rewards: text in, a number out. Built-in ones by name, functions by `module:function`, endpoints by address."""

from __future__ import annotations

from penchant.rewards.groups import best_worst_pairs, compare_by_score, score_groups
from penchant.rewards.load import BUILT_IN, Reward, checked_reward, load_reward

__all__ = [
    "BUILT_IN",
    "Reward",
    "best_worst_pairs",
    "checked_reward",
    "compare_by_score",
    "load_reward",
    "score_groups",
]
