"""A collection behind FastAPI's test client or as a process with Chromium before it, and people who use it.

`PENCHANT_TEST_POSTGRES` runs all on PostgreSQL.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'penchant[web]'")

from fastapi.testclient import TestClient

from penchant.data.sources.collection import read_collected
from penchant.web.app import create_app
from penchant.web.database import Database
from penchant.web.export import rows as rows_of
from penchant.web.fill import open_collection
from penchant.web.settings import Collect
from penchant.web.signing_keys import ADMIN, Keys

POSTGRES = os.environ.get("PENCHANT_TEST_POSTGRES", "")
BASE = "http://127.0.0.1:8321"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


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
        self.opened = open_collection(self.database, config, self.keys.fingerprint)
        self.went_on = self.opened.went_on
        self.app = create_app(self.opened.config, self.database, self.keys, self.clock)

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


# -- in Chromium ----------------------------------------------------------------------------------------------------


class Server:
    """`penchant collect` as a process of its own."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.settings = folder, settings
        if POSTGRES:
            self.settings += (f"out={new_database(folder)}",)
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None
        self.links: dict[str, str] = {}

    def start(self) -> Server:
        command = [sys.executable, "-m", "penchant.cli", "collect", *self.settings, f"port={self.port}"]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.match(r"(.+?): (http\S+)", line):
                self.links[found[1]] = found[2]
            if line.startswith("Links are secret"):
                break
        for _ in range(200):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise AssertionError("the server does not listen")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def limit_files(self, size: int) -> None:
        """A full disk: no file of the server grows beyond `size` bytes any more."""
        assert self.process is not None
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What training reads: a row a prompt with its comparisons."""
        if not POSTGRES:
            return [row for _, row in read_collected(self.folder / "penchant.sqlite")]
        database = Database(POSTGRES)
        try:
            with database.reading() as session:
                return list(rows_of(session))
        finally:
            database.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'penchant[dev]'")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def start(rows: list[dict[str, Any]] | None, *settings: str, file: str = "rows.jsonl") -> Server:
        if rows is not None:  # else the collection that is there goes on
            write_rows(tmp_path / file, rows)
            settings = (file, *settings)
        made.append(Server(tmp_path, *settings).start())
        return made[-1]

    yield start
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        if server.process is not None and server.process.stdout is not None:
            server.process.stdout.close()


@pytest.fixture
def browse(chromium: Any) -> Callable[..., Any]:
    """`browse(link)`: an annotator's or the admin's page in a browser profile of its own, past the welcome, that notes
    script errors and blocked content in `problems`, and every address that was asked for in `asked`."""
    return lambda link, **options: _past_the_welcome(chromium.new_context(**options).new_page(), link)


def _past_the_welcome(page: Any, link: str) -> Any:
    page.set_default_timeout(10_000)
    page.problems, page.asked = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda said: page.problems.append(said.text) if "Content Security" in said.text else None)
    page.goto(link)
    page.click(".primary")
    page.wait_for_selector("#form, .admin main")
    page.wait_for_load_state("load")  # a person is not faster than the script
    return page


@pytest.fixture
def saved() -> Callable[[Any, int], None]:
    """`saved(page, done)` waits until the page says that so many items are done."""

    def wait(page: Any, done: int) -> None:
        page.get_by_text(re.compile(rf"^{done} of about|You have done {done} item")).wait_for()
        page.wait_for_load_state("load")

    return wait
