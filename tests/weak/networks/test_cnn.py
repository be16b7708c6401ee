"""Convolutional networks of several arms: each as if alone, with views that differ and noise that is drawn."""

from __future__ import annotations

import pytest
import torch

from penchant.weak.augmentation.pixels import augment_pixels
from penchant.weak.augmentation.settings import Cutout, RandAugment, Shift
from penchant.weak.networks.cnn import Cnns, CnnWeights, PictureViews
from penchant.weak.networks.network import Network
from penchant.weak.networks.streams import LABELED, Stream
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.settings import FixedThreshold, FixMatch, MeanTeacher, Supervised

ROWS = 30


def _views(augmented: bool = True, channels: int = 1, side: int = 8) -> PictureViews:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (ROWS, channels, side, side), generator=generator, dtype=torch.uint8)
    if not augmented:
        return PictureViews.standardized(pixels)
    weak, strong = (Shift(),), (Shift(), RandAugment(), Cutout())
    return PictureViews.standardized(
        pixels, lambda p, stream: augment_pixels(p, weak, stream), lambda p, stream: augment_pixels(p, strong, stream)
    )


def _network(seeds: list[int], views: PictureViews, dropout: float = 0.2) -> Cnns:
    weights = CnnWeights.initial(seeds, channels=views.pixels.shape[1], width=8, classes=3)
    return Cnns(views, weights, dropout=dropout)


def _arms(seeds: list[int]) -> list[Arm]:
    targets = torch.eye(3)[torch.arange(12) % 3]
    return [Arm(seed, torch.arange(12), targets, torch.arange(12, ROWS)) for seed in seeds]


def _logits(network: Network) -> torch.Tensor:
    rows = torch.arange(ROWS).expand(network.arms, -1)
    with torch.no_grad():
        return network.classify(network.inputs(rows, "weak", None), None)


@pytest.mark.parametrize(
    "algorithm", [Supervised(), MeanTeacher(), FixMatch(threshold=FixedThreshold(threshold=0.4))], ids=lambda a: a.name
)
def test_arms_of_one_pass_are_arms_alone(algorithm: Supervised | MeanTeacher | FixMatch) -> None:
    views, seeds = _views(channels=3), [4, 9, 2]
    together = train_arms(_network(seeds, views), algorithm, _arms(seeds), Steps(6, 8, 3e-3, 0.01))
    for number, seed in enumerate(seeds):
        alone = train_arms(_network([seed], views), algorithm, _arms([seed]), Steps(6, 8, 3e-3, 0.01))
        torch.testing.assert_close(_logits(together.network)[number], _logits(alone.network)[0], atol=1e-4, rtol=1e-4)
    start = _logits(_network(seeds, views))
    assert float((_logits(together.network) - start).abs().max()) > 0.01


def test_fixmatch_with_an_empty_mask_is_supervised_training_to_the_bit() -> None:
    views, steps = _views(), Steps(5, 8, 3e-3, 0.01)
    empty = FixMatch(threshold=FixedThreshold(threshold=1.1))
    masked = train_arms(_network([0], views), empty, _arms([0]), steps)
    supervised = train_arms(_network([0], views), Supervised(), _arms([0]), steps)
    assert torch.equal(_logits(masked.network), _logits(supervised.network))
    assert masked.reports[0].mask_rate == 0


def test_views_and_noise() -> None:
    network, rows = _network([0], _views()), torch.arange(ROWS)[None]
    plain = network.inputs(rows, "weak", None)
    assert plain.shape == (1, ROWS, 1, 8, 8)
    assert float(plain.mean()) == pytest.approx(0, abs=1e-5)
    assert float(plain.std()) == pytest.approx(1, abs=1e-3)
    weak, again, strong = (network.inputs(rows, view, Stream([0], LABELED)) for view in ("weak", "weak", "strong"))
    assert torch.equal(weak, again)
    assert not torch.equal(weak, plain)
    assert not torch.equal(weak, strong)
    # no view and no noise of its own: an algorithm that compares views refuses it
    bare = _network([0], _views(augmented=False), dropout=0.0)
    assert (bare.has_views, bare.has_noise) == (False, False)
    assert torch.equal(bare.inputs(rows, "strong", Stream([0], LABELED)), plain)


def test_a_copy_has_weights_of_its_own_and_small_pictures_have_enough_pixels() -> None:
    network = _network([0], _views(side=2))
    twin = network.copy()
    with torch.no_grad():
        network.weights.out_bias.add_(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.isfinite(_logits(network)).all()
    assert not torch.equal(_logits(network), _logits(twin))
    assert twin.views is network.views
