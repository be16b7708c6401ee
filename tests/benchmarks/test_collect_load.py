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
