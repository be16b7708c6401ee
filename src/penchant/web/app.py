"""The application: its routes together, and the answers to what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlmodel import col, select
from starlette.exceptions import HTTPException as AnyHTTPException

from penchant.reports.kit.packaged import shared_css
from penchant.web import admin, work
from penchant.web.database import Database, StorageError, collection_of, items_of
from penchant.web.judgments import SubmissionError
from penchant.web.pages import page
from penchant.web.security import Guard, Rate, bracketed, host_name
from penchant.web.settings import Collect
from penchant.web.signing_keys import Keys
from penchant.web.state import State, state_of
from penchant.web.tables import Annotator

# By name and not by folder: no address can reach another file.
STATIC = {
    "page.css": "text/css; charset=utf-8",
    "work.js": "text/javascript; charset=utf-8",
    "queue.js": "text/javascript; charset=utf-8",
    "wait.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
STRANGER_PER_MINUTE = 60  # guesses of links from one address


def create_app(config: Collect, database: Database, keys: Keys, clock: Callable[[], float] = time.time) -> FastAPI:
    """Create the application on a database that `open_collection` has filled.

    Args:
        config: the settings in force, as `open_collection` gives them.
        clock: seconds since 1970; leases and times of judgments are taken from it.
    """
    with database.reading() as session:
        # ordered: PostgreSQL gives a row that was renamed last
        annotators = session.exec(select(Annotator).order_by(col(Annotator.id)))
        names = {annotator.id: annotator.name for annotator in annotators}
        items = items_of(session)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)  # its pages of routes load scripts from elsewhere
    app.state.penchant = State(
        database=database,
        keys=keys,
        config=config,
        names=names,
        items=items,
        secure=(config.url or "").lower().startswith("https://"),
        strangers=Rate(STRANGER_PER_MINUTE),
        people=Rate(config.requests_per_minute),
        clock=clock,
    )
    app.include_router(work.router)
    app.include_router(admin.router)
    app.add_api_route("/", _without_link, methods=["GET"])
    app.add_api_route("/health", _health, methods=["GET"])
    app.add_api_route("/static/{name}", _static, methods=["GET"])
    app.add_exception_handler(SubmissionError, _refused_submission)
    app.add_exception_handler(StorageError, _storage_error)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    # around the handlers above too, so that their answers have the same headers
    app.add_middleware(Guard, hosts=known_hosts(config))
    return app


def known_hosts(config: Collect) -> frozenset[str]:
    """Return the names that the page may be asked for under."""
    names = {host_name(bracketed(config.host)), *(("localhost", "127.0.0.1", "::1") if config.is_local else ())}
    if config.url is not None:
        names.add((urlsplit(config.url).hostname or "").lower())
    return frozenset(names)


def _without_link() -> HTMLResponse:
    return HTMLResponse(page("message.html.j2", title="Penchant", message="Open this page by your personal link."))


def _health(request: Request) -> Response:
    # a server whose database is gone is not healthy, though it answers
    with state_of(request).database.reading() as session:
        collection_of(session)
    return Response("ok", media_type="text/plain")


def _static(name: str) -> Response:
    if name not in STATIC:
        raise HTTPException(404, "There is no such page.")
    content = files("penchant.web").joinpath("static", name).read_bytes()
    if name == "page.css":
        content = shared_css().encode() + content
    return Response(content, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})


def _answer(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None = None, html: str | None = None
) -> Response:
    """Return a message as JSON to our own script, and as a page to whoever came by a link."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": message}, status, headers)
    return HTMLResponse(html or page("message.html.j2", title="Penchant", message=message), status, headers)


def _refused_submission(request: Request, error: Exception) -> Response:
    assert isinstance(error, SubmissionError)
    return JSONResponse({"error": error.reason}, error.status)  # the script alone sends submissions


def _storage_error(request: Request, error: Exception) -> Response:
    message = "The server cannot save at the moment (its disk may be full). Your answer stays in this browser."
    html = page("wait.html.j2", title="One moment", message=message, worker="", retry=5)
    return _answer(request, 503, message, {"Retry-After": "5"}, html)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    texts = {404: "There is no such page.", 405: "That cannot be done here."}
    detail = error.detail if isinstance(error, HTTPException) else texts.get(error.status_code, error.detail)
    return _answer(request, error.status_code, detail, error.headers)


def _invalid_request(request: Request, error: Exception) -> Response:
    """Say what was wrong, field by field, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    problems = "; ".join(
        f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}" for problem in error.errors()[:5]
    )
    return _answer(request, 422, f"The request cannot be read: {problems}"[:500])
