"""Losses on weak labels: arithmetic by hand, limits, and where they differ from their control."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.weak import (
    adaptive_confidence,
    adaptive_target,
    class_shares,
    confidence,
    confidence_target,
    confidence_weight,
    cross_entropy,
    harden,
    most_confident,
    product,
)


def _batch(examples: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(examples, classes, generator=generator)
    return logits, torch.randn(examples, classes, generator=generator).softmax(-1)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])  # probabilities (1/4, 3/4) and (1/2, 1/2)
    hard = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(cross_entropy(logits, hard), torch.tensor([math.log(4 / 3), math.log(2)]))
    soft = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    torch.testing.assert_close(
        cross_entropy(logits, soft), torch.tensor([0.5 * math.log(4) + 0.5 * math.log(4 / 3), math.log(2)])
    )


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(
    "loss",
    [
        lambda f, w: confidence(f, w, alpha=0.0),
        lambda f, w: adaptive_confidence(f, w, alpha=0.0),
        lambda f, w: product(f, w, student_power=0.0),
    ],
)
def test_each_loss_is_cross_entropy_at_its_limit_to_the_bit(
    loss: Callable[[Tensor, Tensor], Tensor], classes: int
) -> None:
    logits, weak = _batch(33, classes)
    assert torch.equal(loss(logits, weak), cross_entropy(logits, weak))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("loss", [lambda f, w: confidence(f, w, alpha=0.5), adaptive_confidence, product])
def test_each_loss_differs_from_cross_entropy_and_its_target_carries_no_gradient(
    loss: Callable[[Tensor, Tensor], Tensor], classes: int
) -> None:
    logits, weak = _batch(33, classes)
    logits.requires_grad_()
    value = loss(logits, weak)
    assert value.shape == (33,)
    assert not torch.allclose(value, cross_entropy(logits, weak))
    (grad,) = torch.autograd.grad(value.sum(), logits)
    # with a fixed target of sum 1 the gradient is p - target, whose rows sum to 0, and target = p - grad is in [0, 1]
    target = (logits.softmax(-1) - grad).detach()
    torch.testing.assert_close(target.sum(-1), torch.ones(33))
    assert target.min() > -1e-6
    torch.testing.assert_close(value, cross_entropy(logits, target))


def test_confidence_by_hand() -> None:
    logits = torch.tensor([[0.0, 3.0], [0.0, 2.0], [0.0, 1.0], [0.0, 0.5]])  # all positive: the threshold is 1.5
    weak = torch.tensor([[0.5, 0.5]] * 4)
    hardened = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert torch.equal(harden(logits), hardened)
    expected = 0.25 * cross_entropy(logits, weak) + 0.75 * cross_entropy(logits, hardened)
    torch.testing.assert_close(confidence(logits, weak, alpha=0.75), expected)


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 1000))
@settings(deadline=None)
def test_hardened_predictions_of_two_classes_are_a_threshold_that_keeps_the_prior(
    examples: int, positive: float, seed: int
) -> None:
    logits, _ = _batch(examples, 2, seed)
    chosen = harden(logits, [1 - positive, positive])[:, 1].bool()
    assert abs(int(chosen.sum()) - positive * examples) <= 1
    odds = logits[:, 1] - logits[:, 0]
    if chosen.any() and not chosen.all():
        assert odds[chosen].min() >= odds[~chosen].max()


def test_hardened_predictions_of_more_classes_are_the_best_assignment_with_these_counts() -> None:
    logits, _ = _batch(6, 3)
    hardened = harden(logits)
    assert hardened.sum(0).tolist() == [2, 2, 2]
    logps = logits.log_softmax(-1)
    best = max(
        sum(float(logps[i, c]) for i, c in enumerate(order))
        for order in set(itertools.permutations([0, 0, 1, 1, 2, 2]))
    )
    assert float((logps * hardened).sum()) == pytest.approx(best, abs=1e-5)


def test_two_classes_by_assignment_are_two_classes_by_threshold() -> None:
    logits, _ = _batch(20, 2)
    third = torch.cat([logits, torch.full((20, 1), -50.0)], 1)  # a class of share 0
    assert torch.equal(harden(third, [0.5, 0.5, 0.0])[:, :2], harden(logits))


def test_the_curve_of_alpha() -> None:
    curve = [confidence_weight(step, 100, alpha_max=0.75) for step in range(100)]
    assert curve[0] == 0
    assert curve[10] == pytest.approx(0.375)
    assert curve[19] == pytest.approx(0.75 * 19 / 20)
    assert curve[20:] == [0.75] * 80
    steps = [after - before for before, after in itertools.pairwise(curve[:21])]
    assert steps == pytest.approx([0.0375] * 20)  # linear, without a jump at its end
    assert confidence_weight(0, 100, alpha_max=0.5, warmup=0) == 0.5


def test_product_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])  # (1/4, 3/4)
    weak = torch.tensor([[0.6, 0.4]])
    target = torch.tensor([[0.25 * 0.36, 0.75 * 0.16]])
    target /= target.sum()
    torch.testing.assert_close(product(logits, weak, weak_power=2.0), cross_entropy(logits, target))


def test_product_of_hard_labels_is_finite() -> None:
    logits, weak = torch.tensor([[-200.0, 200.0]]), torch.tensor([[1.0, 0.0]])
    assert torch.isfinite(product(logits, weak)).all()


def test_adaptive_weight_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])  # sure of class 1, of class 0, with 3/4
    weak = torch.tensor([[0.2, 0.8], [0.2, 0.8]])  # agrees, disagrees
    own = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    b = torch.tensor([[0.5], [0.75]])
    expected = cross_entropy(logits, (1 - b) * weak + b * own)
    torch.testing.assert_close(adaptive_confidence(logits, weak, prior="balanced"), expected)


def _imbalanced(examples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, and weak labels of which the mean is (3/4, 1/4)."""
    logits, _ = _batch(examples, 2, seed)
    said = torch.tensor([[0.9, 0.1], [0.6, 0.4]])
    return logits, said.repeat(examples // 2, 1)


def test_shares_of_classes_by_hand() -> None:
    weak = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.2, 0.8]])
    assert class_shares("weak", weak) == pytest.approx((2.6 / 4, 1.4 / 4))
    assert class_shares("balanced", weak) == (0.5, 0.5)
    assert class_shares((0.9, 0.1), weak) == (0.9, 0.1)


