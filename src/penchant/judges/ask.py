"""Ask a judge about pairs in both orders, keep every verdict as it comes, and say what both orders together mean."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from penchant.errors import InputError
from penchant.judges.contract import SWAPPED, AnswerReader, Judge, Question, addresses_of, former_identities
from penchant.judges.shown_media import refuse_media
from penchant.judges.store import VerdictStore
from penchant.judges.verdicts import READER
from penchant.runs.progress import progress_bar
from penchant.types import Verdict, Winner

Orders = Literal["both", "one"]
AskAgain = Literal["unreadable"]
log = logging.getLogger("penchant.judges")


@dataclass(frozen=True)
class Answer:
    """A judge's verdicts on a pair, in one order or in both.

    Attributes:
        first, second: its verdicts as they were given: of the pair as it stands, and swapped (None where one order was
            asked for). Both are None where nobody was asked any more.
    """

    question: Question
    first: Verdict | None
    second: Verdict | None
    orders: Orders

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts that came, in the order in which they were asked for."""
        return [verdict for verdict in (self.first, self.second) if verdict is not None]

    @property
    def outcome(self) -> Winner:
        """The winner of the pair: a tie where the two orders differ, unparseable where one of them has no verdict."""
        winners = self._winners
        # one order alone may be the judge's bias for a place, so it does not stand for both
        if len(winners) < (2 if self.orders == "both" else 1) or "unparseable" in winners:
            return "unparseable"
        return winners[0] if len(set(winners)) == 1 else "tie"

    @property
    def flipped(self) -> bool | None:
        """Whether the winner changed with the order; None unless both orders name one."""
        winners = self._winners
        return None if len(winners) < 2 or {"tie", "unparseable"} & {*winners} else winners[0] != winners[1]

    @property
    def first_slot(self) -> list[bool]:
        """For each verdict that names a winner, whether the winner stood first."""
        return [verdict.winner == "a" for verdict in self.verdicts if verdict.winner in ("a", "b")]

    @property
    def _winners(self) -> list[Winner]:
        """The winner in each order, called by its place in the pair as it stands."""
        first = [] if self.first is None else [self.first.winner]
        return first if self.second is None else [*first, SWAPPED[self.second.winner]]


@dataclass(frozen=True)
class Calls:
    """A plan: the stored verdicts on some pairs, and the questions that a judge still has to be asked.

    Attributes:
        judge, pairs, store, orders: as they were given to `plan_calls`.
        stored: verdicts from the store. missing: questions to ask, each once, in order. left: how many more there are,
            beyond `max_calls`.
    """

    judge: Judge
    pairs: Sequence[Question]
    store: VerdictStore | None
    orders: Orders
    stored: dict[Question, Verdict]
    missing: list[Question]
    left: int = 0


class AskOptions(TypedDict, total=False):
    """The options of `ask` and `plan_calls`.

    Attributes:
        store: where verdicts are kept; those of failed calls are not, so that they are tried again.
        orders: `both` (the default), or `one` for half of the calls and no idea of how much the order decided.
        max_calls: calls to make at most; pairs beyond that are unparseable, and asked by another run.
        ask_again: `unreadable` for another call where the stored answer names no winner; the old answer stays in the
            store.
    """

    store: VerdictStore | None
    orders: Orders
    max_calls: int | None
    ask_again: AskAgain | None


def ask(judge: Judge, pairs: Sequence[Question], **options: Unpack[AskOptions]) -> list[Answer]:
    """Return a judge's answers to pairs, in order.

    What is in the store is not asked again, and pairs of one content are asked once.

    Args:
        options: see `AskOptions`.

    Raises:
        InputError, RunError: as the judge and the store. All verdicts that came before are in the store.
    """
    return make_calls(plan_calls(judge, pairs, **options))


def plan_calls(judge: Judge, pairs: Sequence[Question], **options: Unpack[AskOptions]) -> Calls:
    """Return the calls that `ask` would make, without making one.

    Stored answers that an earlier reader read are read again first.

    Raises:
        InputError: `max_calls` below 0, or an option that there is not.
    """
    if unknown := options.keys() - AskOptions.__annotations__.keys():
        raise InputError(
            f"unknown options: {', '.join(sorted(unknown))}; expected {', '.join(AskOptions.__annotations__)}"
        )
    store, orders, max_calls = options.get("store"), options.get("orders", "both"), options.get("max_calls")
    if max_calls is not None and max_calls < 0:
        raise InputError(f"max_calls must be at least 0, got {max_calls}")
    # pairs with the same texts are one question, and a pair of two equal responses is its own other order
    two_orders = orders == "both"
    questions = (question for pair in pairs for question in ((pair, pair.swapped) if two_orders else (pair,)))
    unique = list(dict.fromkeys(questions))
    stored: dict[Question, Verdict] = {}
    if store is not None:
        # both before the look-up: what an earlier version kept under a secret address or read by other rules counts
        store.hide_addresses(addresses_of(judge))
        _read_again(judge, store)
        stored = {unique[index]: verdict for index, verdict in store.find(judge.identity, unique).items()}
    repeat_unreadable = options.get("ask_again") == "unreadable"
    missing = [
        question
        for question in unique
        if question not in stored or (repeat_unreadable and stored[question].winner == "unparseable")
    ]
    refuse_media(judge, missing)
    # Those are not used: the identity changed because the former one left something out.
    if store is not None and any(store.find(former, missing) for former in former_identities(judge)):
        _warn_of_short_keys(store.path)
    now = missing[:max_calls]
    return Calls(judge, pairs, store, orders, stored, now, len(missing) - len(now))


def make_calls(calls: Calls) -> list[Answer]:
    """Make the calls of a plan, and return the answers to all of its pairs.

    Raises:
        InputError, RunError: as the judge and the store. All verdicts that came before are in the store.
    """
    verdicts = dict(calls.stored)
    missing = calls.missing
    with progress_bar("judging", len(missing), "verdicts") as advance:

        def done(index: int, verdict: Verdict) -> None:
            # a failed call is kept nowhere, so that another run tries it again; an answer that names no winner is kept,
            # since asking again would pay for the same
            if calls.store is not None and verdict.final:
                calls.store.keep(calls.judge.identity, missing[index], verdict)
            if verdict.final or missing[index] not in verdicts:  # a failed call takes no earlier answer away
                verdicts[missing[index]] = verdict
            advance(1, verdict.winner)

        if missing:
            calls.judge.judge_many(missing, done)
    two_orders = calls.orders == "both"  # a store may hold the other order, too, which was not asked for
    return [
        Answer(pair, verdicts.get(pair), verdicts.get(pair.swapped) if two_orders else None, calls.orders)
        for pair in calls.pairs
    ]


@cache  # several sources are planned one after the other, each with the same store
def _warn_of_short_keys(path: Path) -> None:
    """Warn, once per process, that the store has verdicts of an earlier version that are not used."""
    log.warning(
        "%s holds verdicts of an earlier version, which did not note all that they depend on (a model's configuration, "
        "tokenizer and template, or VADER's version): they are asked for again, and the earlier ones stay in the file",
        path,
    )


def _read_again(judge: Judge, store: VerdictStore) -> None:
    """Read the stored answers of a judge again where another version of the reader read them."""
    if not isinstance(judge, AnswerReader):
        return
    corrected, total = store.read_again(judge.identity, READER, judge.reread)
    if corrected:
        log.warning(
            "%s: %d of %d answers are read otherwise than when they were stored. Their verdicts are corrected; what "
            "stood there is in its table `earlier_verdicts`",
            store.path,
            corrected,
            total,
        )
