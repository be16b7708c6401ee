"""Seconds of a round: parts add up to what passed, inner parts are counted once, and a finished round keeps its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from penchant.rounds.clock import RoundClock
from penchant.runs.part_seconds import timed_part


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only the test moves."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_parts_add_up_to_what_passed(tmp_path: Path, ticks: list[float]) -> None:
    clock = RoundClock(tmp_path)
    with clock.part("sampling"):
        with timed_part("loading"):
            ticks[0] += 2
        ticks[0] += 3
    ticks[0] += 1
    with clock.stage() as seconds:
        with timed_part("reference"):
            ticks[0] += 4
        ticks[0] += 10
        seconds["training"] = 9.0
    assert clock.finish() == {"loading": 2, "sampling": 3, "reference": 4, "training": 9, "other": 2}


def test_a_resumed_round_adds_and_a_finished_one_does_not(tmp_path: Path, ticks: list[float]) -> None:
    with RoundClock(tmp_path).part("sampling"):
        ticks[0] += 3
    ticks[0] += 50  # the process was killed
    clock = RoundClock(tmp_path)
    with clock.part("sampling"):
        ticks[0] += 1
    ticks[0] += 2
    assert clock.finish() == {"sampling": 4, "other": 2}
    again = RoundClock(tmp_path)
    with again.part("sampling"), timed_part("loading"):
        ticks[0] += 7
    assert again.finish() == {"sampling": 4, "other": 2}


def test_damaged_seconds_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text('{"seconds": {"sampling": NaN, "loading": 2, "other"')
    assert RoundClock(tmp_path).seconds == {}
    (tmp_path / "seconds.json").write_text('{"seconds": {"sampling": NaN, "loading": 2}}')
    assert RoundClock(tmp_path).seconds == {"loading": 2}
