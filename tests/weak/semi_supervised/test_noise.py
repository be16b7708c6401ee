"""Noise of the strong view, in features and in weights: its size, whose it is, and that it moves nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.weak.semi_supervised.conftest import ROWS, Bench
from torch import Tensor

from penchant.errors import InputError
from penchant.weak.augmentation.settings import Views
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.networks.cnn import Cnns, CnnWeights, PictureViews
from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network, StrongNoise
from penchant.weak.networks.streams import UNLABELED, Stream
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.settings import FixedThreshold, FixMatch, MeanTeacher, SelfTraining, Supervised
from penchant.weak.settings import Mlp

BOTH = StrongNoise(features=0.3, weights=0.1)


def _heads(bench: Bench, seeds: tuple[int, ...] = (0,), noise: StrongNoise = BOTH) -> Heads:
    weights = HeadWeights.initial(seeds, features=bench.features.shape[1], width=16, classes=2)
    return Heads(FeatureViews.standardized(bench.features), weights, dropout=0.0, strong_noise=noise)


def test_noise_has_the_size_that_is_asked_for_and_is_in_proportion_to_the_weights() -> None:
    stream = Stream([0, 1], UNLABELED)
    added = StrongNoise(features=0.3).on_features(torch.zeros(2, 50, 200), stream)
    assert float(added.std()) == pytest.approx(0.3, rel=0.02)
    # an arm whose weights are ten times as large has ten times as much; one of zeros has none
    weights = torch.stack([torch.full((100, 100), 2.0), torch.full((100, 100), 20.0)])
    spread = (StrongNoise(weights=0.1).on_weights(weights, stream) - weights).flatten(1).std(1)
    torch.testing.assert_close(spread, torch.tensor([0.2, 2.0]), rtol=0.05, atol=0)
    assert not StrongNoise(weights=0.1).on_weights(torch.zeros(2, 3, 3), stream).any()


def test_only_the_strong_view_has_it_and_only_in_training(bench: Bench) -> None:
    network, rows = _heads(bench), torch.arange(10)[None]
    inputs = network.inputs(rows, "strong", None)
    plain = network.classify(inputs, None)
    assert torch.equal(network.classify(inputs, Stream([0], UNLABELED), "weak"), plain)
    assert torch.equal(network.classify(inputs, None, "strong"), plain)
    first, other = (network.classify(inputs, Stream([seed], UNLABELED), "strong") for seed in (0, 1))
    assert not torch.allclose(first, plain, atol=1e-3)
    assert not torch.allclose(first, other, atol=1e-3)
    assert torch.equal(network.copy().classify(inputs, Stream([0], UNLABELED), "strong"), first)
    assert (network.has_noise, network.has_views) == (False, True)


def test_gradients_pass_through_noisy_weights_to_the_weights(bench: Bench) -> None:
    network = _heads(bench)
    network.classify(
        network.inputs(torch.arange(8)[None], "strong", None), Stream([0], UNLABELED), "strong"
    ).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.trained())


@pytest.mark.parametrize("noise", [StrongNoise(features=0.3), StrongNoise(weights=0.1), BOTH])
def test_it_is_another_view_enough_for_fixmatch_and_leaves_labelled_rows_alone(
    bench: Bench, weights_of: Callable[[Network], Tensor], noise: StrongNoise
) -> None:
    arms, steps = [bench.arm(0)], Steps(40, 16, 5e-3, 0.01)
    none = FixMatch(threshold=FixedThreshold(threshold=1.01))
    control, masked, learned = (
        weights_of(train_arms(_heads(bench, noise=noise), algorithm, arms, steps).network)
        for algorithm in (Supervised(), none, FixMatch())
    )
    assert torch.equal(control, masked)
    assert not torch.allclose(control, learned, atol=1e-3)


def test_an_arm_has_its_own_noise_whatever_others_there_are(
    bench: Bench, weights_of: Callable[[Network], Tensor]
) -> None:
    steps = Steps(20, 16, 5e-3, 0.01)
    together = weights_of(train_arms(_heads(bench, (4, 5)), MeanTeacher(), [bench.arm(4), bench.arm(5)], steps).network)
    alone = weights_of(train_arms(_heads(bench, (5,)), MeanTeacher(), [bench.arm(5)], steps).network)
    torch.testing.assert_close(together[1], alone[0], atol=2e-5, rtol=1e-4)


def test_a_convolutional_network_has_it_too() -> None:
    pixels = (torch.arange(2 * 64).view(2, 1, 8, 8) % 7 * 30).to(torch.uint8)
    start = CnnWeights.initial([0], channels=1, width=8, classes=2)
    network = Cnns(PictureViews.standardized(pixels), start, dropout=0.0, strong_noise=BOTH)
    with torch.no_grad():
        network.weights.out.copy_(0.01 * torch.arange(start.out.numel()).view_as(start.out))
    inputs = network.inputs(torch.tensor([[0, 1]]), "strong", None)
    noisy = network.copy().classify(inputs, Stream([0], UNLABELED), "strong")
    assert not torch.allclose(noisy, network.classify(inputs, None), rtol=1e-3)


def test_settings_name_it_in_the_strong_view_and_nowhere_else(bench: Bench) -> None:
    views = Views(strong=["word_dropout", {"name": "noise", "scale": 0.3}, {"name": "noise", "scale": 0.4}])
    assert (views.feature_noise, views.parameter_noise) == (pytest.approx(0.5), 0)
    assert [change.name for change in views.strong_examples] == ["word_dropout"]
    assert Views(strong=["parameter_noise"]).parameter_noise == 0.05
    for settings in ({"weak": ["noise"]}, {"weak": ["parameter_noise"]}):
        with pytest.raises(InputError, match="expected"):
            Views(**settings)
    with pytest.raises(InputError, match="expected"):
        SelfTraining(noise=["noise"])
    # a small network without dropout has two views by it, and would be refused without
    settings = {"model": "none", "algorithm": "fixmatch", "dropout": 0, "steps": 5, "views": {"strong": ["noise"]}}
    texts, labels = [str(row) for row in range(ROWS)], bench.classes[:20].numpy()
    student = MlpClassifier(
        Mlp(**settings), features=lambda examples: bench.features[[int(str(row)) for row in examples]]
    )
    student.fit(texts[:20], labels, unlabeled=texts[20:])
    assert student.report is not None
