"""A language model as the network of an algorithm: its control to the bit, averages, noise, views, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.weak_settings import Confidence
from penchant.models.load import load_policy
from penchant.types import PromptGroup, Response
from penchant.weak.augmentation.settings import Views
from penchant.weak.classifiers import reading as reading_module
from penchant.weak.classifiers.algorithm_steps import AlgorithmSteps
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.classifiers.text_network import TextNetwork, TextViews, _Batch
from penchant.weak.contract import marks_of
from penchant.weak.networks.network import NO_NOISE, StrongNoise
from penchant.weak.networks.streams import LABELED, UNLABELED, Stream
from penchant.weak.semi_supervised.mean_teacher import average_decay
from penchant.weak.settings import LanguageModel, Training

WHO = ("Tom", "A cat", "The old man", "She")
TEXTS = [f"{who} was {how}." for how in ("glad", "sad") for who in WHO]
LABELS = np.repeat([0, 1], 4)
UNLABELED_TEXTS = [f"{who} was very {how} that day" for who in (*WHO, "He", "My dog") for how in ("glad", "sad")]
WORDS: dict[str, Any] = {"strong": [{"name": "word_dropout", "share": 0.5}]}
NONE = {"name": "fixmatch", "threshold": {"name": "fixed", "threshold": 1.01}, "unlabeled_ratio": 2}
EVERY = {"name": "fixmatch", "threshold": {"name": "fixed", "threshold": 0.0}, "unlabeled_ratio": 2}


def _settings(model: str, **changes: Any) -> LanguageModel:
    training = Training(epochs=2, batch_size=3, learning_rate=1e-3, early_stopping=changes.pop("early_stopping", False))
    return LanguageModel(model=model, training=training, device="cpu", **{"views": WORDS, **changes})


def _fit(model: str, loss: Any = None, **changes: Any) -> LanguageModelClassifier:
    settings = _settings(model, **changes)
    made = LanguageModelClassifier(settings, loss=loss, seed=5)
    unlabeled = UNLABELED_TEXTS if settings.learns_from_unlabeled else None
    return made.fit(TEXTS, LABELS, unlabeled=unlabeled, validation=(TEXTS, LABELS) if settings.stops_early else None)


def _weights(made: LanguageModelClassifier) -> Tensor:
    assert made.reading is not None
    parts = [*made.reading.policy.model.parameters(), *made.reading.head]
    return torch.cat([part.detach().flatten() for part in parts])


def _network(model: str, views: Views | None = None, noise: StrongNoise = NO_NOISE) -> TextNetwork:
    policy = load_policy(model, template="plain", device="cpu")
    reading = HeadReading(policy, 2, longest=64)
    with torch.no_grad():
        reading.linear.weight.copy_(torch.arange(2.0)[:, None] * 0.1)
    return TextNetwork(reading, TextViews(TEXTS, views or Views(), 0), strong_noise=noise)


@pytest.fixture(params=[1024, 20], ids=["one pass", "many passes"])
def budget(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(reading_module, "pass_budget", lambda policy: request.param)
    return int(request.param)


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        (NONE, {}),
        (NONE, {"lora": {"rank": 2, "dropout": 0.2}}),
        (NONE, {"views": {"strong": ["noise", "parameter_noise"]}}),
        (NONE, {"loss": Confidence(alpha=0.5)}),
        ({"name": "uda", "weight": 0.0, "unlabeled_ratio": 1}, {}),
        ({"name": "mean_teacher", "weight": 0.0, "decay": 0.0, "unlabeled_ratio": 1}, {"lora": {"dropout": 0.2}}),
    ],
    ids=["plain", "LoRA with dropout", "noise", "confidence", "UDA", "Mean Teacher"],
)
def test_without_unlabelled_loss_it_is_plain_fine_tuning_to_the_bit(
    stories: str, budget: int, algorithm: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Labelled rows have the order, the passes and the dropout of fine-tuning; others draw their own."""
    control, other = _fit(stories, **changes), _fit(stories, algorithm=algorithm, **changes)
    assert torch.equal(_weights(control), _weights(other))
    assert control.report is None
    if algorithm is NONE:
        assert other.report is not None
        assert "the mask was empty, and this is supervised training" in other.report.warnings[0]


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_rows_that_count_move_the_weights(stories: str, lora: dict[str, int] | None) -> None:
    control, other = _fit(stories, lora=lora), _fit(stories, lora=lora, algorithm=EVERY)
    assert not torch.allclose(_weights(control), _weights(other), atol=1e-4)
    assert other.report is not None
    assert (other.report.mask_rate, other.report.label_shares) == (1, (0.5, 0.5))
    assert other.report.loss > 0


