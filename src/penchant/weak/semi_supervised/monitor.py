"""What an algorithm makes of rows without labels, and whether it has collapsed or does nothing."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from penchant.errors import RunError
from penchant.weak.semi_supervised.report import UnlabeledReport

WINDOW = 100
"""Steps, at the end of training, that a report is about."""
ROUNDING_LOSS = 1e-12
"""A loss up to this is that of equal numbers, apart from their last bits."""
CROWDED = 2.5
"""A class is crowded that has this many times the odds among pseudo-labels that it has among the labels."""


class Monitor:
    """Keeps what the last steps made of unlabelled rows.

    Args:
        label_shares: of each class among each arm's labels, shape (arms, classes). weight: of the unlabelled loss.
    """

    changing: ClassVar[tuple[str, ...]] = ("_steps", "_any_loss", "_any_mask")

    def __init__(self, label_shares: Tensor, weight: float) -> None:
        self.label_shares, self.weight = label_shares, weight
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._any_loss = torch.zeros(len(label_shares), dtype=torch.bool)
        self._any_mask = torch.zeros(len(label_shares), dtype=torch.bool)

    def add(self, pseudo: Tensor, mask: Tensor, student: Tensor, loss: Tensor) -> None:
        """Add a step.

        Args:
            pseudo: probabilities that the student was to have, shape (arms, batch, classes). mask: how much each row
                counts, (arms, batch). student: its probabilities, like `pseudo`. loss: of unlabelled rows, (arms,).
        """
        classes = torch.nn.functional.one_hot(pseudo.argmax(-1), pseudo.shape[-1]).float()
        # summed and not averaged: batches in which few rows counted must not weigh as much as full ones
        shares = (classes * mask[..., None]).sum(1)
        gap = ((student - pseudo).abs().sum(-1) * mask).sum(-1) / mask.sum(-1).clamp(min=1e-9) / 2
        # a window: what the first steps made of the rows says nothing of the end
        self._steps = [*self._steps[1 - WINDOW :], (mask.mean(-1), shares, gap, loss)]
        self._any_loss |= loss.cpu().abs() > ROUNDING_LOSS
        self._any_mask |= (mask > 0).any(-1).cpu()

    def check(self) -> None:
        """Refuse a training whose unlabelled rows counted and had a loss of 0 throughout.

        Raises:
            RunError: it compared something with itself.
        """
        if self.weight and (idle := self._any_mask & ~self._any_loss).any():
            raise RunError(
                f"the loss of unlabelled rows was 0 in every step of arm {int(idle.int().argmax())}, though "
                "rows counted: the two views of a row are the same, or the student was compared with itself. Give it "
                "an augmentation (`views.strong`) or dropout"
            )

    def reports(self) -> list[UnlabeledReport]:
        """Return what the last steps of each arm made of unlabelled rows."""
        masks, shares, gaps, losses = (torch.stack(parts).cpu() for parts in zip(*self._steps, strict=True))
        reports = []
        for arm, label_shares in enumerate(self.label_shares):
            totals = shares[:, arm].sum(0)
            class_shares = totals / totals.sum() if totals.sum() > 0 else totals
            mask_rate = float(masks[:, arm].mean())
            reports.append(
                UnlabeledReport(
                    mask_rate,
                    tuple(class_shares.tolist()),
                    tuple(label_shares.tolist()),
                    float(gaps[:, arm].mean()),
                    float(losses[:, arm].mean()),
                    tuple(collapse_warnings(mask_rate, class_shares, label_shares)),
                )
            )
        return reports


def collapse_warnings(mask_rate: float, class_shares: Tensor, label_shares: Tensor) -> list[str]:
    """Return sentences on a mask that is empty and on classes that took over or went missing."""
    warnings = [
        f"class {number} has no label: nothing tells what it looks like, and no gain can come from it"
        for number, label_share in enumerate(label_shares.tolist())
        if not label_share  # an algorithm can do no more than say so: it goes by what the labels teach
    ]
    # no class can be missing among pseudo-labels where nothing counted
    if mask_rate == 0:
        return [*warnings, "no unlabelled row counted: the mask was empty, and this is supervised training"]
    for number, (share, label_share) in enumerate(zip(class_shares.tolist(), label_shares.tolist(), strict=True)):
        if label_share and share < 0.1 * label_share:
            warnings.append(f"class {number} has {share:.1%} of the pseudo-labels and {label_share:.1%} of the labels")
        elif share * (1 - label_share) > CROWDED * label_share * (1 - share) and share > 0.5:
            warnings.append(
                f"class {number} takes over: {share:.1%} of the pseudo-labels against {label_share:.1%} of the labels"
            )
    return warnings
