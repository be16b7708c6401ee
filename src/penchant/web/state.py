"""What all routes share while the page is served."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import HTTPException, Request
from fastapi.responses import Response

from penchant.web.database import Database
from penchant.web.security import Rate
from penchant.web.settings import Collect
from penchant.web.signing_keys import Keys
from penchant.web.tables import Image


@dataclass
class State:
    """What the routes share. Everything that must outlive the process is in the database.

    Attributes:
        config: the settings of the collection, those that the database held among them.
        names: of the annotators, by their numbers.
        items: how many there are, attention checks aside.
        secure: whether people come by HTTPS, so that cookies may travel by nothing else.
        strangers, people: how often one may ask, by address and by person.
        clock: seconds since 1970.
    """

    database: Database
    keys: Keys
    config: Collect
    names: dict[int, str]
    items: int
    secure: bool
    strangers: Rate
    people: Rate
    clock: Callable[[], float] = field(default=time.time)


def state_of(request: Request) -> State:
    """Return what `create_app` has put beside the routes."""
    state: State = request.app.state.penchant
    return state


def picture(state: State, digest: str) -> Response:
    """Return a picture that a prompt names, from the database.

    Raises:
        HTTPException: 404 for a digest of none.
    """
    # kept in the database, so that the page loads nothing from elsewhere and a collection may be moved
    with state.database.reading() as session:
        image = session.get(Image, digest)
    if image is None:
        raise HTTPException(404, "There is no such picture.")
    # the address is the content's, so a browser need not ask twice; a proxy that others use must not keep it
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(image.content, media_type=image.media_type, headers=headers)
