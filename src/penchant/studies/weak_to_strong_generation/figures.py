"""Draw a study of written answers: a dot per method with its interval, between supervisor and ceiling."""

from __future__ import annotations

from matplotlib.ticker import FixedLocator, NullLocator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, percent_axis, run_style, style
from penchant.studies.weak_to_strong_generation.names import CEILING
from penchant.studies.weak_to_strong_generation.summary import GenerationResult, GenerationSummary
from penchant.studies.weak_to_strong_generation.words import label_of

WIDTH, ROW = 6.4, 0.32  # inches
SUPERVISOR, START = "The supervisor", "The student before it learns"


def generation_pictures(study: GenerationSummary) -> dict[str, Picture]:
    """Return the figures by key, one per task."""
    return {f"scores-{index}": _scores(task) for index, task in enumerate(study.tasks)}


def _scores(task: GenerationResult) -> Picture:
    # what did not learn stands on top, the ceiling at the bottom
    rows: list[tuple[str, Estimate]] = [(START, task.start), (SUPERVISOR, task.supervisor)]
    rows += [(label_of(item.method), item.score) for item in task.students]
    with style():
        figure, axes = blank(WIDTH, 0.9 + ROW * len(rows))
        for row_number, (name, score) in enumerate(rows):
            # colours tell models that learned from models that did not, and from the ceiling
            is_fixed = name in (START, SUPERVISOR, label_of(CEILING))
            color, _, marker = run_style(1 if is_fixed else 0)
            arms = error_arms([score])
            axes.errorbar(
                [score.value], [row_number], xerr=arms, color=color, marker=marker, markersize=5, linestyle="none"
            )
        ceiling = task.student(CEILING)
        for edge in (task.supervisor, ceiling.score if ceiling is not None else None):
            if edge is not None:
                axes.axvline(edge.value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.yaxis.set_major_locator(FixedLocator(list(range(len(rows)))))
        axes.yaxis.set_minor_locator(NullLocator())
        # names of methods are sentences: they fit beside the dots and not in a legend
        axes.set_yticklabels([name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row on top
        percent_axis(axes.xaxis)
        axes.set_xlabel("right on the test prompts", loc="right")
        return export(figure, f"{task.title}: what students of written answers have right", [])
