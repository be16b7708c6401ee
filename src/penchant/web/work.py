"""What an annotator does: come by the link, judge, take back."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session, select

from penchant.clean_text import clean
from penchant.web.access import greet, require_csrf, require_session
from penchant.web.assignment import next_assignment, open_assignments
from penchant.web.database import StorageError, collection_of
from penchant.web.entry_content import EntryContent
from penchant.web.judgments import Submission, last_of, save, undo
from penchant.web.pages import page, work_context
from penchant.web.rendering import as_html
from penchant.web.state import State, picture, state_of
from penchant.web.summary import progress_of
from penchant.web.tables import Assignment, Entry, Item

router = APIRouter()
# In a header, which no form of another site can set.
Csrf = Annotated[str, Header(alias="x-csrf-token", max_length=200)]


class Undo(BaseModel):
    """Which judgment to take back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    judgment: Annotated[int, Field(ge=1, lt=2**31)]


def _require_known(state: State, number: int) -> str:
    if number not in state.names:
        raise HTTPException(404, "There is no such page.")
    return str(number)


def _enter(request: Request, number: int) -> tuple[State, str]:
    """Return the state and the session of a request for a person's pages, which must be that person's."""
    state = state_of(request)
    return state, require_session(request, _require_known(state, number))


@router.get("/a/{number}/{link}")
def welcome(request: Request, number: int, link: str) -> Response:
    """Answer the personal link by the instructions."""
    # not straight by the work: a browser keeps a SameSite=Strict cookie back from a redirect that another site's link
    # began
    state = state_of(request)
    person = _require_known(state, number)
    html = page(
        "welcome.html.j2",
        title=state.config.title,
        name=state.names[number],
        number=number,
        instructions=as_html(state.config.instructions),
    )
    response = HTMLResponse(html)
    greet(request, response, person, link, f"/w/{number}")
    return response


@router.get("/w/{number}/")
def item(request: Request, number: int) -> Response:
    """Show the item before this person, or say that there is none now."""
    state, session_id = _enter(request, number)
    config, work = state.config, _open_work(state, number)
    if work is None:
        return _nothing_left(state, number, session_id)
    assignment, entry, done, last = work
    totals = (state.items, config.overlap, len(state.names))
    html = page(
        "work.html.j2",
        title=config.title,
        name=state.names[number],
        number=number,
        assignment=assignment.id,
        last=last,
        csrf=state.keys.csrf(session_id),
        instructions=as_html(config.instructions),
        **work_context(
            EntryContent.read(entry.row), json.loads(assignment.shown), config.show, done, totals, f"/w/{number}"
        ),
    )
    return HTMLResponse(html)


def _open_work(state: State, number: int) -> tuple[Assignment, Entry, int, int | None] | None:
    """Return (assignment, its entry, items done, the judgment that may be undone), or None where nothing is left."""
    try:
        with state.database.writing() as session:
            if collection_of(session).stopped:  # what is before people may be finished, nothing more is given out
                return _work_at_hand(session, number)
            chosen = next_assignment(session, number, state.config, state.clock())
            return None if chosen is None else _work_details(session, chosen)
    except StorageError:
        with state.database.reading() as session:  # a full disk: what is before the person can still be shown
            work = _work_at_hand(session, number)
        if work is None:
            raise
        return work


def _work_at_hand(session: Session, number: int) -> tuple[Assignment, Entry, int, int | None] | None:
    """Return what is before a person already, without giving out anything."""
    chosen = next(iter(open_assignments(session, number)), None)
    return None if chosen is None else _work_details(session, chosen)


def _work_details(session: Session, chosen: Assignment) -> tuple[Assignment, Entry, int, int | None]:
    number = chosen.annotator_id
    last = last_of(session, number)
    return chosen, _entry_of(session, chosen), progress_of(session, number), None if last is None else last.id


def _entry_of(session: Session, assignment: Assignment) -> Entry:
    return session.exec(select(Entry).join(Item).where(Item.id == assignment.item_id)).one()


def _nothing_left(state: State, number: int, session_id: str) -> HTMLResponse:
    with state.database.reading() as session:
        stopped = collection_of(session).stopped
        done, last = progress_of(session, number), last_of(session, number)
    message = (
        "The collection is paused. Thank you for what you did so far."
        if stopped
        else "There is nothing for you to judge at the moment. If others leave items open, they come to you: this page "
        "looks again by itself."
    )
    html = page(
        "done.html.j2",
        title="Thank you",
        message=message,
        done=done,
        number=number,
        last=None if last is None else last.id,
        csrf=state.keys.csrf(session_id),
    )
    return HTMLResponse(html)


@router.post("/w/{number}/judgments")
def judge(request: Request, number: int, sent: Submission, csrf: Csrf = "") -> Response:
    """Write a judgment. 200 says that it is on the disk; the same submission again says so again."""
    state, session_id = _enter(request, number)
    require_csrf(request, session_id, csrf)
    judgment = save(state.database, number, sent, state.clock())
    return JSONResponse({"saved": judgment.id})


@router.post("/w/{number}/undo")
def take_back(request: Request, number: int, sent: Undo, csrf: Csrf = "") -> Response:
    """Undo a judgment: its item is before the person again."""
    state, session_id = _enter(request, number)
    require_csrf(request, session_id, csrf)
    undone = undo(state.database, number, sent.judgment, state.clock(), state.config.lease_s)
    return JSONResponse({"undone": undone.id, "assignment": undone.assignment_id})


# below the person's own path, as the cookie is
@router.get("/w/{number}/picture/{digest}")
def picture_of_prompt(request: Request, number: int, digest: str) -> Response:
    """Send a picture of a prompt. Its address cannot be guessed, so nobody asks whose item it belongs to."""
    state, _ = _enter(request, number)
    return picture(state, digest)


@router.get("/w/{number}/whole/{assignment}/{part}")
def full_text(request: Request, number: int, assignment: int, part: str) -> Response:
    """Send a text that is too long for the page, as plain text: `prompt`, or the number of a response (0 the first)."""
    state, _ = _enter(request, number)
    with state.database.reading() as session:
        # a larger number is none that a database can look for
        assignment_row = session.get(Assignment, assignment) if 0 < assignment < 2**31 else None
        if assignment_row is None or assignment_row.annotator_id != number:
            raise HTTPException(404, "That item was not given to you.")
        content, order = EntryContent.read(_entry_of(session, assignment_row).row), json.loads(assignment_row.shown)
    if part == "prompt":
        return PlainTextResponse(
            clean("\n\n".join(f"{role}\n{text}" if role else text for role, text in content.turns))
        )
    if not part.isdecimal() or int(part) >= len(order):
        raise HTTPException(404, "There is no such text.")
    return PlainTextResponse(clean(content.responses[order[int(part)]]))
