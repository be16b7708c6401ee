"""What a judge's answers come to: who wins, at equal lengths too, and what the judge's own habits are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penchant.judges.ask import Answer
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.length_controlled import length_controlled
from penchant.metrics.win_rate import POINTS, win_rate

ALWAYS, ENOUGH = 0.95, 10
"""A judge that names one place in so large a share of so many verdicts does not read."""


def summarize(answers: Sequence[Answer]) -> dict[str, Any]:
    """Plain numbers for JSON; every interval resamples prompts.

    Returns:
        `win_rate`, of the first responses, as `WinRate.as_dict`; `length_controlled`, the rate at equal lengths among
        pairs that could be read; `first_place`, how often a verdict that names a winner names what stood first;
        `flipped`, how often the winner changed with the order, of pairs with a winner in each; these three None where
        there is nothing to measure. `tokens`, `seconds`, and `warnings`, sentences.

    Raises:
        InputError: no answers.
    """
    outcomes, prompts = [answer.outcome for answer in answers], [answer.asked.prompt for answer in answers]
    found = win_rate(outcomes, prompts)
    read = [place for place, outcome in enumerate(outcomes) if outcome != "unparseable"]
    places = [(float(first), asked.asked.prompt) for asked in answers for first in asked.first_slot]
    flips = [(float(one.flipped), one.asked.prompt) for one in answers if one.flipped is not None]
    verdicts = [v for answer in answers for v in (answer.first, answer.second) if v is not None]
    return {
        "win_rate": found.as_dict(),
        "length_controlled": _at_equal_length([answers[place] for place in read]),
        "first_place": _mean(places),
        "flipped": _mean(flips),
        "tokens": sum(verdict.tokens for verdict in verdicts),
        "seconds": sum(verdict.seconds for verdict in verdicts),
        "warnings": _warnings(answers, [first for first, _ in places]),
    }


def _at_equal_length(answers: Sequence[Answer]) -> dict[str, Any] | None:
    if not answers:
        return None
    points = [POINTS[answer.outcome] for answer in answers]
    longer = [len(answer.asked.a) - len(answer.asked.b) for answer in answers]
    return length_controlled(points, longer, [answer.asked.prompt for answer in answers]).as_dict()


def _mean(found: Sequence[tuple[float, str]]) -> dict[str, Any] | None:
    if not found:
        return None
    values, prompts = zip(*found, strict=True)
    return cluster_mean(values, prompts, share=True).as_dict()


def _warnings(answers: Sequence[Answer], first: Sequence[float]) -> list[str]:
    told = []
    share = float(np.mean(first)) if first else 0.5
    both = any(answer.second is not None for answer in answers)
    if both and len(first) >= ENOUGH and max(share, 1 - share) >= ALWAYS:
        place = "first" if share > 0.5 else "second"
        told.append(
            f"The judge names the {place} response in {100 * max(share, 1 - share):.0f}% of its verdicts, whichever it "
            "is: it does not read them."
        )
    silent = [answer for answer in answers if answer.outcome == "unparseable"]
    verdicts = [[v for v in (answer.first, answer.second) if v is not None] for answer in silent]
    waiting = sum(any(not verdict.final for verdict in of) or not of for of in verdicts)
    if waiting:
        failed = [verdict.transcript for of in verdicts for verdict in of if not verdict.final and verdict.transcript]
        why = f" The first {failed[0].rstrip('.')}." if failed else ""
        told.append(
            f"{waiting} of {len(answers)} pairs have no verdict yet: calls failed, or were too many.{why} Run again."
        )
    if rest := len(silent) - waiting:
        told.append(f"{rest} of {len(answers)} pairs have answers that name no winner.")
    return told
