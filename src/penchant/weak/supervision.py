"""Who labels in a study, a classifier or a file, and how many rows each learns from. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from penchant.config import Config
from penchant.data.in_memory import DataPath
from penchant.weak.settings import (
    ChessEngine,
    Cnn,
    LanguageModel,
    Mlp,
    OwnClassifier,
    Probe,
    Tfidf,
    add_classifier_name,
    short_name,
)


class LabelsFile(Config):
    """Labels of a file, such as `penchant weak sources` writes them, as a supervisor that learns nothing."""

    name: Literal["labels"] = "labels"
    path: Annotated[DataPath, Field(min_length=1)]
    """The file: a text per row with its `label` or `probabilities`, and with a `weight` where rows do not count alike.
    Every test row must be in it. Rows to train on that are missing, or weigh nothing, teach nobody."""

    @property
    def label(self) -> str:
        return f"labels of {short_name(self.path)}"

    @property
    def rows(self) -> None:
        """None: it learns from none."""
        return None


def _add_name(value: object) -> object:
    # labels of a file say that they are; what has no name is a probe
    is_file = isinstance(value, LabelsFile) or (isinstance(value, dict) and value.get("name") == "labels")
    return value if is_file else add_classifier_name(value)


SupervisorSpec = Annotated[
    Annotated[
        Tfidf | Probe | Mlp | Cnn | LanguageModel | OwnClassifier | ChessEngine | LabelsFile,
        Field(discriminator="name"),
    ],
    BeforeValidator(_add_name),
]
"""What may supervise in a study: a classifier, or labels that are there already."""
STOP_EVERY = 10
"""Every tenth label is kept to stop early by, where a student of a study does."""


def rows_learned(classifier: SupervisorSpec, rows: int) -> int:
    """Count the rows, of `rows`, that a classifier learns from or is shown in its prompt."""
    if isinstance(classifier, ChessEngine | LabelsFile):
        return 0
    # prompted: it is shown its shots and learns from nothing
    if isinstance(classifier, LanguageModel) and classifier.training is None:
        return min(classifier.shot_count, rows)
    # the rows kept to stop by are looked at, and nothing is learned from them
    used = min(classifier.rows or rows, rows)
    return used - used // STOP_EVERY if isinstance(classifier, LanguageModel) and classifier.stops_early else used
