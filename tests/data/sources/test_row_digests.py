"""A collection's rows have digests: what was changed behind our back is refused by name."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from old_folders import unpack
from penchant.data.sources.collection import read_collected
from penchant.data.sources.row_digests import COLUMNS, check_rows, digest_row
from penchant.digests import DamagedFile
from penchant.web.database import Database
from penchant.web.fill import open_collection
from penchant.web.settings import Collect

CHANGES = {
    "annotator": "UPDATE annotator SET name = 'Eve' WHERE id = 2",
    "assignment": "UPDATE assignment SET shown = '[1, 0, 2]' WHERE id = 1",
    "entry": "UPDATE entry SET row = replace(row, 'went', 'bent') WHERE id = 1",
    "item": "UPDATE item SET members = '[0, 1]' WHERE id = 1",
    "judgment": "UPDATE judgment SET places = '[3, 2, 1]' WHERE id = 1",
}


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection that version c111d53 made and this one went on with: all rows were written by us."""
    monkeypatch.chdir(tmp_path)
    unpack(tmp_path, "collect")
    path = tmp_path / "collected.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE row_digest (table_name TEXT, row_id INTEGER, digest TEXT)")
        for table, columns in COLUMNS.items():
            for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall():
                connection.execute("INSERT INTO row_digest VALUES (?, ?, ?)", (table, row[0], digest_row(row)))
        connection.commit()
    return path


@pytest.mark.parametrize("table", CHANGES)
def test_a_changed_row_is_refused(collection: Path, table: str) -> None:
    before = list(read_collected(collection))
    assert before
    with closing(sqlite3.connect(collection)) as connection:
        assert connection.execute(CHANGES[table]).rowcount == 1
        connection.commit()
    with pytest.raises(DamagedFile, match=rf"row \d of its table {table} is not what was written"):
        list(read_collected(collection))


def test_a_row_that_is_gone_is_refused(collection: Path) -> None:
    with closing(sqlite3.connect(collection)) as connection:
        connection.execute("DELETE FROM judgment WHERE id = 2")
        connection.commit()
    with pytest.raises(DamagedFile, match="row 2 of its table judgment is gone"):
        list(read_collected(collection))


def test_every_row_that_a_server_writes_has_a_digest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unpack(tmp_path)
    path = tmp_path / "new.sqlite"
    for people in (2, 3):  # the second call goes on with what the first one made
        database = Database(str(path))
        open_collection(database, Collect(data=str(tmp_path / "prefs.jsonl"), out=str(path), annotators=people), "key")
        database.close()
    assert "without digests" not in caplog.text
    with closing(sqlite3.connect(path)) as connection:
        assert check_rows(lambda statement: connection.execute(statement), "new")
        assert connection.execute("SELECT COUNT(*) FROM row_digest WHERE table_name = 'annotator'").fetchone() == (3,)
        connection.execute("UPDATE entry SET row = '{}' WHERE id = 3")
        connection.commit()
    database = Database(str(path))
    with pytest.raises(DamagedFile, match="row 3 of its table entry"):
        open_collection(database, Collect(data=None, out=str(path)), "key")
    database.close()


def test_a_collection_of_an_earlier_version_is_read_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unpack(tmp_path, "collect")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert list(read_collected(tmp_path / "collected.sqlite"))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'collected.sqlite'} was written by an earlier version, without digests: it is read unchecked"
    ]
