"""Say in a page's first lines what was run: task, method, model, reward and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from penchant.reports.kit.text import NAME, count, listing, short
from penchant.runs.read import Run

LABELS = {
    "sft": "SFT",
    "dpo": "DPO",
    "kto": "KTO",
    "preferred_ft": "Preferred-FT",
    "unlikelihood": "Unlikelihood",
    "reward_model": "Reward model",
    "ppo": "PPO",
    "ppo_gt": "PPO on the true reward",
    "rloo": "RLOO",
    "grpo": "GRPO",
    "online_rlhf": "Online RLHF",
    "iterative": "Iterative preference learning",
    "spin": "SPIN",
    "self_rewarding": "Self-rewarding",
}
TASKS = {
    "sft": "imitate responses",
    "dpo": "prefer what the comparisons prefer",
    "kto": "tell good responses from bad ones",
    "preferred_ft": "imitate the winners of comparisons",
    "unlikelihood": "imitate winners and avoid losers of comparisons",
    "reward_model": "score responses as the comparisons rank them",
    "ppo": "raise a learned reward",
    "ppo_gt": "raise the true reward",
    "rloo": "raise a reward",
    "grpo": "raise a reward",
    "online_rlhf": "raise a reward that is learned anew in rounds",
    "spin": "prefer real answers to those that it gave itself, in iterations",
    "iterative": "prefer the better ones of its own samples, drawn anew in rounds",
    "self_rewarding": "prefer the answers that it judged better itself, in rounds",
}
MOST_LISTED = 4  # names in a line; more are counted


def method_label(run: Run) -> str:
    """Return a method's name as papers write it; of a method that has none here, as its folder has it."""
    return LABELS.get(run.method, run.method.upper())


def page_title(runs: Sequence[Run]) -> str:
    """Return what the page is about: `DPO of smollm2-135m on prefs.jsonl`, or how many runs are compared."""
    if len(runs) > 1:
        methods = _list_names([method_label(run) for run in runs], "method")
        return f"{count(len(runs), 'run')} compared: {methods}"
    (run,) = runs
    model, data = _model(run), _data(run)
    parts = [method_label(run), *([f"of {model}"] if model else []), *([f"on {data}"] if data else [])]
    return short(" ".join(parts), 2 * NAME)


def leading_lines(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return task, method, model, reward and data of the runs, as (label, text); what no run names is left out."""
    lines = [
        ("Task", _list_names([TASKS.get(run.method, "") for run in runs], "task")),
        ("Method", _list_names([_method(run) for run in runs], "method")),
        ("Model", _list_names([_model(run) for run in runs], "model")),
        ("Reward", _list_names([_reward(run) for run in runs], "reward")),
        ("Data", _list_names([_data(run) for run in runs], "file")),
        *([("Run", runs[0].name)] if len(runs) == 1 else []),
    ]
    return [(label, text) for label, text in lines if text]


def _list_names(names: Sequence[str], noun: str) -> str:
    """List different names; many are only counted."""
    different = [short(name, 2 * NAME) for name in dict.fromkeys(names) if name]
    return count(len(different), noun) if len(different) > MOST_LISTED else listing(different) if different else ""


def _method(run: Run) -> str:
    loss = run.setting("loss", "name")
    return f"{method_label(run)} ({loss} loss)" if isinstance(loss, str) else method_label(run)


def _model(run: Run) -> str:
    recorded = run.provenance.get("model")
    name = recorded.get("name") if isinstance(recorded, Mapping) else None
    return _base_name(name or run.setting("model"))


def _reward(run: Run) -> str:
    # A method that trains on a reward names it itself; of others it is that of the evaluated samples.
    reward = run.setting("reward") or run.setting("evaluate", "samples", "reward")
    return _base_name(reward)


def _data(run: Run) -> str:
    recorded = run.provenance.get("data")
    path = recorded.get("path") if isinstance(recorded, Mapping) else None
    settings = run.setting("data")
    return _base_name(path or run.setting("data", "path") or (settings if isinstance(settings, str) else None))


def _base_name(name: object) -> str:
    """Return the last part of a path, as the whole stands among the facts; of a name on a hub both parts."""
    if not isinstance(name, str) or not name:
        return ""
    return PurePosixPath(name).name if name.startswith(("/", ".", "~")) or name.count("/") > 1 else name
