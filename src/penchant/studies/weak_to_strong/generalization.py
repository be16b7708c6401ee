"""The table of what a good generalization is asked for, for every student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import format_share, number
from penchant.studies.weak_to_strong.summary import StudentResult, WeakToStrongSummary


def generalization_table(
    study: WeakToStrongSummary, heads: Sequence[str], names: Callable[[StudentResult], tuple[str, ...]]
) -> Table:
    """Return a row per student: where it disagrees, how close it stays to what its model knew, how alike it answers.

    Args:
        heads: of the first columns. names: what these hold for a student.
    """
    few_rows = study.config.get("few_rows")
    # the first should be high and the second low: a copy of its supervisor has 0 in both
    columns: list[tuple[str, Callable[[StudentResult], str]]] = [
        ("disagrees where the supervisor is wrong", lambda s: format_share(_disagreement(s.agreement.where_wrong))),
        ("disagrees where it is right", lambda s: format_share(_disagreement(s.agreement.where_right))),
    ]
    # columns that no student has are left out: old studies asked for neither
    if any(student.prior_agreement for student in study.cells):
        head = f"agrees with {number(few_rows, 0) if few_rows else 'few'} true labels"
        columns += [
            (head, lambda s: format_share(s.prior_agreement)),
            ("their accuracy", lambda s: format_share(s.prior_accuracy)),
        ]
    if any(student.prompted_accuracy for student in study.cells):
        columns.append(("its model, prompted", lambda s: format_share(s.prompted_accuracy)))
    # one wording alone says nothing of others
    if any(student.consistency for student in study.cells):
        columns.append(("the same in other words", lambda s: format_share(s.consistency)))
    rows = [(*names(student), *(cell(student) for _, cell in columns)) for student in study.cells]
    caption = (
        "What a good generalization is asked for: to disagree with the supervisor where that is wrong and not where it "
        "is right, to stay close to what the model knew of the task (what a probe of it says that learned from a few "
        "true labels; with `prompted`, how often it is right as it is), and to give a row the same class in other "
        "words (with `templates`)."
    )
    return Table(caption, (*heads, *(head for head, _ in columns)), tuple(rows))


def _disagreement(agreement: Estimate | None) -> Estimate | None:
    """Return the complement of a share, with its interval turned over."""
    if agreement is None:
        return None
    # what was the upper end of the agreement is the lower one of the rest
    low, high = (None if end is None else 1 - end for end in (agreement.high, agreement.low))
    return replace(agreement, value=1 - agreement.value, low=low, high=high)
