"""Models by their content, for the address of a stage. Imports no torch."""

from __future__ import annotations

from penchant.rewards.content import model_content
from penchant.studies.core.stage import absolute
from penchant.studies.oversight.names import ModelClassifier
from penchant.weak.settings import OWN_CLASSIFIERS, OwnClassifier, StudentSpec


def with_content(classifier: StudentSpec, inputs: dict[str, str]) -> StudentSpec:
    """Return a classifier with contents in the place of names; add the names to a stage's inputs, by these contents."""
    if isinstance(classifier, OwnClassifier):
        content = OWN_CLASSIFIERS.content(classifier.factory)
        inputs[content] = classifier.factory
        return classifier.model_copy(update={"factory": content})
    if isinstance(classifier, ModelClassifier):
        return classifier.replace(model=named_content(classifier.model, inputs))
    return classifier


def named_content(model: str, inputs: dict[str, str]) -> str:
    """Return a model's content, and add its name to a stage's inputs."""
    # the content is the input's name, so that several models of one stage keep apart
    content = model_content(model)
    inputs[content] = absolute(model)
    return content
