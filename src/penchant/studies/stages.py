"""The stages' work: prompts, comparisons, reference samples, and runs of methods. Executed by a worker process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penchant.data import load_preferences, write_groups
from penchant.errors import InputError, OtherRun
from penchant.methods import METHODS, train
from penchant.models.reward import load_reward_model
from penchant.rewards import compare_by_score, load_reward, score_groups
from penchant.studies.left_out_stage import left_out_stage
from penchant.studies.order import STAGE, Order, draw, start_policy, trained_policy, with_room
from penchant.studies.prompt_stages import prompts_stage
from penchant.studies.recipes import run_settings
from penchant.studies.records import read_object
from penchant.studies.transfer_stage import transfer_stage
from penchant.studies.weak_stages import (
    activations_stage,
    generative_stage,
    relabel_stage,
    rows_stage,
    supervisor_stage,
)
from penchant.studies.weak_students import student_stage, students_stage
from penchant.studies.win_rate_stages import opponents_stage, preferences_stage, verdicts_stage
from penchant.train.loop import peak_memory_bytes
from penchant.types import PromptGroup, prompt_text

log = logging.getLogger("penchant.studies")


def work(order: Order) -> str:
    """Do the stage's work; its folder is whole afterwards.

    Returns:
        The status: `done`, or that of a run.

    Raises:
        InputError, RunError: whatever stopped it.
    """
    makers = {
        "prompts": prompts_stage,
        "comparisons": _comparisons,
        "mislabelled": _mislabelled,
        "reference": _reference,
        "judged": _judged,
        "transfer": transfer_stage,
        "left_out": left_out_stage,
        "rows": rows_stage,
        "generative": generative_stage,
        "activations": activations_stage,
        "supervisor": supervisor_stage,
        "relabel": relabel_stage,
        "students": students_stage,
        "student": student_stage,
        "preferences": preferences_stage,
        "opponents": opponents_stage,
        "verdicts": verdicts_stage,
    }
    if order.kind not in makers:
        return _run(order)
    started = time.monotonic()
    building = order.folder.with_name(f".{order.folder.name}.{os.getpid()}.new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        facts = makers[order.kind](order, building)
        facts |= {"seconds": time.monotonic() - started, "peak_memory_bytes": peak_memory_bytes()}
        (building / STAGE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(order.folder, ignore_errors=True)  # half a stage cannot be; another one's leftover could
        os.replace(building, order.folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return "done"


# -- runs of methods ----------------------------------------------------------------------------------------------


def _run(order: Order) -> str:
    if order.kind not in METHODS:
        raise InputError(f"this version of Penchant has no method {order.kind}")
    file = order.needs.get("comparisons", Path()) / STAGE
    facts = json.loads(file.read_text(encoding="utf-8")) if "comparisons" in order.needs else {}
    values = run_settings(order.kind, order.settings, order.places, order.needs, facts, order.folder)
    config = METHODS[order.kind](**values)
    if (order.folder / "config.yaml").exists():
        try:
            return str(train(config, resume=True).metrics["status"])
        except OtherRun as error:  # nothing of it can be used; any other error leaves it for the next call
            log.warning("%s is thrown away and begun again: %s", order.folder, error)
    shutil.rmtree(order.folder, ignore_errors=True)
    return str(train(config).metrics["status"])


# -- samples of the reference -------------------------------------------------------------------------------------


def _comparisons(order: Order, folder: Path) -> dict[str, Any]:
    """`comparisons.jsonl`: groups of samples, scored by the true reward, every pair of a group compared."""
    settings, policy = order.settings, start_policy(order)
    reward = load_reward(order.places["reward"], device=str(policy.scorer.device))
    size, groups = settings["samples"], settings["groups"]
    file = order.needs["prompts"] / f"{settings.get('of', 'train')}.jsonl"
    prompts = with_room(policy, file, settings["max_new_tokens"])
    drawn = draw(policy, prompts, size * groups, settings)
    parts = [
        PromptGroup(prompt, row[first : first + size])
        for prompt, row in zip(prompts, drawn, strict=True)
        for first in range(0, len(row), size)
    ]
    return {
        **_write_comparisons(compare_by_score(score_groups(parts, reward)), folder),
        "prompts": len(prompts),
        "samples_drawn": sum(map(len, drawn)),
        "tokens": sum(len(response.token_ids or ()) for row in drawn for response in row),
    }


def _write_comparisons(groups: Sequence[PromptGroup], folder: Path) -> dict[str, int]:
    """`comparisons.jsonl`, and how much of it a run will see."""
    write_groups(groups, folder / "comparisons.jsonl")
    read = load_preferences(folder / "comparisons.jsonl", merge=False, ties="drop")
    decided = sum(len(group.comparisons) for group in read)
    return {
        "comparisons": decided,
        "ties": sum(len(group.comparisons) for group in groups) - decided,
        "winners": sum(len({comparison.winner for comparison in group.comparisons}) for group in read),
        "losers": sum(len({comparison.loser for comparison in group.comparisons}) for group in read),
    }


def _mislabelled(order: Order, folder: Path) -> dict[str, Any]:
    """The comparisons with a share of them labelled wrongly, each by a draw of its own; ties stay.

    Turned round, or where labels are `random` by the toss of a coin, so that half of those are turned round.
    """
    coin = order.settings["labels"] == "random"
    before = order.needs["comparisons"]
    generator = np.random.default_rng([order.settings["seed"], 1])  # the same draws for every share: shares are nested
    groups, flipped = [], 0
    for group in load_preferences(before / "comparisons.jsonl", merge=False, ties="half"):
        comparisons = []
        for comparison in group.comparisons:
            wrong, heads = generator.random(2) < (order.settings["share"], 0.5)
            turn = bool(wrong and (heads or not coin)) and not comparison.tie
            flipped += turn
            turned = replace(comparison, winner=comparison.loser, loser=comparison.winner)
            comparisons.append(turned if turn else comparison)
        groups.append(group.replace(comparisons=comparisons, scores=None))  # its scores would tell the truth
    facts = read_object(before / STAGE)
    return {**facts, **_write_comparisons(groups, folder), "flipped": flipped, "samples_drawn": 0, "tokens": 0}


def _judged(order: Order, folder: Path) -> dict[str, Any]:
    """Whether a run's model puts the winner of each unseen comparison first: `right` (a tie of its scores is half) and
    the number of the comparison's prompt."""
    groups = load_preferences(order.needs["held"] / "comparisons.jsonl", merge=False, ties="drop")
    run = order.needs["run"]
    if (run / "checkpoint" / "reward.json").exists():
        scores = load_reward_model(run, template=order.settings["template"]).score(groups)
    else:
        start = start_policy(order).score(groups)
        trained = trained_policy(order).score(groups)
        scores = [one - other for one, other in zip(trained, start, strict=True)]
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(group.prompt for group in groups))}
    right, prompts = [], []
    for group, row in zip(groups, scores, strict=True):
        for comparison in group.comparisons:
            gap = float(row[comparison.winner] - row[comparison.loser])
            right.append(0.5 if gap == 0 else float(gap > 0))
            prompts.append(numbers[group.prompt])
    return {"right": right, "prompt": prompts}


def _reference(order: Order, folder: Path) -> dict[str, Any]:
    """`rewards.npy` of shape (prompts, samples) and `samples.jsonl`, a prompt a line in the same order."""
    settings, policy = order.settings, start_policy(order)
    reward = load_reward(order.places["reward"], device=str(policy.scorer.device))
    prompts = with_room(policy, order.needs["prompts"] / "eval.jsonl", settings["max_new_tokens"])
    drawn = draw(policy, prompts, settings["samples"], settings)
    pairs = [
        (prompt_text(prompt), response.text) for prompt, row in zip(prompts, drawn, strict=True) for response in row
    ]
    rewards = np.array(reward(pairs), dtype=np.float64).reshape(len(prompts), settings["samples"])
    np.save(folder / "rewards.npy", rewards)
    with (folder / "samples.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        for prompt, row in zip(prompts, drawn, strict=True):
            line = {"prompt": prompt_text(prompt), "texts": [response.text for response in row]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    tokens = sum(len(response.token_ids or ()) for row in drawn for response in row)
    return {"prompts": len(prompts), "samples_drawn": rewards.size, "tokens": tokens}
