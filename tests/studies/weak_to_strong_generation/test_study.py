"""The study of written answers: from its settings to its page, its contracts, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.config import load_config
from penchant.engine.reference import fingerprint
from penchant.errors import InputError
from penchant.files import read_json
from penchant.reports.kit.render import render_page
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.report import study_report
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.summary import read_summary
from penchant.studies.weak_to_strong_generation.answers import Scorer
from penchant.studies.weak_to_strong_generation.grid import generation_grid
from penchant.studies.weak_to_strong_generation.page import PAGE, _students
from penchant.studies.weak_to_strong_generation.rounds import train_in_rounds
from penchant.studies.weak_to_strong_generation.rows import read_rows_of, scorer_of
from penchant.studies.weak_to_strong_generation.selection import LabelledRow
from penchant.studies.weak_to_strong_generation.settings import GenerationConfig
from penchant.studies.weak_to_strong_generation.stage_settings import GenerationStudentSettings, StudentLearning
from penchant.studies.weak_to_strong_generation.study import PRESETS, STUDY
from penchant.studies.weak_to_strong_generation.summarize import _deception, _measured, summarize_generation
from penchant.studies.weak_to_strong_generation.summary import GenerationSummary
from penchant.studies.weak_to_strong_generation.words import findings
from penchant.tasks.generative import AnsweredPrompt
from penchant.types import Response

SHAPE = {"width": 16, "layers": 1, "steps": 3}
TINY: dict[str, Any] = {
    "train": 24,
    "validation": 10,
    "test": 12,
    "draws": 3,
    "seeds": [0],
    "learning": {"steps": 4, "batch_size": 8, "learning_rates": [1e-3, 3e-3]},
    "pretraining": {"student": SHAPE, "supervisor": {**SHAPE, "width": 8}, "batch_size": 16},
    "methods": ["random_half", "self_consistent", "likely_half"],
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> GenerationConfig:
    return GenerationConfig(tasks=["addition"], out=str(tmp_path_factory.mktemp("generation") / "study"), **TINY)


@pytest.fixture(scope="module")
def result(config: GenerationConfig, workers: Workers) -> StudyResult:
    return run_study(config, workers=workers)


@pytest.fixture(scope="module")
def summary(result: StudyResult) -> GenerationSummary:
    read = read_summary(STUDY.summary, result.numbers, result.path / "study.json")
    assert isinstance(read, GenerationSummary)
    return read


def test_every_method_stands_beside_naive_and_ceiling(result: StudyResult, summary: GenerationSummary) -> None:
    assert result.failures == ()
    (task,) = summary.tasks
    assert [item.method for item in task.students] == list(summary.methods)
    assert summary.methods[0] == "naive"
    assert summary.methods[-1] == "ceiling"
    assert (task.test, task.validation, task.prompts, task.scorer) == (12, 10, 24, "exact_answer")
    rows = {item.method: item.rows for item in task.students}
    assert rows == {"naive": 24, "random_half": 12, "self_consistent": 12, "likely_half": 12, "ceiling": 24}
    assert all(len(item.rates) == 2 for item in task.students)
    assert task.gap is not None


def test_the_page_is_made_of_the_summary_alone(summary: GenerationSummary, tmp_path: Path) -> None:
    pictures = PAGE.pictures(summary)
    page = render_page(PAGE.template, {**PAGE.context(summary, pictures), "folder": ""})
    assert "SFT on all of its answers" in page
    assert "no gap to recover" in page
    assert list(pictures) == ["scores-0"]


def test_the_report_reads_the_folder(result: StudyResult, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    study_report(result.path, page)
    assert "how much of the gap comes back" in page.read_text()


def test_naive_is_sft_on_these_answers_to_the_bit(
    config: GenerationConfig, result: StudyResult, tmp_path: Path
) -> None:
    (task,) = generation_grid(config)
    assert task.models is not None
    student = next(item for item in task.students if item.method == "naive" and item.rate == 1e-3)
    facts = read_json(result.path / student.stage.path / "stage.json")
    rows = read_rows_of(result.path / task.rows[0].path)
    data = [
        {"prompt": row.prompt, "responses": [{"text": row.label.text, "finished": row.label.finished}]} for row in rows
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    pt.train(
        pt.SFT(
            model=str(result.path / task.models.path / "strong"),
            data={"path": str(tmp_path / "labels.jsonl"), "held_out": 0, "template": "plain"},
            epochs=3,
            max_steps=4,
            batch_size=8,
            optimizer={"name": "adamw", "learning_rate": 1e-3},
            schedule={"name": "linear", "warmup_steps": 0.1},
            evaluate={"samples": None},
            out=str(tmp_path / "run"),
        )
    )
    assert fingerprint(pt.load_policy(str(tmp_path / "run" / "checkpoint")).model) == facts["weights"]


def test_another_method_is_another_student(config: GenerationConfig, result: StudyResult) -> None:
    (task,) = generation_grid(config)
    weights = {
        (item.method, item.rate): read_json(result.path / item.stage.path / "stage.json")["weights"]
        for item in task.students
    }
    assert len(set(weights.values())) == len(weights)


def test_students_leave_no_weights_behind(result: StudyResult) -> None:
    stages = [path for path in (result.path / "stages").iterdir() if "rate" in path.name]
    assert stages
    assert not [file for stage in stages for file in stage.rglob("*.safetensors")]


def test_prompts_to_learn_from_are_no_prompts_to_test_on(config: GenerationConfig, result: StudyResult) -> None:
    (task,) = generation_grid(config)
    folder = result.path / task.rows[0].path
    parts = [
        {json.loads(line)["prompt"] for line in (folder / name).read_text().splitlines()}
        for name in ("rows.jsonl", "tests.jsonl", "validation.jsonl")
    ]
    assert len(set().union(*parts)) == sum(map(len, parts)) == 24 + 12 + 10


@pytest.mark.slow
def test_consensus_pairs_are_learned(tmp_path: Path, workers: Workers) -> None:
    config = GenerationConfig(
        tasks=["string_rules"],
        out=str(tmp_path / "study"),
        **{
            **TINY,
            "methods": ["dpo_consensus", "agreement"],
            "learning": {**TINY["learning"], "learning_rates": [1e-2]},
        },
    )
    result = run_study(config, workers=workers)
    reasons = dict(result.failures)
    # models that learned nothing agree on nothing, and their draws have no consensus: each says so
    for method, reason in (("agreement", "none is left"), ("dpo-consensus", "has a consensus")):
        stage = next((label for label in reasons if method in label), None)
        if stage is not None:
            assert reason in reasons[stage]


@pytest.mark.slow
def test_students_in_rounds_learn_for_equally_many_steps(tmp_path: Path, workers: Workers) -> None:
    changes = {"methods": ["spin", "iterative_dpo"], "learning": {**TINY["learning"], "learning_rates": [1e-2]}}
    config = GenerationConfig(tasks=["addition"], out=str(tmp_path / "study"), **{**TINY, **changes})
    result = run_study(config, workers=workers)
    assert result.failures == ()
    (task,) = result.numbers["tasks"]
    students = {student["method"]: student for student in task["students"]}
    assert set(students) == {"naive", "spin", "iterative_dpo", "ceiling"}
    # models that learned nothing are never right, so that samples have no difference
    assert students["iterative_dpo"]["pairs"] >= 0
    assert students["spin"]["pairs"] is None


def test_iterative_dpo_does_not_see_the_truth(tmp_path: Path) -> None:
    settings = GenerationStudentSettings(
        method="iterative_dpo",
        learning=StudentLearning(4, 8, 0.1),
        learning_rate=1e-3,
        max_new_tokens=4,
        draws=2,
        seed=0,
    )
    with pytest.raises(InputError, match="the scorer `vader` reads no `answer`: it would score by the truth"):
        train_in_rounds(settings, "nothing", [], tmp_path / "second", Scorer("vader"), steps=2)
    row = LabelledRow("1+1?", "2", Response("many"), 1.0, True, 0.0)
    with pytest.raises(InputError, match="finds nothing to compare with in any of 1 answers"):
        train_in_rounds(settings, "nothing", [row], tmp_path / "second", Scorer("number"), steps=2)


def test_rounds_say_how_many_answers_they_left_out(tmp_path: Path, tiny_model: str, summary: GenerationSummary) -> None:
    settings = GenerationStudentSettings(
        method="iterative_dpo",
        learning=StudentLearning(4, 8, 0.1),
        learning_rate=1e-3,
        max_new_tokens=4,
        draws=2,
        seed=0,
    )
    rows = [LabelledRow(f"1+{n}?", str(1 + n), Response(str(1 + n)), 1.0, True, 0.0) for n in range(3)]
    rows.append(LabelledRow("1+9?", "10", Response("many"), 1.0, True, 0.0))
    for name in ("some", "all"):
        (tmp_path / name).mkdir()
    _, counts = train_in_rounds(settings, tiny_model, rows, tmp_path / "some" / "second", Scorer("number"), steps=2)
    assert counts["left_out"] == 1
    # the control: every answer can be compared
    _, counts = train_in_rounds(settings, tiny_model, rows[:3], tmp_path / "all" / "second", Scorer("number"), steps=2)
    assert counts["left_out"] == 0
    (task,) = summary.tasks
    sentence = "left out 1 of 24 answers: the scorer finds nothing in them"
    for left_out, is_said in ((None, False), (0.0, False), (1.0, True)):
        students = (replace(task.students[0], left_out=left_out), *task.students[1:])
        assert (sentence in _students(replace(task, students=students)).caption) == is_said


def test_a_file_of_ones_own(tmp_path: Path, tiny_model: str, workers: Workers) -> None:
    rows = [{"question": f"What is {n} and {n}?", "answer": f"It is\n#### {2 * n}"} for n in range(60)]
    # one of the rows to choose by has no marker: the whole file says what can be compared, whichever rows are learned
    rows[36]["answer"] = "72"
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = GenerationConfig(
        tasks=[str(tmp_path / "sums.jsonl")],
        weak=tiny_model,
        strong=tiny_model,
        template="plain",
        max_new_tokens=6,
        out=str(tmp_path / "study"),
        **{**TINY, "methods": ["random_half"], "learning": {**TINY["learning"], "learning_rates": [1e-3]}},
    )
    result = run_study(config, workers=workers)
    assert result.failures == ()
    (task,) = result.numbers["tasks"]
    # 60 rows without 22 to measure on: half of them for the supervisor
    assert (task["scorer"], task["prompts"], task["tagged_right"]) == ("number", 19, None)


def test_scorers_by_the_answers() -> None:
    def rows(*answers: str) -> list[AnsweredPrompt]:
        return [AnsweredPrompt("?", answer) for answer in answers]

    assert scorer_of("mine.jsonl", None, rows("so\n#### 4", "#### 5")) == "number:marker=####"
    assert scorer_of("mine.jsonl", None, rows("4", "it is 5")) == "number"
    assert scorer_of("mine.jsonl", None, rows("4", "five")) == "exact_answer"
    assert scorer_of("mine.jsonl", "vader", rows("4")) == "vader"


def test_a_scorer_compares_answers_and_keeps_to_its_range(tmp_path: Path) -> None:
    scorer = Scorer("number:marker=####")
    assert scorer.agree(Response("so\n#### 4"), Response("2+2\n#### 4.0"))
    assert not scorer.agree(Response("#### 4"), Response("#### 5"))
    assert not scorer.agree(Response("#### 4"), Response("none"))
    (tmp_path / "mine.py").write_text("def two(pairs): return [2.0] * len(pairs)")
    with pytest.raises(InputError, match=r"gave 2 to 2: .* from 0 .wrong. to 1 .right."):
        Scorer(f"{tmp_path}/mine.py:two").scores([AnsweredPrompt("?", "4")], [Response("4")])


def test_deception_by_hand() -> None:
    # of five prompts the supervisor has four wrong, of these the ceiling has three right, of these the student one
    supervisor, ceiling = np.array([[0.0, 0, 0, 0, 1]]), np.array([[1.0, 1, 1, 0, 1]])
    student = np.array([[1.0, 0, 0, 0, 0]])
    measured = _deception(supervisor, student, ceiling)
    assert measured is not None
    assert measured.value == pytest.approx(2 / 3)
    # a supervisor that is always right leaves nothing to ask
    assert _deception(np.ones((1, 5)), student, ceiling) is None


def test_the_interval_of_deception_counts_seeds() -> None:
    # students of two seeds that say opposite things of every prompt: nothing is known of a third
    supervisor, ceiling = np.zeros((2, 40)), np.ones((2, 40))
    student = np.stack([np.zeros(40), np.ones(40)])
    measured = _deception(supervisor, student, ceiling)
    assert measured is not None
    assert (measured.value, measured.low, measured.high) == (0.5, 0.0, 1.0)


def test_a_method_that_fails_takes_no_other_along(
    config: GenerationConfig, result: StudyResult, tmp_path: Path
) -> None:
    shutil.copytree(result.path, tmp_path / "study")
    grid = generation_grid(config)
    failed = next(item.stage for item in grid[0].students if item.method == "self_consistent")
    (tmp_path / "study" / failed.path / "stage.json").unlink()
    (task,) = summarize_generation(config, grid, tmp_path / "study", {}).tasks
    assert [item.method for item in task.students] == ["naive", "random_half", "likely_half", "ceiling"]
    # nothing can be compared without the ceiling
    ceiling = next(item.stage for item in grid[0].students if item.method == "ceiling")
    (tmp_path / "study" / ceiling.path / "stage.json").unlink()
    assert summarize_generation(config, grid, tmp_path / "study", {}).tasks == ()


@pytest.mark.parametrize(
    ("missing", "methods", "seeds"),
    [
        # of one seed of three: the seed goes
        ({("likely_half", 1)}, ["naive", "likely_half", "random_half", "ceiling"], [0, 2]),
        # of two of three: the method goes
        ({("likely_half", 1), ("likely_half", 2)}, ["naive", "random_half", "ceiling"], [0, 1, 2]),
        ({("naive", 0)}, ["naive", "likely_half", "random_half", "ceiling"], [1, 2]),
    ],
)
def test_what_is_left_where_students_failed(
    tmp_path: Path, missing: set[tuple[str, int]], methods: list[str], seeds: list[int]
) -> None:
    config = GenerationConfig(
        tasks=["addition"], **{**TINY, "seeds": [0, 1, 2], "methods": ["likely_half", "random_half"]}
    )
    (task,) = generation_grid(config)
    done = [*task.rows.values(), *(item.stage for item in task.students if (item.method, item.seed) not in missing)]
    for stage in done:
        (tmp_path / stage.path).mkdir(parents=True)
        (tmp_path / stage.path / "stage.json").write_text('{"rows": 1}')
    assert _measured(task, tmp_path) == (methods, seeds)


def test_words_say_above_below_and_undecided(summary: GenerationSummary) -> None:
    (task,) = summary.tasks
    first = task.students[2]
    assert first.over_naive is not None

    def estimate(low: float, high: float) -> Any:
        return replace(first.over_naive, value=(low + high) / 2, low=low, high=high)  # type: ignore[type-var]

    def said(low: float, high: float) -> str:
        gain = estimate(low, high)
        students = tuple(
            replace(item, over_naive=gain, over_naive_of_many=gain) if item.method == "likely_half" else item
            for item in task.students
        )
        return " ".join(findings(replace(summary, tasks=(replace(task, students=students),))))

    assert "Clearly above naive SFT: SFT on the half the student finds likelier" in said(0.1, 0.2)
    assert "Clearly below naive SFT: SFT on the half the student finds likelier" in said(-0.2, -0.1)
    assert "Undecided against naive SFT" in said(-0.1, 0.1)
    assert "No method is above naive SFT" in said(-0.1, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["sums.jsonl"]}, "a file needs models: give `weak` and `strong`"),
        ({"tasks": ["addition", "addition"]}, "names one more than once"),
        ({"pretraining": {"supervisor": {"width": 128}}}, "the weak model is the smaller"),
        ({"methods": ["nope"]}, "methods"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**changes)


def test_too_few_rows_are_named(tmp_path: Path, tiny_model: str, workers: Workers) -> None:
    rows = [{"prompt": f"{n}?", "answer": str(n)} for n in range(30)]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = GenerationConfig(
        tasks=[str(tmp_path / "few.jsonl")], weak=tiny_model, strong=tiny_model, out=str(tmp_path / "study"), **TINY
    )
    reasons = dict(run_study(config, workers=workers).failures)
    assert "which leaves 8 to learn from: lower `test` and `validation`" in reasons["few-rows-seed-0"]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings(name: str) -> None:
    config = load_config(GenerationConfig, preset_file(name, "weak-to-strong-generation"))
    assert generation_grid(config).stages()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_ceiling_is_above_the_supervisor_in_the_demo(tmp_path: Path, workers: Workers) -> None:
    config = load_config(GenerationConfig, preset_file("demo", "weak-to-strong-generation")).replace(
        out=str(tmp_path / "demo")
    )
    (task,) = read_summary(STUDY.summary, run_study(config, workers=workers).numbers, tmp_path).tasks  # type: ignore[attr-defined]
    assert task.gap.above(0)
    assert task.tagged_right > task.start.value + 0.3
