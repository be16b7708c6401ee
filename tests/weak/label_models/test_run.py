"""`penchant weak sources`: from a file of votes to labels, numbers, warnings and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError
from penchant.typed_json import to_object
from penchant.weak.label_models.run import label_votes
from penchant.weak.label_models.sources import collect_votes

NAMES = np.array(["ham", "spam", ""])


def write_votes(path: Path, rows: int = 120, *, sources: int = 4, seed: int = 0, **columns: list[str]) -> str:
    """Write a file of votes of sources that are right in 85%, 75%, 65%, ... of the rows, and abstain on a fifth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, rows)
    lines = [",".join(["text", *(f"s{n}" for n in range(sources)), *columns, "gold"])]
    accuracies = [0.85, 0.75, 0.65, 0.8][:sources]
    for row in range(rows):
        right = random.random(sources) < accuracies
        votes = np.where(random.random(sources) < 0.2, 2, np.where(right, truth[row], 1 - truth[row]))
        more = [values[row] for values in columns.values()]
        lines.append(",".join([f"comment {row}", *NAMES[votes], *more, NAMES[truth[row]]]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def sources(votes: str, **settings: object) -> dict[str, Any]:
    """Return the numbers of `sources.json`; nothing is drawn or written."""
    config = pt.WeakSources(votes=votes, resamples=0, **settings)
    return to_object(label_votes(config, collect_votes(config), None)[0])


def kinds(numbers: dict[str, Any]) -> list[str]:
    return [warning["kind"] for warning in numbers["warnings"]]


def test_labels_numbers_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = write_votes(tmp_path / "votes.csv")
    out = tmp_path / "out"
    words = [votes, "truth=gold", "compare=[moments,triplets,one_coin]", "resamples=20", f"out={out}"]
    assert main(["weak", "sources", *words]) == 0
    printed = capsys.readouterr().out
    assert "4 sources vote on 120 of 120 rows" in printed
    assert "cells that abstain:" in printed
    assert "majority" in printed
    assert "moment matching" in printed
    numbers = json.loads((out / "sources.json").read_text())
    assert [model["name"] for model in numbers["models"]] == [
        "majority", "dawid_skene", "moments", "triplets", "one_coin",
    ]  # fmt: skip
    labels = [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
    assert {*labels[0]} == {"text", "label", "probabilities", "weight"}
    gold = [line.rsplit(",", 1)[1] for line in Path(votes).read_text().splitlines()[1:]]
    right = np.mean([row["label"] == truth for row, truth in zip(labels, gold, strict=True)])
    accuracy = numbers["models"][1]["accuracy"]["value"]
    assert right == pytest.approx(accuracy, abs=0.02)
    assert accuracy > 0.75
    page = (out / "report.html").read_text()
    assert "The majority beside each model" in page
    assert page.count("<bdi>estimated</bdi>") == page.count("<bdi>true</bdi>") == 1  # which marker is which
    first = numbers["sources"][0]
    assert first["true"]["value"] == pytest.approx(0.85, abs=0.08)
    assert first["estimated"]["low"] <= first["estimated"]["value"] <= first["estimated"]["high"]


def test_coverage_overlap_and_conflict_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("a,b,c\nx,x,\ny,x,\nx,,\n,,\n,y,x\n")
    numbers = sources(str(file), model="majority")
    a, b, c = numbers["sources"]
    assert (a["votes"], a["coverage"], a["overlap"], a["conflict"]) == (3, 0.6, 0.4, 0.2)
    assert (b["polarity"], b["conflict"]) == ({"x": 2, "y": 1}, 0.4)
    assert (c["coverage"], c["overlap"], c["conflict"]) == (0.2, 0.2, 0.2)
    assert (numbers["unvoted"], numbers["tied"]) == (1, 2)


def test_a_row_without_a_vote_has_the_prior_and_no_weight(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("text,a,b,c\none,x,x,\ntwo,,,\nthree,y,,\nfour,x,y,\n")
    for model in ("majority", "dawid_skene", "one_coin", "moments", "triplets"):
        config = pt.WeakSources(votes=str(file), model=model, prior={"x": 0.7, "y": 0.3}, resamples=0)
        _, probabilities, weights = label_votes(config, collect_votes(config), None)
        np.testing.assert_allclose(probabilities[1], [0.7, 0.3])
        assert weights.tolist() == [1, 0, 1, 1]
    config = pt.WeakSources(votes=str(file), model="majority", ties="abstain", resamples=0)
    _, probabilities, weights = label_votes(config, collect_votes(config), None)
    assert weights.tolist() == [1, 0, 1, 0]


def test_what_votes_cannot_tell_is_named(tmp_path: Path) -> None:
    votes = write_votes(tmp_path / "votes.csv")
    assert kinds(sources(votes, truth="gold")) == []
    lines = Path(votes).read_text().splitlines()
    more = ["again,quiet,all", *(f"{line.split(',')[1]},,ham" for line in lines[1:])]
    file = tmp_path / "doubled.csv"
    file.write_text("".join(f"{line},{cells}\n" for line, cells in zip(lines, more, strict=True)))
    numbers = sources(str(file), truth="gold")
    assert {"never_votes", "always_votes", "copies"} <= {*kinds(numbers)}
    copied = next(warning for warning in numbers["warnings"] if warning["kind"] == "copies")
    assert copied["sources"] == ["s0", "again"]
    weighted = sources(str(file), truth="gold", downweight_copies=True)
    weights = {source["name"]: source["weight"] for source in weighted["sources"]}
    assert weights["s0"] == pytest.approx(0.5, abs=0.05)
    assert weights["s1"] == 1


def test_two_sources_no_conflict_and_one_sided_ones(tmp_path: Path) -> None:
    two = write_votes(tmp_path / "two.csv", sources=2)
    assert "few_sources" in kinds(sources(two, truth="gold"))
    with pytest.raises(InputError, match="at least 3 sources"):
        pt.weak_sources(two, truth="gold", model="moments", out=str(tmp_path / "b"))
    assert not (tmp_path / "b").exists()
    file = tmp_path / "apart.csv"
    file.write_text("a,b,c\n" + "x,,\n,y,\n,,x\n" * 12)
    assert {"one_class_sources", "few_overlaps", "no_conflict"} <= {*kinds(sources(str(file)))}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": {"ham": 0.5, "eggs": 0.5}}, "expected a share for each of ham, spam"),
        ({"prior": {"ham": 0.5, "spam": 0.6}}, "`prior` must sum to 1, got 1.1"),
        ({"model": {"name": "majority", "weights": {"s9": 2}}}, "there is no source 's9'"),
        ({"model": {"name": "majority", "weights": dict.fromkeys(["s0", "s1", "s2", "s3"], 0)}}, "all sources weigh 0"),
        ({"model": "snorkel"}, "snorkel"),
        ({"votes": None}, "give `votes`, a file with"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    votes = write_votes(tmp_path / "votes.csv", 40)
    with pytest.raises(InputError, match=message):
        pt.weak_sources(pt.WeakSources(**{"votes": votes, "truth": "gold", "out": str(tmp_path / "o"), **settings}))


def test_hostile_names_reach_no_terminal_and_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = Path(write_votes(tmp_path / "votes.csv", 60))
    votes.write_text(votes.read_text().replace("s0", "\x1b[31m<script>alert(1)</script>", 1))
    assert main(["weak", "sources", str(votes), "truth=gold", "resamples=0", f"out={tmp_path / 'out'}"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_a_class_by_a_slip_of_one_source_is_named(tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text("a,b,c\n" + "x,x,y\ny,y,x\n" * 40 + "x,x,zebra\n")
    numbers = sources(str(votes))
    (warning,) = [warning for warning in numbers["warnings"] if warning["kind"] == "rare_class"]
    assert warning["sources"] == ["c"]
    assert "only c votes for the class zebra, in 1 of 243 votes" in warning["text"]
    assert "rare_class" not in kinds(sources(str(votes), classes=["x", "y", "zebra"]))
    # a rule of its own for a class that is rare is no slip of several sources
    votes.write_text("a,b,c\n" + "x,x,y\ny,y,x\n" * 40 + "x,zebra,zebra\n")
    assert "rare_class" not in kinds(sources(str(votes)))


def test_a_warning_on_the_page_keeps_the_name_of_a_source(tmp_path: Path) -> None:
    votes = write_votes(tmp_path / "votes.csv", quiet=[""] * 120)
    assert main(["weak", "sources", votes, "resamples=0", f"out={tmp_path / 'out'}"]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "quiet never votes" in page
    assert "Quiet never votes" not in page
