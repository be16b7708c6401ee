"""Draw a study of oversight: the accuracy of every protocol, and of the students of its labels."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, percent_axis, run_style, style
from penchant.studies.oversight.summary import OversightSummary
from penchant.studies.oversight.words import OWN_LABEL

WIDTH, ROW = 6.4, 0.42
CHANCE = 0.5
PROTOCOL, STUDENT = "protocol", "student of its labels"
TRUTH = "student of the truth"


def oversight_pictures(study: OversightSummary) -> dict[str, Picture]:
    """Return the figure of all accuracies; none where nothing was measured."""
    return {"accuracy": _accuracies(study)} if study.protocols else {}


def legend(study: OversightSummary) -> list[str]:
    """Return the marks of the figure, in the order of their styles."""
    return [PROTOCOL, *([STUDENT] if any(result.student for result in study.protocols) else [])]


def _accuracies(study: OversightSummary) -> Picture:
    rows: list[tuple[str, Estimate | None, Estimate | None]] = [
        (result.label, result.accuracy, result.student) for result in study.protocols
    ]
    # protocol and student side by side, so that one sees whether a student goes beyond its labels
    # the ends of the scale last: what the advisors know, and what a student could learn
    rows += [(OWN_LABEL, study.own_accuracy, None)] if study.own_accuracy is not None else []
    rows += [(TRUTH, None, study.ceiling)] if study.ceiling is not None else []
    with style():
        figure, axes = blank(WIDTH, 1.0 + ROW * len(rows))
        axes.axvline(CHANCE, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        _dots(axes, [accuracy for _, accuracy, _ in rows], 0, -0.12)
        _dots(axes, [student for _, _, student in rows], 1, 0.12)
        # names at the left and no legend of protocols: they are long, and there may be ten
        axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
        # the first row on top, as in the table
        axes.set_ylim(len(rows) - 0.5, -0.5)
        percent_axis(axes.xaxis)
        axes.set_xlabel("accuracy on the test questions", loc="right")
        return export(figure, "Accuracy of protocols and of their students", legend(study))


def _dots(axes: Axes, accuracies: Sequence[Estimate | None], index: int, aside: float) -> None:
    """Draw accuracies as dots with their intervals, a little above or below their row."""
    color, _, marker = run_style(index)
    measured_rows = [(row + aside, accuracy) for row, accuracy in enumerate(accuracies) if accuracy is not None]
    if measured_rows:
        heights, measured = zip(*measured_rows, strict=True)
        values = [accuracy.value for accuracy in measured]
        arms = error_arms(measured)
        axes.errorbar(values, heights, xerr=arms, color=color, marker=marker, markersize=6, linestyle="none")
