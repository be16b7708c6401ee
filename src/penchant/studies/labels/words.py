"""Say in sentences what to do with few, wrong and missing labels, never more than the intervals support."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from penchant.reports.kit.text import count, estimate, format_share, listing, number, percent
from penchant.studies.labels.summarize import CLEAN_ALONE, CONTROL
from penchant.studies.labels.summary import ConditionResult, LabelsSummary, MethodResult, TaskResult

KINDS = {"symmetric": "symmetric", "asymmetric": "asymmetric", "model": "a weak model's own"}

NO_CONTROL = "the control is missing: nothing to compare with"


def situation(condition: ConditionResult) -> str:
    """Return what one has: `20 clean, 780 without label`."""
    clean = f"{number(condition.clean or 0, 0)} clean"
    if condition.part == "few":
        return f"{clean}, {number(condition.unlabeled, 0)} without label"
    wrong = f"{number(condition.labels - (condition.clean or 0), 0)} labels, {wrong_words(condition)}"
    return f"{clean} and {wrong}" if condition.part == "together" else wrong


def wrong_words(condition: ConditionResult) -> str:
    """Return how many labels are wrong, and in which way."""
    # of clean and wrong labels together the rate is that of the wrong ones alone
    wrong = condition.wrong * condition.labels / (condition.labels - (condition.clean or 0))
    # an asymmetric rate is that within every second class, and of a model the rows say how weak it is
    notes = {"model": f"a model of {condition.rate:g} rows", "asymmetric": f"asymmetric {percent(condition.rate)}"}
    return f"{percent(wrong)} wrong ({notes.get(str(condition.kind), condition.kind)})"


def control_of(condition: ConditionResult) -> MethodResult | None:
    """Return the control of a condition; None where it was not measured, so that nothing has a gain."""
    # first wherever there is one; where it failed another method comes first, which is not to be taken for it
    first = condition.methods[0]
    return first if first.method in (CONTROL, CLEAN_ALONE.format(CONTROL)) else None


def advised(condition: ConditionResult) -> MethodResult | None:
    """Return the method with the highest accuracy among those that are clearly above the control; None if none is."""
    better = [item for item in condition.methods if item.gain_of_many is not None and item.gain_of_many.above(0)]
    return max(better, key=lambda item: item.accuracy.value, default=None)


def harmful(condition: ConditionResult) -> list[str]:
    """Return the methods that are clearly below the control."""
    return [item.method for item in condition.methods if item.gain_of_many is not None and item.gain_of_many.below(0)]


def headline(study: LabelsSummary) -> list[str]:
    """Say in a line for each task what the fewest labels and the most wrong ones ask for."""
    # two conditions for each task: where help is needed most
    sentences = []
    for task in study.tasks:
        chosen_conditions = [
            conditions[index] for name, index in (("few", 0), ("wrong", -1)) if (conditions := _ordered(task, name))
        ]
        sentences += [f"{task.title}, {situation(condition)}: {_advice(condition)}." for condition in chosen_conditions]
    seeds = count(len(study.seeds), "seed")
    return [*(sentences or ["Nothing was measured yet."]), f"{seeds}; intervals count new rows and new seeds."]


def _ordered(task: TaskResult, part: str) -> list[ConditionResult]:
    """Return the conditions of a part, from the fewest labels or the fewest wrong ones; of wrong labels one kind."""
    conditions = task.part(part)
    if part != "wrong":
        return sorted(conditions, key=lambda condition: condition.clean or 0)
    kinds = [condition.kind for condition in conditions]
    return sorted(
        (condition for condition in conditions if condition.kind == kinds[0]), key=lambda condition: condition.wrong
    )


def _advice(condition: ConditionResult) -> str:
    if control_of(condition) is None:
        return NO_CONTROL
    best = advised(condition)
    # of the control there is nothing to say but that it is not beaten
    if best is None:
        return f"no method adds anything to {_control(condition)} that these seeds could show"
    assert best.gain is not None
    gain = estimate(best.gain, percent=True, sign=True)
    return f"{best.method} has {format_share(best.accuracy)}, {gain} against {_control(condition)}"


def _control(condition: ConditionResult) -> str:
    kind = {"few": "the same network on the clean labels alone", "wrong": "plain training to the last step"}
    return kind.get(condition.part, "the same network on the clean labels alone")


def findings(study: LabelsSummary) -> list[str]:
    """Compare the methods over all conditions, name what harms, and say how many clean labels wrong ones are worth."""
    return [sentence for task in study.tasks for sentence in _of_task(task, len(study.tasks) > 1)]


def _of_task(task: TaskResult, with_title: bool) -> Iterator[str]:
    prefix = f"{task.title}: " if with_title else ""
    for part, labels in (
        ("few", "With few labels"),
        ("wrong", "With wrong labels"),
        ("together", "With both together"),
    ):
        # without a control nothing was compared, which is not to say that nothing helps
        conditions = [condition for condition in task.part(part) if control_of(condition) is not None]
        if not conditions:
            continue
        # how often, and not how much: the tables say that
        yield prefix + f"{labels}: {_tally(conditions, with_losers=part != 'together')}."
        losers = [
            f"{listing(names)} with {situation(condition)}" for condition in conditions if (names := harmful(condition))
        ]
        if losers:
            yield prefix + f"{labels}, clearly below {_control(conditions[0])}: {'; '.join(losers)}."
    yield from (prefix + sentence for sentence in _worth(task))
    hopeless = [
        condition
        for condition in task.part("wrong")
        if condition.kind == "symmetric" and condition.wrong > 1 - 1 / len(task.classes)
    ]
    if hopeless:
        rates = listing([percent(condition.wrong) for condition in hopeless])
        yield prefix + (
            f"With {rates} of symmetric wrong labels a true class is less frequent among its rows' labels than another "
            "one: whoever learns them learns something else, and fewer right answers are no fault of a method."
        )
    parts = [*task.part("few"), *task.part("wrong")]
    if warned := sorted({item.method for condition in parts for item in condition.methods if item.warnings}):
        yield prefix + (
            f"Warnings came of {listing(warned)}: classes that take over or go missing among pseudo-labels, or no row "
            "that counted; the tables count the seeds."
        )


def _tally(conditions: Sequence[ConditionResult], *, with_losers: bool) -> str:
    """Say in how many conditions each method is clearly above its control."""
    # also those that never are, for this says most about them
    wins: dict[str, int] = {}
    for condition in conditions:
        for item in condition.methods:
            if item.gain_of_many is not None:
                wins[item.method] = wins.get(item.method, 0) + item.gain_of_many.above(0)
    above = {name: times for name, times in sorted(wins.items(), key=lambda pair: -pair[1]) if times}
    if not above:
        under = f" under any of {len(conditions)} conditions" if len(conditions) > 1 else ""
        return f"no method is clearly above {_control(conditions[0])}{under}"
    # the most frequent winner first
    counts = listing([f"{name} under {times}" for name, times in above.items()])
    never = [name for name, times in wins.items() if not times]
    rest = f"; never: {listing(never)}" if never and with_losers else ""
    return f"of {count(len(conditions), 'condition')}, clearly above {_control(conditions[0])}: {counts}{rest}"


def _worth(task: TaskResult) -> Iterator[str]:
    """Say how many clean labels alone are as good as the wrong ones, by the control's curve."""
    # the control, since a better method on clean labels would make the wrong ones worth less
    curve = [
        (condition.clean, control.accuracy.value)
        for condition in sorted(task.part("few"), key=lambda condition: condition.clean or 0)
        if condition.clean and (control := condition.method(CONTROL))
    ]
    for condition in task.part("wrong"):
        plain, best = condition.method(CONTROL), advised(condition)
        if plain is None or len(curve) < 2:
            continue
        sentence = f"{situation(condition)}: plain training is worth {equal_labels(curve, plain.accuracy.value)}"
        if best is not None:
            sentence += f", {best.method} {equal_labels(curve, best.accuracy.value)}"
        yield f"{sentence} (by the curve of the network on clean labels alone, without an interval)."


def equal_labels(curve: Sequence[tuple[int, float]], accuracy: float) -> str:
    """Return how many clean labels have an accuracy, between two points of a curve on a log scale; or more, or fewer.

    Args:
        curve: numbers of labels, ascending, with the accuracy of each.
    """
    # a curve may fall somewhere: the first two points that enclose the accuracy count
    if accuracy < curve[0][1]:
        return f"fewer than {number(curve[0][0], 0)} clean labels"
    # the fewest that are as good: where the curve is level, more labels are worth no more
    if same := [labels for labels, value in curve if value == accuracy]:
        return f"about {number(same[0], 0)} clean labels"
    for (fewer, low), (greater, high) in pairwise(curve):
        if low <= accuracy <= high and high > low:
            share = (accuracy - low) / (high - low)
            # on a log scale: from 10 labels to 20 is as far as from 100 to 200
            labels = fewer * (greater / fewer) ** share
            return f"about {number(float(f'{labels:.1g}') if labels < 100 else float(f'{labels:.2g}'), 0)} clean labels"
    return f"more than {number(curve[-1][0], 0)} clean labels"
