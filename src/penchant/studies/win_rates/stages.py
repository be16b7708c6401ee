"""Do the stages of a study of win rates: comparisons to learn from, opponents, and verdicts on each pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from penchant.data.load import load_preferences
from penchant.data.write import write_groups
from penchant.errors import InputError, RunError
from penchant.judges import Answer, Question, VerdictStore, ask, make_judge
from penchant.judges.contract import Judge
from penchant.judges.settings import JudgeSpec, Reward
from penchant.studies.core.job import StageJob
from penchant.studies.core.records import read_lines
from penchant.studies.win_rates.answers import load_answers
from penchant.studies.win_rates.rows import Cutter, select, unseen, with_human_turns, write_seen
from penchant.studies.win_rates.stage_settings import CutSettings, VerdictSettings
from penchant.thoughts import answer_of
from penchant.typed_json import JsonObject
from penchant.types import PromptGroup, Response, Verdict, prompt_text

JUDGMENTS = "judgments.sqlite"
ANSWERS = "answers.jsonl"


def preferences_stage(job: StageJob[CutSettings], folder: Path) -> dict[str, object]:
    """Write the comparisons to learn from, as `comparisons.jsonl`.

    `train.jsonl` holds the prompts alone, and `demonstrations.jsonl` the preferred responses.

    Raises:
        InputError: nothing to read, or nothing left of it.
    """
    settings = job.settings
    cutter, rows = Cutter.from_settings(settings, job.inputs["model"]), settings.rows
    # A tie names no winner to demonstrate, and contradictions are what people said.
    read: Sequence[PromptGroup] = load_preferences(
        job.inputs["rows"],
        ties="drop",
        contradictions="keep",
        bad_rows=rows.bad_rows,
        layout=rows.layout,
        split=rows.split,
    )
    # Asked twice: as the file has the prompts, and as they were cut, since a cut may make two posts one.
    read = with_human_turns(read, rows.human_turns, cutter.counts)
    unseen_groups = unseen(select(read, rows.skip, rows.limit), job)
    groups = [group for group in unseen(cutter.cut(unseen_groups), job) if group.comparisons]
    if not groups:
        raise InputError(f"{job.inputs['rows']}: no comparison is left of {len(read)} prompts{cutter.explanation()}")
    write_seen(folder, unseen_groups, groups)
    write_groups(groups, folder / "comparisons.jsonl")
    write_groups([PromptGroup(group.prompt) for group in groups], folder / "train.jsonl")
    # For fine-tuning before the rest: the reference has then seen the preferred responses and no other.
    preferred = [
        group.replace(responses=tuple(group.responses[index] for index in _winners(group)), comparisons=())
        for group in groups
    ]
    write_groups(preferred, folder / "demonstrations.jsonl")
    return {
        "prompts": len(groups),
        "comparisons": sum(len(group.comparisons) for group in groups),
        "winners": sum(len(_winners(group)) for group in groups),
        "losers": sum(len({comparison.loser for comparison in group.comparisons}) for group in groups),
        **cutter.counts,
    }


def opponents_stage(job: StageJob[CutSettings], folder: Path) -> dict[str, object]:
    """Write `eval.jsonl`: prompts to measure on, that nobody trains on, each with the response of the data.

    Raises:
        InputError: nothing to read, or nothing left of it.
    """
    settings = job.settings
    cutter, rows = Cutter.from_settings(settings, job.inputs["model"]), settings.rows
    read: Sequence[PromptGroup] = load_answers(
        job.inputs["rows"], bad_rows=rows.bad_rows, layout=rows.layout, split=rows.split
    )
    read = with_human_turns(read, rows.human_turns, cutter.counts)
    selected = select(read, rows.skip, rows.limit)
    # What methods and judge train on has precedence over what is measured on: these stages come before this one.
    unseen_groups = unseen(selected, job)
    groups = [group for group in unseen(cutter.cut(unseen_groups), job) if group.responses]
    if not groups:
        raise InputError(
            f"{job.inputs['rows']}: no prompt to measure on is left of {len(selected)}, of which "
            f"{len(selected) - len(unseen_groups)} are trained on{cutter.explanation()}"
        )
    write_groups(groups, folder / "eval.jsonl")
    return {"prompts": len(groups), "also_trained_on": len(selected) - len(unseen_groups), **cutter.counts}


def verdicts_stage(job: StageJob[VerdictSettings], folder: Path) -> dict[str, object]:
    """Judge each pair, and write `answers.jsonl`.

    A line holds the temperature, the prompt, both responses, and what the judge said in each order.

    Raises:
        RunError: calls of the judge failed, and are to be made again. What it said otherwise is kept.
    """
    settings = job.settings
    opponents = {
        prompt_text(g.prompt): answer_of(g.responses[0]) for g in load_answers(job.needs["domain"] / "eval.jsonl")
    }
    rows = read_lines(job.needs["answers"] / "samples.jsonl")
    # One for each text, in the order of the pairs, as the two are zipped when they are written.
    temperatures = [row["temperature"] for row in rows for _ in row["texts"]]
    pairs = [
        Question(row["prompt"], answer_of(Response(text)), opponents[row["prompt"]])
        for row in rows
        for text in row["texts"]
    ]
    # One store for the whole study, beside its stages: a stage that is begun again asks only what is not known.
    with VerdictStore(job.folder.parents[1] / JUDGMENTS) as store:
        answers = ask(_judge(job), pairs, store=store, orders=settings.orders)
    waiting = sum(not _has_verdicts(answer) for answer in answers)
    # The stage fails as a whole, so that no table mixes methods judged in full with one that was not.
    if waiting and settings.missing == "again":
        raise RunError(
            f"{waiting} of {len(pairs)} pairs have no verdict, since calls of the judge failed. Those that came are "
            "kept: give the same command again, or say missing=count to go on without them"
        )
    with (folder / ANSWERS).open("w", encoding="utf-8", errors="replace") as file:
        for temperature, answer in zip(temperatures, answers, strict=True):
            file.write(json.dumps({"temperature": temperature, **as_row(answer)}, ensure_ascii=False) + "\n")
    return {"pairs": len(pairs), "waiting": waiting}


def as_row(answer: Answer) -> JsonObject:
    """Return an answer as plain values."""
    first, second = (verdict and asdict(verdict) for verdict in (answer.first, answer.second))
    return {**asdict(answer.question), "first": first, "second": second, "orders": answer.orders}


def from_row(row: JsonObject) -> Answer:
    """Return the answer that `as_row` made plain."""
    first, second = (row[name] and Verdict(**row[name]) for name in ("first", "second"))
    return Answer(Question(row["prompt"], row["a"], row["b"]), first, second, row["orders"])


def _judge(job: StageJob[VerdictSettings]) -> Judge:
    if "judge" in job.needs:  # the reward model that this study trained for it
        return make_judge(Reward(reward=str(job.needs["judge"])))
    # The settings with names and addresses travel beside the stage's own, which hold contents in their place.
    settings: JudgeSpec = TypeAdapter(JudgeSpec).validate_json(job.inputs["judge"])
    return make_judge(settings)


def _has_verdicts(answer: Answer) -> bool:
    """Return whether the judge answered in every order; an answer that cannot be read is an answer too."""
    verdicts: Sequence[Verdict | None] = (answer.first, answer.second) if answer.orders == "both" else (answer.first,)
    return all(verdict is not None and verdict.final for verdict in verdicts)


def _winners(group: PromptGroup) -> list[int]:
    """Return the places of the responses that won, in order."""
    return sorted({comparison.winner for comparison in group.comparisons})
