"""Fill in the page of a study of labels from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import MOST_FACT, figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, duration, estimate, format_share, listing, number, percent, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.labels.figures import labels_pictures, legend
from penchant.studies.labels.summary import ConditionResult, LabelsSummary, MethodResult, TaskResult
from penchant.studies.labels.words import NO_CONTROL, advised, control_of, findings, headline, situation

TITLE = "Few, wrong and missing labels: what helps"
INTERVALS = (
    "Intervals are 95%, for new test rows and new seeds together (a seed draws the labels and starts the network); "
    "differences are paired, on the same rows and seeds. A method is advised where its difference is above 0 with an "
    "interval so wide that those of all methods at its condition hold together (Bonferroni). No setting was tuned here."
)
GROUPED = "Test rows that belong together, such as those of one question, are drawn together."
CAPTIONS = {
    "few": "Of all rows to learn from, so many keep their true label; the others are rows without one.",
    "wrong": "All rows have a label, of which this share is wrong. Best epoch: chosen by the wrong labels of rows that "
    "were held out.",
    "together": "So many clean labels, and a wrong one of the stated kind for every other row. The dashed line: plain "
    "training on the wrong labels alone.",
}


def labels_context(study: LabelsSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    # the answer first, then every number that it comes from
    tables = [table for task in study.tasks for table in _tables(task)]
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": f"{INTERVALS} {GROUPED}" if any(task.groups for task in study.tasks) else INTERVALS,
        "section": "Accuracy by labels",
        "methods": legend(study),
        "figures": [figure_context(key, picture, CAPTIONS[key.partition("-")[0]]) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [_what_to_do(study), *tables, _rows(study)],
        # rows are conditions and methods, which the marks of the legend would not fit
        "legend_tables": [],
        "facts": _facts(study),
        "about": _leading_lines(study),
    }


def _leading_lines(study: LabelsSummary) -> list[tuple[str, str]]:
    # what learned, and from how much
    lines = [
        ("Tasks", listing(task.title for task in study.tasks)),
        ("Networks", listing(dict.fromkeys(task.network for task in study.tasks))),
        ("Rows to learn from", listing(number(task.train, 0) for task in study.tasks)),
    ]
    return [(label, short(text, MOST_FACT)) for label, text in lines if text]


def _what_to_do(study: LabelsSummary) -> Table:
    """Return the table that answers the study's question, a row for each situation."""
    # a row for every condition, also where the advice is to do nothing
    rows = []
    has_several_tasks = len(study.tasks) > 1
    for task in study.tasks:
        title = (task.title,) if has_several_tasks else ()
        for condition in task.conditions:
            control = control_of(condition)
            if control is None:
                rows.append((*title, situation(condition), NO_CONTROL, DASH, DASH, DASH))
                continue
            best = advised(condition)
            # nothing that is clearly better: then the plain way is advised
            does = best or control
            gain = DASH if best is None or best.gain is None else estimate(best.gain, percent=True, sign=True)
            advice = does.method if best else f"{control.method}; nothing better was shown"
            cells = (situation(condition), advice, format_share(does.accuracy), gain, _times(does, control))
            rows.append((*title, *cells))
    heads = (*(("task",) if has_several_tasks else ()), "you have", "do this", "accuracy", "gain", "time")
    caption = (
        "What to do: the most accurate of the methods that are clearly above the control, the same network trained "
        "plainly on the labels. Gain is over the control; time is the processor's, in multiples of the control's."
    )
    return Table(caption, heads, tuple(rows))


def _times(item: MethodResult, control: MethodResult) -> str:
    return f"{number(item.seconds / control.seconds, 1)}x" if control.seconds > 0 else DASH


def _tables(task: TaskResult) -> list[Table]:
    """Return a table of every method for each part of a task."""
    # in words that stand alone, since tables are copied
    titles = {
        "few": "few clean labels, and rows without any",
        "wrong": "a label for every row, some wrong",
        "together": "clean and wrong labels together",
    }
    tables = [
        _methods(f"{task.title}: {title}. Warnings: seeds whose pseudo-labels or divisions looked wrong.", conditions)
        for part, title in titles.items()
        if (conditions := task.part(part))
    ]
    rows = [
        (situation(condition), item.method, number(item.warnings, 0), item.first_warning)
        for condition in task.conditions
        for item in condition.methods
        if item.first_warning
    ]
    # a number alone says that something is wrong, and not what
    caption = f"{task.title}: what was warned of, in the words of the first seed that had a warning."
    return [*tables, *([Table(caption, ("labels", "method", "seeds", "warning"), tuple(rows))] if rows else [])]


def _methods(caption: str, conditions: Sequence[ConditionResult]) -> Table:
    rows = [
        (
            situation(condition),
            item.method,
            format_share(item.accuracy),
            DASH if item.gain is None else estimate(item.gain, percent=True, sign=True),
            DASH if item.mask_rate is None else percent(item.mask_rate),
            number(item.warnings, 0) if item.warnings else DASH,
            duration(item.seconds),
        )
        for condition in conditions
        for item in condition.methods
    ]
    heads = ("labels", "method", "accuracy", "gain", "rows that counted", "warnings", "time of a seed")
    return Table(caption, heads, tuple(rows))


def _rows(study: LabelsSummary) -> Table:
    rows = [
        (
            task.title,
            short(", ".join(task.classes), 80),
            number(task.train, 0),
            number(task.test, 0),
            percent(task.chance, 1),
            task.network,
            task.views,
            "; ".join(f"{number(size, 0)} {reason}" for reason, size in task.dropped.items() if size) or DASH,
            task.source,
        )
        for task in study.tasks
    ]
    heads = (
        "task",
        "classes",
        "rows to learn from",
        "rows to test",
        "chance",
        "network",
        "views",
        "left out",
        "source",
    )
    return Table("Rows. Chance is the share of the largest class.", heads, tuple(rows))


def _facts(study: LabelsSummary) -> list[tuple[str, str]]:
    return [
        ("Clean labels", "drawn by each seed, as many of every class as there can be"),
        (
            "Budget",
            "the same steps, labelled rows of a step and start for every method of a task; algorithms with "
            "unlabelled rows read more rows a step, which their time shows; choosing an epoch is no part of it",
        ),
        ("Methods", f"{count(len(legend(study)), 'line')} of the legend"),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=labels_pictures, context=labels_context)
