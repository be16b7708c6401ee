"""Functions and objects of a session where a name can stand: losses, judges, tasks, classifiers, studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import penchant as pt
from penchant.judges import judge_one, make_judge
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.settings import Custom
from penchant.losses.custom import check_custom_losses, custom_digests
from penchant.losses.settings import CustomLoss
from penchant.losses.weak_custom import check_weak_loss
from penchant.losses.weak_settings import CustomWeakLoss
from penchant.session.objects import code_name
from penchant.studies.core.study import run_study
from penchant.studies.noise.settings import NoiseConfig
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.tasks import load_task, task
from penchant.types import LabeledExample, Verdict
from penchant.weak.settings import OwnClassifier, Probe

PAIR = ("Say it.", "short", "a longer one")


def loss_of(function: Callable[..., object], **settings: object) -> CustomLoss:
    loss = pt.DPO(model="m", data="d", loss={"name": function, "settings": settings} if settings else function).loss
    assert isinstance(loss, CustomLoss)
    return loss


def test_a_function_is_a_loss_and_a_term_of_a_sum() -> None:
    def hinge(pc, pr, rc, rr, width=1.0):  # type: ignore[no-untyped-def]
        return torch.relu(width - (pc - pr))

    loss = loss_of(hinge, width=2.0)
    check_custom_losses(loss)
    assert list(custom_digests(loss)) == [f"the loss {loss.function}"]
    assert loss_of(hinge).function == loss.function
    total = pt.DPO(model="m", data="d", loss={"name": "sum", "losses": [hinge, "sft"]}).loss
    assert total.losses[0].function == loss.function  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: a, "it is called with four tensors of shape .*, but too many positional arguments"),
        (lambda a, b, c, d, gamma: a, ".*but missing a required argument: 'gamma'"),
        (lambda a, b, c, d: (a - b).mean(), r"it returned the shape \(\), expected \(4,\): one loss per pair"),
        (lambda a, b, c, d: (a - b).int(), r"it returned numbers of type torch.int32, expected torch.float32"),
        (lambda a, b, c, d: (a - b).to("meta"), "it returned a tensor on meta, expected cpu, where the log-prob"),
        (lambda a, b, c, d: [0.0] * 4, "it returned a list, expected a tensor"),
        (lambda a, b, c, d: (a - b) * float("nan"), r"its losses of four pairs are \[nan, nan, nan, nan\]"),
    ],
)
def test_a_function_that_is_no_loss_is_refused(function: Callable[..., object], message: str) -> None:
    with pytest.raises(pt.InputError, match=f"the loss `lambda`: {message}"):
        check_custom_losses(loss_of(function))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        # by a name, `b` would be a column of the rows
        (lambda a, b, /: [], "with columns of the rows by name, but missing a required argument: 'b'"),
        (lambda: [], "but too many positional arguments"),
    ],
)
def test_a_reward_of_another_arity_is_refused_before_anything_is_scored(function: object, message: str) -> None:
    name = pt.PPO(model="m", data="d", reward=function).reward
    with pytest.raises(pt.InputError, match=f"the reward `lambda`: .*{message}"):
        pt.load_reward(name)


@pytest.mark.parametrize("method", [pt.PPO, pt.PPOGT])
def test_a_function_is_the_reward_of_every_method_that_takes_one(method: type[pt.PPO] | type[pt.PPOGT]) -> None:
    config = method(model="m", data="d", reward=lambda pairs: [float(len(response)) for _, response in pairs])
    assert pt.load_reward(config.reward)([("a", "four")]) == [4.0]


def judge_of(value: object, **settings: object) -> Any:
    config = JudgeConfig(responses=["a.jsonl"], judge={"name": value, "settings": settings})
    assert isinstance(config.judge, Custom)
    return make_judge(config.judge)


def test_a_function_of_a_question_a_class_and_an_object_are_judges() -> None:
    def shorter(question, margin=0):  # type: ignore[no-untyped-def]
        difference = len(question.b) - len(question.a)
        return "tie" if abs(difference) <= margin else "a" if difference > 0 else "b"

    class Shortest:
        def judge_many(self, questions, done):  # type: ignore[no-untyped-def]
            for number, _ in enumerate(questions):
                done(number, Verdict("a", 0.5))

    assert judge_one(judge_of(shorter), *PAIR) == Verdict("a")
    assert judge_one(judge_of(shorter, margin=50), *PAIR) == Verdict("tie")
    assert judge_of(shorter).identity != judge_of(shorter, margin=50).identity
    assert judge_one(judge_of(Shortest), *PAIR) == Verdict("a", 0.5)
    assert judge_one(judge_of(Shortest()), *PAIR) == Verdict("a", 0.5)


def test_an_answer_that_is_no_verdict_is_refused_with_its_question() -> None:
    with pytest.raises(pt.InputError, match=r"the judge `lambda`: it returned 0.7 for question 0, expected 'a'"):
        judge_one(judge_of(lambda question: 0.7), *PAIR)
    with pytest.raises(pt.InputError, match="the judge `lambda`: failed on 1 questions: ZeroDivisionError"):
        judge_one(judge_of(lambda question: 1 / 0), *PAIR)


def test_a_task_and_a_classifier_are_named_by_their_source() -> None:
    @task(title="Reviews", classes=("bad", "good"), local=("reviews.jsonl",))
    def reviews(row):  # type: ignore[no-untyped-def]
        yield LabeledExample(row["text"], int(row["stars"] > 3))

    class Lengths:
        def fit(self, texts, targets):  # type: ignore[no-untyped-def]
            return self

    config = WeakToStrongConfig(tasks=[reviews], strong=[Lengths])
    (name,), (student,) = config.tasks, config.strong
    assert name.startswith("session:reviews_")
    with pytest.raises(pt.InputError, match=r"reviews_.*: there is no file"):
        load_task(name)
    assert isinstance(student, OwnClassifier)
    assert student.factory.startswith("session:Lengths_")


def test_weak_supervisors_students_and_losses_are_taken_as_objects() -> None:
    def trust(logits, labels, progress):  # type: ignore[no-untyped-def]
        return labels

    class Words:
        def fit(self, texts, targets):  # type: ignore[no-untyped-def]
            return self

    rows = [{"text": f"film {number}", "label": "good"} for number in range(2)]
    label = pt.WeakLabel(data=rows, train=rows, supervisor=Words, out="weak.jsonl")
    assert label.data == label.train
    assert label.data.startswith("session:rows-")
    train = pt.WeakTrain(data=rows, test=rows, student=Words, loss=trust)
    assert isinstance(label.supervisor, OwnClassifier)
    assert train.student == label.supervisor
    assert isinstance(train.loss, CustomWeakLoss)
    check_weak_loss(train.loss, torch.eye(2))
    # pages and messages call them what the session does
    assert (train.loss.label, label.supervisor.label) == ("trust", "Words")


def test_a_loaded_model_alone_is_a_probe_of_it(tiny_model: str) -> None:
    policy = pt.load_policy(tiny_model, device="cpu")
    student = pt.WeakTrain(data="weak.jsonl", student=policy).student
    assert student == Probe(model=policy)
    assert isinstance(student, Probe)
    assert student.model.startswith("session:model-")
    # by its name, too; a slip in another name is no model
    assert pt.WeakTrain(data="weak.jsonl", student={"name": "penchant-0.5m", "layer": 3}).student == Probe(
        model="penchant-0.5m", layer=3
    )
    assert pt.WeakLabel(data="d", train="t", out="o", supervisor="minilm-l6").supervisor == Probe(model="minilm-l6")
    with pytest.raises(pt.InputError, match="did you mean `tfidf`"):
        pt.WeakTrain(data="weak.jsonl", student="tfdif")


def test_a_labeller_and_what_the_stages_of_rounds_are_told_are_taken_as_objects() -> None:
    def short(pairs):  # type: ignore[no-untyped-def]
        return [0.0 for _ in pairs]

    samples = {"prompts": [pt.PromptGroup("Hi")], "reward": short}
    rounds = pt.OnlineRLHF(
        model="m", data="d", out="o", labeller=short, ppo={"evaluate": {"samples": samples}, "callbacks": [short]}
    )
    assert rounds.labeller.startswith("session:short_")
    assert rounds.ppo["callbacks"] == [rounds.labeller]
    assert rounds.ppo["evaluate"]["samples"]["reward"] == rounds.labeller
    assert rounds.ppo["evaluate"]["samples"]["prompts"].startswith("session:groups-")
    assert pt.PPOGT(model="m", data="d", reward=short).reward == rounds.labeller
    assert rounds.recorded()["ppo"] == rounds.ppo


def test_arguments_of_a_function_that_no_file_can_hold_are_refused_where_they_stand() -> None:
    message = r"`loss.settings`: `k` is a Tensor, expected text, .* functools.partial"
    with pytest.raises(pt.InputError, match=message):
        loss_of(lambda a, b, c, d, k: a, k=torch.ones(2))
    with pytest.raises(pt.InputError, match=r"`judge.settings`: `by` is a function"):
        judge_of(lambda question: "a", by=lambda text: 1)
    assert loss_of(lambda a, b, c, d, k: a, k=(1, {"x": [2.0]})).settings == {"k": (1, {"x": [2.0]})}


def test_one_callback_a_loaded_reward_and_results_of_runs_are_taken_as_they_are(tmp_path: Path) -> None:
    def short(pairs):  # type: ignore[no-untyped-def]
        return [-float(len(text)) for _, text in pairs]

    assert pt.DPO(model="m", data="d", callbacks=short).callbacks == (str(code_name(short)),)
    reward = pt.load_reward(short)
    assert reward([("a", "bc")]) == [-2.0]
    assert pt.PPO(model="m", data="d", reward=reward).reward == code_name(short)
    run = pt.RunResult("reward_model", tmp_path, {})
    assert pt.PPO(model=run, data="d", reward=run).reward == str(tmp_path)


def test_a_network_without_its_tokenizer_is_answered_with_what_to_give() -> None:
    with pytest.raises(pt.InputError, match=r"`model.name`: a Linear alone has no tokenizer: save both into a folder"):
        pt.DPO(model=torch.nn.Linear(2, 2), data="d")


def test_a_study_refuses_a_function_that_only_the_session_has(tmp_path) -> None:  # type: ignore[no-untyped-def]
    handle = object()
    config = NoiseConfig(
        model="penchant-0.5m",
        prompts="story_openings",
        eval_prompts="story_openings",
        reward=lambda pairs: [handle for _ in pairs],
        out=str(tmp_path / "s"),
    )
    with pytest.raises(pt.InputError, match=r"a study runs code .* where `lambda` .*: it uses `handle` \(a object\)"):
        run_study(config)
    assert not (tmp_path / "s").exists()
