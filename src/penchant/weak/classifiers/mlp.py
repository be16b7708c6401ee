"""A small network on a model's activations: what semi-supervised algorithms train within seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors

from penchant.arguments import excerpt
from penchant.errors import InputError
from penchant.losses.weak import surest_labels
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.weak.augmentation.settings import Augmentation, Views
from penchant.weak.augmentation.texts import augment
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.vectors import Vector
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    from_anywhere,
    marks_of,
    read_kind,
    read_learned,
    refuse_one_class,
    width_of,
    write_kind,
)
from penchant.weak.networks.heads import AttributeHead, FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network, StrongNoise
from penchant.weak.semi_supervised.arms import Arm, network_arms
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import ConfidentLearning, SelfTraining
from penchant.weak.settings import Mlp

WEIGHTS = "mlp.safetensors"
STRONG_SEED = 1_000_003
"""Added to the seed of the strong view's copies, so that they share no draw with the weak view's."""


class MlpClassifier:
    """A network with one hidden layer on a model's activations, trained by the settings' algorithm.

    Args:
        features: examples to features of shape (examples, features); the settings' model if not given.
        names: of the classes, kept with what is saved. loss: on the targets.
        seed: fixes start, order, noise and augmentations.
        vectors: what says attributes of rows, for the algorithm `label_vectors`.

    Attributes:
        report: what the algorithm made of unlabelled rows; None where it uses none.
    """

    def __init__(
        self,
        settings: Mlp,
        *,
        features: Callable[[Sequence[Example]], torch.Tensor] | None = None,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
        seed: int = 0,
        vectors: Sequence[Vector] = (),
    ) -> None:
        self.vectors = tuple(vectors)
        self.settings, self.loss, self.seed = settings, loss or CrossEntropy(), seed
        self.features = features or ModelFeatures(settings.model, settings.layer, dtype=settings.dtype)
        self.names = tuple(names) if names else None
        self.learned_marks: frozenset[str] = frozenset()
        self.report: UnlabeledReport | None = None
        self._weights: HeadWeights | None = None
        self._scaling: tuple[torch.Tensor, torch.Tensor] | None = None

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        """Fit as `Classifier.fit` says; features are standardized over all rows, those without labels too."""
        if width_of(examples):
            raise InputError("a small network reads single examples, and these are prompts with options: take a probe")
        soft = as_probabilities(targets, len(examples), classes)
        weighted = drop_weightless(examples, soft, weights)
        refuse_one_class(weighted.targets)
        settings, without_label = self.settings, list(unlabeled or ())
        rows, count = [*weighted.examples, *without_label], len(weighted.examples)
        views = self._views(rows)
        labels, row_weights = torch.as_tensor(weighted.targets), torch.as_tensor(weighted.weights)
        # where only some labels are kept the others' rows have lost theirs, and those that kept it have two views too
        share = settings.confident_share
        is_kept = torch.ones(count, dtype=torch.bool) if share is None else surest_labels(labels, share)
        first_unlabeled = count if share is None else 0
        arm = Arm(
            self.seed,
            is_kept.nonzero().squeeze(1),
            labels[is_kept],
            torch.arange(first_unlabeled, count + len(without_label)),
            weights=row_weights[is_kept],
            loss=self.loss,
            vectors=tuple(torch.as_tensor(vector.predict_proba(rows)) for vector in self.vectors),
        )
        algorithm = settings.algorithm
        if isinstance(algorithm, SelfTraining | ConfidentLearning):
            raise InputError(f"{algorithm.name} trains several networks: make the classifier by `make_classifier`")
        arms = network_arms(algorithm, [arm])
        # of the same seed every algorithm starts from the same weights
        seeds, width = [network_arm.seed for network_arm in arms], settings.hidden
        start = HeadWeights.initial(seeds, features=views.weak.shape[-1], width=width, classes=soft.shape[1])
        attributes = AttributeHead.initial(seeds, width, [vector.shape[1] for vector in arm.vectors])
        steps = Steps(settings.steps, settings.batch_size, settings.learning_rate, settings.weight_decay)
        strong_noise = StrongNoise(settings.views.feature_noise, settings.views.parameter_noise)
        network = Heads(views, start, dropout=settings.dropout, attributes=attributes, strong_noise=strong_noise)
        trained = train_arms(network, algorithm, arms, steps)
        # a saved network has to scale what it is asked about as it scaled what it learned
        self._weights, self._scaling = _weights_of(trained.network), (views.mean, views.scale)
        self.report = trained.reports[0] if trained.reports else None
        # what it saw without a label it knows too: it must not be asked about these later
        self.learned_marks = frozenset(marks_of(rows))
        return self

    def _views(self, examples: Sequence[Example]) -> FeatureViews:
        """Return the features of examples in both views."""
        plain, views = self._finite_features(examples), self.settings.views
        weak = self._copies(examples, views.weak, self.seed, views)
        return FeatureViews.standardized(
            plain, weak, self._copies(examples, views.strong_examples, self.seed + STRONG_SEED, views)
        )

    def _copies(
        self, examples: Sequence[Example], augmentations: Sequence[Augmentation], seed: int, views: Views
    ) -> torch.Tensor | None:
        """Return features of augmented copies, shape (copies, examples, features); None without augmentations."""
        # the rows as they are, whose features are there already
        if not augmentations:
            return None
        copies = [augment(examples, augmentations, seed + number) for number in range(views.copies)]
        # in one list: features of examples that copies share are computed once
        features = self._finite_features([example for copy in copies for example in copy])
        return features.view(len(copies), len(examples), -1)

    def _finite_features(self, examples: Sequence[Example]) -> torch.Tensor:
        """Return features, shape (examples, features); refuse numbers that are not finite, and name the first example.

        In training they would be a loss that is not finite, which no learning rate helps.
        """
        features = self.features(examples)
        # row by row, since one text out of thousands may be what breaks a model in half precision
        is_bad = ~torch.isfinite(features).all(-1)
        if is_bad.any():
            raise InputError(
                f"the features of {int(is_bad.sum())} of {len(examples)} examples are not finite, the first is "
                f"{excerpt(examples[int(is_bad.int().argmax())])}: the model gives no numbers for it, at this layer "
                "and in this precision"
            )
        return features

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says; where several networks were trained, by their mean.

        Raises:
            InputError: it was not fitted, prompts with options, or features that are not finite.
        """
        if self._weights is None or self._scaling is None:
            raise InputError(FITTED_FIRST)
        if not examples:
            return np.zeros((0, self._weights.out_bias.shape[1]))
        if width_of(examples):
            raise InputError("this network learned from single examples: prompts with options are of the other kind")
        mean, scale = self._scaling
        inputs = ((self.features(examples).float() - mean) / scale).expand(len(self._weights.out_bias), -1, -1)
        with torch.no_grad():
            probabilities = self._weights.logits(inputs, None, 0.0).double().softmax(-1).mean(0).numpy()
        if not np.isfinite(probabilities).all():
            raise InputError(
                f"the features of {int((~np.isfinite(probabilities)).any(-1).sum())} examples are not finite"
            )
        return np.asarray(probabilities)

    def save(self, folder: str | Path) -> None:
        """Write the network as `Classifier.save` says; the model is named, not written.

        Raises:
            InputError: the features are a function of one's own.
        """
        if self._weights is None or self._scaling is None:
            raise InputError(FITTED_FIRST)
        if not isinstance(self.features, ModelFeatures):
            raise InputError("a network on features of your own cannot be saved: nobody could compute them again")
        features = replace(self.features.settings, model=from_anywhere(self.features.settings.model))
        # safetensors takes contiguous tensors only
        parts = {name: part.detach().contiguous() for name, part in vars(self._weights).items()}
        parts |= dict(zip(("mean", "scale"), self._scaling, strict=True))
        settings = self.settings.model_copy(update={"model": features.model}).model_dump(mode="json")
        content = {"names": self.names, "settings": settings, **asdict(features)}
        write_kind(Path(folder), "mlp", content, self.learned_marks, {WEIGHTS: save_tensors(parts)})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what `save` wrote."""
        path = Path(folder)
        content, parts = read_kind(path), load_file(path / WEIGHTS)
        names = ("model", "layer", "dtype", "longest")
        features = ModelFeatures(**{name: content[name] for name in names})
        classifier = cls(Mlp(**content["settings"]), features=features, names=content["names"])
        # what is left of the parts are the weights by their names
        classifier._scaling = parts.pop("mean"), parts.pop("scale")
        classifier._weights = HeadWeights(**parts)
        classifier.learned_marks = read_learned(path)
        return classifier


def _weights_of(network: Network) -> HeadWeights:
    """Return the weights of the task's head that was trained, detached; those of attributes have done their part."""
    assert isinstance(network, Heads)
    return HeadWeights(**{name: part.detach() for name, part in vars(network.weights).items()})
