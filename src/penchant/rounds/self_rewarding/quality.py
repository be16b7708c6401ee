"""How good a self-judge is: its verdicts on comparisons that people made, which nothing is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penchant.judges.ask import Answer
from penchant.judges.contract import Question, digest
from penchant.judges.summary import summarize
from penchant.metrics.agreement import pair_agreement
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.thoughts import shown_text
from penchant.types import PromptGroup, Winner, prompt_text


@dataclass(frozen=True, slots=True)
class HumanComparison:
    """Two answers, and which of them a person preferred."""

    question: Question
    winner: Winner


@dataclass(frozen=True, slots=True)
class JudgeQuality:
    """How far a judge agrees with people. Every interval resamples prompts.

    Attributes:
        accuracy: among comparisons with a winner and a readable verdict; a judge's tie is half right.
        kappa: Cohen's kappa with people, ties included.
        longest_wins: how often people preferred the longer answer: what a judge of lengths would have.
        takes_longer: how often the judge's winner is the longer answer.
        first_place: how often a verdict that names a winner names the answer that stood first.
        flipped: how often the winner changed with the order.
        comparisons: all of them. readable: with a verdict. ties: verdicts that are a tie.
        warnings: sentences about verdicts that say nothing.

    Estimates are None where there is nothing to measure; `first_place` and `flipped` of a judge that scores single
    answers, which knows no order.
    """

    accuracy: Estimate | None
    kappa: Coefficient
    longest_wins: Estimate | None
    takes_longer: Estimate | None
    first_place: Estimate | None
    flipped: Estimate | None
    comparisons: int
    readable: int
    ties: int
    warnings: tuple[str, ...] = ()


def human_comparisons(groups: Sequence[PromptGroup]) -> list[HumanComparison]:
    """Return the comparisons of people, each pair in an order that its texts decide.

    Many files have the winner first, and a judge that always names the first would be right there.
    """
    rows = []
    for group in groups:
        texts = [shown_text(response, thoughts=False) for response in group.responses]
        for comparison in group.comparisons:
            first, second = sorted((comparison.winner, comparison.loser), key=lambda index: digest(texts[index]))
            winner: Winner = "tie" if comparison.tie else "a" if comparison.winner == first else "b"
            # people's ties stay: a judge that agrees on them agrees
            rows.append(HumanComparison(Question(prompt_text(group.prompt), texts[first], texts[second]), winner))
    return rows


def measure_quality(
    comparisons: Sequence[HumanComparison], answers: Sequence[Answer], winner: Callable[[Answer], Winner] | None = None
) -> JudgeQuality:
    """Measure a judge's answers against what people said of the same pairs.

    Args:
        winner: who wins by an answer as the judge counts it; the outcome of both orders unless given.

    Raises:
        InputError: no comparisons.
    """
    outcomes = [answer.outcome if winner is None else winner(answer) for answer in answers]
    prompts = [comparison.question.prompt for comparison in comparisons]
    # a verdict that is not there is no disagreement: it is counted by itself
    readable = [None if outcome == "unparseable" else outcome for outcome in outcomes]
    # the habits of a judge are measured as `penchant judge` measures them
    summary = summarize(answers)
    with_winner = [index for index, comparison in enumerate(comparisons) if comparison.winner in ("a", "b")]
    right = [
        (0.5 if readable[index] == "tie" else float(readable[index] == comparisons[index].winner), prompts[index])
        for index in with_winner
        if readable[index] is not None
    ]
    # a tie names no answer, so that it says nothing of lengths
    with_verdict = [index for index, outcome in enumerate(outcomes) if outcome in ("a", "b")]
    return JudgeQuality(
        accuracy=_share(right),
        kappa=pair_agreement([comparison.winner for comparison in comparisons], readable, prompts).kappa,
        longest_wins=_share([_is_longer(comparisons[index], comparisons[index].winner) for index in with_winner]),
        takes_longer=_share([_is_longer(comparisons[index], outcomes[index]) for index in with_verdict]),
        first_place=summary.first_place if any(answer.second is not None for answer in answers) else None,
        flipped=summary.flipped,
        comparisons=len(comparisons),
        readable=sum(outcome is not None for outcome in readable),
        ties=outcomes.count("tie"),
        warnings=summary.warnings,
    )


def _is_longer(comparison: HumanComparison, winner: Winner) -> tuple[float, str]:
    """Return whether a winner is the longer answer, half where both are as long; and the prompt."""
    difference = len(comparison.question.a) - len(comparison.question.b)
    is_longer = 0.5 if difference == 0 else float((difference > 0) == (winner == "a"))
    return is_longer, comparison.question.prompt


def _share(rows: Sequence[tuple[float, str]]) -> Estimate | None:
    if not rows:
        return None
    points, prompts = zip(*rows, strict=True)
    return cluster_mean(points, prompts, share=True)
