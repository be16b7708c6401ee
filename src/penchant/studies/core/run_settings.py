"""A study's run as the settings of its method: what `METHODS[kind]` is made of. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from penchant.errors import RunError
from penchant.models.settings import ModelConfig
from penchant.studies.core.stage_settings import (
    DrawSettings,
    EvaluationSettings,
    GroupRunSettings,
    MixtureRunSettings,
    OfflineRunSettings,
    PolicySettings,
    PPORunSettings,
    RewardModelSettings,
    RunSettings,
    SampledRunSettings,
    SFTSettings,
    StageSettings,
    SweptRunSettings,
)
from penchant.typed_json import to_object

ALL_PROMPTS = 1_000_000
"""No run leaves a prompt of the evaluation out."""
NO_SAMPLES: Mapping[str, object] = {"samples": None}
"""How a run is evaluated that other stages measure after its end."""
SWEPT_SETTINGS = {"kto": "beta", "unlikelihood": "alpha"}
"""The setting that takes the swept value, by method; DPO's stands in its loss."""


@dataclass(frozen=True)
class ComparisonCounts:
    """The sizes of a stage's comparisons, as its `stage.json` has them.

    Attributes:
        prompts: None where the stage does not count them.
        winners, losers: responses that won or lost at least once; None likewise.
    """

    comparisons: int
    winners: int
    losers: int | None = None
    prompts: int | None = None


@dataclass(frozen=True)
class RunPaths:
    """Where a run finds what it needs.

    Attributes:
        inputs: of its stage. needs: the folders of the stages before. out: the run directory.
    """

    inputs: Mapping[str, str]
    needs: Mapping[str, Path]
    out: Path

    def model(self, model: ModelConfig) -> ModelConfig:
        """Return the model to start from: the one after SFT where there is such a stage."""
        start = self.needs.get("start")
        return model.replace(name=str(start / "checkpoint") if start else self.inputs["model"])

    def comparisons(self, policy: PolicySettings, limit: int | None = None) -> dict[str, object]:
        """Return where a run reads comparisons, and how."""
        # the groups of a prompt stay apart: merged they would be compared all with all
        file = self.needs["comparisons"] / "comparisons.jsonl"
        # ties are dropped, as they were when the stage counted what a run will see
        data: dict[str, object] = {"path": str(file), "merge": False, "ties": "drop", **policy.data}
        return data if limit is None else {**data, "limit": limit}


def run_settings(
    kind: str, settings: StageSettings, paths: RunPaths, counts: ComparisonCounts | None
) -> dict[str, object]:
    """Return the settings that the method's configuration is made of.

    Args:
        kind: the method.
        settings: of its stage.
        paths: where the run finds what it needs.
        counts: of the comparisons that it learns from; None for methods that learn from none.

    Raises:
        TypeError: these are no settings of a run on what is there.
    """
    match settings:
        case SFTSettings():
            demonstrations = paths.inputs.get("sft", "")
            # a study of a file of comparisons fine-tunes on its preferred responses
            if "preferences" in paths.needs:
                demonstrations = str(paths.needs["preferences"] / "demonstrations.jsonl")
            method_settings: dict[str, object] = {
                "model": paths.model(settings.model),
                "epochs": settings.epochs,
                "max_steps": settings.max_steps,
                "batch_size": settings.batch_size,
                "data": {**to_object(settings.data), "path": demonstrations},
                "evaluate": NO_SAMPLES,
            }
        case MixtureRunSettings():
            method_settings = _mixture(settings, paths)
        case RewardModelSettings():
            method_settings = {
                "model": paths.model(settings.policy.model),
                "seed": settings.seed,
                "epochs": settings.epochs,
                "batch_size": settings.batch_size,
                "data": {**paths.comparisons(settings.policy), "held_out": settings.held_out},
            }
        case PPORunSettings():
            method_settings = _ppo(kind, settings, paths)
        case GroupRunSettings():
            method_settings = _group(settings, paths)
        case OfflineRunSettings() if counts is not None:
            method_settings = _offline(kind, settings, paths, counts)
        case _:
            raise TypeError(f"{type(settings).__name__} are no settings of a run of {kind}")
    assert isinstance(settings, RunSettings)
    learning = settings.learning
    return {
        "seed": 0,  # of SFT, which the seeds of a study share
        **method_settings,
        "out": str(paths.out),
        "optimizer": {"name": learning.optimizer, "learning_rate": settings.learning_rate},
        "schedule": {"name": "constant", "warmup_steps": learning.warmup_steps},
        "clip": learning.clip,
    }


def _mixture(settings: MixtureRunSettings, paths: RunPaths) -> dict[str, object]:
    """Return the settings of fine-tuning on the files that a stage of demonstrations wrote."""
    # sorted: the order of sources decides which rows are drawn
    files = sorted(paths.needs["demonstrations"].glob("*.jsonl"))
    # of one file there is nothing to mix
    mixing = {"mixing": to_object(settings.mixing)} if len(files) > 1 else {}
    return {
        "model": paths.model(settings.policy.model),
        "seed": settings.seed,
        "data": {
            "sources": [str(file) for file in files],
            # a row is a group: the same words in two rows are two draws, as the counts of the stage have it
            "merge": False,
            "held_out": 0,
            "max_length": settings.max_length,
            "overflow": "truncate_prompt",
            **mixing,
            **settings.policy.data,
        },
        "batch_size": settings.batch_size,
        # an epoch has a step at least, so that these suffice, and those that are not reached cost nothing
        "epochs": settings.steps,
        "max_steps": settings.steps,
        "evaluate": NO_SAMPLES,
    }


