"""Probes: equal to scikit-learn, equal alone and together, and what each loss does to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.errors import InputError
from penchant.losses.weak import most_confident
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, CrossEntropy, Filtered, Product, WeakLoss
from penchant.weak.classifiers.probe_fit import Probes, fit_probes

LOSSES: list[WeakLoss] = [CrossEntropy(), Confidence(), Product(), AdaptiveConfidence(), Filtered()]


def _data(rows: int = 300, width: int = 8, classes: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features, true classes, and a supervisor's soft labels."""
    generator = torch.Generator().manual_seed(seed)
    features = 3 * torch.randn(rows, width, generator=generator) + 1
    truth = (features[:, :classes] + torch.randn(rows, classes, generator=generator)).argmax(-1)
    noise = torch.randn(rows, classes, generator=generator)
    return features, truth, (features[:, :classes] / 3 + noise).softmax(-1)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_probe_is_the_logistic_regression_of_scikit_learn(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    x, truth, _ = _data(classes=classes)
    probes = fit_probes(x, one_hot(truth, classes)[None].float(), l2=0.03, steps=200)
    standard = ((x - probes.mean) / probes.scale).double().numpy()
    # of two classes scikit-learn has one weight, the difference of ours, whose square is twice the sum of theirs
    strength = len(x) * 0.03 / (2 if classes == 2 else 1)
    theirs = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000).fit(standard, truth.numpy())
    np.testing.assert_allclose(probes.predict_proba(x)[0].numpy(), theirs.predict_proba(standard), atol=2e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_probes_fitted_together_are_those_fitted_alone(classes: int) -> None:
    x, _, weak = _data(classes=classes)
    targets = weak.expand(len(LOSSES), -1, -1)
    together = fit_probes(x, targets, LOSSES).predict_proba(x)
    for place, loss in enumerate(LOSSES):
        alone = fit_probes(x, weak[None], [loss]).predict_proba(x)[0]
        torch.testing.assert_close(together[place], alone, atol=1e-4, rtol=0)


def test_a_filtered_probe_is_one_of_the_kept_rows_alone() -> None:
    x, _, weak = _data()
    kept = most_confident(weak, share=0.5)
    found = fit_probes(x, weak[None], [Filtered()], l2=0.03, steps=400)
    # standardized by all rows, the kept ones alone: what remains is the same objective
    standard = (x - found.mean) / found.scale
    logits = (standard @ found.weight[:, 0] + found.bias[0]).requires_grad_()
    error = torch.autograd.grad(-(weak * logits.log_softmax(-1)).sum(-1)[kept].mean(), logits)[0]
    torch.testing.assert_close(standard.T @ error, -0.03 * found.weight[:, 0], atol=1e-5, rtol=0)


def test_every_loss_gives_another_probe() -> None:
    x, _, weak = _data()
    found = fit_probes(x, weak.expand(len(LOSSES), -1, -1), LOSSES).predict_proba(x)
    for place in range(1, len(LOSSES)):
        assert (found[place] - found[0]).abs().max() > 0.02


@pytest.mark.parametrize(
    "loss", [Confidence(alpha=0), AdaptiveConfidence(alpha=0), Product(student_power=0), Filtered(share=1)]
)
def test_at_its_limit_a_loss_gives_the_naive_probe_to_the_bit(loss: WeakLoss) -> None:
    x, _, weak = _data()
    assert torch.equal(fit_probes(x, weak[None], [loss]).weight, fit_probes(x, weak[None]).weight)


def test_hard_labels_are_the_most_probable_class() -> None:
    x, _, weak = _data()
    hard = fit_probes(x, weak[None], [CrossEntropy(labels="hard")])
    assert torch.equal(hard.weight, fit_probes(x, one_hot(weak.argmax(-1), 2)[None].float()).weight)


def test_the_loss_never_rises() -> None:
    x, _, weak = _data()
    seen: list[float] = []

    def watch(step: int, probes: Probes) -> None:
        logps = probes.predict_proba(x)[0].log()
        seen.append(float(-(weak * logps).sum(-1).mean() + 0.015 * probes.weight.square().sum()))

    fit_probes(x, weak[None], steps=40, watch=watch)
    assert len(seen) == 40
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(seen))


def test_a_feature_that_never_changes_is_harmless() -> None:
    x, truth, _ = _data()
    wider = torch.cat([x, torch.full((len(x), 1), 7.0)], 1)
    target = one_hot(truth, 2)[None].float()
    torch.testing.assert_close(
        fit_probes(wider, target).predict_proba(wider), fit_probes(x, target).predict_proba(x), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.full((300, 8), torch.nan)}, "not finite"),
        ({"targets": torch.full((1, 300, 2), 0.4)}, "sum to 1"),
        ({"targets": torch.full((1, 300, 2), torch.nan)}, "sum to 1"),
        ({"targets": torch.ones(1, 300, 1)}, "two classes"),
        ({"targets": torch.full((1, 299, 2), 0.5)}, "shape"),
        ({"losses": LOSSES}, "5 losses for 1"),
        ({"l2": 0.0}, "l2"),
    ],
)
def test_bad_input(change: dict[str, object], message: str) -> None:
    x, _, weak = _data()
    with pytest.raises(InputError, match=message):
        fit_probes(**{"features": x, "targets": weak[None], **change})  # type: ignore[arg-type]
