"""The application: its routes together, and the answers to what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from penchant.web import admin, work
from penchant.web.database import Database, StorageError, collection_of
from penchant.web.fill import items_of
from penchant.web.pages import page
from penchant.web.security import Guard, Rate, bracketed, host_name
from penchant.web.settings import Collect
from penchant.web.signing_keys import Keys
from penchant.web.state import State, state_of
from penchant.web.tables import Annotator

STATIC = {
    "page.css": "text/css; charset=utf-8",
    "work.js": "text/javascript; charset=utf-8",
    "queue.js": "text/javascript; charset=utf-8",
    "wait.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
STRANGER_PER_MINUTE = 60


def create_app(config: Collect, database: Database, keys: Keys, clock: Callable[[], float] = time.time) -> FastAPI:
    """Create the application on a database that `open_collection` has filled.

    Args:
        clock: seconds since 1970; leases and times of judgments are taken from it.
    """
    with database.reading() as session:
        settings = json.loads(collection_of(session).settings)
        names = {number: annotator.name for number in range(1, config.annotators + 1)
                 if (annotator := session.get(Annotator, number)) is not None}  # fmt: skip
        items = items_of(session)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.penchant = State(
        database=database,
        keys=keys,
        settings=settings,
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
    app.add_exception_handler(StorageError, _storage_error)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_middleware(Guard, hosts=known_hosts(config))
    return app


def known_hosts(config: Collect) -> frozenset[str]:
    """Return the names that the page may be asked for under."""
    names = {"localhost", "127.0.0.1", "::1"} if config.is_local else {host_name(bracketed(config.host))}
    if config.url is not None:
        names.add((urlsplit(config.url).hostname or "").lower())
    return frozenset(names | {host_name(bracketed(config.host))})


def _without_link() -> HTMLResponse:
    return HTMLResponse(page("message.html.j2", title="Penchant", message="Open this page by your personal link."))


def _health(request: Request) -> Response:
    with state_of(request).database.reading() as session:
        collection_of(session)
    return Response("ok", media_type="text/plain")


def _static(name: str) -> Response:
    if name not in STATIC:
        raise HTTPException(404, "There is no such page.")
    content = files("penchant.web").joinpath("static", name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _answer(request: Request, status: int, message: str, headers: Any = None) -> Response:
    if _wants_json(request):
        return JSONResponse({"error": message}, status, headers)
    return HTMLResponse(page("message.html.j2", title="Penchant", message=message), status, headers)


def _storage_error(request: Request, error: Exception) -> Response:
    message = "The server cannot save at the moment (its disk may be full). Your answer stays in this browser."
    if _wants_json(request):
        return JSONResponse({"error": message}, 503, {"Retry-After": "5"})
    html = page("wait.html.j2", title="One moment", message=message, worker="", retry=5)
    return HTMLResponse(html, 503, {"Retry-After": "5"})


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
