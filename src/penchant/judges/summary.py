"""Summarize a judge's answers: who wins, who would win at equal lengths, and the judge's own habits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penchant.judges.ask import Answer
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.length_controlled import length_controlled
from penchant.metrics.win_rate import POINTS, WinRate, win_rate

# A judge that names one place in so large a share of so many verdicts does not read.
POSITION_SHARE, MIN_VERDICTS = 0.95, 10


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """Who wins by a judge, and the judge's own habits. Every interval resamples prompts.

    Attributes:
        win_rate: of the first responses.
        length_controlled: the win rate at equal lengths, among pairs that have a verdict.
        first_place: how often a verdict that names a winner names the response that stood first.
        flipped: how often the winner changed with the order, among pairs with a winner in each order.
        tokens, seconds: what the judge was asked, all calls added up.
        warnings: sentences about verdicts that are missing, or that say nothing.

    The three estimates are None where there is nothing to measure.
    """

    win_rate: WinRate
    length_controlled: Estimate | None
    first_place: Estimate | None
    flipped: Estimate | None
    tokens: int
    seconds: float
    warnings: tuple[str, ...]


def summarize(answers: Sequence[Answer]) -> JudgeSummary:
    """Summarize the answers of a judge.

    Raises:
        InputError: no answers.
    """
    outcomes, prompts = [answer.outcome for answer in answers], [answer.question.prompt for answer in answers]
    # the win rate keeps pairs without a verdict in its denominator; the fit at equal lengths needs an outcome of each
    readable = [answer for answer in answers if answer.outcome != "unparseable"]
    named_first = [(float(first), answer.question.prompt) for answer in answers for first in answer.first_slot]
    flips = [(float(answer.flipped), answer.question.prompt) for answer in answers if answer.flipped is not None]
    verdicts = [verdict for answer in answers for verdict in answer.verdicts]
    return JudgeSummary(
        win_rate(outcomes, prompts),
        _at_equal_length(readable),
        _mean(named_first),
        _mean(flips),
        sum(verdict.tokens for verdict in verdicts),
        sum(verdict.seconds for verdict in verdicts),
        tuple(_warnings(answers, [first for first, _ in named_first])),
    )


def _at_equal_length(answers: Sequence[Answer]) -> Estimate | None:
    if not answers:
        return None
    points = [POINTS[answer.outcome] for answer in answers]
    length_differences = [len(answer.question.a) - len(answer.question.b) for answer in answers]
    return length_controlled(points, length_differences, [answer.question.prompt for answer in answers])


def _mean(shares: Sequence[tuple[float, str]]) -> Estimate | None:
    if not shares:
        return None
    values, prompts = zip(*shares, strict=True)
    return cluster_mean(values, prompts, share=True)


def _warnings(answers: Sequence[Answer], first: Sequence[float]) -> list[str]:
    sentences = []
    share = float(np.mean(first)) if first else 0.5
    # in one order alone, "always the first" may be right by the way the pairs are arranged
    two_orders = any(answer.second is not None for answer in answers)
    if two_orders and len(first) >= MIN_VERDICTS and max(share, 1 - share) >= POSITION_SHARE:
        slot = "first" if share > 0.5 else "second"
        sentences.append(
            f"The judge names the {slot} response in {100 * max(share, 1 - share):.0f}% of its verdicts, whichever it "
            "is: it does not read them."
        )
    # calls that failed are asked again by another run; answers that say nothing are not, so both are told apart
    silent = [answer for answer in answers if answer.outcome == "unparseable"]
    waiting = [answer for answer in silent if not answer.verdicts or not all(v.final for v in answer.verdicts)]
    if waiting:
        calls = [verdict for answer in waiting for verdict in answer.verdicts]
        failed = [verdict.transcript for verdict in calls if not verdict.final and verdict.transcript]
        reason = f" The first {failed[0].rstrip('.')}." if failed else ""
        sentences.append(
            f"{len(waiting)} of {len(answers)} pairs have no verdict yet: calls failed, or were too many.{reason} Run "
            "again."
        )
    if rest := len(silent) - len(waiting):
        sentences.append(f"{rest} of {len(answers)} pairs have answers that name no winner.")
    return sentences
