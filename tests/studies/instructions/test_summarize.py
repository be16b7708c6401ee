"""Numbers and words of the study of instruction tuning, from answers that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.metrics.estimates import Estimate
from penchant.studies.core.summary import StudyCost
from penchant.studies.instructions.grid import instructions_grid
from penchant.studies.instructions.page import PAGE
from penchant.studies.instructions.settings import InstructionsConfig
from penchant.studies.instructions.summarize import _accuracies, _over_tasks, _right, _stratified, _TaskTables
from penchant.studies.instructions.summary import ClusterResult, InstructionsSummary, ModelAccuracies, TaskResult
from penchant.studies.instructions.words import direction, findings, headline


def answers(folder: Path, logps: list[list[float]], tokens: list[list[int]], labels: list[int]) -> Path:
    np.savez(folder / "a.npz", logps=np.array([logps]), tokens=np.array([tokens]), labels=np.array(labels))
    return folder / "a.npz"


def test_the_likeliest_answer_counts_and_equal_ones_in_parts(tmp_path: Path) -> None:
    file = answers(tmp_path, [[-1, -2], [-1, -2], [-3, -3], [-1, -np.inf]], [[1, 1]] * 4, [0, 1, 1, 0])
    assert _right(file, per_token=False).tolist() == [[1, 0, 0.5, 1]]


def test_per_token_a_long_answer_may_win(tmp_path: Path) -> None:
    # -3 over 3 tokens is -1 per token, above -2 over one
    file = answers(tmp_path, [[-2.0, -3.0]], [[1, 3]], [1])
    assert _right(file, per_token=False).tolist() == [[0]]
    assert _right(file, per_token=True).tolist() == [[1]]


def task(right: list[float], wrong: list[float], name: str = "a") -> _TaskTables:
    tables = {"untuned": np.array([wrong]), "transfer": np.array([right]), "majority": np.array([wrong])}
    facts: dict[str, Any] = {"task": name}
    return _TaskTables(facts, [], {model: [table] for model, table in tables.items()}, np.arange(len(right)))


LARGE = task([1.0] * 30 + [0.0] * 10, [1.0, 0.0] * 20)
SMALL = task([1.0, 0.0] * 10, [0.0, 0.0, 0.0, 1.0] * 5, "b")


def test_tasks_of_a_cluster_have_the_same_weight_whatever_their_sizes() -> None:
    accuracies = _accuracies([LARGE, SMALL], 0, 0, 4)
    assert accuracies.transfer is not None
    assert accuracies.gain is not None
    assert accuracies.gain_of_many is not None
    assert accuracies.transfer.value == pytest.approx((0.75 + 0.5) / 2)
    assert accuracies.gain.value == pytest.approx((0.25 + 0.25) / 2)
    assert accuracies.full is None  # never asked
    widths = [item.high - item.low for item in (accuracies.gain, accuracies.gain_of_many)]  # type: ignore[operator]
    assert widths[1] > widths[0]
    # what tasks differ by is no noise of the mean over these tasks
    spread = _stratified([np.ones((1, 20)), np.zeros((1, 20))])
    assert spread.std() == 0
    assert spread.mean() == 0.5


def test_an_accuracy_of_several_tasks_stays_within_bounds() -> None:
    nearly_all = np.concatenate([np.ones((2, 19)), [[1.0], [0.0]]], axis=1)
    tables = {"untuned": [nearly_all], "transfer": [nearly_all], "majority": [nearly_all]}
    tasks = [_TaskTables({}, [], tables, np.arange(20)) for _ in range(2)]
    accuracies = _accuracies(tasks, 0, 0, 1)
    assert accuracies.transfer is not None
    assert accuracies.transfer.high == 1


def test_the_mean_over_tasks_has_the_task_as_its_unit() -> None:
    def gain(value: float) -> ModelAccuracies:
        estimate = Estimate(value, value - 0.01, value + 0.01, 100, 100)
        return ModelAccuracies(shots=0, majority=estimate, untuned=estimate, transfer=estimate, gain=estimate)

    means = _over_tasks([gain(0.1), gain(0.2), gain(0.6)])
    assert means.gain is not None
    assert means.gain.value == pytest.approx(0.3)
    assert means.gain.clusters == 3
    # Student's t with 2 degrees of freedom: 4.303 * 0.2646 / sqrt(3)
    assert means.gain.high == pytest.approx(0.3 + 0.657, abs=2e-3)
    assert means.added is None
    alone = _over_tasks([gain(0.1)]).gain
    assert alone is not None
    assert alone.low is None


def made_up(low: float, high: float) -> InstructionsSummary:
    gain = Estimate((low + high) / 2, low, high, 100, 100)
    share = Estimate(0.6, 0.5, 0.7, 100, 100)
    models = {"majority": share, "untuned": share, "transfer": share, "full": share}
    accuracies = ModelAccuracies(shots=0, **models, gain=gain, gain_of_many=gain, over_majority=gain, added=gain)
    cluster = ClusterResult(
        name="ethics",
        tasks=(
            TaskResult(
                task="a",
                title="A",
                source="a.csv",
                classes=("no", "yes"),
                train=10,
                test=10,
                cut=(3,),
                left_out=(0,),
                accuracies=(accuracies,),
            ),
        ),
        accuracies=(accuracies,),
    )
    config = InstructionsConfig(shots=[0]).recorded()
    return InstructionsSummary(
        study="instructions",
        config=config,
        seeds=(0,),
        clusters=(cluster,),
        over_tasks=(accuracies,),
        mixtures=(),
        failures=(),
        cost=StudyCost(1.0),
        provenance={},
    )


@pytest.mark.parametrize(
    ("low", "high", "word", "sentence"),
    [
        (0.01, 0.2, "above", "against the untuned model: above on ethics."),
        (-0.2, -0.01, "below", "against the untuned model: below on ethics."),
        (-0.1, 0.1, "undecided", "against the untuned model: not to be told apart on ethics."),
    ],
)
def test_the_page_says_no_more_than_the_interval(low: float, high: float, word: str, sentence: str) -> None:
    study = made_up(low, high)
    assert direction(study.clusters[0].accuracies[0].gain) == word
    assert sentence in headline(study)[0]
    assert headline(study)[-1].endswith("not for new seeds.")
    assert f"({word})" in findings(study)[0]
    context = PAGE.context(study, PAGE.pictures(study))
    (first, *_) = context["tables"]  # type: ignore[misc]
    assert first.rows[0][6] == word


def test_an_empty_study_has_a_page() -> None:
    study = made_up(0, 1)
    empty = InstructionsSummary(**{**vars(study), "clusters": (), "over_tasks": ()})
    assert PAGE.context(empty, PAGE.pictures(empty))["headline"] == ["Nothing was measured yet."]


CHANGES: dict[str, Any] = {
    "model": "penchant-1.5m",
    "clusters": {"a": ["sentences:topic"], "b": ["sentences:is_we"]},
    "held_out": ["topic"],
    "train": 30,
    "test": 30,
    "mixing": {"cap": 5},
    "wordings": {"sentences:topic": [{"prompt": "{text}?"}]},
    "most_wordings": 1,
    "steps": 3,
    "batch_size": 3,
    "learning_rate": 1e-5,
    "optimizer": "rmsprop",
    "warmup_steps": 1,
    "clip": 2.0,
    "shots": [1],
    "longest": 9,
    "overflow": "error",
    "template": "chatml",
    "evaluation_seed": 1,
    "seeds": [4],
}
ELSEWHERE = {
    "columns": "of files, see `weak/test_own_file.py`",
    "test_share": "of files",
    "normalize": "read when the answers are there, see above",
    "template_args": "of a template that has some",
    "out": "the folder",
    "limit": "see `core/test_trial.py`",
}


def addresses(config: InstructionsConfig) -> list[str]:
    return sorted(stage.address for stage in instructions_grid(config).stages())


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_makes_other_stages(name: str) -> None:
    assert addresses(InstructionsConfig(**{name: CHANGES[name]})) != addresses(InstructionsConfig())


def test_every_setting_has_a_test() -> None:
    assert {*CHANGES, *ELSEWHERE} == set(InstructionsConfig.model_fields)


def test_how_it_is_tuned_makes_no_other_answers_of_the_untuned_model() -> None:
    plain = instructions_grid(InstructionsConfig())
    other = instructions_grid(
        InstructionsConfig(model={"name": "penchant-0.5m", "lora": {}}, steps=3, seeds=[2], mixing={"cap": 9})
    )
    for first, second in zip(plain.clusters, other.clusters, strict=True):
        assert first.untuned.address == second.untuned.address
        assert first.transfer[0].address != second.transfer[0].address
