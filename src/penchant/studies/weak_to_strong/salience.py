"""What the gap that students recover goes with: how salient a task is in a model, measured in several ways."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.ticker import MaxNLocator

from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Estimate
from penchant.metrics.slope import within_slope
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, run_style, style
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import number, recorded
from penchant.studies.weak_to_strong.summary import StudentResult, WeakToStrongSummary
from penchant.weak.figures import fitted_percent_axis

FEWEST = 6
"""Students with a ratio: fewer points make a line of luck."""
PER = 0.1  # ten points of the property: a slope per whole unit would be a PGR for going from 0 to 100%
Property = Callable[[StudentResult], Estimate | None]
PROPERTIES: dict[str, Property] = {
    "accuracy after a few true labels": lambda student: student.prior_accuracy,
    "prompted accuracy": lambda student: student.prompted_accuracy,
    "ceiling": lambda student: student.recovery.ceiling,
    "the same in other words": lambda student: student.consistency,
}


def _points(study: WeakToStrongSummary, measured: Property) -> list[tuple[StudentResult, Estimate]]:
    """Return the naive students with a ratio for whom the property was measured."""
    naive = [student for student in study.cells if student.is_naive and student.pgr.value is not None]
    return [(student, value) for student in naive if (value := measured(student)) is not None]


def salience_slope(study: WeakToStrongSummary, measured: Property) -> Estimate | None:
    """Return by how much PGR rises per ten points of a property, among the students of one task and supervisor."""
    points = _points(study, measured)
    if len(points) < FEWEST:
        return None
    # within a supervisor: a better one leaves less of a gap and is nearer to every student
    groups = [f"{student.task}\0{student.weak}" for student, _ in points]
    ratios = [student.pgr.value or 0.0 for student, _ in points]
    return within_slope([value.value / PER for _, value in points], ratios, groups)


def salience_tables(study: WeakToStrongSummary) -> list[Table]:
    """Return the table of slopes; none where too few students have a ratio."""
    slopes = {name: salience_slope(study, measured) for name, measured in PROPERTIES.items()}
    rows = [
        (name, recorded(slope, sign=True, decimals=2), number(slope.n, 0), number(slope.clusters, 0))
        for name, slope in slopes.items()
        if slope is not None
    ]
    if not rows:
        return []
    caption = (
        f"What the ratio goes with: by how much {metric('pgr').title.lower()} of naive students rises per ten points "
        "of a property, within a task and supervisor, by least squares. The intervals take students to be independent, "
        "though they share rows and seeds: they are too narrow rather than too wide."
    )
    return [Table(caption, ("property", "PGR per 10 points", "students", "tasks and supervisors"), tuple(rows))]


def salience_picture(study: WeakToStrongSummary) -> Picture | None:
    """Draw PGR against the accuracy after a few true labels, a point for each naive student with both."""
    points = _points(study, PROPERTIES["accuracy after a few true labels"])
    if len(points) < FEWEST:
        return None
    supervisors = list(dict.fromkeys((student.task, student.weak) for student, _ in points))
    color, _, _ = run_style(0)  # the naive way's
    with style():
        figure, axes = blank(5.4, 3.4)
        for index, supervisor in enumerate(supervisors):
            students = [(student, value) for student, value in points if (student.task, student.weak) == supervisor]
            students.sort(key=lambda point: point[1].value)
            x, ratios = [value.value for _, value in students], [student.pgr for student, _ in students]
            _, _, marker = run_style(index)
            y = [ratio.value or 0.0 for ratio in ratios]
            axes.errorbar(x, y, yerr=error_arms(ratios), color=color, marker=marker, markersize=5, linestyle="none")
            # a thin line through the students of one supervisor, which alone are compared
            axes.plot(x, y, color=color, linewidth=0.7, linestyle=":")
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=":")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        fitted_percent_axis(axes.xaxis)
        axes.set_xlabel("accuracy after a few true labels", loc="right")
        return export(figure, f"{metric('pgr').title} against salience", [])
