"""The names that contents stand for in the settings of a stage, which is where its models lie. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.weak.settings import LanguageModel, Mlp, OwnClassifier, Probe, StudentSpec

ModelClassifier = Probe | Mlp | LanguageModel
"""Classifiers that read by a model."""


def with_names(classifier: StudentSpec, inputs: Mapping[str, str]) -> StudentSpec:
    """Return a classifier of a stage's settings with the names that its contents stand for."""
    if isinstance(classifier, OwnClassifier):
        return classifier.replace(factory=inputs[classifier.factory])
    if isinstance(classifier, ModelClassifier):
        return classifier.replace(model=inputs[classifier.model])
    return classifier
