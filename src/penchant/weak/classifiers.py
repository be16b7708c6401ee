"""Classifiers with one contract: what may supervise, what may be supervised. Made from settings, or from a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors

from penchant.digests import DamagedFile
from penchant.errors import InputError, RunError
from penchant.losses.weak_settings import CrossEntropy, Filtered, WeakLoss
from penchant.types import PromptGroup, prompt_text
from penchant.weak.chess_engine import ChessEngineClassifier
from penchant.weak.contract import (
    FITTED_FIRST,
    KIND,
    Classifier,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    from_anywhere,
    marks_of,
    only_texts,
    read_kind,
    read_learned,
    refuse_one_class,
    width_of,
    write_kind,
)
from penchant.weak.features import ModelFeatures
from penchant.weak.language_model import LanguageModelClassifier
from penchant.weak.probe import STEPS, Probes, fit_probes
from penchant.weak.settings import ChessEngine, ClassifierSpec, LanguageModel, Shrinkage, Tfidf
from penchant.weak.shrinkage import settle_l2
from penchant.weak.targets import weak_targets

ESTIMATOR, PROBE = "estimator.skops", "probe.safetensors"


class SklearnClassifier:
    """Any estimator of scikit-learn that takes texts and has `predict_proba`, such as a pipeline.

    Soft targets become weighted examples, one for each class with a probability above 0: for an estimator that
    minimizes a (weighted) log-likelihood that is cross-entropy with these targets.

    Args:
        make: a fresh estimator; default TF-IDF of words, then logistic regression.
        names: of the classes, kept with what is saved.
        loss: cross-entropy or filtered labels; other losses follow the student's own predictions while it learns, which
            an estimator does not show.
    """

    def __init__(
        self,
        make: Callable[[], Any] | None = None,
        *,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
    ) -> None:
        self.make, self.loss = make or tfidf, loss or CrossEntropy()
        self.names = tuple(names) if names else None
        self.estimator: Any = None
        self.learned: frozenset[str] = frozenset()
        self.classes = 0
        if not isinstance(self.loss, CrossEntropy | Filtered):
            raise InputError(f"an estimator of scikit-learn cannot learn with the loss {self.loss.name}")

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        """As `Classifier.fit`; nothing stops early, so a validation is not looked at."""
        texts = only_texts(examples, "an estimator of scikit-learn")
        soft = as_probabilities(targets, len(examples), classes)
        self.classes = soft.shape[1]
        begun = weak_targets(self.loss, torch.as_tensor(soft))
        weighted = (begun.labels * begun.counts[:, None]).numpy()
        refuse_one_class(weighted)
        self.estimator = self.make()
        try:
            _fit(self.estimator, texts, weighted)
        except ValueError as error:  # such as no word that two of the rows have
            self.estimator = None
            raise InputError(f"the estimator cannot learn from these {len(examples)} rows: {error}") from error
        self.learned = frozenset(marks_of(examples))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        if self.estimator is None:
            raise InputError(FITTED_FIRST)
        found = np.zeros((len(examples), self.classes))
        if texts := only_texts(examples, "an estimator of scikit-learn"):
            found[:, self.estimator.classes_] = self.estimator.predict_proba(texts)  # it may have seen fewer
        return found

    def save(self, folder: str | Path) -> None:
        """As `Classifier.save`, by skops: no pickle, so nothing runs when it is opened."""
        from skops import io

        if self.estimator is None:
            raise InputError(FITTED_FIRST)
        content = {"names": self.names, "classes": self.classes}
        write_kind(Path(folder), "sklearn", content, self.learned, {ESTIMATOR: io.dumps(self.estimator)})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What `save` wrote. Raises InputError for a file with types that are not scikit-learn's or numpy's."""
        from skops import io

        place = Path(folder)
        content = read_kind(place)
        if unknown := io.get_untrusted_types(file=place / ESTIMATOR):
            raise InputError(f"{place / ESTIMATOR} holds {', '.join(unknown)}, which are not opened")
        made = cls(names=content["names"])
        made.estimator, made.classes = io.load(place / ESTIMATOR), content["classes"]
        made.learned = read_learned(place)
        return made


