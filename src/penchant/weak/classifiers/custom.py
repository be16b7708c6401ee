"""A classifier of the user's: named as `module:attribute`, and held to the contract that the built-in ones keep."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from penchant.digests import check_files, read_sums, write_sums
from penchant.errors import InputError
from penchant.files import make_folder
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    drop_weightless,
    marks_of,
    no_distributions,
    read_kind,
    read_learned,
    refuse_bare_example,
    width_of,
    write_kind,
)
from penchant.weak.settings import OWN_CLASSIFIERS, OwnClassifier

log = logging.getLogger("penchant.weak")

OWN_FILES = "own"
"""The folder inside a classifier's that the user's `save` writes to: it cannot overwrite ours there."""
METHODS = ("fit", "predict_proba", "save")


class UsersClassifier(Protocol):
    """The methods that a user's object needs; names, marks and digests are kept for it."""

    def fit(self, examples: Sequence[Example], targets: Probabilities, **offered: object) -> object:
        """Learn from examples and probabilities of shape (examples, classes).

        It needs arguments `weights`, shape (examples,), and `unlabeled`, examples without labels, only where these are
        given to it.
        """

    def predict_proba(self, examples: Sequence[Example]) -> ArrayLike:
        """Return probabilities of shape (examples, classes)."""

    def save(self, folder: Path) -> object:
        """Write the classifier into a folder, which exists."""


