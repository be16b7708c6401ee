"""What an algorithm made of rows without labels, as it is written. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    mask_rate: float
    class_shares: tuple[float, ...]
    label_shares: tuple[float, ...]
    gap: float
    loss: float
    warnings: tuple[str, ...]
