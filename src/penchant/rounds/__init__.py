"""Methods in rounds, loop 3: a policy answers, somebody compares, it learns, again. Imports no torch.

This file only lists, so that a stage of `rounds.oversight` does not depend on the methods (`studies/core/source.py`).
"""

from __future__ import annotations

from penchant.rounds.iterative import Iterative
from penchant.rounds.online_rlhf import OnlineRLHF
from penchant.rounds.registry import ROUNDS
from penchant.rounds.self_rewarding.method import SelfRewarding
from penchant.rounds.spin import SPIN

__all__ = ["ROUNDS", "SPIN", "Iterative", "OnlineRLHF", "SelfRewarding"]
