"""The same collection again: its settings lie in the database, and only what is given changes them."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from old_folders import unpack
from penchant.cli.collect import _removed_if_refused
from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.web.database import Database, collection_of
from penchant.web.reopen import STORED_SETTINGS
from penchant.web.settings import Collect
from penchant.web.sources import READING

ROWS = [{"prompt": f"p{n}", "responses": ["one", "two"]} for n in range(4)]
OTHERS: dict[str, Any] = {
    "title": "Which is kinder?",
    "instructions": "Be kind.",
    "show": "plain",
    "seed": 7,
    "overlap": 3,
    "lease_minutes": 5.0,
    "check_every": 4,
}


def stored(site: Any) -> dict[str, Any]:
    with site.database.reading() as session:
        found: dict[str, Any] = json.loads(collection_of(session).settings)
    return found


@pytest.mark.parametrize("with_file", [True, False])
def test_a_collection_goes_on_with_its_own_settings(make_site: Callable[..., Any], with_file: bool) -> None:
    """No default overwrites what the collection began with, nor do the names of people get lost."""
    assert set(OTHERS) == set(STORED_SETTINGS)
    first = make_site(ROWS, annotators=4, names=["Ada", "Ben"], ask="pairs", **OTHERS)
    assert first.person(1).judge("tie")
    again = make_site(ROWS if with_file else None)
    assert stored(again) == stored(first) == OTHERS
    assert again.opened.config.annotators == 4
    assert list(again.app.state.penchant.names.values()) == ["Ada", "Ben", "annotator-3", "annotator-4"]
    assert again.opened.changes == ()


def test_what_is_given_changes_the_collection_and_is_said(make_site: Callable[..., Any]) -> None:
    first = make_site(ROWS, annotators=2, overlap=1, names=["Ada"], lease_minutes=5)
    assert first.person(1).judge("tie")
    again = make_site(overlap=3, annotators=3, names=["Eve"])
    assert again.opened.changes == ("overlap: 1 -> 3", "names: Ada -> Eve")
    assert stored(again)["lease_minutes"] == 5
    assert list(again.app.state.penchant.names.values()) == ["Eve", "annotator-2", "annotator-3"]
    with pytest.raises(InputError, match="has 3 annotators, 2 are given"):
        make_site(annotators=2)
    with pytest.raises(InputError, match="4 people cannot judge each item"):
        make_site(overlap=4)
    assert stored(make_site()) == stored(again)


@pytest.mark.parametrize("name", ["title", "instructions", "seed"])
def test_another_question_is_no_part_of_the_same_database(make_site: Callable[..., Any], name: str) -> None:
    site = make_site(ROWS)
    changed = make_site(**{name: OTHERS[name]})  # nobody has answered yet
    assert stored(changed)[name] == OTHERS[name]
    assert changed.person(1).judge("tie")
    other = {"title": "Another?", "instructions": "Another.", "seed": 8}[name]
    with pytest.raises(InputError, match=f"`{name}` was .*1 judgments.*name another `out` for a new round"):
        make_site(**{name: other})
    assert stored(make_site(**{name: OTHERS[name]})) == stored(changed)  # as before is no change
    assert site.went_on is False


def test_another_way_to_ask_is_refused_also_without_the_file(make_site: Callable[..., Any], tmp_path: Path) -> None:
    rows = [{"prompt": "p", "responses": ["w", "x", "y"]}]
    make_site(rows, ask="pairs")
    with pytest.raises(InputError, match="another `ask`"):
        make_site(rows, ask="rank")
    with pytest.raises(InputError, match="another `ask`"):
        make_site(ask="rank")
    assert make_site(rows).went_on
    assert make_site(ask="pairs").went_on


READING_GIVEN = {
    "layout": "prompts",
    "split": "test",
    "bad_rows": "skip",
    "limit": 2,
    "pictures": ".",
    "checks": "checks.jsonl",
}


@pytest.mark.parametrize("name", READING)
def test_how_a_file_is_read_is_refused_without_a_file(make_site: Callable[..., Any], name: str) -> None:
    """It would be ignored: the database holds what was read."""
    make_site(ROWS)
    with pytest.raises(InputError, match=f"`{name}` says how the file of a new collection is read"):
        make_site(**{name: READING_GIVEN[name]})


def test_a_file_that_is_read_otherwise_is_refused_with_the_setting(make_site: Callable[..., Any]) -> None:
    make_site(ROWS, limit=2)
    with pytest.raises(InputError, match="this time with none of layout, split, bad_rows, limit"):
        make_site(ROWS)
    with pytest.raises(InputError, match="this time with `limit`"):
        make_site(ROWS, limit=3)
    assert make_site(ROWS, limit=2).went_on
    assert make_site().went_on


@pytest.mark.parametrize("first", ["markdown", "plain"])
def test_how_texts_are_shown_makes_no_other_data(make_site: Callable[..., Any], tmp_path: Path, first: str) -> None:
    """A collection that shows plain text holds no pictures, and is the same one however it is shown later."""
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(8))
    rows = [{"prompt": "![a cat](cat.png) What is it?", "responses": ["a cat", "a dog"]}]
    second = {"markdown": "plain", "plain": "markdown"}[first]
    make_site(rows, show=first)
    assert make_site(rows).opened.changes == ()
    assert make_site(rows, show=second).opened.changes == (f"show: '{first}' -> '{second}'",)
    assert make_site(rows).opened.config.show == second
    (tmp_path / "cat.png").unlink()
    assert make_site(show=first).went_on


def test_a_collection_of_version_c111d53_goes_on(
    make_site: Callable[..., Any], tmp_path: Path, sqlite_only: None
) -> None:
    unpack(tmp_path, "collect")
    site = make_site(out=str(tmp_path / "collected.sqlite"))
    assert site.went_on
    assert site.opened.changes == ()
    assert (site.opened.config.annotators, site.opened.config.overlap) == (2, 2)
    assert "4 of " in site.admin().get("/admin/").text
    assert len(load_preferences(tmp_path / "collected.sqlite", ties="half")) >= 1
    assert site.person(1).judge("tie")


def test_the_page_of_a_collection_that_nobody_began(make_site: Callable[..., Any]) -> None:
    assert "undefined" in make_site(ROWS).admin().get("/admin/").text


class _Writer(logging.Handler):
    """Begins to write into a database whenever something is logged."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.outcomes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with closing(sqlite3.connect(self.path, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                self.outcomes.append("written")
            except sqlite3.OperationalError as error:
                self.outcomes.append(str(error))


