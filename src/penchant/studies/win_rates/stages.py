"""The stages of a study of win rates: comparisons to learn from, whom to meet, and what a judge says of each pair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from penchant.data import load_preferences, write_groups
from penchant.errors import InputError, RunError
from penchant.judges import Answer, Question, VerdictStore, ask, make_judge
from penchant.judges.contract import Judge
from penchant.judges.settings import JudgeSpec, Reward
from penchant.studies.core.job import StageJob
from penchant.studies.core.records import read_lines
from penchant.studies.win_rates.answers import load_answers
from penchant.studies.win_rates.rows import Cutter, part, unseen, write_seen
from penchant.types import PromptGroup, Verdict, prompt_text

JUDGMENTS = "judgments.sqlite"
ANSWERS = "answers.jsonl"


def preferences_stage(job: StageJob, folder: Path) -> dict[str, Any]:
    """`comparisons.jsonl`, `train.jsonl` with the prompts alone, and `demonstrations.jsonl` with the preferred
    responses.

    Raises:
        InputError: nothing to read, or nothing left of it.
    """
    cutter, rows = Cutter.of(job), job.settings["rows"]
    read = load_preferences(
        job.inputs["rows"],
        ties="drop",
        contradictions="keep",
        bad_rows=rows["bad_rows"],
        layout=rows["layout"],
        split=rows["split"],
    )
    whole = unseen(part(read, rows), job)
    kept = [group for group in unseen(cutter.cut(whole), job) if group.comparisons]
    if not kept:
        raise InputError(f"{job.inputs['rows']}: no comparison is left of {len(read)} prompts{cutter.said()}")
    write_seen(folder, whole, kept)
    write_groups(kept, folder / "comparisons.jsonl")
    write_groups([PromptGroup(group.prompt) for group in kept], folder / "train.jsonl")
    preferred = [
        group.replace(responses=tuple(group.responses[place] for place in _winners(group)), comparisons=())
        for group in kept
    ]
    write_groups(preferred, folder / "demonstrations.jsonl")
    return {
        "prompts": len(kept),
        "comparisons": sum(len(group.comparisons) for group in kept),
        "winners": sum(len(_winners(group)) for group in kept),
        "losers": sum(len({comparison.loser for comparison in group.comparisons}) for group in kept),
        **cutter.counts,
    }


def opponents_stage(job: StageJob, folder: Path) -> dict[str, Any]:
    """`eval.jsonl`: prompts to measure on, that nobody trains on, each with the response that is met.

    Raises:
        InputError: nothing to read, or nothing left of it.
    """
    cutter, rows = Cutter.of(job), job.settings["rows"]
    read = load_answers(job.inputs["rows"], bad_rows=rows["bad_rows"], layout=rows["layout"], split=rows["split"])
    taken = part(read, rows)
    whole = unseen(taken, job)
    kept = [group for group in unseen(cutter.cut(whole), job) if group.responses]
    if not kept:
        raise InputError(
            f"{job.inputs['rows']}: no prompt to measure on is left of {len(taken)}, of which "
            f"{len(taken) - len(whole)} are trained on{cutter.said()}"
        )
    write_groups(kept, folder / "eval.jsonl")
    return {"prompts": len(kept), "also_trained_on": len(taken) - len(whole), **cutter.counts}


def verdicts_stage(job: StageJob, folder: Path) -> dict[str, Any]:
    """`answers.jsonl`, a line a pair: its temperature, prompt, both responses, and what the judge said in each order.

    Raises:
        RunError: calls of the judge failed, and are to be made again. What it said otherwise is kept.
    """
    settings = job.settings
    met = {prompt_text(g.prompt): g.responses[0].text for g in load_answers(job.needs["domain"] / "eval.jsonl")}
    drawn = read_lines(job.needs["answers"] / "samples.jsonl")
    temperatures = [row["temperature"] for row in drawn for _ in row["texts"]]
    pairs = [Question(row["prompt"], text, met[row["prompt"]]) for row in drawn for text in row["texts"]]
    with VerdictStore(job.folder.parents[1] / JUDGMENTS) as store:
        answers = ask(_judge(job), pairs, store=store, orders=settings["orders"])
    waiting = sum(not _given(answer) for answer in answers)
    if waiting and settings["missing"] == "again":
        raise RunError(
            f"{waiting} of {len(pairs)} pairs have no verdict, since calls of the judge failed. Those that came are "
            "kept: give the same command again, or say missing=count to go on without them"
        )
    with (folder / ANSWERS).open("w", encoding="utf-8", errors="replace") as file:
        for temperature, answer in zip(temperatures, answers, strict=True):
            file.write(json.dumps({"temperature": temperature, **as_row(answer)}, ensure_ascii=False) + "\n")
    return {"pairs": len(pairs), "waiting": waiting}


def as_row(answer: Answer) -> dict[str, Any]:
    """An answer as plain values."""
    asked = answer.asked
    verdicts = {name: one and asdict(one) for name, one in (("first", answer.first), ("second", answer.second))}
    return {"prompt": asked.prompt, "a": asked.a, "b": asked.b, **verdicts, "orders": answer.orders}


def from_row(row: Mapping[str, Any]) -> Answer:
    """What `as_row` made plain."""
    first, second = (row[name] and Verdict(**row[name]) for name in ("first", "second"))
    return Answer(Question(row["prompt"], row["a"], row["b"]), first, second, row["orders"])


def _judge(job: StageJob) -> Judge:
    if "judge" in job.needs:  # the reward model that this study trained for it
        return make_judge(Reward(reward=str(job.needs["judge"])))
    settings: JudgeSpec = TypeAdapter(JudgeSpec).validate_json(job.inputs["judge"])
    return make_judge(settings)


def _given(answer: Answer) -> bool:
    wanted: Sequence[Verdict | None] = (answer.first, answer.second) if answer.orders == "both" else (answer.first,)
    return all(verdict is not None and verdict.final for verdict in wanted)


def _winners(group: PromptGroup) -> list[int]:
    """Places of the responses that won, in order."""
    return sorted({comparison.winner for comparison in group.comparisons})
