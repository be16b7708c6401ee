"""A linear probe of a model's activations as a classifier of texts, or of which of two options is the right one."""

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

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.types import PromptGroup, prompt_text
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.probe_fit import STEPS, Probes, fit_probes
from penchant.weak.classifiers.shrinkage import settle_l2
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
    refuse_bare_example,
    refuse_one_class,
    refuse_unlabeled,
    width_of,
    write_kind,
)
from penchant.weak.settings import Shrinkage

PROBE = "probe.safetensors"


class ProbeClassifier:
    """A linear probe of a model's activations for a text, or of their difference between two options.

    Args:
        features: examples to features of shape (examples, features), such as `ModelFeatures`.
        names: of the classes, kept with what is saved.
        loss: on the targets; its own predictions may be part of what it learns from.
        l2: its shrinkage; `auto` chooses one by cross-entropy on a fifth of the targets, see
            `penchant.weak.classifiers.shrinkage`. After `fit`, `chosen_l2` says which.
        seed: fixes which rows choose.
    """

    def __init__(
        self,
        features: Callable[[Sequence[Example]], torch.Tensor],
        *,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
        l2: Shrinkage = "auto",
        steps: int = STEPS,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.names = tuple(names) if names else None
        self.loss, self.l2, self.steps, self.seed = loss or CrossEntropy(), l2, steps, seed
        self.probes: Probes | None = None
        self.chosen_l2: float | None = None
        self.learned_marks: frozenset[str] = frozenset()
        self.compares = False

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
        groups: Sequence[str] | None = None,
    ) -> Self:
        """Fit as `Classifier.fit` says; a probe converges, so nothing stops early and a validation is not looked at.

        Args:
            groups: what related examples share: they are held out together where `l2` is chosen. By default options of
                the same prompt belong together, and every text stands alone.
        """
        options = width_of(examples)
        refuse_unlabeled(unlabeled, "a probe")
        soft = as_probabilities(targets, len(examples), classes or options or None)
        if groups is None and options:
            # pairs of one prompt are related: held out apart, they would choose by what was learned
            groups = [prompt_text(example.prompt) for example in examples if isinstance(example, PromptGroup)]
        if groups is not None and len(groups) != len(examples):
            raise InputError(f"there must be a group for each example, got {len(groups)} for {len(examples)}")
        weighted = drop_weightless(examples, soft, weights)
        if not options:  # of two options the first may always be the right one
            refuse_one_class(weighted.targets)
        if groups is not None:
            groups = [groups[row] for row in weighted.indices.tolist()]
        features = self.features(weighted.examples)
        # by the labels that it learns from alone: of a student the weak ones, so no truth has a say
        l2 = settle_l2(
            self.l2,
            features,
            weighted.targets,
            steps=self.steps,
            seed=self.seed,
            groups=groups,
            weights=weighted.weights,
        )
        # as one probe of a batch: `fit_probes` trains any number at once
        targets, row_weights = torch.as_tensor(weighted.targets)[None], torch.as_tensor(weighted.weights)[None]
        self.probes = fit_probes(features, targets, [self.loss], weights=row_weights, l2=l2, steps=self.steps)
        self.compares, self.chosen_l2 = bool(options), l2
        self.learned_marks = frozenset(marks_of(weighted.examples))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says.

        Raises:
            InputError: it was not fitted, examples of the other kind, or features that are not finite.
        """
        if self.probes is None:
            raise InputError(FITTED_FIRST)
        refuse_bare_example(examples)
        if not examples:
            return np.zeros((0, self.probes.bias.shape[1]))
        # features of a text and of a difference have the same shape, so nothing else would tell
        if bool(width_of(examples)) != self.compares:
            kind = "prompts with two options" if self.compares else "single texts"
            raise InputError(f"this probe learned from {kind}, and these examples are of the other kind")
        probabilities = self.probes.predict_proba(self.features(examples))[0].double().numpy()
        if not np.isfinite(probabilities).all():
            raise InputError(
                f"the features of {int((~np.isfinite(probabilities)).any(-1).sum())} examples are not finite"
            )
        return probabilities

    def save(self, folder: str | Path) -> None:
        """Write the probe as `Classifier.save` says; the model is named, not written.

        Raises:
            InputError: the features are a function of one's own.
        """
        if self.probes is None:
            raise InputError(FITTED_FIRST)
        if not isinstance(self.features, ModelFeatures):
            raise InputError("a probe of features of your own cannot be saved: nobody could compute them again")
        settings = replace(self.features.settings, model=from_anywhere(self.features.settings.model))
        # safetensors takes contiguous tensors only
        weights = save_tensors({name: part.contiguous() for name, part in vars(self.probes).items()})
        content = {"names": self.names, "compares": self.compares, "l2": self.chosen_l2, **asdict(settings)}
        write_kind(Path(folder), "probe", content, self.learned_marks, {PROBE: weights})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what `save` wrote."""
        path = Path(folder)
        content = read_kind(path)
        names = ("model", "layer", "dtype", "longest")
        # keys that an earlier version did not write take the defaults of today, which were its behaviour
        features = ModelFeatures(**{name: content[name] for name in names if name in content})
        classifier = cls(features, names=content["names"])
        classifier.probes, classifier.compares = Probes(**load_file(path / PROBE)), content["compares"]
        classifier.chosen_l2 = content.get("l2")  # version 0.3 did not write it
        classifier.learned_marks = read_learned(path)
        return classifier
