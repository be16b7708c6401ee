"""Draw a study of labels: accuracy against clean labels, against wrong ones, and with both together."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import MUTED, Picture, blank, draw_line, export, percent_axis, style
from penchant.reports.kit.text import number
from penchant.studies.labels.summarize import CLEAN_ALONE, CONTROL, WRONG_ALONE
from penchant.studies.labels.summary import ConditionResult, LabelsSummary, TaskResult
from penchant.studies.labels.words import KINDS

WIDTH, HEIGHT = 5.6, 3.9


def labels_pictures(study: LabelsSummary) -> dict[str, Picture]:
    """Return the figures by key, those of a task side by side."""
    pictures = {}
    for index, task in enumerate(study.tasks):
        if few_conditions := task.part("few"):
            names = methods_of(study, "few")
            pictures[f"few-{index}"] = _by_count(few_conditions, names, f"{task.title}: few labels", study)
        wrong = task.part("wrong")
        for kind in dict.fromkeys(item.kind for item in wrong):
            of_kind = [item for item in wrong if item.kind == kind]
            title = f"{task.title}: wrong labels, {KINDS[str(kind)]}"
            pictures[f"wrong-{kind}-{index}"] = _by_rate(of_kind, methods_of(study, "wrong"), title, study)
        if together := task.part("together"):
            pictures[f"together-{index}"] = _of_both(task, together, study)
    return pictures


def legend(study: LabelsSummary) -> list[str]:
    """Return the methods of the page's legend, in the order of their marks."""
    return list(dict.fromkeys([*methods_of(study, "few"), *methods_of(study, "wrong"), *both_names(study)]))


def methods_of(study: LabelsSummary, part: str) -> list[str]:
    """Return the methods of a part, in their order, over all tasks."""
    return list(
        dict.fromkeys(
            item.method for task in study.tasks for condition in task.part(part) for item in condition.methods
        )
    )


def both_names(study: LabelsSummary) -> list[str]:
    """Return the methods that use clean and wrong labels together."""
    suffixes = tuple(form.format("") for form in (CLEAN_ALONE, WRONG_ALONE))
    return [name for name in methods_of(study, "together") if not name.endswith(suffixes)]


def _by_count(conditions: Sequence[ConditionResult], names: Sequence[str], title: str, study: LabelsSummary) -> Picture:
    """Draw accuracy against the number of clean labels."""
    counts = sorted({condition.clean for condition in conditions if condition.clean})
    with style():
        figure, axes = blank(WIDTH, HEIGHT)
        _counts_axis(axes, counts)
        for offset, name in enumerate(names):
            points = [
                (condition.clean or 0, item.accuracy) for condition in conditions if (item := condition.method(name))
            ]
            # a hair apart, so that intervals do not lie on each other
            _line(axes, sorted(points), legend(study).index(name), 1 + 0.012 * (offset - len(names) / 2))
        return export(figure, title, legend(study))


def _by_rate(conditions: Sequence[ConditionResult], names: Sequence[str], title: str, study: LabelsSummary) -> Picture:
    """Draw accuracy against the share of wrong labels, as it was measured."""
    with style():
        figure, axes = blank(WIDTH, HEIGHT)
        for offset, name in enumerate(names):
            points = [(condition.wrong, item.accuracy) for condition in conditions if (item := condition.method(name))]
            _line(axes, sorted(points), legend(study).index(name), 1 + 0.008 * (offset - len(names) / 2))
        # measured, not asked for: an asymmetric rate is that of every second class
        axes.xaxis.set_major_locator(FixedLocator(sorted({condition.wrong for condition in conditions})))
        percent_axis(axes.xaxis)
        axes.set_xlabel("share of wrong labels", loc="right")
        _accuracy_axis(axes)
        return export(figure, title, legend(study))


def _of_both(task: TaskResult, conditions: Sequence[ConditionResult], study: LabelsSummary) -> Picture:
    """Draw accuracy against the number of clean labels, of methods that use both kinds; and of each kind alone."""
    counts = sorted({condition.clean for condition in conditions if condition.clean})
    marks = legend(study)
    with style():
        figure, axes = blank(WIDTH, HEIGHT)
        _counts_axis(axes, counts)
        # clean labels alone have the colour that plain training has everywhere
        lines = [(CLEAN_ALONE.format(CONTROL), marks.index(CONTROL) if CONTROL in marks else 0)]
        lines += [(name, marks.index(name)) for name in both_names(study)]
        for name, index in lines:
            points = [
                (condition.clean or 0, item.accuracy) for condition in conditions if (item := condition.method(name))
            ]
            if points:
                _line(axes, sorted(points), index, 1.0)
        if wrong_alone := conditions[0].method(WRONG_ALONE.format(CONTROL)):
            axes.axhline(wrong_alone.accuracy.value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        return export(figure, f"{task.title}: clean and wrong labels together", marks)


def _line(axes: Axes, points: Sequence[tuple[float, Estimate]], index: int, factor: float) -> None:
    if points:
        draw_line(axes, [x * factor for x, _ in points], [measured for _, measured in points], index)


def _counts_axis(axes: Axes, counts: Sequence[int]) -> None:
    # numbers of labels double and double again
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(map(float, counts))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 0)))
    axes.set_xlabel("clean labels", loc="right")
    _accuracy_axis(axes)


def _accuracy_axis(axes: Axes) -> None:
    percent_axis(axes.yaxis)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_ylabel("accuracy on the test rows")
