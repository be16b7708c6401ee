"""What the admin does: look, pause, take the data along."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from penchant.web.access import greet, require_csrf, require_session
from penchant.web.database import collection_of
from penchant.web.export import as_jsonl
from penchant.web.pages import admin_context, page
from penchant.web.signing_keys import ADMIN
from penchant.web.state import picture, state_of
from penchant.web.summary import summarize

router = APIRouter()


@router.get("/admin/in/{link}")
def enter(request: Request, link: str) -> Response:
    """Answer the admin's link by a page with a button, for the reason that `work.welcome` has one."""
    response = HTMLResponse(page("enter.html.j2", title="Collecting"))
    greet(request, response, ADMIN, link, "/admin")
    return response


@router.get("/admin/")
def overview(request: Request) -> Response:
    """Show who did how much, agreement, biases and disagreements."""
    state = state_of(request)
    session_id = require_session(request, ADMIN)
    with state.database.reading() as session:
        summary = summarize(session, state.config.overlap)
        stopped = collection_of(session).stopped
    html = page(
        "admin.html.j2",
        title="Collecting",
        stopped=stopped,
        csrf=state.keys.csrf(session_id),
        overlap=state.config.overlap,
        database=state.database.name,
        is_postgres=state.database.is_postgres,
        **admin_context(summary, state.config.show),
    )
    return HTMLResponse(html)


@router.get("/admin/picture/{digest}")
def picture_of_prompt(request: Request, digest: str) -> Response:
    """Send a picture of a prompt that people disagree on."""
    require_session(request, ADMIN)
    return picture(state_of(request), digest)


@router.post("/admin/state")
def pause(request: Request, csrf: Annotated[str, Form(max_length=200)], stopped: Annotated[bool, Form()]) -> Response:
    """Stop giving out items, or go on."""
    state = state_of(request)
    require_csrf(request, require_session(request, ADMIN), csrf)
    with state.database.writing() as session:
        collection = collection_of(session)
        collection.stopped = stopped
        session.add(collection)
    return RedirectResponse("/admin/", 303)  # so that a reload does not send the form again


@router.get("/admin/export.jsonl")
def export(request: Request) -> Response:
    """Send all that was collected so far, as our own JSONL."""
    state = state_of(request)
    require_session(request, ADMIN)
    with state.database.reading() as session:
        lines = list(as_jsonl(session))  # all of one state; a download that is slow must not hold a transaction open
    headers = {"Content-Disposition": 'attachment; filename="collected.jsonl"'}
    return StreamingResponse(iter(lines), media_type="application/x-ndjson", headers=headers)
