"""Verdicts on disk, one row per call, keyed by content: no question is asked twice, and a stopped run goes on.

SQLite with a write-ahead log: each verdict is committed as it comes, and a killed process loses none that was.

A row has a digest of its content, which is checked when the verdict is used: SQLite would not notice that `a` became
`b`. A damaged verdict is as good as none, and is asked for again. Those of earlier versions have no digest.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from penchant.digests import warn_without_digests
from penchant.errors import InputError, RunError
from penchant.files import is_storage_failure, open_private
from penchant.judges.contract import Question, digest
from penchant.types import Verdict, Winner

log = logging.getLogger("penchant.judges")
# Of the tables. A column or a table more, which earlier versions need not know, is no new version.
VERSION = 1
_TABLE = """CREATE TABLE IF NOT EXISTS verdicts (
    key TEXT PRIMARY KEY, judge TEXT NOT NULL, prompt TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
    winner TEXT NOT NULL, confidence REAL, transcript TEXT NOT NULL, seconds REAL NOT NULL, tokens INTEGER NOT NULL,
    at REAL NOT NULL, digest TEXT)"""
# What stood in `verdicts` before it was asked or read again. Nothing that a judge said is deleted.
_EARLIER_VERDICTS = """CREATE TABLE IF NOT EXISTS earlier_verdicts (
    key TEXT NOT NULL, winner TEXT NOT NULL, confidence REAL, transcript TEXT NOT NULL, seconds REAL NOT NULL,
    tokens INTEGER NOT NULL, at REAL NOT NULL)"""
# Which version of the reader the verdicts of a judge are from; a judge without a row has those of version 1.
_READERS = "CREATE TABLE IF NOT EXISTS readers (judge TEXT PRIMARY KEY, version INTEGER NOT NULL, digest TEXT)"
_INSERT_READER = "INSERT OR REPLACE INTO readers (judge, version, digest) VALUES (?, ?, ?)"
_COLUMNS = "key, winner, confidence, transcript, seconds, tokens, at"
_AT_ONCE = 500  # keys of one query; SQLite before 3.32 takes 999 values at most


class _Row(NamedTuple):
    """A row of `verdicts`, in the order of its columns."""

    key: str
    judge: str
    prompt: str
    a: str
    b: str
    winner: Winner
    confidence: float | None
    transcript: str
    seconds: float
    tokens: int
    judged_at: float
    digest: str | None = None

    @property
    def question(self) -> Question:
        """The question that the verdict answers."""
        return Question(self.prompt, self.a, self.b)

    @property
    def verdict(self) -> Verdict:
        """The verdict that was kept."""
        return Verdict(self.winner, self.confidence, self.transcript, self.seconds, self.tokens)

    def sealed(self) -> _Row:
        """Return the row with the digest of its values."""
        return self._replace(digest=_sum(*self[:-1]))


_ROW = "key, judge, prompt, a, b, winner, confidence, transcript, seconds, tokens, at, digest"
_SELECT = f"SELECT {_ROW} FROM verdicts"
_INSERT = f"INSERT OR REPLACE INTO verdicts ({_ROW}) VALUES ({', '.join('?' * len(_Row._fields))})"


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
            # before SQLite makes it, since its log gets the same mode: prompts and answers are for their owner alone
            open_private(self.path)
            # One thread at a time uses it, and not always the one that opened it: in a notebook an endpoint's answers
            # come in a thread with its own event loop, and a user's judge may have a pool.
            # Transactions begin below, and nowhere by themselves.
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=30, check_same_thread=False)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if version not in (0, VERSION) or (not version and tables):
                raise InputError(
                    f"{path} is no database of verdicts of this version ({version} with {len(tables)} tables, expected "
                    f"{VERSION}): move it away, or name another file"
                )
            # each verdict was paid for: with NORMAL a killed process loses none, but a power cut could
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_TABLE)
            self._connection.execute(_EARLIER_VERDICTS)
            self._connection.execute(_READERS)
            # in one transaction: else two processes that open an old file at once would both add the column
            with self._transaction():
                for table in ("verdicts", "readers"):  # of earlier versions
                    columns = [column[1] for column in self._connection.execute(f"PRAGMA table_info({table})")]
                    if "digest" not in columns:
                        self._connection.execute(f"ALTER TABLE {table} ADD COLUMN digest TEXT")
            self._connection.execute(f"PRAGMA user_version={VERSION}")
        except (sqlite3.Error, OSError) as error:
            if is_storage_failure(error):
                raise RunError(f"{path} cannot be written ({error}): make room, and give the same command") from error
            raise InputError(
                f"{path} cannot be opened as a database of verdicts ({error}): if it is damaged, move it away"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._connection.close()

    def find(self, judge: str, questions: Sequence[Question]) -> dict[int, Verdict]:
        """Return the stored verdicts, by the index of the question."""
        keys = [_key(judge, question) for question in questions]
        stored: dict[str, Verdict] = {}
        with self._guarded():
            for start in range(0, len(keys), _AT_ONCE):
                batch = keys[start : start + _AT_ONCE]
                rows = self._rows(f"key IN ({', '.join('?' * len(batch))})", batch)
                stored |= {row.key: row.verdict for row in self._intact(rows)}
        return {index: stored[key] for index, key in enumerate(keys) if key in stored}

    def keep(self, judge: str, question: Question, verdict: Verdict) -> None:
        """Write a verdict; an earlier one on the same question moves to the table `earlier_verdicts`.

        Raises:
            RunError: it cannot be written. What was kept before stays.
        """
        # halves of surrogate pairs, which SQLite refuses; the key is still that of the text as it came
        prompt, a, b, transcript = (
            part.encode(errors="replace").decode()
            for part in (question.prompt, question.a, question.b, verdict.transcript)
        )
        confidence = None if verdict.confidence is None else float(verdict.confidence)
        seconds, tokens, key = float(verdict.seconds), int(verdict.tokens), _key(judge, question)
        row = _Row(key, judge, prompt, a, b, verdict.winner, confidence, transcript, seconds, tokens, time.time())
        with self._guarded(), self._transaction():
            self._set_aside(row.key)
            self._connection.execute(_INSERT, row.sealed())

    def read_again(self, judge: str, version: int, read: Callable[[Question, Verdict], Verdict]) -> tuple[int, int]:
        """Read the stored answers of a judge again by this version of the reader, once: all of them or none.

        Args:
            judge: its identity.
            version: of the reader.
            read: returns the verdict of a question, from the one that is stored with its transcript.

        Returns:
            How many verdicts changed, and of how many; (0, 0) where this version has read them already.

        Raises:
            RunError: the store cannot be read or written.
        """
        with self._guarded(), self._transaction():
            if self._reader(judge) in ((version, None), (version, _sum(judge, version))):
                return 0, 0  # a damaged record is read as none: answers that are read twice are read the same
            rows = self._intact(self._rows("judge = ?", [judge]))
            corrected = 0
            for row in rows:
                verdict = read(row.question, row.verdict)
                if verdict == row.verdict:
                    continue
                corrected += 1
                self._set_aside(row.key)
                # the words, the time and the cost of the call stay: only what they mean is another
                changed = row._replace(winner=verdict.winner, confidence=verdict.confidence)
                self._connection.execute(_INSERT, changed.sealed())
            self._connection.execute(_INSERT_READER, (judge, version, _sum(judge, version)))
        return corrected, len(rows)

    def hide_addresses(self, addresses: Mapping[str, str]) -> int:
        """Replace addresses that earlier versions stored with secrets in their query by the form that is stored now.

        The verdicts stay, under the keys of today; the file is written anew, so that nothing is left of a secret.

        Args:
            addresses: each with the form to keep.

        Returns:
            How many verdicts were rewritten.

        Raises:
            RunError: the store cannot be read or written.
        """

        def hidden(text: str) -> str:
            # the longest first: one address may be the beginning of another
            for full, public in sorted(addresses.items(), key=lambda pair: -len(pair[0])):
                text = text.replace(full, public)
            return text

        with self._guarded():
            judges = [judge for (judge,) in self._connection.execute("SELECT DISTINCT judge FROM verdicts")]
            renamed = {judge: hidden(judge) for judge in judges if hidden(judge) != judge}
            if not renamed:
                return 0
            # otherwise deleted rows stay readable in the file and in its log
            self._connection.execute("PRAGMA secure_delete=ON")
            with self._transaction():
                count = sum(self._rename(old, new, hidden) for old, new in renamed.items())
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def _rename(self, judge: str, name: str, hidden: Callable[[str], str]) -> int:
        """Move the verdicts of a judge to another identity: their keys, transcripts and digests; return how many."""
        rows = self._rows("judge = ?", [judge])
        for row in rows:
            changed = row._replace(key=_key(name, row.question), judge=name, transcript=hidden(row.transcript))
            if row == row.sealed():  # a damaged verdict stays one
                changed = changed.sealed()
            self._connection.execute("DELETE FROM verdicts WHERE key = ?", (row.key,))
            self._connection.execute(_INSERT, changed)
            earlier_rows = self._connection.execute(
                "SELECT rowid, transcript FROM earlier_verdicts WHERE key = ?", (row.key,)
            ).fetchall()
            for number, transcript in earlier_rows:
                self._connection.execute(
                    "UPDATE earlier_verdicts SET key = ?, transcript = ? WHERE rowid = ?",
                    (changed.key, hidden(transcript), number),
                )
        if (reader := self._reader(judge)) is not None:
            version, digest = reader
            digest = _sum(name, version) if digest == _sum(judge, version) else digest
            self._connection.execute("DELETE FROM readers WHERE judge = ?", (judge,))
            self._connection.execute(_INSERT_READER, (name, version, digest))
        return len(rows)

    def _rows(self, condition: str, values: Sequence[str]) -> list[_Row]:
        return [_Row(*row) for row in self._connection.execute(f"{_SELECT} WHERE {condition}", values)]

    def _reader(self, judge: str) -> tuple[int, str | None] | None:
        """Return the version of the reader that a judge's verdicts are from, and the digest beside it."""
        row = self._connection.execute("SELECT version, digest FROM readers WHERE judge = ?", (judge,)).fetchone()
        return None if row is None else (row[0], row[1])

    def _intact(self, rows: Iterable[_Row]) -> list[_Row]:
        """Return the rows that are as they were written; warn of damaged ones, and of rows without a digest."""
        intact, damaged = [], 0
        for row in rows:
            if row.digest is None:
                warn_without_digests(self.path)
            elif row != row.sealed():
                damaged += 1
                continue
            intact.append(row)
        if damaged:
            log.warning("%s: %d verdicts are damaged, by their digests; they are asked for again", self.path, damaged)
        return intact

    def _set_aside(self, key: str) -> None:
        """Copy what stands under a key, if anything does, to the earlier verdicts."""
        self._connection.execute(f"INSERT INTO earlier_verdicts SELECT {_COLUMNS} FROM verdicts WHERE key = ?", (key,))

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()
        return int(count)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # the lock is taken now: a transaction that reads first and writes later can find the file changed, and fail
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # SQLite ends it by itself where the disk is full
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


def _sum(*values: object) -> str:
    """Return the digest of a row's values; numbers in all their digits."""
    return digest(*(value if isinstance(value, str) else repr(value) for value in values))[:32]


def _key(judge: str, question: Question) -> str:
    return digest(judge, question.prompt, question.a, question.b)
