"""The study of wrong labels: what is flipped, who is judged by what, and its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.studies.core.executor import Workers
from penchant.studies.core.job import StageJob
from penchant.studies.core.stage_settings import MislabelledSettings
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.work import work
from penchant.studies.noise.grid import noise_grid
from penchant.studies.noise.settings import NoiseConfig
from penchant.studies.noise.summarize import _fall


@pytest.fixture(scope="module")
def config(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> NoiseConfig:
    common = {name: settings[name] for name in NoiseConfig.model_fields.keys() & settings.keys()}
    changes: dict[str, Any] = {
        "shares": [0, 0.4],
        "learning_rate": 3e-3,
        "reward_model": {"learning_rate": 3e-3},
        "few": {"prompts": 2, "epochs": 4, "times": 2},
        "comparisons": {"groups": 2},
        "out": str(tmp_path_factory.mktemp("noise") / "study"),
    }
    return NoiseConfig(**{**common, **changes})


@pytest.fixture(scope="module")
def result(config: NoiseConfig, workers: Workers) -> StudyResult:
    return run_study(config, workers=workers)


def stage(result: StudyResult, name: str) -> Path:
    (folder,) = (result.path / "stages").glob(f"{name}-*")
    return folder


def test_every_learner_meets_every_share_and_those_that_are_dpo_at_0_are_one_run(config: NoiseConfig) -> None:
    built = noise_grid(config)
    assert len(built.cells) == 2 * 5
    assert len({cell.run.address for cell in built.cells}) == 10 - 2  # cDPO and robust DPO at 0 are DPO
    labels = [task.label for task in built.stages()]
    assert len(labels) == len(set(labels))
    order = [task.address for task in built.stages()]
    for task in built.stages():
        assert all(order.index(need.address) < order.index(task.address) for need in task.needs.values())


def test_a_share_of_the_comparisons_is_turned_round(result: StudyResult) -> None:
    clean = pt.load_preferences(stage(result, "comparisons-seed-0") / "comparisons.jsonl", merge=False, ties="half")
    flipped = pt.load_preferences(stage(result, "flipped-0.4") / "comparisons.jsonl", merge=False, ties="half")
    turned, decided = 0, 0
    for one, other in zip(clean, flipped, strict=True):
        assert (one.prompt, one.responses) == (other.prompt, other.responses)
        assert other.scores is None
        for before, after in zip(one.comparisons, other.comparisons, strict=True):
            same = (before.winner, before.loser) == (after.winner, after.loser)
            assert same or (before.winner, before.loser) == (after.loser, after.winner)
            decided += not before.tie
            turned += not same
            assert same or not before.tie
    facts = json.loads((stage(result, "flipped-0.4") / "stage.json").read_text())
    assert facts["flipped"] == turned
    assert facts["comparisons"] == decided
    assert 0.2 * decided < turned < 0.6 * decided


def test_random_labels_leave_half_of_them_right(result: StudyResult, config: NoiseConfig, tmp_path: Path) -> None:
    random = NoiseConfig(**{**config.model_dump(), "labels": "random"})
    smoothing = {
        cell.learner: cell.run.settings.loss.label_smoothing
        for cell in noise_grid(random).cells
        if cell.share and cell.learner != "reward_model"
    }
    assert smoothing == {"dpo": None, "cdpo": 0.2, "robust": 0.2, "ipo": None}
    turned = {}
    for labels in ("flipped", "random"):
        needs = {"comparisons": stage(result, "comparisons-seed-0")}
        settings = MislabelledSettings(share=0.49, labels=labels, seed=0)
        assert work(StageJob("mislabelled", settings, {}, needs, tmp_path / labels)) == "done"
        after = pt.load_preferences(tmp_path / labels / "comparisons.jsonl", merge=False, ties="half")
        turned[labels] = [(c.winner, c.loser) for group in after for c in group.comparisons]
    clean = pt.load_preferences(stage(result, "comparisons-seed-0") / "comparisons.jsonl", merge=False, ties="half")
    before = [(c.winner, c.loser) for group in clean for c in group.comparisons]
    flipped, random_ones = (
        {i for i, (one, other) in enumerate(zip(before, turned[labels], strict=True)) if one != other}
        for labels in ("flipped", "random")
    )
    assert random_ones < flipped  # the same draws say which labels are wrong
    assert 0.25 * len(flipped) < len(random_ones) < 0.75 * len(flipped)


def test_the_change_since_the_best_is_not_lifted_by_luck() -> None:
    rng = np.random.default_rng(0)
    level = [change.value for _ in range(200) if (change := _fall(rng.normal(size=(8, 16))))]
    assert abs(np.mean(level)) < 0.1  # the plain maximum would be above the last by 0.35 on average
    fallen = _fall(np.array([[1.0] * 12, [0.4] * 12]))
    assert fallen is not None
    assert fallen.value == pytest.approx(-0.6)
    assert _fall(np.ones((1, 12))) is None


def test_the_numbers(result: StudyResult) -> None:
    study = result.numbers
    assert not result.failures
    assert study == json.loads((result.path / "study.json").read_text())
    by_name = {method["name"]: method for method in study["methods"]}
    assert list(by_name) == ["dpo", "cdpo", "robust", "ipo", "reward_model"]
    for method in study["methods"]:
        assert [point["share"] for point in method["points"]] == [0, 0.4]
        for point in method["points"]:
            assert 0 <= point["accuracy"]["value"] <= 1
            assert point["accuracy"]["reason"] == f"no interval: {point['accuracy']['clusters']} prompts"
            assert (point["reward"] is None) == (method["name"] == "reward_model")
    assert by_name["dpo"]["points"][0] == by_name["cdpo"]["points"][0] == by_name["robust"]["points"][0]
    assert by_name["dpo"]["points"][1] != by_name["robust"]["points"][1]
    right = {
        name: np.array(
            json.loads((stage(result, f"{name}-flipped-0.4-seed-0-judged") / "stage.json").read_text())["right"]
        )
        for name in ("dpo", "ipo")
    }
    gap = by_name["ipo"]["points"][1]["above_dpo"]
    assert gap["value"] == pytest.approx((right["ipo"] - right["dpo"]).mean())
    assert (gap["low"], gap["reason"]) == (None, f"no interval: {gap['clusters']} prompts")  # too few to resample
    assert by_name["dpo"]["points"][1]["above_dpo"] is None
    first, last = by_name["dpo"]["points"]
    assert first["above_first"] is None
    assert last["above_first"]["value"] == pytest.approx(last["accuracy"]["value"] - first["accuracy"]["value"])
    points = study["few"]["points"]
    assert [point["epoch"] for point in points] == [2, 4]
    assert points[-1]["seen_accuracy"] > 0.5


def test_the_accuracy_is_that_of_the_models(result: StudyResult, config: NoiseConfig) -> None:
    """By hand: the winner's implicit reward, log-probability over that of the start, is above the loser's."""
    groups = pt.load_preferences(stage(result, "unseen-comparisons") / "comparisons.jsonl", merge=False, ties="drop")
    (run,) = (result.path / "runs").glob("dpo-flipped-0.4-*")
    after, before = (
        pt.load_policy(name, template="plain", device="cpu").score(groups)
        for name in (run / "checkpoint", config.model.name)
    )
    right = [
        float((one - other)[comparison.winner] > (one - other)[comparison.loser])
        for group, one, other in zip(groups, after, before, strict=True)
        for comparison in group.comparisons
    ]
    dpo = next(method for method in result.numbers["methods"] if method["name"] == "dpo")
    assert dpo["points"][1]["accuracy"]["value"] == pytest.approx(sum(right) / len(right))
    assert dpo["points"][1]["accuracy"]["n"] == len(right)


@pytest.mark.slow
def test_a_second_call_runs_nothing(result: StudyResult, config: NoiseConfig, workers: Workers) -> None:
    assert run_study(config, workers=workers).ran == 0
    wider = NoiseConfig(**{**config.model_dump(), "shares": [0, 0.2, 0.4], "few": None})
    again = run_study(wider, workers=workers)
    assert again.ran == 1 + 5 + 5  # one more flipping, five runs, and their judgements
    assert again.numbers["few"] is None
