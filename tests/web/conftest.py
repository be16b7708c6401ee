"""A collection behind FastAPI's test client, and people who use it. `PENCHANT_TEST_POSTGRES` runs all on PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'penchant[web]'")

from fastapi.testclient import TestClient

from penchant.web.app import create_app
from penchant.web.database import Database
from penchant.web.fill import open_collection
from penchant.web.keys import ADMIN, Keys
from penchant.web.settings import Collect

POSTGRES = os.environ.get("PENCHANT_TEST_POSTGRES", "")
BASE = "http://127.0.0.1:8321"


def new_database(folder: Path) -> str:
    """Where the next collection goes: a file of its own, or an emptied PostgreSQL database."""
    if not POSTGRES:
        return str(folder / "penchant.sqlite")
    import psycopg

    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return POSTGRES


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Person:
    """An annotator (or the admin) with a browser of their own."""

    def __init__(self, site: Site, number: int) -> None:
        self.site, self.number = site, number
        self.client = site.new_client()

    def enter(self) -> Person:
        answer = self.client.get(f"/a/{self.number}/{self.site.keys.link(str(self.number))}")
        assert answer.status_code == 200
        return self

    def page(self) -> str:
        answer = self.client.get(f"/w/{self.number}/")
        assert answer.status_code == 200, answer.text
        return answer.text

    def look(self) -> tuple[int, int, str] | None:
        """(assignment, number of responses, CSRF token) of the item before the person."""
        text = self.page()
        found = re.search(r'data-assignment="(\d+)" data-csrf="([^"]+)" data-responses="(\d+)"', text)
        return None if found is None else (int(found[1]), int(found[3]), found[2])

    def send(self, csrf: str = "", **values: Any) -> Any:
        if not csrf:
            found = re.search(r'data-csrf="([^"]+)"', self.page())
            assert found is not None
            csrf = found[1]
        headers = {"X-CSRF-Token": csrf, "Accept": "application/json"}
        return self.client.post(f"/w/{self.number}/judgments", json=values, headers=headers)

    def judge(self, choice: str = "ranked", places: list[int] | None = None, **more: Any) -> dict[str, Any] | None:
        """Answer the item before the person; what was sent, or None where there is none."""
        before = self.look()
        if before is None:
            return None
        assignment, responses, csrf = before
        sent = {"id": str(uuid.uuid4()), "assignment": assignment, "choice": choice, **more}
        if choice == "ranked":
            sent["places"] = places or list(range(1, responses + 1))
        answer = self.send(csrf, **sent)
        assert answer.status_code == 200, answer.text
        return sent


class Site:
    """A collection that is served."""

    def __init__(self, config: Collect) -> None:
        self.config, self.clock = config, Clock()
        self.keys = Keys(b"k" * 32)
        self.database = Database(config.out)
        self.went_on = open_collection(self.database, config, self.keys.fingerprint)
        self.app = create_app(config, self.database, self.keys, self.clock)

    def new_client(self) -> TestClient:
        return TestClient(self.app, base_url=BASE)

    def person(self, number: int) -> Person:
        return Person(self, number).enter()

    def admin(self) -> TestClient:
        client = self.new_client()
        assert client.get(f"/admin/in/{self.keys.link(ADMIN)}").status_code == 200
        return client


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """`make_site(rows, overlap=2, ...)` fills a database and serves it."""
    made: list[Site] = []

    def make(rows: list[dict[str, Any]] | None = None, **settings: Any) -> Site:
        if rows is not None:
            settings["data"] = write_rows(tmp_path / f"rows-{len(made)}.jsonl", rows)
        settings.setdefault("out", new_database(tmp_path) if not made else made[-1].config.out)
        settings.setdefault("requests_per_minute", 100_000)
        made.append(Site(Collect(**settings)))
        return made[-1]

    yield make
    for site in made:
        site.database.close()


@pytest.fixture
def sqlite_only() -> None:
    if POSTGRES:
        pytest.skip("is about the SQLite file")