def test_a_step_of_many_passes_has_the_gradient_of_one(stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = {"strong": ["word_dropout", {"name": "noise", "scale": 0.3}]}
    made = []
    for tokens in (4096, 12):
        monkeypatch.setattr(reading_module, "pass_budget", lambda policy, tokens=tokens: tokens)
        made.append(_weights(_fit(stories, algorithm={"name": "mean_teacher", "unlabeled_ratio": 2}, views=noise)))
    torch.testing.assert_close(*made, atol=2e-4, rtol=0)


def test_rows_that_a_mask_left_out_are_not_run_with_gradients(stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "pass_budget", lambda policy: 12)
    network, ran = _network(stories, Views(**WORDS)), []
    run = TextNetwork._run

    def record(
        self: TextNetwork, batch: _Batch, number: int, part: list[int], gradient: Tensor | None = None
    ) -> Tensor:
        ran.append((part, gradient is not None))
        return run(self, batch, number, part, gradient)

    monkeypatch.setattr(TextNetwork, "_run", record)
    logits = network.classify(
        network.inputs(torch.arange(8)[None], "strong", Stream([0], UNLABELED)), Stream([0], UNLABELED), "strong"
    )
    (logits[0, 3:5] ** 2).sum().backward()
    network.finish_backward()
    assert sorted(row for part, learns in ran if learns for row in part) == [3, 4]
    assert all(weight.grad is not None for weight in network.parameters[-2:])


def test_the_teacher_that_predicts_is_the_average_of_the_student(stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    students: list[list[Tensor]] = []
    after_step = AlgorithmSteps.after_step

    def record(self: AlgorithmSteps, step: int) -> None:
        students.append([weight.detach().clone() for weight in self.network.trained()])
        after_step(self, step)

    monkeypatch.setattr(AlgorithmSteps, "after_step", record)
    made = _fit(stories, algorithm={"name": "mean_teacher", "decay": 0.7, "unlabeled_ratio": 1}, lora={"rank": 2})
    average = students[0]
    for step, student in enumerate(students[1:], start=1):
        decay = average_decay(step, 0.7)
        average = [decay * old + (1 - decay) * new for old, new in zip(average, student, strict=True)]
    assert made.reading is not None
    trained = [part for part in made.reading.policy.model.parameters() if part.requires_grad]
    assert len(average) == len(trained) + 2
    for expected, weight in zip(average, [*trained, *made.reading.head], strict=True):
        torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-5)


def test_a_copy_has_the_weights_that_train_and_no_others(stories: str) -> None:
    policy = load_policy(stories, template="plain", device="cpu", lora={"rank": 2})
    network = TextNetwork(HeadReading(policy, 2, longest=64), TextViews(TEXTS, Views(), 0), strong_noise=NO_NOISE)
    teacher = network.copy()
    assert sum(weight.numel() for weight in teacher.trained()) < 0.2 * sum(map(torch.numel, policy.model.parameters()))
    inputs = network.inputs(torch.arange(3)[None], "weak", None)
    with torch.no_grad():
        before = network.classify(inputs, None)
        assert torch.equal(teacher.classify(inputs, None), before)
        teacher.trained()[-1].add_(torch.tensor([0.0, 3.0]))
        torch.testing.assert_close(teacher.classify(inputs, None), before + torch.tensor([0.0, 3.0]))
        assert torch.equal(network.classify(inputs, None), before)


@pytest.mark.parametrize("noise", [StrongNoise(features=0.5), StrongNoise(weights=0.2)])
def test_noise_is_of_the_strong_view_and_leaves_the_model_as_it_was(
    stories: str, noise: StrongNoise, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, rows = _network(stories, noise=noise), torch.arange(8)[None]
    before = [weight.detach().clone() for weight in network.parameters]
    inputs = network.inputs(rows, "strong", None)
    with torch.no_grad():
        plain = network.classify(inputs, None)
        assert torch.equal(network.classify(inputs, Stream([0], UNLABELED), "weak"), plain)
        assert torch.equal(network.classify(inputs, Stream([0], LABELED), "strong"), plain)
        strong = network.classify(inputs, Stream([0], UNLABELED), "strong")
        # the noise of a row is its own, in whatever pass it is
        monkeypatch.setattr(reading_module, "pass_budget", lambda policy: 12)
        torch.testing.assert_close(network.classify(inputs, Stream([0], UNLABELED), "strong"), strong)
    assert not torch.allclose(strong, plain, atol=1e-4)
    network.classify(inputs, Stream([0], UNLABELED), "strong").sum().backward()
    network.finish_backward()
    assert all(torch.equal(weight, old) for weight, old in zip(network.parameters, before, strict=True))
    assert network.parameters[0].grad is not None
    assert (network.has_noise, network.has_views) == (False, True)


def test_embedding_noise_has_the_size_of_the_embeddings(stories: str) -> None:
    network = _network(stories, noise=StrongNoise(features=0.5))
    embedding = network.model.get_input_embeddings()
    seen: list[Tensor] = []
    hook = network.model.get_submodule("model.layers.0").register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    # one text many times over: passes are filled in another order
    inputs = network.inputs(torch.zeros(1, 30, dtype=torch.long), "strong", None)
    with torch.no_grad():
        network.classify(inputs, Stream([0], UNLABELED), "strong")
        hook.remove()
        noise = seen[0] - embedding(inputs[0])
        assert float(noise.std()) == pytest.approx(0.5 * float(embedding.weight.square().mean().sqrt()), rel=0.05)


def test_texts_change_anew_at_each_step_and_a_users_function_is_asked_once_per_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream([0], UNLABELED)
    views = TextViews(TEXTS, Views(**WORDS), 0)
    drawn = [views.pick([0, 1, 2, 3], "strong", stream) for _ in range(4)]
    assert len({str(texts) for texts in drawn}) > 1
    assert views.pick([2, 0], "weak", stream) == [TEXTS[2], TEXTS[0]]
    monkeypatch.chdir(tmp_path)
    code = "def there_and_back(texts, seed):\n    return [f'{text} {seed % 10}' for text in texts]\n"
    (tmp_path / "back.py").write_text(code)
    views = TextViews(TEXTS, Views(strong=["back.py:there_and_back"], copies=3), 0)
    picked = [views.pick([1], "strong", stream)[0] for _ in range(40)]
    assert set(picked) == {f"{TEXTS[1]} {copy}" for copy in (3, 4, 5)}


def test_the_surest_labels_are_kept_and_every_row_counts_as_one_without(stories: str, tmp_path: Path) -> None:
    soft = np.stack([sure := np.array([0.9, 0.6, 0.8, 0.7, 0.1, 0.4, 0.2, 0.3]), 1 - sure], 1)
    settings = _settings(stories, algorithm=EVERY, confident_share=0.5)
    made = make_classifier(settings, seed=5)
    made.fit(TEXTS, soft)
    assert isinstance(made, LanguageModelClassifier)
    assert made.report is not None
    assert made.report.label_shares == pytest.approx((0.5, 0.5))
    # the same four labels, with all eight rows named as those without
    kept = [0, 2, 4, 6]
    named = LanguageModelClassifier(settings.replace(confident_share=None), seed=5)
    named.fit([TEXTS[row] for row in kept], soft[kept], unlabeled=TEXTS)
    assert torch.equal(_weights(made), _weights(named))
    made.save(tmp_path)
    assert load_classifier(tmp_path).learned_marks == set(marks_of(TEXTS))
    np.testing.assert_allclose(load_classifier(tmp_path).predict_proba(TEXTS), made.predict_proba(TEXTS), atol=1e-5)


class Length:
    """An attribute: whether a text has many letters; at most so sure."""

    learned_marks: frozenset[str] = frozenset()

    def __init__(self, sureness: float = 0.95) -> None:
        self.sureness = sureness

    def predict_proba(self, examples: Any) -> Any:
        sure = self.sureness
        return np.array([[sure, 1 - sure] if len(str(text)) < 20 else [1 - sure, sure] for text in examples])


def _fit_vectors(model: str, algorithm: dict[str, Any], **changes: Any) -> LanguageModelClassifier:
    settings = _settings(model, algorithm={"unlabeled_ratio": 2, **algorithm}, **changes)
    vectors = [Length(), Length(0.8)]
    return LanguageModelClassifier(settings, seed=5, vectors=vectors).fit(TEXTS, LABELS, unlabeled=UNLABELED_TEXTS)


VECTORS = {"name": "label_vectors", "threshold": 0.5}
NO_WEIGHT = {**VECTORS, "weight": 0.0, "supervisor_weight": 0.0}


def _task_weights(made: LanguageModelClassifier) -> Tensor:
    assert isinstance(made.reading, HeadReading)
    parts = [*made.reading.policy.model.parameters(), *made.reading.linear.parameters()]
    return torch.cat([part.detach().flatten() for part in parts])


@pytest.mark.parametrize(
    "changes", [{}, pytest.param({"lora": {"rank": 2, "dropout": 0.2}}, marks=pytest.mark.slow)], ids=["all", "LoRA"]
)
def test_label_vectors_at_weight_zero_are_plain_fine_tuning_to_the_bit(
    stories: str, budget: int, changes: dict[str, Any]
) -> None:
    """The heads of attributes start from zeros, and their gradients are clipped apart."""
    made = _fit_vectors(stories, NO_WEIGHT, **changes)
    assert torch.equal(_task_weights(made), _weights(_fit(stories, **changes)))
    assert made.report is not None


@pytest.mark.slow
def test_heads_of_attributes_share_the_trunk_and_learn_their_classifiers(stories: str, tmp_path: Path) -> None:
    cases = [VECTORS, {**VECTORS, "shuffle": True}, {**VECTORS, "supervisor_weight": 0.0}, NO_WEIGHT]
    made = [_fit_vectors(stories, algorithm) for algorithm in cases]
    for number, network in enumerate(made):
        for other in made[:number]:
            assert not torch.allclose(_task_weights(network), _task_weights(other), atol=1e-5)
    reading = made[0].reading
    assert isinstance(reading, HeadReading)
    with torch.no_grad():
        every_logit = reading.every_logit(reading.encode(UNLABELED_TEXTS))
    lengths = Length().predict_proba(UNLABELED_TEXTS).argmax(-1)
    assert (every_logit[:, 2:4].argmax(-1).numpy() == lengths).mean() > 0.8
    # the task's head alone predicts, and is kept
    made[0].save(tmp_path)
    np.testing.assert_allclose(load_classifier(tmp_path).predict_proba(TEXTS), made[0].predict_proba(TEXTS), atol=1e-5)


def test_without_vectors_it_is_fixmatch_to_the_bit(stories: str) -> None:
    settings = _settings(stories, algorithm={**VECTORS, "unlabeled_ratio": 2})
    made = LanguageModelClassifier(settings, seed=5).fit(TEXTS, LABELS, unlabeled=UNLABELED_TEXTS)
    threshold = {"name": "fixed", "threshold": 0.5}
    fixmatch = _fit(stories, algorithm={"name": "fixmatch", "threshold": threshold, "unlabeled_ratio": 2})
    assert torch.equal(_weights(made), _weights(fixmatch))
    assert made.report == fixmatch.report


def test_the_control_sees_labelled_rows_in_the_weak_view_too(stories: str) -> None:
    views = {"weak": [{"name": "word_dropout", "share": 0.4}]}
    control, other = _fit(stories, views=views), _fit(stories, views={**views, **WORDS}, algorithm=NONE)
    assert torch.equal(_weights(control), _weights(other))
    assert not torch.equal(_weights(control), _weights(_fit(stories)))


def test_early_stopping_keeps_the_best_average(stories: str) -> None:
    made = _fit(stories, early_stopping=True, algorithm={"name": "mean_teacher", "unlabeled_ratio": 1, "decay": 0.5})
    best = min(look.loss for look in made.looks if look.loss is not None)
    said = made.predict_proba(TEXTS)
    assert -np.log(said[np.arange(8), LABELS]).mean() == pytest.approx(best, abs=1e-5)


def test_what_it_cannot_learn_from_is_refused(stories: str) -> None:
    with pytest.raises(InputError, match="strong view of a row is its weak one"):
        _fit(stories, algorithm=EVERY, views={})
    with pytest.raises(InputError, match="rows without labels, and none are given"):
        LanguageModelClassifier(_settings(stories, algorithm=EVERY)).fit(TEXTS, LABELS)
    with pytest.raises(InputError, match="learns from labelled examples alone"):
        LanguageModelClassifier(_settings(stories)).fit(TEXTS, LABELS, unlabeled=TEXTS)
    with pytest.raises(InputError, match=r"crop changes none of the 20 examples"):
        _fit(stories, algorithm=EVERY, views={"strong": [{"name": "crop", "share": 0.999}]})
    with pytest.raises(InputError, match="augmentation flip reads pictures"):
        _fit(stories, algorithm=EVERY, views={"strong": ["flip"]})
    pairs = [PromptGroup("Who?", [Response("Tom"), Response("Ann")])] * 4
    with pytest.raises(InputError, match="reads single texts, and these are prompts with options"):
        LanguageModelClassifier(_settings(stories, algorithm=EVERY)).fit(pairs, [0, 1, 0, 1], unlabeled=pairs)
    for changes in ({"reading": {"name": "words"}}, {"training": None, "reading": {"name": "words"}}):
        with pytest.raises(InputError, match="trains a model with a head"):
            LanguageModel(**{"model": stories, "algorithm": "fixmatch", **changes})
    with pytest.raises(InputError, match="a warm-up of 3 epochs of 8 rows takes 9 steps, and training has 6"):
        _fit(stories, algorithm="divide_mix")
