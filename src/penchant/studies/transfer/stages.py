"""The stage that measures one policy on the prompts of one domain, over a sweep of temperatures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from penchant.engine.reference import Reference, sequence_kl
from penchant.models.policy import Policy
from penchant.models.reward import LearnedReward, load_reward_model
from penchant.rewards import load_reward, score_groups
from penchant.studies.core.job import StageJob, draw, start_policy, trained_policy, with_room
from penchant.studies.core.stage_settings import MeasuredSettings
from penchant.types import Prompt, PromptGroup, Response, prompt_text

OWN_TEMPERATURE = 1.0
"""At which samples are the policy's own, so that the KL along them estimates that of the sequences without bias."""


def transfer_stage(job: StageJob[MeasuredSettings], folder: Path) -> dict[str, object]:
    """Write `samples.jsonl`, a line per temperature and prompt.

    Each sample has its true reward, where the study has one, and at temperature 1 the exact KL to the reference along
    it. Without a run the reference itself is measured; with a reward model as `ranker`, the best of every `best_of` of
    its samples by that.
    """
    settings, start = job.settings, start_policy(job, job.settings.policy)
    reward = None
    if settings.draws.reward is not None:
        reward = load_reward(job.inputs["reward"], device=str(start.scorer.device))
    ranker = load_reward_model(job.needs["ranker"]) if "ranker" in job.needs else None
    best_of = settings.best_of or 1
    policy = trained_policy(job, settings.policy) if "run" in job.needs else start
    # by the start's context, not the run's: every policy is measured on the same prompts
    prompts = with_room(start, job.needs["domain"] / "eval.jsonl", settings.draws.max_new_tokens)
    drawn_count = 0
    with (folder / "samples.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        for temperature in settings.temperatures:
            # at temperature 0 the likeliest tokens are the same each time
            n = settings.samples if temperature > 0 else 1
            group_size = best_of if temperature > 0 else 1
            samples = draw(policy, prompts, n * group_size, settings, temperature)
            # counts the samples that Best-of-N discards too: they are what it costs
            drawn_count += n * group_size * len(prompts)
            if ranker is not None:
                # by the learned reward: a method must not choose by the judge that measures it (decision 16)
                samples = _best(ranker, prompts, samples, group_size)
            groups = [PromptGroup(prompt, row) for prompt, row in zip(prompts, samples, strict=True)]
            rewards = (
                [group.scores for group in score_groups(groups, reward, tokenizer=policy.tokenizer)] if reward else None
            )
            # at other temperatures samples are not the policy's own, and no mean along them is its KL
            exact = policy is not start and temperature == OWN_TEMPERATURE
            kls = _kl(policy, start, prompts, samples) if exact else None
            for index, prompt in enumerate(prompts):
                line = {
                    "temperature": temperature,
                    "prompt": prompt_text(prompt),
                    "texts": [response.text for response in samples[index]],
                    "rewards": list(rewards[index] or ()) if rewards else None,
                    "kl_nats": kls[index] if kls else None,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {"prompts": len(prompts), "samples_drawn": drawn_count}


def _best(
    ranker: LearnedReward, prompts: Sequence[Prompt], samples: Sequence[Sequence[Response]], group_size: int
) -> list[list[Response]]:
    """Return the best by the learned reward of every `group_size` samples of a prompt, in order."""
    groups = [PromptGroup(prompt, row) for prompt, row in zip(prompts, samples, strict=True)]
    scores = ranker.score(groups)
    return [
        [row[first + int(score[first : first + group_size].argmax())] for first in range(0, len(row), group_size)]
        for row, score in zip(samples, scores, strict=True)
    ]


def _kl(
    policy: Policy, start: Policy, prompts: Sequence[Prompt], samples: Sequence[Sequence[Response]]
) -> list[list[float]]:
    # whole sequences: what the policy drew fits its context, and a limit of training would cut it
    renderer = replace(policy.renderer, max_length=None, every_turn=False, thoughts="score")
    rendered = [renderer.render(PromptGroup(prompt, list(row))) for prompt, row in zip(prompts, samples, strict=True)]
    return [row.tolist() for row in sequence_kl(policy.scorer, Reference(start.scorer, False), rendered)]
