"""Penchant aligns language models from preferences and trains models on weak labels.

PPO is there as the baseline that the methods without reinforcement learning are compared with.

>>> import penchant as pt
>>> groups = pt.load_preferences("prefs.jsonl")            # doctest: +SKIP
>>> policy = pt.load_policy("smollm2-135m")                # doctest: +SKIP
>>> run = pt.train(pt.DPO(model="smollm2-135m", data="prefs.jsonl", loss=pt.losses.Sigmoid(beta=0.1)))  # doctest: +SKIP

Everything is imported when it is first used, so that `penchant --help` is instant.
"""

import penchant.module_path  # noqa: F401 - before any other import could take a file of the current folder for its own

# isort: split
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penchant import losses
    from penchant.data import (
        check_preferences,
        load_demonstrations,
        load_preferences,
        load_prompts,
        write_groups,
    )
    from penchant.engine.sampling import Sampling
    from penchant.errors import InputError, PenchantError, RunError
    from penchant.methods import DPO, KTO, PPO, PPOGT, SFT, PreferredFT, RewardModel, Unlikelihood, train
    from penchant.methods.best_of_n import BestOfN
    from penchant.models.load import load_policy
    from penchant.models.policy import Policy
    from penchant.models.reward import LearnedReward, load_reward_model
    from penchant.models.settings import LoRA, ModelConfig
    from penchant.rewards import best_worst_pairs, compare_by_score, load_reward, score_groups
    from penchant.rounds import OnlineRLHF
    from penchant.studies.report import report
    from penchant.types import Comparison, Message, PromptGroup, Response, RunResult
    from penchant.weak.command_settings import WeakLabel, WeakTrain
    from penchant.weak.label import weak_label
    from penchant.weak.train import weak_train

_MODULES = {
    "penchant.data": ("check_preferences", "load_demonstrations", "load_preferences", "load_prompts", "write_groups"),
    "penchant.engine.sampling": ("Sampling",),
    "penchant.errors": ("InputError", "PenchantError", "RunError"),
    "penchant.methods": ("DPO", "KTO", "PPO", "PPOGT", "SFT", "PreferredFT", "RewardModel", "Unlikelihood", "train"),
    "penchant.methods.best_of_n": ("BestOfN",),
    "penchant.models.load": ("load_policy",),
    "penchant.models.policy": ("Policy",),
    "penchant.models.reward": ("LearnedReward", "load_reward_model"),
    "penchant.models.settings": ("LoRA", "ModelConfig"),
    "penchant.rewards": ("best_worst_pairs", "compare_by_score", "load_reward", "score_groups"),
    "penchant.rounds": ("OnlineRLHF",),
    "penchant.studies.report": ("report",),
    "penchant.types": ("Comparison", "Message", "PromptGroup", "Response", "RunResult"),
    "penchant.weak.command_settings": ("WeakLabel", "WeakTrain"),
    "penchant.weak.label": ("weak_label",),
    "penchant.weak.train": ("weak_train",),
}
"""What users import, by the module that has it. Each is imported when it is first asked for."""
_LATER = {name: module for module, names in _MODULES.items() for name in names}

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
    # the rooms of the package, such as `pt.losses`
    if not name.startswith("_") and find_spec(f"penchant.{name}"):
        return import_module(f"penchant.{name}")
    raise AttributeError(f"module 'penchant' has no attribute {name!r}")


class _Face(ModuleType):
    """The package, in which `train` is the function although a folder has that name too."""

    @property
    def train(self) -> object:
        """The function that runs a method."""
        return __getattr__("train")

    @train.setter
    def train(self, value: object) -> None:
        """Keep the function: Python hands over the folder as soon as a module of it is imported."""


sys.modules[__name__].__class__ = _Face
