"""What an algorithm made of rows without labels, as it is written. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Coefficient
from penchant.typed_json import OMITTED


@dataclass(frozen=True)
class Division:
    """How labels were divided into right and wrong ones.

    Attributes:
        count: divisions, one an epoch. clean_share: of the labels that the last one took for right.
        class_shares: the same among the labels of each class.
        all_clean, none_clean: divisions that took all labels, or none, for right.
    """

    count: int
    clean_share: float
    class_shares: tuple[float, ...]
    all_clean: int
    none_clean: int


@dataclass(frozen=True)
class UnlabeledReport:
    """What one arm made of unlabelled rows in its last steps.

    Attributes:
        mask_rate: share of the rows that counted; with soft weights their mean.
        class_shares: of each class among pseudo-labels that counted; all 0 where none did.
        label_shares: of each class among the labels.
        gap: mean absolute difference between what the student says of a row and what it was to say.
        loss: mean loss of unlabelled rows, before its weight.
        warnings: what looks wrong.
        division: of labels into right and wrong ones; None where the algorithm divides none.
    """

    mask_rate: float
    class_shares: tuple[float, ...]
    label_shares: tuple[float, ...]
    gap: float
    loss: float
    warnings: tuple[str, ...]
    division: Annotated[Division | None, OMITTED] = None


@dataclass(frozen=True)
class Suspect:
    """A label that is held to be wrong.

    Attributes:
        row: its place among the rows that the classifier was given. given, suggested: its class, and the most probable
            one. probability: of the given class, by a classifier that did not learn from the row.
    """

    row: int
    given: int
    suggested: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class NoiseReport:
    """How many labels are wrong, as cross-validated predictions tell.

    Attributes:
        rows: with labels. suspects: labels that are held to be wrong. treatment: what became of these.
        rate: estimated share of wrong labels, those that cannot be named too.
        matrix: probability of each label (column) given the true class (row).
        warnings: what looks wrong.
    """

    rows: int
    suspects: int
    treatment: str
    rate: Coefficient
    matrix: tuple[tuple[float, ...], ...]
    warnings: tuple[str, ...]
