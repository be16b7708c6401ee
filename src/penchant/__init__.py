"""Penchant aligns language models from preferences and trains models on weak labels.

PPO is there as the baseline that the methods without reinforcement learning are compared with.

>>> import penchant as pt
>>> groups = pt.load_preferences("prefs.jsonl")            # doctest: +SKIP
>>> policy = pt.load_policy("smollm2-135m")                # doctest: +SKIP
>>> run = pt.train(pt.DPO(model="smollm2-135m", data="prefs.jsonl", loss=pt.losses.Sigmoid(beta=0.1)))  # doctest: +SKIP

Everything is imported when it is first used, so that `penchant --help` is instant.
"""

import penchant.module_path  # before any other import could take a file of the current folder for its own

# isort: split
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import penchant.face  # noqa: F401 - `train` stays the function, whatever is imported of the folder

if TYPE_CHECKING:
    from penchant import losses
    from penchant.calls import (
        agree,
        compare,
        evaluate,
        export,
        judge,
        rank,
        score,
        study,
        weak_label,
        weak_sources,
        weak_train,
    )
    from penchant.data.check import check_preferences
    from penchant.data.load import load_demonstrations, load_preferences, load_prompts
    from penchant.data.write import write_groups
    from penchant.engine.sampling import Sampling
    from penchant.errors import InputError, PenchantError, RunError
    from penchant.image import Image
    from penchant.media import Audio, Video
    from penchant.methods import DPO, GRPO, KTO, PPO, PPOGT, RLOO, SFT, PreferredFT, RewardModel, Unlikelihood, train
    from penchant.methods.best_of_n import BestOfN
    from penchant.models.load import load_policy
    from penchant.models.policy import Policy
    from penchant.models.reward import LearnedReward, load_reward_model
    from penchant.models.settings import LoRA, ModelConfig
    from penchant.rewards import best_worst_pairs, compare_by_score, load_reward, score_groups
    from penchant.rounds import SPIN, Iterative, OnlineRLHF, SelfRewarding
    from penchant.runs.load_run import load_run
    from penchant.studies.report import report
    from penchant.types import Comparison, Message, PromptGroup, Response, RunResult
    from penchant.weak.command_settings import WeakLabel, WeakTrain
    from penchant.weak.label_models.functions import labelling_function
    from penchant.weak.label_models.settings import WeakSources

_LATER = {
    "Audio": "penchant.media",
    "BestOfN": "penchant.methods.best_of_n",
    "Comparison": "penchant.types",
    "DPO": "penchant.methods",
    "Image": "penchant.image",
    "InputError": "penchant.errors",
    "KTO": "penchant.methods",
    "LearnedReward": "penchant.models.reward",
    "LoRA": "penchant.models.settings",
    "Message": "penchant.types",
    "ModelConfig": "penchant.models.settings",
    "Iterative": "penchant.rounds",
    "OnlineRLHF": "penchant.rounds",
    "SPIN": "penchant.rounds",
    "PPO": "penchant.methods",
    "PPOGT": "penchant.methods",
    "RLOO": "penchant.methods",
    "GRPO": "penchant.methods",
    "PenchantError": "penchant.errors",
    "Policy": "penchant.models.policy",
    "PreferredFT": "penchant.methods",
    "PromptGroup": "penchant.types",
    "Response": "penchant.types",
    "RewardModel": "penchant.methods",
    "RunError": "penchant.errors",
    "RunResult": "penchant.types",
    "SFT": "penchant.methods",
    "Sampling": "penchant.engine.sampling",
    "SelfRewarding": "penchant.rounds",
    "Unlikelihood": "penchant.methods",
    "Video": "penchant.media",
    "WeakLabel": "penchant.weak.command_settings",
    "WeakSources": "penchant.weak.label_models.settings",
    "WeakTrain": "penchant.weak.command_settings",
    "agree": "penchant.calls",
    "best_worst_pairs": "penchant.rewards",
    "check_preferences": "penchant.data.check",
    "compare": "penchant.calls",
    "compare_by_score": "penchant.rewards",
    "evaluate": "penchant.calls",
    "export": "penchant.calls",
    "judge": "penchant.calls",
    "labelling_function": "penchant.weak.label_models.functions",
    "load_demonstrations": "penchant.data.load",
    "load_policy": "penchant.models.load",
    "load_preferences": "penchant.data.load",
    "load_prompts": "penchant.data.load",
    "load_reward": "penchant.rewards",
    "load_run": "penchant.runs.load_run",
    "load_reward_model": "penchant.models.reward",
    "rank": "penchant.calls",
    "report": "penchant.studies.report",
    "score": "penchant.calls",
    "score_groups": "penchant.rewards",
    "study": "penchant.calls",
    "train": "penchant.methods",
    "weak_label": "penchant.calls",
    "weak_sources": "penchant.calls",
    "weak_train": "penchant.calls",
    "write_groups": "penchant.data.write",
}
"""What users import, and the module that has it. Each is imported when it is first asked for."""

__all__ = [
    "DPO",
    "GRPO",
    "KTO",
    "PPO",
    "PPOGT",
    "RLOO",
    "SFT",
    "SPIN",
    "Audio",
    "BestOfN",
    "Comparison",
    "Image",
    "InputError",
    "Iterative",
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
    "SelfRewarding",
    "Unlikelihood",
    "Video",
    "WeakLabel",
    "WeakSources",
    "WeakTrain",
    "agree",
    "best_worst_pairs",
    "check_preferences",
    "compare",
    "compare_by_score",
    "evaluate",
    "export",
    "judge",
    "labelling_function",
    "load_demonstrations",
    "load_policy",
    "load_preferences",
    "load_prompts",
    "load_reward",
    "load_reward_model",
    "load_run",
    "losses",
    "rank",
    "report",
    "score",
    "score_groups",
    "study",
    "train",
    "weak_label",
    "weak_sources",
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
