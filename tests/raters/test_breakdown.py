"""Where raters disagree, in simulations whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from penchant.cli.main import main
from penchant.raters.agreement import measure_agreement
from penchant.raters.settings import Agree
from penchant.typed_json import to_object


def agreement_numbers(config: Agree) -> dict[str, Any]:
    """The content of `agree.json`."""
    return to_object(measure_agreement(config))


WORDS = {"easy": "flour butter oven sugar", "hard": "planet orbit comet galaxy"}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def themed(prompts: int, **more: str) -> list[dict[str, Any]]:
    """Three people who are right in 95% of what is easy, and toss a coin over what is hard."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(prompts):
        topic = ("easy", "hard")[number % 2]
        said = []
        for name in ("Ann", "Bob", "Cleo"):
            right = rng.random() < (0.95 if topic == "easy" else 0.5)
            said.append({"winner": 0 if right else 1, "loser": 1 if right else 0, "annotator": name})
        words = " ".join(rng.permutation(WORDS[topic].split())[:3])
        row = {"prompt": f"{words} {number}", "responses": [f"good {number}", f"bad {number}"], "comparisons": said}
        rows.append(row | {field: topic if value == "topic" else value for field, value in more.items()})
    return rows


def test_agreement_by_topic_is_that_of_the_simulation(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", themed(300, category="topic"))
    found = agreement_numbers(Agree(files=[file], resamples=300))["topics"]
    assert (found["field"], found["left_out"]) == ("category", 0)
    rows = {row["topic"]: row for row in found["rows"]}
    for topic, true in (("easy", 0.95**2 + 0.05**2), ("hard", 0.5)):
        agreement = rows[topic]["agreement"]
        assert agreement["low"] < true < agreement["high"]
        assert (rows[topic]["comparisons"], rows[topic]["prompts"], agreement["n"]) == (150, 150, 450)
    assert rows["hard"]["alpha"]["low"] < 0 < rows["hard"]["alpha"]["high"]
    assert rows["easy"]["alpha"]["low"] > 0.5


def test_without_a_field_prompts_are_clustered_by_their_words(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", themed(24))
    found = agreement_numbers(Agree(files=[file], resamples=100))["topics"]
    assert found["field"] is None
    for row in found["rows"]:
        words = set(row["topic"].split(", "))
        assert words <= set(WORDS["easy"].split()) or words <= set(WORDS["hard"].split())
    assert [row["comparisons"] for row in found["rows"]] == [12, 12]
    few = write(tmp_path / "b.jsonl", themed(10))
    assert agreement_numbers(Agree(files=[few], resamples=100))["topics"] is None


def test_the_field_may_be_named_and_small_topics_are_put_together(tmp_path: Path) -> None:
    rows = [row | {"kind": f"kind {number // 2}", "category": "one"} for number, row in enumerate(themed(30))]
    file = write(tmp_path / "a.jsonl", rows)
    found = agreement_numbers(Agree(files=[file], resamples=100, topic="kind"))["topics"]
    assert (found["field"], len(found["rows"]), found["left_out"]) == ("kind", 13, 3)
    assert [row["topic"] for row in found["rows"]][-1] is None
    assert sum(row["comparisons"] for row in found["rows"]) == 30


def test_a_field_that_no_row_has_is_refused(tmp_path: Path, capsys: Any) -> None:
    file = write(tmp_path / "a.jsonl", themed(10, category="topic"))
    assert main(["agree", file, "topic=categories", f"out={tmp_path / 'run'}"]) == 2
    assert "topic=categories: no row has this field" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_who_leans_to_the_first_on_the_page_disagrees_in_opposite_orders(tmp_path: Path, capsys: Any) -> None:
    # everybody prefers the first shown in 80%: the same order gives .8² + .2² = .68, opposite ones .32
    rng = np.random.default_rng(0)
    rows = []
    for number in range(300):
        said, seen = [], []
        for name in ("Ann", "Bob", "Cleo"):
            order = rng.permutation(2).tolist()
            winner = order[0] if rng.random() < 0.8 else order[1]
            said.append({"winner": winner, "loser": 1 - winner, "annotator": name})
            seen.append({"annotator": name, "order": order})
        row = {"prompt": f"prompt {number}", "responses": [f"good {number}", f"bad {number}"], "comparisons": said}
        rows.append(row | {"judgments": seen})
    file = write(tmp_path / "a.jsonl", rows)
    numbers = agreement_numbers(Agree(files=[file], resamples=300))
    for key, true in (("same", 0.68), ("opposite", 0.32)):
        assert numbers["orders"][key]["low"] < true < numbers["orders"][key]["high"]
    assert numbers["orders"]["same"]["n"] + numbers["orders"]["opposite"]["n"] == 900
    for rater in numbers["raters"]:
        assert rater["first_shown"]["low"] < 0.8 < rater["first_shown"]["high"]
    assert main(["agree", file, "resamples=100", f"out={tmp_path / 'run'}"]) == 0
    assert "two who saw a comparison in the same order say the same in" in capsys.readouterr().out
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Ann leans to the response shown first" in page
    for row in rows:
        del row["judgments"]
    unknown = agreement_numbers(Agree(files=[write(tmp_path / "b.jsonl", rows)], resamples=100))
    assert unknown["orders"] is None
    assert unknown["raters"][0]["first_shown"] is None
