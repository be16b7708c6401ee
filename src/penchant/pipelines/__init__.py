"""Methods in rounds, loop 3: a labeller labels, a student trains, again. Imports no torch."""

from __future__ import annotations

from penchant.config import Config
from penchant.pipelines.online_rlhf import OnlineRLHF

PIPELINES: dict[str, type[Config]] = {config.method: config for config in (OnlineRLHF,)}