def test_people_can_judge_while_the_data_are_read_again(make_site: Callable[..., Any], sqlite_only: None) -> None:
    """The warning of the prompt that is left out comes from the midst of the reading."""
    rows = [*ROWS, {"prompt": "p4", "responses": ["one", "one "]}]
    writer = _Writer(make_site(rows).config.out)
    log = logging.getLogger("penchant.web")
    log.addHandler(writer)
    try:
        assert make_site(rows).opened.went_on
    finally:
        log.removeHandler(writer)
    assert writer.outcomes == ["written"]


def _refused(config: Collect, meanwhile: Callable[[], Any]) -> None:
    with _removed_if_refused(config):
        meanwhile()
        raise InputError("refused")


def test_a_refused_start_leaves_what_another_process_filled(
    tmp_path: Path, make_site: Callable[..., Any], sqlite_only: None
) -> None:
    filled, empty = (Collect(out=str(tmp_path / name), data="rows.jsonl") for name in ("a.sqlite", "b.sqlite"))
    with pytest.raises(InputError, match="refused"):
        _refused(filled, lambda: make_site(ROWS, out=filled.out))
    assert make_site(out=filled.out).opened.went_on
    with pytest.raises(InputError, match="refused"):
        _refused(empty, lambda: Database(empty.out).close())
    assert not Path(empty.out).exists()
