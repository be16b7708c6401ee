"""Verdicts that version c111d53 stored are read on, and what its reader misread is corrected without a call."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from old_folders import unpack
from penchant.engine.reference import fingerprint
from penchant.judges import Question, VerdictStore, ask, make_judge
from penchant.judges.ask import plan_calls
from penchant.judges.contract import digest
from penchant.judges.endpoint import EndpointJudge
from penchant.judges.noisy import NoisyJudge
from penchant.judges.panel import PanelJudge
from penchant.judges.prompts import load_template
from penchant.judges.settings import Endpoint, JudgeSpec, Longest
from penchant.models.load import load_policy

TABLE = """CREATE TABLE verdicts (
    key TEXT PRIMARY KEY, judge TEXT NOT NULL, prompt TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
    winner TEXT NOT NULL, confidence REAL, transcript TEXT NOT NULL, seconds REAL NOT NULL, tokens INTEGER NOT NULL,
    at REAL NOT NULL)"""
# what that version read in each answer, and what the answer says
ANSWERS = {
    "Verdict: a tie": ("a", "tie"),
    "Verdict: A and B are equal": ("a", "tie"),
    "Verdict: a narrow win for B": ("a", "b"),
    "<think>Verdict: A</think> B": ("a", "b"),
    '```json\n{"winner": "B"}\n```': ("unparseable", "b"),
    "Response A": ("unparseable", "a"),
    "Verdict: B": ("b", "b"),
    "Once upon a time": ("unparseable", "unparseable"),
}
PAIRS = [Question(f"p{number}", "one", "two") for number in range(len(ANSWERS))]
ENDPOINT = EndpointJudge(Endpoint(model="m", base_url="http://127.0.0.1:9/v1"))


def old_store(path: Path, judge: str, transcripts: list[str], winners: list[str]) -> None:
    """A store as c111d53 writes it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(TABLE)
        connection.execute("PRAGMA user_version=1")
        for asked, transcript, winner in zip(PAIRS, transcripts, winners, strict=True):
            key = digest(judge, asked.prompt, asked.a, asked.b)
            row = (key, judge, asked.prompt, asked.a, asked.b, winner, None, transcript, 1.0, 5, 0.0)
            connection.execute(f"INSERT INTO verdicts VALUES ({', '.join('?' * 11)})", row)
        connection.commit()


def test_answers_are_read_again_once_and_what_was_read_first_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v.sqlite"
    old_store(path, ENDPOINT.identity, list(ANSWERS), [was for was, _ in ANSWERS.values()])
    with VerdictStore(path) as store:
        answers = ask(ENDPOINT, PAIRS, store=store, orders="one")
        assert [answer.outcome for answer in answers] == [now for _, now in ANSWERS.values()]
        assert "6 of 8 answers are read otherwise" in caplog.text
        caplog.clear()
        assert plan_calls(ENDPOINT, PAIRS, store=store, orders="one").missing == []
        assert not caplog.records
    with closing(sqlite3.connect(path)) as connection:
        earlier = connection.execute("SELECT winner, transcript FROM earlier_verdicts").fetchall()
    assert {said: was for was, said in earlier} == {s: was for s, (was, now) in ANSWERS.items() if was != now}


def test_so_are_those_inside_of_panels_and_noisy_judges(tmp_path: Path) -> None:
    noisy = NoisyJudge(ENDPOINT, 1.0)  # which turns every verdict round
    was = [{"a": "b", "b": "a"}.get(was, was) for was, _ in ANSWERS.values()]
    old_store(tmp_path / "n.sqlite", noisy.identity, list(ANSWERS), was)
    with VerdictStore(tmp_path / "n.sqlite") as store:
        found = [answer.outcome for answer in ask(noisy, PAIRS, store=store, orders="one")]
    assert found == [{"a": "b", "b": "a"}.get(now, now) for _, now in ANSWERS.values()]
    longest = make_judge(Longest())
    panel = PanelJudge([ENDPOINT, longest, longest])
    said = [
        f"[{ENDPOINT.identity}: {was}] {text}\n\n[longest: tie]\n\n[longest: tie]" for text, (was, _) in ANSWERS.items()
    ]
    old_store(tmp_path / "p.sqlite", panel.identity, said, ["tie"] * len(ANSWERS))
    with VerdictStore(tmp_path / "p.sqlite") as store:
        assert {answer.outcome for answer in ask(panel, PAIRS, store=store, orders="one")} == {"tie"}
    alone = PanelJudge([ENDPOINT])
    said = [f"[{ENDPOINT.identity}: {was}] {text}" for text, (was, _) in ANSWERS.items()]
    old_store(tmp_path / "a.sqlite", alone.identity, said, [was for was, _ in ANSWERS.values()])
    with VerdictStore(tmp_path / "a.sqlite") as store:
        found = [answer.outcome for answer in ask(alone, PAIRS, store=store, orders="one")]
    assert found == [now for _, now in ANSWERS.values()]