class ProbeClassifier:
    """A linear probe of what a model makes of a text, or of the difference between two options.

    Args:
        features: examples to features of shape (examples, features), such as `ModelFeatures`.
        names: of the classes, kept with what is saved.
        loss: on the targets; its own predictions may be part of what it learns from.
        l2: its shrinkage; `auto` chooses one by cross-entropy on a fifth of the targets, see `penchant.weak.shrinkage`.
            After `fit`, `chosen_l2` says which.
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
        self.learned: frozenset[str] = frozenset()
        self.compares = False

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        validation: Validation | None = None,
        classes: int | None = None,
        groups: Sequence[str] | None = None,
    ) -> Self:
        """As `Classifier.fit`; a probe converges, so nothing stops early and a validation is not looked at.

        Args:
            groups: what related examples share: they are held out together where `l2` is chosen. By default options of
                the same prompt belong together, and every text stands alone.
        """
        options = width_of(examples)
        soft = as_probabilities(targets, len(examples), classes or options or None)
        if not options:  # of two options the first may always be the right one
            refuse_one_class(soft)
        features, targets = self.features(examples), torch.as_tensor(soft)[None]
        if groups is None and options:
            groups = [prompt_text(example.prompt) for example in examples if isinstance(example, PromptGroup)]
        if groups is not None and len(groups) != len(examples):
            raise InputError(f"there must be a group for each example, got {len(groups)} for {len(examples)}")
        l2 = settle_l2(self.l2, features, soft, steps=self.steps, seed=self.seed, groups=groups)
        self.probes = fit_probes(features, targets, [self.loss], l2=l2, steps=self.steps)
        self.compares, self.chosen_l2 = bool(options), l2
        self.learned = frozenset(marks_of(examples))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        if self.probes is None:
            raise InputError(FITTED_FIRST)
        if not examples:
            return np.zeros((0, self.probes.bias.shape[1]))
        if bool(width_of(examples)) != self.compares:
            learned = "prompts with two options" if self.compares else "single texts"
            raise InputError(f"this probe learned from {learned}, and these examples are of the other kind")
        found = self.probes.predict_proba(self.features(examples))[0].double().numpy()
        if not np.isfinite(found).all():
            raise InputError(f"the features of {int((~np.isfinite(found)).any(-1).sum())} examples are not finite")
        return found

    def save(self, folder: str | Path) -> None:
        """As `Classifier.save`; the model is named, not written. Raises InputError where features are a function of
        one's own."""
        if self.probes is None:
            raise InputError(FITTED_FIRST)
        if not isinstance(self.features, ModelFeatures):
            raise InputError("a probe of features of your own cannot be saved: nobody could compute them again")
        settings = self.features.settings | {"model": from_anywhere(self.features.settings["model"])}
        weights = save_tensors({name: part.contiguous() for name, part in vars(self.probes).items()})
        content = {"names": self.names, "compares": self.compares, "l2": self.chosen_l2, **settings}
        write_kind(Path(folder), "probe", content, self.learned, {PROBE: weights})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What `save` wrote."""
        place = Path(folder)
        content = read_kind(place)
        known = ("model", "layer", "dtype", "longest")
        features = ModelFeatures(**{name: content[name] for name in known if name in content})
        made = cls(features, names=content["names"])
        made.probes, made.compares = Probes(**load_file(place / PROBE)), content["compares"]
        made.chosen_l2 = content.get("l2")  # version 0.3 did not write it
        made.learned = read_learned(place)
        return made


def make_classifier(
    settings: ClassifierSpec,
    *,
    names: Sequence[str] | None = None,
    loss: WeakLoss | None = None,
    seed: int = 0,
    l2: Shrinkage = "auto",
    steps: int = STEPS,
) -> Classifier:
    """A classifier to fit, as settings describe it.

    Args:
        names: of the classes; label words default to them. loss: on its targets. seed: of what is drawn.
        l2, steps: of a probe.
    """
    if isinstance(settings, Tfidf):
        return SklearnClassifier(names=names, loss=loss)
    if isinstance(settings, ChessEngine):
        return ChessEngineClassifier(settings, names=names)
    if isinstance(settings, LanguageModel):
        return LanguageModelClassifier(settings, names=names, loss=loss, seed=seed)
    features = ModelFeatures(settings.model, settings.layer, dtype=settings.dtype)
    return ProbeClassifier(features, names=names, loss=loss, l2=l2, steps=steps, seed=seed)


def load_classifier(folder: str | Path) -> Classifier:
    """A classifier that was saved. Nothing in the folder is run.

    Raises:
        InputError: the folder holds none, or a damaged one.
    """
    file = Path(folder).expanduser() / KIND
    if not file.is_file():
        raise InputError(f"{folder} holds no classifier (no {KIND}): make one with `penchant weak train`")
    kind = read_kind(file.parent)["kind"]
    kinds: dict[str, Any] = {
        "sklearn": SklearnClassifier,
        "probe": ProbeClassifier,
        "lm": LanguageModelClassifier,
        "engine": ChessEngineClassifier,
    }
    if kind not in kinds:
        raise InputError(f"{file} says {kind!r}; there are classifiers of the kinds {', '.join(kinds)}")
    try:
        loaded: Classifier = kinds[kind].load(file.parent)
    except (InputError, RunError):
        raise
    except Exception as error:  # a damaged folder without digests makes the readers raise many kinds
        raise DamagedFile(f"{folder} cannot be read as a classifier ({error}): put back a good copy") from error
    return loaded


def tfidf() -> Any:
    """TF-IDF of words that at least two rows have, then logistic regression with little shrinkage."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(min_df=2), LogisticRegression(C=10, max_iter=1000))


def _fit(estimator: Any, texts: Sequence[str], weighted: Probabilities) -> None:
    """Fit to weighted examples, one for each class with a weight above 0. What a pipeline makes of texts before its
    last step it learns of each text once: repeated ones would count as several documents.

    Args:
        weighted: targets times how much a text counts, shape (texts, classes).
    """
    used = np.flatnonzero(weighted.any(-1))
    weighted = weighted[used]
    places, columns = np.nonzero(weighted)
    weights = weighted[places, columns]
    named = {} if (weights == 1).all() else {"sample_weight": weights}
    learned = [texts[row] for row in used.tolist()]
    if len(getattr(estimator, "steps", ())) < 2:
        estimator.fit([learned[place] for place in places.tolist()], columns, **named)
        return
    features = estimator[:-1].fit_transform(learned, weighted.argmax(-1))
    estimator.steps[-1][1].fit(features[places], columns, **named)
