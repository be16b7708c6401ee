"""What was collected, as our own JSONL: comparisons that training reads, and beside them all that was said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session, col, select

from penchant.data.sources.collection import comparisons_of
from penchant.web.tables import Annotator, Assignment, Entry, Item, Judgment


@dataclass(frozen=True)
class StandingJudgment:
    """A judgment that stands, with what it is about.

    Attributes:
        record: the row that says what the person chose.
        order: response indices in the order on the page.
        ranks: by response index, 1 the best; None for a skip.
        answer: known places by response index, of an attention check; else None.
    """

    record: Judgment
    entry: int
    item: int
    annotator: str
    order: tuple[int, ...]
    ranks: dict[int, int] | None
    answer: dict[int, int] | None


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
        # places stand in the order of the page, which is another one for every second person
        ranks = None if judgment.places is None else dict(zip(order, json.loads(judgment.places), strict=True))
        answer = None if item.answer is None else dict(zip(members, json.loads(item.answer), strict=True))
        standing.append(StandingJudgment(judgment, item.entry_id, item.id, name, tuple(order), ranks, answer))
    return standing


def rows(session: Session) -> Iterator[dict[str, object]]:
    """Yield a row per entry that somebody compared, attention checks left out.

    Raises nothing of its own; `load_preferences` reads the rows, and gives what it gives for the database itself.
    """
    # by entry and not by item: with `ask=pairs` a prompt is many items, and is one row again here
    by_entry: dict[int, list[StandingJudgment]] = {}
    for judgment in standing_judgments(session):
        if judgment.answer is None:  # a check measures the person, and is no data
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


def _as_row(judgment: StandingJudgment) -> dict[str, object]:
    record = judgment.record
    row: dict[str, object] = {
        "annotator": judgment.annotator,
        "at": datetime.fromtimestamp(record.judged_at, UTC).isoformat(timespec="milliseconds"),
        "choice": record.choice,
        "order": list(judgment.order),
        "seconds": record.seconds,
    }
    if judgment.ranks is not None:
        row["places"] = {str(index): rank for index, rank in sorted(judgment.ranks.items())}
    for name, value in (("confidence", record.confidence), ("reason", record.reason), ("note", record.note)):
        if value:  # an empty note is none
            row[name] = value
    return row


def as_jsonl(session: Session) -> Iterator[bytes]:
    """Yield the export, line by line."""
    for row in rows(session):
        yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
