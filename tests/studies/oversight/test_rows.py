"""Questions of a file: which two answers, in which order, and what is left out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant.studies.core.job import StageJob
from penchant.studies.oversight.rows import oversight_rows_stage, read_questions
from penchant.studies.oversight.stage_settings import OversightRowsSettings
from penchant.studies.oversight.viewers import PLEASED, viewer_questions

FILE = OversightRowsSettings(kind="file", data=(), train=None, test=None, columns={}, test_share=0.4)


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": f"What is thing number {number}?",
        "correct_answer": f"right {number}",
        "distractor1": f"wrong {number}",
        "distractor2": f"false {number}",
        "support": f"Thing {number} is right {number}.",
        **changes,
    }


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(rows: list[dict[str, Any]], settings: OversightRowsSettings = FILE) -> dict[str, Any]:
        file, folder = tmp_path / "own.jsonl", tmp_path / "stage"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        folder.mkdir(exist_ok=True)
        job = StageJob("oversight_rows", settings, {"questions": str(file)}, {}, folder)
        return oversight_rows_stage(job, folder)

    return run


def test_a_file_is_divided_by_content_and_what_cannot_be_used_is_counted(
    stage: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    rows = [row(number) for number in range(60)]
    rows += [row(60, support=""), row(61, distractor1="", distractor2=None), row(62, distractor1="Right 62!",
             distractor2="right 62"), row(63, question=" "), row(0)]  # fmt: skip
    # equal words on other passages are another question, unless a classifier could not tell them apart
    rows += [row(1, support="Of another thing.", correct_answer="right other"), row(2, support="Of another thing.")]
    rows += [row(3, support="  thing 3 is RIGHT 3", correct_answer="right other")]
    facts = stage(rows)
    assert facts["dropped"] == {
        "without a passage": 1,
        "with one answer": 2,
        "without a question or its answer": 1,
        "that stand twice": 2,
        "with the words and answers of a question on another passage": 1,
    } | ({"also among the tests": 1} if facts["train"] + facts["test"] == 60 else {})
    train, test = read_questions(tmp_path / "stage")
    # the two of equal words may lie on both sides, and then one of them is not learned from
    assert facts["train"] + facts["test"] + facts["dropped"].get("also among the tests", 0) == 61
    assert 12 <= facts["test"] <= 36
    assert not {each.question for each in train.questions} & {each.question for each in test.questions}
    # both places, and both distractors, by content
    assert set(train.right.tolist()) == {0, 1}
    wrong = {each.answers[1 - place].split()[0] for each, place in zip(train.questions, train.right, strict=True)}
    assert wrong == {"wrong", "false"}
    assert all(
        each.answers[place].startswith("right") for each, place in zip(train.questions, train.right, strict=True)
    )
    # a file that grows keeps the side of the questions that it had
    stage([*rows, *(row(number) for number in range(100, 130))])
    grown = read_questions(tmp_path / "stage")[1]
    assert {each.question for each in test.questions} <= {each.question for each in grown.questions}


def test_questions_on_one_passage_stand_on_one_side(stage: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    stage([row(number, support=f"Passage {number // 4} on all.") for number in range(120)])
    train, test = ({each.passage for each in part.questions} for part in read_questions(tmp_path / "stage"))
    assert not train & test
    assert len(train | test) == 30


def test_other_columns_and_a_list_of_wrong_answers(stage: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    rows = [
        {"q": f"Which is {number}?", "a": "yes", "others": ["no", "never"], "text": f"It is yes {number}."}
        for number in range(60)
    ]
    columns = {"question": "q", "right": "a", "wrong": "others", "passage": "text"}
    stage(rows, replace(FILE, columns=columns, train=20, test=10))
    train, test = read_questions(tmp_path / "stage")
    assert (len(train.questions), len(test.questions)) == (20, 10)
    assert {answer for each in train.questions for answer in each.answers} == {"yes", "no", "never"}


def test_a_file_that_cannot_be_used_is_named(stage: Callable[..., dict[str, Any]]) -> None:
    without = [{name: value for name, value in row(0).items() if name != "support"}]
    with pytest.raises(InputError, match=r"no column 'support' for the passage .*columns=\{passage: COLUMN\}"):
        stage(without)
    with pytest.raises(InputError, match=r"too few.*left out: 30 with one answer"):
        stage([row(number, distractor1="", distractor2="") for number in range(30)])


def test_sciq_keeps_its_own_tests(tmp_path: Path) -> None:
    files = {}
    for name, numbers in (("questions", range(40)), ("test_questions", range(35, 60))):
        files[name] = str(tmp_path / f"{name}.jsonl.gz")
        Path(files[name]).write_bytes(gzip.compress("".join(json.dumps(row(n)) + "\n" for n in numbers).encode()))
    facts = oversight_rows_stage(StageJob("oversight_rows", FILE, files, {}, tmp_path), tmp_path)
    # five stand in both, and are tested on
    assert (facts["train"], facts["test"]) == (35, 25)
    assert facts["dropped"] == {"also among the tests": 5}


def test_made_up_questions_have_their_answer_in_the_passage_and_not_in_themselves() -> None:
    drawn = list(viewer_questions(400, 0))
    assert drawn == list(viewer_questions(400, 0))
    pleased = 0
    for question, place in drawn:
        name = question.question.split()[2]
        (sentence,) = [part for part in question.passage.split(". ") if part.startswith(name)]
        assert question.answers[place] in sentence
        assert question.answers[1 - place] not in sentence
        assert question.answers[1 - place] in question.passage
        pleased += question.answers[place] in ("wonderful", "moving and funny", "a joy to watch", "brilliant",
                                               "the best film of the year", "warm and clever")  # fmt: skip
    assert pleased / 400 == pytest.approx(PLEASED, abs=0.05)
    assert 0.4 < sum(place for _, place in drawn) / 400 < 0.6
    films = [{question.question.split()[-1] for question, _ in viewer_questions(50, seed)} for seed in (0, 1)]
    assert not films[0] & films[1]
