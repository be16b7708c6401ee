"""One database, SQLite or PostgreSQL: readers beside each other, writers one after the other."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, event, exc, inspect, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlmodel import Session, SQLModel, col, create_engine, func, select

from penchant.errors import InputError, RunError
from penchant.files import is_storage_failure, open_private
from penchant.web.settings import POSTGRES
from penchant.web.tables import VERSION, Collection, Item

log = logging.getLogger("penchant.web")
# Tables of every collection; later ones are made where they are missing.
REQUIRED_TABLES = frozenset({"collection", "entry", "item", "annotator", "assignment", "judgment"})
WRITERS_LOCK = 0x70656E63  # one number for all servers of a PostgreSQL database
SQLITE_HEAD = b"SQLite format 3\0"
BUSY_MS = 5000  # how long a writer waits for another process before it says that the database cannot be used


class StorageError(RunError):
    """The database cannot be read or written now: a full disk, a server that is down. Nothing was changed."""


class Database:
    """One database, which gives out sessions to read and to write.

    A commit is on the disk when it returns: SQLite with `synchronous=FULL`, PostgreSQL as it is by default. So what was
    acknowledged survives a killed server and a power cut (see docs/decisions/0014-collecting.md).

    Args:
        where: the path of an SQLite file (made if absent), or a PostgreSQL URL.

    Raises:
        InputError: no such folder, no database, one of another program or version, no driver for PostgreSQL.
    """

    def __init__(self, where: str) -> None:
        self.is_postgres = POSTGRES.match(where) is not None
        self._lock = threading.Lock()
        self._engine = _postgres(where) if self.is_postgres else _sqlite(Path(where))
        self.name = shown_name(where)
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one state of the database and writes nothing.

        Raises:
            StorageError: it cannot be read.
        """
        # rows are read after their session has ended: a page is filled when the database is free again
        with self._storage_errors(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session whose transaction no other writer's overlaps; commit it when the block ends well.

        Raises:
            StorageError: it cannot be written; nothing was.
        """
        with (
            self._storage_errors(),
            self._lock,
            Session(self._engine.execution_options(writes=True), expire_on_commit=False) as session,
        ):
            # SQLite lets one process write at a time; PostgreSQL would let two servers give one item's last place away
            if self.is_postgres:
                session.connection().execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS_LOCK})
            yield session
            session.commit()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (exc.IntegrityError, exc.ProgrammingError, exc.DataError):
            raise  # a mistake of ours or a race, and no trouble with the disk
        except (exc.DBAPIError, exc.TimeoutError) as error:
            log.warning("%s cannot be used now: %s", self.name, _reason(error))
            raise StorageError(f"{self.name} cannot be used now: {_reason(error)}") from error

    def _look(self) -> None:
        """Make the tables where there are none; refuse what is not ours."""
        try:
            with self._engine.begin() as connection:
                names = set(inspect(connection).get_table_names())
                our_tables = {str(table.name) for table in SQLModel.metadata.sorted_tables}
                if "collection" in names:
                    version = connection.execute(text("SELECT version FROM collection")).scalar_one_or_none()
                    if version not in (None, VERSION):
                        raise InputError(
                            f"{self.name}: a collection of version {version}, but this Penchant reads and "
                            f"writes version {VERSION}. Export it with the version of Penchant that made it, or name "
                            "another `out`"
                        )
                    if missing := REQUIRED_TABLES - names:
                        raise InputError(
                            f"{self.name}: a damaged collection without the tables {', '.join(sorted(missing))}. Use "
                            "a copy of it, or name another `out`"
                        )
                # a PostgreSQL database may hold other programs' tables beside ours, a file may not
                elif names & our_tables or (names and not self.is_postgres):
                    raise InputError(
                        f"{self.name}: a database of something else (with the tables {', '.join(sorted(names)[:5])}); "
                        "name another `out`"
                    )
                SQLModel.metadata.create_all(connection)
        except exc.SQLAlchemyError as error:
            # a full disk is no damage: nobody should move a good database away for it
            if is_storage_failure(getattr(error, "orig", None)):
                raise RunError(f"{self.name} cannot be written ({_reason(error)}): make room there") from None
            raise InputError(f"{self.name}: no database that can be used ({_reason(error)})") from None


def shown_name(where: str) -> str:
    """Return a path or an address as messages may have it: without the password."""
    if POSTGRES.match(where) is None:
        return where
    try:
        return make_url(where).render_as_string(hide_password=True)
    except exc.ArgumentError:
        return "the PostgreSQL database"


def collection_of(session: Session) -> Collection:
    """Return the one row of `collection`; the database must have been filled."""
    collection = session.get(Collection, 1)
    assert collection is not None
    return collection


def items_of(session: Session) -> int:
    """Return how many items there are, attention checks aside."""
    return session.exec(select(func.count()).select_from(Item).where(col(Item.answer).is_(None))).one()


def _check_kind(path: Path) -> None:
    """Refuse a file that is no database before its mode is changed: it is somebody's, and stays as it is.

    Raises:
        InputError: it is none.
    """
    # a link, a pipe and a file that may not be read are refused where it is opened
    if path.is_symlink() or not path.is_file():
        return
    with suppress(OSError), path.open("rb") as file:
        head = file.read(len(SQLITE_HEAD))
        if head and head != SQLITE_HEAD:
            raise InputError(f"{path}: no database that can be used (it is another kind of file): choose another name")


def _sqlite(path: Path) -> Engine:
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: expected the path of a database file in a folder that exists")
    _check_kind(path)
    try:
        for file in open_private(path):  # what people wrote is for its owner alone
            log.warning("%s was open to other users of this machine; it no longer is", file)
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise InputError(
            f"{error.filename or path}: cannot be used as a database ({reason}); name a file, and check the folder's "
            "permissions"
        ) from None
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
        # FastAPI runs 40 requests at once in threads, each with a session
        pool_size=20,
        max_overflow=40,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin below, and nowhere by themselves
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # a judgment is acknowledged when a power cut could no longer take it
            "foreign_keys=ON",
            "temp_store=MEMORY",  # a full disk must not stop a reader
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a writer takes the lock at once: one that reads first could find the file changed when it wants to write
        kind = "IMMEDIATE" if connection.get_execution_options().get("writes") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _postgres(address: str) -> Engine:
    try:
        url = make_url(address)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        return create_engine(url, pool_size=20, max_overflow=40, pool_pre_ping=True)
    except (exc.ArgumentError, ValueError, exc.NoSuchModuleError):
        raise InputError(
            "`out` is no address of a PostgreSQL database; expected one such as postgresql://user@localhost/name"
        ) from None
    except ImportError:
        raise InputError(
            "PostgreSQL needs the package psycopg, which Penchant does not install by itself: pip install "
            "'penchant[web,postgres]'"
        ) from None


def _reason(error: exc.SQLAlchemyError) -> str:
    """Return the driver's own words on one line, without the statement and its values."""
    # SQLAlchemy's own text repeats the statement with what people wrote, and messages end up in logs
    inner = error.orig if isinstance(error, exc.DBAPIError) else error
    return " ".join(str(inner).split())[:300] or type(error).__name__
