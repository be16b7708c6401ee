"""Verdicts on disk, one row a call, keyed by content: nobody is asked the same thing twice, and a stopped run goes on.

SQLite with a write-ahead log: each verdict is committed as it comes, and a killed process loses none that was.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
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
        """Keep a verdict. Raises RunError where it cannot be written: what was kept before stays."""
        text = [part.encode(errors="replace").decode() for part in (asked.prompt, asked.a, asked.b, verdict.transcript)]
        row = (_key(judge, asked), judge, *text[:3], verdict.winner, verdict.confidence, text[3])
        with self._guarded():
            self._connection.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, verdict.seconds, verdict.tokens, time.time()),
            )

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()
        return int(count)

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