def _offline(kind: str, settings: OfflineRunSettings, paths: RunPaths, counts: ComparisonCounts) -> dict[str, object]:
    """Return the settings of a run on comparisons, whose steps follow from how many units it learns from."""
    # an epoch is a pass over what the method's loss is a mean of
    units = counts.comparisons
    if kind in ("preferred_ft", "unlikelihood", "kto"):  # they learn from single responses
        units = counts.winners + ((counts.losers or 0) if kind == "kto" else 0)
    # a run on few prompts: their share of the units, since nobody counts units per prompt before the data are read
    if settings.prompts is not None:
        if counts.prompts is None:  # else the run would train as long as one on all prompts, and nobody would see it
            raise RunError("the comparisons' stage.json has no number of prompts: delete that stage's folder")
        units = max(1, units * min(settings.prompts, counts.prompts) // counts.prompts)
    steps_per_pass = ceil(units / settings.batch_size)
    steps = settings.steps or steps_per_pass * (settings.epochs or 1)
    swept: dict[str, object] = {"loss": to_object(settings.loss)} if settings.loss is not None else {}
    if isinstance(settings, SweptRunSettings) and kind in SWEPT_SETTINGS:
        swept = {SWEPT_SETTINGS[kind]: settings.value}
    evaluate = NO_SAMPLES
    if isinstance(settings, SampledRunSettings):
        evaluate = _evaluate(settings.evaluation, settings.draws, paths, steps)
    return {
        **swept,
        "model": paths.model(settings.policy.model),
        "seed": settings.seed,
        # nothing is held out: methods are measured on prompts of their own, and learn from equal data
        "data": {**paths.comparisons(settings.policy, settings.prompts), "held_out": 0},
        "batch_size": settings.batch_size,
        # enough passes for the steps that are asked for, which then end the run
        "epochs": ceil(steps / steps_per_pass),
        "max_steps": settings.steps,
        "evaluate": evaluate,
    }


def _rollouts(settings: PPORunSettings | GroupRunSettings, paths: RunPaths) -> dict[str, object]:
    """Return the settings that all runs have in common that sample and learn."""
    return {
        "model": paths.model(settings.policy.model),
        "seed": settings.seed,
        "steps": settings.steps,
        "prompts_per_step": settings.prompts_per_step,
        "samples_per_prompt": settings.samples_per_prompt,
        "max_new_tokens": settings.draws.max_new_tokens,
        "data": {"path": str(paths.needs["prompts"] / "train.jsonl"), "held_out": 0, **settings.policy.data},
        "evaluate": _evaluate(settings.evaluation, settings.draws, paths, settings.steps),
    }


def _group(settings: GroupRunSettings, paths: RunPaths) -> dict[str, object]:
    return {
        **_rollouts(settings, paths),
        "reward": paths.inputs["reward"],
        # what is swept, as the beta of DPO is
        "kl": {"name": "fixed", "coefficient": settings.value},
    }


def _ppo(kind: str, settings: PPORunSettings, paths: RunPaths) -> dict[str, object]:
    return {
        **_rollouts(settings, paths),
        "updates": settings.updates,
        "reward": str(paths.needs["reward_model"]) if kind == "ppo" else paths.inputs["reward"],
        # PPO never learns from it: it is measured beside the learned reward, to show where that is exploited
        "true_reward": paths.inputs.get("reward") if kind == "ppo" else None,
        "kl": {"name": "adaptive", "target_nats": settings.value, "start": settings.kl_start},
    }


def evaluated_steps(steps: int, times: int, spacing: float) -> list[int]:
    """Return the steps after which a run is evaluated, ascending: its last, and others earlier by this factor.

    The first ones are close together, since early steps move a policy furthest.
    """
    # backwards from the last step, so that the end is always there; a set, for early steps round to the same number
    at_steps, step = {steps}, float(steps)
    for _ in range(times - 1):
        step /= spacing
        at_steps.add(ceil(step))
        if step <= 1:
            break
    return sorted(at_steps)


def _evaluate(
    evaluation: EvaluationSettings | None, draws: DrawSettings, paths: RunPaths, steps: int
) -> Mapping[str, object]:
    """Return how a run is evaluated; without samples where other stages measure it after its end."""
    if evaluation is None:
        return NO_SAMPLES
    # the same prompts and seeds for every method, so that differences between methods are paired
    return {
        "at_steps": evaluated_steps(steps, evaluation.times, evaluation.spacing),
        "samples": {
            "prompts": str(paths.needs["prompts"] / "eval.jsonl"),
            "max_prompts": ALL_PROMPTS,
            "n": evaluation.samples,
            "max_new_tokens": draws.max_new_tokens,
            "reward": paths.inputs["reward"],
            "seed": evaluation.seed,
        },
    }
