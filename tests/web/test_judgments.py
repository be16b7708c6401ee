"""A submission counts once, an undo brings the item back, and what cannot be written is said."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from penchant.cli.main import main
from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.web.database import Database
from penchant.web.settings import Collect

ROWS = [{"prompt": f"p{n}", "responses": ["one", "two"]} for n in range(4)]


def lines(site: Any) -> list[str]:
    return site.admin().get("/admin/export.jsonl").text.splitlines()


def test_a_retry_never_doubles_even_at_the_same_moment(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS, annotators=1, overlap=1)
    person = site.person(1)
    assignment, _, csrf = person.look()
    sent = {"id": str(uuid.uuid4()), "assignment": assignment, "choice": "tie"}
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(person.send(csrf, **sent))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["saved"] for answer in answers}) == 1
    other = person.send(csrf, **sent | {"id": str(uuid.uuid4())})
    assert other.status_code == 409
    assert "judged this item already" in other.json()["error"]
    assert len(lines(site)) == 1


def test_undo_brings_the_item_back_with_its_sides(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS, annotators=1, overlap=1)
    person = site.person(1)
    before = person.page()
    person.judge("tie")
    csrf = person.look()[2]
    site.clock.now += 1
    undo = lambda number: person.client.post("/w/1/undo", json={"judgment": number}, headers={"X-CSRF-Token": csrf})  # noqa: E731
    assert undo(1).status_code == undo(1).status_code == 200
    assert undo(99).status_code == 404
    assert person.client.post("/w/1/undo", json={"judgment": 1}).status_code == 403
    boxes = [
        page.split('id="responses"')[1].split("</form>")[0].split("verdict")[0] for page in (before, person.page())
    ]
    assert boxes[0] == boxes[1]
    assert lines(site) == []
    person.judge(places=[1, 2])
    assert len(lines(site)) == 1
    assert person.judge("tie")  # what the undo interrupted is still there


def test_paused_nobody_gets_more_but_what_is_open_is_finished(make_site: Callable[..., Any]) -> None:
    site = make_site(ROWS, annotators=2, overlap=1)
    one, two = site.person(1), site.person(2)
    assert one.look()
    admin = site.admin()
    csrf = admin.get("/admin/").text.split('name="csrf" value="')[1].split('"')[0]
    admin.post("/admin/state", data={"csrf": csrf, "stopped": "true"})
    assert two.look() is None
    assert "paused" in two.page()
    assert one.judge("tie")
    assert one.look() is None
    admin.post("/admin/state", data={"csrf": csrf, "stopped": "false"})
    assert two.look()


def test_a_full_disk_is_said_and_nothing_is_half_written(make_site: Callable[..., Any], sqlite_only: None) -> None:
    site = make_site([{"prompt": f"p{n}", "responses": ["a", "b"]} for n in range(30)], annotators=1, overlap=1)
    person = site.person(1)
    assignment, _, csrf = person.look()
    engine = site.database._engine
    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()

    def limit(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(engine, "connect", limit)
    engine.dispose()
    sent = {"id": str(uuid.uuid4()), "assignment": assignment, "choice": "tie", "note": "n" * 2000}
    statuses = []
    while not statuses or (statuses[-1] == 200 and len(statuses) < 20):  # until the last free page is gone
        answer = person.send(csrf, **sent)
        statuses.append(answer.status_code)
        if answer.status_code == 200:
            before = person.look()
            assert before is not None
            sent |= {"id": str(uuid.uuid4()), "assignment": before[0]}
    assert statuses[-1] == 503
    assert "Your answer stays in this browser" in answer.json()["error"]
    assert person.look()[0] == sent["assignment"]  # what is before the person is still shown
    assert sum(len(json.loads(line)["judgments"]) for line in lines(site)) == len(statuses) - 1
    event.remove(engine, "connect", limit)
    engine.dispose()
    assert person.send(csrf, **sent).status_code == 200


# -- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overlap": 4, "annotators": 3}, "`overlap`: 4 people cannot judge each item"),
        ({"names": ["a", "a"]}, "the same name"),
        ({"names": ["a", "b"], "annotators": 1, "overlap": 1}, "2 names for 1"),
        ({"url": "judge.example.org"}, "expected an address"),
        ({"host": "0.0.0.0"}, "say under which one people reach the page"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Collect(data="x", **settings)


def test_another_file_or_fewer_people_are_refused_more_people_are_fine(
    make_site: Callable[..., Any], tmp_path: Path
) -> None:
    first = make_site(ROWS, annotators=2, overlap=1, out=str(tmp_path / "c.sqlite"))
    first.person(1).judge("tie")
    out = first.config.out
    with pytest.raises(InputError, match="was made of other data"):
        make_site(ROWS[:3], annotators=2, overlap=1, out=out)
    with pytest.raises(InputError, match="nobody who may have judged can be taken away"):
        make_site(annotators=1, overlap=1, out=out)
    again = make_site(annotators=3, overlap=2, names=["Ada"], out=out)
    assert again.went_on
    assert again.person(3).judge("tie")
    assert "Ada" in again.admin().get("/admin/").text
    assert "8 judgments" in again.admin().get("/admin/").text


def test_nothing_to_compare_is_refused(make_site: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="no prompt has two different responses"):
        make_site([{"prompt": "p", "responses": ["a", "a "]}])
    with pytest.raises(InputError, match="too many to rank at once"):
        make_site([{"prompt": "p", "responses": [str(n) for n in range(10)]}])


def test_a_check_with_more_responses_than_keys_is_refused(make_site: Callable[..., Any], tmp_path: Path) -> None:
    """It was taken, and the page of the person who got it failed."""
    checks = tmp_path / "checks.jsonl"
    checks.write_text(json.dumps({"prompt": "p", "responses": [str(n) for n in range(10)], "ranking": [*range(10)]}))
    with pytest.raises(InputError, match="10 responses are too many to rank at once"):
        make_site([{"prompt": "p", "responses": ["a", "b"]}], checks=str(checks), ask="pairs")


def test_a_database_of_another_version_or_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    Database(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO collection VALUES (1, 99, '', '', '{}', 0, 0)")
    connection.close()
    for read in (lambda: Database(str(path)), lambda: load_preferences(path)):
        with pytest.raises(InputError, match="version 99, but this Penchant reads"):
            read()
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE music (id INTEGER)")
    connection.close()
    for read in (lambda: Database(str(other)), lambda: load_preferences(other)):
        with pytest.raises(InputError, match="a database of something else"):
            read()
    text_file = tmp_path / "text.sqlite"
    text_file.write_text("hello " * 100)
    for read in (lambda: Database(str(text_file)), lambda: load_preferences(text_file)):
        with pytest.raises(InputError, match=r"no (SQLite )?database"):
            read()


def test_the_command_line_refuses_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "none.jsonl"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["collect", "out=new.sqlite"]) == 2
    assert "holds no collection yet" in capsys.readouterr().err
    assert main(["collect", "--export", "x.jsonl", "out=absent.sqlite"]) == 2
    assert "no such database" in capsys.readouterr().err
    assert main(["collect", "x", "out=postgresql://u:hunter2@127.0.0.1:1/none"]) == 2
    assert "hunter2" not in capsys.readouterr().err
    monkeypatch.setattr("penchant.web.find_spec", lambda name: None)
    assert main(["collect", "none.jsonl"]) == 2
    assert "pip install 'penchant[web]'" in capsys.readouterr().err
