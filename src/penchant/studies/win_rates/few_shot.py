"""Sample the untrained model with examples before each prompt, as Rafailov et al. (2023) show theirs two (section 6.2).

Such a model goes on with another dialogue once it has answered, so its response ends where the next one would begin.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from penchant.data.load import load_demonstrations
from penchant.data.rendering.plain_text import PLAIN_ROLES
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.studies.core.job import StageJob, draw, start_policy, with_room
from penchant.studies.win_rates.stage_settings import FewShotSettings
from penchant.types import Message, Prompt, PromptGroup, prompt_text, prompt_turns

NEXT_TURN = f"\n\n{PLAIN_ROLES['user']}:"
PARAGRAPH = "\n\n"


def few_shot_stage(job: StageJob[FewShotSettings], folder: Path) -> dict[str, object]:
    """Write `samples.jsonl`, a line per temperature and prompt, as the stage of trained methods does.

    Raises:
        InputError: no prompt, or too few examples, that fit the model's context.
    """
    settings, policy = job.settings, start_policy(job, job.settings.policy)
    prompts = with_room(policy, job.needs["domain"] / "eval.jsonl", settings.draws.max_new_tokens)
    demonstrations = load_demonstrations(job.needs["preferences"] / "demonstrations.jsonl", merge=False)
    examples = choose_examples(policy, demonstrations, prompts, settings.examples, settings.draws.max_new_tokens)
    few_shot_prompts = [with_examples(prompt, examples, chat=policy.renderer.chat) for prompt in prompts]
    end = end_of_answer(examples)
    drawn_count = 0
    with (folder / "samples.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        for temperature in settings.temperatures:
            # at temperature 0 the likeliest tokens are the same each time
            n = settings.samples if temperature > 0 else 1
            drawn_count += n * len(prompts)
            for prompt, row in zip(prompts, draw(policy, few_shot_prompts, n, settings, temperature), strict=True):
                line = {
                    "temperature": temperature,
                    # the prompt alone: by it the verdicts find what the response is compared with
                    "prompt": prompt_text(prompt),
                    "texts": [cut_answer(response.text, end) for response in row],
                    "rewards": None,
                    "kl_nats": None,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {"prompts": len(prompts), "samples_drawn": drawn_count}


def choose_examples(
    policy: Policy, demonstrations: Sequence[PromptGroup], prompts: Sequence[Prompt], count: int, new_tokens: int
) -> list[PromptGroup]:
    """Return the first demonstrations that leave room for the longest prompt and its response.

    Raises:
        InputError: there are not so many.
    """
    # the longest prompt decides for all: every prompt is shown the same examples
    lengths = [len(policy.renderer.prompt_ids(prompt)) for prompt in prompts]
    room = None if policy.context is None else policy.context - new_tokens - max(lengths)
    fitting: list[PromptGroup] = []
    for group in demonstrations:
        one_shown = with_examples("", [group], chat=policy.renderer.chat)
        # an equal part for each, so that a long first one does not take the room of the others
        if room is None or len(policy.renderer.prompt_ids(one_shown)) <= room // count:
            fitting.append(group)
        if len(fitting) == count:
            return fitting
    raise InputError(
        f"few_shot={count}: only {len(fitting)} of {len(demonstrations)} preferred responses leave room in the context "
        f"of {policy.context} beside a prompt of {max(lengths)} tokens and {new_tokens} for the response: lower "
        "prompt_tokens, max_new_tokens or few_shot"
    )


def with_examples(prompt: Prompt, examples: Sequence[PromptGroup], *, chat: bool) -> Prompt:
    """Return a prompt with examples before it: as turns for a chat template, else as one text."""
    if chat:
        turns = [
            turn
            for group in examples
            for turn in (*prompt_turns(group.prompt), Message("assistant", group.responses[0].text))
        ]
        return (*turns, *prompt_turns(prompt))
    texts = [f"{prompt_text(group.prompt)}{group.responses[0].text}" for group in examples]
    # a prompt of turns begins with a paragraph already
    return "".join(part if part.startswith("\n") else f"{PARAGRAPH}{part}" for part in (*texts, prompt_text(prompt)))


def end_of_answer(examples: Sequence[PromptGroup]) -> str:
    """Return what begins the next example: the human's turn in dialogues, else a new paragraph."""
    is_dialogue = all(NEXT_TURN in prompt_text(group.prompt) for group in examples)
    return NEXT_TURN if is_dialogue else PARAGRAPH


def cut_answer(text: str, end: str) -> str:
    """Return a response up to where the next example would begin; paragraphs before its first word do not count."""
    # a base model may open its answer with empty lines, which end nothing
    start = len(text) - len(text.lstrip())
    index = text.find(end, start)
    return text if index < 0 else text[:index].rstrip()
