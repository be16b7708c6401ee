"""Commands that read text alone refuse rows that show pictures: they name the column, and show the mark to no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penchant as pt
from media_files import write_pictures
from penchant.errors import InputError
from penchant.evaluation.evaluate import evaluate
from penchant.evaluation.settings import EvaluateConfig
from penchant.judges.length import LongestJudge
from penchant.rounds.pairs import compare_judged

ROW = {"prompt": "What is it?", "image": "seen/red.png", "chosen": "A ball, red.", "rejected": "A cup."}
ALONE = "pictures, videos and sounds cannot be used here, text alone can"


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "seen", red="red", blue="blue")
    lines = [ROW, ROW | {"image": "seen/blue.png"}]
    Path("pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    answers = [{"prompt": "What is it?", "image": "seen/red.png", "completion": "A ball."}]
    Path("answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))


def test_training_in_rounds_on_answers_refuses_pictures() -> None:
    for config in (
        pt.SPIN(model="penchant-0.5m", data="answers.jsonl", out="spin"),
        pt.SelfRewarding(model="penchant-0.5m", data="answers.jsonl", out="self"),
    ):
        with pytest.raises(InputError, match=ALONE):
            pt.train(config)


def test_rollouts_refuse_pictures() -> None:
    for method in (pt.PPO, pt.RLOO, pt.GRPO):
        config = method(model="penchant-0.5m", data="pairs.jsonl", reward="vader", out="run")
        with pytest.raises(InputError, match=ALONE):
            pt.train(config)


def test_weak_supervision_refuses_pictures_beside_text() -> None:
    lines = [{"text": f"What {n}?", "images": ["seen/red.png"], "label": "ab"[n % 2]} for n in range(20)]
    Path("texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = "field 'images' shows or plays something beside a text, which classifiers do not read"
    with pytest.raises(InputError, match=shown):
        pt.weak_train(pt.WeakTrain(data="texts.jsonl", student={"name": "tfidf"}, out="student"))
    with pytest.raises(InputError, match=shown):
        pt.weak_label(pt.WeakLabel(data="texts.jsonl", train="texts.jsonl", out="labelled.jsonl"))
    pairs = {"data": "pairs.jsonl", "task": "comparisons"}
    with pytest.raises(InputError, match=ALONE):
        pt.weak_train(pt.WeakTrain(**pairs, student={"name": "probe", "model": "penchant-0.5m"}, out="student"))
    supervisor = {"name": "probe", "model": "penchant-0.5m"}
    with pytest.raises(InputError, match=ALONE):
        pt.weak_label(pt.WeakLabel(**pairs, train="pairs.jsonl", supervisor=supervisor, out="labelled.jsonl"))


def test_rewardbench_refuses_pictures() -> None:
    row = {"prompt": "What?", "image": "seen/red.png", "chosen": "A", "rejected": "B", "subset": "x", "id": 1}
    Path("bench.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError):
        evaluate(EvaluateConfig(benchmark="rewardbench", path="bench.jsonl", judge={"name": "length"}))


def test_comparisons_of_samples_show_their_picture_to_the_judge() -> None:
    group = pt.load_preferences("pairs.jsonl", media=True)[0]
    compared = compare_judged([group], "best_worst", LongestJudge())
    assert compared.groups[0].comparisons[0].winner == 0

    class Blind:
        identity = "blind"

        def judge_many(self, questions: object, done: object) -> None:
            raise AssertionError("nothing may be asked")

    with pytest.raises(InputError, match="1 of 1 questions show pictures or play sounds, and this judge reads text"):
        compare_judged([group], "best_worst", Blind(), orders="one")  # type: ignore[arg-type]
