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
class Said:
    """A judgment that stands, with what it is about.

    Attributes:
        places: by response index, 1 the best; None for a skip. shown: response indices in the order on the page.
        answer: known places by response index, of an attention check; else None.
    """

    number: int
    entry: int
    item: int
    annotator: str
    choice: str
    shown: tuple[int, ...]
    places: dict[int, int] | None
    answer: dict[int, int] | None
    confidence: int | None
    reason: str | None
    note: str
    seconds: float
    judged_at: float


def all_said(session: Session) -> list[Said]:
    """Return every judgment that stands, in the order in which they came."""
    asked = (
        select(Judgment, Assignment, Item, Annotator.name)
        .join(Assignment, col(Assignment.id) == Judgment.assignment_id)
        .join(Item, col(Item.id) == Assignment.item_id)
        .join(Annotator, col(Annotator.id) == Assignment.annotator_id)
        .where(col(Judgment.undone_at).is_(None))
        .order_by(col(Judgment.id))
    )
    found = []
    for judgment, assignment, item, name in session.exec(asked):
        shown, members = json.loads(assignment.shown), json.loads(item.members)
        places = None if judgment.places is None else dict(zip(shown, json.loads(judgment.places), strict=True))
        answer = None if item.answer is None else dict(zip(members, json.loads(item.answer), strict=True))
        found.append(
            Said(
                judgment.id or 0,
                item.entry_id,
                item.id,
                name,
                judgment.choice,
                tuple(shown),
                places,
                answer,
                judgment.confidence,
                judgment.reason,
                judgment.note,
                judgment.seconds,
                judgment.judged_at,
            )
        )
    return found


def rows(session: Session) -> Iterator[dict[str, Any]]:
    """Yield a row per entry that somebody compared, attention checks left out.

    Raises nothing of its own; `load_preferences` reads the rows, and gives what it gives for the database itself.
    """
    by_entry: dict[int, list[Said]] = {}
    for said in all_said(session):
        if said.answer is None:
            by_entry.setdefault(said.entry, []).append(said)
    for entry in session.exec(select(Entry).order_by(col(Entry.id))):
        heard = by_entry.get(entry.id, [])
        comparisons = [one for said in heard if said.places for one in comparisons_of(said.places, said.annotator)]
        if comparisons:
            judgments = [_as_row(said) for said in heard]
            yield {**json.loads(entry.row), "comparisons": comparisons, "judgments": judgments}


def _as_row(said: Said) -> dict[str, Any]:
    row: dict[str, Any] = {
        "annotator": said.annotator,
        "at": datetime.fromtimestamp(said.judged_at, UTC).isoformat(timespec="milliseconds"),
        "choice": said.choice,
        "order": list(said.shown),
        "seconds": said.seconds,
    }
    if said.places is not None:
        row["places"] = {str(index): place for index, place in sorted(said.places.items())}
    for name, value in (("confidence", said.confidence), ("reason", said.reason), ("note", said.note)):
        if value:
            row[name] = value
    return row


def as_jsonl(session: Session) -> Iterator[bytes]:
    """Yield the export, line by line."""
    for row in rows(session):
        yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
