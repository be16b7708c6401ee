"""Language models as classifiers: heads, label words, what the loss sees, stopping early."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from penchant.errors import InputError, RunError
from penchant.losses import weak
from penchant.losses.weak_settings import Confidence, CrossEntropy
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.types import PromptGroup, Response
from penchant.weak.classifiers import fine_tune as module
from penchant.weak.classifiers.fine_tune import all_logits, fine_tune
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.classifiers.responses import WordsReading
from penchant.weak.settings import LanguageModel, Training
from penchant.weak.targets import target_at

TEXTS = [f"{who} {what}" for who in ("Tom", "A cat", "The old man") for what in ("ran.", "was sad and cold.", "sat")]
LABELS = torch.eye(2)[[0, 1, 0, 1, 1, 0, 0, 1, 0]]


@pytest.fixture
def policy(stories: str) -> Policy:
    return load_policy(stories, device="cpu", template="plain")


def test_a_heads_logits_are_its_product_with_the_last_state(policy: Policy) -> None:
    reading = HeadReading(policy, 3, longest=64)
    with torch.no_grad():
        reading.linear.weight.normal_()
    found = all_logits(reading, reading.encode(TEXTS))
    for text, row in zip(TEXTS, found, strict=True):
        ids = torch.tensor([policy.renderer.prompt_ids(text)])
        with torch.no_grad():
            state = policy.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0, -1]
        torch.testing.assert_close(row, reading.linear(state).detach(), atol=1e-4, rtol=1e-4)


def test_words_are_scored_as_responses_are(policy: Policy) -> None:
    """Also with more texts than one pass takes, and with examples before them."""
    reading = WordsReading(policy, ["bad", "good"], prompt="{text}\nIt is", longest=64, shots=[("Ann ran.", "good")])
    found = all_logits(reading, reading.encode(TEXTS * 9))
    before = "Ann ran.\nIt is good\n\n"
    groups = [
        PromptGroup(f"{before}{text}\nIt is", [Response(" bad", finished=False), Response(" good", finished=False)])
        for text in TEXTS
    ]
    torch.testing.assert_close(found[: len(TEXTS)], torch.stack(policy.score(groups)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[-len(TEXTS) :], found[: len(TEXTS)], atol=1e-4, rtol=1e-4)


def test_unembedding_rows_start_a_head(policy: Policy) -> None:
    reading = HeadReading(policy, 2, longest=64, init="unembedding")
    embedding = policy.model.get_output_embeddings().weight  # type: ignore[operator]
    for label, row in enumerate(reading.linear.weight):
        assert any(torch.equal(row, other) for other in embedding), label
    with pytest.raises(InputError, match="no token of its own for '10'"):
        HeadReading(policy, 11, longest=64, init="unembedding")


@pytest.mark.parametrize("loss", [CrossEntropy(), Confidence(alpha=1.0, warmup=0.0)])
def test_passes_of_any_size_give_one_gradient(
    policy: Policy, monkeypatch: pytest.MonkeyPatch, loss: CrossEntropy | Confidence
) -> None:
    """That of the weighted mean over the step's examples, with predictions hardened within all of them."""
    counts = torch.linspace(0.2, 1.8, len(TEXTS))
    reading = HeadReading(policy, 2, longest=64, init="unembedding")
    rows = reading.encode(TEXTS)
    grads = []
    for budget in (10_000, 12):
        monkeypatch.setattr("penchant.weak.classifiers.reading.DEFAULT_BUDGET", budget)
        assert (len(reading.parts(rows)) > 1) == (budget == 12)
        policy.model.zero_grad()
        target_of = partial(target_at, loss, step=3, steps=10, shares=(5 / 9, 4 / 9))
        value = module._accumulate(reading, rows, LABELS, counts, target_of, loss)
        logits = all_logits(reading, rows)
        target = weak.confidence_target(logits, LABELS, alpha=1.0) if isinstance(loss, Confidence) else LABELS
        misfit = (weak.cross_entropy(logits, target) * counts).sum() / len(rows)
        assert value == pytest.approx(float(misfit), rel=1e-4)
        grads.append(torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None]))
    torch.testing.assert_close(grads[0], grads[1], atol=1e-5, rtol=1e-3)


