"""What a result was made of."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from penchant.runs.provenance import provenance_of_files
from penchant.typed_json import to_object


def digests(*files: Path | str) -> list[str | None]:
    return [record.sha256 for record in provenance_of_files([str(file) for file in files], 0).data]


def test_files_by_their_content_and_hub_ids_by_name(tmp_path: Path) -> None:
    file = tmp_path / "prefs.jsonl"
    file.write_text("{}\n")
    assert digests(file, "org/name") == [hashlib.sha256(b"{}\n").hexdigest(), None]
    record = to_object(provenance_of_files([str(file)], 7))
    assert list(record) == ["seed", "command", "started", "data", "versions", "machine"]
    assert record["seed"] == 7
    assert record["started"].endswith("+00:00")
    assert {"numpy", "scipy", "choix", "krippendorff"} <= record["versions"].keys()


def test_the_last_changes_of_a_database_count(tmp_path: Path) -> None:
    file = tmp_path / "penchant.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        before, bytes_before = digests(file), file.read_bytes()
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        assert file.read_bytes() == bytes_before  # it stands in the write-ahead log
        assert digests(file) != before
