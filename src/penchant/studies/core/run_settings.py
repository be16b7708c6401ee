"""A study's run as the settings of its method: what `METHODS[kind]` is made of. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from penchant.typed_json import JsonObject

ALL_PROMPTS = 1_000_000
"""No run leaves a prompt of the evaluation out."""


def run_settings(
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    needs: Mapping[str, Path],
    facts: Mapping[str, Any],
    out: Path,
) -> JsonObject:
    """Return the settings that the method's configuration is made of.

    Args:
        kind: the method. settings, inputs: of its stage. needs: the folders of the stages before.
        facts: `stage.json` of the comparisons: the numbers of `comparisons`, `winners` and `losers`; empty where a
            method does not use them.
        out: the run directory.
    """
    start = needs.get("start")
    model = {**settings["model"], "name": str(start / "checkpoint") if start else inputs["model"]}
    common: JsonObject = {
        "model": model,
        "out": str(out),
        "seed": settings.get("seed", 0),
        "optimizer": {"name": settings["optimizer"], "learning_rate": settings["learning_rate"]},
        "schedule": {"name": "constant", "warmup_steps": settings["warmup_steps"]},
        "clip": settings["clip"],
    }
    if kind == "sft":
        method_settings = {name: settings[name] for name in ("epochs", "max_steps", "batch_size")}
        demonstrations = needs["preferences"] / "demonstrations.jsonl" if "preferences" in needs else inputs["sft"]
        data = {**settings["data"], "path": str(demonstrations)}
        return {**common, **method_settings, "data": data, "evaluate": {"samples": None}}
    if kind == "reward_model":
        method_settings = {name: settings[name] for name in ("epochs", "batch_size")}
        data = {**_comparison_data(settings, needs), "held_out": settings["held_out"]}
        return {**common, **method_settings, "data": data}
    if kind in ("ppo", "ppo_gt"):
        return {**common, **_ppo(kind, settings, inputs, needs)}
    unit_names = {"preferred_ft": ("winners",), "unlikelihood": ("winners",), "kto": ("winners", "losers")}
    units = sum(facts[name] for name in unit_names.get(kind, ("comparisons",)))
    if "prompts" in settings:  # a run on few prompts
        units = max(1, units * min(settings["prompts"], facts["prompts"]) // facts["prompts"])
    steps_per_pass = ceil(units / settings["batch_size"])
    steps = settings.get("steps") or steps_per_pass * settings["epochs"]
    swept = {
        "dpo": {"loss": settings.get("loss")},
        "kto": {"beta": settings.get("value")},
        "unlikelihood": {"alpha": settings.get("value")},
    }
    return {
        **common,
        **swept.get(kind, {}),
        "data": {**_comparison_data(settings, needs), "held_out": 0},
        "batch_size": settings["batch_size"],
        "epochs": ceil(steps / steps_per_pass),
        "max_steps": steps if "steps" in settings else None,
        "evaluate": _evaluate(settings, inputs, needs, steps),
    }


def _comparison_data(settings: Mapping[str, Any], needs: Mapping[str, Path]) -> JsonObject:
    """Return where a run reads comparisons, and how."""
    # the groups of a prompt stay apart: merged they would be compared all with all
    file = needs["comparisons"] / "comparisons.jsonl"
    data = {"path": str(file), "merge": False, "ties": "drop", "template": settings["template"]}
    return {**data, "limit": settings["prompts"]} if "prompts" in settings else data


def _ppo(kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str], needs: Mapping[str, Path]) -> JsonObject:
    names = ("steps", "prompts_per_step", "samples_per_prompt", "updates", "max_new_tokens")
    prompts = needs["prompts"] / "train.jsonl"
    return {
        **{name: settings[name] for name in names},
        "data": {"path": str(prompts), "held_out": 0, "template": settings["template"]},
        "reward": str(needs["reward_model"]) if kind == "ppo" else inputs["reward"],
        "true_reward": inputs.get("reward") if kind == "ppo" else None,
        "kl": {"name": "adaptive", "target_nats": settings["value"], "start": settings["kl_start"]},
        "evaluate": _evaluate(settings, inputs, needs, settings["steps"]),
    }


def evaluated_steps(steps: int, times: int, spacing: float) -> list[int]:
    """Return the steps after which a run is evaluated, ascending: its last, and others earlier by this factor."""
    at_steps, step = {steps}, float(steps)
    for _ in range(times - 1):
        step /= spacing
        at_steps.add(ceil(step))
        if step <= 1:
            break
    return sorted(at_steps)


def _evaluate(
    settings: Mapping[str, Any], inputs: Mapping[str, str], needs: Mapping[str, Path], steps: int
) -> JsonObject:
    """Return how a run is evaluated: with the same prompts and seeds for every method.

    The first evaluations are close together, as early steps move a policy furthest. No samples where a run is measured
    by other stages, after its end.
    """
    evaluation = settings.get("evaluation")
    if evaluation is None:
        return {"samples": None}
    return {
        "at_steps": evaluated_steps(steps, evaluation["times"], evaluation["spacing"]),
        "samples": {
            "prompts": str(needs["prompts"] / "eval.jsonl"),
            "max_prompts": ALL_PROMPTS,
            "n": evaluation["samples"],
            "max_new_tokens": settings["max_new_tokens"],
            "reward": inputs["reward"],
            "seed": evaluation["seed"],
        },
    }
