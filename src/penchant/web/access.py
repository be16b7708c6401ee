"""Who may do what: the links and cookies of people, tokens against forged requests, and how often one may ask."""

from __future__ import annotations

from fastapi import HTTPException, Request
from fastapi.responses import Response

from penchant.web.security import Rate
from penchant.web.signing_keys import SESSION_DAYS
from penchant.web.state import state_of

COOKIE = "penchant"


def require_session(request: Request, person: str) -> str:
    """Return the session of the request, which must be the person's.

    Raises:
        HTTPException: 403 without one, or with somebody else's; 429 for too many requests.
    """
    state = state_of(request)
    session = request.cookies.get(COOKIE, "")
    # strangers are counted by address, people by name: many may come from one address
    if not session or not state.keys.holds(person, session):
        slow_down(state.strangers, _caller(request))
        raise HTTPException(403, "Open the page by your personal link again.")
    slow_down(state.people, person)
    return session


def require_csrf(request: Request, session: str, token: str) -> None:
    """Refuse a change that a page of another site could have sent.

    Raises:
        HTTPException: 403 for a token that is not the session's.
    """
    if not state_of(request).keys.allows(session, token):
        raise HTTPException(403, "This page is out of date: reload it, then send again.")


def greet(request: Request, response: Response, person: str, link: str, path: str) -> str:
    """Set the cookie of a person who came by the right link, and return the new session.

    Raises:
        HTTPException: 404 for a wrong link, 429 for too many.
    """
    state = state_of(request)
    if not state.keys.opens(person, link):  # only guesses count: many people may come from one address
        slow_down(state.strangers, _caller(request))
        raise HTTPException(404, "There is no such link. Ask whoever invited you for yours.")
    # The cookie has the person's own path, so that two people in one browser do not mix. `strict`: no other site's link
    # or form brings it along.
    session = state.keys.new_session(person)
    response.set_cookie(
        COOKIE, session, max_age=SESSION_DAYS * 86400, path=path, secure=state.secure, httponly=True, samesite="strict"
    )
    return session


def slow_down(rate: Rate, caller: str) -> None:
    """Count a request of a caller.

    Raises:
        HTTPException: 429 where it has made too many, with the seconds to wait.
    """
    wait = rate.wait(caller)
    if wait > 0:
        raise HTTPException(429, "Too many requests. Wait a little.", {"Retry-After": str(int(wait) + 1)})


def _caller(request: Request) -> str:
    # a server behind a Unix socket has no address to tell callers by
    return request.client.host if request.client else ""
