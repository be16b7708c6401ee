"""Ask a judge about pairs in both orders, keep every verdict as it comes, and say what both orders together mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penchant.errors import InputError
from penchant.judges.contract import SWAPPED, Judge, Question
from penchant.judges.store import VerdictStore
from penchant.train.progress import progress_bar
from penchant.types import Verdict, Winner

Orders = Literal["both", "one"]


@dataclass(frozen=True)
class Answer:
    """What a judge makes of a pair.

    Attributes:
        first, second: its verdicts as they were given: of the pair as it stands, and swapped (None where one order was
            asked for). Both are None where nobody was asked any more.
    """

    asked: Question
    first: Verdict | None
    second: Verdict | None
    orders: Orders

    @property
    def outcome(self) -> Winner:
        """For the pair as it stands. Two verdicts that differ are a tie; if one says nothing, neither does the pair."""
        given = [v.winner for v in (self.first, self._turned) if v is not None]
        wanted = 2 if self.orders == "both" else 1
        if len(given) < wanted or "unparseable" in given:
            return "unparseable"
        return given[0] if len(set(given)) == 1 else "tie"

    @property
    def flipped(self) -> bool | None:
        """Whether each order has another winner; None where both did not name one."""
        if self.first is None or self._turned is None:
            return None
        given = {self.first.winner, self._turned.winner}
        return None if given & {"tie", "unparseable"} else len(given) == 2

    @property
    def first_slot(self) -> list[bool]:
        """Of each verdict that names a winner, whether that stood first."""
        given = [verdict.winner for verdict in (self.first, self.second) if verdict is not None]
        return [winner == "a" for winner in given if winner in ("a", "b")]

    @property
    def _turned(self) -> Verdict | None:
        if self.second is None:
            return None
        return Verdict(SWAPPED[self.second.winner])


def ask(
    judge: Judge,
    pairs: Sequence[Question],
    *,
    store: VerdictStore | None = None,
    orders: Orders = "both",
    max_calls: int | None = None,
) -> list[Answer]:
    """A judge's answers to pairs, in order. What is in the store is not asked again, and pairs of one content are asked
    once.

    Args:
        store: where verdicts are kept; those of failed calls are not, so that they are tried again.
        orders: `both`, or `one` for half of the calls and no idea of how much the order decided.
        max_calls: calls to make at most; pairs beyond that are unparseable, and asked by another run.

    Raises:
        InputError, RunError: as the judge and the store. All verdicts that came before are in the store.
    """
    if max_calls is not None and max_calls < 0:
        raise InputError(f"max_calls must be at least 0, got {max_calls}")
    wanted = [(asked, asked.swapped) if orders == "both" else (asked,) for asked in pairs]
    unique = list(dict.fromkeys(asked for both in wanted for asked in both))
    known = {} if store is None else store.find(judge.identity, unique)
    verdicts = {unique[place]: verdict for place, verdict in known.items()}
    missing = [asked for asked in unique if asked not in verdicts][:max_calls]
    with progress_bar("judging", len(missing), "verdicts") as advance:

        def done(place: int, verdict: Verdict) -> None:
            if store is not None and verdict.final:
                store.keep(judge.identity, missing[place], verdict)
            verdicts[missing[place]] = verdict
            advance(1, verdict.winner)

        if missing:
            judge.judge_many(missing, done)
    return [
        Answer(both[0], verdicts.get(both[0]), verdicts.get(both[1]) if len(both) == 2 else None, orders)
        for both in wanted
    ]
