"""The stage that measures one policy on the prompts of one domain, over a sweep of temperatures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from penchant.engine.reference import Reference, sequence_kl
from penchant.models.policy import Policy
from penchant.rewards import load_reward, score_groups
from penchant.studies.order import Order, draw, start_policy, trained_policy, with_room
from penchant.types import Prompt, PromptGroup, Response, prompt_text

OWN_TEMPERATURE = 1.0
"""At which samples are the policy's own, so that the KL along them estimates that of the sequences without bias."""


def transfer_stage(order: Order, folder: Path) -> dict[str, Any]:
    """`samples.jsonl`: a line a temperature and prompt, each sample with its true reward and, at temperature 1, the
    exact KL to the reference along it. Without a run it is the reference itself that is measured."""
    settings, start = order.settings, start_policy(order)
    reward = load_reward(order.places["reward"], device=str(start.scorer.device))
    policy = trained_policy(order) if "run" in order.needs else start
    prompts = with_room(start, order.needs["domain"] / "eval.jsonl", settings["max_new_tokens"])
    drawn_in_all = 0
    with (folder / "samples.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        for temperature in settings["temperatures"]:
            n = settings["samples"] if temperature > 0 else 1  # the likeliest tokens are the same each time
            drawn = draw(policy, prompts, n, settings, temperature)
            groups = [PromptGroup(prompt, row) for prompt, row in zip(prompts, drawn, strict=True)]
            rewards = [group.scores or () for group in score_groups(groups, reward, tokenizer=policy.tokenizer)]
            kls = _kl(policy, start, prompts, drawn) if policy is not start and temperature == OWN_TEMPERATURE else None
            drawn_in_all += n * len(prompts)
            for place, prompt in enumerate(prompts):
                line = {
                    "temperature": temperature,
                    "prompt": prompt_text(prompt),
                    "texts": [response.text for response in drawn[place]],
                    "rewards": list(rewards[place]),
                    "kl_nats": kls[place] if kls else None,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {"prompts": len(prompts), "samples_drawn": drawn_in_all}


def _kl(
    policy: Policy, start: Policy, prompts: Sequence[Prompt], drawn: Sequence[Sequence[Response]]
) -> list[list[float]]:
    renderer = replace(policy.renderer, max_length=None, every_turn=False)
    rendered = [renderer.render(PromptGroup(prompt, list(row))) for prompt, row in zip(prompts, drawn, strict=True)]
    return [row.tolist() for row in sequence_kl(policy.scorer, Reference(start.scorer, False), rendered)]
