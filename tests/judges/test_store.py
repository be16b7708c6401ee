"""Verdicts on disk: what is damaged is not believed, and asked for again."""

from __future__ import annotations

import logging
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from old_folders import unpack
from penchant.errors import PenchantError
from penchant.judges import Question, VerdictStore
from penchant.types import Verdict

PAIRS = [Question(f"prompt {number}", "one", "two") for number in range(12)]
VERDICTS = [Verdict("ab"[number % 2], number / 16, f"so {number}", 0.5, number) for number in range(12)]  # type: ignore[arg-type]
CHANGES: dict[str, Any] = {"winner": "b", "confidence": 0.9, "transcript": "no", "seconds": 7.0, "tokens": 7, "a": "1"}


def fill(path: Path) -> Path:
    with VerdictStore(path) as store:
        for pair, verdict in zip(PAIRS, VERDICTS, strict=True):
            store.keep("judge", pair, verdict)
    return path


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_value_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str) -> None:
    path = fill(tmp_path / "v.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE verdicts SET {column} = ? WHERE prompt = 'prompt 4'", (CHANGES[column],))
        connection.commit()
    with VerdictStore(path) as store:
        known = store.find("judge", PAIRS)
        assert known == {place: verdict for place, verdict in enumerate(VERDICTS) if place != 4}
        assert "1 verdicts are damaged, by their digests; they are asked for again" in caplog.text
        store.keep("judge", PAIRS[4], VERDICTS[4])
        assert len(store.find("judge", PAIRS)) == 12


def test_no_flipped_byte_makes_another_verdict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = fill(tmp_path / "v.sqlite").read_bytes()
    generator, path = random.Random(0), tmp_path / "flipped.sqlite"
    outcomes, messages = {"right": 0, "missing": 0}, []
    for _ in range(40):
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(damaged)
        try:
            with VerdictStore(path) as store:
                known = store.find("judge", PAIRS)
        except PenchantError as error:
            messages.append(str(error))
            continue
        assert all(verdict == VERDICTS[place] for place, verdict in known.items())
        outcomes["right" if len(known) == 12 else "missing"] += 1
    assert outcomes["right"] > 0
    assert outcomes["missing"] > 0
    assert all("flipped.sqlite" in message for message in messages)


def test_a_damaged_record_of_the_reader_is_as_good_as_none(tmp_path: Path) -> None:
    path = fill(tmp_path / "v.sqlite")
    with VerdictStore(path) as store:
        assert store.read_again("judge", 1, lambda _, verdict: verdict) == (0, 12)
        assert store.read_again("judge", 1, lambda _, verdict: verdict) == (0, 0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE readers SET version = 2")
        connection.commit()
    with VerdictStore(path) as store:
        assert store.read_again("judge", 2, lambda _, verdict: verdict) == (0, 12)


def test_the_verdicts_of_an_earlier_version_are_read_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unpack(tmp_path, "judge")
    path = tmp_path / "judged" / "judgments.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        judge, *question = connection.execute("SELECT judge, prompt, a, b FROM verdicts").fetchone()
    with caplog.at_level(logging.WARNING), VerdictStore(path) as store:
        for _ in range(2):
            assert len(store.find(judge, [Question(*question)])) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} was written by an earlier version, without digests: it is read unchecked"
    ]


@pytest.mark.parametrize("bytes_left", [0, 2_000, 12_000])
def test_a_full_disk_is_not_called_damage(tmp_path: Path, bytes_left: int) -> None:
    """A process of its own: a limit on the size of files cannot be lifted again."""
    code = (
        "import resource, signal, sys; from penchant.judges import VerdictStore; from penchant.errors import RunError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_left}, {bytes_left}))\n"
        f"try: VerdictStore({str(tmp_path / 'j.sqlite')!r})\n"
        "except RunError as error: assert 'make room' in str(error), error\n"
        "else: raise AssertionError"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
