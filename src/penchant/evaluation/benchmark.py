"""Grade a reward model, a policy by its implicit reward, or a judge by RewardBench."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.clean_text import clean
from penchant.errors import InputError, RunError
from penchant.evaluation.benchmark_rows import SOURCES, read_benchmark
from penchant.evaluation.grades import BenchmarkRow, Grade
from penchant.evaluation.rewardbench import TIES, best_of_four_scores, pair_scores, subset_counts
from penchant.evaluation.settings import EvaluateConfig
from penchant.evaluation.subjects import NO_MODEL, Subject, find_subjects, open_subject, output_folder
from penchant.files import read_json
from penchant.models.hub import kept_folder
from penchant.runs.evaluations import OutsideEvaluation, TaskRecord
from penchant.runs.provenance import surroundings
from penchant.typed_json import to_object
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from torch import Tensor

    from penchant.judges import Answer
    from penchant.models.reward import ScoresGroups

BLOCK = 64  # rows that are scored between two steps of the progress bar
CITATIONS = {
    "rewardbench": "Lambert et al. 2024, RewardBench, arXiv:2403.13787",
    "rewardbench2": "Malik et al. 2025, RewardBench 2, arXiv:2506.01937",
}
GUESSES = {
    "rewardbench": "Guessing gets 50% in every subset.",
    "rewardbench2": "Guessing gets 25% in every subset but Ties.",
}


def grade_benchmark(config: EvaluateConfig) -> tuple[OutsideEvaluation, Path]:
    """Return what a grader gets in a benchmark, and the folder for the result.

    Raises:
        InputError: rows or a model that cannot be read; a policy without a reference. RunError: the judge stopped.
    """
    assert config.benchmark is not None  # the settings see to it
    started, begin = datetime.now(UTC), time.monotonic()
    # rows before models: a file of another shape is said at once
    rows = read_benchmark(config.benchmark, config.path, config.split, config.limit)
    notes = [GUESSES[config.benchmark]]
    other_grades: list[Grade] | None = None
    after: Subject | None = None
    before: Subject | None = None
    if config.judge is not None:
        folder = output_folder(config, None)
        rows, notes = _judged_rows(rows, notes)
        grades, judge_notes = judge_rows(rows, config, folder)
        name, notes = f"judge {config.judge.name}", [*notes, *judge_notes]
    else:
        after, before = find_subjects(config)
        name, folder = after.name, output_folder(config, after)
        if _is_reward(after.path):
            grades = _rewards(rows, after, config)
            other_grades = _rewards(rows, before, config) if before is not None else None
            notes.append("Graded by its reward.")
        else:
            grades, before = _implicit_rewards(rows, after, before, config), before
            notes.append("Graded by its implicit reward: log-probability less that of its reference.")
    score = pair_scores if config.benchmark == "rewardbench" else best_of_four_scores
    scores, score_notes = score(rows, grades, other_grades)
    evaluation = OutsideEvaluation(
        benchmark=config.benchmark,
        model=name,
        before=before.name if before else "",
        content=tuple(subject.content for subject in (after, before) if subject),
        scores=tuple(scores),
        tasks=tuple(_records(rows)),
        settings={**config.recorded(), "path": config.path or SOURCES[config.benchmark].hub},
        notes=(*notes, *score_notes),
        seconds=time.monotonic() - begin,
        started=started.isoformat(timespec="seconds"),
        provenance=to_object(surroundings()),
        citation=CITATIONS[config.benchmark],
    )
    return evaluation, folder


def _is_reward(path: str) -> bool:
    """Return whether a folder or hub id holds a sequence classifier."""
    folder = Path(path).expanduser() if Path(path).expanduser().is_dir() else kept_folder(path)
    if folder is None:
        return False  # a built-in name, or a hub id that nobody can ask about: it is opened as a policy
    adapter, settings = folder / "adapter_config.json", folder / "config.json"
    try:
        read = read_json(adapter if adapter.is_file() else settings)
    except (OSError, ValueError):
        return False  # whoever opens it says what is wrong
    kinds = [str(read.get("task_type") or ""), *map(str, read.get("architectures") or ())]
    return any(kind == "SEQ_CLS" or "SequenceClassification" in kind for kind in kinds)


def _groups(rows: Sequence[BenchmarkRow]) -> list[PromptGroup]:
    return [PromptGroup(row.prompt, [*row.right, *row.wrong], source=row.source) for row in rows]


def _rewards(rows: Sequence[BenchmarkRow], subject: Subject, config: EvaluateConfig) -> list[Grade]:
    from penchant.models.reward import load_reward_model

    model = load_reward_model(
        subject.run or subject.path,
        device=config.device,
        dtype=config.dtype,
        template=config.template,
        template_args=config.template_args,
        overflow=config.overflow,
    )
    return [Grade(tuple(row.tolist())) for row in _score_blocks(model, rows)]


def _score_blocks(model: ScoresGroups, rows: Sequence[BenchmarkRow]) -> list[Tensor]:
    """Return the scores of each row's completions, some rows at a time, so that progress can be shown."""
    from penchant.runs.progress import progress_bar

    scores: list[Tensor] = []
    groups = _groups(rows)
    with progress_bar("grading", len(groups), "prompts") as advance:
        for first in range(0, len(groups), BLOCK):
            block = groups[first : first + BLOCK]
            scores += model.score(block)
            advance(len(block))
    return scores


