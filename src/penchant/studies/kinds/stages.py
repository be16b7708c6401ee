"""The stages of the study of kinds: comparisons of one kind, runs of DPO, and samples that measure a model."""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path

import numpy as np

from penchant.data.write import write_groups
from penchant.engine.sampling import Sampling
from penchant.errors import InputError, RunError
from penchant.files import read_json
from penchant.methods import train
from penchant.methods.dpo import DPO
from penchant.models.policy import Policy
from penchant.rewards import load_reward
from penchant.runs.progress import progress_bar
from penchant.runs.provenance import surroundings
from penchant.studies.core.job import STAGE, StageJob, start_policy, trained_policy
from penchant.studies.kinds.stage_settings import (
    MEASURED,
    PAIRS,
    TEXTS,
    KindMeasuredSettings,
    KindPairsSettings,
    KindRunSettings,
)
from penchant.typed_json import to_object
from penchant.types import Comparison, PromptGroup, Response

EXAMPLES = 6
"""Texts of a prompt that a page may show."""


def pairs_stage(job: StageJob[KindPairsSettings], folder: Path) -> dict[str, object]:
    """Write the comparisons of one kind: of each group of samples the best against the worst.

    Raises:
        InputError: all samples of all groups are equally good.
    """
    settings, policy = job.settings, start_policy(job, job.settings.policy)
    reward = load_reward(job.inputs["reward"])
    prompts = settings.prompts
    # every prompt equally often, up to one
    counts = [settings.groups // len(prompts) + (n < settings.groups % len(prompts)) for n in range(len(prompts))]
    largest = max(counts) * settings.samples
    draws = _draw(policy, prompts, largest, settings.max_new_tokens, settings.seed)
    groups = []
    for prompt, responses, count in zip(prompts, draws, counts, strict=True):
        scores = reward([(prompt, response.text) for response in responses])
        for start in range(0, count * settings.samples, settings.samples):
            part = range(start, start + settings.samples)
            best, worst = max(part, key=scores.__getitem__), min(part, key=scores.__getitem__)
            if scores[best] > scores[worst]:
                pair = [responses[best], responses[worst]]
                groups.append(PromptGroup(prompt, pair, [Comparison(0, 1)]))
    if not groups:
        raise InputError(
            f"{job.inputs['reward']} finds all samples of every group equally good: nothing can be learned"
        )
    write_groups(groups, folder / PAIRS)
    tokens = sum(len(response.token_ids or ()) for responses in draws for response in responses)
    return {"comparisons": len(groups), "samples_drawn": largest * len(prompts), "tokens": tokens}


def _draw(policy: Policy, prompts: tuple[str, ...], n: int, tokens: int, seed: int) -> list[list[Response]]:
    with progress_bar("sampling", len(prompts) * n, "samples") as advance:
        return policy.draw(list(prompts), Sampling(n, 1.0, tokens, seed=seed), progress=advance)


def run_stage(job: StageJob[KindRunSettings], folder: Path) -> dict[str, object]:
    """Train by DPO on the comparisons of one kind, or on all with a weight for each and steps of one kind.

    Raises:
        RunError: the run did not come to its end.
    """
    settings = job.settings
    files = {name: str(job.needs[name] / PAIRS) for name in settings.weights}
    comparisons = sum(int(read_json(job.needs[name] / STAGE)["comparisons"]) for name in files)
    data: dict[str, object] = {"merge": False, "held_out": 0, **settings.policy.data}
    if len(files) == 1:
        data["path"] = next(iter(files.values()))
    else:
        data["sources"] = [{"path": file, "weight": settings.weights[name]} for name, file in files.items()]
        # as batches of one modality are: rewards of kinds are never compared within a step
        data["batches"] = "one_source"
    config = DPO.model_validate(
        {
            "model": settings.policy.model.replace(name=job.inputs["model"]),
            "data": data,
            "loss": {"name": "sigmoid", "beta": settings.beta},
            "batch_size": settings.batch_size,
            "epochs": ceil(settings.steps * settings.batch_size / comparisons) + 1,
            "max_steps": settings.steps,
            "optimizer": {"name": settings.learning.optimizer, "learning_rate": settings.learning_rate},
            "schedule": {"name": "constant", "warmup_steps": settings.learning.warmup_steps},
            "clip": settings.learning.clip,
            "evaluate": {"samples": None},
            "checkpoint": {"optimizer": False},
            "seed": settings.seed,
            "out": str(folder / "run"),
        }
    )
    # a run that diverged would be measured like any other
    status = train(config).metrics["status"]
    if status != "done":
        raise RunError(f"the run ended as {status}: lower `learning_rate`, or look into {folder / 'run'}")
    # where stages that need a model look for one
    (folder / "checkpoint").symlink_to("run/checkpoint")
    return {"comparisons": comparisons, "status": str(status), "provenance": to_object(surroundings())}


def measured_stage(job: StageJob[KindMeasuredSettings], folder: Path) -> dict[str, object]:
    """Write rewards, what is kept and the KL of every sample, each of shape (prompts, samples), and the first texts."""
    settings = job.settings
    start = start_policy(job, settings.policy)
    policy = trained_policy(job, settings.policy) if "run" in job.needs else start
    draws = _draw(policy, settings.prompts, settings.samples, settings.max_new_tokens, settings.seed)
    pairs = [
        (prompt, response.text)
        for prompt, responses in zip(settings.prompts, draws, strict=True)
        for response in responses
    ]
    # prompts in rows: intervals resample prompts, and samples of one go together
    shape = (len(settings.prompts), settings.samples)
    arrays = {"reward": np.reshape(load_reward(job.inputs["reward"])(pairs), shape)}
    if settings.guard is not None:
        arrays["guard"] = np.reshape(load_reward(job.inputs["guard"])(pairs), shape)
    # the model before is at distance 0 from itself, exactly
    arrays["kl_nats"] = np.zeros(shape)
    if policy is not start:
        groups = [PromptGroup(prompt, list(row)) for prompt, row in zip(settings.prompts, draws, strict=True)]
        # the mean of log(policy / start) over samples of the policy estimates the KL without bias
        scores = zip(policy.score(groups), start.score(groups), strict=True)
        arrays["kl_nats"] = np.stack([np.asarray(own - former, dtype=np.float64) for own, former in scores])
    np.savez(folder / MEASURED, **arrays)  # type: ignore[arg-type]
    texts = [[response.text for response in row[:EXAMPLES]] for row in draws]
    (folder / TEXTS).write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8", errors="replace")
    return {"samples_drawn": len(pairs), "tokens": sum(len(item.token_ids or ()) for row in draws for item in row)}
