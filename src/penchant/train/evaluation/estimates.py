"""What evaluations on held-out data hand on: estimates by name, or an error that names the rows of a bad loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penchant.errors import RunError
from penchant.metrics.estimates import Estimate
from penchant.runs.held_out_rows import HeldOutRows


@dataclass(frozen=True)
class CurvePoint:
    """A point of a reliability curve: stated probability of being right, and how often that was so."""

    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class Calibration:
    """A reward model's reliability curve and its expected calibration error."""

    curve: tuple[CurvePoint, ...]
    expected_error: float


# a mapping, not a class with fields: a method measures what it can, and files keep no empty names
Estimates = dict[str, Estimate | dict[str, Estimate] | dict[str, dict[str, Estimate]] | Calibration | HeldOutRows]
"""Estimates by name, in the order in which files keep them.

Those of annotators stand under `by_annotator`, those of a mixture's sources under `by_source`. What each row gave
stands under `rows`, which a run keeps in a file of its own.
"""


NEVER_NEGATIVE = (0.0, math.inf)
NEVER_POSITIVE = (-math.inf, 0.0)
BOUNDS = {
    "loss": NEVER_NEGATIVE,
    "chosen_logps": NEVER_POSITIVE,
    "rejected_logps": NEVER_POSITIVE,
    "kl_nats": NEVER_NEGATIVE,
    **dict.fromkeys(("tokens", "chosen_tokens", "rejected_tokens"), NEVER_NEGATIVE),
}
"""The least and the largest value of what is measured, where there is one and it is no share.

Intervals keep to it. Some losses may be negative, see `PairLoss.can_be_negative`.
"""


class NotFiniteLoss(RunError):
    """Raised where the loss of held-out rows is not finite.

    Attributes:
        rows: where they come from.
    """

    def __init__(self, rows: Sequence[str]) -> None:
        super().__init__(f"the loss of held-out rows is not finite: {listed(rows)}")
        self.rows = rows


def check_finite(losses: Sequence[float], sources: Sequence[str]) -> None:
    """Refuse losses that are not finite: a mean of them would only say that some number somewhere is none.

    Args:
        losses: one per row. sources: where each row comes from.

    Raises:
        NotFiniteLoss: names the rows.
    """
    rows = [source for loss, source in zip(losses, sources, strict=True) if not math.isfinite(loss)]
    if rows:
        raise NotFiniteLoss(rows)


def listed(rows: Sequence[str]) -> str:
    """Return the first five rows for a message, and how many more there are."""
    omitted = f"; (+{len(rows) - 5} more)" if len(rows) > 5 else ""
    return "; ".join(rows[:5]) + omitted


def flat_values(estimates: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of nested estimates by path, as trackers want them: `samples/policy/reward`."""
    for name, item in estimates.items():
        if isinstance(item, dict) and "value" in item:
            yield path + name, item["value"]
        elif isinstance(item, dict):
            yield from flat_values(item, f"{path}{name}/")
