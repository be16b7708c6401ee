"""Verdicts on disk, one row a call, keyed by content: nobody is asked the same thing twice, and a stopped run goes on.

SQLite with a write-ahead log: each verdict is committed as it comes, and a killed process loses none that was.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from penchant.errors import InputError, RunError
from penchant.judges.contract import Question, digest
from penchant.types import Verdict

VERSION = 1
_TABLE = """CREATE TABLE IF NOT EXISTS verdicts (
    key TEXT PRIMARY KEY, judge TEXT NOT NULL, prompt TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
    winner TEXT NOT NULL, confidence REAL, transcript TEXT NOT NULL, seconds REAL NOT NULL, tokens INTEGER NOT NULL,
    at REAL NOT NULL)"""
_EARLIER = """CREATE TABLE IF NOT EXISTS earlier_verdicts (
    key TEXT NOT NULL, winner TEXT NOT NULL, confidence REAL, transcript TEXT NOT NULL, seconds REAL NOT NULL,
    tokens INTEGER NOT NULL, at REAL NOT NULL)"""
"""What stood in `verdicts` before it was asked or read again. Nothing that a judge said is deleted."""
_READERS = "CREATE TABLE IF NOT EXISTS readers (judge TEXT PRIMARY KEY, version INTEGER NOT NULL)"
"""Which version of the reader the verdicts of a judge are from; a judge without a row has those of version 1."""
_COLUMNS = "key, winner, confidence, transcript, seconds, tokens, at"
_AT_ONCE = 500  # keys of one query


class VerdictStore:
    """A database of verdicts.

    Args:
        path: the file; made if it is not there.

    Raises:
        InputError: the file is no database, one of other things, or of another version; its folder cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            make_private(self.path)  # before SQLite makes it: its log gets the same mode
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if version not in (0, VERSION) or (not version and tables):
                raise InputError(
                    f"{path} is no database of verdicts of this version ({version} with {len(tables)} tables, expected "
                    f"{VERSION}): move it away, or name another file"
                )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_TABLE)
            self._connection.execute(_EARLIER)
            self._connection.execute(_READERS)
            self._connection.execute(f"PRAGMA user_version={VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{path} cannot be opened as a database of verdicts ({error}): if it is damaged, move it away"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._connection.close()

    def find(self, judge: str, questions: Sequence[Question]) -> dict[int, Verdict]:
        """The verdicts that are known, by the questions' places."""
        keys = [_key(judge, asked) for asked in questions]
        known: dict[str, Verdict] = {}
        with self._guarded():
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                holes = ", ".join("?" * len(some))
                rows = self._connection.execute(
                    f"SELECT key, winner, confidence, transcript, seconds, tokens FROM verdicts WHERE key IN ({holes})",
                    some,
                )
                known |= {key: Verdict(*row) for key, *row in rows}
        return {place: known[key] for place, key in enumerate(keys) if key in known}

    def keep(self, judge: str, asked: Question, verdict: Verdict) -> None:
        """Keep a verdict; one of the same question that stands there is moved to `earlier_verdicts`.

        Raises:
            RunError: it cannot be written. What was kept before stays.
        """
        text = [part.encode(errors="replace").decode() for part in (asked.prompt, asked.a, asked.b, verdict.transcript)]
        row = (_key(judge, asked), judge, *text[:3], verdict.winner, verdict.confidence, text[3])
        with self._guarded(), self._transaction():
            self._set_aside(_key(judge, asked))
            self._connection.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, verdict.seconds, verdict.tokens, time.time()),
            )

    def read_again(self, judge: str, version: int, read: Callable[[Question, Verdict], Verdict]) -> tuple[int, int]:
        """Read the stored answers of a judge by another version of the reader, once; all of them or none.

        Args:
            read: the verdict of a question, from the one that is stored with its transcript.

        Returns:
            How many verdicts changed, and of how many; (0, 0) where this version has read them already.

        Raises:
            RunError: the store cannot be read or written.
        """
        with self._guarded(), self._transaction():
            known = self._connection.execute("SELECT version FROM readers WHERE judge = ?", (judge,)).fetchone()
            if known == (version,):
                return 0, 0
            rows = self._connection.execute(
                "SELECT key, prompt, a, b, winner, confidence, transcript, seconds, tokens FROM verdicts "
                "WHERE judge = ?",
                (judge,),
            ).fetchall()
            corrected = 0
            for key, prompt, a, b, *columns in rows:
                stored = Verdict(*columns)
                verdict = read(Question(prompt, a, b), stored)
                if verdict == stored:
                    continue
                corrected += 1
                self._set_aside(key)
                self._connection.execute(
                    "UPDATE verdicts SET winner = ?, confidence = ? WHERE key = ?",
                    (verdict.winner, verdict.confidence, key),
                )
            self._connection.execute("INSERT OR REPLACE INTO readers VALUES (?, ?)", (judge, version))
        return corrected, len(rows)

    def _set_aside(self, key: str) -> None:
        """Copy what stands under a key, if anything does, to the earlier verdicts."""
        self._connection.execute(f"INSERT INTO earlier_verdicts SELECT {_COLUMNS} FROM verdicts WHERE key = ?", (key,))

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()
        return int(count)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"{self.path} cannot be read or written ({error}). What was judged so far is kept: make room, or see "
                "that nobody else holds the file, and give the same command again"
            ) from error


def make_private(path: Path) -> None:
    """Let nobody but its owner read a file; it is made, empty, if it is not there. Older files lose wider modes."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with suppress(OSError):  # another user's, which we may write all the same
        path.chmod(0o600)


def _key(judge: str, asked: Question) -> str:
    return digest(judge, asked.prompt, asked.a, asked.b)