class CustomClassifier:
    """A user's classifier, whose every answer is checked.

    Args:
        settings: what makes it. names: of the classes. seed: of what it draws.
        loss: on its targets, which it must take as an argument where it is not plain cross-entropy.

    Raises:
        InputError: there is no such attribute, it fails, or what it makes is no classifier.
    """

    def __init__(
        self,
        settings: OwnClassifier,
        *,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.names = tuple(names) if names else None
        self.learned_marks: frozenset[str] = frozenset()
        self.classes = 0
        self.classifier = _make(settings, {"names": self.names, "loss": loss or CrossEntropy(), "seed": seed})

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
        """Fit as `Classifier.fit` says; the user's `fit` gets lists of its own, and targets as probabilities."""
        # checked before the user's code sees it, as every other classifier checks
        soft = as_probabilities(targets, len(examples), classes or width_of(examples) or None)
        weighted = drop_weightless(examples, soft, weights)
        offered: dict[str, object] = {}
        if (weighted.weights != 1).any():
            offered["weights"] = weighted.weights.copy()
        if unlabeled is not None:
            offered["unlabeled"] = list(unlabeled)
        # a class that does not name them would learn without, and nobody would see that
        if missing := sorted(set(offered) - _accepted(self.classifier.fit, offered)):
            raise OWN_CLASSIFIERS.refusal(
                self.settings.factory,
                f"its `fit` takes no argument {' or '.join(f'`{name}`' for name in missing)}: add it",
            )
        with OWN_CLASSIFIERS.named_errors(self.settings.factory, f"`fit` failed on {len(weighted.examples)} examples"):
            # copies: a class that sorts its rows in place would move ours
            self.classifier.fit(list(weighted.examples), weighted.targets.copy(), **offered)
        self.classes, self.learned_marks = soft.shape[1], frozenset(marks_of(weighted.examples))
        return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says.

        Raises:
            InputError: it fails, or returns anything but one distribution per example.
        """
        if not self.classes:
            raise InputError(FITTED_FIRST)
        refuse_bare_example(examples)
        if not examples:  # a user's code need not think of an empty list
            return np.zeros((0, self.classes))
        factory, expected = self.settings.factory, (len(examples), self.classes)
        with OWN_CLASSIFIERS.named_errors(factory, f"`predict_proba` failed on {len(examples)} examples"):
            probabilities = np.asarray(self.classifier.predict_proba(list(examples)), dtype=np.float64)
        if probabilities.shape != expected:
            raise OWN_CLASSIFIERS.refusal(
                factory,
                f"`predict_proba` returned the shape {probabilities.shape}, expected {expected}: for each example the "
                "probability of each class",
            )
        if (bad := no_distributions(probabilities)).any():
            row = int(bad.argmax())
            raise OWN_CLASSIFIERS.refusal(
                factory,
                f"`predict_proba` must return probabilities that sum to 1, got {probabilities[row].tolist()} for "
                f"example {row}",
            )
        return probabilities

    def save(self, folder: str | Path) -> None:
        """Save as `Classifier.save` says: what the user's `save` writes, and which code wrote it."""
        if not self.classes:
            raise InputError(FITTED_FIRST)
        factory, own_files = self.settings.factory, Path(folder) / OWN_FILES
        # the user's `save` may write any name, also that of one of our files
        make_folder(own_files)
        with OWN_CLASSIFIERS.named_errors(factory, "`save` failed"):
            self.classifier.save(own_files)
        # a damaged file is named when it is read, as for the built-in ones
        write_sums(own_files)
        content = {
            "settings": self.settings.model_dump(mode="json"),
            "code": OWN_CLASSIFIERS.content(factory),
            "names": self.names,
            "classes": self.classes,
        }
        write_kind(Path(folder), "custom", content, self.learned_marks)

    @classmethod
    def load(cls, folder: str | Path, *, code: str | None = None) -> Self:
        """Load what `save` wrote, with the code that the caller names: the folder's own word runs nothing.

        Args:
            code: `module:attribute`, whose `load(folder)` returns the classifier.

        Raises:
            InputError: no code is named, it has no `load`, or what that returns is no classifier.
        """
        path = Path(folder)
        content = read_kind(path)
        if code is None:
            raise InputError(
                f"{folder} was saved by a classifier of your own ({content['settings']['factory']}), and code that a "
                "folder names is never run: name it yourself, as `supervisor=FILE.py:CLASS` beside `saved`, or in "
                "Python load_classifier(folder, code='FILE.py:CLASS')"
            )
        check_files(path / OWN_FILES, read_sums(path / OWN_FILES) or ())
        load = getattr(OWN_CLASSIFIERS.load(code), "load", None)
        if not callable(load):
            raise OWN_CLASSIFIERS.refusal(
                code, "it has no `load(folder)`: add a class method that returns what `save` wrote there"
            )
        if OWN_CLASSIFIERS.content(code) != content["code"]:
            log.warning("%s was saved by other code than %s has now: it may predict otherwise", folder, code)
        with OWN_CLASSIFIERS.named_errors(code, f"`load` failed on {path / OWN_FILES}"):
            restored: object = load(path / OWN_FILES)
        classifier = cls.__new__(cls)  # the constructor would make a fresh one, which nothing needs
        classifier.settings = OwnClassifier(**{**content["settings"], "factory": code})
        classifier.classifier = _checked(code, restored)
        classifier.names = tuple(content["names"]) if content["names"] else None
        classifier.classes, classifier.learned_marks = content["classes"], read_learned(path)
        return classifier


def _make(settings: OwnClassifier, offered: dict[str, object]) -> UsersClassifier:
    """Return the classifier that a user's class or function makes.

    Args:
        offered: arguments that it is called with where it has one of that name.
    """
    factory = settings.factory
    make = OWN_CLASSIFIERS.load_callable(factory, "a class, or a function that makes a classifier")
    # a small class need not name arguments that it does not use
    parameters = _accepted(make, offered)
    if "loss" not in parameters and offered["loss"] != CrossEntropy():
        # it would learn by another loss than the settings say, and nobody would see that
        raise OWN_CLASSIFIERS.refusal(
            factory, "it takes no argument `loss`, so it cannot learn with another than cross_entropy: add one"
        )
    arguments = {name: value for name, value in offered.items() if name in parameters} | settings.settings
    with OWN_CLASSIFIERS.named_errors(factory, f"it cannot be made of {', '.join(arguments) or 'no arguments'}"):
        classifier: object = make(**arguments)
    return _checked(factory, classifier)


def _accepted(make: Callable[..., object], offered: Iterable[str]) -> set[str]:
    """Return which of the arguments offered a user's function takes by name; one with `**kwargs` takes them all."""
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # such as a class that is written in C
        return set()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return set(offered) if takes_any else set(parameters)


def _checked(factory: str, classifier: object) -> UsersClassifier:
    """Return an object that has the methods of a classifier; refuse one that lacks some."""
    missing = [f"`{name}`" for name in METHODS if not callable(getattr(classifier, name, None))]
    if missing:
        raise OWN_CLASSIFIERS.refusal(
            factory,
            f"expected a classifier, which has `fit`, `predict_proba` and `save`, but it is a "
            f"{type(classifier).__name__} without {' and '.join(missing)}: see penchant.weak.contract",
        )
    users: UsersClassifier = classifier  # type: ignore[assignment]  # its methods were just looked for
    return users
