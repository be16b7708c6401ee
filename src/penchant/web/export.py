"""What was collected, as our own JSONL: comparisons that training reads, and beside them all that was said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from penchant.data.sources.collection import comparisons_of
from penchant.web.tables import Annotator, Assignment, Entry, Item, Judgment


@dataclass(frozen=True)
class StandingJudgment:
    """A judgment that stands, with what it is about.

    Attributes:
        ranks: by response index, 1 the best; None for a skip. order: response indices in the order on the page.
        answer: known places by response index, of an attention check; else None.
    """

    number: int
    entry: int
    item: int
    annotator: str
    choice: str
    order: tuple[int, ...]
    ranks: dict[int, int] | None
    answer: dict[int, int] | None
    confidence: int | None
    reason: str | None
    note: str
    seconds: float
    judged_at: float


def standing_judgments(session: Session) -> list[StandingJudgment]:
    """Return every judgment that stands, in the order in which they came."""
    query = (
        select(Judgment, Assignment, Item, Annotator.name)
        .join(Assignment, col(Assignment.id) == Judgment.assignment_id)
        .join(Item, col(Item.id) == Assignment.item_id)
        .join(Annotator, col(Annotator.id) == Assignment.annotator_id)
        .where(col(Judgment.undone_at).is_(None))
        .order_by(col(Judgment.id))
    )
    standing = []
    for judgment, assignment, item, name in session.exec(query):
        order, members = json.loads(assignment.shown), json.loads(item.members)
        ranks = None if judgment.places is None else dict(zip(order, json.loads(judgment.places), strict=True))
        answer = None if item.answer is None else dict(zip(members, json.loads(item.answer), strict=True))
        standing.append(
            StandingJudgment(
                judgment.id or 0,
                item.entry_id,
                item.id,
                name,
                judgment.choice,
                tuple(order),
                ranks,
                answer,
                judgment.confidence,
                judgment.reason,
                judgment.note,
                judgment.seconds,
                judgment.judged_at,
            )
        )
    return standing


def rows(session: Session) -> Iterator[dict[str, Any]]:
    """Yield a row per entry that somebody compared, attention checks left out.

    Raises nothing of its own; `load_preferences` reads the rows, and gives what it gives for the database itself.
    """
    by_entry: dict[int, list[StandingJudgment]] = {}
    for judgment in standing_judgments(session):
        if judgment.answer is None:
            by_entry.setdefault(judgment.entry, []).append(judgment)
    for entry in session.exec(select(Entry).order_by(col(Entry.id))):
        entry_judgments = by_entry.get(entry.id, [])
        comparisons = [
            comparison
            for judgment in entry_judgments
            if judgment.ranks
            for comparison in comparisons_of(judgment.ranks, judgment.annotator)
        ]
        if comparisons:
            judgment_rows = [_as_row(judgment) for judgment in entry_judgments]
            yield {**json.loads(entry.row), "comparisons": comparisons, "judgments": judgment_rows}


def _as_row(judgment: StandingJudgment) -> dict[str, Any]:
    row: dict[str, Any] = {
        "annotator": judgment.annotator,
        "at": datetime.fromtimestamp(judgment.judged_at, UTC).isoformat(timespec="milliseconds"),
        "choice": judgment.choice,
        "order": list(judgment.order),
        "seconds": judgment.seconds,
    }
    if judgment.ranks is not None:
        row["places"] = {str(index): rank for index, rank in sorted(judgment.ranks.items())}
    for name, value in (("confidence", judgment.confidence), ("reason", judgment.reason), ("note", judgment.note)):
        if value:
            row[name] = value
    return row


def as_jsonl(session: Session) -> Iterator[bytes]:
    """Yield the export, line by line."""
    for row in rows(session):
        yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