def test_confidence_differs_from_its_control_and_equals_it_at_alpha_zero(stories: str) -> None:
    def weights(loss: CrossEntropy | Confidence) -> torch.Tensor:
        settings = LanguageModel(model=stories, device="cpu", training={"epochs": 3, "batch_size": 4})
        made = LanguageModelClassifier(settings, loss=loss).fit(TEXTS, 0.4 * LABELS.numpy() + 0.3)
        assert made.reading is not None
        return torch.cat([p.detach().flatten() for p in made.reading.policy.model.parameters()])

    naive, none, some = (weights(of) for of in (CrossEntropy(), Confidence(alpha=0.0), Confidence(alpha=0.5)))
    assert torch.equal(naive, none)
    assert not torch.equal(naive, some)


def test_early_stopping_keeps_the_weights_of_the_lowest_validation_loss(stories: str) -> None:
    """Its labels are the opposite of those that are learned: the longer it trains, the worse."""
    training = {"epochs": 4, "batch_size": 3, "learning_rate": 1e-3, "early_stopping": True}
    settings = LanguageModel(model=stories, device="cpu", training=training)
    seen: list[float] = []
    made = LanguageModelClassifier(settings, watch=lambda _, misfit: seen.append(misfit or 0.0))
    validation = TEXTS, (1 - LABELS).numpy()
    made.fit(TEXTS, LABELS.numpy(), validation=validation)
    assert len(seen) == 12  # 3 steps an epoch: a look after each
    kept = made.predict_proba(TEXTS)
    stopped_at = -(np.log(kept) * validation[1]).sum(-1).mean()
    assert stopped_at == pytest.approx(min(seen), abs=1e-4)
    assert stopped_at < seen[-1]
    with pytest.raises(InputError, match="give fit a validation"):
        LanguageModelClassifier(settings).fit(TEXTS, LABELS.numpy())


def test_prompting_learns_nothing_but_the_examples_that_it_shows(stories: str) -> None:
    def prompted(shots: int, seed: int = 0) -> Any:
        reading = {"name": "words", "words": ["bad", "good"], "shots": shots}
        settings = LanguageModel(model=stories, device="cpu", training=None, reading=reading)
        return LanguageModelClassifier(settings, seed=seed).fit(TEXTS, LABELS.numpy()).predict_proba(TEXTS)

    zero, few = prompted(0), prompted(4)
    np.testing.assert_array_equal(zero, prompted(0, seed=1))
    assert not np.allclose(zero, few)
    assert not np.allclose(few, prompted(4, seed=1))
    with pytest.raises(InputError, match="a head that is not trained says nothing"):
        LanguageModel(model=stories, training=None)


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"words": ["same", "same"]}, "must differ"),
        ({"words": ["a", "b", "c"]}, "3 label words"),
        ({"prompt": "no place"}, "no place for the text"),
    ],
)
def test_words_that_cannot_be(stories: str, reading: dict[str, Any], message: str) -> None:
    settings = LanguageModel(model=stories, device="cpu", reading={"name": "words", **reading}, training=None)
    with pytest.raises(InputError, match=message):
        LanguageModelClassifier(settings).fit(TEXTS, LABELS.numpy())


def test_a_rate_that_breaks_the_model_is_said(policy: Policy) -> None:
    reading = HeadReading(policy, 2, longest=64)
    with pytest.raises(RunError, match="is not finite: lower the learning rate"):
        fine_tune(reading, TEXTS, LABELS, CrossEntropy(), Training(learning_rate=1e30, epochs=3), seed=0)


def test_a_head_without_a_rate_of_its_own_learns_at_that_of_the_weights(policy: Policy) -> None:
    """As in the paper's code, which has one rate for the whole model."""
    found = []
    for rates in ({"head_learning_rate": None}, {"head_learning_rate": 2e-3}, {}):
        reading = HeadReading(policy, 2, longest=64)
        for weight in policy.model.parameters():
            weight.requires_grad_(requires_grad=False)
        training = Training(epochs=1, learning_rate=2e-3, **rates)
        fine_tune(reading, TEXTS, LABELS, CrossEntropy(), training, seed=0)
        found.append(reading.linear.weight.detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
