"""Training of arms: alone and together alike, controls at their limits, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.weak.semi_supervised.conftest import Bench
from torch import Tensor

from penchant.config import Config
from penchant.errors import InputError, RunError
from penchant.losses.weak_settings import Confidence
from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.settings import (
    Algorithm,
    DivideMix,
    FixedThreshold,
    FixMatch,
    FlexThreshold,
    FreeThreshold,
    LabelVectors,
    MeanTeacher,
    SelfTraining,
    SoftThreshold,
    Supervised,
    Uda,
)

WeightsOf = Callable[[Network], Tensor]
EVERY: tuple[Algorithm, ...] = (
    Supervised(),
    MeanTeacher(),
    FixMatch(),
    FixMatch(threshold=FlexThreshold()),
    FixMatch(threshold=FreeThreshold()),
    FixMatch(threshold=SoftThreshold(), align=True),
    Uda(annealing="linear"),
)


def _name(algorithm: Algorithm) -> str:
    kind = algorithm.threshold.name if isinstance(algorithm, FixMatch) else ""
    return f"{algorithm.name} {kind}".strip()


@pytest.mark.parametrize("algorithm", EVERY, ids=_name)
def test_an_arm_is_trained_among_others_as_alone(bench: Bench, weights_of: WeightsOf, algorithm: Algorithm) -> None:
    together = weights_of(bench.train(algorithm, (4, 5, 6), count=25).network)
    for number, seed in enumerate((4, 5, 6)):
        alone = weights_of(bench.train(algorithm, (seed,), count=25).network)[0]
        torch.testing.assert_close(together[number], alone, atol=2e-5, rtol=1e-4)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("algorithm", EVERY[1:], ids=_name)
def test_it_differs_from_supervised_training_and_reports_what_it_did(
    bench: Bench, weights_of: WeightsOf, algorithm: Algorithm
) -> None:
    supervised, other = bench.train(Supervised()), bench.train(algorithm)
    assert not torch.allclose(weights_of(supervised.network), weights_of(other.network), atol=1e-3)
    assert supervised.reports == ()
    (report,) = other.reports
    assert 0 < report.mask_rate <= 1
    assert report.loss > 0
    assert report.gap > 0
    assert sum(report.class_shares) == pytest.approx(1)
    assert report.label_shares == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    "algorithm",
    [
        FixMatch(threshold=FixedThreshold(threshold=1.01)),
        FixMatch(weight=0.0),
        Uda(weight=0.0),
        MeanTeacher(weight=0.0, decay=0.0),
    ],
    ids=_name,
)
def test_without_unlabelled_loss_it_is_supervised_training_to_the_bit(
    bench: Bench, weights_of: WeightsOf, algorithm: Algorithm
) -> None:
    """Rows of the two kinds have random numbers of their own, so what is drawn for one moves nothing of the other."""
    supervised, other = bench.train(Supervised(), (1, 2)), bench.train(algorithm, (1, 2))
    assert torch.equal(weights_of(supervised.network), weights_of(other.network))


def test_an_empty_mask_is_said(bench: Bench) -> None:
    (report,) = bench.train(FixMatch(threshold=FixedThreshold(threshold=1.01))).reports
    assert (report.mask_rate, report.class_shares) == (0, (0, 0))
    assert "the mask was empty, and this is supervised training" in report.warnings[0]


def test_few_labels_gain_from_many_rows_without(bench: Bench) -> None:
    """Of clouds that lie apart; ten seeds, the same rows for both."""
    seeds = tuple(range(10))
    control = bench.accuracy(bench.train(Supervised(), seeds, count=150).network)
    gains = bench.accuracy(bench.train(FixMatch(), seeds, count=150).network) - control
    assert float(gains.mean()) > 2.26 * float(gains.std()) / len(seeds) ** 0.5  # Student's t, 95%


def test_a_class_that_takes_over_is_said(bench: Bench) -> None:
    arm = bench.arm(0)
    skewed = Arm(0, arm.labeled, torch.tensor([[0.5, 0.5]]).repeat(6, 1), arm.unlabeled)
    network = bench.heads((0,))
    with torch.no_grad():
        network.weights.out_bias[0, 1] += 9.0
    trained = train_arms(network, FixMatch(weight=10.0), [skewed], Steps(5, 8, 1e-4, 0.0))
    (warning,) = (text for text in trained.reports[0].warnings if "class 1" in text)
    assert warning == "class 1 takes over: 100.0% of the pseudo-labels against 50.0% of the labels"


def test_a_class_without_a_label_is_said(bench: Bench) -> None:
    arm = bench.arm(0)
    three = Arm(0, arm.labeled, torch.eye(3)[bench.classes[:6]], arm.unlabeled)
    weights = HeadWeights.initial((0,), features=bench.features.shape[1], width=16, classes=3)
    for algorithm in (FixMatch(), FixMatch(align=True), MeanTeacher()):
        network = Heads(FeatureViews.standardized(bench.features), weights, dropout=0.5).copy()
        trained = train_arms(network, algorithm, [three], Steps(20, 16, 5e-3, 0.0))
        assert trained.reports[0].label_shares == pytest.approx((0.5, 0.5, 0))
        assert sum("class 2 has no label" in warning for warning in trained.reports[0].warnings) == 1
        assert all(torch.isfinite(weight).all() for weight in trained.network.trained())


@pytest.mark.parametrize(
    ("algorithm", "settings", "message"),
    [
        (FixMatch, {"weight": -0.1}, "weight"),
        (Uda, {"weight": -1}, "weight"),
        (MeanTeacher, {"weight": -1}, "weight"),
        (MeanTeacher, {"decay": 1.0}, "decay"),
        (LabelVectors, {"supervisor_weight": -1}, "supervisor_weight"),
        (SelfTraining, {"weight": 0}, "weight"),
        (SelfTraining, {"share": 0}, "share"),
        (DivideMix, {"weight": -1}, "weight"),
        (DivideMix, {"mixup": -1}, "mixup"),
    ],
)
def test_weights_and_shares_that_cannot_be(algorithm: type[Config], settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        algorithm(**settings)


def test_views_that_are_the_same_are_refused(bench: Bench) -> None:
    arms, steps = [bench.arm(0)], Steps(5, 8, 1e-3, 0.0)
    for algorithm in (FixMatch(), Uda()):
        with pytest.raises(InputError, match="strong view of a row is its weak one"):
            train_arms(bench.heads((0,), dropout=0.0), algorithm, arms, steps)
    strong = bench.features[None] + 0.1
    train_arms(bench.heads((0,), dropout=0.0, strong=strong), FixMatch(), arms, steps)
    # the teacher of the first step is the student itself; of a learning rate of nearly nothing it stays it
    with pytest.raises(RunError, match="was 0 in every step of arm 0"):
        train_arms(bench.heads((0,), dropout=0.0), MeanTeacher(), arms, Steps(2, 8, 1e-30, 0.0))


def test_rows_that_are_missing_are_refused(bench: Bench) -> None:
    steps = Steps(2, 8, 1e-3, 0.0)
    with pytest.raises(InputError, match="rows without labels, and none are given"):
        train_arms(bench.heads((0,)), FixMatch(), [bench.arm(0, unlabeled=False)], steps)
    with pytest.raises(InputError, match="some arms have unlabelled rows"):
        train_arms(bench.heads((0, 1)), FixMatch(), [bench.arm(0), bench.arm(1, unlabeled=False)], steps)
    with pytest.raises(InputError, match="no labelled rows"):
        train_arms(bench.heads((0,)), Supervised(), [bench.arm(0, labeled=0)], steps)
    with pytest.raises(RunError, match="loss of step 2 is not finite"):
        train_arms(bench.heads((0,)), Supervised(), [bench.arm(0)], Steps(5, 8, 1e30, 0.0))


def test_a_label_of_weight_zero_is_never_dealt_and_others_count_as_they_weigh(
    bench: Bench, weights_of: WeightsOf
) -> None:
    arm, wrong = bench.arm(0), torch.eye(2)[1 - bench.classes[:6]]
    both = Arm(
        0,
        torch.cat([arm.labeled, arm.labeled]),
        torch.cat([arm.targets, wrong]),
        arm.unlabeled,
        weights=torch.tensor([1.0] * 6 + [0.0] * 6),
    )
    steps = Steps(20, 12, 5e-3, 0.0)
    plain, weighted = (
        weights_of(train_arms(bench.heads((0,)), Supervised(), [one], steps).network) for one in (arm, both)
    )
    assert torch.equal(plain, weighted)
    tilted = Arm(0, both.labeled, both.targets, arm.unlabeled, weights=torch.tensor([1.0] * 6 + [0.1] * 6))
    accuracy = bench.accuracy(train_arms(bench.heads((0,)), Supervised(), [tilted], Steps(150, 24, 5e-3, 0.0)).network)
    assert float(accuracy) > 0.7


def test_another_loss_on_the_labels_is_used(bench: Bench, weights_of: WeightsOf) -> None:
    arm, steps = bench.arm(0), Steps(30, 6, 5e-3, 0.0)
    naive, none, some = (
        weights_of(
            train_arms(
                bench.heads((0,)), Supervised(), [Arm(0, arm.labeled, arm.targets, arm.unlabeled, loss=loss)], steps
            ).network
        )
        for loss in (Confidence(alpha=0.0), Confidence(alpha=0.0, warmup=0.0), Confidence(alpha=0.9, warmup=0.0))
    )
    assert torch.equal(naive, none)
    assert not torch.equal(naive, some)
    assert np.isfinite(some.numpy()).all()
