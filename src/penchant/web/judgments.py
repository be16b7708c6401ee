"""What a person says of an item: checked, written once however often it is sent, and taken back."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from penchant.web.assignment import DONE, OPEN, SKIPPED
from penchant.web.database import Database
from penchant.web.tables import Assignment, Judgment

REASONS = {
    "unclear": "I do not understand the prompt",
    "knowledge": "I lack the knowledge to tell",
    "upsetting": "It is offensive or upsetting",
    "broken": "The text is broken or cut",
    "other": "Something else (see the note)",
}
CONFIDENCE = {1: "a guess", 2: "fairly sure", 3: "sure"}
MOST_NOTE = 2000
MOST_SECONDS = 86_400.0
# Control characters that neither PostgreSQL nor a terminal takes; tabs and line ends stay.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Submission(BaseModel):
    """What the browser sends. Places are 1 for the best, one per response in the order shown; equal ones tie."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    # a UUID that the browser made: it sends the same one until it hears that the judgment is kept
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
    assignment: Annotated[int, Field(ge=1, lt=2**31)]
    choice: Literal["ranked", "tie", "both_bad", "skip"]
    places: Annotated[list[Annotated[int, Field(ge=1, le=99)]], Field(max_length=99)] | None = None
    confidence: Literal[1, 2, 3] | None = None
    reason: Literal["unclear", "knowledge", "upsetting", "broken", "other"] | None = None
    note: Annotated[str, Field(max_length=MOST_NOTE)] = ""
    seconds: Annotated[float, Field(ge=0, strict=False)] = 0.0

    @field_validator("note")
    @classmethod
    def _storable(cls, note: str) -> str:
        """Remove control characters and halves of surrogate pairs, which databases refuse."""
        return CONTROL.sub("", note.encode("utf-8", errors="replace").decode("utf-8"))

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if (self.choice == "skip") != (self.reason is not None):
            raise ValueError("a skip needs a reason, and nothing else has one")
        if (self.choice == "ranked") != (self.places is not None):
            raise ValueError("a ranking needs places, and nothing else has them")
        if self.places is not None and len(set(self.places)) < 2:
            raise ValueError("equal places for all are a tie")
        return self


class SubmissionError(Exception):
    """A submission that cannot be taken, whoever sends it again: `status` is the answer's, `reason` its words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def save(database: Database, annotator: int, sent: Submission, now: float) -> Judgment:
    """Write a judgment, or find the one that an earlier attempt of the same submission wrote.

    Raises:
        SubmissionError: the item was never this person's (404), has another number of responses (422), or was judged
            already by another submission, as in a second window (409).
        StorageError: nothing was written.
    """
    try:
        with database.writing() as session:
            return _save(session, annotator, sent, now)
    except IntegrityError:  # another server wrote between our look and our write
        with database.writing() as session:
            return _save(session, annotator, sent, now)


def _save(session: Session, annotator: int, sent: Submission, now: float) -> Judgment:
    assignment = session.get(Assignment, sent.assignment)
    if assignment is None or assignment.annotator_id != annotator:
        raise SubmissionError(404, "That item was not given to you.")
    # a retry is answered as the first attempt was, also where its judgment was undone meanwhile
    earlier_judgment = session.exec(select(Judgment).where(Judgment.client_id == sent.id)).first()
    if earlier_judgment is not None:
        if earlier_judgment.assignment_id != assignment.id:
            raise SubmissionError(409, "Another item's judgment has that id.")
        return earlier_judgment
    if standing(session, sent.assignment) is not None:
        raise SubmissionError(409, "You judged this item already, perhaps in another window. That judgment stands.")
    responses = len(json.loads(assignment.shown))
    ranks = sent.places
    if ranks is not None and (len(ranks) != responses or max(ranks) > responses):
        raise SubmissionError(422, f"Expected one place for each of {responses} responses.")
    if sent.choice in ("tie", "both_bad"):
        ranks = [1] * responses  # "all bad" is a tie for training, since none is better; the export keeps the choice
    judgment = Judgment(
        client_id=sent.id,
        assignment_id=sent.assignment,
        choice=sent.choice,
        places=None if ranks is None else json.dumps(ranks),
        confidence=sent.confidence,
        reason=sent.reason,
        note=sent.note.strip(),
        # the browser's word, but no more than the server's clock allows
        seconds=round(min(sent.seconds, max(0.0, now - assignment.opened_at), MOST_SECONDS), 2),
        judged_at=now,
    )
    assignment.state = SKIPPED if sent.choice == "skip" else DONE
    session.add(judgment)
    session.add(assignment)
    session.flush()
    return judgment


def standing(session: Session, assignment: int) -> Judgment | None:
    """Return the judgment of an assignment that was not undone."""
    query = select(Judgment).where(Judgment.assignment_id == assignment, col(Judgment.undone_at).is_(None))
    return session.exec(query).first()


def last_of(session: Session, annotator: int) -> Judgment | None:
    """Return the latest judgment of a person that stands."""
    query = select(Judgment).join(Assignment).where(Assignment.annotator_id == annotator)
    return session.exec(
        query.where(col(Judgment.undone_at).is_(None)).order_by(col(Judgment.id).desc()).limit(1)
    ).first()


def undo(database: Database, annotator: int, judgment_id: int, now: float, lease_s: float) -> Judgment:
    """Take a judgment back: its item is before the person again. A second request changes nothing.

    Raises:
        SubmissionError: no judgment of this person.
        StorageError: nothing was written.
    """
    with database.writing() as session:
        judgment = session.get(Judgment, judgment_id)
        assignment = None if judgment is None else session.get(Assignment, judgment.assignment_id)
        if judgment is None or assignment is None or assignment.annotator_id != annotator:
            raise SubmissionError(404, "That judgment is not yours.")
        if judgment.undone_at is None:
            judgment.undone_at = now
            assignment.state, assignment.opened_at, assignment.lease_until = OPEN, now, now + lease_s
            session.add(judgment)
            session.add(assignment)
        return judgment
