"""Worker: the data of a row, for both sides, with the token ids that both must see.

Random texts are words, each one token of the model's vocabulary: speed does not depend on what is said, and such
texts tokenize the same on every machine. A group is drawn again where its lengths would leave the row's ranges.
"""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from statistics import mean
from typing import Any

from penchant.data.load import load_preferences
from penchant.data.rendering.renderer import Rendered, Renderer
from penchant.data.write import write_groups
from penchant.models.load import load_renderer, locate
from penchant.train.plan import comparison_unit, plan_epoch
from penchant.types import Comparison, PromptGroup
from side_by_side.random_model import make_neox
from side_by_side.recording import read_job
from side_by_side.rows import SMOLLM2, WARMUP

ATTEMPTS = 200  # draws of one group before giving up: a tokenizer that splits most words


def main() -> None:
    """Write `prefs.jsonl` (for us), `pairs.jsonl` (for TRL, in the order of our steps) and `ids.json`."""
    job, result = read_job()
    folder = Path(job["folder"])
    model = _model(job["model"], folder, Path(job["shared"]))
    renderer = load_renderer(model, template="plain")
    draw = random.Random(job["seed"])
    if "path" in job["data"]:
        groups = _sample(draw, job["data"], Path(job["shared"]), renderer, job["prompts"])
        if job["data"]["short_warmup"]:
            groups = _first_in_order(groups, job["pairs_per_step"])
    else:
        words, limit = _words(renderer.tokenizer, model)
        groups = [_group(draw, words, limit, job["data"], renderer, number) for number in range(job["prompts"])]
    write_groups(groups, folder / "prefs.jsonl")
    groups = load_preferences(folder / "prefs.jsonl")
    pairs = _in_order_of_steps(groups, job["pairs_per_step"])
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
    measured = {group for group, *_ in pairs[WARMUP * job["pairs_per_step"] :]} or set(range(len(groups)))
    timed = [rendered[group] for group in sorted(measured)]
    told = {
        "model": model,
        "prompts": len(timed),
        "mean_prompt_tokens": mean(len(row.prompt_ids) for row in timed),
        "mean_response_tokens": mean(len(branch.ids) for row in timed for branch in row.branches),
    }
    Path(result).write_text(json.dumps(told))


def _model(name: str, folder: Path, shared: Path) -> str:
    """The folder that both sides open; a random model is made where one is asked for."""
    if name.startswith("neox-"):
        return make_neox(folder / "model", vocabulary=int(name.removeprefix("neox-")), tokenizer=locate(SMOLLM2))
    if name.startswith("shared:"):
        return locate(str(shared / name.removeprefix("shared:")))
    return locate(name)


# -- real data ----------------------------------------------------------------------------------------------------


def _sample(
    draw: random.Random, data: dict[str, Any], shared: Path, renderer: Renderer, prompts: int
) -> list[PromptGroup]:
    groups = load_preferences(shared / data["path"], ties="drop")
    lengths = {
        id(group): len(renderer.prompt_ids(group.prompt))
        for group in groups
        if len(group.comparisons) == data["comparisons"]
    }
    fitting = [group for group in groups if lengths.get(id(group), math.inf) <= (data["max_prompt_tokens"] or 1e9)]
    brief = sorted(fitting, key=lambda group: lengths[id(group)])[: WARMUP if data["short_warmup"] else 0]
    rest = [group for group in fitting if all(group is not other for other in brief)]
    if len(rest) < prompts - len(brief):
        raise SystemExit(f"{data['path']} has {len(rest)} such prompts, {prompts - len(brief)} are needed")
    return brief + draw.sample(rest, prompts - len(brief))


def _first_in_order(groups: list[PromptGroup], pairs_per_step: int) -> list[PromptGroup]:
    """The groups placed so that the first of them are those of the first steps."""
    order = list(dict.fromkeys(group for group, *_ in _in_order_of_steps(groups, pairs_per_step)))
    placed = dict(zip(order, groups, strict=True))
    return [placed[number] for number in range(len(groups))]


# -- random words -------------------------------------------------------------------------------------------------


def _words(tokenizer: Any, model: str) -> tuple[list[str], int]:
    """Words that are one token with the space before them, and the number of tokens that the model knows."""
    limit = int(json.loads((Path(model) / "config.json").read_text())["vocab_size"])
    found = [
        re.fullmatch("[Ġ▁]([a-z]{2,})", token) for token, number in tokenizer.get_vocab().items() if number < limit
    ]
    return sorted(match[1] for match in found if match), limit


def _group(
    draw: random.Random, words: list[str], limit: int, data: dict[str, Any], renderer: Renderer, number: int
) -> PromptGroup:
    count = data["responses"]
    comparisons = [Comparison(a, b) for a in range(count) for b in range(a + 1, count)]
    for _ in range(ATTEMPTS):
        prompt = " ".join(draw.choices(words, k=draw.randint(*data["prompt_tokens"])))
        sizes = [draw.randint(*data["response_tokens"]) - 1 for _ in range(count)]  # and the end token
        responses = [" " + " ".join(draw.choices(words, k=size)) for size in sizes]
        group = PromptGroup(prompt, responses, comparisons)
        if _fits(renderer.render(group), renderer.prompt_ids(prompt), limit, data):
            return group
    raise SystemExit(f"no group {number} with these lengths in {ATTEMPTS} attempts: does the tokenizer know words?")


def _fits(rendered: Rendered, prompt_ids: tuple[int, ...], limit: int, data: dict[str, Any]) -> bool:
    """Whether the boundary is where the prompt ends, all lengths are in range, and all tokens known to the model."""
    low, high = data["prompt_tokens"]
    shortest, longest = data["response_tokens"]
    return (
        rendered.prompt_ids == prompt_ids
        and low <= len(prompt_ids) <= high
        and all(shortest <= len(branch.ids) <= longest for branch in rendered.branches)
        and all(branch.spans == ((0, len(branch.ids)),) for branch in rendered.branches)
        and max(max(prompt_ids), *(max(branch.ids) for branch in rendered.branches)) < limit
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
