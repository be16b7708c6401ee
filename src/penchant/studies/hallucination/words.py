"""Say in sentences what each second step did, never more than the intervals support."""

from __future__ import annotations

from collections.abc import Iterator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, format_share, listing, percent
from penchant.studies.hallucination.names import START
from penchant.studies.hallucination.summary import CaptionerResult, Change, HallucinationSummary, WorldResult

LEAST_RECALL = -0.01
"""Where the interval of its change lies above this, recall is kept; below it, fewer false objects were bought with
silence."""
DECODINGS = {"greedy": "likeliest captions", "drawn": "captions drawn at temperature 1"}


def headline(study: HallucinationSummary) -> list[str]:
    """Say for each world how often captions were false before, and what became of that."""
    sentences = [sentence for world in study.worlds if (sentence := _world_headline(world))]
    if not sentences:
        return ["Nothing was measured yet."]
    return [*sentences, f"{count(len(study.seeds), 'seed')}; intervals count new pictures and new seeds."]


def _world_headline(world: WorldResult) -> str:
    start = world.captioner(START)
    # a study whose second steps all failed has nothing to compare
    learners = [result for result in world.captioners if result.name != START]
    if start is None or not learners:
        return ""
    # by the likeliest captions, whatever the order of the learners is
    best = min(learners, key=lambda result: result.greedy["false_caption"].value.value)
    before, after = start.greedy["false_caption"].value, best.greedy["false_caption"]
    return (
        f"Captions of {world.label} that name something false: {format_share(before)} before; the fewest, "
        f"{format_share(after.value)}, after {best.label} (recall of true objects {_signed(best.greedy['recall'])})."
    )


def _signed(change: Change) -> str:
    return "not measured" if change.change is None else estimate(change.change, percent=True, sign=True)


def findings(study: HallucinationSummary) -> list[str]:
    """Say for each learner what fell and what it cost, then what questions and controls show."""
    return [sentence for world in study.worlds for sentence in _findings(world)]


def _findings(world: WorldResult) -> Iterator[str]:
    start = world.captioner(START)
    if start is None:
        return
    for result in world.captioners:
        if result.name != START:
            yield _learner(world, start, result)
    if len(world.captioners) > 2:
        yield from _comparison(world)
    yield from _questions(world, start)
    yield (
        f"{_capital(world.label)}, controls: held against another picture, captions before the second step name "
        f"{format_share(start.other_picture['recall'])} of its objects, and {format_share(start.no_picture['recall'])} "
        "without any picture."
    )


def _learner(world: WorldResult, start: CaptionerResult, result: CaptionerResult) -> str:
    """Say what one learner changed: false captions, recall, what companions became, at both temperatures."""
    false, recall = result.greedy["false_caption"], result.greedy["recall"]
    assert false.change is not None
    assert recall.change is not None
    # read from the same pictures and seeds as the change
    first = start.greedy["false_caption"].value.value
    # a share of what there was, only where the fall is clear
    relative = f", {percent(-false.change.value / first)} fewer" if first and false.change.below(0) else ""
    at_temperature = result.sampled["false_caption"]
    companions = result.companions_kept
    return (
        f"{_capital(world.label)}, {result.label}: captions with a false object {_direction(false.change)} by "
        f"{estimate(false.change, percent=True, sign=True)}{relative}; at temperature 1 by {_signed(at_temperature)}. "
        f"Recall {_recall(recall.change)} ({_signed(recall)}). Companions that are there are named in "
        f"{format_share(companions.value)} ({_signed(companions)})."
    )


def _direction(change: Estimate) -> str:
    return "fall" if change.below(0) else "rise" if change.above(0) else "do not clearly change:"


def _recall(change: Estimate) -> str:
    if change.below(0):
        return "falls"
    if change.above(0):
        return "rises"
    # kept is a claim of its own: no clear fall is not enough for it
    return "is kept" if change.low is not None and change.low > LEAST_RECALL else "does not clearly change"


def _comparison(world: WorldResult) -> Iterator[str]:
    """Say which learners left fewer false captions than others, as far as their intervals are apart."""
    learners = [result for result in world.captioners if result.name != START]
    # by value: who is named first is no claim, the intervals are
    ranked = sorted(learners, key=lambda result: result.greedy["false_caption"].value.value)
    best = ranked[0]
    # an interval that overlaps decides nothing
    level = [
        result.label
        for result in ranked[1:]
        if not result.greedy["false_caption"].value.above(best.greedy["false_caption"].value)
    ]
    if level:
        yield (
            f"{_capital(world.label)}: {best.label} leaves the fewest false captions; the intervals of "
            f"{listing(level)} overlap with its own."
        )


def _questions(world: WorldResult, start: CaptionerResult) -> Iterator[str]:
    if not start.questions:
        return
    before = ", ".join(f"{question.kind} {format_share(question.accuracy.value)}" for question in start.questions)
    # clear ones alone: three kinds of questions by five learners make many numbers
    changed = [
        f"{result.label} ({question.kind} {_signed(question.accuracy)})"
        for result in world.captioners
        for question in result.questions
        if question.accuracy.change is not None
        and (question.accuracy.change.below(0) or question.accuracy.change.above(0))
    ]
    after = f"clearly changed after {listing(changed)}" if changed else "no learner clearly changed that"
    yield f"{_capital(world.label)}, questions answered right before: {before}; {after}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
