"""The study of annotators: who learns from whom, who is judged by whom, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.config import to_yaml
from penchant.errors import InputError
from penchant.studies.annotators.grid import AnnotatorsGrid, annotators_grid
from penchant.studies.annotators.settings import AnnotatorsConfig
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import StudyResult, run_study

NAMES = ("Ann", "Bob", "Eve")
LONG = "x" * 200  # beyond the tiny model's context of 160


def row(number: int) -> dict[str, Any]:
    """Ann and Bob prefer letters, Eve digits; Bob ties every fifth time; the better one for Ann is longer in half."""
    good, bad = ("abcdef", "12") if number % 2 else ("ab", "123456")
    flip = number % 3 == 0
    place = 1 if flip else 0  # of the letters
    return {
        "prompt": f"q{number}:" + (LONG if number == 7 else ""),
        "responses": [{"text": text} for text in ((bad, good) if flip else (good, bad))],
        "comparisons": [
            {"winner": place, "loser": 1 - place, "annotator": "Ann"},
            {"winner": place, "loser": 1 - place, "annotator": "Bob", "tie": number % 5 == 0},
            {"winner": 1 - place, "loser": place, "annotator": "Eve"},
        ],
    }


@pytest.fixture(scope="module")
def base(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("annotated") / "annotated.jsonl"
    file.write_text("".join(json.dumps(row(number)) + "\n" for number in range(30)))
    return {
        "model": {"name": tiny_model, "device": "cpu"},
        "data": {"path": str(file), "held_out": 10},
        "learning_rate": 3e-3,
        "reward_model": {"learning_rate": 3e-3, "batch_size": 8, "epochs": 3},
        "batch_size": 8,
        "epochs": 3,
    }


@pytest.fixture
def make(base: dict[str, Any], tmp_path: Path) -> Callable[..., AnnotatorsConfig]:
    """`make(beta=None)` is the configuration with changes, in a folder of the test's own."""
    return lambda **changes: AnnotatorsConfig(**{**base, "out": str(tmp_path / "study"), **changes})


