"""Check the rows of a collection by digests: a database would not notice that one value became another.

`penchant collect` writes a row of `row_digest` with each row of another table, in the same transaction. Whoever reads
the collection compares them first. Imports no SQLModel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from penchant.digests import DamagedFile

COLUMNS = {
    "annotator": ("id", "name"),
    "assignment": ("id", "item_id", "annotator_id", "shown"),
    "entry": ("id", "row"),
    "item": ("id", "entry_id", "members", "answer"),
    "judgment": ("id", "assignment_id", "choice", "places", "confidence", "undone_at"),
}
"""The columns of each table that decide what is read of a collection; the first one is the row's number."""
TABLE = "row_digest"
Query = Callable[[str], Iterable[Sequence[Any]]]


def digest_row(values: Iterable[object]) -> str:
    """Return the digest of a row's values."""
    # surrogatepass: a text may hold half of a surrogate pair, and must have a digest all the same
    return hashlib.sha256(repr(tuple(values)).encode("utf-8", errors="surrogatepass")).hexdigest()[:32]


def check_rows(query: Query, name: str) -> bool:
    """Refuse a collection with rows that are not what was written.

    Args:
        query: runs a statement and returns its rows.
        name: of the database, for the message.

    Returns:
        Whether all rows have a digest; those that an earlier version wrote have none.

    Raises:
        DamagedFile: a row was changed, or is gone.
    """
    complete = True
    for table, columns in COLUMNS.items():
        stored = query(f"SELECT row_id, digest FROM {TABLE} WHERE table_name = '{table}'")
        digests: dict[int, str] = {number: digest for number, digest in stored}  # noqa: C416 - rows are no tuples
        for row in query(f'SELECT {", ".join(columns)} FROM "{table}"'):
            # popped, so that a digest that is left over is that of a row which is gone
            digest = digests.pop(row[0], None)
            complete = complete and digest is not None
            if digest not in (None, digest_row(row)):
                raise _damaged(name, f"row {row[0]} of its table {table} is not what was written")
        if digests:
            raise _damaged(name, f"row {min(digests)} of its table {table} is gone")
    return complete


def _damaged(name: str, reason: str) -> DamagedFile:
    return DamagedFile(f"{name} is damaged: {reason}. Restore a copy of it")