TARGETS = {
    "confidence": lambda f, w, prior: confidence_target(f, w, alpha=1.0, prior=prior),
    "adaptive confidence": lambda f, w, prior: adaptive_target(f, w, alpha=1.0, prior=prior),
}


@pytest.mark.parametrize("name", TARGETS)
def test_on_imbalanced_labels_hardened_predictions_have_the_share_of_the_weak_labels(name: str) -> None:
    """Of 8 examples with the mean (3/4, 1/4) two are positive: those of which the student is surest."""
    logits, weak = _imbalanced(8)
    surest = (logits[:, 1] - logits[:, 0]).argsort(descending=True)
    weight = (TARGETS[name](logits, weak, "weak") - weak)[:, 1]  # above 0 where the hardened prediction is positive
    assert sorted(torch.nonzero(weight > 0).flatten().tolist()) == sorted(surest[:2].tolist())
    half = (TARGETS[name](logits, weak, "balanced") - weak)[:, 1]
    assert sorted(torch.nonzero(half > 0).flatten().tolist()) == sorted(surest[:4].tolist())
    given = (TARGETS[name](logits, weak, (0.875, 0.125)) - weak)[:, 1]
    assert torch.nonzero(given > 0).flatten().tolist() == surest[:1].tolist()


@pytest.mark.parametrize("examples", [8, 33, 2501])
@pytest.mark.parametrize("name", TARGETS)
def test_with_balanced_weak_labels_their_prior_is_the_balanced_one_to_the_bit(name: str, examples: int) -> None:
    logits, _ = _batch(examples, 2)
    said = torch.rand(examples, generator=torch.Generator().manual_seed(1))
    said += 0.5 - said.mean()
    weak = torch.stack([1 - said, said], 1)
    assert weak[:, 1].mean() == pytest.approx(0.5, abs=1e-7)
    assert torch.equal(TARGETS[name](logits, weak, "weak"), TARGETS[name](logits, weak, "balanced"))


