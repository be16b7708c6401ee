"""Know on which side a rater saw a response, which is what a leaning to a position is measured by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from penchant.data.layouts.registry import OWN_LAYOUT, PREFERENCES, layout_named
from penchant.errors import InputError
from penchant.types import PromptGroup

RowOrder = Literal["unrelated", "possible", "shown"]
"""What the order of a row's responses says of the order in which they were shown."""


class Judgment(NamedTuple):
    """What a rater said of a pair once.

    Attributes:
        verdict: "first", "second" or "tie".
        stood_first: whether the pair's first response stood before its second; None where nobody knows.
        is_certain: whether that was recorded or stated, and not only read off the row.
    """

    verdict: str
    stood_first: bool | None
    is_certain: bool


def row_order(source: str, layout: str, groups: Sequence[PromptGroup], order: Literal["both", "row"]) -> RowOrder:
    """Return what the order of a file's rows says of the order shown.

    Args:
        source: the file, for the message.
        layout: the name of its layout.
        groups: its rows.
        order: the setting.

    Raises:
        InputError: `order="row"`, and the layout puts the winner first.
    """
    read_layout = layout_named(layout, PREFERENCES)
    if not read_layout.has_sides:
        if order == "row":
            raise InputError(
                f"{source}: order=row: rows of the layout {layout} do not have two responses side by side and the "
                "winner apart (as response_a, response_b, winner), so their order is not the one in which a judge saw "
                "them. Leave the setting out"
            )
        return "unrelated"
    if order == "row":
        return "shown"
    # Rows of our own layout may be made from `chosen` and `rejected`. Then the winner stands first in all of them, and
    # every contradiction would look like two choices of the first.
    winner_first = all(pair.tie or pair.winner < pair.loser for group in groups for pair in group.comparisons)
    return "unrelated" if read_layout is OWN_LAYOUT and winner_first else "possible"


def shown_order(judgments: Iterable[Judgment]) -> bool | None:
    """Return whether a rater saw the first response before the second; None where nobody knows, or it was both."""
    orders = {judgment.stood_first if judgment.is_certain else None for judgment in judgments}
    return orders.pop() if len(orders) == 1 else None


def judgments_with_side(judgments: Iterable[Judgment]) -> tuple[Judgment, ...]:
    """Return the judgments of a pair by one rater of which the side is known.

    The order of rows alone counts where the pair stands there both ways round. In one order only, it may be that of two
    models, of which the better one always stands on the left.
    """
    with_order = sorted({judgment for judgment in judgments if judgment.stood_first is not None})
    in_both_orders = len({judgment.stood_first for judgment in with_order}) == 2
    return tuple(judgment for judgment in with_order if in_both_orders or judgment.is_certain)
