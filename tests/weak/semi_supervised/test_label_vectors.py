"""Agreement over label vectors: FixMatch at its limit, its controls, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from tests.weak.semi_supervised.conftest import FEATURES, Bench
from torch import Tensor

from penchant.errors import InputError
from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.loop import Steps, TrainedArms, train_arms
from penchant.weak.semi_supervised.settings import FixedThreshold, FixMatch, LabelVectors, Supervised

WeightsOf = Callable[[Network], Tensor]
STEPS = Steps(40, 16, 5e-3, 0.01)


def _attribute(bench: Bench, columns: slice = slice(0, 3)) -> Tensor:
    """An attribute that three features decide, as a classifier that knows it would put it."""
    score = bench.features[:, columns].sum(-1)
    return torch.stack([-score, score], -1).softmax(-1)


def _train(bench: Bench, settings: LabelVectors, vectors: Sequence[Tensor], seeds: Sequence[int] = (0,)) -> TrainedArms:
    arms = [replace(bench.arm(seed), vectors=tuple(vectors)) for seed in seeds]
    widths = tuple(vector.shape[1] for vector in vectors)
    weights = HeadWeights.initial(seeds, features=FEATURES, width=16, classes=2 + sum(widths))
    heads = Heads(FeatureViews.standardized(bench.features), weights, dropout=0.5, attributes=widths)
    return train_arms(heads, settings, arms, STEPS)


def test_without_vectors_it_is_fixmatch_to_the_bit(bench: Bench, weights_of: WeightsOf) -> None:
    fixmatch = FixMatch(threshold=FixedThreshold(threshold=0.8))
    reference = train_arms(bench.heads((0,)), fixmatch, [bench.arm(0)], STEPS)
    trained = _train(bench, LabelVectors(threshold=0.8), [])
    assert torch.equal(weights_of(trained.network), weights_of(reference.network))
    assert trained.reports == reference.reports


def test_vectors_change_what_is_learned_and_their_controls_differ(bench: Bench, weights_of: WeightsOf) -> None:
    vectors = [_attribute(bench), _attribute(bench, slice(6, 9))]
    cases = {
        "vectors": LabelVectors(),
        "shuffled": LabelVectors(shuffle=True),
        "no classifiers": LabelVectors(supervisor_weight=0.0),
        "nothing": LabelVectors(weight=0.0, supervisor_weight=0.0),
    }
    found = {name: weights_of(_train(bench, settings, vectors).network) for name, settings in cases.items()}
    names = list(found)
    for number, name in enumerate(names):
        for other in names[number + 1 :]:
            assert not torch.allclose(found[name], found[other], atol=1e-4), (name, other)


def test_at_weight_zero_the_tasks_head_is_that_of_supervised_training(bench: Bench) -> None:
    """With heads that train on nothing: only weight decay moves theirs."""
    vectors, settings = [_attribute(bench)], LabelVectors(weight=0.0, supervisor_weight=0.0)
    network = _train(bench, settings, vectors).network
    weights = HeadWeights.initial((0,), features=FEATURES, width=16, classes=4)
    heads = Heads(FeatureViews.standardized(bench.features), weights, dropout=0.5, attributes=(2,))
    supervised = train_arms(heads, Supervised(), [bench.arm(0)], STEPS).network
    for one, other in zip(network.trained(), supervised.trained(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_an_attributes_head_learns_its_classifier(bench: Bench) -> None:
    vector = _attribute(bench)
    arms = [replace(bench.arm(0), vectors=(vector,))]
    weights = HeadWeights.initial((0,), features=FEATURES, width=16, classes=4)
    heads = Heads(FeatureViews.standardized(bench.features), weights, dropout=0.5, attributes=(2,))
    train_arms(heads, LabelVectors(), arms, Steps(200, 16, 1e-2, 0.01))
    tests = torch.arange(120, 240)[None]
    with torch.no_grad():
        _, attribute = heads.every_head(heads.inputs(tests, "weak", None), None)
    assert float((attribute[0].argmax(-1) == vector[120:].argmax(-1)).float().mean()) > 0.85


def test_arms_train_among_others_as_alone(bench: Bench, weights_of: WeightsOf) -> None:
    vectors, settings = [_attribute(bench)], LabelVectors(shuffle=True)
    together = weights_of(_train(bench, settings, vectors, (3, 4)).network)
    for number, seed in enumerate((3, 4)):
        alone = weights_of(_train(bench, settings, vectors, (seed,)).network)[0]
        torch.testing.assert_close(together[number], alone, atol=2e-5, rtol=1e-4)


def test_a_network_without_heads_for_them_is_refused(bench: Bench) -> None:
    arm = replace(bench.arm(0), vectors=(_attribute(bench),))
    with pytest.raises(InputError, match="a head for each of them"):
        train_arms(bench.heads((0,)), LabelVectors(), [arm], STEPS)
