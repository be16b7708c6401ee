"""Say what a study of written answers shows, sentence by sentence, each with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penchant.reports.kit.text import count, estimate, format_share, listing, percent, recorded
from penchant.studies.weak_to_strong_generation.names import CEILING, CONTROLS, LABELS, NAIVE
from penchant.studies.weak_to_strong_generation.summary import GenerationResult, GenerationSummary, StudentResult


def label_of(method: str) -> str:
    """Return what the page calls a method."""
    return LABELS.get(method, method)


def contenders(task: GenerationResult) -> list[StudentResult]:
    """Return the methods of which something is expected: neither controls nor the ceiling."""
    return [student for student in task.students if student.method not in (*CONTROLS, CEILING)]


def better(task: GenerationResult) -> list[StudentResult]:
    """Return the methods that are clearly above naive SFT, the best first."""
    clear = [
        item for item in contenders(task) if item.over_naive_of_many is not None and item.over_naive_of_many.above(0)
    ]
    return sorted(clear, key=lambda item: -item.score.value)


def worse(task: GenerationResult) -> list[StudentResult]:
    """Return the methods that are clearly below naive SFT."""
    return [
        item for item in contenders(task) if item.over_naive_of_many is not None and item.over_naive_of_many.below(0)
    ]


def headline(study: GenerationSummary) -> list[str]:
    """Say in a line per task how much naive SFT recovers, and which method is above it."""
    # naive SFT first: every other number is a difference to it
    sentences = [_headline(task) for task in study.tasks]
    seeds = count(max((len(task.seeds) for task in study.tasks), default=0), "seed")
    return [*(sentences or ["Nothing was measured yet."]), f"{seeds}; intervals count new prompts and new seeds."]


def _headline(task: GenerationResult) -> str:
    # a study that was stopped early may lack it
    naive = task.student(NAIVE)
    if naive is None or naive.pgr is None:
        return f"{task.title}: nothing was measured."
    if naive.pgr.value is None:
        return f"{task.title}: no gap to recover ({naive.pgr.reason})."
    recovered = f"{task.title}: naive SFT recovers {recorded(naive.pgr, percent=True)} of the gap"
    # only what holds for all methods together may stand in a headline
    best = better(task)
    if not best:
        return f"{recovered}; no method is clearly above it."
    gain = best[0].over_naive
    assert gain is not None
    return f"{recovered}; {label_of(best[0].method)} is {estimate(gain, percent=True, sign=True)} above it."


def findings(study: GenerationSummary) -> list[str]:
    """Compare supervisor, ceiling and methods, and say what the controls say."""
    # a page of one task names it in its title
    has_titles = len(study.tasks) > 1
    return [f"{task.title}: {text}" if has_titles else text for task in study.tasks for text in _of_task(task)]


def _of_task(task: GenerationResult) -> Iterator[str]:
    ceiling = task.student(CEILING)
    assert ceiling is not None
    yield (
        f"The supervisor has {format_share(task.supervisor)} of the test prompts right, the ceiling "
        f"{format_share(ceiling.score)}, the student before it learns {format_share(task.start)}."
    )
    # without this nobody could tell eliciting from teaching
    if task.tagged_right is not None:
        yield (
            "The student knew more than it showed: behind the tag of right answers it had "
            f"{percent(task.tagged_right)} right before it learned anything."
        )
    yield (
        f"Of the answers that students learn from {percent(task.labels_right)} are right; the student's own answers "
        f"agree with {percent(task.agreeing)} of them."
    )
    yield from _comparisons(task)
    if task.empty:
        yield f"{count(task.empty, 'answer')} of the supervisor that were empty were left out."


def _comparisons(task: GenerationResult) -> Iterator[str]:
    """Say which methods are above naive SFT, below it, and undecided, and what the random half is."""
    for title, group in (("Clearly above naive SFT", better(task)), ("Clearly below naive SFT", worse(task))):
        if group:
            yield f"{title}: {listing(_gain(item) for item in group)}."
    clear_methods = {item.method for item in (*better(task), *worse(task))}
    if undecided := [
        item for item in contenders(task) if item.method not in (*clear_methods, NAIVE) and item.over_naive
    ]:
        yield f"Undecided against naive SFT: {listing(_gain(item) for item in undecided)}."
    if not better(task) and len(contenders(task)):
        yield "No method is above naive SFT with an interval that excludes 0."
    # halves that a method chooses have as many answers as this one, and as many steps
    half = task.student("random_half")
    if half is not None and half.over_naive is not None:
        words = "above" if half.over_naive.above(0) else "below" if half.over_naive.below(0) else "no different from"
        yield (
            f"The control, a random half of the answers in equal steps, is {words} naive SFT "
            f"({estimate(half.over_naive, percent=True, sign=True)})."
        )
    # said, since a single rate for all would have compared rates and not methods
    sweeps = [item for item in task.students if len(item.rates) > 1]
    if sweeps:
        spread = max(sweeps, key=lambda item: _spread(item.rates))
        low, high = (f(result.test for result in spread.rates) for f in (min, max))
        yield (
            f"The learning rate matters: {label_of(spread.method)} has from {percent(low)} to {percent(high)} right, "
            "by the rate alone. Each method is shown at its own best rate by validation prompts."
        )


def _spread(rates: Sequence[object]) -> float:
    scores = [float(getattr(result, "test", 0.0)) for result in rates]
    return max(scores) - min(scores)


def _gain(item: StudentResult) -> str:
    assert item.over_naive is not None
    return f"{label_of(item.method)} ({estimate(item.over_naive, percent=True, sign=True)})"