def _implicit_rewards(
    rows: Sequence[BenchmarkRow], after: Subject, before: Subject | None, config: EvaluateConfig
) -> list[Grade]:
    """Return the log-ratios of a policy to its reference: DPO's implicit reward, up to its factor beta.

    The factor changes no order, and no number of Ties, which compares margins with each other.
    """
    if before is None:
        raise InputError(
            f"{after.name} is a policy: its implicit reward is measured from a reference. Give before=MODEL (for a run "
            f"leave out before={NO_MODEL}), or a reward model"
        )
    scores = []
    for subject in (after, before):
        policy = open_subject(subject, config, overflow=True)
        scores.append(_score_blocks(policy, rows))
        del policy  # two models at once may be more than the memory holds
    ratios = [(policy_row - reference_row).tolist() for policy_row, reference_row in zip(*scores, strict=True)]
    if not_finite := [row.source for row, values in zip(rows, ratios, strict=True) if not all(map(isfinite, values))]:
        raise InputError(
            f"{len(not_finite)} rows have no finite implicit reward, the first is {not_finite[0]}: the weights of "
            f"{after.name} or {before.name} are damaged"
        )
    return [Grade(tuple(values)) for values in ratios]


def _judged_rows(rows: Sequence[BenchmarkRow], notes: Sequence[str]) -> tuple[list[BenchmarkRow], list[str]]:
    """Return the rows that a judge is asked about, and what about them is other than for a reward."""
    # each of its rows has up to dozens of pairs, whose verdicts would be paid for and enter no number
    pair_rows = [row for row in rows if row.subset != TIES]
    notes = list(notes)
    if len(pair_rows) < len(rows):
        notes.append("Ties is left out: it asks how far scores are apart, and a judge gives none.")
    if any(len(row.wrong) > 1 for row in pair_rows):
        notes.append(
            "The judge compares the right answer with one wrong answer at a time; the authors show it all four."
        )
    if turns := sum(not isinstance(row.prompt, str) for row in pair_rows):
        notes.append(
            f"Prompts of several turns ({turns:,}) are shown to the judge as one text with the speakers' names."
        )
    if not pair_rows:
        raise InputError(
            "a judge is not asked about Ties, and there are no rows of other subsets: grade a reward model"
        )
    return pair_rows, notes


def judge_rows(rows: Sequence[BenchmarkRow], config: EvaluateConfig, folder: Path) -> tuple[list[Grade], list[str]]:
    """Return a judge's verdicts on each right completion against the wrong ones, and notes.

    They are kept in the folder's `judgments.sqlite`, and not asked for again.

    Raises:
        InputError, RunError: as the judge.
    """
    from penchant.judges import Question, VerdictStore, ask, make_judge

    assert config.judge is not None
    # the right answer always stands first here, and the judge is asked in both orders
    pairs = [Question(row.prompt_key, row.right[0], wrong) for row in rows for wrong in row.wrong]
    with VerdictStore(folder / "judgments.sqlite") as store:
        answers = ask(make_judge(config.judge), pairs, store=store, orders=config.orders)
    # a call that failed says nothing of the judge, and half a point for it would
    waiting = [answer for answer in answers if not answer.verdicts or not all(v.final for v in answer.verdicts)]
    if waiting:
        first = next((verdict.transcript for answer in waiting for verdict in answer.verdicts if not verdict.final), "")
        raise RunError(
            f"{len(waiting):,} of {len(pairs):,} pairs have no verdict, since calls of the judge failed (the first: "
            f"{clean(first) or 'no answer'}). Those that came are kept: give the same command again"
        )
    return _pair_grades(rows, answers)


def _pair_grades(rows: Sequence[BenchmarkRow], answers: Sequence[Answer]) -> tuple[list[Grade], list[str]]:
    """Return the outcomes of each row's pairs, which stand in the order of the rows, and a note on unreadable ones."""
    following = iter(answers)
    grades = [Grade(outcomes=tuple(next(following).outcome for _ in row.wrong)) for row in rows]
    unreadable = sum(outcome == "unparseable" for grade in grades for outcome in grade.outcomes or ())
    notes = [f"{unreadable:,} of {len(answers):,} pairs have no verdict that can be read, and count as ties."]
    return grades, notes if unreadable else []


def _records(rows: Sequence[BenchmarkRow]) -> list[TaskRecord]:
    records = []
    for subset, count in subset_counts(rows).items():
        texts = ["\x1f".join((row.prompt_key, *row.right, *row.wrong, row.key)) for row in rows if row.subset == subset]
        digest = hashlib.sha256("\x1e".join(texts).encode(errors="surrogatepass")).hexdigest()
        records.append(TaskRecord(subset, None, None, count, count, digest))
    return records
