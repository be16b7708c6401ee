"""DivideMix around a language model: two networks, their limit to the bit, what they share, and what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from penchant.models.load import load_policy
from penchant.weak.augmentation.settings import Views
from penchant.weak.classifiers import reading as reading_module
from penchant.weak.classifiers.language_model import TWIN, LanguageModelClassifier
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.classifiers.registry import load_classifier
from penchant.weak.classifiers.text_network import TextNetwork, TextViews
from penchant.weak.classifiers.text_twins import TextTwins
from penchant.weak.networks.network import NO_NOISE
from penchant.weak.networks.streams import LABELED, Stream
from penchant.weak.semi_supervised import divide_mix
from penchant.weak.semi_supervised.arms import TWIN_SEED
from penchant.weak.settings import LanguageModel, Training

WHO = ("Tom", "A cat", "The old man", "She")
TEXTS = [f"{who} was {how}." for how in ("glad", "sad") for who in WHO]
LABELS = np.repeat([0, 1], 4)
NO_EXTRAS = {"name": "divide_mix", "warm_up": 1, "mixup": 0.0, "prior_weight": 0.0}
LORA = {"rank": 2, "dropout": 0.2}


def _fit(model: str, seed: int = 5, unlabeled: Any = None, **changes: Any) -> LanguageModelClassifier:
    training = Training(epochs=3, batch_size=3, learning_rate=1e-3, early_stopping=changes.pop("early_stopping", False))
    settings = LanguageModel(model=model, training=training, device="cpu", **changes)
    made = LanguageModelClassifier(settings, seed=seed)
    return made.fit(TEXTS, LABELS, unlabeled=unlabeled, validation=(TEXTS, LABELS) if settings.stops_early else None)


def _weights(made: LanguageModelClassifier) -> list[Tensor]:
    assert made.reading is not None
    model = [weight for weight in made.reading.policy.model.parameters() if weight.requires_grad]
    return [weight.detach() for weight in (*model, *made.reading.head)]


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.fixture
def _all_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divide_mix, "clean_probabilities", lambda losses: np.ones(len(losses)))


@pytest.mark.usefixtures("_all_clean")
@pytest.mark.parametrize(
    ("changes", "budget"),
    [
        ({}, 1024),
        ({"lora": LORA}, 20),
        pytest.param({}, 20, marks=pytest.mark.slow),
        pytest.param({"views": {"weak": ["word_dropout"]}, "lora": LORA}, 1024, marks=pytest.mark.slow),
    ],
)
def test_with_all_labels_clean_and_nothing_mixed_each_network_is_fine_tuned_to_the_bit(
    stories: str, changes: dict[str, Any], budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels are divided after each epoch, and batches stay those of fine-tuning."""
    monkeypatch.setattr(reading_module, "pass_budget", lambda policy: budget)
    control, twins = _fit(stories, **changes), _fit(stories, algorithm=NO_EXTRAS, **changes)
    assert _same(_weights(control), _weights(twins))
    assert twins.report is not None
    assert twins.report.division is not None
    assert (twins.report.division.count, twins.report.division.clean_share) == (2, 1.0)


@pytest.mark.usefixtures("_all_clean")
def test_the_second_network_is_fine_tuning_with_another_seed(stories: str) -> None:
    """Without dropout: the order of labels and the start of adapters are all that a seed decides."""
    twins = _fit(stories, algorithm=NO_EXTRAS, lora={"rank": 2})
    alone = _fit(stories, seed=5 + TWIN_SEED, lora={"rank": 2})
    for weight, expected in zip(twins.twin.values(), _weights(alone), strict=True):
        torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-5)
    assert not _same([weight.detach() for weight in twins.twin.values()], _weights(twins))


@pytest.mark.slow
def test_a_division_mixing_and_guessing_change_what_is_learned(stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(losses: Any) -> Any:
        return np.where(np.arange(len(losses)) % 2, 0.9, 0.1)

    monkeypatch.setattr(divide_mix, "clean_probabilities", half)
    plain = {**NO_EXTRAS, "divide": False}
    cases = [plain, {**plain, "mixup": 4.0}, NO_EXTRAS, {**NO_EXTRAS, "weight": 25.0, "ramp": 1}]
    made = [_fit(stories, algorithm=algorithm, lora={"rank": 2}) for algorithm in cases]
    weights = [torch.cat([weight.flatten() for weight in _weights(network)]) for network in made]
    for number, some in enumerate(weights):
        assert not any(torch.allclose(some, other, atol=1e-5) for other in weights[:number]), cases[number]
    report = made[-1].report
    assert report is not None
    assert report.division is not None
    assert (report.division.clean_share, report.mask_rate) == (0.5, 1.0)
    assert report.loss > 0
    # rows without a label are guessed too
    others = [f"{who} was very {how} that day" for who in WHO for how in ("glad", "sad")]
    guessed = _fit(stories, algorithm=cases[3], lora={"rank": 2}, unlabeled=others)
    assert not _same(_weights(guessed), _weights(made[3]))


def test_twins_share_what_is_frozen_and_are_each_as_alone(stories: str) -> None:
    policy = load_policy(stories, template="plain", device="cpu", lora={"rank": 2})
    first = TextNetwork(HeadReading(policy, 2, longest=64), TextViews(TEXTS, Views(), 0), strong_noise=NO_NOISE)
    weights: list[Tensor] = [torch.nn.Parameter(weight.detach() + 0.05) for weight in first.trained()]
    second = TextNetwork(first.reading, first.views, strong_noise=NO_NOISE, weights=weights)
    twins = TextTwins(first, second)
    assert sum(map(torch.numel, weights)) < 0.2 * sum(map(torch.numel, policy.model.parameters()))
    rows, stream = torch.tensor([[0, 1, 2], [7, 3, 0]]), Stream([1, 2], LABELED)
    logits = twins.classify(twins.inputs(rows, "weak", stream), stream)
    assert logits.shape == (2, 3, 2)
    (logits[0].square().sum() + 3 * logits[1].square().sum()).backward()
    twins.finish_backward()
    found = [weight.grad for weight in (*first.trained(), *weights)]
    for member, some_rows, factor, part in ((first, rows[:1], 1, 0), (second, rows[1:], 3, 1)):
        for weight in (*first.trained(), *weights):
            weight.grad = None
        alone = member.classify(member.inputs(some_rows, "weak", None), Stream([1], LABELED))
        torch.testing.assert_close(alone[0], logits[part], atol=1e-5, rtol=1e-5)
        (factor * alone.square().sum()).backward()
        member.finish_backward()
        expected = [weight.grad for weight in member.trained()]
        for gradient, other in zip(found[part * len(weights) :], expected, strict=False):
            if other is not None and gradient is not None:
                torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-4)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in found[len(weights) :])


@pytest.mark.parametrize("changes", [pytest.param({}, marks=pytest.mark.slow), {"lora": {"rank": 2}}])
def test_both_networks_predict_and_are_saved(stories: str, tmp_path: Path, changes: dict[str, Any]) -> None:
    made = _fit(stories, algorithm={**NO_EXTRAS, "mixup": 4.0}, early_stopping=True, **changes)
    both = made.predict_proba(TEXTS)
    best = min(look.loss for look in made.looks if look.loss is not None)
    assert -np.log(both[np.arange(8), LABELS]).mean() == pytest.approx(best, abs=1e-5)
    made.save(tmp_path)
    loaded = load_classifier(tmp_path)
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), both, atol=1e-5)
    made.twin = {}
    first = made.predict_proba(TEXTS)
    assert np.abs(first - both).max() > 1e-5
    assert (tmp_path / TWIN).is_dir()
