"""The first stage of the study of oversight: questions with two answers and a passage, and their division by seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import RowProblem
from penchant.errors import InputError
from penchant.rounds.oversight.questions import PassageQuestion
from penchant.runs.provenance import surroundings
from penchant.studies.core.job import StageJob
from penchant.studies.oversight.stage_settings import ROWS, OversightRowsSettings
from penchant.studies.oversight.viewers import viewer_questions
from penchant.tasks.spec import digest, normalized
from penchant.typed_json import to_object
from penchant.weak.contract import marks_of

COLUMNS = {"question": "question", "right": "correct_answer", "wrong": "distractor", "passage": "support"}
"""Columns of SciQ (Welbl et al. 2017), which a file has where nothing else is said."""
VIEWERS = (600, 400)
"""Made-up questions to learn from and to test on, where no number is given."""
FEWEST_TRAIN, FEWEST_TEST = 20, 10
READER_ROWS = 43
"""Purpose of the random numbers that choose the reader's questions."""
RightIndices = NDArray[np.int64]


@dataclass(frozen=True)
class QuestionSet:
    """Questions with the places of their right answers, shape (questions,)."""

    questions: Sequence[PassageQuestion]
    right: RightIndices

    def pick(self, rows: Iterable[int]) -> QuestionSet:
        """Return some of the questions, by their places."""
        chosen = list(rows)
        return QuestionSet([self.questions[row] for row in chosen], self.right[chosen])

    def correctness(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how right probabilities of first answers are: 1, 0, or 1/2 where they say neither.

        Args:
            shares: shape (..., questions).
        """
        # a half is no answer, and counts as a coin would in the long run
        return np.where(shares == 0.5, 0.5, ((shares > 0.5) == (self.right == 0)).astype(np.float64))


def oversight_rows_stage(job: StageJob[OversightRowsSettings], folder: Path) -> dict[str, object]:
    """Write `rows.json`: questions to learn from and to test on, each with its answers and its passage."""
    settings, dropped = job.settings, Counter[str]()
    train, test = _read(job, dropped)
    tested_texts = {normalized(question.question) for question, _ in test}
    # a question that is tested on is not learned from, whatever its answers
    untested = [row for row in train if normalized(row[0].question) not in tested_texts]
    dropped["also among the tests"] += len(train) - len(untested)
    train, test = untested[: settings.train], test[: settings.test]
    if len(train) < FEWEST_TRAIN or len(test) < FEWEST_TEST:
        left_out = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise InputError(
            f"{job.inputs['questions']}: {len(train)} questions to learn from and {len(test)} to test on are too few: "
            f"at least {FEWEST_TRAIN} and {FEWEST_TEST}; left out: {left_out or 'none'}"
        )
    content = {"train": [_as_row(*row) for row in train], "test": [_as_row(*row) for row in test]}
    # a text may hold a lone surrogate, which strict UTF-8 neither writes nor reads
    (folder / ROWS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
    return {
        "source": job.inputs["questions"],
        "train": len(train),
        "test": len(test),
        "dropped": {reason: count for reason, count in dropped.items() if count},
        "provenance": to_object(surroundings()),
    }


def _as_row(question: PassageQuestion, right: int) -> dict[str, object]:
    return {
        "question": question.question,
        "answers": list(question.answers),
        "passage": question.passage,
        "right": right,
    }


Row = tuple[PassageQuestion, int]


def _read(job: StageJob[OversightRowsSettings], dropped: Counter[str]) -> tuple[list[Row], list[Row]]:
    settings = job.settings
    if settings.kind == "viewers":
        counts = settings.train or VIEWERS[0], settings.test or VIEWERS[1]
        train, test = (list(viewer_questions(count, seed)) for seed, count in enumerate(counts))
        return train, test
    columns = {**COLUMNS, **settings.columns}
    # a set that has its own tests keeps them
    files = [job.inputs[name] for name in ("questions", "test_questions") if name in job.inputs]
    parts = [list(_questions(file, columns, dropped)) for file in files]
    if len(parts) == 2:
        return parts[0], parts[1]
    # by the passage's content: what is said of one passage would else be learned with one question and tested with
    # another; and a file that grows keeps the side of the questions that it had
    share = settings.test_share or 0.0
    is_test = [digest(normalized(question.passage)) % 10_000 < share * 10_000 for question, _ in parts[0]]
    train = [row for row, tested in zip(parts[0], is_test, strict=True) if not tested]
    return train, [row for row, tested in zip(parts[0], is_test, strict=True) if tested]


def _questions(file: str, columns: Mapping[str, str], dropped: Counter[str]) -> Iterator[Row]:
    """Yield the questions of a file that can be used, each once; count the others by reason.

    Raises:
        InputError: a row that cannot be read, or a file without one of the columns.
    """
    # across the file, in its order: the first of two stays
    seen: set[tuple[str, str]] = set()
    passages: dict[str, str] = {}
    for row in read_rows(file):
        if isinstance(row, RowProblem):
            raise InputError(str(row))
        read = _question(row.source, row.values, columns)
        if isinstance(read, str):
            dropped[read] += 1
            continue
        # the same question on the same passage would count as two; on another passage its answer is another matter
        passage = normalized(read[0].passage)
        if (key := (normalized(read[0].question), passage)) in seen:
            dropped["that stand twice"] += 1
            continue
        # classifiers see no passage: with equal answers too, the two would be one example with two passages
        (example_mark,) = marks_of([read[0].example])
        if passages.setdefault(example_mark, passage) != passage:
            dropped["with the words and answers of a question on another passage"] += 1
            continue
        seen.add(key)
        yield read


def _question(source: str, values: Mapping[str, Any], columns: Mapping[str, str]) -> Row | str:
    """Return a row as a question with two answers, or why it is left out."""
    for name in ("question", "right", "passage"):
        if columns[name] not in values:
            raise InputError(
                f"{source}: there is no column {columns[name]!r} for the {name} (there are {', '.join(values)}): name "
                f"it, as columns={{{name}: COLUMN}}"
            )
    question, right, passage = (str(values[columns[name]] or "").strip() for name in ("question", "right", "passage"))
    # a distractor that is the answer in other letters would be right
    wrong = [text for text in _wrong(values, columns["wrong"]) if normalized(text) != normalized(right)]
    if not question or not right:
        return "without a question or its answer"
    if not wrong:
        return "with one answer"
    # of what nobody has read nobody can argue
    if not passage:
        return "without a passage"
    # by content, so that every study sees the same two answers in the same order
    other = wrong[digest(question) % len(wrong)]
    right_index = digest(f"{question} {right} {other}") % 2
    return PassageQuestion(question, (right, other) if right_index == 0 else (other, right), passage), right_index


def _wrong(values: Mapping[str, Any], column: str) -> list[str]:
    """Return the wrong answers of a row: a column with a list or a text, or all columns whose names begin so."""
    wrong_texts = (
        values[column] if column in values else [values[name] for name in sorted(values) if name.startswith(column)]
    )
    texts = wrong_texts if isinstance(wrong_texts, list | tuple) else [wrong_texts]
    return [text for wrong_text in texts if (text := str(wrong_text or "").strip())]


def read_questions(folder: Path) -> tuple[QuestionSet, QuestionSet]:
    """Read the questions to learn from and to test on, from the folder of their stage."""
    content = json.loads((folder / ROWS).read_text(encoding="utf-8", errors="surrogatepass"))
    train, test = (_question_set(content[part]) for part in ("train", "test"))
    return train, test


def _question_set(rows: Sequence[Mapping[str, Any]]) -> QuestionSet:
    questions = [
        PassageQuestion(row["question"], (row["answers"][0], row["answers"][1]), row["passage"]) for row in rows
    ]
    return QuestionSet(questions, np.array([row["right"] for row in rows], dtype=np.int64))


def divide(count: int, reader_rows: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the places of the reader's labelled questions, and of those that a protocol labels.

    Raises:
        InputError: none would be left to label.
    """
    if reader_rows >= count:
        raise InputError(
            f"the reader learns from {reader_rows} labelled questions, and there are {count} in all: lower "
            "`reader.rows`, or raise `train`"
        )
    # of the same pool for every seed, so that the tests are paired and texts are read once
    order = np.random.default_rng([seed, READER_ROWS]).permutation(count)
    return np.sort(order[:reader_rows]).tolist(), np.sort(order[reader_rows:]).tolist()
