"""The path end to end: a file, people, an export, and the database itself as training data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main
from penchant.data.load import load_preferences
from penchant.errors import InputError
from penchant.raters.agreement import measure_agreement
from penchant.raters.settings import Agree
from penchant.typed_json import to_object
from penchant.types import Comparison


def agreement_numbers(config: Agree) -> dict[str, Any]:
    """The content of `agree.json`."""
    return to_object(measure_agreement(config))


def pairs(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Question {number}?", "responses": [f"Short {number}.", f"A longer answer, number {number}."]}
        for number in range(count)
    ]


def prefer_the_longer(site: Any, number: int, most: int = 100) -> int:
    """A person who reads: they look for the longer response on the page itself."""
    person = site.person(number)
    for done in range(most):
        text = person.page()
        if 'id="responses"' not in text:
            return done
        first = text.index("A longer answer") < text.index("Short ")
        assert person.judge(places=[1, 2] if first else [2, 1], confidence=3, note="länger", seconds=2)
        site.clock.now += 5
    return most


def test_what_people_say_becomes_training_data(make_site: Callable[..., Any], tmp_path: Path) -> None:
    site = make_site(pairs(6), annotators=3, overlap=2)
    done = [prefer_the_longer(site, number) for number in (1, 2, 3)]
    assert done == [6, 6, 0]
    exported = tmp_path / "exported.jsonl"
    exported.write_bytes(site.admin().get("/admin/export.jsonl").content)
    groups = load_preferences(exported)
    assert [group.prompt for group in groups] == [f"Question {number}?" for number in range(6)]
    assert groups[0].comparisons == (
        Comparison(1, 0, annotator="annotator-1"),
        Comparison(1, 0, annotator="annotator-2"),
    )
    row = json.loads(exported.read_text().splitlines()[0])
    assert sorted(row["judgments"][0]["order"]) == [0, 1]
    assert row["judgments"][0]["order"] == row["judgments"][1]["order"][::-1]
    assert {one["confidence"] for one in row["judgments"]} == {3}
    assert row["judgments"][0]["note"] == "länger"
    assert row["judgments"][0]["at"].startswith("2027-01-15T")
    for source in [exported] if site.database.is_postgres else [exported, site.config.out]:
        assert load_preferences(source) == groups
        agreed = agreement_numbers(Agree(files=[str(source)], resamples=100))
        assert agreed["orders"]["same"] is None  # the second person sees each the other way round
        assert (agreed["orders"]["opposite"]["value"], agreed["orders"]["opposite"]["n"]) == (1, 6)
        assert [rater["first_shown"]["n"] for rater in agreed["raters"]] == [6, 6]


def test_a_reward_model_learns_while_people_judge(
    make_site: Callable[..., Any], sqlite_only: None, tmp_path: Path, stories: str
) -> None:
    site = make_site(pairs(8), annotators=2, overlap=2)
    with pytest.raises(InputError, match="nobody has compared anything yet"):
        load_preferences(site.config.out)
    prefer_the_longer(site, 1, most=6)
    arguments = [f"data={site.config.out}", f"model={stories}", "data.held_out=1", f"out={tmp_path / 'run'}"]
    assert main(["train", "reward_model", *arguments]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "done"
    assert prefer_the_longer(site, 1) == 2


def test_ties_and_both_bad_are_ties_and_skips_are_nothing(make_site: Callable[..., Any], tmp_path: Path) -> None:
    site = make_site(pairs(4), annotators=1, overlap=1)
    person = site.person(1)
    for choice, more in (("tie", {}), ("both_bad", {}), ("skip", {"reason": "unclear"}), ("ranked", {})):
        assert person.judge(choice, **more)
    path = tmp_path / "exported.jsonl"
    path.write_bytes(site.admin().get("/admin/export.jsonl").content)
    groups = load_preferences(path, ties="half")
    assert sorted(len(group.comparisons) for group in groups) == [1, 1, 1]
    assert sum(one.tie for group in groups for one in group.comparisons) == 2
    assert "choose what they mean" not in path.read_text()


def test_a_ranking_is_a_comparison_for_every_pair(make_site: Callable[..., Any], tmp_path: Path) -> None:
    site = make_site([{"prompt": "p", "responses": ["w", "x", "y", "z"]}], annotators=1, overlap=1)
    person = site.person(1)
    text = person.page()
    shown = sorted("wxyz", key=lambda letter: text.index(f"<p>{letter}</p>"))
    places = {"w": 2, "x": 1, "y": 2, "z": 4}
    person.judge(places=[places[letter] for letter in shown])
    path = tmp_path / "exported.jsonl"
    path.write_bytes(site.admin().get("/admin/export.jsonl").content)
    (group,) = load_preferences(path, ties="half")
    said = {(one.winner, one.loser, one.tie) for one in group.comparisons}
    assert said == {(1, 0, False), (0, 2, True), (0, 3, False), (1, 2, False), (1, 3, False), (2, 3, False)}


def test_every_two_responses_as_an_item_are_one_group_again(make_site: Callable[..., Any], tmp_path: Path) -> None:
    site = make_site([{"prompt": "p", "responses": ["w", "x", "y"]}], annotators=1, overlap=1, ask="pairs")
    person = site.person(1)
    while person.judge():
        pass
    path = tmp_path / "exported.jsonl"
    path.write_bytes(site.admin().get("/admin/export.jsonl").content)
    (group,) = load_preferences(path)
    assert len(group.comparisons) == 3
    assert [response.count for response in group.responses] == [1, 1, 1]


def test_people_judge_what_two_models_wrote(
    make_site: Callable[..., Any],
    sqlite_only: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The end of the loop: samples of two models in one collection, whose answers are a judge."""
    rows = {
        name: [{"prompt": f"Question {number}?", "responses": [form.format(number)]} for number in range(6)]
        for name, form in (("before", "Short {}."), ("after", "A longer answer, number {}."))
    }
    for name, said in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    site = make_site([*rows["before"], *rows["after"]], annotators=2, overlap=2)  # as `cat` would join the files
    assert prefer_the_longer(site, 1) == prefer_the_longer(site, 2) == 6
    monkeypatch.chdir(tmp_path)
    judge = ["judge.name=people", f"judge.paths=[{site.config.out}]", "out=judged"]
    assert main(["judge", "after.jsonl", "against=before.jsonl", *judge]) == 0
    assert "after.jsonl: wins 100% [54%, 100%] against before.jsonl (6 pairs, 6 prompts" in capsys.readouterr().out
