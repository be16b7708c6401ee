"""What each kind of stage of the study of labels depends on: one frozen class for each kind. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.models.settings import Dtype
from penchant.studies.core.stage_settings import StageSettings
from penchant.typed_json import OMITTED
from penchant.weak.augmentation.settings import Views
from penchant.weak.semi_supervised.settings import AnyAlgorithm
from penchant.weak.settings import Cnn, Mlp

GROUPS, TRAIN_GROUPS = "groups.npy", "train-groups.npy"
"""Files of the rows of a task: a number for each row to test on and to learn from, the same for related ones; absent
where none are related."""
LAST, BEST = "last.npy", "best.npy"
"""Files of a cell: whether each test row is right after the last step, and at the best epoch, shape (seeds, tests)."""


@dataclass(frozen=True, kw_only=True)
class LabelRowsSettings(StageSettings):
    """The rows of a task.

    Attributes:
        kind: how they are read. task: its name where that says which code reads it.
        data: digests of its files, or its hub id.
        size: width and height that pictures are brought to.
        columns, test_share: of a file of the user's.
    """

    # in the address: the same bytes may be read in several ways
    kind: Literal["task", "file", "usb", "pictures"]
    task: str
    train: int | None
    test: int | None
    data: tuple[str, ...]
    size: Annotated[int | None, OMITTED] = None
    columns: Annotated[Mapping[str, str | None] | None, OMITTED] = None
    test_share: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(StageSettings):
    """Features of texts in both views: the model by its content."""

    model: str
    layer: int
    dtype: Dtype
    views: Views


@dataclass(frozen=True, kw_only=True)
class WeakLabelsSettings(StageSettings):
    """Labels of weak models, one for each seed, which learned from so many true labels."""

    rows: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Wrong labels: drawn at a rate, or those of the stage of weak models where `rate` is None."""

    kind: Literal["symmetric", "asymmetric", "model"]
    rate: float | None


@dataclass(frozen=True, kw_only=True)
class CellSettings(StageSettings):
    """One method at one condition of the grid, for all seeds.

    Attributes:
        network: with the algorithm `supervised`, which `algorithm` replaces; the model of features by its content.
        algorithm: None for a linear classifier.
        clean: how many clean labels there are. noise: what is wrong with the labels of all other rows; None where they
            have none.
        held_out: share of the rows with noisy labels by which the best epoch is chosen; where it is None and there are
            clean and noisy labels, `clean_use` says what becomes of the clean ones.
    """

    network: Mlp | Cnn
    algorithm: AnyAlgorithm | None
    seeds: tuple[int, ...]
    # left out where there are none, so that a new one moves no address
    clean: Annotated[int | None, OMITTED] = None
    noise: Annotated[Noise | None, OMITTED] = None
    held_out: Annotated[float | None, OMITTED] = None
    clean_use: Annotated[Literal["learn", "choose"] | None, OMITTED] = None
