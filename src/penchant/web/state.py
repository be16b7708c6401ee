"""What all routes share while the page is served."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import Response

from penchant.web.assignment import Plan
from penchant.web.database import Database
from penchant.web.security import Rate
from penchant.web.signing_keys import Keys
from penchant.web.tables import Image


@dataclass
class State:
    """What the routes share. Everything that must outlive the process is in the database."""

    database: Database
    keys: Keys
    settings: dict[str, Any]
    names: dict[int, str]
    items: int
    secure: bool
    strangers: Rate
    people: Rate
    clock: Callable[[], float] = field(default=time.time)

    @property
    def plan(self) -> Plan:
        settings = self.settings
        return Plan(settings["overlap"], settings["lease_minutes"] * 60, settings["seed"], settings["check_every"])


def state_of(request: Request) -> State:
    state: State = request.app.state.penchant
    return state


def picture(state: State, digest: str) -> Response:
    """Return a picture that a prompt names, from the database.

    Raises:
        HTTPException: 404 for a digest of none.
    """
    with state.database.reading() as session:
        image = session.get(Image, digest)
    if image is None:
        raise HTTPException(404, "There is no such picture.")
    headers = {"Cache-Control": "private, max-age=86400, immutable"}  # the address is the content's
    return Response(image.content, media_type=image.media_type, headers=headers)
