"""Methods in rounds, loop 3: a labeller labels, a student trains, again. Imports no torch."""

from __future__ import annotations

from penchant.config import Config
from penchant.rounds.online_rlhf import OnlineRLHF

ROUNDS: dict[str, type[Config]] = {config.method: config for config in (OnlineRLHF,)}

__all__ = ["ROUNDS", "OnlineRLHF"]
