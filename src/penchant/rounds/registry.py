"""Methods in rounds by their names. Imports no torch."""

from __future__ import annotations

from penchant.config import Config
from penchant.rounds.iterative import Iterative
from penchant.rounds.online_rlhf import OnlineRLHF
from penchant.rounds.self_rewarding.method import SelfRewarding
from penchant.rounds.spin import SPIN

ROUNDS: dict[str, type[Config]] = {config.method: config for config in (OnlineRLHF, Iterative, SPIN, SelfRewarding)}
