"""The load on the page for people, small: a few annotators, a server that is killed twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra web: pip install 'penchant[web]'")


@pytest.mark.slow
def test_no_acknowledged_judgment_is_lost_or_doubled(tmp_path: Path) -> None:
    from collect_load import run

    numbers = asyncio.run(run(annotators=6, judgments=60, kills=2, think=0.1, folder=tmp_path))
    assert numbers["acknowledged"] >= 60
    assert numbers["kills"] == 2
    assert (numbers["lost"], numbers["doubled"], numbers["odd"]) == (0, 0, [])
    assert not numbers["more than the overlap"]
    assert numbers["integrity"] == "ok"


def test_waits_through_a_restart_are_no_latency() -> None:
    from collect_load import Asked, timed

    asked = [Asked("page", began=10, answered=10.1, attempts=1, up=5) for _ in range(19)]
    asked += [Asked("page", began=11, answered=11.3, attempts=1, up=11)]  # the crowd that comes back: still latency
    asked += [Asked("page", began=10, answered=13, attempts=4, up=12)]  # killed, and asked again
    asked += [Asked("page", began=11, answered=12.5, attempts=1, up=12)]  # asked while the server started
    asked += [Asked("submission", began=0, answered=9, attempts=1, up=0)]
    assert timed(asked, "page") == {
        "answered by the running server": 20,
        "p50, p95, p99 ms": [100.0, 300.0, 300.0],
        "waited through a restart": 2,
        "waits p50, p95, longest s": [3, 3, 3],
    }
