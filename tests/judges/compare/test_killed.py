"""`penchant judge` killed in the middle goes on with the same command: what is kept is not asked again."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penchant.cli.main import main
from penchant.data.write import write_groups
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

AT_ONCE, PAIRS = 3, 20
OF_A_RUN = ("seconds", "out", "provenance")
"""What two runs that found the same do not share."""


def _asked(request: dict[str, Any]) -> str:
    return str(request["messages"][0]["content"]).strip()


def _kept(out: Path) -> set[str]:
    """The questions whose verdicts are kept, in the words in which the endpoint gets them."""
    with closing(sqlite3.connect(out / "judgments.sqlite")) as database:
        return {"|".join(row) for row in database.execute("SELECT prompt, a, b FROM verdicts")}


def _found(out: Path) -> Any:
    def of_content(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: of_content(one) for key, one in value.items() if key not in OF_A_RUN}
        return [of_content(one) for one in value] if isinstance(value, list) else value

    return of_content(json.loads((out / "judge.json").read_text()))


@pytest.mark.slow
def test_killed_twice_nothing_kept_is_paid_for_twice(
    penchant: Any, endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGKILL, with calls on their way: only these may be asked again, and the result is that of a quiet run."""
    for name, words in (("ours", "It was good{}."), ("theirs", "It was rather long.{}")):
        groups = [PromptGroup(f"How was film {n}?", [words.format("!" * (n % 7) * 3)]) for n in range(PAIRS)]
        write_groups(groups, tmp_path / f"{name}.jsonl")
    (tmp_path / "bare.j2").write_text("{{ prompt }}|{{ a }}|{{ b }}\n")

    def slow(_: int, request: dict[str, Any]) -> str:
        time.sleep(0.03)
        _, a, b = _asked(request).split("|")
        return "Verdict: A" if a.count("!") * 2 > len(b) else "Verdict: B"

    endpoint.behave = slow
    command = ["judge", "ours.jsonl", "against=theirs.jsonl", "judge=endpoint", "judge.model=m"]
    command += [f"judge.base_url={endpoint.url}", "judge.template=bare.j2", f"judge.concurrency={AT_ONCE}"]
    monkeypatch.chdir(tmp_path)
    assert main([*command, "out=quiet"]) == 0
    assert len(endpoint.calls) == 2 * PAIRS

    endpoint.calls.clear()
    out, kept = tmp_path / "killed", set[str]()
    for calls in (6, 15):
        before, until = len(endpoint.calls), time.monotonic() + 60
        process = penchant(*command, "out=killed")
        while len(endpoint.calls) < before + calls:
            assert time.monotonic() < until, process.stderr
            time.sleep(0.002)
        process.kill(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (out / "judge.json").exists()
        assert not kept & {_asked(call) for call in endpoint.calls[before:]}
        now = _kept(out)
        assert len(now) >= len(kept) + calls - AT_ONCE
        assert kept < now
        kept = now
    before = len(endpoint.calls)
    assert penchant(*command, "out=killed").wait() == 0
    assert len(endpoint.calls) - before == 2 * PAIRS - len(kept)
    times = Counter(map(_asked, endpoint.calls))
    assert len(times) == 2 * PAIRS
    assert times.total() <= 2 * PAIRS + 2 * AT_ONCE
    assert _found(out) == _found(tmp_path / "quiet")
    shares = _found(out)["methods"]["ours.jsonl"]["win_rate"]
    assert 0 < shares["rate"]["value"] < 1
