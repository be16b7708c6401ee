"""The tables of a collection.

`data/sources/collection.py` reads them without SQLModel, so a change of what stands here is a new `VERSION`; a table
more, which readers need not know, is none.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, Index, LargeBinary, Text, UniqueConstraint, delete, event, insert, text
from sqlalchemy.orm import Mapper
from sqlmodel import Field, SQLModel

from penchant.data.sources.row_digests import COLUMNS, TABLE, digest_row

VERSION = 1


class Collection(SQLModel, table=True):
    """The one row that says what this database is.

    Attributes:
        version: of these tables. content: a fingerprint of the data that the items come from. key_hash: of the key
            file's secret, so that another key is noticed. settings: what the page needs to know, as JSON. stopped:
            nobody gets another item.
    """

    id: int = Field(default=1, primary_key=True)
    version: int
    content: str
    key_hash: str
    settings: str = Field(sa_type=Text)
    stopped: bool = False
    made_at: float


class Entry(SQLModel, table=True):
    """A prompt with its responses, as a row of our own JSONL; `pictures` in it are digests by their address there."""

    id: int = Field(primary_key=True)
    source: str
    row: str = Field(sa_type=Text)


class Image(SQLModel, table=True):
    """A picture or sound that prompts and responses show or play, by the SHA-256 of the bytes of its file."""

    digest: str = Field(primary_key=True)
    media_type: str
    content: bytes = Field(sa_type=LargeBinary)


class Item(SQLModel, table=True):
    """What a person is asked once: some responses of an entry.

    Attributes:
        members: indices into the entry's responses, as JSON. answer: the known places of the members (1 the best), as
            JSON, for an attention check; else None. shuffle: orders the items, for each person differently.
    """

    id: int = Field(primary_key=True)
    entry_id: int = Field(foreign_key="entry.id", index=True)
    members: str
    answer: str | None = None
    shuffle: int = Field(sa_type=BigInteger)


class Annotator(SQLModel, table=True):
    """Somebody who judges. The number is the one in the link."""

    id: int = Field(primary_key=True)
    name: str


class Assignment(SQLModel, table=True):
    """An item that was given to a person.

    Attributes:
        shown: indices into the entry's responses in the order in which they stand on the page, as JSON.
        state: `open` (before the person), `done` (judged), `skipped`, or `lapsed` (taken back after its lease).
        opened_at, lease_until: seconds since 1970.
    """

    __table_args__ = (
        UniqueConstraint("item_id", "annotator_id"),
        Index("assignment_of_annotator", "annotator_id", "state"),
    )

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = Field(foreign_key="item.id")
    annotator_id: int = Field(foreign_key="annotator.id")
    shown: str
    state: str
    opened_at: float
    lease_until: float


class Judgment(SQLModel, table=True):
    """What a person said. Nothing is ever deleted: what was undone keeps its row.

    Attributes:
        client_id: made in the browser; a second submission of the same one changes nothing.
        choice: `ranked`, `tie`, `both_bad` or `skip`.
        places: 1 for the best, one per response in the order shown, equal ones tie, as JSON; None for `skip`.
        confidence: 1 (a guess) to 3 (sure), or None. reason: of a skip. seconds: with the item in view.
        judged_at, undone_at: seconds since 1970; the latter None while the judgment stands.
    """

    __table_args__ = (
        Index(
            "one_judgment_stands",
            "assignment_id",
            unique=True,
            sqlite_where=text("undone_at IS NULL"),
            postgresql_where=text("undone_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    client_id: str = Field(unique=True)
    assignment_id: int = Field(foreign_key="assignment.id", index=True)
    choice: str
    places: str | None = None
    confidence: int | None = None
    reason: str | None = None
    note: str = Field(default="", sa_type=Text)
    seconds: float
    judged_at: float
    undone_at: float | None = None


class RowDigest(SQLModel, table=True):
    """The digest of a row of another table, see `penchant.data.sources.row_digests`."""

    __tablename__ = TABLE

    table_name: str = Field(primary_key=True)
    row_id: int = Field(primary_key=True)
    digest: str


def _keep_digest(_: Mapper[SQLModel], connection: Connection, row: SQLModel) -> None:
    """Write a row's digest beside it, in the same transaction."""
    table = str(row.__tablename__)
    # read from the row as it is now: the database has given it its number by then
    values = [getattr(row, column) for column in COLUMNS[table]]
    digests = SQLModel.metadata.tables[TABLE]
    is_this_row = (digests.c.table_name == table) & (digests.c.row_id == values[0])
    # two statements: one that does both is a dialect's own in SQLAlchemy, and there are two databases
    connection.execute(delete(digests).where(is_this_row))
    connection.execute(insert(digests).values(table_name=table, row_id=values[0], digest=digest_row(values)))


for _kind in (Entry, Item, Annotator, Assignment, Judgment):
    event.listen(_kind, "after_insert", _keep_digest)
    event.listen(_kind, "after_update", _keep_digest)
