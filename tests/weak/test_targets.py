"""What a student takes for the truth at a step: the shares of classes are those of all its rows."""

from __future__ import annotations

import pytest
import torch

from penchant.errors import InputError
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, CrossEntropy, Filtered, WeakLoss
from penchant.weak.targets import target_at, weak_targets

FOLLOWING: list[WeakLoss] = [Confidence(alpha=1, warmup=0), AdaptiveConfidence(alpha=1, warmup=0)]


@pytest.mark.parametrize("loss", FOLLOWING)
def test_a_batch_keeps_the_shares_of_all_rows(loss: WeakLoss) -> None:
    """A quarter of all 16 rows is positive, and so is one of four in a batch, whatever the batch's own labels say."""
    labels = torch.eye(2)[[1, 1, 1, 1] + [0] * 12]
    begun = weak_targets(loss, labels)
    assert begun.shares == (0.75, 0.25)
    logits = torch.tensor([[0.0, 1.0], [0.0, 9.0], [0.0, 2.0], [0.0, 3.0]])
    batch = torch.full((4, 2), 0.5)
    target = target_at(loss, logits, batch, 0, 10, begun.shares)
    assert (target[:, 1] > 0.5).tolist() == [False, True, False, False]


@pytest.mark.parametrize("prior", ["balanced", (0.5, 0.5)])
@pytest.mark.parametrize("kind", [Confidence, AdaptiveConfidence])
def test_other_shares_are_those_of_the_settings(kind: type[Confidence | AdaptiveConfidence], prior: object) -> None:
    labels = torch.eye(2)[[1] + [0] * 15]
    assert weak_targets(kind(prior=prior), labels).shares == (0.5, 0.5)


def test_shares_of_other_classes_are_refused() -> None:
    with pytest.raises(InputError, match="each of the 3 classes"):
        weak_targets(Confidence(prior=(0.5, 0.5)), torch.eye(3))


def test_version_0_3_wrote_null_for_equal_shares() -> None:
    assert Confidence(**{"prior": None}).prior == "balanced"
    assert Confidence().prior == AdaptiveConfidence().prior == "weak"


def test_labels_of_the_naive_losses() -> None:
    labels = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8]])
    hard = weak_targets(CrossEntropy(labels="hard"), labels)
    assert hard.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert weak_targets(Filtered(share=0.5), labels).counts.tolist() == [1, 1, 0]
