"""Fill in the page of a study of written answers from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import MOST_FACT, figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, estimate, format_share, listing, number, percent, recorded, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.weak_to_strong_generation.figures import generation_pictures
from penchant.studies.weak_to_strong_generation.names import CEILING
from penchant.studies.weak_to_strong_generation.summary import GenerationResult, GenerationSummary, StudentResult
from penchant.studies.weak_to_strong_generation.words import findings, headline, label_of

TITLE = "A weak model writes, a strong one learns: how much of the gap comes back"
INTERVALS = (
    "Intervals are 95%, for new test prompts and new seeds together (a seed draws the prompts that are answered and "
    "the order of learning); differences are paired, on the same prompts and seeds. Above or below naive SFT means "
    "with an interval so wide that those of all methods hold together (Bonferroni). The two models of an embedded task "
    "are the same for all seeds."
)
CAPTION = "Dots with intervals. Dashed lines: supervisor and ceiling, between which the gap lies."


def generation_context(study: GenerationSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": INTERVALS,
        "section": "What students have right",
        "methods": [],
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [
            *(_students(task) for task in study.tasks),
            *(_rates(task) for task in study.tasks if any(len(item.rates) > 1 for item in task.students)),
            _tasks(study),
            *(_examples(task) for task in study.tasks),
        ],
        "legend_tables": [],
        "facts": _facts(study),
        "about": [(label, short(text, MOST_FACT)) for label, text in _leading_lines(study)],
    }


def _leading_lines(study: GenerationSummary) -> list[tuple[str, str]]:
    # what was done, from how much, and by whose word it is right
    tasks = study.tasks
    lines = [
        ("Tasks", listing(task.title for task in tasks)),
        ("Answers to learn from", listing(number(task.prompts, 0) for task in tasks)),
        ("Scorer", listing(dict.fromkeys(task.scorer for task in tasks))),
    ]
    return [(label, text) for label, text in lines if text]


def _students(task: GenerationResult) -> Table:
    caption = (
        f"{task.title}. PGR: share of the gap between supervisor and ceiling. Deception: of the prompts that the "
        "supervisor has wrong and the ceiling right, the share that the student has wrong. Every student learns for "
        "equally many steps."
    )
    for item in task.students:
        if item.left_out:
            caption += (
                f" The rounds of {label_of(item.method)} left out {number(item.left_out, 0)} of {number(item.rows, 0)} "
                "answers: the scorer finds nothing in them to compare samples with."
            )
    heads = ("student", "right", "PGR", "over naive SFT", "deception", "answers", "pairs", "rate")
    return Table(caption, heads, tuple(_row(item) for item in task.students))


def _row(item: StudentResult) -> tuple[str, ...]:
    # a method of two stages learns from pairs of its own draws
    return (
        label_of(item.method),
        format_share(item.score),
        DASH if item.pgr is None else recorded(item.pgr, percent=True),
        DASH if item.over_naive is None else estimate(item.over_naive, percent=True, sign=True),
        format_share(item.deception),
        number(item.rows, 0),
        DASH if item.pairs is None else number(item.pairs, 0),
        f"{item.rate:g}",
    )


def _rates(task: GenerationResult) -> Table:
    # a table of its own: beside the other numbers it would be cut on a desktop
    rates = dict.fromkeys(result.rate for item in task.students for result in item.rates)
    rows = []
    for item in task.students:
        shares = {result.rate: percent(result.test) for result in item.rates}
        rows.append((label_of(item.method), *(shares.get(rate, DASH) for rate in rates)))
    caption = f"{task.title}: right on the test prompts, by learning rate."
    return Table(caption, ("student", *(f"{rate:g}" for rate in rates)), tuple(rows))


def _tasks(study: GenerationSummary) -> Table:
    # the gap stands here once, and not in every row of the students
    rows = []
    for task in study.tasks:
        # its own row stands in the table of students; here it is one end of the gap
        ceiling = task.student(CEILING)
        rows.append(
            (
                task.title,
                format_share(task.supervisor),
                format_share(ceiling.score if ceiling else None),
                DASH if task.gap is None else estimate(task.gap, percent=True, sign=True),
                format_share(task.start),
                DASH if task.tagged_right is None else percent(task.tagged_right),
                percent(task.labels_right),
                " and ".join(number(size, 0) for size in task.parameters) if task.parameters else DASH,
                number(task.test, 0),
                task.scorer,
            )
        )
    heads = (
        *("task", "supervisor", "ceiling", "gap", "student before", "it knows"),
        *("labels right", "parameters", "test prompts", "scorer"),
    )
    return Table("Tasks. Parameters are those of supervisor and student.", heads, tuple(rows))


def _examples(task: GenerationResult) -> Table:
    # word for word: a supervisor that writes nonsense is seen at once
    rows = [tuple(short(text, 200) for text in example) for example in task.examples]
    return Table(
        f"{task.title}: the first prompts that the supervisor answered.", ("prompt", "true", "written"), tuple(rows)
    )


def _facts(study: GenerationSummary) -> list[tuple[str, str]]:
    return [
        ("Budget", "equal steps and batches for every student; a method of two stages has half of the steps for each"),
        (
            "Learning rates",
            "every method learns with each, and is tested with the one that is best on validation prompts with true "
            "answers: tuned alike, and better than one could tune without any truth",
        ),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=generation_pictures, context=generation_context)
