"""Worker: the data of a workload, for both sides, with the token ids that both must see.

The texts are random words, each one token of the model's vocabulary: speed does not depend on what is said, and such
texts tokenize the same on every machine. A group is drawn again where its lengths would leave the workload's ranges.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

from penchant.data import load_preferences, write_groups
from penchant.data.render import Rendered, Renderer
from penchant.models.load import load_renderer, locate
from penchant.train.plan import comparison_unit, plan_epoch
from penchant.types import Comparison, PromptGroup
from side_by_side.recording import read_job

ATTEMPTS = 200  # draws of one group before giving up: a tokenizer that splits most words


def main() -> None:
    """Write `prefs.jsonl` (for us), `pairs.jsonl` (for TRL, in the order of our steps) and `data.json` (ids)."""
    job, result = read_job()
    workload, folder = job["workload"], Path(job["folder"])
    model = locate(job["model"])
    renderer = load_renderer(model, template="plain")
    words = _words(renderer.tokenizer)
    draw = random.Random(0)
    groups = [_group(draw, words, workload, renderer, number) for number in range(job["prompts"])]
    write_groups(groups, folder / "prefs.jsonl")
    groups = load_preferences(folder / "prefs.jsonl")
    pairs = _in_order_of_steps(groups, workload["pairs_per_step"])
    with (folder / "pairs.jsonl").open("w") as file:
        for group, winner, loser in pairs:
            of = groups[group]
            row = {
                "prompt": of.prompt,
                "chosen": of.responses[winner].text,
                "rejected": of.responses[loser].text,
            }
            file.write(json.dumps(row) + "\n")
    rendered = [renderer.render(group) for group in groups]
    ids = [[list(row.prompt_ids), *(list(branch.ids) for branch in row.branches)] for row in rendered]
    (folder / "ids.json").write_text(json.dumps({"groups": ids, "pairs": pairs}))
    Path(result).write_text(json.dumps({"model": model}))


def _words(tokenizer: Any) -> list[str]:
    """Words that are one token with the space before them."""
    found = [re.fullmatch("[Ġ▁]([a-z]{2,})", token) for token in tokenizer.get_vocab()]
    return sorted(match[1] for match in found if match)


def _group(
    draw: random.Random, words: list[str], workload: dict[str, Any], renderer: Renderer, number: int
) -> PromptGroup:
    count = workload["responses"]
    comparisons = [Comparison(a, b) for a in range(count) for b in range(a + 1, count)]
    for _ in range(ATTEMPTS):
        prompt = " ".join(draw.choices(words, k=draw.randint(*workload["prompt_tokens"])))
        sizes = [draw.randint(*workload["response_tokens"]) - 1 for _ in range(count)]  # and the end token
        responses = [" " + " ".join(draw.choices(words, k=size)) for size in sizes]
        group = PromptGroup(prompt, responses, comparisons)
        if _fits(renderer.render(group), renderer.prompt_ids(prompt), workload):
            return group
    raise SystemExit(f"no group {number} with these lengths in {ATTEMPTS} attempts: does the tokenizer know words?")


def _fits(rendered: Rendered, prompt_ids: tuple[int, ...], workload: dict[str, Any]) -> bool:
    """Whether the boundary is where the prompt ends, and all lengths are in range."""
    low, high = workload["prompt_tokens"]
    shortest, longest = workload["response_tokens"]
    return (
        rendered.prompt_ids == prompt_ids
        and low <= len(prompt_ids) <= high
        and all(shortest <= len(branch.ids) <= longest for branch in rendered.branches)
        and all(branch.spans == ((0, len(branch.ids)),) for branch in rendered.branches)
    )


def _in_order_of_steps(groups: list[PromptGroup], pairs_per_step: int) -> list[tuple[int, int, int]]:
    """(group, winner, loser) as our training loop will take them with seed 0."""
    units = [[comparison_unit(comparison) for comparison in group.comparisons] for group in groups]
    steps = plan_epoch(units, batch_size=pairs_per_step, seed=0, epoch=0)
    return [
        (group, winner, loser)
        for step in steps
        for group, taken in step
        for unit in taken
        for winner, loser, _ in unit.pairs
    ]


if __name__ == "__main__":
    main()
