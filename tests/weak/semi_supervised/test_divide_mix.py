"""DivideMix: its limit and its control, the sides of a division, empty ones too, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from tests.weak.semi_supervised.conftest import Bench
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.weak_settings import Confidence
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised import divide_mix
from penchant.weak.semi_supervised.arms import TWIN_SEED, Arm, network_arms
from penchant.weak.semi_supervised.loop import Steps, TrainedArms, train_arms
from penchant.weak.semi_supervised.settings import Algorithm, DivideMix, Supervised

WeightsOf = Callable[[Network], Tensor]
LABELED = 120
STEPS = Steps(60, 32, 5e-3, 0.01)
NO_EXTRAS = {"mixup": 0.0, "prior_weight": 0.0}


def noisy_arm(bench: Bench, seed: int, share: float = 0.3, labeled: int = LABELED) -> Arm:
    """An arm with a share of its labels wrong, the same rows for every seed."""
    wrong = torch.rand(labeled, generator=torch.Generator().manual_seed(5)) < share
    labels = torch.where(wrong, 1 - bench.classes[:labeled], bench.classes[:labeled])
    return Arm(seed, torch.arange(labeled), torch.eye(2)[labels], torch.empty(0, dtype=torch.long))


def train(bench: Bench, algorithm: Algorithm, arms: Sequence[Arm], steps: Steps = STEPS) -> TrainedArms:
    network = bench.heads([arm.seed for arm in arms])
    return train_arms(network, algorithm, arms, steps)


def pairs(bench: Bench, *seeds: int, **settings: float) -> list[Arm]:
    return network_arms(DivideMix(), [noisy_arm(bench, seed, **settings) for seed in seeds])


def force(monkeypatch: pytest.MonkeyPatch, probability: float) -> None:
    monkeypatch.setattr(divide_mix, "clean_probabilities", lambda losses: np.full(len(losses), probability))


def test_with_all_labels_clean_and_nothing_mixed_it_is_supervised_to_the_bit(
    bench: Bench, weights_of: WeightsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = pairs(bench, 1, 2)
    supervised = weights_of(train(bench, Supervised(), arms).network)
    undivided = weights_of(train(bench, DivideMix(divide=False, **NO_EXTRAS), arms).network)
    assert torch.equal(supervised, undivided)
    force(monkeypatch, 1.0)
    trained = train(bench, DivideMix(**NO_EXTRAS, weight=25.0), arms)
    assert torch.equal(supervised, weights_of(trained.network))
    assert trained.reports[0].division is not None
    assert trained.reports[0].division.clean_share == 1
    assert "12 of 12 divisions took all labels for right" in trained.reports[0].warnings[0]


def test_where_no_label_is_clean_all_are_learned_as_they_are(
    bench: Bench, weights_of: WeightsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = pairs(bench, 1)
    force(monkeypatch, 0.0)
    trained = train(bench, DivideMix(**NO_EXTRAS), arms)
    assert torch.equal(weights_of(train(bench, Supervised(), arms).network), weights_of(trained.network))
    (warning,) = trained.reports[1].warnings
    assert warning == "12 of 12 divisions took no label for right: all were learned as they are"


def test_a_pair_is_trained_among_others_as_alone(bench: Bench, weights_of: WeightsOf) -> None:
    together = weights_of(train(bench, DivideMix(weight=5.0), pairs(bench, 4, 5)).network)
    for number, seed in enumerate((4, 5)):
        alone = weights_of(train(bench, DivideMix(weight=5.0), pairs(bench, seed)).network)
        torch.testing.assert_close(together[2 * number : 2 * number + 2], alone, atol=2e-5, rtol=1e-4)
    assert not torch.equal(together[0], together[1])


def test_each_setting_changes_what_is_learned(bench: Bench, weights_of: WeightsOf) -> None:
    arms = pairs(bench, 1, share=0.4)
    steps = Steps(24, 32, 5e-3, 0.01)
    changes: list[dict[str, object]] = [
        {},
        {"warm_up": 4},
        {"divide": False},
        {"threshold": 0.9},
        {"mixup": 0.0},
        {"mixup": 1.0},
        {"temperature": 1.0},
        {"weight": 25.0},
        {"weight": 25.0, "ramp": 1},
        {"prior_weight": 0.0},
        {"confidence_penalty": 1.0},
        {"unlabeled_ratio": 2},
    ]
    trained = [weights_of(train(bench, DivideMix(**change), arms, steps).network) for change in changes]  # type: ignore[arg-type]
    for number, weights in enumerate(trained):
        assert not any(torch.allclose(weights, other, atol=1e-5) for other in trained[:number]), changes[number]


def test_the_prior_is_that_of_the_labels_or_uniform(bench: Bench, weights_of: WeightsOf) -> None:
    (arm,) = pairs(bench, 1)[:1]
    skewed = Arm(1, arm.labeled[:90], torch.eye(2)[(torch.arange(90) % 3 == 0).long()], arm.unlabeled)
    arms = network_arms(DivideMix(), [skewed])
    one, other = (weights_of(train(bench, DivideMix(prior=prior), arms).network) for prior in ("labels", "uniform"))
    assert not torch.allclose(one, other, atol=1e-4)


def test_wrong_labels_are_found_and_rows_without_labels_are_guessed(bench: Bench) -> None:
    (arm,) = [noisy_arm(bench, 0, share=0.2, labeled=100)]
    arm = Arm(0, arm.labeled, arm.targets, torch.arange(100, 120))
    trained = train(bench, DivideMix(), network_arms(DivideMix(), [arm]), Steps(120, 32, 5e-3, 0.01))
    report = trained.reports[0]
    assert report.division is not None
    assert 0.5 < report.division.clean_share < 0.95
    assert report.division.count == 30 - 3
    assert report.mask_rate == 1
    assert report.gap > 0


def test_a_third_of_the_labels_wrong_it_is_better_than_training_on_all(bench: Bench) -> None:
    """Six seeds, 30% of the labels wrong; the mean of both networks against one that learns for as long."""
    seeds = range(6)
    arms = network_arms(DivideMix(), [noisy_arm(bench, seed, share=0.3) for seed in seeds])
    steps = Steps(100, 32, 5e-3, 0.01)

    def accuracy(algorithm: Algorithm) -> Tensor:
        return bench.accuracy(train(bench, algorithm, arms, steps).network).view(-1, 2).mean(1)

    gains = accuracy(DivideMix()) - accuracy(Supervised())
    assert float(gains.mean()) > 2.57 * float(gains.std()) / len(gains) ** 0.5


def test_twins_lie_side_by_side(bench: Bench) -> None:
    arms = [noisy_arm(bench, seed) for seed in (3, 4)]
    assert [arm.seed for arm in network_arms(DivideMix(), arms)] == [3, 3 + TWIN_SEED, 4, 4 + TWIN_SEED]
    assert network_arms(Supervised(), arms) == arms


def test_sharpening_by_hand() -> None:
    # squares 0.36 and 0.16 of a temperature of a half
    torch.testing.assert_close(divide_mix.sharpen(torch.tensor([0.6, 0.4]), 0.5), torch.tensor([0.36, 0.16]) / 0.52)


def test_what_is_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match="make the arms by `network_arms`"):
        train(bench, DivideMix(), [noisy_arm(bench, 0)])
    with pytest.raises(InputError, match="epochs of different lengths"):
        train(bench, DivideMix(), [*pairs(bench, 0), *pairs(bench, 1, labeled=60)])
    with pytest.raises(InputError, match="a warm-up of 3 epochs of 120 rows takes 12 steps, and training has 12"):
        train(bench, DivideMix(), pairs(bench, 0), Steps(12, 32, 5e-3, 0.01))
    (arm,) = [noisy_arm(bench, 0)]
    other = Arm(0, arm.labeled, arm.targets, arm.unlabeled, loss=Confidence())
    with pytest.raises(InputError, match="take the loss cross_entropy"):
        train(bench, DivideMix(), network_arms(DivideMix(), [other]))


def test_a_division_that_takes_a_class_for_wrong_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = pairs(bench, 1)
    of_class_one = arms[0].targets[:, 1].numpy()
    monkeypatch.setattr(divide_mix, "clean_probabilities", lambda losses: 1 - of_class_one)
    report = train(bench, DivideMix(), arms).reports[0]
    assert "all labels of class 1 were taken for wrong in the last division" in report.warnings