def test_of_six_classes_each_keeps_its_weak_share() -> None:
    """Twelve examples, classes in the shares 6, 2, 1, 1, 1, 1."""
    logits, _ = _batch(12, 6)
    weak = torch.eye(6)[[0] * 6 + [1, 1, 2, 3, 4, 5]]
    hardened = confidence_target(logits, weak, alpha=1.0)
    assert hardened.sum(0).tolist() == [6, 2, 1, 1, 1, 1]
    assert confidence_target(logits, weak, alpha=1.0, prior="balanced").sum(0).tolist() == [2] * 6


def test_the_surest_labels_of_each_class_are_kept() -> None:
    weak = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.55, 0.45]])
    assert most_confident(weak, share=0.5).tolist() == [True, False, True, True, False]
    assert most_confident(weak, share=1.0).all()
    assert most_confident(weak, share=0.01).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy(torch.zeros(3, 2), torch.zeros(3)), "one-hot"),
        (lambda: cross_entropy(torch.zeros(3, 1), torch.ones(3, 1)), "two classes"),
        (lambda: confidence(torch.zeros(3, 2), torch.ones(3, 2) / 2, alpha=1.5), "alpha"),
        (lambda: adaptive_confidence(torch.zeros(3, 2), torch.ones(3, 2) / 2, alpha=-0.1), "alpha"),
        (lambda: harden(torch.zeros(3, 2), [0.5, 0.6]), "sum 1"),
        (lambda: harden(torch.zeros(3, 2), [1.0]), "2 classes"),
        (lambda: product(torch.zeros(3, 2), torch.ones(3, 2) / 2, student_power=-1), "powers"),
        (lambda: most_confident(torch.ones(3, 2) / 2, share=0), "share"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("power", [0.0, 1.5])
def test_an_option_that_is_not_there_changes_nothing(power: float) -> None:
    """A column of -inf, with labels of 0, gives the losses and gradients of the rows without it."""
    logits, weak = _batch(8, 3)
    wide = torch.cat([logits, logits.new_full((8, 1), -torch.inf)], 1)
    padded = torch.cat([weak, weak.new_zeros(8, 1)], 1)
    for loss in (cross_entropy, lambda f, w: product(f, w, student_power=power, weak_power=0.5)):
        narrow, full = logits.clone().requires_grad_(), wide.clone().requires_grad_()
        torch.testing.assert_close(loss(full, padded), loss(narrow, weak))
        loss(full, padded).sum().backward()
        loss(narrow, weak).sum().backward()
        assert full.grad is not None
        assert narrow.grad is not None
        torch.testing.assert_close(full.grad[:, :3], narrow.grad)
        assert (full.grad[:, 3] == 0).all()


def test_options_are_hardened_row_by_row() -> None:
    """Their places are no classes, so they keep no prior: all rows may have the first option."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, -torch.inf], [3.0, 0.0, 1.0]])
    assert harden(logits).argmax(-1).tolist() == [0, 0, 0]
    for loss in (confidence, adaptive_confidence):
        found = loss(logits, torch.tensor([[1.0, 0.0, 0.0]] * 3), alpha=0.5)
        torch.testing.assert_close(found, cross_entropy(logits, torch.tensor([[1.0, 0.0, 0.0]] * 3)))


def test_a_very_sure_student_still_has_a_target() -> None:
    """Both probabilities may be too small for a number; their ratio is not."""
    logits = torch.tensor([[300.0, 0.0], [250.0, 0.0], [200.0, 0.0], [190.0, 0.0]])
    target = adaptive_target(logits, torch.tensor([[0.4, 0.6]] * 4))
    assert torch.isfinite(target).all()
    torch.testing.assert_close(target.sum(-1), torch.ones(4))
    torch.testing.assert_close(target[2], torch.tensor([0.2, 0.8]))  # hardened to the supervisor's class
