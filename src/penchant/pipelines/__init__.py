"""Methods in rounds, loop 3: a labeller labels, a student trains, again. Imports no torch."""

from __future__ import annotations

from penchant.config import Config
from penchant.pipelines.agree_settings import Agree, Rank
from penchant.pipelines.online_rlhf import OnlineRLHF
from penchant.pipelines.weak_settings import WeakLabel, WeakTrain

PIPELINES: dict[str, type[Config]] = {config.method: config for config in (OnlineRLHF,)}

__all__ = ["PIPELINES", "Agree", "OnlineRLHF", "Rank", "WeakLabel", "WeakTrain"]
