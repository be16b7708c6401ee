"""Words that people try, and what they are here: commands and methods. Settings: `penchant.config.problems`."""

from __future__ import annotations

COMMAND_FORMS = {
    # methods, typed without `train`
    "sft": "train sft",
    "preferred-ft": "train preferred_ft",
    "unlikelihood": "train unlikelihood",
    "dpo": "train dpo",
    "kto": "train kto",
    "reward-model": "train reward_model",
    "ppo": "train ppo",
    "ppo-gt": "train ppo_gt",
    "rloo": "train rloo",
    "grpo": "train grpo",
    "online-rlhf": "train online_rlhf",
    "rlhf": "train online_rlhf",
    "iterative": "train iterative",
    "spin": "train spin",
    "self-play": "train spin",
    "self-rewarding": "train self_rewarding",
    "online-dpo": "train iterative",
    "reward": "train reward_model",
    # what other programs call a command
    "fit": "train dpo",
    "finetune": "train dpo",
    "fine-tune": "train dpo",
    "check": "data check",
    "validate": "data check",
    "show": "data show",
    "inspect": "data show",
    "convert": "data convert",
    "generate": "sample",
    "infer": "sample",
    "inference": "sample",
    "predict": "score",
    "eval": "evaluate",
    "benchmark": "evaluate",
    "lm-eval": "evaluate",
    "serve": "chat",
    "annotate": "collect",
    "label": "weak label",
    "plot": "report",
    "merge": "export",
    "gguf": "export",
    "upload": "push",
    "sweep": "study",
    "elo": "rank",
    "kappa": "agree",
    "agreement": "agree",
    "version": "--version",
}
"""By a word that is no command, what is typed for it."""

LOSSES = (
    *("sigmoid", "robust", "ipo", "ipo_mean", "hinge", "sigmoid_norm", "exo_pair", "nca_pair", "sppo_hard", "bco_pair"),
    *("apo_zero", "apo_down", "discopop", "forward_kl", "jensen_shannon", "alpha_divergence", "wpo", "ld_dpo", "aot"),
    *("aot_unpaired", "plackett_luce", "simpo", "orpo"),
)
"""Losses of `dpo`, which people take for methods."""

METHOD_FORMS = {
    "reward": "reward_model",
    "rm": "reward_model",
    "preferred": "preferred_ft",
    "rlhf": "online_rlhf",
    "online_dpo": "iterative",
    "iterative_dpo": "iterative",
    "self_play": "spin",
    "self_reward": "self_rewarding",
    "meta_rewarding": "self_rewarding",
    "finetune": "sft",
}
"""By a word that is no method, what is typed for it behind `train`. """
METHOD_FORMS |= {loss: f"dpo loss={loss}" for loss in LOSSES}
