"""The stages of the study of annotators: what the others compared to learn from, and what one did to be judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from penchant.data.load import read_preferences
from penchant.data.rendering.render_groups import render_all
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.studies.annotators.names import annotator_names
from penchant.studies.annotators.stage_settings import LeftOutSettings
from penchant.studies.core.job import StageJob, start_policy
from penchant.train.plan import split_by_prompt, split_key
from penchant.types import Comparison, PromptGroup


def left_out_stage(job: StageJob[LeftOutSettings], folder: Path) -> dict[str, object]:
    """Write `comparisons.jsonl`: of the `others` on prompts to train on, or of the annotator on `held` out ones.

    The latter's facts have, for each comparison that the annotator decided on held-out prompts: a digest of its
    prompt; for each other annotator, whether it says the same (a tie of it is half, None where it said nothing);
    whether the longer response won (equally long ones are half).

    Raises:
        InputError: fewer than two annotators, none of that name, or nothing that anybody decided.
    """
    settings, path = job.settings, job.inputs["data"]
    data, annotator = settings.data, settings.annotator
    loaded = read_preferences(
        path, ties="half", bad_rows=data.bad_rows, layout=data.layout, split=data.split, limit=data.limit
    )
    # before the split, so that prompts that no model here can read do not count as held out
    groups, too_long = _fitting(loaded.groups, job)
    names = annotator_names(groups, path)
    if annotator not in names:
        raise InputError(f"{path} has no annotator {annotator}: expected one of {', '.join(names)}")
    train, held_out = split_by_prompt(groups, data.held_out, settings.seed)
    is_annotators = settings.part == "held"  # the same split for both parts, by the seed
    part = [groups[index] for index in (held_out if is_annotators else train)]
    chosen = [_comparisons_by(group, annotator, is_annotators) for group in part]
    chosen = [group for group in chosen if any(not comparison.tie for comparison in group.comparisons)]
    if not chosen:
        subject = annotator if is_annotators else f"anyone but {annotator}"
        raise InputError(f"{path}: of the {len(part)} prompts nothing was decided by {subject}; raise `data.limit`")
    write_groups(chosen, folder / "comparisons.jsonl")
    facts: dict[str, object] = {
        "prompts": len({group.prompt for group in chosen}),
        "too_long": too_long,
        "skipped_rows": loaded.skipped_rows,
        "comparisons": sum(not comparison.tie for group in chosen for comparison in group.comparisons),
        # a run reads this and `comparisons` as its `ComparisonCounts`
        "winners": sum(
            len({comparison.winner for comparison in group.comparisons if not comparison.tie}) for group in chosen
        ),
    }
    return facts | (_verdict_facts(part, annotator, names) if is_annotators else {})


def _fitting(groups: Sequence[PromptGroup], job: StageJob[LeftOutSettings]) -> tuple[list[PromptGroup], int]:
    """Return the groups that the model has room for, and the number of those it has no room for."""
    renderer = start_policy(job, job.settings.policy).renderer
    # the shorter of what the model can read and what the settings ask for
    limit = min(filter(None, (renderer.max_length, job.settings.data.max_length)), default=None)
    fitting, _, report = render_all(groups, replace(renderer, max_length=limit, overflow="drop"))
    return list(fitting), report.dropped_too_long


def _comparisons_by(group: PromptGroup, annotator: str, is_annotators: bool) -> PromptGroup:
    comparisons = [
        comparison
        for comparison in group.comparisons
        # without a name it could be the left-out annotator's own, so nobody learns from it
        if (comparison.annotator == annotator) == is_annotators and comparison.annotator
    ]
    # scores may be made of all verdicts, those of the one who is left out among them
    return group.replace(comparisons=comparisons, scores=None)


def _verdict_facts(groups: Sequence[PromptGroup], annotator: str, names: Sequence[str]) -> dict[str, object]:
    other_names = [name for name in names if name != annotator]
    prompts: list[str] = []
    longer_wins: list[float] = []
    agreements: dict[str, list[float | None]] = {name: [] for name in other_names}
    for group in groups:
        # prompts have only to be told apart, and 64 bits do that
        prompt = hashlib.sha256(split_key(group).encode(errors="replace")).hexdigest()[:16]
        for comparison in group.comparisons:
            if comparison.annotator != annotator or comparison.tie:
                continue
            prompts.append(prompt)
            winner, loser = (len(group.responses[index].text) for index in (comparison.winner, comparison.loser))
            longer_wins.append(0.5 if winner == loser else float(winner > loser))
            # each of the others, whether or not they decided this pair: columns have one length
            for name in other_names:
                agreements[name].append(_agrees(group.comparisons, name, comparison))
    return {"prompt": prompts, "longer": longer_wins, "same": agreements}


def _agrees(comparisons: Sequence[Comparison], name: str, reference: Comparison) -> float | None:
    """Return how far another annotator's verdicts on a pair agree with this one, from 0 to 1; None without any."""
    # in either order: who prefers the other response says something of the same pair
    pair = {reference.winner, reference.loser}
    verdicts = [
        comparison
        for comparison in comparisons
        if comparison.annotator == name and {comparison.winner, comparison.loser} == pair
    ]
    if not verdicts:
        return None
    return sum(
        0.5 if comparison.tie else float(comparison.winner == reference.winner) for comparison in verdicts
    ) / len(verdicts)
