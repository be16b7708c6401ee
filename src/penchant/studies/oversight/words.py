"""Say in sentences what each protocol of oversight is worth, never more than the intervals support."""

from __future__ import annotations

from collections.abc import Iterator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, format_share, listing, number, percent, recorded
from penchant.studies.oversight.summary import OversightSummary, ProtocolResult

OWN_LABEL = "advisors' own answers"
NOTHING_MEASURED = "Nothing was measured yet."


def headline(study: OversightSummary) -> list[str]:
    """Say the order of the protocols, whatever it turned out to be, and what the best of them reaches."""
    if not study.protocols:
        return [NOTHING_MEASURED]
    # as it came out, and not as theory has it: that debate lies between is a finding, no law
    ranked = sorted(study.protocols, key=lambda result: -result.accuracy.value)
    # names have commas of their own
    order = "; ".join(f"{result.label} {percent(result.accuracy.value)}" for result in ranked)
    own_text = (
        ""
        if study.own_accuracy is None
        else f"; the advisors themselves are right in {format_share(study.own_accuracy)}"
    )
    sentences = [f"Accuracy by protocol: {order}{own_text}."]
    if study.blind is not None:
        sentences.append(f"{_above_blind(study.blind, study)}.")
    if (best := _best_students(study)) is not None:
        sentences.append(best)
    return [*sentences, f"{count(len(study.seeds), 'seed')}; intervals count new questions and new seeds."]


def _above_blind(blind: ProtocolResult, study: OversightSummary) -> str:
    """Say which protocols are clearly above the reader alone, and which clearly below."""
    gains = [(result.label, result.gain) for result in study.protocols if result.gain is not None]
    above = [_with_gain(label, gain) for label, gain in gains if gain.above(0)]
    below = [_with_gain(label, gain) for label, gain in gains if gain.below(0)]
    blind_text = f"the blind reader ({format_share(blind.accuracy)})"
    text = f"Clearly above {blind_text}: {listing(above)}" if above else f"No protocol is clearly above {blind_text}"
    return f"{text}; clearly below it: {listing(below)}" if below else text


def _with_gain(label: str, gain: Estimate) -> str:
    return f"{label} ({estimate(gain, percent=True, sign=True)})"


def _best_students(study: OversightSummary) -> str | None:
    """Say whose students are best, beside those of the truth."""
    students = [(result.student, result) for result in study.protocols if result.student is not None]
    if not students or study.ceiling is None:
        return None
    accuracy, best = max(students, key=lambda pair: pair[0].value)
    return (
        f"The students with the highest accuracy learned from {best.label}: {format_share(accuracy)}, where students "
        f"of the truth have {format_share(study.ceiling)}."
    )


def findings(study: OversightSummary) -> list[str]:
    """Say what advisors change, whose students go beyond their labels, and what a reader should know of the texts."""
    return [*_consultancies(study), *_debates(study), *_students(study), *_texts(study)]


def _consultancies(study: OversightSummary) -> Iterator[str]:
    for result in study.protocols:
        if result.right_advisor is None or result.wrong_advisor is None:
            continue
        right, wrong = format_share(result.right_advisor), format_share(result.wrong_advisor)
        # an advisor that is followed whatever it says is right in half
        # nothing is said of a reader that is fooled in half of the questions: that may be chance
        fooled = ": the reader follows whoever speaks" if result.wrong_advisor.below(0.5) else ""
        yield f"{result.label}: {right} with an advisor that holds the right answer, {wrong} with a wrong one{fooled}."


def _debates(study: OversightSummary) -> Iterator[str]:
    for result in study.protocols:
        for label, gap in (result.against or {}).items():
            yield f"{result.label} against {label}: {compared(gap)}."


def compared(gap: Estimate) -> str:
    """Return how two protocols lie, by the paired difference of their accuracies."""
    words = "clearly above" if gap.above(0) else "clearly below" if gap.below(0) else "not clearly apart"
    return f"{words} ({estimate(gap, percent=True, sign=True)})"


def _students(study: OversightSummary) -> Iterator[str]:
    for result in study.protocols:
        if result.student_pgr is None or result.student is None:
            continue
        # against the labels' own accuracy on the tests, which is what the student was taught
        gain = result.student_pgr.gain
        if gain.above(0):
            relation = f"go beyond it by {estimate(gain, percent=True, sign=True)}"
        else:
            relation = "fall short of it" if gain.below(0) else "are not clearly apart from it"
        better = result.student_gain
        if better is not None and (better.above(0) or better.below(0)):
            relation += f", and have {estimate(better, percent=True, sign=True)} against students of the blind reader"
        recovered = recorded(result.student_pgr, decimals=2)
        yield f"Students of {result.label} {relation}; performance gap recovered {recovered}."


def _texts(study: OversightSummary) -> Iterator[str]:
    for result in study.protocols:
        cost = result.cost
        if cost.cut:
            yield (
                f"{result.label}: {number(cost.cut, 0)} of {number(cost.texts_shown, 0)} texts were longer than the "
                "reader's room, and were cut at the end of their longest statements."
            )
        if cost.passages_cut:
            yield (
                f"{result.label}: before {number(cost.passages_cut, 0)} of {number(cost.statements, 0)} statements the "
                "advisor had no room for the whole passage, and read its beginning."
            )
        if cost.quotes > cost.verified:
            yield (
                f"{result.label}: {number(cost.quotes - cost.verified, 0)} of {number(cost.quotes, 0)} quotes do not "
                "stand in the passage; the reader is told so."
            )
        if cost.empty:
            yield f"{result.label}: {number(cost.empty, 0)} of {number(cost.statements, 0)} statements say nothing."
        if cost.unreadable:
            unreadable = number(cost.unreadable, 0)
            yield f"{result.label}: {unreadable} answers of the judge name no winner, and count as a half."
