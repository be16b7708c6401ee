"""The study of instruction tuning, from its settings to its page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.config import load_config
from penchant.data.options import RenderOptions
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.report import study_report
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.summary import read_summary
from penchant.studies.core.trial import as_trial
from penchant.studies.instructions.grid import instructions_grid
from penchant.studies.instructions.mixture import shared_keys
from penchant.studies.instructions.names import CLUSTERS
from penchant.studies.instructions.prompts import PromptMaker
from penchant.studies.instructions.rows import TaskRows
from penchant.studies.instructions.sentences import SENTENCES, TASKS, load_sentences
from penchant.studies.instructions.settings import InstructionsConfig
from penchant.studies.instructions.stage_settings import PromptSettings
from penchant.studies.instructions.study import STUDY
from penchant.studies.instructions.summary import InstructionsSummary
from penchant.tasks.load import NAMES
from penchant.tasks.spec import normalized
from penchant.tasks.wordings import ShotPool, Wording
from penchant.types import LabeledExample

TOPIC, FORM = f"{SENTENCES}topic", f"{SENTENCES}is_we"
SMALL: dict[str, Any] = {
    "clusters": {"topic": [TOPIC], "form": [FORM]},
    "train": 40,
    "test": 12,
    "steps": 2,
    "batch_size": 4,
    "longest": 24,
    "shots": [0, 1],
}


def study(model: str, folder: Path, workers: Workers, **changes: Any) -> StudyResult:
    settings = {**SMALL, "model": {"name": model, "device": "cpu"}, "out": str(folder / "study"), **changes}
    return run_study(InstructionsConfig(**settings), workers=workers)


def summary_of(result: StudyResult) -> InstructionsSummary:
    summary = read_summary(STUDY.summary, result.numbers, result.path / "study.json")
    assert isinstance(summary, InstructionsSummary)
    return summary


def stored_answers(result: StudyResult, label: str) -> dict[str, Any]:
    (folder,) = (result.path / "stages").glob(f"{label}-????????????")
    return dict(np.load(folder / "000.npz"))


@pytest.fixture(scope="module")
def result(tiny_model: str, tmp_path_factory: pytest.TempPathFactory, workers: Workers) -> StudyResult:
    return study(tiny_model, tmp_path_factory.mktemp("instructions"), workers, seeds=[0, 1], learning_rate=0.01)


def test_a_cluster_is_measured_untuned_without_it_and_with_it(result: StudyResult) -> None:
    assert result.failures == ()
    summary = summary_of(result)
    assert [cluster.name for cluster in summary.clusters] == ["topic", "form"]
    for cluster in summary.clusters:
        assert [item.shots for item in cluster.accuracies] == [0, 1]
        (task,) = cluster.tasks
        for item, of_task in zip(cluster.accuracies, task.accuracies, strict=True):
            assert item.transfer is not None
            assert item.untuned is not None
            assert item.gain is not None
            assert item.full is not None
            assert item.transfer == of_task.transfer  # of one task
            assert (item.untuned.n, item.transfer.n) == (12, 24)  # nothing was trained for the first
            assert item.gain.value == pytest.approx(item.transfer.value - item.untuned.value)
    assert len(summary.over_tasks) == 2
    # all runs have the same steps, and seeds other ones
    assert len(instructions_grid(InstructionsConfig(**SMALL)).runs) == 3
    folders = [path for path in (result.path / "stages").glob("tuned-*") if path.is_dir()]
    steps = [json.loads((path / "result.json").read_text())["steps"] for path in folders]
    assert steps == [2] * 6


def test_tuning_changes_the_answers_and_with_the_cluster_other_than_without(result: StudyResult) -> None:
    logps = {
        label: stored_answers(result, f"topic-{label}")["logps"]
        for label in ("untuned", "without-it-seed-0", "without-it-seed-1", "with-it-seed-0")
    }
    assert len({values.tobytes() for values in logps.values()}) == 4
    assert all(values.shape == (2, 12, 3) for values in logps.values())


def test_the_mixture_without_a_cluster_has_none_of_its_tasks(result: StudyResult) -> None:
    for mixture in summary_of(result).mixtures:
        expected = {"topic": {FORM}, "form": {TOPIC}, "": {TOPIC, FORM}}[mixture.left_out_cluster]
        assert set(mixture.tasks) == expected


def test_the_page_says_what_the_intervals_say(result: StudyResult, tmp_path: Path) -> None:
    study_report(result.path, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Instruction tuning: what it does to tasks of another kind" in page
    assert "Tuned on other clusters, zero-shot, against the untuned model:" in page
    assert "Held-out clusters, 1 example." in page
    assert "against the majority answer" in page


def test_without_a_step_the_tuned_model_is_the_untuned_one(tiny_model: str, tmp_path: Path, workers: Workers) -> None:
    result = study(tiny_model, tmp_path, workers, steps=0)
    for cluster in summary_of(result).clusters:
        for item in cluster.accuracies:
            assert item.untuned == item.transfer == item.full
            assert item.gain is not None
            assert item.gain.value == 0


def test_steps_that_move_no_weight_leave_every_bit(tiny_model: str, tmp_path: Path, workers: Workers) -> None:
    # through training, a checkpoint and its loading; in float32 no weight moves by so little
    result = study(tiny_model, tmp_path, workers, learning_rate=1e-30, warmup_steps=0, shots=[0])
    untuned = stored_answers(result, "topic-untuned")["logps"]
    assert stored_answers(result, "topic-without-it-seed-0")["logps"].tobytes() == untuned.tobytes()


def test_zero_shot_is_the_same_beside_other_numbers_of_examples(
    result: StudyResult, tiny_model: str, tmp_path: Path, workers: Workers
) -> None:
    alone = study(tiny_model, tmp_path, workers, shots=[0], steps=0)
    both = stored_answers(result, "topic-untuned")["logps"]
    assert stored_answers(alone, "topic-untuned")["logps"][0] == pytest.approx(both[0], abs=1e-5)
    assert both[0] != pytest.approx(both[1], abs=1e-3)


def test_with_one_wording_its_draw_makes_no_difference(tiny_model: str, tmp_path: Path, workers: Workers) -> None:
    def asked(name: str, **changes: Any) -> bytes:
        settings = {"steps": 0, "shots": [0], "held_out": ["topic"], **changes}
        result = study(tiny_model, tmp_path / name, workers, **settings)
        content: bytes = stored_answers(result, "topic-untuned")["logps"].tobytes()
        return content

    assert asked("one", most_wordings=1) == asked("another", most_wordings=1, evaluation_seed=3)
    assert asked("all") != asked("others", evaluation_seed=3)


# -- files of one's own --------------------------------------------------------------------------------------------


def write_task(path: Path, prefix: str, size: int = 80, shared: int = 0) -> str:
    """Write rows of two classes, of which some stand in every file."""
    texts = [f"{prefix if n >= shared else 'shared'} thing {n}" for n in range(size)]
    rows = [{"text": text, "label": ("bad", "good")[n % 2]} for n, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_what_the_held_out_cluster_has_leaves_the_mixture_by_content(
    tiny_model: str, tmp_path: Path, workers: Workers
) -> None:
    first, other = (write_task(tmp_path / f"{name}.jsonl", name, shared=30) for name in ("a", "b"))
    clusters = {"one": [first], "two": [other]}
    result = study(tiny_model, tmp_path, workers, clusters=clusters, held_out=["one"], train=None, test=None)
    assert result.failures == ()
    facts = {mixture.left_out_cluster: mixture for mixture in summary_of(result).mixtures}
    assert facts["one"].left_out[other] > 15  # those of the 30 that are not among the tests of `two` itself
    measured = next((result.path / "stages").glob("a.jsonl-????????????"))
    rows = TaskRows.read(measured)
    kept_apart = {normalized(row.text) for row in (*rows.train, *rows.test)}
    (mixture,) = (result.path / "stages").glob("mixture-without-one-*")
    texts = [json.loads(line)["prompt"] for file in mixture.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert texts
    assert not any(text in normalized(prompt) for prompt in texts for text in kept_apart)
    assert "were left out of it" in page_of(result, tmp_path)


def test_numbers_of_groups_say_nothing_of_another_task() -> None:
    first, other = LabeledExample("good soup", 1, "7"), LabeledExample("bad film", 0, "7")
    assert not shared_keys(first) & shared_keys(other)
    # the same text, and the same passage in words
    assert shared_keys(first) & shared_keys(replace(other, text="Good soup!"))
    first, other = (replace(row, group="A soup was eaten.") for row in (first, other))
    assert shared_keys(first) & shared_keys(other)


def page_of(result: StudyResult, folder: Path) -> str:
    study_report(result.path, folder / "page.html")
    return (folder / "page.html").read_text()


def test_a_mixture_of_nothing_is_a_failure_that_is_named(tiny_model: str, tmp_path: Path, workers: Workers) -> None:
    first = write_task(tmp_path / "a.jsonl", "a")
    lines = Path(first).read_text().splitlines(keepends=True)
    other = tmp_path / "b.jsonl"
    other.write_text("".join(lines))
    clusters = {"one": [first], "two": [str(other)]}
    with pytest.raises(InputError, match="have the same content"):
        study(tiny_model, tmp_path, workers, clusters=clusters)
    # the same rows in a file of other bytes
    other.write_text("".join(reversed(lines)))
    result = study(tiny_model, tmp_path, workers, clusters=clusters, train=None, test=None)
    assert any("no row is left to tune on" in reason for _, reason in result.failures)
    assert summary_of(result).clusters[0].accuracies[0].transfer is None
    assert "not measured" in page_of(result, tmp_path)


def test_a_task_of_one_class_is_a_failure_that_is_named(tiny_model: str, tmp_path: Path, workers: Workers) -> None:
    path = tmp_path / "same.jsonl"
    path.write_text("".join(json.dumps({"text": f"thing {n}", "label": "good"}) + "\n" for n in range(80)))
    result = study(tiny_model, tmp_path, workers, clusters={"one": [str(path)], "topic": [TOPIC]}, steps=0)
    assert any("have the class good" in reason for _, reason in result.failures)


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clusters": {"one": [TOPIC]}}, "at least 2"),
        ({"clusters": {"one": [TOPIC], "two": []}}, "clusters"),
        ({"clusters": {"one": [TOPIC], "two": [TOPIC]}}, "more than once: give each task one cluster"),
        ({"clusters": {"one": ["sst3"], "two": [TOPIC]}}, "sst2"),
        ({"clusters": {"one": [f"{SENTENCES}topics"], "two": [FORM]}}, "`topic`"),
        ({"clusters": ["sentiment", "ethic"]}, "`ethics`"),
        ({"held_out": ["tpic"]}, "which is no cluster: there are topic, form"),
        ({"held_out": ["form", "form"]}, "held_out"),
        ({"shots": [0, 0]}, "shots"),
        ({"shots": []}, "shots"),
        ({"wordings": {"sst2": [{"prompt": "{text}"}]}}, "which no cluster has"),
        ({"wordings": {TOPIC: []}}, "has none for"),
        ({"wordings": {TOPIC: [{"prompt": "What is this?"}]}}, "no place for the text"),
        ({"template": "auto"}, "say plain or chat"),
        ({"steps": -1}, "steps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        InstructionsConfig(**{**SMALL, **changes})


def test_built_in_clusters_hold_each_task_once() -> None:
    names = [name for tasks in CLUSTERS.values() for name in tasks]
    assert len(set(names)) == len(names)
    assert set(names) <= set(NAMES)
    assert InstructionsConfig(clusters=["ethics", "tone"]).clusters == {
        name: CLUSTERS[name] for name in ("ethics", "tone")
    }


def test_presets_are_whole() -> None:
    demo, small = (load_config(InstructionsConfig, preset_file(name, "instructions")) for name in ("demo", "small"))
    assert demo.model.name == "penchant-0.5m"
    assert small.model.lora is not None
    trial = as_trial(small.replace(limit=4))
    assert (trial.steps, trial.batch_size, trial.train, trial.test) == (4, 4, 100, 40)


def test_sentences_are_of_one_task_each() -> None:
    texts: list[str] = []
    for name in TASKS:
        task = load_sentences(f"{SENTENCES}{name}", train=None, test=None)
        assert len(task.test) > 100
        assert {row.label for row in task.test} == set(range(len(task.spec.classes)))
        texts += [row.text for row in (*task.train, *task.test)]
    assert len(set(texts)) == len(texts)


# -- prompts -------------------------------------------------------------------------------------------------------


def maker(model: str, **changes: Any) -> PromptMaker:
    settings: dict[str, Any] = {
        "wordings": {"task": (Wording(prompt="{text}?"),)},
        "seed": 0,
        "longest": 12,
        "overflow": "cut",
        **changes,
    }
    policy = load_policy(model, rendering=RenderOptions(template="plain"), device="cpu")
    return PromptMaker(policy.renderer, PromptSettings(**settings), "task", ("bad", "good"))


POOL = ShotPool([LabeledExample(f"thing {n}", n % 2) for n in range(40)])


def test_a_long_text_keeps_both_ends_and_is_counted(tiny_model: str) -> None:
    text = "beginning " + "and so on " * 60 + "ending"
    cut = maker(tiny_model)
    question, is_cut = cut.question(LabeledExample(text, 1))
    assert is_cut
    assert " ... " in question.prompt
    assert question.prompt.startswith("beg")
    assert question.prompt.endswith("ing?")
    assert not cut.question(LabeledExample("short", 1))[1]
    with pytest.raises(InputError, match="overflow=cut"):
        maker(tiny_model, overflow="error").question(LabeledExample(text, 1))


def test_examples_without_room_are_left_out_and_counted(tiny_model: str) -> None:
    fitted = maker(tiny_model).fitted(LabeledExample("a thing", 0), POOL, 90)
    room = maker(tiny_model).renderer.max_length
    assert room is not None
    assert fitted.left_out > 0
    assert max(fitted.rendered.lengths) <= room
    assert maker(tiny_model).fitted(LabeledExample("a thing", 0), POOL, 1).left_out == 0
    with pytest.raises(InputError, match="leave examples out"):
        maker(tiny_model, overflow="error").fitted(LabeledExample("a thing", 0), POOL, 90)


def test_a_question_that_fits_by_no_means_is_an_error(tiny_model: str) -> None:
    with pytest.raises(InputError, match="longest"):
        maker(tiny_model, longest=1000).fitted(LabeledExample("word " * 900, 0), POOL, 0)
