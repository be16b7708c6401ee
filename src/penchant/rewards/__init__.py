"""Rewards: text in, a number out. Built-in ones by name, any Python function by `module:function`."""

from __future__ import annotations

from penchant.rewards.groups import compare_by_score, score_groups
from penchant.rewards.load import BUILT_IN, Reward, checked_reward, load_reward

__all__ = ["BUILT_IN", "Reward", "checked_reward", "compare_by_score", "load_reward", "score_groups"]
