"""A small convolutional network from scratch as a classifier of pictures; it learns from unlabelled ones too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor

from penchant.errors import InputError
from penchant.image import Image
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.weak.augmentation.images import stack_images
from penchant.weak.augmentation.pixels import augment_pixels
from penchant.weak.augmentation.settings import Augmentation, ImageAugmentation
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    marks_of,
    only_images,
    read_kind,
    read_learned,
    refuse_bare_example,
    refuse_one_class,
    width_of,
    write_kind,
)
from penchant.weak.networks.cnn import ChangePixels, Cnns, CnnWeights, PictureViews, standardize
from penchant.weak.networks.network import Network, StrongNoise
from penchant.weak.semi_supervised.arms import Arm, network_arms
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import ConfidentLearning, SelfTraining
from penchant.weak.settings import Cnn

WEIGHTS = "cnn.safetensors"
READER = "a convolutional network"
PASS = 256  # pictures that are classified at once


class CnnClassifier:
    """A network of three convolutions, trained from scratch by the settings' algorithm.

    Args:
        names: of the classes, kept with what is saved. loss: on the targets.
        seed: fixes start, order, noise and augmentations.

    Attributes:
        report: what the algorithm made of unlabelled rows; None where it uses none.
    """

    def __init__(
        self, settings: Cnn, *, names: Sequence[str] | None = None, loss: WeakLoss | None = None, seed: int = 0
    ) -> None:
        self.settings, self.loss, self.seed = settings, loss or CrossEntropy(), seed
        self.names = tuple(names) if names else None
        self.learned_marks: frozenset[str] = frozenset()
        self.report: UnlabeledReport | None = None
        self._weights: CnnWeights | None = None
        self._scaling: tuple[Tensor, Tensor] | None = None
        self._size: tuple[int, int] | None = None

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
        """Fit as `Classifier.fit` says; pixels are standardized over all pictures, those without labels too."""
        _refuse_others(examples)
        soft = as_probabilities(targets, len(examples), classes)
        weighted = drop_weightless(examples, soft, weights)
        refuse_one_class(weighted.targets)
        images = only_images([*weighted.examples, *(unlabeled or ())], READER)
        settings, count = self.settings, len(weighted.examples)
        pixels = stack_images(images, settings.size)
        views = PictureViews.standardized(
            pixels, change_of(settings.views.weak, "weak"), change_of(settings.views.strong_examples, "strong")
        )
        arm = Arm(
            self.seed,
            torch.arange(count),
            torch.as_tensor(weighted.targets),
            torch.arange(count, len(images)),
            weights=torch.as_tensor(weighted.weights),
            loss=self.loss,
        )
        algorithm = settings.algorithm
        # these hold classifiers, and are made around this one
        if isinstance(algorithm, SelfTraining | ConfidentLearning):
            raise InputError(f"{algorithm.name} trains several networks: make the classifier by `make_classifier`")
        # two for an algorithm with twins, whose predictions are averaged
        arms = network_arms(algorithm, [arm])
        # of the same seed every algorithm starts from the same weights
        start = CnnWeights.initial(
            [network_arm.seed for network_arm in arms],
            channels=pixels.shape[1],
            width=settings.width,
            classes=soft.shape[1],
        )
        steps = Steps(settings.steps, settings.batch_size, settings.learning_rate, settings.weight_decay)
        strong_noise = StrongNoise(settings.views.feature_noise, settings.views.parameter_noise)
        network = Cnns(views, start, dropout=settings.dropout, strong_noise=strong_noise)
        trained = train_arms(network, algorithm, arms, steps)
        self._weights, self._scaling = _weights_of(trained.network), (views.mean, views.scale)
        self._size = (pixels.shape[-1], pixels.shape[-2])
        self.report = trained.reports[0] if trained.reports else None
        # what it saw without a label it knows too: it must not be asked about these later
        self.learned_marks = frozenset(marks_of(images))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says; where several networks were trained, by their mean.

        Raises:
            InputError: it was not fitted, examples that are no pictures, or pictures of another size.
        """
        if self._weights is None or self._scaling is None:
            raise InputError(FITTED_FIRST)
        refuse_bare_example(examples)
        if not examples:
            return np.zeros((0, self._weights.out_bias.shape[1]))
        _refuse_others(examples)
        images = only_images(examples, READER)
        self._check_size(images)
        pixels = stack_images(images, self.settings.size, channels=self._weights.first.shape[2])
        with torch.no_grad():
            passes = [self._probabilities(part) for part in pixels.split(PASS)]
        return np.asarray(torch.cat(passes).numpy())

    def _probabilities(self, pixels: Tensor) -> Tensor:
        assert self._weights is not None
        assert self._scaling is not None
        inputs = standardize(pixels.float() / 255, *self._scaling)
        return (
            self._weights.logits(inputs.expand(len(self._weights.out), *inputs.shape), None, 0.0)
            .double()
            .softmax(-1)
            .mean(0)
        )

    def _check_size(self, images: Sequence[Image]) -> None:
        """Refuse pictures of another size than those that it learned from, where none is set to bring them to."""
        other = next((image for image in images if image.size != self._size), None)
        if self.settings.size is None and other is not None and self._size is not None:
            raise InputError(
                f"{other.name} has {other.size[0]} x {other.size[1]} pixels, and this network learned from pictures of "
                f"{self._size[0]} x {self._size[1]}: fit it with `size`, to which all are brought"
            )

    def save(self, folder: str | Path) -> None:
        """Write the network as `Classifier.save` says."""
        if self._weights is None or self._scaling is None:
            raise InputError(FITTED_FIRST)
        # safetensors takes contiguous tensors only
        parts = {name: part.detach().contiguous() for name, part in vars(self._weights).items()}
        parts |= dict(zip(("mean", "scale"), self._scaling, strict=True))
        content = {"names": self.names, "settings": self.settings.model_dump(mode="json"), "size": self._size}
        write_kind(Path(folder), "cnn", content, self.learned_marks, {WEIGHTS: save_tensors(parts)})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what `save` wrote."""
        path = Path(folder)
        content, parts = read_kind(path), load_file(path / WEIGHTS)
        classifier = cls(Cnn(**content["settings"]), names=content["names"])
        # what is left of the parts are the weights by their names
        classifier._scaling = parts.pop("mean"), parts.pop("scale")
        classifier._weights = CnnWeights(**parts)
        classifier._size = tuple(content["size"])
        classifier.learned_marks = read_learned(path)
        return classifier


def _refuse_others(examples: Sequence[Example]) -> None:
    """Refuse prompts with options and texts."""
    if width_of(examples):
        raise InputError(f"{READER} reads single pictures, and these are prompts with options")
    only_images(examples, READER)


def change_of(augmentations: Sequence[Augmentation], view: str) -> ChangePixels | None:
    """Return what changes a batch; None without augmentations.

    Raises:
        InputError: one of texts or of the user's, which does not work on batches of pixels.
    """
    pictures = [augmentation for augmentation in augmentations if isinstance(augmentation, ImageAugmentation)]
    if len(pictures) < len(augmentations):
        other = next(item for item in augmentations if not isinstance(item, ImageAugmentation))
        name = getattr(other, "label", getattr(other, "name", ""))
        raise InputError(
            f"`views.{view}` has {name}, which is none of the changes of pictures that a network makes at each step: "
            "shift, flip, random_crop, cutout, rand_augment; in the strong view also noise and parameter_noise"
        )
    return (lambda pixels, stream: augment_pixels(pixels, pictures, stream)) if pictures else None


def _weights_of(network: Network) -> CnnWeights:
    """Return the weights of networks that were trained, detached."""
    assert isinstance(network, Cnns)
    return CnnWeights(**{name: part.detach() for name, part in vars(network.weights).items()})