@pytest.fixture(scope="module")
def config(base: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AnnotatorsConfig:
    return AnnotatorsConfig(**base, out=str(tmp_path_factory.mktemp("annotators") / "study"))


@pytest.fixture(scope="module")
def result(config: AnnotatorsConfig, workers: Workers) -> StudyResult:
    return run_study(config, workers=workers)


def groups_of(result: StudyResult, name: str) -> list[Any]:
    (folder,) = (result.path / "stages").glob(f"{name}-*")
    return pt.load_preferences(folder / "comparisons.jsonl", ties="half")


def test_the_left_out_and_their_prompts_are_never_learned_from(result: StudyResult) -> None:
    for number, name in enumerate(NAMES, start=1):
        train = groups_of(result, f"others-without-{number}-seed-0")
        held = groups_of(result, f"held-without-{number}-seed-0")
        assert {each.annotator for group in train for each in group.comparisons} == set(NAMES) - {name}
        assert {each.annotator for group in held for each in group.comparisons} == {name}
        assert not {group.prompt for group in train} & {group.prompt for group in held}
        assert not any(LONG in group.prompt for group in train + held)
    assert result.numbers["too_long"] == 1


def test_the_numbers(result: StudyResult) -> None:
    study = result.numbers
    assert not result.failures
    assert study == json.loads((result.path / "study.json").read_text())
    assert study["annotators"] == list(NAMES)
    rows = {one["annotator"]: one for one in study["rows"]}
    # Bob's ties leave the other two (Ann for, Eve against), and count as half where he is another annotator
    held = groups_of(result, "held-without-1-seed-0")
    ties = sum(int(group.prompt[1:-1]) % 5 == 0 for group in held)
    assert rows["Ann"]["agreement"]["others"]["value"] == pytest.approx((1 - ties * 0.5 / len(held)) / 2)
    assert rows["Eve"]["agreement"]["others"]["value"] == pytest.approx(ties * 0.5 / len(held) / 2)
    odd = sum(int(group.prompt[1:-1]) % 2 for group in held) / len(held)
    assert rows["Ann"]["agreement"]["longer"]["value"] == pytest.approx(odd)
    assert rows["Eve"]["agreement"]["longer"]["value"] == pytest.approx(1 - odd)
    assert rows["Bob"]["comparisons"] == rows["Ann"]["comparisons"] - ties
    for one in (*study["rows"], study["all"]):
        for name in ("dpo", "reward_model"):
            assert 0 <= one["agreement"][name]["low"] <= one["agreement"][name]["high"] <= 1
            gap = next(gap for gap in one["differences"] if (gap["one"], gap["other"]) == (name, "longer"))
            assert gap["difference"]["value"] == pytest.approx(
                one["agreement"][name]["value"] - one["agreement"]["longer"]["value"]
            )
    # those who learned from Ann and Bob prefer letters, so they disagree with Eve
    assert rows["Eve"]["agreement"]["reward_model"]["value"] < 0.5
    assert study["all"]["prompts"] == 10


def test_the_agreement_is_that_of_the_models(result: StudyResult) -> None:
    """By hand, for the reward model that never saw Ann's comparisons."""
    (run,) = (result.path / "stages").glob("reward-model-without-1-*")
    held = groups_of(result, "held-without-1-seed-0")
    from penchant.models.reward import load_reward_model

    scores = load_reward_model(run, device="cpu").score(held)
    right = [
        float(row[each.winner] > row[each.loser])
        for row, group in zip(scores, held, strict=True)
        for each in group.comparisons
    ]
    found = next(one for one in result.numbers["rows"] if one["annotator"] == "Ann")["agreement"]["reward_model"]
    assert found["value"] == pytest.approx(sum(right) / len(right))


def test_a_second_call_runs_nothing(result: StudyResult, config: AnnotatorsConfig, workers: Workers) -> None:
    assert result.ran == 3 * 6
    assert run_study(config, workers=workers).ran == 0
    fewer = AnnotatorsConfig(**{**config.model_dump(), "annotators": ["Ann", "Bob"], "beta": None})
    again = run_study(fewer, workers=workers)
    assert again.ran == 0
    assert [one["annotator"] for one in again.numbers["rows"]] == ["Ann", "Bob"]
    assert [judge["name"] for judge in again.numbers["judges"]] == ["reward_model"]


def changed(before: AnnotatorsGrid, after: AnnotatorsGrid) -> set[str]:
    known = {task.address for task in before.stages()}
    return {task.kind for task in after.stages() if task.address not in known}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"beta": 0.5}, {"dpo", "judged"}),
        ({"learning_rate": 1e-4}, {"dpo", "judged"}),
        ({"epochs": 2}, {"dpo", "judged"}),
        ({"reward_model": {"learning_rate": 1e-4}}, {"reward_model", "judged"}),
        ({"clip": 2.0}, {"dpo", "reward_model", "judged"}),
        ({"seeds": [1]}, {"left_out", "dpo", "reward_model", "judged"}),
        ({"data": {"held_out": 5}}, {"left_out", "dpo", "reward_model", "judged"}),
        ({"data": {"limit": 20}}, {"left_out", "dpo", "reward_model", "judged"}),
        ({"data": {"max_length": 50}}, {"left_out", "dpo", "reward_model", "judged"}),
    ],
)
def test_what_is_set_decides_which_stages_are_new(
    make: Callable[..., AnnotatorsConfig], base: dict[str, Any], changes: dict[str, Any], kinds: set[str]
) -> None:
    merged = {name: {**base[name], **value} if name == "data" else value for name, value in changes.items()}
    assert changed(annotators_grid(make()), annotators_grid(make(**merged))) == kinds


def test_bad_data_is_refused(make: Callable[..., AnnotatorsConfig], workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.jsonl"):
        annotators_grid(make(data=str(tmp_path / "nowhere.jsonl")))
    (tmp_path / "one.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 3)
    with pytest.raises(InputError, match="0 named annotators, expected at least two"):
        annotators_grid(make(data=str(tmp_path / "one.jsonl")))
    result = run_study(make(annotators=["Ann", "Zoe"], beta=None), workers=workers)
    reasons = dict(result.failures)
    assert "has no annotator Zoe: expected one of Ann, Bob, Eve" in reasons["held-without-2-seed-0"]
    assert [one["annotator"] for one in result.numbers["rows"]] == ["Ann"]


@pytest.mark.slow
def test_rows_that_cannot_be_used_are_refused_or_counted(
    make: Callable[..., AnnotatorsConfig], base: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(Path(base["data"]["path"]).read_text() + '{"prompt": "no responses"}\n')
    with pytest.raises(InputError, match=r"some.jsonl:31"):
        annotators_grid(make(data=str(file)))
    data = {"path": str(file), "held_out": 10, "bad_rows": "skip"}
    result = run_study(make(data=data, beta=None, annotators=["Ann", "Eve"]), workers=workers)
    assert not result.failures
    assert result.numbers["skipped_rows"] == 1


def test_the_command_runs_and_reports(
    result: StudyResult, config: AnnotatorsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text(to_yaml(config.replace(out=None)))
    page = tmp_path / "page.html"
    arguments = ["study", "annotators", str(tmp_path / "study.yaml"), "-o", str(config.out), "--report", str(page)]
    assert main(arguments) == 0
    assert "0 stages run" in capsys.readouterr().out
    assert "Agreement with an annotator that no model learned from" in page.read_text()
