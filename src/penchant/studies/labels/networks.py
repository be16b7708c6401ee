"""Networks of a cell, one for each seed, side by side: their start, and what they say of rows and of tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from penchant.studies.labels.stored import PLAIN, STRONG, WEAK, StoredRows
from penchant.weak.classifiers.cnn import change_of
from penchant.weak.networks.cnn import Cnns, CnnWeights, PictureViews, standardize
from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network, StrongNoise
from penchant.weak.semi_supervised.loop import Steps
from penchant.weak.settings import Cnn, Mlp

AT_ONCE = 4096
"""Inputs of all networks that are classified in one pass."""


class Networks(Protocol):
    """Makes the networks of a cell on a task's rows.

    Attributes:
        rows: to learn from, then to test on. steps: how every method trains.
    """

    rows: StoredRows
    steps: Steps

    def start(self, seeds: Sequence[int], changes: dict[str, object] | None = None) -> Network:
        """Return networks at their start, one for each seed; the same seed starts alike whatever the method.

        Args:
            changes: settings in condition of the cell's, such as `hidden`.
        """

    def inputs(self, rows: Tensor) -> Tensor:
        """Return what `classify` takes of rows as they are, shape (..., inputs); rows count over all of the task."""

    def features(self) -> Tensor:
        """Return numbers of every row as they are, for a linear classifier, shape (rows, features)."""


class TextNetworks:
    """Small networks on features of texts.

    Args:
        features: the folder of the stage of features.
    """

    def __init__(self, settings: Mlp, rows: StoredRows, features: Path) -> None:
        self.settings, self.rows, self.steps = settings, rows, steps_of(settings)
        # float32, though models give half of that: networks train in it
        self._plain = _load(features / PLAIN)
        # a view without a file is the text as it is
        views = {
            name: _load(features / file)
            for name, file in (("weak", WEAK), ("strong", STRONG))
            if (features / file).is_file()
        }
        # by the rows to learn from alone: nothing of the tests is known in training
        self._views = FeatureViews.standardized(self._plain[: rows.train], views.get("weak"), views.get("strong"))

    def start(self, seeds: Sequence[int], changes: dict[str, object] | None = None) -> Network:
        """Return heads at their start, as `Networks.start` says."""
        settings = self.settings.replace(**(changes or {}))
        # by the seed alone: every method starts from the same weights
        weights = HeadWeights.initial(
            seeds, features=self._plain.shape[1], width=settings.hidden, classes=self.rows.classes
        )
        return Heads(self._views, weights, dropout=settings.dropout, strong_noise=_strong_noise(settings))

    def inputs(self, rows: Tensor) -> Tensor:
        """Return standardized features, as `Networks.inputs` says."""
        # as the rows to learn from were scaled, whatever the tests look like
        return (self._plain[rows] - self._views.mean) / self._views.scale

    def features(self) -> Tensor:
        """Return the features as they are."""
        return self._plain


class PictureNetworks:
    """Small convolutional networks on pictures."""

    def __init__(self, settings: Cnn, rows: StoredRows) -> None:
        self.settings, self.rows, self.steps = settings, rows, steps_of(settings)
        self._pixels = rows.pixels()
        self._views = PictureViews.standardized(
            self._pixels[: rows.train],
            change_of(settings.views.weak, "weak"),
            change_of(settings.views.strong_examples, "strong"),
        )

    def start(self, seeds: Sequence[int], changes: dict[str, object] | None = None) -> Network:
        """Return networks at their start, as `Networks.start` says."""
        settings = self.settings.replace(**(changes or {}))
        # by the seed alone, as above
        weights = CnnWeights.initial(
            seeds, channels=self._pixels.shape[1], width=settings.width, classes=self.rows.classes
        )
        return Cnns(self._views, weights, dropout=settings.dropout, strong_noise=_strong_noise(settings))

    def inputs(self, rows: Tensor) -> Tensor:
        """Return standardized pixels, as `Networks.inputs` says."""
        return standardize(self._pixels[rows].float() / 255, self._views.mean, self._views.scale)

    def features(self) -> Tensor:
        """Return pixels from 0 to 1 in one row each."""
        return self._pixels.flatten(1).float() / 255


def steps_of(settings: Mlp | Cnn) -> Steps:
    """Return how a network trains."""
    return Steps(settings.steps, settings.batch_size, settings.learning_rate, settings.weight_decay)


def probabilities(networks: Networks, network: Network, rows: Tensor, twins: int = 1) -> Tensor:
    """Return what networks say of rows as they are, shape (arms / twins, rows, classes).

    Args:
        rows: over all rows of the task, shape (rows,), or (arms / twins, rows) where each arm has its own.
        twins: networks that lie side by side and predict by their mean.
    """
    # all networks of a pass see as many rows, so that many seeds take no more memory
    size = max(1, AT_ONCE // network.arms)
    parts = []
    with torch.no_grad():
        for some_rows in rows.split(size, -1):
            # no noise and no augmentation: this is what the network says
            inputs = networks.inputs(some_rows)
            inputs = (
                inputs.repeat_interleave(twins, 0) if rows.ndim == 2 else inputs.expand(network.arms, *inputs.shape)
            )
            predicted = network.classify(inputs, None).softmax(-1)
            parts.append(predicted.view(-1, twins, *predicted.shape[1:]).mean(1))
    return torch.cat(parts, 1)


def _load(file: Path) -> Tensor:
    return torch.from_numpy(np.load(file, allow_pickle=False))


def _strong_noise(settings: Mlp | Cnn) -> StrongNoise:
    """Return the noise of the strong view, which no stored copy of a row can hold."""
    return StrongNoise(settings.views.feature_noise, settings.views.parameter_noise)
