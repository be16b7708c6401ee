"""Fill in the page of a study of oversight from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import MOST_FACT, figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, estimate, format_share, number, percent, recorded, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.oversight.figures import legend, oversight_pictures
from penchant.studies.oversight.summary import OversightSummary, ProtocolResult
from penchant.studies.oversight.words import OWN_LABEL, findings, headline

TITLE = "Oversight: what a weak reader's labels are worth"
INTERVALS = (
    "Intervals are 95%, for new questions and new seeds together (a seed draws the reader's labelled questions and "
    "sends other advisors); gains over the blind reader are paired, on the same questions and seeds."
)
CAPTION = (
    "A dot for each protocol: how often its label is the right answer of the test questions; of a consultancy the mean "
    "over right and wrong advisors. Beside it the students that learned from its labels. The dashed line is chance."
)
RECOVERED = "share of the gap to the advisors"


def oversight_context(study: OversightSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": INTERVALS,
        "section": "Accuracy by protocol",
        "methods": legend(study),
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [_protocols(study), _students(study), _costs(study)] if study.protocols else [],
        # rows are protocols, which the two marks of the legend would not fit
        "legend_tables": [],
        "facts": _facts(study),
        "about": [(label, short(text, MOST_FACT)) for label, text in _leading_lines(study) if text],
    }


def _leading_lines(study: OversightSummary) -> list[tuple[str, str]]:
    return [
        ("Reader", study.reader),
        ("Advisors", study.advisor),
        ("Students", study.student),
        ("Questions", f"{number(study.train, 0)} to learn from, {number(study.test, 0)} to test on ({study.source})"),
    ]


def _protocols(study: OversightSummary) -> Table:
    # the advisors last: their own answers are the ceiling that the others are measured by
    rows = [
        (
            result.label,
            format_share(result.accuracy),
            DASH if result.gain is None else estimate(result.gain, percent=True, sign=True),
            recorded(result.recovered, decimals=2),
            format_share(result.right_advisor),
            format_share(result.wrong_advisor),
        )
        for result in study.protocols
    ]
    if study.own_accuracy is not None:
        rows.append((OWN_LABEL, format_share(study.own_accuracy), DASH, DASH, DASH, DASH))
    caption = (
        "Protocols. The gain is over the blind reader. The share of the gap is that between the blind reader (0) and "
        "the advisors' own answers (1); it is no law that a protocol lies between the two."
    )
    return Table(
        caption,
        ("protocol", "accuracy", "gain", RECOVERED, "with a right advisor", "with a wrong advisor"),
        tuple(rows),
    )


def _students(study: OversightSummary) -> Table:
    rows = [
        (
            result.label,
            percent(result.label_accuracy, 1),
            format_share(result.student),
            DASH if result.student_gain is None else estimate(result.student_gain, percent=True, sign=True),
            recorded(result.student_pgr, decimals=2),
        )
        for result in study.protocols
    ]
    if study.ceiling is not None:
        rows.append(("the truth", percent(1.0), format_share(study.ceiling), DASH, DASH))
    caption = (
        "Students of each protocol's labels. The gain is over students of the blind reader's. Recovered: the "
        "share of the gap between the protocol's own accuracy (0) and that of the students of the truth (1)."
    )
    return Table(caption, ("labels of", "accuracy of the labels", "students", "gain", "gap recovered"), tuple(rows))


def _costs(study: OversightSummary) -> Table:
    # per question, since protocols are compared whatever the number of questions
    rows = [_cost_row(result) for result in study.protocols]
    caption = (
        "What a label costs: tokens per question, in the reader's own (words where it has none), and how its texts "
        "went. Billed: what endpoints counted."
    )
    heads = ("protocol", "read", "written", "billed", "quotes that stand there", "texts that were cut")
    return Table(caption, heads, tuple(rows))


def _cost_row(result: ProtocolResult) -> tuple[str, ...]:
    cost = result.cost
    tokens = [number(cost.per_question(tokens), 0) for tokens in (cost.read, cost.written, cost.billed)]
    quotes = f"{number(cost.verified, 0)} of {number(cost.quotes, 0)}" if cost.quotes else DASH
    return (
        result.label,
        *tokens,
        quotes,
        f"{number(cost.cut, 0)} of {number(cost.texts_shown, 0)}" if cost.texts_shown else DASH,
    )


def _facts(study: OversightSummary) -> list[tuple[str, str]]:
    # reasons as the stage counted them, so that a file of the user's can be mended
    dropped = "; ".join(f"{number(size, 0)} {reason}" for reason, size in study.dropped.items()) or "none"
    return [
        ("Questions that were labelled", f"{number(study.labelled, 0)} per seed; the reader learned from none of them"),
        ("Questions left out", dropped),
        (
            "Cut",
            "a text that is longer than the reader's room loses the ends of its longest statements, so that both sides "
            "keep as much",
        ),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=oversight_pictures, context=oversight_context)