@pytest.mark.parametrize("kind", ["alone", "panel"])
def test_a_secret_in_an_address_leaves_the_store(kind: str, tmp_path: Path) -> None:
    """Earlier versions kept the whole address; its verdicts are found under the key of today, without a call."""
    full = "http://127.0.0.1:9/v1?api-key=sk-verysecret&api-version=2024-10-21"  # the version decides verdicts
    inner = EndpointJudge(Endpoint(model="m", base_url=full))
    judge = inner if kind == "alone" else PanelJudge([inner])
    assert "verysecret" not in judge.identity
    public = inner.addresses[full]
    was = judge.identity.replace(public, full)
    assert was != judge.identity
    said = [text if kind == "alone" else f"[{was[9:]}: {old}] {text}" for text, (old, _) in ANSWERS.items()]
    path = tmp_path / "v.sqlite"
    old_store(path, was, said, [old for old, _ in ANSWERS.values()])
    with closing(sqlite3.connect(path)) as connection:  # as the last version left one: read, and with earlier answers
        connection.execute("CREATE TABLE readers (judge TEXT PRIMARY KEY, version INTEGER NOT NULL, digest TEXT)")
        connection.execute("INSERT INTO readers VALUES (?, 1, NULL)", (was,))
        connection.commit()
    assert b"verysecret" in path.read_bytes()
    with VerdictStore(path) as store:
        assert plan_calls(judge, PAIRS, store=store, orders="one").missing == []
        found = [answer.outcome for answer in ask(judge, PAIRS, store=store, orders="one")]
        assert found == [now for _, now in ANSWERS.values()]
        assert store.hide_addresses({full: public}) == 0  # once
    for file in tmp_path.iterdir():
        assert b"verysecret" not in file.read_bytes()
    rotated = full.replace("verysecret", "othersecret")
    other = EndpointJudge(Endpoint(model="m", base_url=rotated))
    assert other.identity == inner.identity  # a new API key, the same judge
    assert EndpointJudge(Endpoint(model="m", base_url=full.replace("2024", "2025"))).identity != inner.identity


@pytest.mark.parametrize("name", ["policy", "vader", "noisy", "panel"])
def test_verdicts_under_a_key_without_all_that_decides_are_asked_for_again_with_one_warning(
    name: str, tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That version's key of a model held its weights alone, and VADER's no version."""
    template = tmp_path / "which.j2"
    template.write_text("{{ prompt }}: {{ a }} or {{ b }}?")
    model: dict[str, Any] = {"name": "policy", "model": tiny_model, "template": str(template), "device": "cpu"}
    settings: dict[str, dict[str, Any]] = {
        "policy": model,
        "vader": {"name": "reward"},
        "noisy": {"name": "noisy", "rate": 0.5, "judge": model},
        "panel": {"name": "panel", "judges": [{"name": "longest"}, {"name": "reward"}, model]},
    }
    judge = make_judge(TypeAdapter(JudgeSpec).validate_python(settings[name]))
    weights = fingerprint(load_policy(tiny_model, device="cpu").model)
    policy = f"policy {weights} {load_template(str(template)).digest} margin 0.0"
    keys = {
        "policy": policy,
        "vader": "reward vader  margin 0.0",
        "noisy": f"noisy 0.5 0 of {policy}",
        "panel": f"panel of longest; reward vader  margin 0.0; {policy}",
    }
    path = tmp_path / "v.sqlite"
    old_store(path, keys[name], ["what it said then"] * len(PAIRS), ["b"] * len(PAIRS))
    with VerdictStore(path) as store:
        assert plan_calls(judge, PAIRS, store=store, orders="one").missing == PAIRS
        answers = ask(judge, PAIRS[:3], store=store, orders="one") + ask(judge, PAIRS, store=store, orders="one")
        assert all(answer.first and answer.first.transcript != "what it said then" for answer in answers)
        assert len(store) == 2 * len(PAIRS)  # the earlier ones stay
        assert plan_calls(judge, PAIRS, store=store, orders="one").missing == []
    assert caplog.text.count("holds verdicts of an earlier version, which did not note all") == 1


def test_a_folder_of_that_version_goes_on(tmp_path: Path) -> None:
    unpack(tmp_path, "judge")
    path = tmp_path / "judged" / "judgments.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT prompt, a, b, winner FROM verdicts").fetchall()
    pairs = [Question(*row[:3]) for row in rows]
    with VerdictStore(path) as store:
        assert plan_calls(make_judge(Longest()), pairs, store=store, orders="one").missing == []
        answers = ask(make_judge(Longest()), pairs, store=store, orders="one")
    assert [answer.outcome for answer in answers] == [row[3] for row in rows]
