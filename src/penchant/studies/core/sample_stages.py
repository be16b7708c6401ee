"""The stages that sample the reference and compare its samples, and the one that judges a run's model by them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from penchant.data.load import load_preferences
from penchant.data.write import write_groups
from penchant.models.reward import load_reward_model
from penchant.rewards import compare_by_score, load_reward, score_groups
from penchant.studies.core.job import STAGE, StageJob, draw, start_policy, trained_policy, with_room
from penchant.studies.core.records import read_object
from penchant.studies.core.stage_settings import (
    ComparisonsSettings,
    MislabelledSettings,
    PolicySettings,
    SampledSettings,
)
from penchant.types import PromptGroup, prompt_text


def comparisons_stage(job: StageJob[ComparisonsSettings], folder: Path) -> dict[str, object]:
    """Write `comparisons.jsonl`: groups of samples, scored by the true reward, every pair of a group compared."""
    settings, policy = job.settings, start_policy(job, job.settings.policy)
    reward = load_reward(job.inputs["reward"], device=str(policy.scorer.device))
    size = settings.samples
    file = job.needs["prompts"] / f"{settings.role or 'train'}.jsonl"
    prompts = with_room(policy, file, settings.draws.max_new_tokens)
    # all groups of a prompt in one draw, then cut: one pass over the prompts
    samples = draw(policy, prompts, size * settings.groups, settings)
    parts = [
        PromptGroup(prompt, row[first : first + size])
        for prompt, row in zip(prompts, samples, strict=True)
        for first in range(0, len(row), size)
    ]
    return {
        **_write_comparisons(compare_by_score(score_groups(parts, reward)), folder),
        "prompts": len(prompts),
        "samples_drawn": sum(map(len, samples)),
        "tokens": sum(len(response.token_ids or ()) for row in samples for response in row),
    }


def _write_comparisons(groups: Sequence[PromptGroup], folder: Path) -> dict[str, int]:
    """Write `comparisons.jsonl`; return how much of it a run will see."""
    write_groups(groups, folder / "comparisons.jsonl")
    # read back as a run reads it, since epochs and steps are counted by what a run sees: without ties
    read = load_preferences(folder / "comparisons.jsonl", merge=False, ties="drop")
    comparison_count = sum(len(group.comparisons) for group in read)
    return {
        "comparisons": comparison_count,
        "ties": sum(len(group.comparisons) for group in groups) - comparison_count,
        "winners": sum(len({comparison.winner for comparison in group.comparisons}) for group in read),
        "losers": sum(len({comparison.loser for comparison in group.comparisons}) for group in read),
    }


def mislabelled_stage(job: StageJob[MislabelledSettings], folder: Path) -> dict[str, object]:
    """Write the comparisons with wrong labels for a share of them; ties stay.

    Turned round, or where labels are `random` by the toss of a coin, so that half of those are turned round.
    """
    settings = job.settings
    coin = settings.labels == "random"
    before = job.needs["comparisons"]
    generator = np.random.default_rng([settings.seed, 1])
    groups, flipped = [], 0
    for group in load_preferences(before / "comparisons.jsonl", merge=False, ties="half"):
        comparisons = []
        for comparison in group.comparisons:
            # two draws each time, whether they are used or not: so the wrong labels of `random` are among those of
            # `flipped`, and those of a small share among those of a larger one
            wrong, heads = generator.random(2) < (settings.share, 0.5)
            swap = bool(wrong and (heads or not coin)) and not comparison.tie
            flipped += swap
            swapped = replace(comparison, winner=comparison.loser, loser=comparison.winner)
            comparisons.append(swapped if swap else comparison)
        groups.append(group.replace(comparisons=comparisons, scores=None))  # the scores would tell the truth
    # the cost of the samples stays with the stage that drew them, or it would count twice
    facts = read_object(before / STAGE)
    return {**facts, **_write_comparisons(groups, folder), "flipped": flipped, "samples_drawn": 0, "tokens": 0}


def judged_stage(job: StageJob[PolicySettings], folder: Path) -> dict[str, object]:
    """Judge whether a run's model puts the winner of each unseen comparison first.

    Returns:
        `right`: 1, 0, or half for a tie of its scores; `prompt`: the number of the comparison's prompt.
    """
    groups = load_preferences(job.needs["held"] / "comparisons.jsonl", merge=False, ties="drop")
    run = job.needs["run"]
    if (run / "checkpoint" / "reward.json").exists():
        scores = load_reward_model(run).score(groups)
    else:
        # DPO's implicit reward: beta times this log-ratio. The factor changes no order, so it is left out
        start = start_policy(job, job.settings).score(groups)
        trained = trained_policy(job, job.settings).score(groups)
        scores = [trained_score - start_score for trained_score, start_score in zip(trained, start, strict=True)]
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(group.prompt for group in groups))}
    right, prompts = [], []
    for group, row in zip(groups, scores, strict=True):
        for comparison in group.comparisons:
            gap = float(row[comparison.winner] - row[comparison.loser])
            right.append(0.5 if gap == 0 else float(gap > 0))  # a tie of scores is right as often as a coin
            prompts.append(numbers[group.prompt])
    return {"right": right, "prompt": prompts}


def reference_stage(job: StageJob[SampledSettings], folder: Path) -> dict[str, object]:
    """Write `rewards.npy` of shape (prompts, samples) and `samples.jsonl`, one prompt per line in the same order."""
    settings, policy = job.settings, start_policy(job, job.settings.policy)
    reward = load_reward(job.inputs["reward"], device=str(policy.scorer.device))
    prompts = with_room(policy, job.needs["prompts"] / "eval.jsonl", settings.draws.max_new_tokens)
    samples = draw(policy, prompts, settings.samples, settings)
    pairs = [
        (prompt_text(prompt), response.text) for prompt, row in zip(prompts, samples, strict=True) for response in row
    ]
    # asked once for all texts, so that a classifier or an address gets them in batches of its own choice
    rewards = np.array(reward(pairs), dtype=np.float64).reshape(len(prompts), settings.samples)
    np.save(folder / "rewards.npy", rewards)
    with (folder / "samples.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        for prompt, row in zip(prompts, samples, strict=True):
            line = {"prompt": prompt_text(prompt), "texts": [response.text for response in row]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    tokens = sum(len(response.token_ids or ()) for row in samples for response in row)
    return {"prompts": len(prompts), "samples_drawn": rewards.size, "tokens": tokens}
