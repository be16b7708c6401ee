"""The stages of the study of annotators: what the others compared to learn from, and what one did to be judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from penchant.data import write_groups
from penchant.data.load import read_preferences
from penchant.data.rendering.render_groups import render_all
from penchant.errors import InputError
from penchant.studies.core.job import StageJob, start_policy
from penchant.train.plan import split_by_prompt, split_key
from penchant.types import Comparison, PromptGroup


def left_out_stage(job: StageJob, folder: Path) -> dict[str, Any]:
    """`comparisons.jsonl`: `of` the `others` on the prompts to train on, or of the annotator on `held` out prompts.

    The latter's facts have, for each comparison that the annotator decided on held-out prompts: a digest of its
    prompt; for each other annotator, whether it says the same (a tie of it is half, None where it said nothing);
    whether the longer response won (equally long ones are half).

    Raises:
        InputError: fewer than two annotators, none of that name, or nothing that anybody decided.
    """
    settings, path = job.settings, job.inputs["data"]
    data, annotator = settings["data"], settings["annotator"]
    loaded = read_preferences(
        path,
        ties="half",
        bad_rows=data["bad_rows"],
        layout=data["layout"],
        split=data["split"],
        limit=data["limit"],
    )
    groups, too_long = _fitting(loaded.groups, job)
    names = sorted({name for group in groups for each in group.comparisons if (name := each.annotator) is not None})
    if len(names) < 2:
        raise InputError(f"{path} has comparisons of {len(names)} named annotators, expected at least two")
    if annotator not in names:
        raise InputError(f"{path} has no annotator {annotator}: expected one of {', '.join(names)}")
    train, held = split_by_prompt(groups, data["held_out"], settings["seed"])
    theirs = settings["of"] == "held"
    part = [groups[place] for place in (held if theirs else train)]
    kept = [_only(group, annotator, theirs) for group in part]
    kept = [group for group in kept if any(not each.tie for each in group.comparisons)]
    if not kept:
        who = annotator if theirs else f"anyone but {annotator}"
        raise InputError(f"{path}: of the {len(part)} prompts nothing was decided by {who}; raise `data.limit`")
    write_groups(kept, folder / "comparisons.jsonl")
    facts: dict[str, Any] = {
        "prompts": len({group.prompt for group in kept}),
        "too_long": too_long,
        "skipped_rows": loaded.skipped_rows,
        "comparisons": sum(not each.tie for group in kept for each in group.comparisons),
        "winners": sum(len({each.winner for each in group.comparisons if not each.tie}) for group in kept),
    }
    return facts | (_beside(part, annotator, names) if theirs else {})


def _fitting(groups: Sequence[PromptGroup], job: StageJob) -> tuple[list[PromptGroup], int]:
    """The groups that the model has room for, and how many it has not."""
    renderer = start_policy(job).renderer
    limit = min(filter(None, (renderer.max_length, job.settings["data"]["max_length"])), default=None)
    kept, _, report = render_all(groups, replace(renderer, max_length=limit, overflow="drop"))
    return kept, report.dropped_too_long


def _only(group: PromptGroup, annotator: str, theirs: bool) -> PromptGroup:
    kept = [each for each in group.comparisons if (each.annotator == annotator) == theirs and each.annotator]
    return group.replace(comparisons=kept, scores=None)


def _beside(groups: Sequence[PromptGroup], annotator: str, names: Sequence[str]) -> dict[str, Any]:
    others = [name for name in names if name != annotator]
    prompts: list[str] = []
    longer: list[float] = []
    same: dict[str, list[float | None]] = {name: [] for name in others}
    for group in groups:
        prompt = hashlib.sha256(split_key(group).encode(errors="replace")).hexdigest()[:16]
        for each in group.comparisons:
            if each.annotator != annotator or each.tie:
                continue
            prompts.append(prompt)
            winner, loser = (len(group.responses[place].text) for place in (each.winner, each.loser))
            longer.append(0.5 if winner == loser else float(winner > loser))
            for name in others:
                same[name].append(_agrees(group.comparisons, name, each))
    return {"prompt": prompts, "longer": longer, "same": same}


def _agrees(comparisons: Sequence[Comparison], name: str, with_: Comparison) -> float | None:
    """Whether another annotator's verdict on the same pair is this one."""
    pair = {with_.winner, with_.loser}
    verdicts = [each for each in comparisons if each.annotator == name and {each.winner, each.loser} == pair]
    if not verdicts:
        return None
    return sum(0.5 if each.tie else float(each.winner == with_.winner) for each in verdicts) / len(verdicts)
