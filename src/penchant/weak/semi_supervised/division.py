"""The two sides of a division of labels, and what is reported of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.monitor import Monitor
from penchant.weak.semi_supervised.report import Division, UnlabeledReport


class Sides:
    """Which labels of each arm are taken for right, and which rows have their label guessed.

    A place counts an arm's labelled rows, then those without a label, which are guessed always.

    Attributes:
        rows: in the network, shape (arms, places). labels: (arms, places, classes), 0 without one.
        clean: probability of each label to be right, (arms, places); 0 without one. is_guessed: (arms, places).
        kept, guessed: places on the two sides, of each arm; labels of weight 0 are on neither.
    """

    changing: ClassVar[tuple[str, ...]] = ("clean", "is_guessed", "kept", "guessed")

    def __init__(self, rows: ArmRows) -> None:
        self.rows = torch.stack([torch.cat([arm.labeled, arm.unlabeled]) for arm in rows.arms])
        labels = torch.stack([start.labels for start in rows.starts])
        unlabeled = self.rows.shape[1] - labels.shape[1]
        self.labels = torch.cat([labels, labels.new_zeros(len(labels), unlabeled, labels.shape[2])], 1)
        self.clean = torch.cat([torch.ones(labels.shape[:2]), torch.zeros(len(labels), unlabeled)], 1)
        self.is_guessed = self.clean == 0
        self.kept = rows.counted_positions
        self._without_label = [is_guessed.nonzero().squeeze(1) for is_guessed in self.is_guessed]
        self.guessed = list(self._without_label)

    def divide(self, arm: int, counted_positions: Tensor, clean: Tensor, threshold: float) -> None:
        """Divide the labels of an arm; where none is clean enough all are kept as they are, as in the warm-up.

        Args:
            counted_positions: places of labels that count. clean: probability of each to be right.
        """
        # with an empty side there would be nothing to learn from
        if not (clean > threshold).any():
            clean = torch.ones_like(clean)
        is_kept = clean > threshold
        self.clean[arm, counted_positions], self.is_guessed[arm, counted_positions] = clean, ~is_kept
        self.kept[arm] = counted_positions[is_kept]
        self.guessed[arm] = torch.cat([counted_positions[~is_kept], self._without_label[arm]])

    def to_guess(self, arm: int) -> Tensor:
        """Return the places that batches to guess are dealt from: those of kept labels where no other row is left."""
        # a batch of nothing cannot be dealt: these have their labels, and are mixed into others
        return self.guessed[arm] if len(self.guessed[arm]) else self.kept[arm]


class DivideMonitor:
    """What the last steps made of guessed labels, and the last divisions of labels."""

    changing: ClassVar[tuple[str, ...]] = ("_guesses", "division_numbers")

    def __init__(self, label_shares: Tensor, weight: float) -> None:
        self._guesses = Monitor(label_shares, weight)
        self._arms = len(label_shares)
        # one that never divided takes all labels for right
        self._divisions: list[Division] = [Division(0, 1.0, (), 0, 0)] * self._arms

    @property
    def division_numbers(self) -> list[dict[str, Any]]:
        """The last division of each arm, in plain numbers."""
        return [asdict(division) for division in self._divisions]

    @division_numbers.setter
    def division_numbers(self, divisions: Sequence[dict[str, Any]]) -> None:
        self._divisions = [Division(**division) for division in divisions]

    def add(self, guesses: Tensor, mask: Tensor, student: Tensor, loss: Tensor) -> None:
        """Add a step; arguments as for `Monitor.add`."""
        self._guesses.add(guesses, mask, student, loss)

    def add_division(self, arm: int, is_clean: Tensor, labels: Tensor) -> None:
        """Add a division of an arm's labels.

        Args:
            is_clean: which are taken for right by the mixture, shape (labels,). labels: (labels, classes).
        """
        # only the last division is kept: each replaces the one before, and counts add up
        before, clean = self._divisions[arm], is_clean.double()
        classes = one_hot(labels.argmax(-1), labels.shape[-1]).double()
        # a class without a label has no share that is clean
        class_shares = (classes * clean[:, None]).sum(0) / classes.sum(0).clamp(min=1)
        share = float(clean.mean())
        self._divisions[arm] = Division(
            before.count + 1,
            share,
            tuple(class_shares.tolist()),
            before.all_clean + (share == 1),
            before.none_clean + (share == 0),
        )

    def check(self) -> None:
        """Refuse a training whose guesses had a weight and a loss of 0 throughout, as `Monitor.check` does."""
        self._guesses.check()

    def reports(self) -> list[UnlabeledReport]:
        """Return what the last steps of each arm made of guessed labels, and its last division."""
        return [
            replace(report, division=division, warnings=(*_guess_warnings(report), *_division_warnings(division)))
            for report, division in zip(self._guesses.reports(), self._divisions, strict=True)
        ]


def _guess_warnings(report: UnlabeledReport) -> tuple[str, ...]:
    # that nothing was guessed is said by the division, in its own words
    return report.warnings if report.mask_rate else ()


def _division_warnings(division: Division) -> list[str]:
    """Return sentences on divisions with an empty side, and on classes whose labels were all taken for wrong."""
    warnings = []
    if division.all_clean:
        warnings.append(
            f"{division.all_clean} of {division.count} divisions took all labels for right: no label was guessed there"
        )
    if division.none_clean:
        warnings.append(
            f"{division.none_clean} of {division.count} divisions took no label for right: all were learned as they are"
        )
    warnings += [
        f"all labels of class {number} were taken for wrong in the last division"
        for number, share in enumerate(division.class_shares)
        if share == 0 and division.clean_share
    ]
    return warnings
