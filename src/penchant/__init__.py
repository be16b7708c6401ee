"""Penchant aligns language models from preferences without reinforcement learning.

>>> import penchant as pt
>>> groups = pt.load_preferences("prefs.jsonl")            # doctest: +SKIP
>>> policy = pt.load_policy("smollm2-135m")                # doctest: +SKIP
>>> run = pt.train(pt.DPO(model="smollm2-135m", data="prefs.jsonl", loss=pt.losses.Sigmoid(beta=0.1)))  # doctest: +SKIP

What needs torch is imported when first used, so that `penchant --help` is instant.
"""

import penchant.module_path  # noqa: F401 - before any other import could take a file of the current folder for its own

# isort: split
from importlib import import_module
from typing import TYPE_CHECKING

from penchant import losses
from penchant.data import (
    check_preferences,
    load_demonstrations,
    load_preferences,
    load_prompts,
    write_groups,
)
from penchant.errors import InputError, PenchantError, RunError
from penchant.methods import DPO, KTO, PPO, PPOGT, SFT, PreferredFT, RewardModel, Unlikelihood, train
from penchant.models.settings import LoRA, ModelConfig
from penchant.rewards import best_worst_pairs, compare_by_score, load_reward, score_groups
from penchant.rounds import OnlineRLHF
from penchant.types import Comparison, Message, PromptGroup, Response, RunResult
from penchant.weak.command_settings import WeakLabel, WeakTrain

if TYPE_CHECKING:
    from penchant.engine.sampling import Sampling
    from penchant.methods.best_of_n import BestOfN
    from penchant.models.load import load_policy
    from penchant.models.policy import Policy
    from penchant.models.reward import LearnedReward, load_reward_model
    from penchant.studies.report import report
    from penchant.weak.label import weak_label
    from penchant.weak.train import weak_train

_LATER = {
    "BestOfN": "penchant.methods.best_of_n",
    "LearnedReward": "penchant.models.reward",
    "Policy": "penchant.models.policy",
    "Sampling": "penchant.engine.sampling",
    "load_policy": "penchant.models.load",
    "load_reward_model": "penchant.models.reward",
    "report": "penchant.studies.report",
    "weak_label": "penchant.weak.label",
    "weak_train": "penchant.weak.train",
}

__all__ = [
    "DPO",
    "KTO",
    "PPO",
    "PPOGT",
    "SFT",
    "BestOfN",
    "Comparison",
    "InputError",
    "LearnedReward",
    "LoRA",
    "Message",
    "ModelConfig",
    "OnlineRLHF",
    "PenchantError",
    "Policy",
    "PreferredFT",
    "PromptGroup",
    "Response",
    "RewardModel",
    "RunError",
    "RunResult",
    "Sampling",
    "Unlikelihood",
    "WeakLabel",
    "WeakTrain",
    "best_worst_pairs",
    "check_preferences",
    "compare_by_score",
    "load_demonstrations",
    "load_policy",
    "load_preferences",
    "load_prompts",
    "load_reward",
    "load_reward_model",
    "losses",
    "report",
    "score_groups",
    "train",
    "weak_label",
    "weak_train",
    "write_groups",
]


def __getattr__(name: str) -> object:
    if name in _LATER:  # a checker reads the imports above, Python comes here at the first use
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'penchant' has no attribute {name!r}")
