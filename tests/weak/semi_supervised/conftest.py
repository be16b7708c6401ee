"""Rows of two classes that a small head can learn from few labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.loop import Steps, TrainedArms, train_arms
from penchant.weak.semi_supervised.settings import Algorithm

ROWS, FEATURES = 240, 12


@dataclass(frozen=True)
class Bench:
    """Rows of two clouds: the first 6 are labelled, those from 120 on are tests."""

    features: Tensor
    classes: Tensor

    def arm(self, seed: int, *, labeled: int = 6, unlabeled: bool = True) -> Arm:
        rows = torch.arange(labeled)
        others = torch.arange(labeled, 120) if unlabeled else torch.empty(0, dtype=torch.long)
        return Arm(seed, rows, torch.eye(2)[self.classes[:labeled]], others)

    def heads(self, seeds: Sequence[int], *, dropout: float = 0.5, strong: Tensor | None = None) -> Heads:
        views = FeatureViews.standardized(self.features, strong=strong)
        weights = HeadWeights.initial(seeds, features=FEATURES, width=16, classes=2)
        return Heads(views, weights, dropout=dropout)

    def train(
        self, algorithm: Algorithm, seeds: Sequence[int] = (0,), *, count: int = 60, **arm: int | bool
    ) -> TrainedArms:
        arms = [self.arm(seed, **arm) for seed in seeds]  # type: ignore[arg-type]
        return train_arms(self.heads(seeds), algorithm, arms, Steps(count, 16, 5e-3, 0.01))

    def accuracy(self, network: Network) -> Tensor:
        tests = torch.arange(120, ROWS).expand(network.arms, -1)
        with torch.no_grad():
            logits = network.classify(network.inputs(tests, "weak", None), None)
        return (logits.argmax(-1) == self.classes[120:]).float().mean(-1)


@pytest.fixture(scope="package")
def bench() -> Bench:
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(ROWS) % 2
    features = torch.randn(ROWS, FEATURES, generator=generator)
    features[:, :6] += (classes[:, None] * 2 - 1) * 0.9
    return Bench(features, classes)


@pytest.fixture
def weights_of() -> Callable[[Network], Tensor]:
    """All weights of a network's arms, shape (arms, weights)."""
    return lambda network: torch.cat([part.detach().flatten(1) for part in network.trained()], 1)
