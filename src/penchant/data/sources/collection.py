"""Read the database that `penchant collect` fills, while people go on judging; nothing is written to it.

It is read by plain `sqlite3`, so that training needs no web package. The tables are those of `penchant/web/tables.py`;
a database of another version is refused. Each prompt that somebody compared gives a row as in our own JSONL. As in the
export, its list `judgments` says who judged and in which order the responses were shown. Judgments that were undone,
skips and attention checks are no comparisons.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import combinations
from pathlib import Path

from penchant.data.sources.row_digests import TABLE, check_rows
from penchant.data.sources.values import RowValues, cut
from penchant.digests import warn_without_digests
from penchant.errors import InputError

# Held here and not imported: the reader needs no web package, and refuses what a newer one wrote.
VERSION = 1
MAGIC = b"SQLite format 3\0"
SUFFIXES = (".sqlite", ".sqlite3", ".db")
logger = logging.getLogger("penchant.data")

JUDGMENTS = """
    SELECT item.entry_id, assignment.shown, judgment.places, annotator.name
    FROM judgment
    JOIN assignment ON assignment.id = judgment.assignment_id
    JOIN item ON item.id = assignment.item_id
    JOIN annotator ON annotator.id = assignment.annotator_id
    WHERE judgment.undone_at IS NULL AND judgment.places IS NOT NULL AND item.answer IS NULL
    ORDER BY judgment.id
"""


def read_collected(path: Path) -> Iterator[tuple[str, RowValues]]:
    """Yield (source, row) of every prompt that was compared.

    Raises:
        InputError: no database, one of something else or of another version, or nobody has compared anything yet.
    """
    with path.open("rb") as stream:
        magic = stream.read(len(MAGIC))
    if magic != MAGIC:
        raise InputError(f"{path}: no SQLite database, though its name says so; `penchant collect` makes one")
    try:
        with closing(_opened(path)) as connection:
            _require_ours(path, connection)
            connection.execute("BEGIN")  # one state of the database, though people go on
            _check_digests(path, connection)
            judgments: dict[int, list[RowValues]] = {}
            seen: dict[int, list[RowValues]] = {}
            for entry, order_json, places_json, name in connection.execute(JUDGMENTS):
                order = json.loads(order_json)
                ranks = dict(zip(order, json.loads(places_json), strict=True))
                judgments.setdefault(entry, []).extend(comparisons_of(ranks, name))
                seen.setdefault(entry, []).append({"annotator": name, "order": order})
            entries = connection.execute(
                "SELECT id, row FROM entry WHERE id IN (SELECT entry_id FROM item WHERE answer IS NULL) ORDER BY id"
            ).fetchall()
            rows = {entry: parsed_row(row) for entry, row in entries if entry in judgments}
    except InputError:  # a `ValueError`, which the last clause would take for damage
        raise
    except sqlite3.Error as error:
        raise InputError(f"{path}: the database cannot be read ({error})") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: the database is damaged: an entry or a judgment is not what `penchant collect` writes "
            f"({cut(error, 200)}). Restore a copy of it, or export what can be read with `penchant collect`"
        ) from None
    if not judgments:
        raise InputError(f"{path}: nobody has compared anything yet ({len(entries)} prompts are waiting)")
    if len(judgments) < len(entries):
        logger.info("%s: %d of %d prompts have judgments so far", path, len(judgments), len(entries))
    for entry, row in rows.items():
        yield f"{path.name} entry {entry}", {**row, "comparisons": judgments[entry], "judgments": seen[entry]}


def _check_digests(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a collection whose rows are damaged; one warning where an earlier version wrote some of them."""
    has_digests = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone()
    if not has_digests or not check_rows(lambda statement: connection.execute(statement), str(path)):
        warn_without_digests(path)


def parsed_row(text: str) -> RowValues:
    """Return the row of an entry.

    Raises:
        ValueError: it is no JSON object.
    """
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError(f"an entry is {type(row).__name__}, expected an object")
    return row


def comparisons_of(ranks: Mapping[int, int], annotator: str) -> list[RowValues]:
    """Return the comparisons that a person's ranking makes, as in our own JSONL.

    Args:
        ranks: 1 for the best, by response index; equal ranks tie.
    """
    comparisons: list[RowValues] = []
    for first, second in combinations(sorted(ranks), 2):
        winner, loser = (first, second) if ranks[first] <= ranks[second] else (second, first)
        tie = {"tie": True} if ranks[first] == ranks[second] else {}
        comparisons.append({"winner": winner, "loser": loser, "annotator": annotator, **tie})
    return comparisons


def _opened(path: Path) -> sqlite3.Connection:
    address = path.resolve().as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=10, isolation_level=None)
    try:
        # `connect` reads nothing yet: a database that cannot be read fails at its first statement
        connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # With a write-ahead log beside it `immutable` would pass over the latest judgments.
        if path.with_name(f"{path.name}-wal").exists():
            raise
        # a finished collection in a folder where nothing may be written, not even the file that readers share
        connection = sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    return connection


def _require_ours(path: Path, connection: sqlite3.Connection) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"collection", "entry", "item", "annotator", "assignment", "judgment"} <= tables:
        raise InputError(f"{path}: a database of something else; expected one that `penchant collect` made")
    version = connection.execute("SELECT version FROM collection").fetchone()
    if version is None or version[0] != VERSION:
        raise InputError(
            f"{path}: a collection of version {version and version[0]}, but this Penchant reads version {VERSION}. "
            "Export it as JSONL with the version of Penchant that made it"
        )
