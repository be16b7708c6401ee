"""The stages' work: prompts, comparisons, reference samples, and runs of methods. Executed by a worker process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penchant.data import load_preferences, load_prompts, write_groups
from penchant.data.load import load_demonstrations
from penchant.engine.generate import Sampling
from penchant.errors import InputError, OtherRun
from penchant.methods import METHODS, train
from penchant.models.load import load_policy, load_renderer
from penchant.models.policy import Policy
from penchant.models.reward import load_reward_model
from penchant.models.settings import ModelConfig
from penchant.rewards import compare_by_score, load_reward, score_groups
from penchant.studies.recipes import run_settings
from penchant.studies.records import read_object
from penchant.train.loop import peak_memory_bytes
from penchant.train.plan import split_key
from penchant.train.progress import progress_bar
from penchant.types import Prompt, PromptGroup, prompt_text

log = logging.getLogger("penchant.studies")

STAGE = "stage.json"


@dataclass(frozen=True)
class Order:
    """A stage to work on, as it travels to a worker.

    Attributes:
        kind, settings, places: of the task.
        needs: folders of the stages before, by role.
        folder: where it goes.
    """

    kind: str
    settings: Mapping[str, Any]
    places: Mapping[str, str]
    needs: Mapping[str, Path]
    folder: Path

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Order:
        """From what JSON left of it."""
        needs = {role: Path(path) for role, path in plain["needs"].items()}
        return cls(plain["kind"], plain["settings"], plain["places"], needs, Path(plain["folder"]))


def work(order: Order) -> str:
    """Do the stage's work; its folder is whole afterwards.

    Returns:
        The status: `done`, or that of a run.

    Raises:
        InputError, RunError: whatever stopped it.
    """
    makers = {
        "prompts": _prompts,
        "comparisons": _comparisons,
        "flipped": _flipped,
        "reference": _reference,
        "judged": _judged,
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


# -- prompts ------------------------------------------------------------------------------------------------------


def _prompts(order: Order, folder: Path) -> dict[str, Any]:
    """`train.jsonl` and `eval.jsonl`; what is trained on is not measured on."""
    kept = {role: _read_prompts(order, role) for role in ("train", "eval")}
    known = set(kept["train"])
    unseen = [prompt for prompt in kept["eval"] if prompt not in known]
    if not unseen:
        raise InputError(f"every one of the {len(kept['eval'])} eval_prompts is among the prompts to train on")
    facts = {"train": len(kept["train"]), "eval": len(unseen), "also_trained_on": len(kept["eval"]) - len(unseen)}
    for role, prompts in (("train", kept["train"]), ("eval", unseen)):
        write_groups([PromptGroup(prompt) for prompt in prompts], folder / f"{role}.jsonl")
    return facts


def _read_prompts(order: Order, role: str) -> list[Prompt]:
    source, path = order.settings[role], order.places[role]
    end = None if source["limit"] is None else source["skip"] + source["limit"]
    if source["prefix_tokens"] is None:
        groups = load_prompts(path, split=source["split"], limit=end)[source["skip"] :]
        prompts = [group.prompt for group in groups]
    else:
        prompts = _prefixes(order, role, path, end)
    if not prompts:
        raise InputError(f"{path} has no more than {source['skip']} prompts, and so many are skipped")
    return prompts


def _prefixes(order: Order, role: str, path: str, end: int | None) -> list[Prompt]:
    """Each text cut after its first tokens, as the model's tokenizer counts them; texts that repeat count once. In an
    order of their own, of which `skip` and `limit` take a part: data sets of texts are often sorted by label."""
    source = order.settings[role]
    low, high = source["prefix_tokens"]
    tokenizer = load_renderer(order.places["model"], template="plain").tokenizer
    # its own limit counts prompts, of which plain texts have none
    texts = [split_key(group) for group in load_demonstrations(path, split=source["split"], merge=False)]
    shuffled = np.random.default_rng(0).permutation(len(texts))  # one order, whatever skip and limit
    texts = [texts[place] for place in shuffled.tolist()][:end]
    lengths = np.random.default_rng(source["skip"]).integers(low, high + 1, len(texts))
    cut = []
    for text, length in zip(texts[source["skip"] :], lengths.tolist(), strict=False):
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        if len(offsets) > length:
            cut.append(text[: offsets[length - 1][1]])
    return list(dict.fromkeys(cut))


# -- samples of the reference -------------------------------------------------------------------------------------


def _comparisons(order: Order, folder: Path) -> dict[str, Any]:
    """`comparisons.jsonl`: groups of samples, scored by the true reward, every pair of a group compared."""
    settings, reward = order.settings, load_reward(order.places["reward"])
    size, groups = settings["samples"], settings["groups"]
    policy = _policy(order)
    file = order.needs["prompts"] / f"{settings.get('of', 'train')}.jsonl"
    prompts = _with_room(policy, file, settings["max_new_tokens"])
    drawn = _draw(policy, prompts, size * groups, settings)
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


def _flipped(order: Order, folder: Path) -> dict[str, Any]:
    """The comparisons with a share of them turned round, each by a draw of its own; ties stay."""
    before = order.needs["comparisons"]
    generator = np.random.default_rng([order.settings["seed"], 1])  # the same draws for every share: shares are nested
    groups, flipped = [], 0
    for group in load_preferences(before / "comparisons.jsonl", merge=False, ties="half"):
        comparisons = []
        for comparison in group.comparisons:
            turn = generator.random() < order.settings["share"] and not comparison.tie
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
        start = _policy(order).score(groups)
        trained = ModelConfig(**{**order.settings["model"], "name": str(run / "checkpoint"), "lora": None})
        policy = load_policy(trained, template=order.settings["template"])
        scores = [one - other for one, other in zip(policy.score(groups), start, strict=True)]
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
    settings, reward = order.settings, load_reward(order.places["reward"])
    policy = _policy(order)
    prompts = _with_room(policy, order.needs["prompts"] / "eval.jsonl", settings["max_new_tokens"])
    drawn = _draw(policy, prompts, settings["samples"], settings)
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


def _policy(order: Order) -> Policy:
    """The model that every method starts from: after SFT where there is one."""
    start = order.needs.get("start")
    name = str(start / "checkpoint") if start else order.places["model"]
    return load_policy(ModelConfig(**{**order.settings["model"], "name": name}), template=order.settings["template"])


def _with_room(policy: Policy, file: Path, tokens: int) -> list[Prompt]:
    prompts = [group.prompt for group in load_prompts(file)]
    fitting = [prompt for prompt in prompts if policy.has_room(prompt, tokens)]
    if not fitting:
        raise InputError(f"no prompt leaves room for {tokens} tokens in the model's context of {policy.context}")
    return fitting


def _draw(policy: Policy, prompts: Sequence[Prompt], n: int, settings: Mapping[str, Any]) -> list[list[Any]]:
    sampling = Sampling(n=n, max_new_tokens=settings["max_new_tokens"], seed=settings["seed"])
    with progress_bar("sampling", len(prompts) * n, "samples") as advance:
        return policy.draw(prompts, sampling, progress=advance)
